"""Cursors of HSCAN, SSCAN, ZSCAN and SCAN: numbers that only the host understands that gave them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from nydus_core.command import Word, key_bytes
from nydus_redis.commands.command import RedisCommand

__all__ = ["Cursor", "CursorCommand", "word_of"]


class Cursor(int):
    """A cursor that knows which host gave it. It is a number in all other respects.

    Parameters:
        number: The number that the server gave.
        host: The name of the host.
    """

    host: str

    def __new__(cls, number: int, host: str) -> Self:
        cursor = super().__new__(cls, number)
        cursor.host = host
        return cursor

    def __getnewargs__(self) -> tuple[int, str]:  # type: ignore[override]  # that of int has no host
        return int(self), self.host


class CursorCommand(RedisCommand):
    """A command with a cursor in it, whose answer holds the next one.

    Attributes:
        word: The cursor and its host; None for the first page, which any host can give.
    """

    __slots__ = ("word",)

    gives = True

    @property
    def bound(self) -> str:
        """Why it stays with its host: the pages behind the first could not go on elsewhere."""
        return super().bound or "only the host that gives the cursor understands it"

    def signed(self, value: Any, host: str) -> Any:
        """Return the answer of a host, with a cursor that knows the host. At the end it is 0, which needs no host."""
        if not isinstance(value, tuple | list) or not value or type(value[0]) is not int or not value[0]:
            return value
        return type(value)((Cursor(value[0], host), *value[1:]))


def word_of(words: Sequence[Any], at: int) -> Word | None:
    """Return the cursor of a command as a word of its host; None for a first page.

    Parameters:
        words: The words of the command.
        at: The index of the cursor.
    """
    cursor = words[at] if at < len(words) else 0
    if not key_bytes(cursor).strip(b"0"):
        return None
    return Word("cursor", cursor.host if isinstance(cursor, Cursor) else None)
