"""Runs of commands, as they are sent to one host together, and their outcomes. No I/O, for both sides of the engine.

Gets that follow one another become one ``get`` of many keys. Other commands are not grouped, because grouping would gain
nothing: each set or delete is a line of its own, also where pymemcache has a method for many. So a command that repeats a
key keeps its meaning, and each has its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

from nydus_core.command import Command
from nydus_core.errors import HostDown, MaybeApplied
from nydus_core.pieces import COSTLY, OF_LANE, Pace, Work, done, slices
from nydus_memcache.commands import Fetch, MemcacheCommand, Source, read_items, request_for
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.errors import ServerFull

__all__ = ["Failure", "Run", "grouping", "outcomes", "runs", "telling"]


class Run:
    """Commands that share a request and its answer: gets with the same verb, or any single command.

    Attributes:
        commands: The commands, in order.
        request: The bytes of all. Where there are none, nothing is sent and no answer comes.
    """

    __slots__ = ("_keys", "commands", "request")

    def __init__(self, first: MemcacheCommand) -> None:
        self.commands = [first]
        self._keys: Sequence[bytes] | None = None
        self.request = b""

    def seal(self) -> None:
        """Put the request together when all commands are known."""
        first = self.commands[0]
        if len(self.commands) == 1:
            self.request = first.request
        else:
            self._keys = [key for command in cast("list[Fetch]", self.commands) for key in command.asked()]
            self.request = request_for(cast("Fetch", first).verb, self._keys)

    def read(self, source: Source) -> Any:
        """Read the answer; None if nothing was sent."""
        first = self.commands[0]
        if not self.request:
            return None
        if self._keys is None:
            return first.read(source)
        return read_items(source, cast("Fetch", first).verb, self._keys)

    @property
    def silent(self) -> bool:
        """Whether the server sends no answer."""
        return not self.request or self.commands[0].silent


def runs(commands: Sequence[Command]) -> list[Run]:
    """Group commands into runs, in the order in which they are sent."""
    if len(commands) == 1:  # a single command, and a short way for it
        (only,) = cast("Sequence[MemcacheCommand]", commands)
        run = Run(only)
        run.request = only.request
        return [run]
    return done(grouping(commands))


def grouping(commands: Sequence[Command]) -> Work[list[Run]]:
    """Do the same as ``runs``, in pieces. No run is longer than a piece, so its answer is soon read."""
    found: list[Run] = []
    for piece in slices(len(commands), OF_LANE):
        begun, verb = len(found), None
        for command in cast("Sequence[MemcacheCommand]", commands[piece]):
            if verb is not None and command.gathers == verb:
                found[-1].commands.append(command)
            else:
                found.append(Run(command))
                verb = command.gathers
        for run in found[begun:]:
            run.seal()
        if piece.stop < len(commands):
            yield
    return found


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no more answers came.

    Attributes:
        cause: The exception.
        sent: How many bytes of the requests may have been sent. The others were not sent.
        taken: How many bytes the socket has taken for certain.
    """

    cause: BaseException
    sent: int = 0
    taken: int = 0


def outcomes(
    engine: MemcacheHost, all_runs: Sequence[Run], answers: Sequence[Any], failure: Failure | None = None
) -> list[Any]:
    """Return the outcome of each command: its value, or an exception.

    A command without an answer was not sent if the socket had not begun to take its bytes. A command to which the server
    sends no answer is done when the socket has taken all of its bytes.

    Parameters:
        engine: The engine of the host.
        all_runs: All runs of the request, in order.
        answers: The answers that were read, for the first runs or for all.
        failure: Why answers are missing, or not all was sent; None if nothing is missing.
    """
    if failure is None and len(all_runs) == 1 == len(all_runs[0].commands):
        return [_outcome(engine, all_runs[0].commands[0], answers[0])]
    return done(telling(engine, all_runs, answers, failure))


def telling(
    engine: MemcacheHost, all_runs: Sequence[Run], answers: Sequence[Any], failure: Failure | None = None
) -> Work[list[Any]]:
    """Do the same as ``outcomes``, in pieces."""
    found: list[Any] = []
    pace = Pace()
    if failure is None:
        for run, answer in zip(all_runs, answers, strict=True):
            found += [_outcome(engine, command, answer) for command in run.commands]
            if pace.is_used_up(len(run.commands), OF_LANE):
                yield
        return found
    ends = list(accumulate(len(run.request) for run in all_runs))
    heard = [end for run, end, _ in zip(all_runs, ends, answers, strict=False) if not run.silent]
    taken = 0 if isinstance(failure.cause, ServerFull) else max([failure.taken, *heard])
    for number, (run, end) in enumerate(zip(all_runs, ends, strict=True)):
        if not run.request or (number < len(answers) and (end <= taken or not run.silent)):
            answer = answers[number] if run.request else None
            found += [_outcome(engine, command, answer) for command in run.commands]
            if pace.is_used_up(len(run.commands), OF_LANE):
                yield
        else:
            begun = end - len(run.request) < failure.sent and not isinstance(failure.cause, ServerFull)
            kind = MaybeApplied if begun else HostDown
            for piece in slices(len(run.commands), COSTLY):
                found += [engine.failed(kind, failure.cause, command) for command in run.commands[piece]]
                if pace.is_used_up(piece.stop - piece.start, COSTLY):
                    yield
    return found


def _outcome(engine: MemcacheHost, command: MemcacheCommand, answer: Any) -> Any:
    try:
        return engine.value(command, answer)
    except Exception as error:
        return error
