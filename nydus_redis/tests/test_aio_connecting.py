"""Connections of the asyncio side while they are made: a task that is cancelled meanwhile ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nydus_core import create_async_cluster


def test_a_task_that_is_cancelled_at_any_turn_of_connecting_ends(
    redis_servers: Callable[..., list[Any]],
) -> None:
    """``asyncio.wait_for`` of Python 3.11, with which redis-py sends its greeting, loses some cancellations."""
    (server,) = redis_servers(1)

    async def cancelled_after(turns: int) -> bool:
        """Whether the cancellation came early enough."""
        async with create_async_cluster(
            {"engine": "redis", "hosts": [{"unix_socket_path": server.path}]}
        ) as cluster:
            task = asyncio.create_task(cluster.get("key"))
            for _ in range(turns):
                await asyncio.sleep(0)
            early = task.cancel()
            await asyncio.wait([task])
            assert task.cancelled() == early, f"after {turns} turns"
            return early

    async def main() -> None:
        turns = 0
        while await cancelled_after(turns):
            turns += 1
        assert turns > 2  # else it was never cancelled while it connected

    asyncio.run(main())
