"""Commands for one host as one pipeline, with asyncio: one write, then as many replies. And how one reply is read."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Sequence
from traceback import walk_tb
from typing import Any, cast

from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import InvalidResponse, ResponseError
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.aio import FairPool
from nydus_core.command import Command
from nydus_core.errors import CANCELLED, HostDown, HostError, MaybeApplied
from nydus_redis.commands import READING, BlockingCommand, RedisCommand
from nydus_redis.connection import ANSWERS, FAILURES, REFUSALS, Limit, as_client_error
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import as_transaction, outcome_of_reply, outcomes_of_transaction

__all__ = ["Exchange", "TransactionExchange", "read_reply", "whole", "write"]

#: Bytes that are waited for until the socket has taken most of them.
_MUCH = 65536


async def write(connection: Any, packed: bytes) -> None:
    """Send a request; of a large one, wait until the socket has taken most of it."""
    writer = connection._writer
    writer.write(packed)
    if len(packed) > _MUCH:
        await writer.drain()


async def read_reply(connection: Any, command: RedisCommand) -> Any:
    """Read the reply to a command, as its options ask for; nothing is made of it yet.

    Raises:
        Exception: One of ``ANSWERS``; or anything else, when no answer came or none that can be understood.
    """
    options = command.kwargs
    try:
        if not options or READING.isdisjoint(options):
            reply = await connection._parser.read_response()
        else:
            reply = await connection._parser.read_response(disable_decoding=NEVER_DECODE in options)
    except REFUSALS as answer:
        whole(answer)
        raise
    if isinstance(reply, ResponseError):
        if EMPTY_RESPONSE in options:
            return options[EMPTY_RESPONSE]
        raise reply
    return reply


def whole(answer: Exception) -> Exception:
    """Return an answer that is all of a reply.

    Raises:
        InvalidResponse: redis-py's own parser has stopped at it within a reply. How much is left of that is not known.
    """
    if isinstance(answer, REFUSALS) and not HIREDIS_AVAILABLE:
        frames = walk_tb(answer.__traceback__)
        if sum(frame.f_code.co_name == "_read_response" for frame, _ in frames) > 1:
            raise InvalidResponse("an error of the connection within a reply") from answer
    return answer


class Exchange:
    """A pipeline to one host.

    Parameters:
        engine: The host.
        commands: The commands, in order.
    """

    def __init__(self, engine: RedisHost, pool: FairPool[Any], commands: Sequence[Command]) -> None:
        self._engine = engine
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
        limit = Limit(connection, self._limit_of(self._commands[0]))
        clean = False
        try:
            await write(connection, b"".join(self._packed()))
            await self._read(connection, limit)
            clean = True
        except FAILURES as error:
            self._failed(MaybeApplied, limit.cause(as_client_error(error)))
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

    def _limit_of(self, command: RedisCommand) -> float | None:
        timeout = self._engine.timeout
        return None if timeout is None else timeout + command.waits

    def _packed(self) -> list[bytes]:
        return [command.packed for command in self._commands]

    async def _read(self, connection: Any, limit: Limit) -> None:
        read = connection._parser.read_response
        outcomes, timeout = self._outcomes, self._engine.timeout
        waiting = BlockingCommand in set(map(type, self._commands))
        for command in self._commands:
            if timeout is not None:
                limit.renew(timeout + command.waits if waiting else timeout)
            try:
                if command.kwargs and not READING.isdisjoint(command.kwargs):
                    reply = await read_reply(connection, command)
                else:
                    reply = await read()
            except ANSWERS as error:
                reply = whole(error)
            except UnicodeDecodeError as error:
                if not (HIREDIS_AVAILABLE and self._engine.decodes):
                    raise  # redis-py's own parser does not get past it
                reply = self._engine.failed(MaybeApplied, error, command)
            outcomes.append(outcome_of_reply(self._engine, command, reply))


class TransactionExchange(Exchange):
    """A pipeline to one host between MULTI and EXEC: the host applies all of it, or nothing."""

    def _packed(self) -> list[bytes]:
        return as_transaction(self._commands, super()._packed())

    async def _read(self, connection: Any, limit: Limit) -> None:
        count = len(self._commands) + 1
        begun, *queued = [await self._read_plainly(connection, limit) for _ in range(count)]
        replies = await self._read_plainly(connection, limit)
        self._outcomes += outcomes_of_transaction(self._engine, self._commands, begun, queued, replies)

    async def _read_plainly(self, connection: Any, limit: Limit) -> Any:
        """Read a reply; return the value or the server's error."""
        if self._engine.timeout is not None:
            limit.renew(self._engine.timeout)
        try:
            return await connection._parser.read_response()
        except ANSWERS as error:
            return whole(error)
