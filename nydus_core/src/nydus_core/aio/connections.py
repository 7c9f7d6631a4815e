"""All connections to one host in one event loop: those that tasks share, and pools of those that a task has for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from nydus_core.aio.multiplexer import LineConnector, Multiplexer
from nydus_core.aio.pool import FairPool
from nydus_core.engines import retire_all

__all__ = ["HostConnections"]


class HostConnections:
    """The connections to one host in one event loop.

    Parameters:
        connector: Opens connections that tasks share.
        count: How many of these there may be; 0 for none.
        depth: The most commands under way on each.
        pools: Pools of connections that a task has for itself.

    Attributes:
        shared: The connections that all tasks share.
    """

    def __init__(
        self, connector: LineConnector, count: int, depth: int, pools: Sequence[FairPool[Any]]
    ) -> None:
        self.shared = [Multiplexer(connector, depth) for _ in range(count)]
        self._pools = pools
        self._all: list[Any] = [*self.shared, *pools]

    def least_busy(self) -> Multiplexer:
        """Return the shared connection with the least to do, of those that there are."""
        return self.shared[0] if len(self.shared) == 1 else min(self.shared, key=len)

    def drop(self) -> None:
        """Close the idle connections, and the others when nothing is under way any more."""
        for each in self._all:
            each.drop()

    def drop_idle(self) -> None:
        """Close the idle connections: the host, or the way to it, was found out of order."""
        for each in self._all:
            each.drop_idle()

    async def aclose(self) -> None:
        """The same as ``drop``, and wait for the end of idle connections. A later command opens new ones."""
        await asyncio.gather(*(each.aclose() for each in self._all))

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """Close all connections, each when nothing is under way, and keep none from now on.

        Parameters:
            then: Called, once, when that is so.
        """
        retire_all(self._all, then)

    def end(self) -> Any:
        """Close the connections: the event loop ends."""
        for each in self.shared:
            each.end()
        for pool in self._pools:
            pool.drop()
