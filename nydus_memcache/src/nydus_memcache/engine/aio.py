"""The memcached engine for asyncio: one host of memcached, or another server that speaks the same text protocol."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar, cast
from weakref import ref

from nydus_core.aio import FairPool, HostConnections, Multiplexer, PerLoop, one_by_one, with_turns
from nydus_core.command import Command, Dispatch
from nydus_core.drafts import Draft, items_of
from nydus_core.engines import MAX_CONNECTIONS, PIPELINE_DEPTH, SurfaceFactory
from nydus_core.errors import HostDown
from nydus_core.pieces import Work, done, slices
from nydus_memcache import options as host_options
from nydus_memcache.commands import MemcacheCommand, Plain
from nydus_memcache.connection import MemcacheConnector, MemcacheLine
from nydus_memcache.engine.exchange_aio import Exchange
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.engine.runs import shared_runs
from nydus_memcache.engine.shared_aio import SharedConnector
from nydus_memcache.surface import AsyncSurfaces

__all__ = ["AsyncMemcache"]


class _InLoop(HostConnections):
    """The connections in one event loop.

    Attributes:
        pool: Connections that are not shared.
    """

    def __init__(self, engine: AsyncMemcache) -> None:
        options = engine.options
        itself = ref(self)  # the connections must not hold a host that nobody uses any more

        def lost() -> None:
            own = itself()
            if own is not None:
                own.drop_idle()

        connector = MemcacheConnector(engine.address, options.get("pool_idle_timeout", 0), shared_runs, lost)
        size = options.get("max_pool_size") or MAX_CONNECTIONS
        self.pool: FairPool[MemcacheLine] = FairPool(connector, size, engine.timeout)
        depth = options.get("pipeline_depth", PIPELINE_DEPTH)
        count = int(options.get("batching", True))
        super().__init__(SharedConnector(engine, connector), count, depth, [self.pool])


class AsyncMemcache(MemcacheHost):
    """A memcached host, for asyncio. The commands, options, serdes and errors are those of ``Memcache``.

    Each event loop has connections of its own, which are opened at first use. All tasks share one.

    Parameters:
        num: The key of the host in the settings.
        host: The name or address of the server.
        port: The port of the server.
        unix_socket_path: The unix socket of the server, instead of host and port.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        connect_timeout: Seconds that connecting may take, if not ``timeout``.
        identifier: The name that the ``consistent`` router hashes; by default ``memcache://host:port/``.
        options: Further options, as for ``Memcache``, with these differences:

            - ``batching``: how many connections all tasks share; by default ``True``, one. ``False``: each command, and each
              ``map()``, has a connection of its own.
            - ``pipeline_depth``: the most commands under way on a shared connection, by default 5000. Others wait in line.
            - ``max_pool_size``: the most connections that are not shared, at once; by default 100. Tasks beyond wait in line.
            - ``lock_generator`` is refused, because it is about threads.

    Raises:
        ConfigError: An option would undo a promise of the cluster, or makes no sense.
    """

    is_async: ClassVar[bool] = True
    sync_side: ClassVar[type[Any] | str | None] = "nydus_memcache.engine.Memcache"

    def _prepare(self) -> None:
        host_options.check_async(self.options)
        self._own = PerLoop(self._connect_in_loop, _InLoop.end)
        self._retired = False

    def _connect_in_loop(self) -> _InLoop:
        own = _InLoop(self)
        if self._retired:
            own.retire()
        return own

    @property
    def shared(self) -> Sequence[Multiplexer]:
        """The connections that all tasks of the running event loop share; none without batching."""
        return self._own.get().shared

    @property
    def pool(self) -> FairPool[MemcacheLine]:
        """The connections that are not shared, in the running event loop."""
        return self._own.get().pool

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return a factory of surfaces: objects with the methods of ``pymemcache.Client``, to be awaited."""
        return AsyncSurfaces(options)

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object with the same methods, on which every command goes to this host."""
        return AsyncSurfaces([self.options]).of_cluster(None, dispatch)

    async def call(self, command: Command) -> Any:
        """Do one command and return its value. See ``nydus_core.AsyncEngine.call``."""
        assert isinstance(command, MemcacheCommand)
        if command.is_void:
            return self.value(command, None)
        own = self._own.get()
        if not own.shared or command.ends_link:
            return await self._call_alone(command)
        answer = await own.least_busy().ask(command, command.request)
        if command.silent:
            await asyncio.sleep(
                0
            )  # others have their turn, but not before: commands keep the order of the calls
        return self.value(command, answer)

    async def _call_alone(self, command: MemcacheCommand) -> Any:
        """Do one command on a connection of its own. A ``CancelledError`` raised from a ``HostDown``: it was not sent."""
        if command.silent:  # nothing is waited for: a task that sends many would keep others from their turn
            await asyncio.sleep(0)
        exchange = Exchange(self, [command])
        try:
            await exchange.alone(self.pool)
        except CancelledError as cancelled:
            (outcome,) = done(exchange.telling())
            raise cancelled from outcome if isinstance(outcome, HostDown) else None
        if exchange.failure is None:
            return self.value(command, exchange.answers[0])
        (outcome,) = done(exchange.telling())
        raise outcome from exchange.failure.cause

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands together, and read all answers. See ``nydus_core.AsyncEngine.exchange``."""
        own = self._own.get()
        (is_void, ends_link), cancelled = await with_turns(_looked_at(items_of(commands)))
        if cancelled is None and is_void:
            return [self.value(cast("MemcacheCommand", command), None) for command in commands]
        if cancelled is None and ends_link and len(commands) > 1:
            return await one_by_one(_OneByOne(self, self._call_alone), commands)
        exchange = Exchange(self, commands)
        try:
            if cancelled is not None:
                exchange.cancel(cancelled)
                raise cancelled
            if own.shared and not ends_link:
                await exchange.over(own.least_busy())
            else:
                await exchange.alone(own.pool)
        except CancelledError:  # the outcomes are wanted at once
            return done(exchange.telling())
        found, _ = await with_turns(exchange.telling())
        return found

    async def probe(self) -> None:
        """Find out whether the host is up: ask for the server's version.

        Raises:
            Exception: The host is not up.
        """
        command = Plain("version", b"version", (), (), b"version\r\n")
        pool = self.pool
        exchange = Exchange(self, [command])
        # not over a connection that was open: a host may be up while its connections are dead
        await exchange.anew(pool)
        if exchange.failure is not None:
            raise exchange.failure.cause
        self.value(command, exchange.answers[0])

    async def flush(self) -> None:
        """Delete all items of the host."""
        await self.call(Plain("flush_all", b"flush_all", (), (), b"flush_all\r\n"))

    async def aclose(self) -> None:
        """Close the connections, the ones in use when they are given back. Other event loops are not waited for."""
        own = self._own.get()
        self._own.in_each(lambda each: None if each is own else each.drop())
        await own.aclose()

    def drop_idle(self) -> None:
        """Close the idle connections, in each event loop: the host was found down."""
        self._own.in_each(_InLoop.drop_idle)

    def retire(self) -> None:
        """Close the idle connections now, and the ones in use when they are given back."""
        self._retired = True
        self._own.in_each(_InLoop.retire)


class _OneByOne:
    """An engine all of whose commands have a connection of their own."""

    def __init__(self, engine: AsyncMemcache, call_alone: Callable[[Any], Awaitable[Any]]) -> None:
        self.call = call_alone
        self.failed, self.unavailable = engine.failed, engine.unavailable


def _looked_at(items: Sequence[Any]) -> Work[tuple[bool, bool]]:
    """Tell of some commands whether there is nothing to send, and whether a command ends the connection."""
    is_void, ends_link = True, False
    for piece in slices(len(items)):
        part = items[piece]
        kinds = set(map(type, part))
        ends_link = ends_link or any(issubclass(kind, MemcacheCommand) and kind.ends_link for kind in kinds)
        is_void = is_void and not any(issubclass(kind, Draft) for kind in kinds)
        is_void = is_void and all(item.is_void for item in part)
        if piece.stop < len(items):
            yield
    return is_void, ends_link
