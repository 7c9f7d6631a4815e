"""The memcached engine for asyncio: one host of memcached, or another server that speaks the same text protocol."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nydus_core.aio import FairPool, PerLoop, one_by_one, with_turns
from nydus_core.command import Command, Dispatch
from nydus_core.drafts import items_of
from nydus_core.engines import MAX_CONNECTIONS, SurfaceFactory, in_vain, waited_in_vain
from nydus_core.errors import CANCELLED, HostDown, MaybeApplied
from nydus_core.pieces import Work, slices
from nydus_memcache import options as host_options
from nydus_memcache.commands import MemcacheCommand, Plain
from nydus_memcache.connection import AsyncLink, MemcacheConnector
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.engine.runs import Failure, Run, grouping, outcomes, telling
from nydus_memcache.errors import FAILURES, ServerFull
from nydus_memcache.surface import AsyncSurfaces

__all__ = ["AsyncMemcache"]

#: The errors that an exchange can end in, besides errors of this program.
_ENDS: tuple[type[BaseException], ...] = (*FAILURES, CancelledError)


class AsyncMemcache(MemcacheHost):
    """A memcached host, for asyncio. The commands, options, serdes and errors are those of ``Memcache``.

    Each event loop has a pool of connections of its own, which connects at first use.

    Parameters:
        num: The key of the host in the settings.
        host: The name or address of the server.
        port: The port of the server.
        unix_socket_path: The unix socket of the server, instead of host and port.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        connect_timeout: Seconds that connecting may take, if not ``timeout``.
        identifier: The name that the ``consistent`` router hashes; by default ``memcache://host:port/``.
        options: Further options, as for ``Memcache``, with two differences:

            - ``max_pool_size``: the most connections at once, by default 100. Tasks beyond wait in line.
            - ``lock_generator`` is refused, because it is about threads.

    Raises:
        ConfigError: An option would undo a promise of the cluster, or makes no sense.
    """

    is_async: ClassVar[bool] = True
    sync_side: ClassVar[type[Any] | str | None] = "nydus_memcache.engine.Memcache"

    def _prepare(self) -> None:
        host_options.check_async(self.options)
        self._pools: PerLoop[FairPool[AsyncLink]] = PerLoop(self._make_pool, FairPool.drop)
        self._retired = False

    def _make_pool(self) -> FairPool[AsyncLink]:
        connector = MemcacheConnector(self.address, self.options.get("pool_idle_timeout", 0))
        size = self.options.get("max_pool_size") or MAX_CONNECTIONS
        pool = FairPool(connector, size, self.timeout)
        if self._retired:
            pool.retire()
        return pool

    @property
    def pool(self) -> FairPool[AsyncLink]:
        """The connections in the running event loop."""
        return self._pools.get()

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
        request = command.request
        if not request:
            return self.value(command, None)
        pool = self.pool
        if command.silent:  # nothing is waited for: a task that sends many would keep others from their turn
            await asyncio.sleep(0)
        try:
            link = await pool.take()
        except FAILURES as error:
            raise self.failed(HostDown, error, command) from error
        except CancelledError as cancelled:
            raise cancelled from self.failed(HostDown, self._cause(cancelled), command)
        answers: list[Any] = []
        clean = False
        try:
            await link.ask(request, (command,), answers)
            clean = True
        except FAILURES as error:
            sent = link.sent and not isinstance(error, ServerFull)
            if not isinstance(error, ServerFull):
                pool.drop_idle()  # they are as dead, if a firewall has forgotten them
            raise self.failed(MaybeApplied if sent else HostDown, error, command) from error
        finally:
            pool.give(link, clean=clean)
        return self.value(command, answers[0])

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands together, and read all answers. See ``nydus_core.AsyncEngine.exchange``."""
        (all_runs, request, ends_link), cancelled = await with_turns(_prepared(commands))
        if ends_link and cancelled is None:
            return await one_by_one(self, commands)
        if cancelled is not None:
            return outcomes(self, all_runs, [], Failure(self._cause(cancelled)))
        if not request:
            return outcomes(self, all_runs, [None] * len(all_runs))
        pool = self.pool
        try:
            link = await pool.take()
        except _ENDS as error:
            return await self._told(all_runs, [], Failure(self._cause(error)), error)
        answers: list[Any] = []
        failure: Failure | None = None
        ended: BaseException | None = None
        clean = False
        try:
            await link.ask(request, all_runs, answers)
            clean = True
        except _ENDS as error:
            ended = error
            failure = Failure(self._cause(error), link.sent)
            if not isinstance(error, ServerFull | CancelledError):
                pool.drop_idle()  # they are as dead, if a firewall has forgotten them
        finally:
            pool.give(link, clean=clean)
        return await self._told(all_runs, answers, failure, ended)

    async def _told(
        self,
        all_runs: Sequence[Run],
        answers: Sequence[Any],
        failure: Failure | None,
        error: BaseException | None,
    ) -> list[Any]:
        """Return the outcomes; with turns for other tasks, unless the task was cancelled: then they are wanted at once."""
        if isinstance(error, CancelledError):
            return outcomes(self, all_runs, answers, failure)
        found, _ = await with_turns(telling(self, all_runs, answers, failure))
        return found

    def _cause(self, error: BaseException) -> BaseException:
        cancelled = isinstance(error, CancelledError)
        return in_vain(self.unavailable(CANCELLED), waited=waited_in_vain(error)) if cancelled else error

    async def probe(self) -> None:
        """Find out whether the host is up: ask for the server's version.

        Raises:
            Exception: The host is not up.
        """
        command = Plain("version", b"version", (), (), b"version\r\n")
        pool, answers = self.pool, list[Any]()
        link = await pool.open()  # not one that was open: a host may be up while its connections are dead
        try:
            await link.ask(command.request, (command,), answers)
        finally:
            pool.shut(link)
        self.value(command, answers[0])

    async def flush(self) -> None:
        """Delete all items of the host."""
        await self.call(Plain("flush_all", b"flush_all", (), (), b"flush_all\r\n"))

    async def aclose(self) -> None:
        """Close the connections, the ones in use when they are given back. Other event loops are not waited for."""
        pool = self.pool
        self._pools.in_each(lambda each: None if each is pool else each.drop())
        await pool.aclose()

    def drop_idle(self) -> None:
        """Close the idle connections, in each event loop: the host was found down."""
        self._pools.in_each(lambda pool: pool.drop_idle())

    def retire(self) -> None:
        """Close the idle connections now, and the ones in use when they are given back."""
        self._retired = True
        self._pools.in_each(lambda pool: pool.retire())


def _prepared(commands: Sequence[Command]) -> Work[tuple[list[Run], bytes, bool]]:
    """Return the runs of some commands, the bytes of all, and whether one of the commands ends the connection."""
    ends_link = False
    items = items_of(commands)
    for piece in slices(len(commands)):
        kinds = set(map(type, items[piece]))
        ends_link = ends_link or any(issubclass(kind, MemcacheCommand) and kind.ends_link for kind in kinds)
        if piece.stop < len(commands):
            yield
    all_runs = yield from grouping(commands)
    requests: list[bytes] = []
    for piece in slices(len(all_runs)):
        requests.append(b"".join([run.request for run in all_runs[piece]]))
        if piece.stop < len(all_runs):
            yield
    return all_runs, b"".join(requests), ends_link
