"""An asynchronous cluster that is called as if it were a blocking one, so that what is asked of the one is asked of the other."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Self

from nydus_core import AsyncCluster

__all__ = ["Driven"]


class Driven:
    """Runs the calls of any thread in an event loop of its own, where those of several threads are tasks side by side.

    Parameters:
        cluster: The cluster.
    """

    def __init__(self, cluster: AsyncCluster) -> None:
        self._cluster = cluster
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._cluster, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._run(_awaited(method, args, kwargs))

        return call

    @contextmanager
    def map(self, **options: Any) -> Iterator[Any]:
        """``async with cluster.map()`` as a ``with`` block. One that raises sends nothing."""
        block = self._cluster.map(**options)
        conn = self._run(block.__aenter__())
        yield conn
        self._run(block.__aexit__(None, None, None))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._cluster.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, job: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(job, self._loop).result()


async def _awaited(method: Any, args: Any, kwargs: Any) -> Any:
    value = method(*args, **kwargs)
    return await value if inspect.isawaitable(value) else value
