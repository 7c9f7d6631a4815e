"""Where the keys of a Redis command are, whether it only reads, and where it goes when it has no key.

``lookup`` takes what redis-py gives to ``execute_command``, the wire form, and finds the command in a table
made from servers' own answers: ``commands.tsv``, which ``tools/command_table.py`` makes and explains. Nothing
here asks a server, and nothing here knows hosts: routing and splitting are left to others.

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
_Part = Callable[[_Words], Sequence[int]]


class CommandSpec:
    """What is known about a command, in one of the forms that its name can be written in.

    Attributes:
        name: The name in the table, such as ``GET`` or ``OBJECT ENCODING``.
        access: Whether it only reads.
        scope: Where it goes when a call of it has no key.
        blocking: Whether a server may hold its answer back until something happens or a timeout is over.
        idempotent: Whether applying it twice leaves the same data as once, unless it has a condition (``SET … NX``).
        connection: Whether it only means something on the connection that sent it (WATCH, MULTI, SELECT …).
            It must not be sent over a pool then, even where it has keys.
        first_only: Whether it has exactly one key, and that is ``args[1]`` (unless args end before it).
    """

    __slots__ = (
        *("access", "blocking", "connection", "first_only", "idempotent", "name", "scope"),
        *("_may_be_empty", "_parts", "_shift"),
    )

    def __init__(self, name: str, access: str, keys: str, scope: str, flags: str, shift: int) -> None:
        """Make one of the columns of a row, and of how many words ``args[0]`` holds besides the first."""
        self.name = name
        self.access = Access(access)
        self.scope = Scope(scope)
        self.blocking = "blocking" in flags
        self.idempotent = access == "read" or "idempotent" in flags
        self.connection = "connection" in flags
        self.first_only = keys == str(1 + shift)
        self._parts, self._may_be_empty = _compiled(keys)
        self._shift = shift

    def positions(self, args: _Words) -> list[int]:
        """Return the indexes into ``args`` of all keys, in the order on the wire, duplicates kept.

        Parameters:
            args: The wire form as given to ``execute_command``, the very one that ``lookup`` got.

        Returns:
            Empty for a command without keys, and for a call without any, such as EVAL with numkeys 0.

        Raises:
            ValueError: The keys cannot be told: too few words, a wrong numkeys, STREAMS is missing. A server
                refuses such a call too.
        """
        words = (*key_bytes(args[0]).split(), *args[1:]) if self._shift else args
        try:
            found = [position for part in self._parts for position in part(words)]
        except _Misfit as misfit:
            where = f"args[{misfit.at - self._shift}]"
            raise ValueError(
                f"{self.name}: found {misfit.found} at {where}, expected {misfit.expected}"
            ) from None
        if not found and not self._may_be_empty:
            raise ValueError(f"{self.name}: found no key in {len(args)} args, expected at least one")
        return [self._outside_name(position) for position in found] if self._shift else found

    def _outside_name(self, position: int) -> int:
        """Return a position on the wire as an index into args."""
        if position <= self._shift:
            raise ValueError(f"{self.name}: found a key inside args[0], expected each key as one of args")
        return position - self._shift

    def __repr__(self) -> str:
        return f"<CommandSpec {self.name}>"


def lookup(args: _Words) -> CommandSpec | None:
    """Find a command.

    Parameters:
        args: What redis-py's ``execute_command`` is given. ``args[0]`` is text or bytes in any case. It may
            hold blanks (``"CONFIG GET"``), and a subcommand may be ``args[1]`` (``"OBJECT", "ENCODING"``).

    Returns:
        None for an unknown command.

    Raises:
        ValueError: There is no name in it.
    """
    try:
        return _as_sent[args[0]]
    except (KeyError, IndexError, TypeError):
        return _lookup(args)


def names() -> list[str]:
    """Return the names of all known commands, sorted."""
    return sorted(_ROWS)


def _lookup(args: _Words) -> CommandSpec | None:
    """Find a command for the first time, or one whose name is not written as in the table."""
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
    # "OBJECT ENCODING" is one command for good; what "OBJECT" is, only args[1] tells.
    if isinstance(args[0], str) and args[0] == name not in _CONTAINERS:
        _as_sent[name] = spec
    return spec


def _name(words: Sequence[bytes]) -> str:
    return b" ".join(words).upper().decode("latin-1")


@functools.lru_cache(maxsize=1024)
def _form(name: str, shift: int) -> CommandSpec:
    """Return the form of a command whose ``args[0]`` holds so many words besides the first."""
    access, keys, scope, flags = _ROWS[name]
    return CommandSpec(name, access, keys, scope, flags, shift)


class _Misfit(Exception):
    """What was found at a position on the wire, and what was expected there."""

    def __init__(self, at: int, found: str, expected: str) -> None:
        super().__init__(at, found, expected)
        self.at, self.found, self.expected = at, found, expected


@functools.cache
def _compiled(keys: str) -> tuple[tuple[_Part, ...], bool]:
    """Return a key rule as functions from words to positions, and whether it may find no key at all."""
    parts = tuple(_part(part) for part in keys.split() if part != "-")
    return parts, not parts or keys == "stralgo" or keys.startswith("#") or keys.endswith("?")


def _part(text: str) -> _Part:
    """Return one part of a key rule as a function."""
    if text in _BY_NAME:
        return _BY_NAME[text]
    found = re.fullmatch(r"(#?)(\d+)(?:\.\.(-?\d+)\??)?(?:/(\d+))?", text)
    if found is None:
        raise ValueError(
            f"commands.tsv: found the key rule {text!r}, expected one that command_table.py tells of"
        )
    counted, first, last, step = found.groups(default="")
    if counted:
        return functools.partial(_counted, int(first), int(step or 1))
    if last.startswith("-"):
        return functools.partial(_to_the_end, int(first), int(last), int(step or 1))
    return functools.partial(_fixed, range(int(first), int(last or first) + 1))


def _fixed(positions: range, words: _Words) -> Sequence[int]:
    """Keys at fixed positions: ``1``, ``1..2``."""
    if positions[-1] >= len(words):
        raise _Misfit(len(words), "nothing", "a key")
    return positions


def _to_the_end(first: int, last: int, step: int, words: _Words) -> Sequence[int]:
    """Keys up to the end or near it: ``1..-1``, ``1..-1/2``."""
    end = len(words) + last + 1
    # Half a pair at the end: a server refuses it, but one that was split over hosts would go wrong unseen.
    if (end - first) % step:
        raise _Misfit(len(words), "nothing", f"the rest of a group of {step} that its key begins")
    return range(first, end, step)


def _counted(at: int, step: int, words: _Words) -> Sequence[int]:
    """Keys whose number stands before them: ``#2``."""
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
    """Yield where each option is and which it is; ``operands`` says how many words it takes."""
    while at < len(words):
        option = key_bytes(words[at]).upper()
        yield at, option
        at += 1 + operands.get(option, 0)


def _streams(words: _Words) -> Sequence[int]:
    """XREAD, XREADGROUP: the first half of what follows STREAMS."""
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
    """SORT, GEORADIUS: their key, and that of the last STORE, for a server obeys the last one."""
    stored: list[int] = []
    for at, option in _options(words, first, operands):
        if option in (b"STORE", b"STOREDIST") and option in operands and at + 1 < len(words):
            stored = [at + 1]
    return [*_fixed(range(1, 2), words), *stored]


def _migrate(words: _Words) -> Sequence[int]:
    """MIGRATE: the key at its fixed place, or where that is empty all words behind KEYS."""
    for at, option in _options(words, 6, {b"AUTH": 1, b"AUTH2": 2}):
        if option == b"KEYS":
            if key_bytes(words[3]):
                raise _Misfit(3, "a key although KEYS follows", "an empty word")
            return range(at + 1, len(words))
    return _fixed(range(3, 4), words)


def _stralgo(words: _Words) -> Sequence[int]:
    """STRALGO LCS: the two keys behind KEYS; none where STRINGS gives the texts themselves."""
    for at, option in _options(words, 2, {b"STRINGS": 2, b"MINMATCHLEN": 1}):
        if option == b"KEYS":
            return _fixed(range(at + 1, at + 3), words)
    return ()


_STREAMS_OPERANDS = {
    **{b"NOACK": 0, b"BLOCK": 1, b"COUNT": 1, b"GROUP": 2},
    **{b"CLAIM": 1, b"MAXCOUNT": 1, b"MAXSIZE": 1},  # Redis 8.4 and 8.10
}
_BY_NAME: dict[str, _Part] = {
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
#: The first words of names of two: only the second tells which command it is.
_CONTAINERS = frozenset(name.split()[0] for name in _ROWS if " " in name)
#: By the name as redis-py's own methods write it, filled with use: the short way of ``lookup``.
_as_sent: dict[str, CommandSpec] = {}
