"""The bytes that the kernel holds for a connection: whether the other end is still taking a large request."""

from __future__ import annotations

import struct
from typing import Any

try:
    import fcntl
    import termios
except ImportError:  # Windows
    fcntl = termios = None  # type: ignore[assignment]

__all__ = ["LARGE", "unsent"]

#: Bytes. A larger request may take long on its way to a host that is well.
LARGE = 16384

_QUESTION = getattr(termios, "TIOCOUTQ", None)


def unsent(sock: Any) -> int:
    """Return how many bytes the kernel has for the other end, which that end has not taken yet.

    A socket takes a request of some megabytes at once, and sends it for seconds if the link is slow. A number that becomes
    smaller says that the other end is well.

    Parameters:
        sock: A socket, or None.

    Returns:
        The bytes; 0 where the kernel does not tell, and for a closed socket.
    """
    if sock is None or _QUESTION is None:
        return 0
    try:
        answer: bytes = fcntl.ioctl(sock.fileno(), _QUESTION, bytes(4))
    except (OSError, ValueError):
        return 0
    (count,) = struct.unpack("i", answer)
    return int(count)
