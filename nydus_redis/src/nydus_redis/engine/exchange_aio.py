"""Commands for one host as one pipeline, with asyncio: one write, then as many replies."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.aio import FairPool
from nydus_core.command import Command
from nydus_core.errors import CANCELLED, HostDown, HostError, MaybeApplied
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
    whole_answer,
)
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import (
    as_transaction,
    in_transaction,
    outcome_of_reply,
    outcomes_of_transaction,
)

__all__ = ["Exchange", "TransactionExchange"]


class Exchange:
    """A pipeline to one host.

    Parameters:
        engine: The engine of the host.
        pool: The connections.
        moves: Is told the answers of the host.
        commands: The commands, in order.
    """

    def __init__(
        self, engine: RedisHost, pool: FairPool[Any], moves: Moves, commands: Sequence[Command]
    ) -> None:
        self._engine = engine
        self._moves = moves
        self._pool = pool
        self._commands = cast(Sequence[RedisCommand], commands)
        self._outcomes: list[Any] = []

    async def run(self) -> list[Any]:
        """Send the commands and read the replies; return the outcome of each."""
        pool = self._pool
        try:
            connection = await pool.take()
        except FAILURES as error:
            return self._failed(HostDown, as_client_error(error))
        except CancelledError:
            return self._failed(HostDown, self._engine.unavailable(CANCELLED))
        limit = Limit(connection, self._engine.timeout, self._commands[0].waits)
        clean = False
        try:
            await async_write(connection, b"".join(self._packed()), limit)
            await self._read(connection, limit)
            clean = not self._moves.heard_among(self._outcomes)
        except FAILURES as error:
            cause = limit.cause(as_client_error(error))
            self._failed(MaybeApplied if self._outcomes else self._engine.kind_of(cause), cause)
        except CancelledError:
            self._failed(MaybeApplied, self._engine.unavailable(CANCELLED))
        finally:
            limit.cancel()
            pool.give(connection, clean=clean)
        return self._outcomes

    def _failed(self, kind: type[HostError], cause: Exception) -> list[Any]:
        missing = self._commands[len(self._outcomes) :]
        self._outcomes += [self._engine.failed(kind, cause, command) for command in missing]
        return self._outcomes

    def _packed(self) -> list[bytes]:
        return [command.packed for command in self._commands]

    async def _read(self, connection: Any, limit: Limit) -> None:
        read = async_reader(connection)
        outcomes, timeout = self._outcomes, self._engine.timeout
        waiting = BlockingCommand in set(map(type, self._commands))
        for command in self._commands:
            if timeout is not None:
                limit.renew(command.waits if waiting else 0.0)
            try:
                if command.kwargs and not READING.isdisjoint(command.kwargs):
                    reply = await async_read_reply(connection, command)
                else:
                    reply = await read()
            except ANSWERS as error:
                reply = whole_answer(error)
            except UnicodeDecodeError as error:
                if not (HIREDIS_AVAILABLE and self._engine.decodes):
                    raise  # redis-py's own parser cannot go on behind it
                reply = self._engine.failed(MaybeApplied, error, command)
            outcomes.append(outcome_of_reply(self._engine, command, reply))


class TransactionExchange(Exchange):
    """A pipeline to one host between MULTI and EXEC: the host applies all of it, or nothing."""

    def _packed(self) -> list[bytes]:
        return as_transaction(self._commands)

    async def _read(self, connection: Any, limit: Limit) -> None:
        count, read = len(in_transaction(self._commands)) + 1, async_reader(connection)
        multi, *queued = [await self._read_plainly(read, limit) for _ in range(count)]
        replies = await self._read_plainly(read, limit)
        self._outcomes += outcomes_of_transaction(self._engine, self._commands, multi, queued, replies)

    async def _read_plainly(self, read: Callable[[], Awaitable[Any]], limit: Limit) -> Any:
        """Read a reply; return the value or the server's error."""
        limit.renew()
        try:
            return await read()
        except ANSWERS as error:
            return whole_answer(error)
