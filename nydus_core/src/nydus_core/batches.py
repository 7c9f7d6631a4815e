"""Batches: some commands on their way to one host. The protocol, and those that any client library allows."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from nydus_core.command import Command
from nydus_core.errors import HostDown, MaybeApplied

if TYPE_CHECKING:
    from nydus_core.base_engine import BaseEngine
    from nydus_core.engine import Engine

__all__ = ["BasePipeline", "Batch", "PipelineBatch", "SerialBatch"]


class Batch(Protocol):
    """Some commands on their way to one host.

    One with a method ``fileno()``, which returns the socket that answers come from, is read when they come; without, in
    the order of the hosts. ``send`` and ``receive`` never raise because a host fails: each command has its outcome in what ``receive``
    returns.
    """

    @property
    def overlaps(self) -> bool:
        """Whether ``send`` only writes and ``receive`` only reads, so that one thread can drive many hosts.

        If not, all the work happens in ``receive``, and each host gets a thread. Asked after ``send``.
        """
        ...

    @property
    def ready(self) -> bool:
        """Whether ``send`` finds an open connection, so that it does not have to wait for one. Asked once."""
        ...

    def send(self) -> None:
        """Send the commands."""
        ...

    def receive(self) -> list[Any]:
        """Return the outcome of each command, in order: its value, or the exception that it ended in."""
        ...

    def abort(self) -> list[Any] | None:
        """End it, since the time is over. Called in another thread than ``send`` and ``receive``, at any time.

        What is on its way ends at once, in a failure. What has not begun to be sent never will be.

        Returns:
            None if ``send`` or ``receive`` is about to return, so that its outcomes can be had as always. Or the
            outcome of each command, if nobody has to wait for them: because nothing was sent, or because they
            cannot be interrupted.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. One with answers that were not read is closed, never used again."""
        ...


class BasePipeline:
    """Base of pipelines written for nydus 0.11.

    Parameters:
        connection: The engine that it belongs to.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.pending: list[Command] = []

    def add(self, command: Command) -> None:
        """Add a command; ``command.get_command()`` gives its name, args and kwargs."""
        self.pending.append(command)

    def execute(self) -> Sequence[Any] | Mapping[Any, Any]:
        """Send the commands; return their results in order, or by command."""
        raise NotImplementedError(f"{type(self).__name__} has to define execute()")


class SerialBatch:
    """Commands that are sent one after the other, for engines without pipelines."""

    overlaps = False
    ready = True

    def __init__(self, engine: Engine, commands: Sequence[Command]) -> None:
        self.engine = engine
        self.commands = commands
        self._outcomes: list[Any] = []
        self._begun = 0
        self._aborted = False
        self._lock = threading.Lock()

    def send(self) -> None:
        """Do nothing: all the work happens in ``receive``."""

    def receive(self) -> list[Any]:
        """Do the commands; return the outcome of each."""
        for command in self.commands:
            if not self._begin(1):
                break
            self._end([self._outcome(command)])
        return self._outcomes

    def _begin(self, count: int) -> bool:
        """Take the next commands in hand; False if it was aborted."""
        with self._lock:
            self._begun += count
            return not self._aborted

    def _end(self, outcomes: Sequence[Any]) -> None:
        with self._lock:
            if not self._aborted:
                self._outcomes += outcomes

    def _outcome(self, command: Command) -> Any:
        try:
            return self.engine.call(command)
        except Exception as error:
            return error

    def abort(self) -> list[Any]:
        """Do no more of the commands. The one that is being done cannot be interrupted: it may be applied."""
        with self._lock:
            self._aborted = True
            done = len(self._outcomes)
            kinds = [
                MaybeApplied if position < self._begun else HostDown
                for position in range(done, len(self.commands))
            ]
        return self._outcomes + [
            self.engine.failed(kind, self.engine.late("aborted"), command)
            for kind, command in zip(kinds, self.commands[done:], strict=True)
        ]

    def close(self) -> None:
        """Do nothing: no connection is held."""


class PipelineBatch(SerialBatch):
    """Commands that go through a pipeline written for nydus 0.11, which fails as a whole."""

    engine: BaseEngine

    def __init__(self, engine: BaseEngine, commands: Sequence[Command]) -> None:
        super().__init__(engine, commands)

    def receive(self) -> list[Any]:
        self.engine.enter()
        try:
            return self._receive()
        finally:
            self.engine.leave()

    def _receive(self) -> list[Any]:
        try:
            pipeline = self.engine.get_pipeline()
            for command in self.commands:
                pipeline.add(command)
        except Exception as error:
            return [self.engine.failed(HostDown, error, command) for command in self.commands]
        if self._begin(len(self.commands)):
            try:
                self._end(self._results(pipeline.execute()))
            except Exception as error:
                self._end([self.engine.failed(MaybeApplied, error, command) for command in self.commands])
        return self._outcomes

    def _results(self, results: Sequence[Any] | Mapping[Any, Any]) -> list[Any]:
        if isinstance(results, Mapping):
            return [results[command] for command in self.commands]
        found = list(results)
        if len(found) != len(self.commands):
            raise ValueError(f"the pipeline gave {len(found)} results for {len(self.commands)} commands")
        return found
