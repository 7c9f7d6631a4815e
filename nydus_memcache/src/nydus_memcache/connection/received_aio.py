"""The bytes that have come over a connection, read as lines and values. Reading never waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_memcache.connection.turned_away import check_first_line, is_turned_away

__all__ = ["NeedMore", "Received"]

T = TypeVar("T")


class NeedMore(Exception):
    """The rest of an answer has not come yet. The read begins again when more bytes have come."""


class Received:
    """Bytes that were received and not read yet. See ``Source``.

    Attributes:
        closed: Whether a read has given the connection up.
    """

    __slots__ = ("_at", "_begun", "_buffer", "_end", "_is_new", "_missing", "_pieces", "closed")

    def __init__(self) -> None:
        self._buffer = b""
        self._at = 0
        self._pieces: list[bytes] = []  # bytes that came after the buffer
        self._missing = 0
        self._begun: Any = None
        self._end: Exception | None = None
        self._is_new = True  # whether no line was read yet
        self.closed = False

    @property
    def empty(self) -> bool:
        """Whether all was read."""
        return self._at == len(self._buffer) and not self._pieces

    def add(self, data: bytes) -> bool:
        """Take bytes; return whether they may be enough to go on reading. So a large value is put together once."""
        self._missing -= len(data)
        if self._missing <= 0 and self.empty:
            self._buffer, self._at = data, 0
            return True
        self._pieces.append(data)
        if self._missing > 0:
            return False
        self._buffer = b"".join([self._buffer[self._at :], *self._pieces])
        self._at = 0
        self._pieces.clear()
        return True

    @property
    def turned_away(self) -> bool:
        """Whether the server has turned this connection away: it is full."""
        return self._is_new and is_turned_away(self._buffer)

    def end(self, error: Exception) -> None:
        """Note that no more bytes will come: a read that needs more raises ``error``."""
        self._end = error

    def answered(self) -> None:
        """Note that an answer was read to its end. The next read begins another answer."""
        self._begun = None

    # Called by readers ----------------------------------------------------------------------------------------------

    def line(self, end: bytes = b"\r\n") -> bytes:
        """Read up to the end of a line, or another token; return the bytes before it."""
        if self.closed:
            raise MemcacheUnexpectedCloseError("the connection was given up")
        start = self._at
        found = self._buffer.find(end, start)
        if found < 0:
            raise self._needs(1)
        self._at = found + len(end)
        line = self._buffer[start:found]
        if self._is_new:
            check_first_line(line)
            self._is_new = False
        return line

    @property
    def received(self) -> bytes:
        """The bytes that have come."""
        if self.closed:
            raise MemcacheUnexpectedCloseError("the connection was given up")
        return self._buffer

    @property
    def at(self) -> int:
        """The position of the first of them that was not read."""
        return self._at

    @at.setter
    def at(self, position: int) -> None:
        if position > self._at:
            self._at, self._is_new = position, False

    def wait(self) -> None:
        """Break the read off: something else than bytes is waited for."""
        raise self._needs(0)

    def more(self, count: int) -> None:
        """Break the read off: at least so many further bytes are missing."""
        raise self._needs(count)

    def begun(self, make: Callable[[], T]) -> T:
        """Return the collection of the read that was broken off, or a new one."""
        if self._begun is None:
            self._begun = make()
        found: T = self._begun
        return found

    @property
    def is_begun(self) -> bool:
        """Whether this is a read that was broken off and has begun again, with a collection."""
        return self._begun is not None

    def close(self) -> None:
        """Give the connection up: nothing more can be read from it."""
        self.closed = True

    def _needs(self, missing: int) -> Exception:
        self._missing = missing
        return self._end or NeedMore()
