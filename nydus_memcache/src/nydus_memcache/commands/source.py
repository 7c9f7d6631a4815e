"""A source of answers: a connection that waits for bytes, or the bytes received so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Source"]

T = TypeVar("T")


class Source(Protocol):
    """Lines and blocks of bytes, one after the other.

    A source that does not wait breaks a read off where bytes are missing, and the same read begins again when more have
    come. Lines given before are not given again, except the line before a block that was missing.
    """

    def line(self, end: bytes = b"\r\n") -> bytes:
        """Read up to the end of a line, or another token; return the bytes before it."""
        ...

    def block(self, size: int) -> bytes:
        """Read that many bytes and the end of the line after them; return the bytes.

        Raises:
            MemcacheUnknownError: The line does not end there.
        """
        ...

    def begun(self, make: Callable[[], T]) -> T:
        """Return the collection for an answer of many lines: a new one, or the collection of a read that was broken off.

        Parameters:
            make: Makes an empty collection.
        """
        ...

    def close(self) -> None:
        """Give the connection up: nothing more can be read from it."""
        ...
