"""The ``map()`` block of an asynchronous cluster. Commands are queued as in the blocking one; its end is awaited."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn

from nydus_core.aio.drivers import run
from nydus_core.aio.running import running_loop
from nydus_core.cluster import MapBlock, MapConnection
from nydus_core.engines import AsyncEngine

__all__ = ["AsyncMap"]


class AsyncMap(MapBlock[AsyncEngine]):
    """A ``map()`` block; see ``AsyncCluster.map``."""

    _form = "async with cluster.map() as conn:"

    def __enter__(self, *_: object) -> NoReturn:
        raise TypeError(f"this cluster is asynchronous: write '{self._form}', or make it with create_cluster")

    __exit__ = __enter__

    async def __aenter__(self) -> MapConnection:
        running_loop()
        return self._enter()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            call = self._left(kind)
            if call is not None:
                await run(self._send(call), call.engines, call.deadline)
        except BaseException:
            self._queue.abandon_unsent()
            raise
