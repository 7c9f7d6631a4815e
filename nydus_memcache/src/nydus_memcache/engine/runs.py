"""Commands for one host as they are sent together, and what they end in. No I/O: both sides of the engine send them.

Gets that follow one another become one ``get`` of many keys. Nothing else is grouped, because nothing else would gain:
sets and deletes of different keys are as many lines whether or not one method of pymemcache sends them. So one that
repeats a key keeps its meaning, and each of them has its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

from nydus_core.command import Command
from nydus_core.errors import HostDown, MaybeApplied
from nydus_memcache.commands import Fetch, MemcacheCommand, Source, read_items, request_for
from nydus_memcache.engine.host import MemcacheHost

__all__ = ["Failure", "Run", "outcomes", "runs"]


class Run:
    """Commands that share a request and its answer: gets of the same kind, or a single one of anything.

    Attributes:
        commands: The commands, in order.
        request: Their bytes. Without any there is nothing to send, and no answer.
    """

    __slots__ = ("_keys", "commands", "request")

    def __init__(self, first: MemcacheCommand) -> None:
        self.commands = [first]
        self._keys: Sequence[bytes] | None = None
        self.request = b""

    def seal(self) -> None:
        """Put the request together, now that all commands are known."""
        first = self.commands[0]
        if len(self.commands) == 1:
            self.request = first.request
        else:
            self._keys = [key for command in cast("list[Fetch]", self.commands) for key in command.wire_keys]
            self.request = request_for(cast("Fetch", first).verb, self._keys)

    def read(self, source: Source) -> Any:
        """Read the answer; None if none comes, because nothing was sent."""
        first = self.commands[0]
        if not self.request:
            return None
        if self._keys is None:
            return first.read(source)
        return read_items(source, cast("Fetch", first).verb, self._keys)

    @property
    def silent(self) -> bool:
        """Whether no answer comes."""
        return not self.request or self.commands[0].silent


def runs(commands: Sequence[Command]) -> list[Run]:
    """Return commands as they are sent."""
    found: list[Run] = []
    verb: bytes | None = None
    for command in cast("Sequence[MemcacheCommand]", commands):
        if verb is not None and command.gathers == verb:
            found[-1].commands.append(command)
        else:
            found.append(Run(command))
            verb = command.gathers
    for run in found:
        run.seal()
    return found


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no more answers came.

    Attributes:
        cause: What was raised.
        sent: How many bytes of the requests may have been sent. The others were not.
        taken: How many of them the socket has taken for certain.
    """

    cause: BaseException
    sent: int = 0
    taken: int = 0


def outcomes(
    engine: MemcacheHost, all_runs: Sequence[Run], answers: Sequence[Any], failure: Failure | None = None
) -> list[Any]:
    """Return what each command ended in: its value, or the exception.

    Without an answer, what the socket had not begun to take was not sent. What has none is done once the socket has
    taken all of it.

    Parameters:
        engine: The host.
        all_runs: All that was to be sent, in order.
        answers: What was read, for all of them or as many as there was an answer for.
        failure: Why there are no more, or not all was sent.
    """
    found: list[Any] = []
    if failure is None:
        for run, answer in zip(all_runs, answers, strict=True):
            found += [_outcome(command, answer) for command in run.commands]
        return found
    ends = list(accumulate(len(run.request) for run in all_runs))
    heard = [end for run, end, _ in zip(all_runs, ends, answers, strict=False) if not run.silent]
    taken = max([failure.taken, *heard])
    for number, (run, end) in enumerate(zip(all_runs, ends, strict=True)):
        if not run.request or (number < len(answers) and (end <= taken or not run.silent)):
            answer = answers[number] if run.request else None
            found += [_outcome(command, answer) for command in run.commands]
        else:
            kind = MaybeApplied if end - len(run.request) < failure.sent else HostDown
            found += [engine.failed(kind, failure.cause, command) for command in run.commands]
    return found


def _outcome(command: MemcacheCommand, answer: Any) -> Any:
    try:
        return command.value(answer)
    except Exception as error:
        return error
