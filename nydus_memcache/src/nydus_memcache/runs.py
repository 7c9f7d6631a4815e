"""Commands for one host as they are sent together, and what they end in. No I/O: both sides of the engine send them.

Gets that follow one another become one ``get`` of many keys. Nothing else is grouped, because nothing else would gain:
sets and deletes of different keys are as many lines whether or not one method of pymemcache sends them. So one that
repeats a key keeps its meaning, and each of them has its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from nydus_core.command import Command
from nydus_core.engine import AnyEngine
from nydus_core.errors import HostDown, HostError, MaybeApplied
from nydus_memcache.commands import MemcacheCommand
from nydus_memcache.fetches import Fetch, request_for
from nydus_memcache.replies import read_items
from nydus_memcache.source import Source

__all__ = ["Run", "outcomes", "runs", "without_answer"]


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


def outcomes(sent: Sequence[Run], answers: Sequence[Any]) -> list[Any]:
    """Return what the commands of the runs that were answered ended in: values, or the exceptions that were raised."""
    return [
        _outcome(command, answer)
        for run, answer in zip(sent, answers, strict=False)
        for command in run.commands
    ]


def _outcome(command: MemcacheCommand, answer: Any) -> Any:
    try:
        return command.value(answer)
    except Exception as error:
        return error


def without_answer(
    engine: AnyEngine, all_runs: Sequence[Run], answered: int, taken: int, cause: BaseException
) -> list[HostError]:
    """Return the errors of the commands without an answer: what the socket had not begun to take was not sent.

    Parameters:
        engine: The host.
        all_runs: All that was to be sent, in order.
        answered: How many of them were answered.
        taken: How many bytes of their requests may have been sent.
        cause: Why no more came.
    """
    start = sum(len(run.request) for run in all_runs[:answered])
    errors: list[HostError] = []
    for run in all_runs[answered:]:
        kind = MaybeApplied if start < taken else HostDown
        errors += [engine.failed(kind, cause, command) for command in run.commands]
        start += len(run.request)
    return errors
