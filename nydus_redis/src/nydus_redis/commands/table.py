"""The table of Redis commands: where the keys are, whether a command only reads, and where it goes without a key.

``lookup`` takes the wire form, that is the arguments which redis-py gives to ``execute_command``. It finds the command in
a table made from servers' own answers: ``commands.tsv``, which ``tools/command_table.py`` makes and explains. Nothing here
asks a server, and nothing here knows hosts: routing and splitting are left to others.

    >>> call = ("ZUNIONSTORE", "to", 2, "a", "b", "AGGREGATE", "MAX")
    >>> lookup(call).positions(call)
    [1, 3, 4]
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from nydus_core.command import Access, Scope, key_bytes
from nydus_redis.commands.key_rules import Misfit, Words, compiled

__all__ = ["CommandSpec", "is_container", "is_whole", "lookup", "names"]

#: Why commands with such a flag stay with their host.
_BOUND = {
    "claim": "it asks to be the first, and another host would grant that again",
    "group": "only the host of the stream knows the consumer group",
}


class CommandSpec:
    """Facts about a command, in one of the forms that its name can be written in.

    Attributes:
        name: The name in the table, such as ``GET`` or ``OBJECT ENCODING``.
        access: Whether it only reads.
        scope: Where a call goes that has no key.
        blocking: Whether a server may hold the answer back until something happens or a timeout is over.
        idempotent: Whether applying it twice leaves the same data as once, unless it has a condition (``SET … NX``).
        connection: Whether it only means something on the connection that sent it (WATCH, MULTI, SELECT …).
            Then it must not be sent over a pool, even where it has keys.
        has_patterns: Whether arguments may be patterns of further keys that it reads (SORT): see ``key_patterns``.
        first_only: Whether its keys are exactly one, which is ``args[1]`` (unless args end before), and no patterns.
        cursor: The index, among the words on the wire, of a cursor: a number that only the server understands that gave
            it. 0 if there is none.
        bound: Why it belongs to its host and no other, even while that host is down; empty if it may go elsewhere.
        bound_by_nx: The same, for calls with the option NX.
    """

    __slots__ = (
        *("access", "blocking", "bound", "bound_by_nx", "connection", "cursor"),
        *("first_only", "has_patterns", "idempotent", "name", "scope", "_finders", "_may_be_empty", "_shift"),
    )

    def __init__(self, name: str, access: str, keys: str, scope: str, flags: str, shift: int) -> None:
        """Take the columns of a row, and the number of words that ``args[0]`` holds besides the first."""
        self.name = name
        self.access = Access(access)
        self.scope = Scope(scope)
        self.blocking = "blocking" in flags
        self.idempotent = access == "read" or "idempotent" in flags
        self.connection = "connection" in flags
        self.has_patterns = "patterns" in flags
        self.first_only = keys == str(1 + shift) and not self.has_patterns
        self.cursor = ("cursor" in flags) * (1 if keys == "-" else 2)
        self.bound = next((why for flag, why in _BOUND.items() if flag in flags.split()), "")
        self.bound_by_nx = _BOUND["claim"] if "nx-claim" in flags.split() else ""
        self._finders, self._may_be_empty = compiled(keys)
        self._shift = shift

    def positions(self, args: Words) -> list[int]:
        """Return the indexes into ``args`` of all keys, in the order on the wire, duplicates kept.

        Parameters:
            args: The wire form, the same that ``lookup`` was given.

        Returns:
            Empty for a command without keys, and for a call without any, such as EVAL with numkeys 0.

        Raises:
            ValueError: The keys cannot be found: too few words, a wrong numkeys, STREAMS is missing. A server
                refuses such a call too.
        """
        words = (*key_bytes(args[0]).split(), *args[1:]) if self._shift else args
        try:
            found = [position for find in self._finders for position in find(words)]
        except Misfit as misfit:
            where = f"args[{misfit.at - self._shift}]"
            raise ValueError(
                f"{self.name}: found {misfit.found} at {where}, expected {misfit.expected}"
            ) from None
        if not found and not self._may_be_empty:
            raise ValueError(f"{self.name}: found no key in {len(args)} args, expected at least one")
        return [self._outside_name(position) for position in found] if self._shift else found

    def _outside_name(self, position: int) -> int:
        """Turn an index on the wire into an index into args."""
        if position <= self._shift:
            raise ValueError(f"{self.name}: found a key inside args[0], expected each key as one of args")
        return position - self._shift

    def __repr__(self) -> str:
        return f"<CommandSpec {self.name}>"


def lookup(args: Words) -> CommandSpec | None:
    """Find a command.

    Parameters:
        args: The arguments that redis-py gives to ``execute_command``. ``args[0]`` is text or bytes in any case. It may
            hold blanks (``"CONFIG GET"``), and a subcommand may be ``args[1]`` (``"OBJECT", "ENCODING"``).

    Returns:
        None for an unknown command.

    Raises:
        ValueError: There is no name in ``args``.
    """
    try:
        return _as_sent[args[0]]
    except (KeyError, IndexError, TypeError):
        return _lookup(args)


def is_container(name: str | bytes) -> bool:
    """Tell whether a word in any case begins names of two words, such as ``CONFIG``."""
    return key_bytes(name).upper().decode("latin-1") in _CONTAINERS


def is_whole(name: str) -> bool:
    """Tell whether a name, written as in the table, names one command whatever follows it."""
    return name in _ROWS and name not in _CONTAINERS


def names() -> list[str]:
    """Return the names of all known commands, sorted."""
    return sorted(_ROWS)


def _lookup(args: Words) -> CommandSpec | None:
    """Find a command for the first time, or a command whose name is not written as in the table."""
    words = key_bytes(args[0]).split() if args else []  # redis-py splits the name in the same way
    if not words:
        raise ValueError("found no command name at args[0], expected one such as 'GET'")
    name = _name(words[:1])
    if name in _CONTAINERS:
        both = _name([*words, *map(key_bytes, args[1:2])][:2])
        name = both if both in _ROWS else name
    if name not in _ROWS:
        return None
    spec = _form(name, len(words) - 1)
    # "OBJECT ENCODING" names one command for good; "OBJECT" needs args[1], too.
    if isinstance(args[0], str) and args[0] == name not in _CONTAINERS:
        _as_sent[name] = spec
    return spec


def _name(words: Sequence[bytes]) -> str:
    return b" ".join(words).upper().decode("latin-1")


@functools.lru_cache(maxsize=1024)
def _form(name: str, shift: int) -> CommandSpec:
    """Return the form of a command whose ``args[0]`` holds ``shift`` words besides the first."""
    access, keys, scope, flags = _ROWS[name]
    return CommandSpec(name, access, keys, scope, flags, shift)


def _read_rows() -> dict[str, list[str]]:
    """Return access, keys, scope and flags of each command, by name."""
    lines = Path(__file__).with_name("commands.tsv").read_text(encoding="utf-8").splitlines()
    cells = (line.split("\t") for line in lines[2:])
    return {name: about for name, *about, _source in cells}


_ROWS = _read_rows()
#: The first words of names that have two words: only both together name a command.
_CONTAINERS = frozenset(name.split()[0] for name in _ROWS if " " in name)
#: Specs by the name as redis-py's own methods write it, filled by use: the short way of ``lookup``.
_as_sent: dict[str, CommandSpec] = {}
