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
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nydus_core.command import Access, Scope, key_bytes

__all__ = ["CommandSpec", "lookup", "names"]

_Words = Sequence[Any]
_Finder = Callable[[_Words], Sequence[int]]


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
        self._finders, self._may_be_empty = _compiled(keys)
        self._shift = shift

    def positions(self, args: _Words) -> list[int]:
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
        except _Misfit as misfit:
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


def lookup(args: _Words) -> CommandSpec | None:
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


def names() -> list[str]:
    """Return the names of all known commands, sorted."""
    return sorted(_ROWS)


def _lookup(args: _Words) -> CommandSpec | None:
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


class _Misfit(Exception):
    """A word on the wire that does not fit: where, the word found, and the word expected."""

    def __init__(self, at: int, found: str, expected: str) -> None:
        super().__init__(at, found, expected)
        self.at, self.found, self.expected = at, found, expected


@functools.cache
def _compiled(keys: str) -> tuple[tuple[_Finder, ...], bool]:
    """Turn a key rule into functions from words to indexes. Tell also whether the rule may find no key at all."""
    finders = tuple(_finder(word) for word in keys.split() if word != "-")
    return finders, not finders or keys == "stralgo" or keys.startswith("#") or keys.endswith("?")


def _finder(text: str) -> _Finder:
    """Turn one word of a key rule into a function from the words of a command to the indexes of keys."""
    if text in _BY_NAME:
        return _BY_NAME[text]
    found = re.fullmatch(r"(#?)(\d+)(?:\.\.(-?\d+)\??)?(?:/(\d+))?", text)
    if found is None:
        raise ValueError(
            f"commands.tsv: found the key rule {text!r}, expected one that command_table.py explains"
        )
    counted, first, last, step = found.groups(default="")
    if counted:
        return functools.partial(_counted, int(first), int(step or 1))
    if last.startswith("-"):
        return functools.partial(_to_the_end, int(first), int(last), int(step or 1))
    return functools.partial(_fixed, range(int(first), int(last or first) + 1))


def _fixed(positions: range, words: _Words) -> Sequence[int]:
    """Find keys at fixed places: ``1``, ``1..2``."""
    if positions[-1] >= len(words):
        raise _Misfit(len(words), "nothing", "a key")
    return positions


def _to_the_end(first: int, last: int, step: int, words: _Words) -> Sequence[int]:
    """Find keys up to the end or near it: ``1..-1``, ``1..-1/2``."""
    end = len(words) + last + 1
    # A server refuses half a pair at the end. But a command that was split over hosts would go wrong unseen.
    if (end - first) % step:
        raise _Misfit(len(words), "nothing", f"the rest of a group of {step} that its key begins")
    return range(first, end, step)


def _counted(at: int, step: int, words: _Words) -> Sequence[int]:
    """Find keys whose number stands before them: ``#2``."""
    count = _number(words, at)
    most = (len(words) - at - 1) // step
    if not 0 <= count <= most:
        raise _Misfit(at, f"numkeys {count}", f"0 to {most}, which is all that follows")
    return range(at + 1, at + 1 + count * step, step)


def _number(words: _Words, at: int) -> int:
    if at >= len(words):
        raise _Misfit(at, "nothing", "numkeys")
    try:
        return int(key_bytes(words[at]))
    except ValueError:
        raise _Misfit(at, f"numkeys {words[at]!r:.40}", "a whole number") from None


def _options(words: _Words, at: int, operands: Mapping[bytes, int]) -> Iterator[tuple[int, bytes]]:
    """Yield the index and the name of each option; ``operands`` says how many words an option takes."""
    while at < len(words):
        option = key_bytes(words[at]).upper()
        yield at, option
        at += 1 + operands.get(option, 0)


def _streams(words: _Words) -> Sequence[int]:
    """Find the keys of XREAD and XREADGROUP: the first half of the words behind STREAMS."""
    for at, option in _options(words, 1, _STREAMS_OPERANDS):
        if option == b"STREAMS":
            return _first_half(at + 1, words)
        if option not in _STREAMS_OPERANDS:
            raise _Misfit(at, f"{words[at]!r:.40}", "STREAMS, or an option before it")
    raise _Misfit(len(words), "nothing", "STREAMS, keys and ids")


def _first_half(first: int, words: _Words) -> Sequence[int]:
    count = len(words) - first
    if not count or count % 2:
        raise _Misfit(first, f"{count} words behind STREAMS", "keys and as many ids")
    return range(first, first + count // 2)


def _first_and_stored(first: int, operands: Mapping[bytes, int], words: _Words) -> Sequence[int]:
    """Find the keys of SORT and GEORADIUS: the first, and the key behind the last STORE, which the server obeys."""
    stored: list[int] = []
    for at, option in _options(words, first, operands):
        if option in (b"STORE", b"STOREDIST") and option in operands and at + 1 < len(words):
            stored = [at + 1]
    return [*_fixed(range(1, 2), words), *stored]


def _migrate(words: _Words) -> Sequence[int]:
    """Find the keys of MIGRATE: the key at its fixed place; if it is empty, all words behind KEYS."""
    for at, option in _options(words, 6, {b"AUTH": 1, b"AUTH2": 2}):
        if option == b"KEYS":
            if key_bytes(words[3]):
                raise _Misfit(3, "a key although KEYS follows", "an empty word")
            return range(at + 1, len(words))
    return _fixed(range(3, 4), words)


def _stralgo(words: _Words) -> Sequence[int]:
    """Find the keys of STRALGO LCS: the two behind KEYS; none where STRINGS gives the texts themselves."""
    for at, option in _options(words, 2, {b"STRINGS": 2, b"MINMATCHLEN": 1}):
        if option == b"KEYS":
            return _fixed(range(at + 1, at + 3), words)
    return ()


_STREAMS_OPERANDS = {
    **{b"NOACK": 0, b"BLOCK": 1, b"COUNT": 1, b"GROUP": 2},
    **{b"CLAIM": 1, b"MAXCOUNT": 1, b"MAXSIZE": 1},  # Redis 8.4 and 8.10
}
_BY_NAME: dict[str, _Finder] = {
    "georadius": functools.partial(_first_and_stored, 5, {b"STORE": 1, b"STOREDIST": 1}),
    "migrate": _migrate,
    "sort": functools.partial(_first_and_stored, 2, {b"STORE": 1, b"BY": 1, b"GET": 1, b"LIMIT": 2}),
    "stralgo": _stralgo,
    "streams": _streams,
}


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
