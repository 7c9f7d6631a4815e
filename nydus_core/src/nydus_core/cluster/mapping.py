"""The ``map()`` block: queue commands, send them when it ends, fill the promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Generic, NoReturn

from nydus_core.cluster.promise import EventualCommand, abandon, settle
from nydus_core.command import Command
from nydus_core.delivery import Call, Flow, Interrupted, Plan, in_turns, run
from nydus_core.drafts import Commands, form_of, words_of
from nydus_core.engines import E, Engine, SurfaceFactory, current_call, remember_call
from nydus_core.errors import CommandError, CommandFailure, NotResolved, NydusError
from nydus_core.pieces import Work, done, slices

__all__ = ["Map", "MapBlock", "MapConnection"]


class _Queue:
    """The commands of one ``map()`` block, and their promises.

    Parameters:
        by_call: Whether the router wants to see the calls of the user.

    Attributes:
        promises: The promises, by position. They hold the commands, or drafts of them.
        keep: Adds a promise.
        failures: The failed commands, once the block has ended.
        state: The fate of the block, in words; empty while commands are queued.
    """

    def __init__(self, by_call: bool) -> None:
        self.by_call = by_call
        self.promises: list[EventualCommand] = []
        self.keep = self.promises.append
        self.failures: list[CommandFailure] = []
        self.state = ""

    def add(self, command: Command) -> EventualCommand:
        """Queue a command."""
        if self.state:
            raise self.too_late(command)
        if self.by_call:
            command.call = current_call()
        promise = EventualCommand(command)
        self.keep(promise)
        return promise

    def too_late(self, command: Command) -> NydusError:
        """Return the error for a command that comes when the block has ended."""
        return NydusError(f"{command!r} comes too late: this map() block has {self.state}; start another")

    def commands(self) -> Commands:
        """Return the commands, by position. The block has ended: no more are queued."""
        promises: list[Any] = self.promises
        if None not in set(map(form_of, promises)):
            return Commands(promises)
        return Commands([words_of(each) if form_of(each) is None else each for each in promises])

    def need_end(self) -> None:
        """Refuse to show results before there are any.

        Raises:
            NotResolved: The block has not ended, or it raised.
        """
        if self.state != "ended":
            raise NotResolved(f"this map() block has {self.state or 'not ended'}: there are no results")

    def abandon(self, state: str, *, sent: bool) -> None:
        """End the block without outcomes."""
        self.state = state
        abandon(self.promises, sent=sent)

    def abandon_unsent(self) -> None:
        """End the block if it has not begun to send: it was interrupted at its end."""
        if not self.state:
            self.abandon("been interrupted", sent=False)

    def settle(self, plan: Plan, outcomes: Sequence[Any]) -> Work[None]:
        """Fill the promises."""
        self.state = "ended"
        kinds: set[type[Any]] = set()
        for piece in slices(len(self.promises), _SETTLED):
            settle(self.promises[piece], outcomes[piece])
            kinds.update(map(type, outcomes[piece]))
            if piece.stop < len(self.promises):
                yield
        if any(issubclass(kind, Exception) for kind in kinds):
            yield from self._list_failures(plan, outcomes)

    def _list_failures(self, plan: Plan, outcomes: Sequence[Any]) -> Work[None]:
        hosts = yield from plan.naming(failed=True)
        failures: list[CommandFailure] = []
        for piece in slices(len(hosts)):
            failures += [
                CommandFailure(plan.commands[position].name, outcomes[position], position, hosts[position])
                for position in range(piece.start, piece.stop)
                if isinstance(outcomes[position], Exception)
            ]
            if piece.stop < len(hosts):
                yield
        self.failures = failures


#: How many promises are filled at once.
_SETTLED = 5000


class MapConnection:
    """The object that a ``with cluster.map()`` block works on: every command of the client library is a method of it.

    Each call queues a command and returns a promise.
    """

    def __init__(self, make_surface: SurfaceFactory, queue: _Queue) -> None:
        self._queue = queue
        of_map = None if queue.by_call else getattr(make_surface, "of_map", None)
        self._surface = make_surface(queue.add) if of_map is None else of_map(queue)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        if self._queue.by_call:
            found = remember_call(name, found)
        self.__dict__[name] = found  # the next call finds it at once
        return found

    def __len__(self) -> int:
        """The number of commands queued."""
        return len(self._queue.promises)

    def __bool__(self) -> bool:
        """True, also while nothing is queued: ``conn or cluster`` must not send at once."""
        return True

    def get_results(self) -> list[Any]:
        """Return the values of all commands, by position: plain values, as the hosts gave them.

        In the place of a command that failed stands its promise, which raises the error when it is used.

        Raises:
            NotResolved: The block has not ended, or it raised, so that nothing was sent.
        """
        self._queue.need_end()
        return [each.value if each.error is None else each for each in self._queue.promises]

    def get_errors(self) -> list[CommandFailure]:
        """Return the failed commands, by position; each unpacks as ``(name, error)``.

        Raises:
            NotResolved: The block has not ended, or it raised, so that nothing was sent.
        """
        self._queue.need_end()
        return list(self._queue.failures)


class MapBlock(Generic[E]):
    """A ``map()`` block, on either side: all of it but waiting.

    Parameters:
        make_surface: Makes the object with the client library's methods.
        by_call: Whether the router wants to see the calls of the user.
        begin: Returns the call that plans and delivers the commands; called at the end of the block.
        fail_silently: Whether failures are only recorded.
    """

    def __init__(
        self, make_surface: SurfaceFactory, by_call: bool, begin: Callable[[], Call[E]], fail_silently: bool
    ) -> None:
        self._begin = begin
        self._fail_silently = fail_silently
        self._entered = False
        self._queue = _Queue(by_call)
        self.connection = MapConnection(make_surface, self._queue)

    #: The way to write a block, for errors.
    _form = "with cluster.map() as conn:"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self
            )
        raise AttributeError(
            f"map() is a block, and its commands are called inside: write '{self._form}', and in it conn.{name}(...)",
            name=name,
            obj=self,
        )

    def _enter(self) -> MapConnection:
        if self._entered:
            raise NydusError("a map() block is used once: call cluster.map() again")
        self._entered = True
        return self.connection

    def _left(self, kind: type[BaseException] | None) -> Call[E] | None:
        """Return the call that sends the commands, unless the block raised."""
        if kind is not None:
            self._queue.abandon("raised", sent=False)
            return None
        return self._begin()

    def _send(self, call: Call[E]) -> Flow[None]:
        """Plan the commands, send them and fill the promises."""
        queue = self._queue
        plan: Plan | None = None
        outcomes: Sequence[Any] | None = None
        try:
            queue.state = "begun to send"
            plan = yield from call.plan(queue.commands())
            outcomes = yield from call.deliver(plan)
            yield from in_turns(queue.settle(plan, outcomes))
        except BaseException as error:
            if plan is None:
                queue.abandon(
                    "been refused" if isinstance(error, Exception) else "been cancelled", sent=False
                )
                raise
            if outcomes is None and isinstance(error, Interrupted):
                outcomes = plan.outcomes[: len(plan.commands)]
            if outcomes is None:
                queue.abandon("been interrupted", sent=True)
            else:  # all that is known is told, also to whoever has interrupted it
                done(queue.settle(plan, outcomes))
            raise
        if queue.failures and not self._fail_silently:
            raise CommandError(queue.failures)


class Map(MapBlock[Engine]):
    """A ``map()`` block; see ``Cluster.map``."""

    def __aenter__(self, *_: object) -> NoReturn:
        raise TypeError(
            f"this cluster is blocking: write '{self._form}', or make it with create_async_cluster"
        )

    __aexit__ = __aenter__

    def __enter__(self) -> MapConnection:
        return self._enter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            call = self._left(kind)
            if call is not None:
                run(self._send(call), call.engines, call.deadline)
        except BaseException:
            self._queue.abandon_unsent()
            raise
