"""One test for both sides: the blocking and the asynchronous cluster, behind the same words.

A scenario is a coroutine function. It awaits whatever a cluster returns, by way of ``await side(cluster.get(key))``. On the
blocking side that is the value already, and nothing really waits, so that no event loop is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ClassVar

from in_loop import in_loop
from nydus_core import create_async_cluster, create_cluster
from waiting import LONG

__all__ = ["AsyncOwnSide", "AsyncSide", "BlockingSide", "Scenario", "Side"]

#: What is run on a side; it returns what has to be the same on both.
Scenario = Callable[..., Coroutine[Any, Any, Any]]


class Side:
    """One side.

    Attributes:
        name: The name.
        shares: Whether commands share one connection a host.
        create: Makes a cluster.
    """

    name: ClassVar[str]
    shares: ClassVar[bool] = False
    create: ClassVar[Callable[..., Any]]

    def __init__(self) -> None:
        self._clusters: list[Any] = []

    def cluster(self, settings: Any) -> Any:
        """Make a cluster, which is closed when the scenario ends."""
        self._clusters.append(type(self).create(settings))
        return self._clusters[-1]

    async def __call__(self, found: Any) -> Any:
        """Return the value of a call."""
        raise NotImplementedError

    def map(self, cluster: Any, **options: Any) -> Any:
        """``async with side.map(cluster) as conn:``"""
        raise NotImplementedError

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        raise NotImplementedError

    async def until(self, true: Callable[[], Any], seconds: float = LONG) -> None:
        """Wait until something comes true."""
        end = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < end, f"it did not come true within {seconds:g} s"
            await self.sleep(0.002)

    def run(self, scenario: Scenario, *given: Any) -> Any:
        """Run a scenario, and close its clusters."""
        raise NotImplementedError

    async def _run(self, scenario: Scenario, given: tuple[Any, ...]) -> Any:
        try:
            return await scenario(self, *given)
        finally:
            for cluster in self._clusters:
                await self(cluster.close())


class BlockingSide(Side):
    """The blocking cluster."""

    name = "blocking"
    create = staticmethod(create_cluster)

    async def __call__(self, found: Any) -> Any:
        return found

    @contextlib.asynccontextmanager
    async def map(self, cluster: Any, **options: Any) -> AsyncIterator[Any]:
        with cluster.map(**options) as conn:
            yield conn

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def run(self, scenario: Scenario, *given: Any) -> Any:
        try:
            self._run(scenario, given).send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("it waits for something that is not the blocking side's")


class AsyncSide(Side):
    """The asynchronous cluster."""

    name = "asyncio"
    shares = True
    create = staticmethod(create_async_cluster)

    async def __call__(self, found: Any) -> Any:
        assert inspect.isawaitable(found)
        return await found

    def map(self, cluster: Any, **options: Any) -> Any:
        return cluster.map(**options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def run(self, scenario: Scenario, *given: Any) -> Any:
        return in_loop(lambda: self._run(scenario, given))


class AsyncOwnSide(AsyncSide):
    """The asynchronous cluster without batching: each command that is under way has a connection of its own."""

    name = "asyncio-own"
    shares = False

    def cluster(self, settings: Any) -> Any:
        hosts, without = settings["hosts"], {"batching": False}
        if isinstance(hosts, list):
            hosts = dict(enumerate(hosts))
        if any(isinstance(host, str) for host in hosts.values()):  # a URL
            return super().cluster({**settings, "defaults": {**settings.get("defaults", {}), **without}})
        hosts = {name: {**host, **without} for name, host in hosts.items()}
        return super().cluster({**settings, "hosts": hosts})
