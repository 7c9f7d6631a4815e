"""Runs of commands, as they are sent to one host together. No I/O, for both sides of the engine.

Gets that follow one another become one ``get`` of many keys. Other commands that follow one another and have the same verb are
written and read together; each is a line of its own, also where pymemcache has a method for many. So a command that repeats a
key keeps its meaning, and each has its own answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from nydus_core.command import Command
from nydus_core.drafts import Commands, are_drafts, form_of, items_of, words_of
from nydus_core.pieces import OF_LANE, slices
from nydus_memcache.commands import (
    Fetch,
    FetchForm,
    FetchMany,
    FetchOne,
    LineForm,
    Load,
    MemcacheCommand,
    Plain,
    Source,
    read_answers,
    read_items,
    request_for,
)
from nydus_memcache.engine.host import MemcacheHost

__all__ = ["Run", "runs", "shared_runs"]


class Run:
    """Commands that share a request and its answer: here a single command.

    Attributes:
        commands: The commands, in order.
        request: The bytes of all. Where there are none, nothing is sent and no answer comes.
    """

    __slots__ = ("commands", "request")

    def __init__(self, commands: Sequence[MemcacheCommand], request: bytes) -> None:
        self.commands = commands
        self.request = request

    @property
    def silent(self) -> bool:
        """Whether the server sends no answer."""
        return not self.request or self.commands[0].silent

    def read(self, source: Source) -> Any:
        """Read the answer; None if nothing was sent."""
        return self.commands[0].read(source) if self.request else None

    def shares(self, answer: Any) -> Sequence[Any]:
        """Return the answer of each command, given the answer of the run."""
        return [answer] * len(self.commands)

    def outcomes(self, engine: MemcacheHost, answer: Any) -> Sequence[Any]:
        """Return the outcome of each command, given the answer."""
        return [_outcome(engine, command, answer) for command in self.commands]

    def apart(self) -> Sequence[Run]:
        """Return the runs whose ends are known one by one, where the connection fails in the middle."""
        return (self,)

    def heard(self, answers: Sequence[Any]) -> Sequence[Any]:
        """Return the answers of the first of the runs of ``apart()``.

        Parameters:
            answers: The answer of this run, if it was read to its end.
        """
        return answers


class _Gets(Run):
    """Several gets with the same verb: one request for all of their keys."""

    __slots__ = ("_are_plain", "_keys", "_verb")

    def __init__(
        self, commands: Sequence[MemcacheCommand], verb: bytes, keys: list[bytes], are_plain: bool
    ) -> None:
        self._verb = verb
        self._keys = keys
        self._are_plain = are_plain and verb == b"get"
        super().__init__(commands, request_for(verb, keys))

    @classmethod
    def of_commands(cls, commands: Sequence[Fetch]) -> _Gets:
        """Return the run of some commands."""
        if set(map(type, commands)) != {FetchOne}:
            return cls(commands, commands[0].verb, [key for each in commands for key in each.asked()], False)
        keys = [each.wire_key for each in cast("Sequence[FetchOne]", commands)]
        return cls(
            commands, commands[0].verb, keys, all(load.leaves_bytes for load in set(map(_LOAD, commands)))
        )

    @property
    def silent(self) -> bool:
        return not self.request

    def read(self, source: Source) -> Any:
        return read_items(source, self._verb, self._keys) if self.request else None

    def outcomes(self, engine: MemcacheHost, answer: Any) -> Sequence[Any]:
        if not self._are_plain or type(answer) is not dict:
            return super().outcomes(engine, answer)
        items = list(answer.values() if self._keys == [*answer] else map(answer.get, self._keys))
        if set(map(type, items)) == {bytes}:
            return items
        return [
            item if type(item) is bytes else _outcome(engine, command, answer)
            for item, command in zip(items, self.commands, strict=True)
        ]


class _Lines(Run):
    """Several commands with the same verb, each answered by a line."""

    __slots__ = ("_answers", "_verb")

    def __init__(self, commands: Sequence[MemcacheCommand], verb: bytes, request: bytes) -> None:
        self._verb = verb
        self._answers: list[Any] = []
        super().__init__(commands, request)

    @property
    def silent(self) -> bool:
        return False

    def read(self, source: Source) -> Sequence[Any]:
        read_answers(source, self._verb, len(self.commands), self._answers)
        return self._answers

    def shares(self, answer: Sequence[Any]) -> Sequence[Any]:
        return answer

    def outcomes(self, engine: MemcacheHost, answer: Sequence[Any]) -> Sequence[Any]:
        if set(map(type, answer)) <= _VALUES:
            return answer
        return [_outcome(engine, command, each) for command, each in zip(self.commands, answer, strict=True)]

    def apart(self) -> Sequence[Run]:
        return [Run((command,), command.request) for command in self.commands]

    def heard(self, answers: Sequence[Any]) -> Sequence[Any]:
        return self._answers


#: The types of the answers of a line that are the values of commands.
_VALUES = frozenset({bool, int, type(None)})


def runs(commands: Sequence[Command]) -> list[Run]:
    """Group commands into runs, in the order in which they are sent."""
    if len(commands) == 1:  # a single command, and a short way for it
        only = cast("Sequence[MemcacheCommand]", commands)
        return [Run(only, only[0].request)]
    items = items_of(commands)
    found: list[Run] = []
    for piece in slices(len(items), OF_LANE):  # no run is longer than a piece, so its answer is soon read
        part = items[piece]
        found += _of_drafts(part) if are_drafts(part) else _of_commands(Commands([*part]))
    return found


def shared_runs(commands: Sequence[MemcacheCommand]) -> list[Run]:
    """Group the commands of several tasks into runs.

    A command that gets many values stands alone, so that no other waits for all of them.
    """
    if len(commands) == 1:
        return runs(commands)
    found: list[Run] = []
    for piece in slices(len(commands), OF_LANE):
        part = commands[piece]
        if set(map(type, part)) == {FetchOne} and len(set(map(_VERB, part))) == 1:  # often
            found.append(_Gets.of_commands(cast("Sequence[Fetch]", part)))
        else:
            found += _of_commands(part, _shared)
    return found


def _shared(command: MemcacheCommand) -> bytes | None:
    return None if isinstance(command, FetchMany) else command.gathers


def _of_commands(
    commands: Iterable[Command], key: Callable[[MemcacheCommand], bytes | None] | None = None
) -> Iterator[Run]:
    for gathers, group in groupby(cast("Iterable[MemcacheCommand]", commands), key or _GATHERS):
        members = list(group)
        if gathers is None or len(members) == 1:
            for command in members:
                yield Run((command,), command.request)
        elif isinstance(members[0], Fetch):
            yield _Gets.of_commands(cast("Sequence[Fetch]", members))
        else:
            plain = cast("Sequence[Plain]", members)
            yield _Lines(plain, plain[0].verb, b"".join([command.request for command in plain]))


def _of_drafts(drafts: Sequence[Any]) -> Iterator[Run]:
    forms = [*map(form_of, drafts)]
    groups = [(forms[0], drafts)] if forms.count(forms[0]) == len(forms) else groupby(drafts, form_of)
    for form, group in groups:
        members = [*group]
        commands = cast("Sequence[MemcacheCommand]", Commands(members))
        if len(members) == 1:
            command = commands[0]
            yield Run((command,), command.request)
        elif isinstance(form, FetchForm):
            yield _Gets(
                commands, form.verb, form.wire_keys([*map(words_of, members)]), form.load.leaves_bytes
            )
        else:
            assert isinstance(form, LineForm)
            yield _Lines(commands, form.verb, form.request([*map(words_of, members)]))


_LOAD: Callable[[Fetch], Load] = attrgetter("load")
_VERB: Callable[[Any], bytes] = attrgetter("verb")
_GATHERS: Callable[[MemcacheCommand], bytes | None] = attrgetter("gathers")


def _outcome(engine: MemcacheHost, command: MemcacheCommand, answer: Any) -> Any:
    try:
        return engine.value(command, answer)
    except Exception as error:
        return error
