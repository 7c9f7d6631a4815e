"""The ``map()`` block: queue commands, send them when it ends, fill the promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Generic

from nydus_core.cluster.promise import EventualCommand, abandon, settle
from nydus_core.command import Command
from nydus_core.delivery import Flow, Interrupted, MapCall, Plan, run
from nydus_core.engines import E, Engine, SurfaceFactory, current_call, remember_call
from nydus_core.errors import CommandError, CommandFailure, NotResolved, NydusError

__all__ = ["Map", "MapBlock", "MapConnection"]


class MapConnection:
    """What a ``with cluster.map()`` block works on: every command of the client library is a method of it.

    Each call queues a command and returns a promise.
    """

    def __init__(self, make_surface: SurfaceFactory, by_call: bool) -> None:
        self._promises: list[EventualCommand] = []
        self._failures: list[CommandFailure] = []
        self._ended = ""
        self._by_call = by_call
        self._surface = make_surface(self._queue)

    def _queue(self, command: Command) -> EventualCommand:
        if self._ended:
            raise NydusError(f"{command!r} comes too late: this map() block has {self._ended}; start another")
        if self._by_call:
            command.call = current_call()
        promise = EventualCommand(command)
        self._promises.append(promise)
        return promise

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        if self._by_call:
            found = remember_call(name, found)
        self.__dict__[name] = found  # the next call finds it at once
        return found

    def __len__(self) -> int:
        """The number of commands queued."""
        return len(self._promises)

    def __bool__(self) -> bool:
        """True, also while nothing is queued: ``conn or cluster`` must not send at once."""
        return True

    def get_results(self) -> list[EventualCommand]:
        """Return the promises of all commands, by position.

        Raises:
            NotResolved: The block has not ended, or it raised, so that nothing was sent.
        """
        self._need_end()
        return list(self._promises)

    def get_errors(self) -> list[CommandFailure]:
        """Return the failed commands, by position; each unpacks as ``(name, error)``.

        Raises:
            NotResolved: The block has not ended, or it raised, so that nothing was sent.
        """
        self._need_end()
        return list(self._failures)

    def _need_end(self) -> None:
        if self._ended != "ended":
            raise NotResolved(f"this map() block has {self._ended or 'not ended'}: there are no results")

    def _abandon(self, why: str, *, sent: bool) -> None:
        self._ended = why
        for promise in self._promises:
            abandon(promise, sent=sent)

    def _settle(self, plan: Plan, outcomes: Sequence[Any]) -> None:
        self._ended = "ended"
        failed = False
        for promise, outcome in zip(self._promises, outcomes, strict=True):
            settle(promise, outcome)
            failed = failed or isinstance(outcome, Exception)
        if failed:
            self._failures = [
                CommandFailure(command.name, outcome, position, hosts)
                for position, (command, outcome, hosts) in enumerate(
                    zip(plan.commands, outcomes, plan.hosts(failed=True), strict=True)
                )
                if isinstance(outcome, Exception)
            ]


class MapBlock(Generic[E]):
    """What blocking and asynchronous ``map()`` blocks have in common.

    Parameters:
        make_surface: Makes the object with the client library's methods.
        by_call: Whether the router wants to see the calls of the user.
        begin: Returns what plans and delivers the commands; called at the end of the block.
        fail_silently: Whether failures are only recorded.
    """

    def __init__(
        self,
        make_surface: SurfaceFactory,
        by_call: bool,
        begin: Callable[[], MapCall[E]],
        fail_silently: bool,
    ) -> None:
        self._begin = begin
        self._fail_silently = fail_silently
        self._entered = False
        self.connection = MapConnection(make_surface, by_call)

    def _enter(self) -> MapConnection:
        if self._entered:
            raise NydusError("a map() block is used once: call cluster.map() again")
        self._entered = True
        return self.connection

    def _left(self, kind: type[BaseException] | None) -> MapCall[E] | None:
        """Return what sends the commands, unless the block raised."""
        if kind is not None:
            self.connection._abandon("raised", sent=False)
            return None
        return self._begin()

    def _plan(self, call: MapCall[E]) -> Flow[Plan]:
        """Plan the commands."""
        connection = self.connection
        connection._ended = "begun to send"
        try:
            return (yield from call.plan([promise._nydus_command for promise in connection._promises]))
        except BaseException:
            connection._abandon("been refused", sent=False)
            raise

    def _send(self, call: MapCall[E], plan: Plan) -> Flow[None]:
        """Send the commands and fill the promises."""
        connection = self.connection
        try:
            outcomes = yield from call.deliver(plan)
        except Interrupted:
            connection._settle(plan, plan.outcomes[: len(plan.commands)])
            raise
        except BaseException:
            connection._abandon("been interrupted", sent=True)
            raise
        connection._settle(plan, outcomes)
        if connection._failures and not self._fail_silently:
            raise CommandError(connection._failures)


class Map(MapBlock[Engine]):
    """A ``map()`` block; see ``Cluster.map``."""

    def __enter__(self) -> MapConnection:
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        call = self._left(kind)
        if call is not None:
            engines, deadline = call.engines, call.deadline
            plan = run(self._plan(call), engines, deadline=deadline)
            run(self._send(call, plan), engines, transaction=call.transaction, deadline=deadline)
