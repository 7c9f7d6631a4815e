"""Keys that SORT makes of patterns: ``BY weight_*`` and ``GET obj_*->name`` read a key for each element that is sorted."""

from __future__ import annotations

from collections.abc import Sequence

from nydus_redis.commands.key_rules import SORT_OPERANDS, options_of

__all__ = ["key_patterns"]


def key_patterns(words: Sequence[bytes]) -> list[bytes]:
    """Return the patterns of the keys that SORT or SORT_RO reads besides the list, without repetitions.

    A pattern without ``*`` reads no key: ``BY nosort``, ``GET #``. A part ``->field`` names a field of a hash, and is no
    part of the key. Source: ``sortCommandGeneric`` and ``lookupKeyByPattern`` in sort.c.

    Parameters:
        words: The words on the wire.

    Returns:
        Patterns whose first ``*`` stands for an element of the list.
    """
    found = [
        _key_of(words[at + 1])
        for at, option in options_of(words, 2, SORT_OPERANDS)
        if option in (b"BY", b"GET") and at + 1 < len(words)
    ]
    return list(dict.fromkeys(key for key in found if key is not None))


def _key_of(pattern: bytes) -> bytes | None:
    """Return the key in a pattern, or None. To the server a zero byte ends the text in which it looks for marks."""
    star = pattern.partition(b"\0")[0].find(b"*")
    if star < 0:
        return None
    arrow = pattern.partition(b"\0")[0].find(b"->", star + 1)
    return pattern if arrow < 0 or pattern[arrow + 2 : arrow + 3] in (b"", b"\0") else pattern[:arrow]
