"""Connections of the asyncio side while they are made: a task that is cancelled meanwhile ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from nydus_core import create_async_cluster
from nydus_redis.connection.pool_aio import heedful
from sharing import both_ways
from waiting import LONG


@both_ways
def test_a_task_that_is_cancelled_at_any_turn_of_connecting_ends(
    redis_servers: Callable[..., list[Any]], batching: bool
) -> None:
    """``asyncio.wait_for`` of Python 3.11, with which redis-py sends its greeting, loses some cancellations."""
    (server,) = redis_servers(1)

    async def cancelled_after(turns: int) -> bool:
        """Whether the cancellation came early enough."""
        host = {"unix_socket_path": server.path, "timeout": LONG, "batching": batching}
        async with create_async_cluster({"engine": "redis", "hosts": [host]}) as cluster:
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


@pytest.mark.parametrize("ends", ["well", "badly"])
def test_no_cancellation_is_lost_that_comes_as_sending_ends(ends: str) -> None:
    """The turn in which a server that is killed closes its connection is rarely met, so redis-py's sending is played here."""

    class Sending:
        _parser = SimpleNamespace(on_disconnect=lambda: None)
        _writer = _reader = None
        sent: asyncio.Future[None]

        async def send_packed_command(self, command: bytes) -> None:
            await asyncio.wait_for(self.sent, LONG)

    async def main() -> None:
        connection = heedful(Sending)()
        connection.sent = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(connection.send_packed_command(b"PING"))
        await asyncio.sleep(0)
        if ends == "well":
            connection.sent.set_result(None)
        else:
            connection.sent.set_exception(ConnectionResetError("Connection lost"))
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())
