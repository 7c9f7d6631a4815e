"""The Redis engine for asyncio: one host, through ``redis.asyncio``."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, ClassVar
from weakref import WeakSet

import redis.asyncio

from nydus_core.aio import FairPool, HostConnections, Multiplexer, PerLoop, with_turns
from nydus_core.command import Command, Dispatch
from nydus_core.drafts import items_of
from nydus_core.engines import MAX_CONNECTIONS, PIPELINE_DEPTH, SurfaceFactory, name_of
from nydus_core.errors import HostDown
from nydus_redis import options as host_options
from nydus_redis.commands import RedisCommand, UnreadableReply
from nydus_redis.connection import (
    ANSWERS,
    FAILURES,
    Limit,
    Moves,
    PipelinePool,
    RedisConnector,
    as_client_error,
    async_read_reply,
    async_reader,
    async_write,
    heedful,
    interrupt,
    says_goodbye,
    says_later,
    shows_its_streams,
    whole_answer,
)
from nydus_redis.engine.exchange_aio import Exchange, TransactionExchange, waiting_among
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.lane_aio import SharedExchange
from nydus_redis.engine.shared_aio import SharedConnector
from nydus_redis.surface import async_host_client, async_surfaces

__all__ = ["AsyncRedis"]


class _InLoop(HostConnections):
    """The connections in one event loop.

    Attributes:
        commands: Connections for a command, a transaction or a pipeline of redis-py at a time.
        blocking: Connections for commands that wait at the server.
        held: Connections for long use, as by subscriptions.
    """

    def __init__(self, engine: AsyncRedis, template: Any, size: int) -> None:
        patience, moves = engine.timeout, engine.moves
        connector = RedisConnector(template.connection_class, dict(template.connection_kwargs), moves)
        self.commands: FairPool[Any] = FairPool(connector, size, patience)
        self.blocking: FairPool[Any] = FairPool(connector, size, patience)
        self.pipelines = PipelinePool(self.commands, template)
        self.held, self.hold = connector.held, connector.open
        self.subscribers: WeakSet[Any] = WeakSet()
        lines = SharedConnector(engine, moves, connector, self.drop_idle)
        count = engine.batching if shows_its_streams(connector.held.make_connection()) else 0
        super().__init__(lines, count, engine.pipeline_depth, [self.commands, self.blocking])

    async def end(self) -> None:
        """Close the connections: the event loop ends."""
        super().end()
        await self.held.disconnect()


class AsyncRedis(RedisHost):
    """A Redis or Valkey host, for asyncio. It takes the same options as ``Redis``; differences are named here.

    All tasks of an event loop share one connection, which is opened at first use: see ``nydus_core.aio.Multiplexer``. Commands that
    wait at the server, transactions and pipelines have connections of their own.

    Parameters:
        num: The key of the host in the settings.
        host: The name or address of the host.
        port: The port.
        db: The number of the database.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        password: The password. It is never shown.
        unix_socket_path: The path of a unix socket, instead of host and port.
        identifier: The name of the host for the ``consistent`` router; by default ``redis://host:port/db``.
        options: Further options of ``redis.asyncio.Redis``:

            - ``batching``: True, the default; a number of connections that tasks share; or False for none, so that each command
              has a connection for itself.
            - ``pipeline_depth``: the most commands under way on a shared connection, by default 5000. More wait in line.
            - ``max_connections``: the most connections that are not shared, by default 100. More tasks wait in line.

    Raises:
        ConfigError: An option would break a promise of the cluster.
    """

    is_async: ClassVar[bool] = True
    refused_options: ClassVar[Mapping[str, str]] = {**host_options.REFUSED, **host_options.REFUSED_ASYNC}
    sync_side: ClassVar[type[Any] | str | None] = "nydus_redis.engine.Redis"

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        client = host_options.async_client_options(options)
        self._size = client.pop("max_connections", None) or MAX_CONNECTIONS
        #: How many connections all tasks share; 0 without batching.
        self.batching = int(options.get("batching", True))
        #: The most commands under way on such a connection.
        self.pipeline_depth: int = options.get("pipeline_depth", PIPELINE_DEPTH)
        made: Any = redis.asyncio.Redis(**client)
        self._template = made.connection_pool
        self._template.connection_class = heedful(self._template.connection_class, self.redactor)
        self.moves = Moves()
        self._own = PerLoop(self._connect_in_loop, _InLoop.end)
        self._retired = False
        connection_options: Mapping[str, Any] = self._template.connection_kwargs
        return connection_options

    def _connect_in_loop(self) -> _InLoop:
        own = _InLoop(self, self._template, self._size)
        if self._retired:
            own.retire()
        return own

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        """Return every option, with the types that it takes."""
        return host_options.ASYNC_OPTION_TYPES

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return the maker of surfaces: objects with all methods of ``redis.asyncio.Redis``."""
        return async_surfaces(options)

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return a client of this host, a ``redis.asyncio.Redis``; pipelines and subscriptions work on it too."""
        return async_host_client(self, self._wire_options, dispatch, make_surface)

    @property
    def shared(self) -> Sequence[Multiplexer]:
        """The connections that all tasks of the running event loop share; none without batching."""
        return self._own.get().shared

    @property
    def pool(self) -> FairPool[Any]:
        """The connections for one command, transaction or pipeline at a time, in the running event loop."""
        return self._own.get().commands

    @property
    def pipelines(self) -> PipelinePool:
        """A pool of the same connections, of the kind that redis-py's pipelines need."""
        return self._own.get().pipelines

    @property
    def held(self) -> Any:
        """A pool without a limit, for connections that are held for long, as subscriptions do."""
        return self._own.get().held

    @property
    def subscribers(self) -> WeakSet[Any]:
        """The subscriptions in the running event loop, each with its ``connection``."""
        return self._own.get().subscribers

    async def hold(self) -> Any:
        """Open a connection that is held for long. The caller has to close it (``nydus_redis.connection.abort``)."""
        return await self._own.get().hold()

    def call(self, command: Command) -> Awaitable[Any]:
        """Send one command; the awaitable returns the value. See ``nydus_core.AsyncEngine.call``."""
        assert isinstance(command, RedisCommand)
        own = self._own.get()
        if command.waits or not own.shared:
            return self._call_alone(own, command)
        return own.least_busy().ask(command, command.packed)

    async def _call_alone(self, own: _InLoop, command: RedisCommand) -> Any:
        """Send one command on a connection of its own."""
        waits = command.waits
        pool = own.blocking if waits else own.commands
        try:
            connection = await pool.take()
        except FAILURES as error:
            raise self.failed(HostDown, as_client_error(error), command) from error
        limit = Limit(connection, self.timeout, waits)
        clean = False
        try:
            await async_write(connection, command.packed, limit)
            value = command.parsed(await async_read_reply(connection, command))
            clean = True
            return command.signed(value, name_of(self)) if command.gives else value
        except ANSWERS as answer:
            clean = not (self.moves.heard(answer) or says_goodbye(answer))
            raise
        except FAILURES as error:
            clean = isinstance(error, UnreadableReply)
            if not clean:
                own.drop_idle()  # they are as dead, if a firewall has forgotten them
            cause = limit.cause(as_client_error(error))
            if cause is not error:
                cause.__cause__ = error
            cause = self.cause_of(cause, len(command.packed))
            raise self.failed(self.kind_of(cause), cause, command) from cause
        finally:
            limit.cancel()
            pool.give(connection, clean=clean)

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands as one pipeline; with MULTI and EXEC around them for a transaction."""
        own = self._own.get()
        waits, cancelled = await with_turns(waiting_among(items_of(commands)))
        exchange: Exchange | SharedExchange
        if own.shared and not (waits or transaction):
            exchange = SharedExchange(self, commands, own.least_busy())
        else:
            made = TransactionExchange if transaction else Exchange
            pool = own.blocking if waits else own.commands
            exchange = made(self, commands, self.moves, pool, own.drop_idle)
        return await exchange.run() if cancelled is None else exchange.cancelled()

    async def probe(self) -> None:
        """Find out whether the host is up: send PING. The host is up if it answers anything but "later".

        Raises:
            Exception: The host is down.
        """
        pool = self._own.get().commands
        connection = await pool.open()  # not one that was open: a host may be up while those are dead
        limit = Limit(connection, self.timeout)
        try:
            await async_write(connection, _PING, limit)
            try:
                answer: Any = await async_reader(connection)()  # an error may be returned or raised
            except ANSWERS as error:
                answer = whole_answer(error)
            if isinstance(answer, Exception) and says_later(answer):
                raise answer
        except FAILURES as error:
            cause = limit.cause(as_client_error(error))
            if cause is error:
                raise
            raise cause from error
        finally:
            limit.cancel()
            pool.shut(connection)

    async def flush(self) -> None:
        """Delete all keys of the host's database."""
        client: Any = redis.asyncio.Redis(connection_pool=self.pipelines)
        await client.flushdb()

    async def aclose(self) -> None:
        """Close the connections; a connection in use when it is given back. Other event loops are not waited for.

        Connections of subscriptions in this event loop are closed at once. A subscription reports that it was lost, if it is
        read again, and begins anew.
        """
        own = self._own.get()
        self._own.in_each(lambda each: None if each is own else each.drop())
        await own.aclose()
        await own.held.disconnect(inuse_connections=False)
        for subscriber in list(own.subscribers):
            if subscriber.connection is not None:
                interrupt(subscriber.connection)

    def drop_idle(self) -> None:
        """Close the idle connections, in each event loop: the host was found down."""
        self._own.in_each(lambda own: own.drop_idle())

    def retire(self) -> None:
        """Close the idle connections, and each connection in use when it is given back."""
        self._retired = True
        self._own.in_each(lambda own: own.retire())


_PING = b"*1\r\n$4\r\nPING\r\n"
