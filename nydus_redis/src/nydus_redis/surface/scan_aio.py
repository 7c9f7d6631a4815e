"""Iteration over keys, and over the members of a key, with ``async for``. See ``scan`` and ``key_scan``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import cached_property, partial
from typing import Any, Self

from redis.exceptions import ResponseError

from nydus_redis.surface.key_scan import KeyScanBase
from nydus_redis.surface.scan import ScanBase
from nydus_redis.surface.scanning import Question, Scanning

__all__ = ["AsyncClusterScan", "AsyncKeyScan"]


class _AsyncIteration(Scanning, AsyncIterator[Any]):
    """An iteration that awaits the answers of hosts."""

    @cached_property
    def _asking(self) -> asyncio.Lock:
        return asyncio.Lock()  # tasks may share the iteration: two that go on at once would pass over a host

    def __aiter__(self) -> Self:
        return self

    async def aclose(self) -> None:
        """Do nothing: no connection is held between two keys. The method is there for ``contextlib.aclosing``."""

    async def __anext__(self) -> Any:
        async with self._asking:
            return await self._next()

    async def _next(self) -> Any:
        asking = self._more()
        ask: Callable[[], Question] = partial(next, asking)
        while True:
            try:
                question = ask()
            except StopIteration as end:
                if not end.value:
                    raise StopAsyncIteration from None
                return self._page.popleft()
            try:
                ask = partial(asking.send, await question())
            except ResponseError as error:
                ask = partial(asking.throw, error)


class AsyncClusterScan(ScanBase, _AsyncIteration):
    """An asynchronous iterator over the keys of all hosts; see ``cluster.scan_iter``."""


class AsyncKeyScan(KeyScanBase, _AsyncIteration):
    """An asynchronous iterator over the members of a key; see ``cluster.hscan_iter``."""
