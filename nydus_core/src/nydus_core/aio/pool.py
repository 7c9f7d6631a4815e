"""The connections to one host in one event loop: at most so many, handed out in the order in which they were asked for.

The engine knows how a connection is made. The pool only sees to it that tasks wait in line, that a connection on which
anything is pending is used by nobody else, and that a task which is cancelled takes none with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from nydus_core.aio.turns import Turns
from nydus_core.engines import all_in_use, in_vain

__all__ = ["Connector", "FairPool"]

C = TypeVar("C")


class Connector(Protocol[C]):
    """How the connections of a pool are made, looked at and closed."""

    async def open(self) -> C:
        """Open a connection. When it is interrupted, it leaves nothing open."""
        ...

    def is_in_step(self, connection: C) -> bool:
        """Tell whether a connection is open, and no answer is pending on it, as far as the loop has seen."""
        ...

    async def is_fresh(self, connection: C) -> bool:
        """Tell whether one that was idle still is in step: the loop may not have looked at its socket for a while."""
        ...

    def shut(self, connection: C) -> None:
        """Close a connection at once, whatever is under way on it."""
        ...

    async def say_goodbye(self, connection: C) -> None:
        """Close a connection that nothing is under way on."""
        ...

    def exhausted(self, why: str) -> Exception:
        """Make the error for a task that waited in vain for a connection. It does not speak against the host."""
        ...


class FairPool(Generic[C]):
    """Connections to one host. The connection that was used last is used next.

    Parameters:
        connector: How they are made, looked at and closed.
        size: The most connections at once.
        patience: Seconds that a task waits for one at most; None for no limit.
    """

    def __init__(self, connector: Connector[C], size: int, patience: float | None) -> None:
        self._connector = connector
        self._size = size
        self._turns = Turns(size, patience, lambda: in_vain(connector.exhausted(all_in_use(size, patience))))
        self._idle: list[C] = []
        self._used: set[C] = set()
        self._closings = 0
        self._busy = 0  # tasks that use a connection, or wait for one
        self._retired: Callable[[], object] | None = None

    async def take(self) -> C:
        """Take a connection that is ready to send; nothing of a command has been sent when this raises.

        Raises:
            Exception: All are in use, or the host cannot be reached.
        """
        self._busy += 1
        try:
            await self._turns.take()
        except BaseException:
            self._leave()
            raise
        closings = self._closings
        try:
            connection = await self._fresh()
        except BaseException:
            self._turns.give()
            self._leave()
            raise
        if closings == self._closings:  # else it is from before that
            self._used.add(connection)
        return connection

    async def _fresh(self) -> C:
        connector = self._connector
        while self._idle:
            connection = self._idle.pop()
            try:
                if await connector.is_fresh(connection):
                    return connection
            except BaseException:
                connector.shut(connection)
                raise
            connector.shut(connection)
            self.drop_idle()  # the others were used longer ago
        return await connector.open()

    async def open(self) -> C:
        """Open a connection that is not counted, without waiting in line: for a probe. The caller has to shut it."""
        return await self._connector.open()

    def shut(self, connection: C) -> None:
        """Close a connection that was opened by ``open``."""
        self._connector.shut(connection)

    def give(self, connection: C, *, clean: bool) -> None:
        """Give a connection back. One that may still get an answer to what was sent is closed, and so is one from before
        the pool was closed.
        """
        known = connection in self._used
        self._used.discard(connection)
        if clean and known and self._retired is None and self._connector.is_in_step(connection):
            self._idle.append(connection)
        else:
            self._connector.shut(connection)
        self._turns.give()
        self._leave()

    def _leave(self) -> None:
        self._busy -= 1
        if self._retired is not None and not self._busy:
            self._end()

    def _end(self) -> None:
        then, self._retired = self._retired, _nothing
        if then is not None:
            then()

    async def aclose(self) -> None:
        """Close the idle connections, and the others when they are given back. A later command opens new ones."""
        idle = self._forget()
        goodbyes = [asyncio.ensure_future(self._connector.say_goodbye(each)) for each in idle]
        try:
            if goodbyes:
                await asyncio.wait(goodbyes, timeout=_GOODBYE)
        finally:
            for goodbye, connection in zip(goodbyes, idle, strict=True):
                if not goodbye.done():
                    goodbye.cancel()
                    self._connector.shut(connection)

    def drop_idle(self) -> None:
        """Close the idle connections: the host, or the way to it, was found out of order."""
        idle, self._idle = self._idle, []
        for connection in idle:
            self._connector.shut(connection)

    def drop(self) -> None:
        """The same as ``aclose``, without waiting."""
        for connection in self._forget():
            self._connector.shut(connection)

    def _forget(self) -> list[C]:
        idle, self._idle = self._idle, []
        self._used.clear()
        self._closings += 1
        return idle

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """The same, and keep none from now on.

        Parameters:
            then: Called, once, when no connection is in use any more, and no task waits for one.
        """
        self._retired = then or _nothing
        self.drop()
        if not self._busy:
            self._end()


def _nothing() -> None:
    """Do nothing at the end of a pool."""


#: Seconds that closing connections may take: TLS says goodbye.
_GOODBYE = 1.0
