"""Tasks that are cancelled at any moment, on real servers, with one connection for all of them or with few: later answers belong
to their questions, all connections can be used, and none is left over.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError

from clusters import async_cluster_of
from nydus_core import AsyncCluster, HostError
from nydus_core.command import Outcome
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sharing import both_ways
from waiting import LONG, until_async

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]
Work = Callable[[AsyncCluster, int], Awaitable[Any]]

SIZE = 2
BIG = 300_000


#: However many fail, no host is taken for down.
cluster_of = partial(async_cluster_of, health={"failures": 10**6, "calls": 10**6})


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


# What tasks are cancelled in: each asserts that the answers that it gets are its own ------------------------------


async def single(cluster: AsyncCluster, number: int) -> None:
    text = f"single:{number}"
    assert await cluster.eval("return ARGV[1]", 1, "k", text) == text.encode()


async def large(cluster: AsyncCluster, number: int) -> None:
    text = str(number % 10) * BIG
    assert await cluster.eval("return ARGV[1]", 1, "k", text) == text.encode()


async def mapped(cluster: AsyncCluster, number: int) -> None:
    async with cluster.map() as conn:
        values = [conn.eval("return ARGV[1]", 1, f"k{i}", f"{number}:{i}") for i in range(20)]
    assert values == [f"{number}:{i}".encode() for i in range(20)]


async def transaction(cluster: AsyncCluster, number: int) -> None:
    async with cluster.map(transaction=True) as conn:
        values = [conn.eval("return ARGV[1]", 1, "k", f"{number}:{i}") for i in range(5)]
    assert values == [f"{number}:{i}".encode() for i in range(5)]


async def everywhere(cluster: AsyncCluster, number: int) -> None:
    assert await cluster.echo(f"echo:{number}") == [f"echo:{number}".encode()] * len(cluster)


async def watching(cluster: AsyncCluster, number: int) -> None:
    key = f"watched:{number}"
    async with cluster.on_key(key).pipeline() as pipeline:
        await pipeline.watch(key)
        assert await pipeline.get(key) in (None, str(number).encode())
        pipeline.multi()
        pipeline.set(key, number).get(key)
        assert await pipeline.execute() == [True, str(number).encode()]


async def watching_in_vain(cluster: AsyncCluster, number: int) -> None:
    key = f"watched:{number}"
    async with cluster.on_key(key).pipeline() as pipeline:
        await pipeline.watch(key)
        await pipeline.get(key)


async def plain_pipeline(cluster: AsyncCluster, number: int) -> None:
    pipeline = cluster.on_key("k").pipeline(transaction=False)
    for i in range(10):
        pipeline.eval("return ARGV[1]", 1, "k", f"{number}:{i}")
    assert await pipeline.execute() == [f"{number}:{i}".encode() for i in range(10)]


async def locked(cluster: AsyncCluster, number: int) -> None:
    try:
        async with cluster.lock(f"lock:{number % 3}", timeout=0.3, sleep=0.005, blocking_timeout=LONG):
            await single(cluster, number)
    except LockError:
        pass  # another task was cancelled with it in its hands


async def scanning(cluster: AsyncCluster, number: int) -> None:
    found = {key async for key in cluster.scan_iter(match="scan:*", count=10)}
    assert found == {f"scan:{i}".encode() for i in range(60)}


async def waiting(cluster: AsyncCluster, number: int) -> None:
    await cluster.blpop(f"never:{number}", timeout=LONG)


async def of_its_own(cluster: AsyncCluster, number: int) -> None:
    async with cluster.on(0).client() as one:
        assert await one.echo(f"own:{number}") == f"own:{number}".encode()


WORKS: list[Work] = [
    *(single, large, mapped, transaction, everywhere, watching, watching_in_vain),
    *(plain_pipeline, locked, scanning, waiting, of_its_own),
]


async def cancelled_after(seconds: float, work: Awaitable[Any]) -> bool:
    """Do something, but not longer than that; return whether it was cancelled. Anything else that it raises passes."""
    task = asyncio.ensure_future(work)
    await asyncio.wait([task], timeout=seconds)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


async def answer_again(cluster: AsyncCluster, relay: FaultProxy) -> None:
    """Let answers pass again. The connection of all tasks has lost some, so it is cut, and that is seen."""
    engine: Any = cluster[0]
    shared = engine._own.get().shared
    lines = [each._line for each in shared]
    relay.drop()
    await until_async(lambda: not any(each._line is line for each, line in zip(shared, lines, strict=True)))
    relay.heal()


async def assert_all_well(cluster: AsyncCluster, servers: list[PrivateServer]) -> None:
    """Each connection can be used, answers what it is asked, and there are no more of them than are used."""
    await asyncio.gather(*(work(cluster, -i) for work in (single, mapped, watching) for i in range(SIZE * 4)))
    for host, server in enumerate(servers):
        keys = [f"turn:{i}" for i in range(SIZE)]
        held = [asyncio.create_task(cluster.on(host).blpop(key, timeout=LONG)) for key in keys]
        async with redis.asyncio.Redis(unix_socket_path=server.path, single_connection_client=True) as other:

            async def listed(other: Any = other) -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = await other.client_list()
                return [each for each in found if int(each["id"]) != await other.client_id()]

            # SIZE for commands that wait, as many for transactions and the like, and the one of all tasks
            engine: Any = cluster[host]
            most = 2 * SIZE + engine.batching
            while (now := [each["cmd"] for each in await listed()]).count("blpop") != SIZE or len(now) > most:
                await asyncio.sleep(0.005)  # the server has yet to notice what was closed
            for key in keys:
                await other.rpush(key, key)
        assert await asyncio.gather(*held) == [(key.encode(), key.encode()) for key in keys]


@both_ways
@pytest.mark.parametrize("work", WORKS, ids=lambda work: work.__name__)
def test_a_task_that_is_cancelled_at_any_moment_leaves_all_well(
    redis_servers: Servers, work: Work, batching: bool
) -> None:
    servers = redis_servers(2)
    chance = random.Random(work.__name__)

    async def main() -> None:
        async with cluster_of(*servers, max_connections=SIZE, batching=batching) as cluster:
            async with cluster.map() as conn:
                for i in range(60):
                    conn.set(f"scan:{i}", i)
            loop = asyncio.get_running_loop()
            start = loop.time()
            if work is not waiting:
                await work(cluster, 0)
            took = max(0.002, min(0.05, loop.time() - start))
            cancelled = 0
            for round_ in range(12):
                if round_ % 3 == 2:
                    await cluster.aclose()  # so that some are cancelled as they connect
                ended = await asyncio.gather(
                    *(
                        cancelled_after(round_ and chance.uniform(0, 2 * took), work(cluster, i))
                        for i in range(1, 9)
                    )
                )
                cancelled += sum(ended)
                assert await cluster.eval("return ARGV[1]", 1, "k", round_) == str(round_).encode()
            assert cancelled > 5
            await assert_all_well(cluster, servers)

    run(main())


@both_ways
@pytest.mark.parametrize("work", [single, mapped, waiting], ids=lambda work: work.__name__)
def test_no_cancellation_is_lost_as_a_connection_is_opened(
    redis_servers: Servers, work: Work, batching: bool
) -> None:
    servers = redis_servers(1)

    async def main() -> None:
        async with cluster_of(*servers, max_connections=SIZE, batching=batching) as cluster:
            for turns in range(60):
                await cluster.aclose()
                task = asyncio.ensure_future(work(cluster, turns))
                for _ in range(turns):
                    await asyncio.sleep(0)
                if task.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await task
                else:
                    assert work is not waiting
                    assert task.exception() is None
            await assert_all_well(cluster, servers)

    run(main())


@both_ways
def test_tasks_of_all_kinds_are_cancelled_among_others_that_go_on(
    redis_servers: Servers, batching: bool
) -> None:
    servers = redis_servers(2)
    chance = random.Random(6)

    async def main() -> None:
        async with cluster_of(*servers, max_connections=SIZE, batching=batching) as cluster:
            async with cluster.map() as conn:
                for i in range(60):
                    conn.set(f"scan:{i}", i)
            done: Counter[str] = Counter()

            async def steadily(number: int) -> None:
                for i in range(25):
                    await single(cluster, number * 1000 + i)
                    done["steady"] += 1

            async def hastily(number: int) -> None:
                for i in range(25):
                    work = chance.choice(WORKS)
                    await cancelled_after(chance.uniform(0, 0.02), work(cluster, number * 1000 + i))

            async with asyncio.TaskGroup() as group:
                for number in range(1, 5):
                    group.create_task(steadily(number))
                for number in range(11, 27):
                    group.create_task(hastily(number))
            assert done["steady"] == 100
            await assert_all_well(cluster, servers)

    run(main())


@both_ways
def test_slow_servers_are_left_while_they_greet_and_answer(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    servers = redis_servers(1)
    chance = random.Random(7)

    async def main() -> None:
        relay = proxy(servers[0])
        async with cluster_of(relay, max_connections=SIZE, batching=batching) as cluster:
            relay.delay = 0.01
            for number in range(1, 41):
                if number % 4 == 0:
                    relay.drop()
                work = chance.choice([single, large, mapped, watching, plain_pipeline])
                await asyncio.gather(
                    *(
                        cancelled_after(chance.uniform(0, 0.08), work(cluster, number * 10 + i))
                        for i in range(3)
                    )
                )
            relay.delay = 0
            await assert_all_well(cluster, servers)

    run(main())


@both_ways
def test_what_a_cancelled_task_has_sent_may_have_been_applied(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=SIZE, pipeline_depth=SIZE, batching=batching) as cluster:
            await cluster.ping()
            relay.swallow = True
            promises: list[Any] = []

            async def work() -> None:
                async with cluster.map() as conn:
                    promises.extend(conn.incr("n") for _ in range(2))

            sending = asyncio.create_task(work())
            await until_async(lambda: relay.requests and b"INCR" in relay.requests[-1])
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            assert [each.outcome for each in promises] == [Outcome.MAYBE_APPLIED] * 2
            # both connections are in use, or all that may be under way is, so a third task waits in line: it was not sent
            engine: Any = cluster[0]
            shared, turns = engine._own.get().shared, engine.pool._turns
            held = [asyncio.create_task(cluster.incr("n")) for _ in range(SIZE)]
            await until_async(lambda: not turns.free or (shared and len(shared[0]) == 2 * SIZE))
            promises.clear()
            queued = asyncio.create_task(work())
            await until_async(lambda: turns._line or (shared and len(shared[0]) == 2 * SIZE + 1))
            queued.cancel()
            with pytest.raises(asyncio.CancelledError):
                await queued
            assert [each.outcome for each in promises] == [Outcome.NOT_SENT] * 2
            for task in held:
                task.cancel()
            ended = await asyncio.gather(*held, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended)
            await answer_again(cluster, relay)
            assert int(await cluster.get("n")) >= 2

    run(main())


def test_no_connection_is_opened_for_commands_that_were_all_cancelled(
    redis_servers: Servers, proxy: Proxies
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, pipeline_depth=1) as cluster:
            await cluster.ping()
            engine: Any = cluster[0]
            (shared,) = engine._own.get().shared
            relay.swallow = True
            tasks = [asyncio.create_task(cluster.incr("n")) for _ in range(3)]
            await until_async(lambda: len(shared) == 3)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            relay.drop()
            await until_async(lambda: shared._line is None)
            for _ in range(3):
                await asyncio.sleep(0)
            assert shared._opening is None
            assert len(shared) == 0

    run(main())


@both_ways
def test_a_timeout_of_asyncio_is_the_tasks_own(
    redis_servers: Servers, proxy: Proxies, batching: bool
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=SIZE, batching=batching) as cluster:
            await cluster.ping()
            relay.swallow = True
            asks: list[Callable[[], Awaitable[Any]]] = [
                lambda: cluster.incr("n"),
                lambda: cluster.on(0).pipeline().incr("n").execute(),
                lambda: cluster.on(0).ping(),
            ]
            for ask in asks:
                with pytest.raises(TimeoutError) as caught:
                    async with asyncio.timeout(0.1):
                        await ask()
                assert not isinstance(caught.value, HostError)
            await answer_again(cluster, relay)
            await single(cluster, 1)

    run(main())
