"""Clusters and event loops: none is needed to make one, and one cluster serves several, one after the other or at once."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from clusters import async_cluster_of
from given import MemcachedServers, RedisServers
from in_loop import in_loop
from nydus.db import create_async_cluster
from nydus_core import NoEventLoop
from nydus_redis.embedded.server import PrivateServer
from sharing import both_ways
from waiting import LONG, until, until_async


async def work(cluster: Any, times: int = 1) -> int:
    """All kinds of calls; return how often all of it was done by now."""
    for _ in range(times):
        found: int = await cluster.incr("worked")
        assert await cluster.mset({"x": found, "y": found, "z": found}) is True
        async with cluster.map() as conn:
            promises = [conn.get(key) for key in "xyz"]
        async with cluster.map(transaction=True) as conn:
            promises += [conn.get(key) for key in "xyz"]
        assert all(promise.outcome.value == "value" for promise in promises)
        assert await cluster.ping() == [True] * len(cluster)
        assert b"worked" in [key async for key in cluster.scan_iter(match="worked")]
    return found


def program(source: str, *arguments: str, flags: tuple[str, ...] = ("-W", "error", "-X", "dev")) -> str:
    """Run a program; return what it printed. It must not complain."""
    ended = subprocess.run(
        [sys.executable, *flags, "-c", source, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=LONG + 15,
    )
    slow = re.compile(r"Executing <.* took [\d.]+ seconds\n")  # asyncio's debug mode, on a loaded machine
    assert (slow.sub("", ended.stderr), ended.returncode) == ("", 0), ended.stdout
    return ended.stdout


# One after the other --------------------------------------------------------------------------------------------------


@both_ways
def test_a_cluster_made_before_any_loop_serves_one_loop_after_the_other(
    redis_servers: RedisServers, batching: bool
) -> None:
    cluster = async_cluster_of(*redis_servers(3), router="partition", batching=batching)
    for turn in range(1, 4):
        assert in_loop(lambda: work(cluster)) == turn
    gc.collect()  # what the loops that are closed had open is let go of without a warning


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_a_program_that_closes_nothing_and_runs_twice_makes_no_noise(
    engine: str, redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> None:
    servers: list[Any] = (redis_servers if engine == "redis" else memcached_servers)(2)
    printed = program(
        """if True:
        import asyncio, gc, sys
        from nydus.db import create_async_cluster

        engine, *paths = sys.argv[1:]
        hosts = [{"unix_socket_path": path} for path in paths]
        cluster = create_async_cluster({"engine": engine, "router": "partition", "hosts": hosts})
        by = () if engine == "redis" else (1,)

        async def main():
            if by:
                await cluster.add("runs", 0)
            async with cluster.map() as conn:
                for number in range(9):
                    conn.set(str(number), number)
            return await cluster.incr("runs", *by)

        for _ in range(3):
            print(asyncio.run(main()))
            gc.collect()
        """,
        engine,
        *(server.path for server in servers),
    )
    assert printed == "1\n2\n3\n"


@both_ways
def test_a_closed_cluster_can_be_used_again_in_the_same_loop_and_in_another(
    redis_servers: RedisServers, batching: bool
) -> None:
    servers = redis_servers(2)
    cluster = async_cluster_of(*servers, router="partition", batching=batching)

    async def main() -> None:
        async with cluster:
            await work(cluster)
        assert clients(servers) == [0, 0]
        await work(cluster)
        await cluster.aclose()
        await cluster.aclose()
        assert clients(servers) == [0, 0]

    in_loop(main)
    in_loop(main)


def clients(servers: list[PrivateServer]) -> list[int]:
    """How many connections servers have, besides those that ask."""
    found = []
    for server in servers:
        with redis.Redis(unix_socket_path=server.path) as client:

            def others(client: Any = client) -> int:
                return int(client.info("clients")["connected_clients"]) - 1

            with contextlib.suppress(AssertionError):  # a server may not have seen the end of one yet
                until(lambda others=others: others() == 0)  # type: ignore[misc]
            found.append(others())
    return found


@both_ways
def test_what_a_closed_loop_had_open_is_closed(redis_servers: RedisServers, batching: bool) -> None:
    servers = redis_servers(2)
    cluster = async_cluster_of(*servers, router="partition", batching=batching)
    in_loop(lambda: work(cluster))

    async def other() -> None:
        await cluster.incr("worked")
        await cluster.aclose()

    in_loop(other)
    gc.collect()
    assert clients(servers) == [0, 0]


def test_an_embedded_cluster_serves_one_loop_after_the_other() -> None:
    cluster = create_async_cluster({"engine": "embedded", "router": "partition", "hosts": 2})
    for turn in (1, 2):
        assert in_loop(lambda: work(cluster)) == turn

    async def end() -> None:
        await cluster.aclose()

    in_loop(end)


# At once ----------------------------------------------------------------------------------------------------------------


@both_ways
def test_one_cluster_serves_loops_in_several_threads_at_once(
    redis_servers: RedisServers, batching: bool
) -> None:
    cluster = async_cluster_of(*redis_servers(3), router="partition", batching=batching)
    together = threading.Barrier(3)

    async def main() -> None:
        together.wait(LONG)
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work(cluster, 4))

    with ThreadPoolExecutor(3) as pool:
        for each in [pool.submit(in_loop, main) for _ in range(3)]:
            each.result(LONG)

    async def count() -> Any:
        return await cluster.get("worked")

    assert in_loop(count) == b"60"


@both_ways
def test_a_cluster_that_is_closed_in_one_loop_closes_its_connections_in_the_others(
    redis_servers: RedisServers, batching: bool
) -> None:
    servers = redis_servers(2)
    cluster = async_cluster_of(*servers, router="partition", batching=batching)
    used, closed = threading.Event(), threading.Event()

    async def other() -> None:
        await work(cluster)
        used.set()
        await until_async(closed.is_set)
        await asyncio.to_thread(lambda: counts.extend(clients(servers)))
        await work(cluster)

    async def main() -> None:
        await work(cluster)
        await cluster.aclose()
        closed.set()

    counts: list[int] = []
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(in_loop, other)
        assert used.wait(LONG)
        in_loop(main)
        ended.result(LONG)
    assert counts == [0, 0]


def test_hosts_come_and_go_from_outside_of_any_loop(redis_servers: RedisServers) -> None:
    servers = redis_servers(3)
    cluster = async_cluster_of(*servers[:2])
    in_loop(lambda: work(cluster))
    cluster.add_host("2", {"unix_socket_path": servers[2].path})
    in_loop(lambda: work(cluster))
    cluster.remove_host("0")
    in_loop(lambda: work(cluster))
    gc.collect()
    assert clients(servers[:1]) == [0]


def test_a_command_outside_of_any_loop_says_what_to_do(redis_servers: RedisServers) -> None:
    cluster = async_cluster_of(*redis_servers(1), router="partition")
    coroutine = cluster.get("a")
    with pytest.raises(NoEventLoop, match=r"asyncio\.run\(\) runs, or make a blocking cluster"):
        coroutine.send(None)


# Nothing before it is needed -----------------------------------------------------------------------------------------------


def test_importing_and_making_clusters_creates_no_loop_no_thread_no_task_and_no_socket() -> None:
    printed = program(
        """if True:
        import os, threading

        def sockets():
            links = []
            for fd in os.listdir("/proc/self/fd"):
                try:
                    links.append(os.readlink(f"/proc/self/fd/{fd}"))
                except OSError:
                    pass
            return sorted(link for link in links if link.startswith(("socket:", "anon_inode:[eventpoll")))

        before = sockets()
        import asyncio
        created = []
        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                created.append(1)
                return super().new_event_loop()
        asyncio.set_event_loop_policy(Policy())

        import nydus.conf, nydus.db, nydus_core, nydus_redis
        from nydus.db import connections, create_async_cluster
        hosts = [{"host": "localhost", "port": 1}, {"host": "nowhere.invalid"}]
        settings = {"engine": "redis", "router": "consistent", "hosts": hosts}
        cluster = create_async_cluster(settings)
        nydus.conf.configure(CONNECTIONS={"one": settings})
        connections.aio["one"].explain("get", "a")
        cluster.map(); cluster.on(0); cluster.on_key("a"); cluster.health(); repr(cluster)
        print(created, threading.active_count(), sockets() == before)
        """,
        flags=("-W", "error"),
    )
    assert printed == "[] 1 True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_process_has_connections_of_its_own(redis_servers: RedisServers) -> None:
    printed = program(
        """if True:
        import asyncio, os, sys
        from nydus.db import create_async_cluster

        hosts = [{"unix_socket_path": path} for path in sys.argv[1:]]
        cluster = create_async_cluster({"engine": "redis", "router": "partition", "hosts": hosts})

        async def main(times):
            for _ in range(times):
                async with cluster.map() as conn:
                    found = [conn.incr(f"key{number}") for number in range(9)]
                assert len(set(map(int, found))) == 1, found
                last = await cluster.incr("count")
            return last

        loop = asyncio.new_event_loop()  # the parent's is not closed, and has connections open
        loop.run_until_complete(main(3))
        child = os.fork()
        if child == 0:
            try:
                print("child", asyncio.run(main(5)), flush=True)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("parent", loop.run_until_complete(main(2)))
        loop.run_until_complete(cluster.aclose())
        loop.close()
        """,
        *(server.path for server in redis_servers(2)),
    )
    assert printed == "child 8\nparent 10\n"
