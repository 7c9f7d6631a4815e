"""The connections to one host, shared by threads: at most so many, handed out in the order in which they were asked for.

The engine knows how a connection is made. The pool sees to it that threads wait in line, and that a connection on which anything
is pending is used by nobody else.

A signal handler or a finalizer may call the pool while the same thread is in the middle of it, and may raise there. So there is
no lock that is held over Python code. Every step is one operation that nothing can divide: of a ``deque``, of a ``set``, or the
release of a lock on which one thread waits. And what is in use is counted by objects that are alive, the permits: a permit that an
interrupt has dropped on its way is free again, because it is no more. The module is long on purpose: this only holds if all
steps are seen together.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar
from weakref import ref

from nydus_core.deadlines import time_left
from nydus_core.threads import Bell, refuse_eventlet, renew_after_fork

__all__ = [
    "MAX_CONNECTIONS",
    "PIPELINE_DEPTH",
    "BlockingConnector",
    "Pooled",
    "SharedPool",
    "Turn",
    "all_in_use",
    "counts",
    "in_vain",
    "of_many",
    "retire_all",
    "waited_in_vain",
]

#: The most connections for commands to a host, where the settings do not say, on both sides.
MAX_CONNECTIONS = 100
#: With asyncio, the most commands under way on a connection that tasks share, where the settings do not say.
PIPELINE_DEPTH = 5000

#: Seconds after which a thread in line looks by itself, in case an interrupt took the thread that should have told it.
_LOOK = 1.0


class Pooled(Protocol):
    """A connection in a pool. The pool keeps its permit in this attribute."""

    nydus_permit: Any


C = TypeVar("C", bound=Pooled)


class BlockingConnector(Protocol[C]):
    """How the connections of a pool are made, looked at and closed, with blocking calls."""

    @property
    def asks(self) -> bool:
        """Whether ``is_alive`` may wait. Then a connection cannot be claimed at once."""
        ...

    def open(self) -> C:
        """Open a connection. When it is interrupted, it leaves nothing open."""
        ...

    def is_in_step(self, connection: C) -> bool:
        """Tell whether a connection is open, and no answer is pending on it, as far as that is known without a look."""
        ...

    def is_fresh(self, connection: C) -> bool:
        """Tell whether a connection that was idle is still in step: look at its socket, without waiting."""
        ...

    def is_alive(self, connection: C) -> bool:
        """Ask the server whether a connection that was idle is alive, if the settings want that. May wait."""
        ...

    def shut(self, connection: C) -> None:
        """Close a connection at once, whatever is under way on it."""
        ...

    def forget(self, connection: C) -> None:
        """Let go of a connection of the parent process, in a child: without a word to the server, or to the socket."""
        ...

    def exhausted(self, why: str) -> Exception:
        """Make the error for a caller that got no connection. It does not speak against the host."""
        ...


def all_in_use(size: int, patience: float | None) -> str:
    """Return the reason why a caller that waited in vain got no connection.

    Parameters:
        size: The most connections at once.
        patience: Seconds that the caller has waited.
    """
    return f"all {size} connections are in use, and none fell free within {patience or 0:g} seconds"


def retire_all(pools: Sequence[Any], then: Callable[[], object] | None) -> None:
    """Retire the pools of a host, for threads or for an event loop.

    Parameters:
        pools: The pools.
        then: Called, once, when no connection of any is in use any more.
    """
    is_last = iter(
        [*[False] * (len(pools) - 1), True]
    )  # next() cannot be divided: only the last pool that ends is the last

    def ended() -> None:
        if next(is_last) and then is not None:
            then()

    for pool in pools:
        pool.retire(ended)


X = TypeVar("X", bound=BaseException)


def in_vain(error: X, *, waited: bool = True) -> X:
    """Mark the error of a caller that waited in line in vain, and return it.

    Such an error says nothing of the host, and its caller does not stand in line again.

    Parameters:
        error: The error.
        waited: Whether it is such an error. Else it is returned as it is.
    """
    if waited:
        error.nydus_in_vain = True  # type: ignore[attr-defined]
    return error


def waited_in_vain(error: BaseException | None) -> bool:
    """Tell whether an error, or its cause, is that of a caller that waited in line in vain."""
    return error is not None and bool(
        getattr(error, "nydus_in_vain", False) or getattr(error.__cause__, "nydus_in_vain", False)
    )


def of_many(error: X) -> X:
    """Mark the error of one event that ends the commands of many callers, such as the loss of the connection that they share.

    It counts against the host once, however many commands tell of it.
    """
    error.nydus_counted = False  # type: ignore[attr-defined]
    return error


def counts(error: BaseException) -> bool:
    """Tell whether an error counts against its host. One that is marked by ``of_many`` does so the first time."""
    counted = getattr(error, "nydus_counted", None)
    if counted is False:
        error.nydus_counted = True  # type: ignore[attr-defined]
    return not counted


class Turn:
    """The wait of one thread in line. Another thread may end it.

    Attributes:
        bell: Wakes the thread.
        found: Takes the connection, or the permit to open one.
        waits: Whether the thread is in line.
        over: Whether the wait is over, so that nothing may be handed to it any more.
    """

    __slots__ = ("bell", "found", "over", "waits")

    def __init__(self) -> None:
        self.bell = Bell()
        self.found: deque[Any] = deque()
        self.over = self.waits = False

    def is_open(self) -> bool:
        """Whether something may be handed to the thread."""
        return not self.over

    def give_up(self) -> None:
        """Have the thread wait no longer: it gets no connection."""
        self.over = True
        self.bell.ring()

    def abort(self, error: BaseException) -> None:
        """Have the thread wait no longer. ``in_vain`` marks the error for its caller if it was in line."""
        in_vain(error, waited=self.waits)
        self.give_up()


class _Permit:
    """The right to have one connection. It is in use as long as it is in the pool's set, and it leaves the set when it dies."""

    __slots__ = ("__weakref__", "connection", "era", "idle", "own")

    def __init__(self, era: object) -> None:
        self.era = era
        self.idle = False
        self.own: ref[_Permit]
        self.connection: Callable[[], Any] = _nothing


class SharedPool(Generic[C]):
    """Connections to one host. The connection that was used last is used next.

    Parameters:
        connector: How they are made, looked at and closed.
        size: The most connections at once.
        patience: Seconds that a thread waits for one at most; None for no limit.
    """

    def __init__(self, connector: BlockingConnector[C], size: int, patience: float | None) -> None:
        self._connector = connector
        self._size = size
        self._patience = patience
        self._ends: deque[Callable[[], object]] = deque()
        self._retired = False
        self._start()
        renew_after_fork(self)

    def _start(self) -> None:
        self._permits: set[ref[_Permit]] = set()
        self._idle: deque[C] = deque()
        self._line: deque[Turn] = deque()
        self._era = object()  # connections of another era are closed when they are given back

    # For engines ------------------------------------------------------------------------------------------------------

    def take(self, turn: Turn | None = None) -> C:
        """Take a connection that is ready to send; nothing of a command has been sent when this raises.

        Parameters:
            turn: Lets another thread end the wait in line.

        Raises:
            Exception: All are in use, or the host cannot be reached.
        """
        found = None if self._line else self._free()
        if found is None:
            found = self._wait(turn or Turn())
        return self._opened(found) if isinstance(found, _Permit) else self._ready(found)

    def claim(self) -> C | None:
        """Take an open connection without waiting for anything; None if there is none, or if others are in line."""
        if self._line or self._connector.asks:
            return None
        try:
            connection = self._idle.pop()
        except IndexError:
            return None
        permit: _Permit = connection.nydus_permit
        permit.idle = False
        known = permit.era is self._era
        if known and self._is_fresh(connection):
            return connection
        self.end(connection)
        if known:  # else it is from before the pool was closed
            self.drop_idle()
        return None

    def give(self, connection: C, *, clean: bool) -> None:
        """Give a connection back. One that may still get an answer to what was sent is closed, and so is one from before
        the pool was closed.
        """
        permit: _Permit | None = connection.nydus_permit
        if permit is None or permit.idle:  # it was given back before
            return
        if clean and permit.era is self._era and not self._retired and self._connector.is_in_step(connection):
            permit.idle = True
            self._idle.append(connection)
        else:
            self.end(connection)
        if self._line or self._retired:
            self._go_on()

    def end(self, connection: C) -> None:
        """Close a connection that was taken, and free its place."""
        permit: _Permit | None = connection.nydus_permit
        connection.nydus_permit = None
        try:
            self._connector.shut(connection)
        finally:
            if permit is not None:
                self._permits.discard(permit.own)

    def drop_idle(self) -> None:
        """Close the idle connections: the host, or the way to it, was found out of order."""
        for _ in range(len(self._idle)):
            try:
                connection = self._idle.popleft()
            except IndexError:
                break
            self.end(connection)
        self._go_on()

    def drop(self) -> None:
        """Close the idle connections, and the others when they are given back. A later command opens new ones."""
        self._era = object()
        self.drop_idle()

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """The same, and keep none from now on.

        Parameters:
            then: Called, once, when no connection is in use any more, and no thread waits for one.
        """
        if then is not None:
            self._ends.append(then)
        self._retired = True
        self.drop()

    def open(self) -> C:
        """Open a connection that is not counted, without waiting in line: for a probe. The caller has to shut it."""
        return self._connector.open()

    def shut(self, connection: C) -> None:
        """Close a connection that was opened by ``open``."""
        self._connector.shut(connection)

    @property
    def idle(self) -> list[C]:
        """The connections that nobody uses, the one that was used last at the end."""
        return list(self._idle)

    @property
    def in_use(self) -> list[C]:
        """The connections that somebody uses."""
        permits = [found for each in list(self._permits) if (found := each()) is not None and not found.idle]
        return [found for permit in permits if (found := permit.connection()) is not None]

    @property
    def busy(self) -> int:
        """How many callers use a connection, open one, or wait for one."""
        return len(self._permits) - len(self._idle) + len(self._line)

    def after_fork(self) -> None:
        """Start anew in a child process: the connections belong to the parent, and no thread waits here."""
        idle = self._idle
        self._start()
        for connection in idle:
            connection.nydus_permit = None
            self._connector.forget(connection)

    # Places -----------------------------------------------------------------------------------------------------------

    def _free(self) -> C | _Permit | None:
        """Take an idle connection, or else a permit to open one; None if all are in use."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._new_permit()

    def _new_permit(self) -> _Permit | None:
        """Take a permit, first and then see whether that is one too many: so two threads never have the same place."""
        permits = self._permits
        while len(permits) < self._size:
            permit = _Permit(self._era)
            permit.own = ref(permit, permits.discard)
            permits.add(permit.own)
            if len(permits) <= self._size:
                return permit
            # Another thread has come at the same time; whoever comes last looks again
            permits.discard(permit.own)
        return None

    def _is_fresh(self, connection: C) -> bool:
        try:
            return self._connector.is_fresh(connection)
        except BaseException:
            self.end(connection)
            self._go_on()
            raise

    def _ready(self, connection: C) -> C:
        """Return a connection that was idle, or a new one in its place. If this one is dead, the idle ones are older."""
        permit: _Permit = connection.nydus_permit
        permit.idle = False
        connector = self._connector
        try:
            if permit.era is self._era and connector.is_fresh(connection) and connector.is_alive(connection):
                return connection
            connection.nydus_permit = None
            connector.shut(connection)
            if permit.era is self._era:
                self.drop_idle()
        except BaseException:
            connection.nydus_permit = None
            connector.shut(connection)
            self._permits.discard(permit.own)
            self._go_on()
            raise
        return self._opened(permit)

    def _opened(self, permit: _Permit) -> C:
        """Open a connection, for a permit."""
        connection: C | None = None
        permit.era = self._era
        try:
            refuse_eventlet()
            connection = self._connector.open()
            permit.connection = ref(connection)
            connection.nydus_permit = permit
            return connection
        except BaseException:
            self._permits.discard(permit.own)
            if connection is not None:
                connection.nydus_permit = None
                self._connector.shut(connection)
            self._go_on()
            raise

    # The line ---------------------------------------------------------------------------------------------------------

    def _wait(self, turn: Turn) -> C | _Permit:
        """Wait in line for a place."""
        line, patience = self._line, time_left(self._patience)
        until = None if patience is None else time.monotonic() + patience
        turn.waits = True
        try:
            line.append(turn)
            while True:
                self._serve()  # one may just have fallen free
                turn.bell.wait(_LOOK if until is None else max(0.0, min(_LOOK, until - time.monotonic())))
                if turn.found:
                    found: C | _Permit = turn.found.pop()
                    return found
                if turn.over:
                    raise self._connector.exhausted("nobody waits for the answer any more")
                if until is not None and time.monotonic() >= until:
                    raise in_vain(self._connector.exhausted(all_in_use(self._size, patience)))
                if turn not in line:  # an interrupt took the thread that had taken it out of the line
                    line.appendleft(turn)
        finally:
            turn.over, turn.waits = True, False
            with suppress(ValueError):
                line.remove(turn)
            with suppress(IndexError):
                while True:
                    self._put_back(turn.found.pop())
            if line or self._retired:
                self._go_on()

    def _serve(self) -> None:
        """Hand all places that nobody has to those in line, in its order."""
        while self._line:
            found = self._free()
            if found is None:
                return
            self._hand(found)

    def _hand(self, found: C | _Permit) -> None:
        """Hand a place to the first in line. The caller looks at the line again."""
        while True:
            try:
                turn = self._line.popleft()
            except IndexError:
                self._put_back(found)
                return
            if not turn.is_open():
                continue
            turn.found.append(found)
            turn.bell.ring()
            if turn.is_open():  # first appended, then looked; the other sets first, then looks
                return
            try:
                found = turn.found.pop()
            except IndexError:
                return

    def _put_back(self, found: C | _Permit) -> None:
        if isinstance(found, _Permit):
            self._permits.discard(found.own)
        elif self._retired:
            self.end(found)
        else:
            self._idle.append(found)

    def _go_on(self) -> None:
        """Serve those in line; tell the end of a retired pool."""
        self._serve()
        if self._retired and not self.busy:
            try:
                tell = self._ends.popleft()
            except IndexError:
                return
            tell()


def _nothing() -> None:
    """Return None, as a reference to a connection that is gone does."""
