"""The time for which a server may hold back an answer: the wait that BLPOP, XREAD BLOCK and the like ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.command import key_bytes
from nydus_redis.commands.key_rules import STREAMS_OPERANDS, options_of

__all__ = ["FOREVER", "longest_wait"]

#: Seconds that stand for a wait without end.
FOREVER = 7 * 86400.0

#: The index of the argument that is the wait, in seconds.
_AT = {
    **dict.fromkeys(("BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BZPOPMIN", "BZPOPMAX"), -1),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), 0),
}

#: Where the options of other commands begin, and how many words belong to each: the wait stands behind BLOCK, in milliseconds.
#: A word of the same name among data, such as a consumer group, is none. Of commands that a server has described, only the first
#: word is known to be a key.
_BLOCK: Mapping[str, tuple[int, Mapping[bytes, int]]] = {
    **dict.fromkeys(("XREAD", "XREADGROUP"), (0, STREAMS_OPERANDS)),
    "TS.READ": (2, {b"BLOCK": 2, b"MAX_COUNT": 1}),
}


def longest_wait(name: str, args: Sequence[Any]) -> float:
    """Return how long a blocking command may wait, in seconds; 0 if its arguments give no wait that makes sense.

    Parameters:
        name: The name of the command in capitals.
        args: The arguments of the command.
    """
    at = _AT.get(name)
    if at is not None:
        return _seconds(args[at], 1.0) if args else 0.0
    first, operands = _BLOCK.get(name, (1, {b"BLOCK": 1}))
    for index, option in options_of(args, first, operands):
        if option == b"STREAMS":  # keys and ids follow, which may have any name
            break
        if option == b"BLOCK" and index + 1 < len(args):
            return _seconds(args[index + 1], 0.001)
    return 0.0


def _seconds(given: Any, unit: float) -> float:
    try:
        wait = float(key_bytes(given)) * unit
    except ValueError:  # the server refuses it
        return 0.0
    return min(wait, FOREVER) if wait > 0 else FOREVER if wait == 0 else 0.0
