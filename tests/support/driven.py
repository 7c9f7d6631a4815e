"""An asynchronous cluster called as a blocking one is, so that what both sides must do stands in one test.

Its event loop runs in a thread; whoever calls a method waits for what it is awaited for.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Self

from nydus_core import AsyncCluster, create_async_cluster

__all__ = ["Driven", "create_driven"]

_Run = Callable[[Coroutine[Any, Any, Any]], Any]


class _Called:
    """An object whose coroutine functions are called as functions."""

    def __init__(self, target: Any, run: _Run) -> None:
        self._target = target
        self._run = run

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            returned = found(*args, **kwargs)
            return self._run(returned) if inspect.iscoroutine(returned) else returned

        return call


class Driven(_Called):
    """A cluster with an event loop of its own.

    Parameters:
        cluster: The cluster.
    """

    def __init__(self, cluster: AsyncCluster) -> None:
        super().__init__(cluster, self._in_loop)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="driven cluster", daemon=True)
        self._thread.start()

    def _in_loop(self, awaited: Coroutine[Any, Any, Any]) -> Any:
        future = asyncio.run_coroutine_threadsafe(awaited, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def map(self, **options: Any) -> AbstractContextManager[Any]:
        """Queue commands in a ``with`` block."""
        return self._mapped(self._target.map(**options))

    @contextmanager
    def _mapped(self, block: Any) -> Generator[Any]:
        conn = self._in_loop(block.__aenter__())
        try:
            yield conn
        except BaseException as error:
            self._in_loop(block.__aexit__(type(error), error, None))
            raise
        self._in_loop(block.__aexit__(None, None, None))

    def on(self, host: Any) -> Any:
        """Return the client of one host."""
        return _Called(self._target.on(host), self._in_loop)

    def on_key(self, key: Any) -> Any:
        """Return the client of the host of a key."""
        return _Called(self._target.on_key(key), self._in_loop)

    def __getitem__(self, host: Any) -> Any:
        return self._target[host]

    def __len__(self) -> int:
        return len(self._target)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._target)

    def close(self) -> None:
        """Close the connections."""
        self._in_loop(self._target.aclose())

    def end(self) -> None:
        """Close the connections and the loop. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self.close()
        self._in_loop(_last_words())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


def create_driven(settings: dict[str, Any]) -> Any:
    """Build a cluster as ``create_async_cluster`` does, to be called as a blocking one."""
    return Driven(create_async_cluster(settings))


async def _last_words() -> None:
    """Cancel what is still under way, such as probes, and let it end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    for _ in range(3):  # connections that were aborted
        await asyncio.sleep(0)
