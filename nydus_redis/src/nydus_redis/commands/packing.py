"""Packs many commands at once, in the form that Redis reads: arrays of bulk strings.

Packing takes longer than anything else that is done for a queued command. Here the words of commands of one name are packed in
columns, a column for each argument: then nearly all the work happens in C. Source of the form: the RESP specification.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_redis.commands.arguments import encoded

__all__ = ["pack_all", "pack_one"]

#: A word of at most so many bytes has a prefix that is kept. So many commands are packed together.
_KEPT, _AT_ONCE = 4096, 1024

_first = itemgetter(0)


class _Prefixes(dict[int, bytes]):
    """The bytes before a word, by the length of the word.

    Parameters:
        lead: The bytes before the length: the end of the word before, or the beginning of a command.
    """

    def __init__(self, lead: bytes) -> None:
        super().__init__()
        self._lead = lead

    def __missing__(self, length: int) -> bytes:
        made = b"%b$%d\r\n" % (self._lead, length)
        if length <= _KEPT:
            self[length] = made
        return made


#: Words of one of these types have the same bytes if they are equal.
_ALIKE_IF_EQUAL = ({str}, {bytes}, {int})

_END = b"\r\n"
_further = _Prefixes(_END).__getitem__


@lru_cache(maxsize=1024)
def _beginning(name: str, size: int) -> Callable[[int], bytes]:
    """Return the bytes before the first argument of a command, by its length. They begin with the end of the command before."""
    return _Prefixes(b"\r\n*%d\r\n$%d\r\n%b\r\n" % (size, len(name), name.encode())).__getitem__


def pack_all(rows: Sequence[tuple[Any, ...] | bytes]) -> bytes:
    """Return the bytes of some commands, one command or more.

    Parameters:
        rows: For each command its bytes, or its words: the name as text; then one or more of text, bytes, integers, floats.
    """
    if len(rows) > _AT_ONCE:  # else the pieces of all of them would be held at the same time
        parts = range(0, len(rows), _AT_ONCE)
        return b"".join([pack_all(rows[start : start + _AT_ONCE]) for start in parts])
    if len(set(map(len, rows))) > 1 or type(rows[0]) is bytes or len(set(map(_first, rows))) > 1:
        return b"".join([row if type(row) is bytes else _pack_row(row) for row in rows])
    columns = _columns(cast("Sequence[tuple[Any, ...]]", rows))
    stride = len(columns)
    pieces: list[Any] = [_END] * (stride * len(rows) + 1)
    for number, column in enumerate(columns):
        pieces[number:-1:stride] = column
    pieces[0] = pieces[0][2:]
    return b"".join(pieces)


_pack_row: Callable[[Any], bytes] = lambda row: pack_one(row[0], encoded(row[1:]))  # noqa: E731
if HIREDIS_AVAILABLE:
    import hiredis

    _pack_row = hiredis.pack_command


def pack_one(name: str, words: Sequence[bytes]) -> bytes:
    """Return the bytes of a command of many words.

    Parameters:
        name: The name.
        words: The words after it, one or more.
    """
    pieces: list[bytes] = [_END] * (2 * len(words) + 1)
    pieces[:-1:2] = map(_further, map(len, words))
    pieces[1::2] = words
    pieces[0] = b"*%d\r\n$%d\r\n%b%b" % (len(words) + 1, len(name), name.encode(), pieces[0])
    return b"".join(pieces)


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[Sequence[bytes]]:
    """Return the pieces of commands that have one name and equally many words: the first piece of each, the second, and so on.

    The first piece begins with the end of the command before; that of the last piece is lacking.
    """
    prefix = _beginning(rows[0][0], len(rows[0]))
    columns: list[Sequence[bytes]] = []
    for number in range(1, len(rows[0])):
        column = [*map(itemgetter(number), rows)]
        # The 1 of INCRBY, the ends of LRANGE; but 0.0 is equal to -0.0
        if set(map(type, column)) in _ALIKE_IF_EQUAL and column.count(column[0]) == len(column):
            word = encoded(column[:1])[0]
            columns += [[prefix(len(word))] * len(column), [word] * len(column)]
        else:
            words = encoded(column)
            columns += [[*map(prefix, map(len, words))], words]
        prefix = _further
    return columns
