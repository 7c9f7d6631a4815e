"""Options with which a command depends on the data, answers with the data, or does only some of the work.

An option is a word at a place where the server expects options. The same word as a value, a member, a group or a name is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nydus_redis.commands.key_rules import options_of

__all__ = ["WITH_OPTIONS", "conditions_of"]


class _Place(NamedTuple):
    """Where options of a command stand.

    Attributes:
        first: The index of the first option among the arguments.
        operands: How many words belong to an option, where it has any.
        only: The options that may stand there: the first other word ends them. Empty if all words to the end are options.
    """

    first: int
    operands: Mapping[bytes, int] = {}
    only: frozenset[bytes] = frozenset()


_OF_EXPIRY = _Place(2, only=frozenset(b"NX XX GT LT".split()))
_OF_SET = dict.fromkeys(b"IFEQ IFNE IFDEQ IFDNE EX PX EXAT PXAT".split(), 1)

#: The commands with such options. Sources: the pages of the commands on redis.io and valkey.io.
WITH_OPTIONS: Mapping[str, _Place] = {
    "SET": _Place(2, _OF_SET),
    "JSON.SET": _Place(3, {b"FPHA": 1}),
    **dict.fromkeys(("EXPIRE", "EXPIREAT", "PEXPIRE", "PEXPIREAT"), _OF_EXPIRY),
    **dict.fromkeys(("HEXPIRE", "HEXPIREAT", "HPEXPIRE", "HPEXPIREAT"), _OF_EXPIRY),
    "GEOADD": _Place(1, only=frozenset(b"NX XX CH".split())),
    "ZADD": _Place(1, only=frozenset(b"NX XX GT LT CH INCR".split())),
    "XTRIM": _Place(1),
}

_CONDITIONS = frozenset(b"NX XX GT LT GET INCR IFEQ IFNE IFDEQ IFDNE ~ LIMIT".split())


def conditions_of(name: str, args: Sequence[Any]) -> frozenset[bytes]:
    """Return the options of a call that are conditions, such as NX, in capitals.

    Parameters:
        name: The name of the command in capitals.
        args: Its arguments.
    """
    place = WITH_OPTIONS.get(name)
    if place is None:
        return frozenset()
    found = set()
    for _, option in options_of(args, place.first, place.operands):
        if place.only and option not in place.only:
            break
        found.add(option)
    return _CONDITIONS & found
