"""Batches for any client library: one command after the other."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from nydus_core.command import Command
from nydus_core.engines.protocol import Engine
from nydus_core.errors import HostDown, MaybeApplied

__all__ = ["SerialBatch"]


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
        """Note that the next ``count`` commands begin; return False if the batch was aborted."""
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
        """Begin no further command. The command in progress cannot be interrupted: it may be applied."""
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
