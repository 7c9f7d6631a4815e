"""The asynchronous cluster: one object over many hosts, whose commands are awaited."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from nydus_core.aio.drivers import run
from nydus_core.aio.mapping import AsyncMap
from nydus_core.aio.monitor import AsyncAnnouncer, AsyncWatch
from nydus_core.aio.running import running_loop
from nydus_core.cluster import ClusterBase
from nydus_core.command import Command, LateCommand
from nydus_core.engines import AsyncEngine, current_call, remember_awaited_call
from nydus_core.health import WatchBase

__all__ = ["AsyncCluster"]


class AsyncCluster(ClusterBase[AsyncEngine]):
    """One object over many hosts; made by ``create_async_cluster``.

    Every command of the client library is a method: ``await cluster.incr('foo')``. A command whose keys live on one host
    goes there. One that can be split over the hosts of its keys is. One without a key goes to all hosts, in
    parallel, and answers a list in host order; without a router every command does. A cluster of one host answers as
    that host does, without lists.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: The settings about hosts that fail.
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
        begin = self._begin_map(transaction)
        return AsyncMap(self._make_surface, self._snapshot.placement.by_call, begin, fail_silently)

    async def aclose(self) -> None:
        """Close the connections to all hosts, and forget which are down. A later command opens new ones."""
        running_loop()
        watches = self._snapshot.watches
        for watch in watches:
            watch.reset()
        # One that cannot be closed does not keep the others open
        ended = await asyncio.gather(*(watch.engine.aclose() for watch in watches), return_exceptions=True)
        for error, watch in zip(ended, watches, strict=True):
            if error is not None:
                raise watch.redactor.clean(error)

    close = disconnect = aclose

    async def __aenter__(self) -> Self:
        running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __enter__(self, *_: object) -> NoReturn:
        raise TypeError(
            "this cluster is asynchronous: write 'async with cluster:', or make it with create_cluster"
        )

    __exit__ = __enter__

    # Delivery ---------------------------------------------------------------------------------------------------

    async def _deliver(
        self, command: Command | LateCommand, pinned: WatchBase[AsyncEngine] | None = None
    ) -> Any:
        if type(command) is tuple:
            make, args, options = command
            command = make(args, options)
        if TYPE_CHECKING:
            assert isinstance(command, Command)
        snapshot = self._snapshot
        index = snapshot.placement.single(command) if pinned is None else snapshot.index_of(pinned, command)
        direct = None if index is None else self._direct(snapshot.watches[index])
        first_error: Exception | None = None
        if direct is not None and index is not None:
            try:
                return await direct(command)
            except Exception as error:
                snapshot.watches[index].redactor.clean(error)
                if snapshot.is_answer(error, index, command):
                    raise
                first_error = error  # the rest is left to the call, which tries again
        if snapshot.placement.by_call:
            command.call = current_call()
        call = self._call(snapshot, host=None if pinned is None else index, first_error=first_error)
        try:
            return await run(call.single(command, index), call.engines, call.deadline)
        finally:
            del call, first_error  # it knows this frame, which would keep it alive
