"""Commands for one host, sent together with asyncio: as a lane of the shared connection, or over a connection of their own."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections.abc import Sequence
from typing import Any, cast

from nydus_core.aio import FairPool, Line, Multiplexer
from nydus_core.command import Command
from nydus_core.drafts import Commands, items_of
from nydus_core.engines import in_vain, waited_in_vain
from nydus_core.errors import CANCELLED, HostDown
from nydus_core.pieces import COSTLY, OF_LANE, Work, slices
from nydus_memcache.commands import MemcacheCommand
from nydus_memcache.connection import MemcacheLine
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.engine.outcomes import Failure, telling
from nydus_memcache.engine.runs import Run, runs
from nydus_memcache.errors import FAILURES

__all__ = ["Exchange"]

#: Bytes that are written at once, if there is more than one command. Of them nobody can tell how many the socket has taken.
_WRITE = 65536


class Exchange:
    """Some commands for one host. See ``nydus_core.aio.Lane``.

    Parameters:
        engine: The engine of the host.
        commands: The commands, in order.

    Attributes:
        answers: The answers of the runs that were written.
        failure: Why answers are missing; None if none is.
    """

    def __init__(self, engine: MemcacheHost, commands: Sequence[Command]) -> None:
        self._engine = engine
        self._commands = commands
        self._items = items_of(commands)
        self._runs: list[Run] = []
        self._written = 0  # how many commands were written
        self._size = 0  # their bytes
        self._most = OF_LANE  # how many commands to write next
        self._ended = get_running_loop().create_future()
        self.answers: list[Any] = []
        self.failure: Failure | None = None

    # For the engine ---------------------------------------------------------------------------------------------------

    async def over(self, shared: Multiplexer) -> None:
        """Send the commands over a shared connection, and take the answers.

        Raises:
            CancelledError: The task was cancelled. The outcomes that are known can be told.
        """
        shared.enqueue(self)
        try:
            await self._ended
        except CancelledError as error:
            self.cancel(in_vain(error, waited=not self._written and shared.is_full))
            raise

    async def alone(self, pool: FairPool[MemcacheLine]) -> None:
        """Send the commands over a connection of their own, and take the answers.

        Raises:
            CancelledError: The task was cancelled. The outcomes that are known can be told.
        """
        try:
            line = await pool.take()
        except FAILURES as error:
            self._end(Failure(error))
            return
        except CancelledError as error:
            self.cancel(error)
            raise
        try:
            await self._by(line)
        finally:
            pool.give(line, clean=self.failure is None)

    async def anew(self, pool: FairPool[MemcacheLine]) -> None:
        """Do the same over a connection that is opened for it, and not counted.

        Raises:
            Exception: No connection could be had.
        """
        line = await pool.open()
        try:
            await self._by(line)
        finally:
            pool.shut(line)

    async def _by(self, line: MemcacheLine) -> None:
        owner = _Owner(line, self)
        line.serve(owner)
        try:
            owner.flush()
            await self._ended
        except CancelledError as error:
            self.cancel(error)
            raise
        finally:
            line.serve(None)

    def cancel(self, error: CancelledError) -> None:
        """Write no more: the task was cancelled."""
        cause = in_vain(self._engine.unavailable(CANCELLED), waited=waited_in_vain(error))
        self._end(Failure(cause, self._size))

    def telling(self) -> Work[list[Any]]:
        """Return the outcome of each command, in pieces."""
        failure = self.failure
        found = yield from telling(self._engine, self._runs, self.answers, failure)
        if failure is not None:
            rest = self._commands[self._written :]
            for piece in slices(len(rest), COSTLY):
                if found:
                    yield
                found += [self._unsent(cast("MemcacheCommand", each), failure.cause) for each in rest[piece]]
        return found

    def _unsent(self, command: MemcacheCommand, cause: BaseException) -> Any:
        """Return the outcome of a command that was not written."""
        if command.is_void:
            return self._engine.value(command, None)
        return self._engine.failed(HostDown, cause, command)

    @property
    def _is_complete(self) -> bool:
        return self._written == len(self._items) and len(self.answers) == len(self._runs)

    def _end(self, failure: Failure) -> None:
        if self.failure is None and not self._is_complete:
            self.failure = failure
        if not self._ended.done():
            self._ended.set_result(None)

    # For the queue and the connection ---------------------------------------------------------------------------------

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left to be written: all was, or nobody waits any more."""
        return self._written == len(self._items) or self._ended.done()

    def send(self, line: MemcacheLine, most: int) -> None:
        """Write the next commands.

        Parameters:
            line: The connection.
            most: How many commands.
        """
        rest = self._items[self._written : self._written + min(most, self._most)]
        found = runs(Commands([*rest]))
        while (size := sum([len(run.request) for run in found])) > _WRITE and len(rest) > 1:
            rest = rest[: max(1, min(len(rest) // 2, len(rest) * _WRITE // size))]
            found = runs(Commands([*rest]))
        self._most = min(OF_LANE, 2 * len(rest))
        self._runs += found
        self._written += len(rest)
        self._size += size
        line.send_part(self, found)

    def take(self, answer: Any) -> None:
        """Take the answer to the next request, also while a task that was cancelled has not had its turn yet."""
        if self.failure is None:
            self.answers.append(answer)
            if self._is_complete and not self._ended.done():
                self._ended.set_result(None)

    def unsent(self, cause: Exception) -> None:
        """End: no connection could be had for the commands that were not written."""
        self._end(Failure(cause, self._size))

    def unanswered(self, cause: Exception, *, answered: bool) -> None:
        """End: the connection was lost."""
        self._end(Failure(cause, self._size))


class _Owner:
    """Has a connection serve one exchange alone. See ``nydus_core.aio.LineOwner``."""

    def __init__(self, line: MemcacheLine, exchange: Exchange) -> None:
        self._line, self._exchange = line, exchange
        self._loop = get_running_loop()
        self._scheduled = False

    def go_on(self) -> None:
        """Write more in the next turn of the loop."""
        if not self._scheduled and not self._exchange.is_sent:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write more, if the socket has taken all."""
        self._scheduled = False
        line, exchange = self._line, self._exchange
        if line.is_open and not (line.paused or exchange.is_sent):
            exchange.send(line, OF_LANE)
            self.go_on()

    def line_lost(self, line: Line, cause: Exception) -> None:
        """End: the connection was lost."""
        line.waiting.clear()
        self._exchange.unanswered(cause, answered=line.answered)

    def give_up(self, cause: Exception) -> None:
        """Do nothing: nobody waits in line."""
