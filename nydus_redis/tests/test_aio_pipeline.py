"""Pipelines, transactions, scripts, locks and iteration with asyncio, on real servers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError, WatchError

from clusters import async_cluster_of as cluster_of
from clusters import keys_of, settings_of
from nydus_core import (
    AsyncCluster,
    HostDown,
    MaybeApplied,
    RoutingError,
    create_async_cluster,
    create_cluster,
)
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.embedded.server import PrivateServer
from sharing import warm_up
from waiting import LONG, until_async

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


async def all_connections_work(cluster: AsyncCluster, host: Any, size: int) -> None:
    """So many pipelines can be under way on a host at once, each with its own answer, and no more connections are open."""
    client = cluster.on(host)
    pipelines = [client.pipeline().eval("return ARGV[1]", 1, "k", i) for i in range(size * 3)]
    values = await asyncio.gather(*(each.execute() for each in pipelines))
    assert values == [[str(i).encode()] for i in range(size * 3)]
    waiting = [asyncio.create_task(client.blpop(f"turn{i}", timeout=LONG)) for i in range(size)]
    async with client.client() as one:
        while sum(each["cmd"] == "blpop" for each in await one.client_list()) < size:
            await asyncio.sleep(0.01)
        engine: Any = cluster[host]
        most = 2 * size + engine.batching + 1
        while len(await one.client_list()) > most:  # the server has yet to notice that some were closed
            await asyncio.sleep(0.01)
        for i in range(size):
            await one.rpush(f"turn{i}", i)
    answered = await asyncio.gather(*waiting)
    assert answered == [(f"turn{i}".encode(), str(i).encode()) for i in range(size)]


# The cluster's pipeline ----------------------------------------------------------------------------------------


def test_the_pipeline_of_a_cluster_answers_by_position(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            async with cluster.pipeline() as pipeline:
                for i in range(30):
                    pipeline.set(f"k{i}", i).get(f"k{i}")
                assert len(pipeline) == 60
                assert await pipeline.execute() == [
                    each for i in range(30) for each in (True, str(i).encode())
                ]
                assert await pipeline.execute() == []
                pipeline.mget("k1", "k2", "k3").ping()
                assert await pipeline.execute() == [[b"1", b"2", b"3"], [True] * 3]
            # awaited as redis-py has it
            pipeline = cluster.pipeline(transaction=False)
            assert await pipeline.incr("k1") is pipeline
            assert await pipeline.execute() == [2]

    run(main())


def test_a_promise_is_its_value_as_an_argument(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            async with cluster.map() as conn:
                two = conn.incr("n", 2)
            for pipeline in (cluster.pipeline(), cluster.on_key("k").pipeline(), cluster.on(0).pipeline()):
                assert await pipeline.set("k", two).get("k").execute() == [True, b"2"]

    run(main())


def test_errors_are_raised_or_stand_among_the_values(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            await cluster.set("text", "x")
            pipeline = cluster.pipeline(transaction=False).incr("n").lpush("text", 1).incr("n")
            with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
                await pipeline.execute()
            assert [type(each) for each in pipeline.get_results()] == [int, redis.ResponseError, int]
            assert len(pipeline.get_errors()) == 1
            pipeline.lpush("text", 1).incr("n")
            error, value = await pipeline.execute(raise_on_error=False)
            assert isinstance(error, redis.ResponseError)
            assert value == 3

    run(main())


def test_after_a_cancelled_execute_it_tells_what_is_known(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1)) as cluster:
            pipe = cluster.pipeline(transaction=False)
            assert await pipe.set("k", "v").execute() == [True]
            task = asyncio.create_task(pipe.get("k").blpop("empty", LONG).execute())
            async with cluster.on(0).client() as one:
                while not any(each["cmd"] == "blpop" for each in await one.client_list()):
                    await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            value, error = pipe.get_results()
            assert (value, type(error).__name__) == (b"v", "MaybeApplied")
            assert [failure.position for failure in pipe.get_errors()] == [1]

    run(main())


def test_what_was_reset_or_left_is_not_sent(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(2)) as cluster:
            pipeline = cluster.pipeline().incr("n")
            await pipeline.reset()
            assert await pipeline.execute() == []
            async with cluster.pipeline() as left:
                left.incr("n")
            assert await left.execute() == []
            pipeline.incr("n")
            await pipeline.aclose()
            assert await pipeline.execute() == []
            assert await cluster.get("n") is None
            for call in ("watch", "lock", "scan_iter", "pipeline", "monitor"):
                with pytest.raises(RoutingError):
                    getattr(pipeline, call)("n")

    run(main())


def test_a_pipeline_is_no_plain_context_manager() -> None:
    cluster = create_async_cluster({"engine": Redis, "hosts": [{}]})
    with pytest.raises(TypeError, match="is used with 'async with'"), cluster.pipeline():
        pass


def test_scripts_in_a_pipeline_need_no_host_to_know_them(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            keys = keys_of(cluster)
            double = cluster.register_script("return redis.call('incrby', KEYS[1], ARGV[1]) * 2")
            async with cluster.pipeline() as pipeline:
                for key in keys:
                    await double(keys=[key], args=[4], client=pipeline)
                assert await pipeline.execute() == [8, 8, 8]
            async with cluster.map() as conn:
                values = [conn.evalsha(double.sha, 1, key, 1) for key in keys]
            assert values == [10, 10, 10]

    run(main())


# The pipeline of one host --------------------------------------------------------------------------------------


def test_watch_multi_and_execute(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            for key in keys_of(cluster):
                await cluster.set(key, 5)
                async with cluster.on_key(key).pipeline() as pipeline:
                    await pipeline.watch(key)
                    number = int(await pipeline.get(key))
                    pipeline.multi()
                    pipeline.set(key, number * 2).get(key)
                    assert await pipeline.execute() == [True, b"10"]
                    await pipeline.watch(key)
                    await cluster.incr(key)
                    pipeline.multi()
                    pipeline.set(key, "never")
                    with pytest.raises(WatchError):
                        await pipeline.execute()
                    pipeline.set(key, "again")
                    assert await pipeline.execute() == [True]
                assert await cluster.get(key) == b"again"

    run(main())


def test_a_pipeline_of_a_key_refuses_the_keys_of_others(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            here, there, _ = keys_of(cluster)
            async with cluster.on_key(here).pipeline() as pipeline:
                with pytest.raises(RoutingError):
                    pipeline.get(there)
                with pytest.raises(RoutingError):
                    await pipeline.watch(there)
                with pytest.raises(RoutingError):
                    await cluster.on_key(here).get(there)
                assert await pipeline.set(here, 1).execute() == [True]

    run(main())


@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_a_transaction_is_run_again_when_a_watched_key_changes(redis_servers: Servers, kind: str) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            key, _, _ = keys_of(cluster)
            runs = 0

            def plain(pipeline: Any) -> str:
                nonlocal runs
                runs += 1
                pipeline.multi()
                pipeline.incr(key)
                return "done"

            async def coroutine(pipeline: Any) -> str:
                value = int(await pipeline.get(key) or 0)
                if runs < 2:
                    await cluster.incr(key)
                plain(pipeline)
                pipeline.set(f"{key}", value * 10)
                return "done"

            host = cluster.on_key(key)
            if kind == "plain":
                assert await host.transaction(plain, key) == [1]
                assert await host.transaction(plain, key, value_from_callable=True) == "done"
            else:
                assert await host.transaction(coroutine, key) == [3, True]
                assert runs == 3
                assert await cluster.get(key) == b"20"
            with pytest.raises(RoutingError, match="on_key"):
                await cluster.transaction(plain, key)

    run(main())


def lose_answers(fault: str, relay: FaultProxy, pipeline: Any) -> None:
    """From now on a pipeline with a connection gets no answer: that is cut, or it waits in vain, not for long."""
    if fault == "cut":
        relay.cut_replies()
    else:
        relay.swallow = True
        pipeline.connection.socket_timeout = 0.1


@pytest.mark.parametrize("fault", ["cut", "swallow"])
def test_an_exec_whose_answer_is_lost_is_not_run_again(
    redis_servers: Servers, proxy: Proxies, fault: str
) -> None:
    async def main() -> None:
        (server,) = redis_servers(1)
        relay = proxy(server)
        async with cluster_of(relay, max_connections=2) as cluster:
            runs = 0

            async def work(pipeline: Any) -> None:
                nonlocal runs
                runs += 1
                await pipeline.get("n")
                pipeline.multi()
                pipeline.incr("n")
                lose_answers(fault, relay, pipeline)

            for count in range(1, 3):
                with pytest.raises(MaybeApplied) as caught:
                    await cluster.on(0).transaction(work, "n")
                kind = redis.TimeoutError if fault == "swallow" else redis.ConnectionError
                error: Any = caught.value
                assert isinstance(error, kind)
                relay.heal()
                assert runs == count
                async with cluster_of(server) as direct:
                    assert await direct.get("n") == str(count).encode()
            await all_connections_work(cluster, 0, 2)

    run(main())


@pytest.mark.parametrize("fault", ["swallow", "cut"])
def test_what_is_lost_while_keys_are_watched_costs_no_connection(
    redis_servers: Servers, proxy: Proxies, fault: str
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=2) as cluster:
            for _ in range(2):
                with pytest.raises(MaybeApplied):
                    async with cluster.on(0).pipeline() as pipeline:
                        await pipeline.watch("n")
                        lose_answers(fault, relay, pipeline)
                        await pipeline.get("n")
                relay.heal()
                async with cluster.on(0).pipeline() as pipeline:  # UNWATCH is not answered: nobody is told
                    await pipeline.watch("n")
                    lose_answers(fault, relay, pipeline)
                relay.heal()
            await all_connections_work(cluster, 0, 2)

    run(main())


def test_a_pipeline_whose_end_is_cancelled_leaves_no_answer_to_the_next_command(
    redis_servers: Servers, proxy: Proxies
) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=1) as cluster:
            await cluster.set("k", "v")
            pipeline = cluster.on_key("k").pipeline()
            await pipeline.watch("k")
            relay.delay = LONG
            ending = asyncio.create_task(pipeline.reset())
            await until_async(lambda: b"UNWATCH" in relay.requests[-1])
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            relay.delay = 0
            assert await cluster.on_key("k").pipeline().get("k").execute() == [b"v"]

    run(main())


def test_a_pipeline_that_is_dropped_gives_its_connection_back(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1), max_connections=2) as cluster:
            for _ in range(5):
                pipeline = cluster.on(0).pipeline()
                await pipeline.watch("n")
                del pipeline
                gc.collect(1)  # the young ones: a whole collection takes longer than the test
            await all_connections_work(cluster, 0, 2)

    run(main())


def test_tasks_that_share_a_pipeline_on_one_host_send_it_once(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(1), max_connections=2) as cluster:
            for count in range(1, 5):
                pipe = cluster.on_key("k").pipeline().incr("k")
                both: Any = asyncio.gather(pipe.execute(), pipe.execute(), return_exceptions=True)
                first, second = await both
                assert first == [count]
                assert isinstance(second, RuntimeError)
            await all_connections_work(cluster, 0, 2)

    run(main())


def test_a_pipeline_whose_block_ends_while_it_is_sent_leaves_no_answer_to_another(
    redis_servers: Servers, proxy: Proxies
) -> None:
    async def main() -> None:
        front = proxy(redis_servers(1)[0])
        async with cluster_of(front, max_connections=1) as cluster:
            await cluster.on_key("other").pipeline(transaction=False).set("other", "v").execute()
            front.requests.clear()
            front.delay = LONG
            async with cluster.on_key("k").pipeline(transaction=False) as pipe:
                task = asyncio.create_task(pipe.incr("k").execute())
                await until_async(lambda: front.requests)
            front.delay = 0
            other = cluster.on_key("other").pipeline(transaction=False)
            assert await other.get("other").execute() == [b"v"]
            with pytest.raises(MaybeApplied):
                await task
            assert await cluster.get("k") == b"1"

    run(main())


def test_scripts_that_cannot_be_loaded_cost_no_connection(redis_servers: Servers, proxy: Proxies) -> None:
    async def main() -> None:
        relay = proxy(redis_servers(1)[0])
        async with cluster_of(relay, max_connections=2) as cluster:
            host = cluster.on(0)
            script = host.register_script("return 7")
            for _ in range(3):
                await warm_up(cluster, "pipeline")
                relay.cut_replies()
                pipeline = host.pipeline()
                await script(client=pipeline)
                with pytest.raises(MaybeApplied):
                    await pipeline.execute()
                relay.heal()
            await script(client=pipeline)
            assert await pipeline.execute() == [7]
            await all_connections_work(cluster, 0, 2)

    run(main())


def test_a_pipeline_to_a_host_that_is_down_is_not_sent(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    async def main() -> None:
        server = new_redis_server()
        async with cluster_of(server, max_connections=2) as cluster:
            await cluster.ping()
            server.stop()
            for _ in range(3):
                with pytest.raises(HostDown) as caught:
                    await cluster.on(0).pipeline().incr("n").execute()
                assert isinstance(caught.value, redis.ConnectionError)
                with pytest.raises(HostDown):
                    async with cluster.on(0).pipeline() as pipeline:
                        await pipeline.watch("n")

    run(main())


# Scripts -------------------------------------------------------------------------------------------------------


def test_a_script_is_run_where_its_key_lives_also_after_a_restart(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    async def main() -> None:
        servers = [new_redis_server() for _ in range(2)]
        async with cluster_of(*servers) as cluster:
            keys = keys_of(cluster)
            script = cluster.register_script("return redis.call('incr', KEYS[1])")
            assert [await script(keys=[key]) for key in keys] == [1, 1]
            servers[0].restart()
            assert [await script(keys=[key]) for key in keys] == [1, 2]
            servers[1].restart()
            assert [await cluster.evalsha(script.sha, 1, key) for key in keys] == [2, 1]
            with pytest.raises(NoScriptError):
                await cluster.evalsha("0" * 40, 1, keys[0])

    run(main())


def test_a_script_is_queued_in_a_map_and_no_host_has_to_know_it(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            keys = keys_of(cluster)
            add = cluster.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
            async with cluster.map() as conn:
                results = [await add(keys=[key], args=[i], client=conn) for i, key in enumerate(keys)]
                assert len(conn) == len(keys)
            assert results == [0, 1, 2]

    run(main())


def test_a_dead_host_does_not_keep_locks_and_scripts_from_the_others(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    async def main() -> None:
        servers = [new_redis_server() for _ in range(3)]
        async with cluster_of(*servers) as cluster:
            first, second, third = keys_of(cluster)
            servers[2].stop()
            name = await cluster.script_load("return 1")
            assert name == "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"
            double = cluster.register_script("return redis.call('incr', KEYS[1]) * 2")
            async with cluster.lock(first, timeout=LONG):
                assert await double(keys=[second]) == 2
            assert await cluster.exists(first) == 0
            with pytest.raises(HostDown):
                await double(keys=[third])

    run(main())


# Locks ---------------------------------------------------------------------------------------------------------


def test_locks_live_on_the_hosts_of_their_keys(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            for host, key in enumerate(keys_of(cluster)):
                lock = cluster.lock(key, timeout=100)
                assert await lock.acquire()
                assert await cluster.on(host).exists(key) == 1
                assert await lock.owned()
                assert await lock.locked()
                assert await lock.extend(100)
                assert await cluster.ttl(key) > 100
                assert await lock.reacquire()
                assert await cluster.ttl(key) <= 100
                other = cluster.lock(key, timeout=100)
                assert not await other.acquire(blocking=False)
                assert not await cluster.lock(key, blocking_timeout=0.05, sleep=0.01).acquire()
                with pytest.raises(LockError):
                    await other.release()
                await cluster.set(key, "stolen")
                with pytest.raises(LockNotOwnedError):
                    await lock.release()

    run(main())


def test_tasks_that_want_one_lock_have_it_one_after_the_other(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(2), max_connections=3) as cluster:
            inside, most, done = 0, 0, 0

            async def work() -> None:
                nonlocal inside, most, done
                async with cluster.lock("lock", timeout=LONG, sleep=0.002):
                    inside += 1
                    most = max(most, inside)
                    number = int(await cluster.get("n") or 0)
                    await cluster.set("n", number + 1)
                    inside -= 1
                    done += 1

            async with asyncio.TaskGroup() as group:
                for _ in range(20):
                    group.create_task(work())
            assert (most, done) == (1, 20)
            assert await cluster.get("n") == b"20"

    run(main())


# Iteration -----------------------------------------------------------------------------------------------------


async def some_of(scan: AsyncIterator[Any], count: int) -> list[Any]:
    return [await anext(scan) for _ in range(count)]


def test_all_keys_of_all_hosts_come_up(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            keys = {f"k{i}".encode() for i in range(300)}
            async with cluster.map() as conn:
                for key in keys:
                    conn.set(key, 1)
            assert {key async for key in cluster.scan_iter()} == keys
            assert {key async for key in cluster.scan_iter(match="k1*", count=10)} == {
                key for key in keys if key.startswith(b"k1")
            }
            await cluster.hset("hash", mapping={str(i): i for i in range(50)})
            await cluster.sadd("set", *range(50))
            await cluster.zadd("zset", {str(i): i for i in range(50)})
            assert len(dict([pair async for pair in cluster.hscan_iter("hash", count=10)])) == 50
            assert len({each async for each in cluster.sscan_iter("set")}) == 50
            assert len({each async for each in cluster.zscan_iter("zset")}) == 50
            home = cluster.on_key("hash")
            assert b"hash" in {key async for key in home.scan_iter(_type="hash")}

    run(main())


def test_tasks_that_share_an_iteration_pass_over_no_key(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(3)) as cluster:
            keys = {f"k{i}".encode() for i in range(300)}
            async with cluster.map() as conn:
                for key in keys:
                    conn.set(key, 1)
            scan = cluster.scan_iter(count=10)
            found: set[Any] = set()

            async def take() -> None:
                async for key in scan:
                    found.add(key)

            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(take())
            assert found == keys

    run(main())


def test_an_iteration_that_is_left_half_way_holds_nothing_and_can_be_closed(redis_servers: Servers) -> None:
    async def main() -> None:
        async with cluster_of(*redis_servers(2), max_connections=1) as cluster:
            await cluster.mset({f"k{i}": i for i in range(50)})
            async with aclosing(cluster.scan_iter(count=5)) as scan:
                async for _ in scan:
                    break
            async for _ in cluster.scan_iter(count=5):
                break
            assert await cluster.get("k1") == b"1"

    run(main())


def test_an_iteration_goes_on_in_another_cluster_and_on_the_other_side(redis_servers: Servers) -> None:
    servers = redis_servers(2)
    keys = {f"k{i}".encode() for i in range(200)}

    async def first() -> tuple[set[Any], str]:
        async with cluster_of(*servers) as cluster:
            async with cluster.map() as conn:
                for key in keys:
                    conn.set(key, 1)
            scan = cluster.scan_iter(match="k*", count=10)
            return set(await some_of(scan, 30)), scan.cursor

    async def last(cursor: str) -> set[Any]:
        async with cluster_of(*servers) as cluster:
            with pytest.raises(RoutingError, match="was begun with"):
                cluster.scan_iter(cursor=cursor)
            return {key async for key in cluster.scan_iter(match="k*", count=10, cursor=cursor)}

    found, cursor = asyncio.run(first())
    with create_cluster(settings_of(*servers)) as blocking:
        scan = blocking.scan_iter(match="k*", count=10, cursor=cursor)
        found |= {next(scan) for _ in range(60)}
        cursor = scan.cursor
    rest = asyncio.run(last(cursor))
    assert found | rest == keys
    assert len(rest) < len(keys)


def test_keys_come_up_also_where_a_user_may_not_ask_who_answers(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    servers = [new_redis_server() for _ in range(2)]
    keys = {f"k{i}".encode() for i in range(60)}
    for server in servers:
        with redis.Redis(unix_socket_path=server.path) as client:
            client.acl_setuser("shy", True, nopass=True, keys=["*"], categories=["+@all"], commands=["-info"])

    async def main() -> None:
        async with cluster_of(*servers, username="shy", password="any") as cluster:
            await cluster.mset(dict.fromkeys(keys, 1))
            assert {key async for key in cluster.scan_iter(count=5)} == keys

    run(main())
    with create_cluster(settings_of(*servers, username="shy", password="any")) as blocking:
        assert set(blocking.scan_iter(count=5)) == keys


def test_a_host_that_was_restarted_is_begun_anew(new_redis_server: Callable[..., PrivateServer]) -> None:
    async def main() -> None:
        servers = [new_redis_server({"appendonly": "yes", "appendfsync": "always"}) for _ in range(2)]
        async with cluster_of(*servers) as cluster:
            keys = {f"k{i}".encode() for i in range(100)}
            async with cluster.map() as conn:
                for key in keys:
                    conn.set(key, 1)
            scan = cluster.scan_iter(count=5)
            found = set(await some_of(scan, 20))
            servers[0].restart()
            async for key in scan:
                found.add(key)
            assert found == keys

    run(main())


def test_a_host_that_is_down_leaves_the_iteration_where_it_is(redis_servers: Servers, proxy: Proxies) -> None:
    async def main() -> None:
        relays = [proxy(server) for server in redis_servers(2)]
        settings = {
            **settings_of(*relays),
            "retry": {"attempts": 1},
            "health": {"failures": 100, "calls": 100},
        }
        async with create_async_cluster(settings) as cluster:
            keys = {f"k{i}".encode() for i in range(100)}
            async with cluster.map() as conn:
                for key in keys:
                    conn.set(key, 1)
            scan, found, lost = cluster.scan_iter(count=5), set[Any](), 0
            for number in range(200):
                if number % 3 == 0:
                    for relay in relays:
                        relay.cut_replies()
                try:
                    found.add(await anext(scan))
                except redis.ConnectionError:
                    lost += 1
                except StopAsyncIteration:
                    break
                for relay in relays:
                    relay.heal()
            assert lost > 0
            assert found == keys

    run(main())
