"""What answers are read from: a connection that waits for them, or what one has received so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Source"]

T = TypeVar("T")


class Source(Protocol):
    """Lines and blocks of bytes, one after the other.

    A source that does not wait breaks a read off where not all has come, and has the same read begun again when more has.
    Then lines that were given are not given again, but for the one before a block that was missing.
    """

    def line(self, end: bytes = b"\r\n") -> bytes:
        """Read up to the end of a line, or another token; return what comes before it."""
        ...

    def block(self, size: int) -> bytes:
        """Read that many bytes and the end of the line after them; return the bytes.

        Raises:
            MemcacheUnknownError: The line does not end there.
        """
        ...

    def begun(self, make: Callable[[], T]) -> T:
        """Return what an answer of many lines is collected in: a new one, or that of the read that was broken off.

        Parameters:
            make: Makes a new one.
        """
        ...

    def close(self) -> None:
        """Give the connection up: nothing more can be read from it."""
        ...
