"""A ``map()`` of many commands gives other tasks of its event loop their turns, whatever becomes of the commands.

Turns are counted, not timed: a task that does nothing but wait for its next turn has had so many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from clusters import async_cluster_of
from given import MemcachedServers, RedisServers
from in_loop import in_loop
from nydus_core import BaseAsyncEngine, HostDown, MaybeApplied, create_async_cluster, hookimpl
from nydus_core.pieces import COSTLY, OF_LANE, PIECE
from nydus_core.plugins.manager import hooks
from sharing import both_ways
from thinned import thinned
from waiting import LONG

#: Commands, on two hosts.
MANY = 8 * PIECE

engines = pytest.mark.parametrize(
    ("engine", "options"),
    [("redis", {}), ("redis", {"batching": False}), ("memcache", {})],
    ids=["redis", "redis-own", "memcache"],
)


class Turns:
    """Counts the turns of a task beside others."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


@asynccontextmanager
async def counted() -> Any:
    turns = Turns()
    task = asyncio.create_task(turns.run())
    await asyncio.sleep(0)
    turns.count = 0
    try:
        yield turns
    finally:
        task.cancel()


@pytest.fixture
def servers_of(
    redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> Callable[[str], list[Any]]:
    return lambda engine: list((redis_servers if engine == "redis" else memcached_servers)(2))


#: Commands that fail, which takes longer.
FAILING = 2 * PIECE


async def sent(
    cluster: Any, queue: Callable[[Any, int], Any], count: int = MANY, **options: Any
) -> tuple[int, Any]:
    """Send many commands; return the turns that others had meanwhile, and the connection of the block."""
    block = cluster.map(fail_silently=True, **options)
    conn = await block.__aenter__()
    for number in range(count):
        queue(conn, number)
    async with counted() as turns:
        await block.__aexit__(None, None, None)
        return turns.count, conn


@engines
def test_while_commands_are_sent_and_answered(
    engine: str, options: dict[str, Any], servers_of: Callable[[str], list[Any]]
) -> None:
    async def main() -> None:
        async with async_cluster_of(*servers_of(engine), engine=engine, **options) as cluster:
            turns, conn = await sent(cluster, lambda conn, number: conn.set(f"k{number}", b"x"))
            assert all(conn.get_results())
            # planned, settled; on each of two hosts at the same time made ready or written, and read
            assert turns > 2 * MANY // PIECE - 2 + MANY // 2 // OF_LANE
            turns, conn = await sent(cluster, lambda conn, number: conn.get(f"k{number}"))
            assert set(conn.get_results()) == {b"x"}
            assert turns > 2 * MANY // PIECE - 2

    in_loop(main)


def test_while_a_transaction_is_answered(redis_servers: RedisServers) -> None:
    async def main() -> None:
        async with async_cluster_of(*redis_servers(2)) as cluster:
            turns, conn = await sent(
                cluster, lambda conn, number: conn.set(f"k{number}", b"x"), transaction=True
            )
            assert all(conn.get_results())
            assert turns > MANY // PIECE + MANY // 2 // OF_LANE

    in_loop(main)


@engines
def test_while_hosts_are_down(engine: str, options: dict[str, Any]) -> None:
    async def main() -> None:
        hosts = {name: {"unix_socket_path": f"/nowhere/{name}.sock", **options} for name in "ab"}
        settings = {"engine": engine, "hosts": hosts, "router": "rendezvous", "retry": {"attempts": 2}}
        async with create_async_cluster(settings) as cluster:
            for _ in range(2):  # not connected; and refused, because they are down
                turns, conn = await sent(cluster, lambda conn, number: conn.set(f"k{number}", b"x"), FAILING)
                assert {type(failure.error).__mro__[1] for failure in conn.get_errors()}
                assert all(isinstance(failure.error, HostDown) for failure in conn.get_errors())
                assert len(conn.get_errors()) == FAILING
                assert turns > FAILING // COSTLY

    in_loop(main)


@both_ways
def test_while_servers_answer_errors(redis_servers: RedisServers, batching: bool) -> None:
    async def main() -> None:
        async with async_cluster_of(*redis_servers(2), batching=batching) as cluster:
            await sent(cluster, lambda conn, number: conn.set(f"k{number}", b"x"))
            turns, conn = await sent(cluster, lambda conn, number: conn.lpush(f"k{number}", b"x"))
            assert len(conn.get_errors()) == MANY
            assert turns > MANY // COSTLY

    in_loop(main)


@both_ways
def test_while_commands_are_cut_and_put_together(redis_servers: RedisServers, batching: bool) -> None:
    async def main() -> None:
        async with async_cluster_of(*redis_servers(2), batching=batching) as cluster:
            turns, conn = await sent(cluster, lambda conn, number: conn.mget(f"a{number}", f"b{number}"))
            assert all(value == [None, None] for value in conn.get_results())
            assert turns > 2 * MANY // PIECE + MANY // OF_LANE

    in_loop(main)


class Recorder:
    """A plugin that counts commands."""

    def __init__(self) -> None:
        self.commands = 0

    @hookimpl
    def nydus_batch_done(self, commands: Any, hosts: Any) -> None:
        assert len(hosts) == len(commands)
        self.commands += len(commands)


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()
    hooks.register(recorder, None)
    try:
        yield recorder
    finally:
        hooks.unregister(recorder)


def test_while_the_hosts_of_commands_are_named_for_plugins(redis_servers: RedisServers) -> None:
    async def main() -> None:
        async with async_cluster_of(*redis_servers(2)) as cluster:
            quiet, _ = await sent(cluster, lambda conn, number: conn.set(f"k{number}", b"x"))
            with recording() as recorder:
                turns, _ = await sent(cluster, lambda conn, number: conn.set(f"k{number}", b"x"))
            assert recorder.commands == MANY
            assert turns > 3 * MANY // PIECE - 3 + MANY // 2 // OF_LANE
            assert quiet

    in_loop(main)


class Dict:
    """A client that never waits."""

    async def put(self, key: str) -> str:
        return key


class Store(BaseAsyncEngine):
    """An engine of a third party."""

    async def connect(self) -> Any:
        return Dict()

    async def disconnect(self, client: Any) -> None:
        """Do nothing."""


def test_while_a_client_that_never_waits_is_asked() -> None:
    async def main() -> None:
        settings = {"engine": Store, "hosts": {0: {}, 1: {}}, "router": "rendezvous"}
        async with create_async_cluster(settings) as cluster:
            turns, conn = await sent(cluster, lambda conn, number: conn.put(f"k{number}"))
            assert conn.get_results()[7] == "k7"
            assert turns > MANY // 2 // 100

    in_loop(main)


def test_while_a_pipeline_queues(redis_servers: RedisServers) -> None:
    async def main() -> None:
        async with async_cluster_of(*redis_servers(2)) as cluster:
            pipeline = cluster.pipeline(transaction=False)
            for number in range(MANY):
                pipeline.set(f"k{number}", b"x")
            async with counted() as turns:
                assert all(await pipeline.execute())
                assert turns.count > 3 * MANY // PIECE - 3

    in_loop(main)


@engines
def test_a_task_that_is_cancelled_between_turns_tells_true_outcomes(
    engine: str, options: dict[str, Any], servers_of: Callable[[str], list[Any]]
) -> None:
    """Cancelled after each of the first turns: what has a value was applied, and what was not sent never is."""

    async def cancelled_after(cluster: Any, count: int) -> bool:
        block = cluster.map(fail_silently=True)
        conn = await block.__aenter__()
        promises = [conn.incr(f"n{number}", 1) for number in range(2 * PIECE)]
        before = await values(cluster)
        task = asyncio.ensure_future(block.__aexit__(None, None, None))
        for _ in range(count):
            await asyncio.sleep(0)
        task.cancel()
        ended = (await asyncio.gather(task, return_exceptions=True))[0]
        after = await values(cluster)
        for number, promise in enumerate(promises):
            applied = after[number] - before[number]
            try:
                error = promise.error
            except Exception:  # it was refused before anything was sent
                error = HostDown("not sent", host="", command="")
            if error is None:
                assert applied == 1, (count, number)
            elif isinstance(error, HostDown):
                assert applied == 0, (count, number, error)
            else:
                assert isinstance(error, MaybeApplied)
                assert applied in (0, 1)
        return isinstance(ended, asyncio.CancelledError)

    async def values(cluster: Any) -> list[int]:
        async with cluster.map() as conn:
            found = [conn.get(f"n{number}") for number in range(2 * PIECE)]
        return [int(each.value) for each in found]

    async def main() -> None:
        async with async_cluster_of(*servers_of(engine), engine=engine, timeout=LONG, **options) as cluster:
            async with cluster.map() as conn:
                for number in range(2 * PIECE):
                    conn.set(f"n{number}", "0")
            ends = [await cancelled_after(cluster, count) for count in thinned(range(0, 40, 3), 3)]
            assert any(ends)

    in_loop(main)
