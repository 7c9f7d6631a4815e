"""Commands for one host as one pipeline, with asyncio: one write, then as many replies."""

from __future__ import annotations

from asyncio import CancelledError, sleep
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.aio import FairPool, with_turns
from nydus_core.command import Command
from nydus_core.drafts import Draft, items_of, waits_of
from nydus_core.engines import in_vain, waited_in_vain
from nydus_core.errors import CANCELLED, HostDown, HostError, MaybeApplied
from nydus_core.pieces import COSTLY, OF_LANE, Work, done, slices
from nydus_redis.commands import READING, BlockingCommand, RedisCommand
from nydus_redis.connection import (
    ANSWERS,
    FAILURES,
    Limit,
    Moves,
    as_client_error,
    async_read_reply,
    async_reader,
    async_write,
    may_get_pushes,
    says_goodbye,
    waits_among,
    whole_answer,
)
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import (
    as_transaction,
    in_transaction,
    outcomes_of,
    outcomes_of_transaction,
    request_of,
)

__all__ = ["Exchange", "ExchangeBase", "TransactionExchange", "waiting_among"]


def waiting_among(items: Sequence[Any]) -> Work[bool]:
    """Tell whether any of some commands asks the server to wait."""
    for piece in slices(len(items)):
        if waits_among(items[piece]):
            return True
        if piece.stop < len(items):
            yield
    return False


class ExchangeBase:
    """Some commands for one host, and their outcomes.

    Parameters:
        engine: The engine of the host.
        commands: The commands, in order.
    """

    def __init__(self, engine: RedisHost, commands: Sequence[Command]) -> None:
        self._engine = engine
        self._commands = cast(Sequence[RedisCommand], commands)
        #: The commands; drafts stand for commands that nobody has looked at.
        self._items = items_of(commands)
        self._size = 0  # bytes that were written, or begun to be
        self._outcomes: list[Any] = []
        self._written = 0  # how many commands were written, or begun to be

    def cancelled(self, *, waited: bool = False) -> list[Any]:
        """Return the outcomes of a task that was cancelled before it sent anything.

        Parameters:
            waited: Whether it waited for a connection in vain.
        """
        done(self._fail(HostDown, in_vain(self._engine.unavailable(CANCELLED), waited=waited)))
        return self._outcomes

    def _fail(self, kind: type[HostError], cause: Exception) -> Work[None]:
        """End the commands without an outcome in an error. A command that was not written by then was not sent."""
        commands, engine, written = self._commands, self._engine, self._written
        first = len(self._outcomes)
        for piece in slices(len(commands) - first, COSTLY):
            self._outcomes += [
                engine.failed(kind if number < written else HostDown, cause, commands[number])
                for number in range(first + piece.start, first + piece.stop)
            ]
            if first + piece.stop < len(commands):
                yield


class Exchange(ExchangeBase):
    """A pipeline to one host, on a connection of its own.

    Parameters:
        engine: The engine of the host.
        commands: The commands, in order.
        moves: Is told the answers of the host.
        pool: The connections.
        drop_idle: Closes the idle connections of the host.
    """

    def __init__(
        self,
        engine: RedisHost,
        commands: Sequence[Command],
        moves: Moves,
        pool: FairPool[Any],
        drop_idle: Callable[[], None],
    ) -> None:
        super().__init__(engine, commands)
        self._moves, self._pool, self._drop_idle = moves, pool, drop_idle

    async def run(self) -> list[Any]:
        """Send the commands and read the replies; return the outcome of each."""
        pool = self._pool
        try:
            connection = await pool.take()
        except FAILURES as error:
            await with_turns(self._fail(HostDown, as_client_error(error)))
            return self._outcomes
        except CancelledError as cancelled:
            return self.cancelled(waited=waited_in_vain(cancelled))
        limit = Limit(connection, self._engine.timeout, waits_of(self._items[0]))
        clean = False
        failure: Exception | None = None
        try:
            await self._write(connection, limit)
            await self._read(connection, limit)
            clean = not (self._moves.heard_among(self._outcomes) or says_goodbye(self._outcomes[-1]))
        except FAILURES as error:
            self._drop_idle()  # they are as dead, if a firewall has forgotten them
            failure = self._engine.cause_of(limit.cause(as_client_error(error)), self._size)
        except CancelledError:  # the outcomes are wanted at once, so without turns for others
            done(self._fail(MaybeApplied, self._engine.unavailable(CANCELLED)))
        finally:
            limit.cancel()
            pool.give(connection, clean=clean)
        if failure is not None:
            kind = MaybeApplied if self._outcomes else self._engine.kind_of(failure)
            await with_turns(self._fail(kind, failure))
        return self._outcomes

    async def _write(self, connection: Any, limit: Limit) -> None:
        """Write the commands, piece by piece. A piece that was begun counts as written."""
        items = self._items
        for piece in slices(len(items), OF_LANE):
            chunk = items[piece]
            request = request_of(chunk, set(map(type, chunk)))
            self._written = piece.stop
            self._size += len(request)
            await async_write(connection, request, limit)
            if piece.stop < len(items):
                await sleep(0)

    async def _read(self, connection: Any, limit: Limit) -> None:
        read = async_reader(connection)
        for piece in slices(len(self._items), OF_LANE):
            if piece.start:
                await sleep(0)  # replies that have come already are read without a turn for others
            items, replies = self._items[piece], list[Any]()
            kinds = set(map(type, items))
            try:
                await self._read_piece(items, BlockingCommand in kinds, connection, read, limit, replies)
            finally:
                self._outcomes += outcomes_of(self._engine, items, kinds, replies)

    async def _read_piece(
        self,
        items: Sequence[Any],
        waiting: bool,
        connection: Any,
        read: Callable[..., Awaitable[Any]],
        limit: Limit,
        replies: list[Any],
    ) -> None:
        """Read the replies to some commands, one after the other."""
        timeout = self._engine.timeout
        for item in items:
            if timeout is not None:
                limit.renew(waits_of(item) if waiting else 0.0)
            try:
                if not isinstance(item, Draft) and not READING.isdisjoint(item.kwargs):
                    replies.append(await async_read_reply(connection, item))
                else:
                    replies.append(await read())
            except ANSWERS as error:
                replies.append(whole_answer(error))
            except UnicodeDecodeError as error:
                if not (HIREDIS_AVAILABLE and self._engine.decodes) or may_get_pushes(connection):
                    raise  # redis-py's own parser cannot go on behind it; or it was a push message, perhaps
                replies.append(error)


class TransactionExchange(Exchange):
    """A pipeline to one host between MULTI and EXEC: the host applies all of it, or nothing."""

    async def _write(self, connection: Any, limit: Limit) -> None:
        self._written = len(self._commands)
        request = b"".join(as_transaction(self._commands))
        self._size = len(request)
        await async_write(connection, request, limit)

    async def _read(self, connection: Any, limit: Limit) -> None:
        read, queued = async_reader(connection), list[Any]()
        multi = await self._read_plainly(read, limit)
        for number in range(1, len(in_transaction(self._commands)) + 1):
            queued.append(await self._read_plainly(read, limit))
            if not number % OF_LANE:
                await sleep(0)
        replies = await self._read_plainly(read, limit)
        outcomes = outcomes_of_transaction(self._engine, self._commands, multi, queued, replies)
        _, cancelled = await with_turns(self._note(outcomes))
        if cancelled is not None:
            raise cancelled

    def _note(self, outcomes: Iterable[Any]) -> Work[None]:
        for number, outcome in enumerate(outcomes, 1):
            self._outcomes.append(outcome)
            if not number % OF_LANE:
                yield

    async def _read_plainly(self, read: Callable[[], Awaitable[Any]], limit: Limit) -> Any:
        """Read a reply; return the value or the server's error."""
        limit.renew()
        try:
            return await read()
        except ANSWERS as error:
            return whole_answer(error)
