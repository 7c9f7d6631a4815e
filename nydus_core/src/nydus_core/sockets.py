"""The bytes that the kernel holds for a connection: whether the other end is still taking a large request."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable
from typing import Any

__all__ = ["LARGE", "LOOKS", "await_taken", "not_taken", "poll_of", "unsent"]

#: Bytes. A larger request may take long on its way to a host that is well.
LARGE = 16384

#: How often to look, within a time limit, whether the other end has taken more of a large request.
LOOKS = 8

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # Windows

    def _bytes_left(number: int) -> int:
        return 0

else:

    def _bytes_left(number: int) -> int:
        answer: bytes = ioctl(number, TIOCOUTQ, bytes(4))
        return int.from_bytes(answer, sys.byteorder, signed=True)


def unsent(sock: Any) -> int:
    """Return how many bytes the kernel has for the other end, which that end has not taken yet.

    A socket takes a request of some megabytes at once, and sends it for seconds if the link is slow. A number that becomes
    smaller says that the other end is well.

    Parameters:
        sock: A socket, or None.

    Returns:
        The bytes; 0 where the kernel does not tell, and for a closed socket.
    """
    try:
        return 0 if sock is None else _bytes_left(sock.fileno())
    except (OSError, ValueError):
        return 0


def poll_of(sock: Any) -> Callable[[int], Any] | None:
    """Return the function that waits until a socket can be read, some milliseconds at most, and tells whether it can.

    It is the same wait for each command, so it is prepared once. None where the system has no ``poll``.
    """
    if not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    found: Callable[[int], Any] = poll.poll
    return found


def not_taken(transport: Any) -> int:
    """Return how many bytes the other end of a transport of asyncio has not taken: in the transport's buffer and the kernel's."""
    size: int = transport.get_write_buffer_size()
    return size + unsent(transport.get_extra_info("socket"))


def await_taken(sock: Any, seconds: float, answers: Callable[[float], bool]) -> None:
    """Wait until the other end has taken a request, or answers. Each part that it takes renews the time.

    Parameters:
        sock: The socket.
        seconds: The most that may pass without progress.
        answers: Waits some seconds for an answer; returns whether one has begun.

    Raises:
        TimeoutError: The other end took nothing for too long.
    """
    left, until = unsent(sock), time.monotonic() + seconds
    while left and not answers(seconds / LOOKS):
        before, left, now = left, unsent(sock), time.monotonic()
        if left < before:
            until = now + seconds
        elif now >= until:
            raise TimeoutError(f"nothing more was taken within {seconds} seconds")
