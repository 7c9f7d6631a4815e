"""The bytes that the kernel holds for a connection: whether the other end is still taking a large request."""

from __future__ import annotations

import sys
from typing import Any

__all__ = ["LARGE", "unsent"]

#: Bytes. A larger request may take long on its way to a host that is well.
LARGE = 16384

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
