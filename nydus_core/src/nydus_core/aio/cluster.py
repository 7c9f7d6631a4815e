"""The asynchronous cluster: one object over many hosts, whose commands are awaited."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from nydus_core.aio.drivers import run
from nydus_core.aio.mapping import AsyncMap
from nydus_core.aio.monitor import AsyncAnnouncer, AsyncWatch
from nydus_core.cluster import ClusterBase
from nydus_core.command import Command
from nydus_core.delivery import Delivery, single_call
from nydus_core.engines import AsyncEngine, current_call, remember_awaited_call
from nydus_core.errors import HostError
from nydus_core.health import Watch

__all__ = ["AsyncCluster"]


class AsyncCluster(ClusterBase[AsyncEngine]):
    """One object over many hosts; made by ``create_async_cluster``.

    Every command of the client library is a method: ``await cluster.incr('foo')``. A command whose keys live on one host
    goes there. One that can be split over the hosts of its keys is. One without a key goes to all hosts, in
    parallel, and answers a list in host order; without a router every command does. A cluster of one host and no
    router answers as the host does.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: What to do about hosts that fail.
    """

    _announcer_class = AsyncAnnouncer
    _watch_class = AsyncWatch
    _remember = staticmethod(remember_awaited_call)

    def map(
        self, workers: int | None = None, *, fail_silently: bool = False, transaction: bool = False
    ) -> AsyncMap:
        """Queue commands in an ``async with`` block, and send them when it ends: one batch a host, all in parallel.

        ::

            async with cluster.map() as conn:
                results = [conn.incr(key) for key in keys]

        Each call returns a promise, filled when the block ends. A block that raises sends nothing.

        Parameters:
            workers: Has no effect; nydus 0.11 took a number of threads.
            fail_silently: Do not raise ``CommandError``; failures are found in ``conn.get_errors()`` and in the
                promises.
            transaction: Each host applies all of its commands or none of them. Not across hosts.

        Raises:
            CommandError: At the end of the block, if any command failed. The others have their values.
            RoutingError: At the end of the block, if a command has no place. Nothing was sent then.
        """
        begin = self._map_call(transaction)
        return AsyncMap(self._make_surface, self._delivery.placement.by_call, begin, fail_silently)

    async def aclose(self) -> None:
        """Close the connections to all hosts, and forget which are down. A later command opens new ones."""
        watches = self._delivery.watches
        for watch in watches:
            watch.reset()
        # One that cannot be closed does not keep the others open
        ended = await asyncio.gather(*(watch.engine.aclose() for watch in watches), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    close = disconnect = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # Delivery ---------------------------------------------------------------------------------------------------

    async def _deliver(self, command: Command) -> Any:
        """Deliver one command and return its value. The everyday case, one key, takes the short cut."""
        delivery = self._delivery
        host = delivery.placement.single(command)
        if host is None:
            return await self._deliver_planned(delivery, command)
        return await self._deliver_to(delivery, host, command, False)

    async def _deliver_on(self, watch: Watch[AsyncEngine], command: Command) -> Any:
        delivery = self._delivery
        return await self._deliver_to(delivery, self._host_of(delivery, watch, command), command)

    async def _deliver_to(
        self, delivery: Delivery[AsyncEngine], host: int, command: Command, bound: bool = True
    ) -> Any:
        call = self._short_cut(delivery.watches[host])
        if call is None:
            return await self._deliver_planned(delivery, command, host if bound else None)
        try:
            return await call(command)
        except Exception as error:
            if not isinstance(error, HostError) and not delivery.engines[host].is_passing(error, command):
                raise
            begun = error
        try:
            return await self._deliver_planned(delivery, command, host if bound else None, begun)
        finally:
            del begun  # it knows this frame

    async def _deliver_planned(
        self,
        delivery: Delivery[AsyncEngine],
        command: Command,
        host: int | None = None,
        begun: Exception | None = None,
    ) -> Any:
        if delivery.placement.by_call:
            command.call = current_call()
        deadline = self._deadline()
        flow = single_call(self, delivery, command, deadline, host, begun)
        try:
            return await run(flow, delivery.engines, deadline=deadline)
        finally:
            del begun, flow  # it knows this frame, which would keep it alive
