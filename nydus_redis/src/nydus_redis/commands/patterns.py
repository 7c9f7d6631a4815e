"""Keys that SORT makes of patterns: ``BY weight_*`` and ``GET obj_*->name`` read a key for each element that is sorted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["key_patterns"]

#: How many words belong to an option. Of an unknown option the server says that the syntax is wrong.
_OPERANDS = {b"BY": 1, b"GET": 1, b"LIMIT": 2, b"STORE": 1}


def key_patterns(words: Sequence[bytes]) -> list[bytes]:
    """Return the patterns of the keys that SORT or SORT_RO reads besides the list, without repetitions.

    A pattern without ``*`` reads no key: ``BY nosort``, ``GET #``. A part ``->field`` names a field of a hash, and is no
    part of the key. Source: ``sortCommandGeneric`` and ``lookupKeyByPattern`` in sort.c.

    Parameters:
        words: The words on the wire.

    Returns:
        Patterns whose first ``*`` stands for an element of the list.
    """
    return list(dict.fromkeys(key for pattern in _operands(words) if (key := _key_of(pattern)) is not None))


def _operands(words: Sequence[bytes]) -> Iterator[bytes]:
    at = 2
    while at < len(words):
        option = words[at].upper()
        if option in (b"BY", b"GET") and at + 1 < len(words):
            yield words[at + 1]
        at += 1 + _OPERANDS.get(option, 0)


def _key_of(pattern: bytes) -> bytes | None:
    """Return the key in a pattern, or None. To the server a zero byte ends the text in which it looks for marks."""
    star = pattern.partition(b"\0")[0].find(b"*")
    if star < 0:
        return None
    arrow = pattern.partition(b"\0")[0].find(b"->", star + 1)
    return pattern if arrow < 0 or pattern[arrow + 2 : arrow + 3] in (b"", b"\0") else pattern[:arrow]
