"""Pipelines written for nydus 0.11, and the batch that uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from nydus_core.command import Command
from nydus_core.engines.batches import SerialBatch
from nydus_core.engines.protocol import Engine
from nydus_core.errors import HostDown, MaybeApplied

__all__ = ["BasePipeline", "PipelineBatch"]


class BasePipeline:
    """Base of pipelines written for nydus 0.11.

    Parameters:
        connection: The engine of the pipeline.
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


class PipelineEngine(Engine, Protocol):
    """An engine with pipelines written for nydus 0.11. See ``BaseEngine``."""

    def get_pipeline(self) -> BasePipeline:
        """Return a new pipeline."""
        ...

    def enter(self) -> None:
        """Note that a call is about to use the connection."""
        ...

    def leave(self, count: int = 1) -> None:
        """Note that ``count`` calls no longer use the connection."""
        ...


class PipelineBatch(SerialBatch):
    """Commands that go through a pipeline written for nydus 0.11, which fails as a whole."""

    engine: PipelineEngine

    def __init__(self, engine: PipelineEngine, commands: Sequence[Command]) -> None:
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
