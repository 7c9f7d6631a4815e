"""The commands that write many keys: ``set_many`` and ``delete_many``, a line for each key, sent together.

All that is done for each key is one loop inside of Python where that is possible: a command may have many thousands of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from nydus_core.command import Access, Command, Scope
from nydus_memcache.commands.command import Key, MemcacheCommand, with_size
from nydus_memcache.commands.replies import read_answers
from nydus_memcache.commands.source import Source
from nydus_memcache.errors import Refusal

__all__ = ["DeleteMany", "StoreMany", "chosen", "lines", "stored_line", "with_sizes"]


def chosen(found: Sequence[Any], positions: Sequence[int]) -> list[Any]:
    """Return the elements at some positions."""
    return list(map(found.__getitem__, positions))


def lines(verb: bytes, *columns: Sequence[bytes]) -> bytes:
    """Return the bytes of commands of one verb, one command or more.

    Parameters:
        verb: The verb.
        columns: The pieces behind it, one or more: the first piece of each command, the second, and so on. The end of the last
            piece is lacking.
    """
    stride = len(columns) + 1
    pieces: list[bytes] = [b"\r\n%b " % verb] * (stride * len(columns[0]) + 1)
    for number, column in enumerate(columns, 1):
        pieces[number:-1:stride] = column
    pieces[0], pieces[-1] = verb + b" ", b"\r\n"
    return b"".join(pieces)


def stored_line(verb: bytes, wire_key: bytes, head: bytes, value: bytes, end: bytes = b"") -> bytes:
    """Return the bytes of a command that stores a value.

    Parameters:
        verb: The verb.
        wire_key: The key, as the server sees it.
        head: The words between key and size, with blanks before them.
        value: The value.
        end: The words behind the size.
    """
    return b"%b %b%b %d%b\r\n%b\r\n" % (verb, wire_key, head, len(value), end, value)


def with_sizes(heads: Sequence[bytes], values: Sequence[bytes], end: bytes = b"") -> list[bytes]:
    """Return for each of some values the rest of the line before it.

    Parameters:
        heads: The words between key and size, with blanks before them.
        values: The values.
        end: The words behind the size.
    """
    sizes = [*map(len, values)]
    if sizes and heads.count(heads[0]) == len(sizes):  # nearly always
        alike = {size: b"%b %d%b\r\n" % (heads[0], size, end) for size in set(sizes)}
        return [*map(alike.__getitem__, sizes)]
    kinds = [*zip(heads, sizes, strict=True)]
    found = {kind: b"%b %d%b\r\n" % (*kind, end) for kind in set(kinds)}
    return [*map(found.__getitem__, kinds)]


class _Many(MemcacheCommand):
    """A command that writes many keys.

    Attributes:
        verb: The first word of each line.
        given: The keys, as the user gave them.
        wire_keys: The keys, as the server sees them.
    """

    __slots__ = ("given", "silent", "wire_keys")
    access = Access.WRITE
    scope = Scope.ALL
    verb: bytes

    def __init__(
        self, name: str, given: Sequence[Key], keys: Sequence[bytes], wire_keys: Sequence[bytes], silent: bool
    ) -> None:
        self.name = name
        self.args = (given,)
        # Without any key nothing is sent. Yet a command without a key would go to all hosts, and answer a list
        self.keys = keys or (b"",)
        self.split = _BY_KEY
        self.call = None
        self.given = given
        self.wire_keys = wire_keys
        self.silent = silent

    @property
    def idempotent(self) -> bool:
        return True

    @property
    def is_void(self) -> bool:  # type: ignore[override]
        return not self.wire_keys

    def part(self, positions: Sequence[int]) -> _Many:
        """Return the same command for some of its keys."""
        raise NotImplementedError

    def read(self, source: Source) -> list[Any]:
        count = len(self.given)
        if self.silent:
            return [True] * count
        answers: list[Any] = source.begun(list)
        read_answers(source, self.verb, count, answers)
        return answers

    def value(self, answer: list[Any] | None) -> Any:
        answers = answer or []
        if not set(map(type, answers)) <= {bool}:
            self._raise_refusal(answers)
        return self._finished(answers)

    def _raise_refusal(self, answers: Sequence[Any]) -> None:
        for position, (given, each) in enumerate(zip(self.given, answers, strict=True)):
            if isinstance(each, Refusal):
                error = each.about(self._blamed(position, each))
                error.add_note(f"answered for the key {given!r}; the other keys were sent as well")
                raise error

    def _blamed(self, position: int, error: Refusal) -> str:
        """Return the command for one key, as an error names it."""
        return repr(self.part([position]))

    def _finished(self, answers: Sequence[Any]) -> Any:
        """Return the value, given the answer for each key."""
        raise NotImplementedError


class StoreMany(_Many):
    """``set_many``.

    Attributes:
        heads: For each key the rest of its line: flags, expiry and size.
        values: For each key the bytes of its value.
    """

    __slots__ = ("heads", "values")
    verb = b"set"

    def __init__(
        self,
        given: Sequence[Key],
        keys: Sequence[bytes],
        wire_keys: Sequence[bytes],
        heads: Sequence[bytes],
        values: Sequence[bytes],
        silent: bool,
    ) -> None:
        super().__init__("set_many", given, keys, wire_keys, silent)
        self.heads = heads
        self.values = values

    @property
    def request(self) -> bytes:
        return lines(self.verb, self.wire_keys, self.heads, self.values) if self.wire_keys else b""

    def part(self, positions: Sequence[int]) -> StoreMany:
        wire_keys = chosen(self.wire_keys, positions)
        keys = wire_keys if self.keys is self.wire_keys else chosen(self.keys, positions)
        heads, values = chosen(self.heads, positions), chosen(self.values, positions)
        return StoreMany(chosen(self.given, positions), keys, wire_keys, heads, values, self.silent)

    def _blamed(self, position: int, error: Refusal) -> str:
        return with_size(self.part([position]), b"set", error, len(self.values[position]))

    def _finished(self, answers: Sequence[Any]) -> list[Key]:
        if all(answers):
            return []
        return [key for key, stored in zip(self.given, answers, strict=True) if not stored]


class DeleteMany(_Many):
    """``delete_many``."""

    __slots__ = ()
    verb = b"delete"

    @property
    def request(self) -> bytes:
        if not self.wire_keys:
            return b""
        end = b" noreply\r\n" if self.silent else b"\r\n"
        return b"delete " + (end + b"delete ").join(self.wire_keys) + end

    def part(self, positions: Sequence[int]) -> DeleteMany:
        wire_keys = chosen(self.wire_keys, positions)
        keys = wire_keys if self.keys is self.wire_keys else chosen(self.keys, positions)
        return DeleteMany(self.name, chosen(self.given, positions), keys, wire_keys, self.silent)

    def _finished(self, answers: Sequence[Any]) -> bool:
        return True


class _ByKey:
    """Splits a command over many keys into one for each host, and joins the answers."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[_Many]:
        assert isinstance(command, _Many)
        return [command.part(group) for group in groups]

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> Any:
        return list(chain.from_iterable(values)) if isinstance(values[0], list) else all(values)


_BY_KEY = _ByKey()
