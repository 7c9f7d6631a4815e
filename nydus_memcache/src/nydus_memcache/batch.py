"""Commands for one host, sent together: one write, then as many answers, each by its position.

Gets that follow one another become one ``get`` of many keys. Nothing else is grouped, because nothing else would gain:
sets and deletes of different keys are as many lines whether or not one method of pymemcache sends them. So one that
repeats a key keeps its meaning, and each of them has its own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from nydus_core.command import Command
from nydus_core.errors import HostDown, HostError, MaybeApplied
from nydus_memcache.commands import MemcacheCommand
from nydus_memcache.errors import FAILURES
from nydus_memcache.fetches import Fetch, request_for
from nydus_memcache.link import Link
from nydus_memcache.replies import read_items

if TYPE_CHECKING:
    from nydus_memcache.engine import Memcache

__all__ = ["MemcacheBatch"]


class _Run:
    """Commands that share a request and its answer: gets of the same kind, or a single one of anything."""

    __slots__ = ("commands", "keys", "request")

    def __init__(self, first: MemcacheCommand) -> None:
        self.commands = [first]
        self.keys: Sequence[bytes] | None = None
        self.request = b""

    def seal(self) -> None:
        """Put the request together, now that all commands are known."""
        first = self.commands[0]
        if len(self.commands) == 1:
            self.request = first.request
        else:
            self.keys = [key for command in cast("list[Fetch]", self.commands) for key in command.wire_keys]
            self.request = request_for(cast("Fetch", first).verb, self.keys)

    def read(self, link: Link) -> Any:
        """Read the answer; None if none comes, because nothing was sent."""
        first = self.commands[0]
        if not self.request:
            return None
        return (
            first.read(link) if self.keys is None else read_items(link, cast("Fetch", first).verb, self.keys)
        )

    @property
    def silent(self) -> bool:
        return not self.request or self.commands[0].silent


def _runs(commands: Sequence[MemcacheCommand]) -> list[_Run]:
    found: list[_Run] = []
    verb: bytes | None = None
    for command in commands:
        if verb is not None and command.gathers == verb:
            found[-1].commands.append(command)
        else:
            found.append(_Run(command))
            verb = command.gathers
    for run in found:
        run.seal()
    return found


class MemcacheBatch:
    """Commands on their way to one host. See ``nydus_core.engine.Batch``."""

    def __init__(self, engine: Memcache, commands: Sequence[Command]) -> None:
        self.engine = engine
        self._runs = _runs(cast("Sequence[MemcacheCommand]", commands))
        self._request = b"".join([run.request for run in self._runs])
        self._link: Link | None = None
        self._failure: Exception | None = None
        self._clean = True
        self._begun = self._aborted = False

    @property
    def overlaps(self) -> bool:
        """Whether all was written, so that only reading is left."""
        return self._link is None or self._link.all_sent

    @property
    def ready(self) -> bool:
        """Whether there is an open connection; it is claimed, so that nobody else takes it first."""
        if self._link is None and self._request:
            self._link = self.engine.pool.idle()
        return self._link is not None or not self._request

    def send(self) -> None:
        """Write as much as the socket takes at once."""
        try:
            if not self.ready:
                self._link = self.engine.pool.take()
            self._begun = (
                True  # before the look at what abort() sets, and that looks here after it has set it
            )
            if self._link is not None and not self._aborted:
                self._clean = False
                self._link.send(self._request)
        except FAILURES as error:
            self._failure = error

    def receive(self) -> list[Any]:
        """Write what is left, and read all answers; return the outcome of each command."""
        answers: list[Any] = []
        if self._aborted and self._clean and self._request:
            self._failure = self.engine.late("aborted")
        if self._failure is None:
            try:
                self._read(answers)
            except FAILURES as error:
                self._failure = error
        outcomes = [
            _outcome(command, answer)
            for run, answer in zip(self._runs, answers, strict=False)
            for command in run.commands
        ]
        return outcomes if self._failure is None else outcomes + self._missing(len(answers), self._failure)

    def _read(self, answers: list[Any]) -> None:
        link = self._link
        if link is None:
            answers += [None] * len(self._runs)
            return
        if not all(run.silent for run in self._runs):
            link.wait()
        for run in self._runs:
            answers.append(run.read(link))
        link.flush()
        self._clean = True

    def _missing(self, answered: int, cause: Exception) -> list[HostError]:
        """The errors of the commands without an answer: what the socket had not begun to take was not sent."""
        sent = 0 if self._link is None or self._clean else self._link.sent
        start = sum(len(run.request) for run in self._runs[:answered])
        errors: list[HostError] = []
        for run in self._runs[answered:]:
            kind = MaybeApplied if start < sent else HostDown
            errors += [self.engine.failed(kind, cause, command) for command in run.commands]
            start += len(run.request)
        return errors

    def fileno(self) -> int | None:
        """Return the socket that the answers come from; None if there are none to wait for."""
        return None if self._failure is not None or self._link is None else self._link.fileno()

    def abort(self) -> list[Any] | None:
        """Shut the connection, so that whoever waits for it need not; without one, never send."""
        self._aborted = True
        if self._begun:
            if self._link is not None:
                self._link.shut()
            return None
        return self._missing(0, self.engine.late("aborted")) if self._request else None

    def close(self) -> None:
        """Give the connection back, or close it where answers are still to come."""
        if self._link is not None:
            if not self._clean:
                self._link.close()
            self.engine.pool.give(self._link)
            self._link = None


def _outcome(command: MemcacheCommand, answer: Any) -> Any:
    try:
        return command.value(answer)
    except Exception as error:
        return error
