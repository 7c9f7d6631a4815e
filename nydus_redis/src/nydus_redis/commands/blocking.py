"""The time for which a server may hold back an answer: the wait that BLPOP, XREAD BLOCK and the like ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.command import key_bytes

__all__ = ["FOREVER", "longest_wait"]

#: Seconds that stand for a wait without end.
FOREVER = 7 * 86400.0

#: The index of the argument that is the wait, in seconds. Other blocking commands have a wait in milliseconds behind BLOCK.
_AT = {
    **dict.fromkeys(("BLPOP", "BRPOP", "BRPOPLPUSH", "BLMOVE", "BZPOPMIN", "BZPOPMAX"), -1),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), 0),
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
    words = [key_bytes(arg).upper() for arg in args]
    found = words.index(b"BLOCK") + 1 if b"BLOCK" in words else len(words)
    return _seconds(args[found], 0.001) if found < len(words) else 0.0


def _seconds(given: Any, unit: float) -> float:
    try:
        wait = float(key_bytes(given)) * unit
    except ValueError:  # the server refuses it
        return 0.0
    return min(wait, FOREVER) if wait > 0 else FOREVER if wait == 0 else 0.0
