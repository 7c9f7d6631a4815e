"""A source of answers: a connection that waits for bytes, or the bytes received so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Source"]

T = TypeVar("T")


class Source(Protocol):
    """Lines and values, one after the other.

    A source that does not wait breaks a read off where bytes are missing, and the same read begins again when more have
    come. Lines that were read before are not read again.
    """

    @property
    def at(self) -> int:
        """The position in ``received`` of the first byte that was not read.

        Whoever reads whole lines or values there moves it behind them.
        """
        ...

    @at.setter
    def at(self, position: int) -> None: ...

    @property
    def received(self) -> bytes:
        """The bytes that have come."""
        ...

    def line(self, end: bytes = b"\r\n") -> bytes:
        """Read up to the end of a line, or another token; return the bytes before it."""
        ...

    def more(self, count: int) -> None:
        """Wait until at least so many further bytes have come. A source that does not wait breaks the read off."""
        ...

    def begun(self, make: Callable[[], T]) -> T:
        """Return the collection for an answer of many lines: a new one, or the collection of a read that was broken off.

        Parameters:
            make: Makes an empty collection.
        """
        ...

    @property
    def is_begun(self) -> bool:
        """Whether this is a read that was broken off and has begun again, with a collection."""
        ...

    def close(self) -> None:
        """Give the connection up: nothing more can be read from it."""
        ...
