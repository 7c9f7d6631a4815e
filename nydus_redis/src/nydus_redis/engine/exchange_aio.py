"""Commands for one host as one pipeline, with asyncio: one write, then as many replies."""

from __future__ import annotations

from asyncio import CancelledError, sleep
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Protocol, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.aio import FairPool, with_turns
from nydus_core.command import Command
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
    says_goodbye,
    waits_among,
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


class _Connections(Protocol):
    """The connections of a host in one event loop."""

    commands: FairPool[Any]
    blocking: FairPool[Any]

    def drop_idle(self) -> None:
        """Close the idle connections."""
        ...


class Exchange:
    """A pipeline to one host.

    Parameters:
        engine: The engine of the host.
        connections: The connections.
        moves: Is told the answers of the host.
        commands: The commands, in order.
    """

    def __init__(
        self, engine: RedisHost, connections: _Connections, moves: Moves, commands: Sequence[Command]
    ) -> None:
        self._engine = engine
        self._moves = moves
        self._connections = connections
        self._commands = cast(Sequence[RedisCommand], commands)
        self._outcomes: list[Any] = []
        self._written = 0  # how many commands were written, or begun to be

    async def run(self) -> list[Any]:
        """Send the commands and read the replies; return the outcome of each."""
        connections = self._connections
        try:
            waits, cancelled = await with_turns(self._waits())
            if cancelled is not None:
                raise cancelled
            pool = connections.blocking if waits else connections.commands
            connection = await pool.take()
        except FAILURES as error:
            await with_turns(self._fail(HostDown, as_client_error(error)))
            return self._outcomes
        except CancelledError as cancelled:
            cause = in_vain(self._engine.unavailable(CANCELLED), waited=waited_in_vain(cancelled))
            done(self._fail(HostDown, cause))
            return self._outcomes
        limit = Limit(connection, self._engine.timeout, self._commands[0].waits)
        clean = False
        failure: Exception | None = None
        try:
            await self._write(connection, limit)
            await self._read(connection, limit)
            clean = not (self._moves.heard_among(self._outcomes) or says_goodbye(self._outcomes[-1]))
        except FAILURES as error:
            connections.drop_idle()  # they are as dead, if a firewall has forgotten them
            size = sum(len(command.packed) for command in self._commands)
            failure = self._engine.cause_of(limit.cause(as_client_error(error)), size)
        except CancelledError:  # the outcomes are wanted at once, so without turns for others
            done(self._fail(MaybeApplied, self._engine.unavailable(CANCELLED)))
        finally:
            limit.cancel()
            pool.give(connection, clean=clean)
        if failure is not None:
            kind = MaybeApplied if self._outcomes else self._engine.kind_of(failure)
            await with_turns(self._fail(kind, failure))
        return self._outcomes

    def _waits(self) -> Work[bool]:
        """Tell whether any command asks the server to wait."""
        for piece in slices(len(self._commands)):
            if waits_among(self._commands[piece]):
                return True
            if piece.stop < len(self._commands):
                yield
        return False

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

    async def _write(self, connection: Any, limit: Limit) -> None:
        """Write the commands, piece by piece. A piece that was begun counts as written."""
        for piece in slices(len(self._commands), OF_LANE):
            self._written = piece.stop
            await async_write(
                connection, b"".join([command.packed for command in self._commands[piece]]), limit
            )
            if piece.stop < len(self._commands):
                await sleep(0)

    async def _read(self, connection: Any, limit: Limit) -> None:
        read = async_reader(connection)
        outcomes, timeout = self._outcomes, self._engine.timeout
        waiting = BlockingCommand in set(map(type, self._commands))
        for piece in slices(len(self._commands), OF_LANE):
            if piece.start:
                await sleep(0)  # replies that have come already are read without a turn for others
            for command in self._commands[piece]:
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

    async def _write(self, connection: Any, limit: Limit) -> None:
        self._written = len(self._commands)
        await async_write(connection, b"".join(as_transaction(self._commands)), limit)

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
