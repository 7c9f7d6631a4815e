"""The embedded engine with asyncio: servers that come with the cluster, and are gone with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from launcher import Launcher
from nydus_core import ConfigError, HostDown, create_async_cluster
from nydus_redis.embedded.blocking import Embedded
from stopping import gone
from waiting import LONG


def pids_of(cluster: Any) -> list[int]:
    """The processes of the servers, in host order."""
    return [host.server.pid for host in cluster.hosts.values()]


GENEROUS = {"defaults": {"timeout": LONG}}


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(main)


def test_a_number_of_hosts_is_a_whole_cluster() -> None:
    async def main() -> None:
        async with create_async_cluster(
            {"engine": Embedded, **GENEROUS, "hosts": 3, "router": "rendezvous"}
        ) as cluster:
            async with cluster.map() as conn:
                results = [conn.incr(f"key{i}") for i in range(30)]
            assert results == [1] * 30
            assert sum(await cluster.dbsize()) == 30
            assert len(set(pids_of(cluster))) == 3

    run(main())


async def pipeline(host: Any) -> Any:
    return await host.pipeline().incr("n").execute()


async def of_its_own(host: Any) -> Any:
    async with host.client() as one:
        return [await one.incr("n")]


async def watched(host: Any) -> Any:
    def work(pipeline: Any) -> None:
        pipeline.multi()
        pipeline.incr("n")

    return await host.transaction(work, "n")


async def monitored(host: Any) -> Any:
    async with host.monitor():
        return [await host.incr("n")]


async def subscribed(host: Any) -> Any:
    async with host.pubsub() as subscriber:
        await subscriber.subscribe("news")
        return [await host.incr("n")]


@pytest.mark.parametrize("first", [pipeline, of_its_own, watched, monitored, subscribed])
def test_whatever_comes_first_waits_for_the_server(first: Callable[[Any], Any]) -> None:
    async def main() -> None:
        async with create_async_cluster({"engine": Embedded, **GENEROUS, "hosts": 2}) as cluster:
            assert await first(cluster.on(1)) == [1]

    run(main())


def test_many_tasks_may_come_first() -> None:
    async def main() -> None:
        async with create_async_cluster(
            {"engine": Embedded, **GENEROUS, "hosts": 2, "router": "rendezvous"}
        ) as cluster:
            values = await asyncio.gather(*(cluster.incr("n") for _ in range(50)))
            assert sorted(values) == list(range(1, 51))

    run(main())


def test_closing_the_cluster_stops_its_servers() -> None:
    async def main() -> None:
        cluster = create_async_cluster({"engine": Embedded, **GENEROUS, "hosts": 2})
        assert await cluster.ping() == [True, True]
        pids = pids_of(cluster)
        await cluster.aclose()
        assert all(gone(pid) for pid in pids)
        with pytest.raises(HostDown, match="cluster was closed: create another cluster"):
            await cluster.ping()
        await cluster.aclose()

    run(main())


def test_a_host_that_is_removed_stops_its_server_when_nothing_is_under_way() -> None:
    async def main() -> None:
        settings = {"engine": Embedded, **GENEROUS, "hosts": {"a": {}, "b": {}}, "router": "rendezvous"}
        async with create_async_cluster(settings) as cluster:
            assert await cluster.ping() == [True, True]
            pid = pids_of(cluster)[1]
            host = cluster.on("b")
            waiting = asyncio.create_task(host.blpop("list", timeout=LONG))
            async with host.client() as one:
                while not [each for each in await one.client_list() if each["cmd"] == "blpop"]:
                    await asyncio.sleep(0.01)
            cluster.remove_host("b")
            os.kill(pid, 0)  # it is still there
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await asyncio.to_thread(gone, pid)
            assert await cluster.ping() is True

    run(main())


def test_settings_that_make_no_sense_are_refused() -> None:
    for hosts in ({"a": {"port": 1}}, {"a": {"connection_pool": 1}}, 0, {"a": {"config": {"port": 1}}}):
        with pytest.raises(ConfigError):
            create_async_cluster({"engine": Embedded, "hosts": hosts})


SCRIPT = """
import asyncio, os, signal, sys
from nydus_core import create_async_cluster
from nydus_redis.embedded import Embedded

async def main():
    cluster = create_async_cluster({"engine": Embedded, "hosts": 2})
    await cluster.ping()
    print(*[host.server.pid for host in cluster.hosts.values()], flush=True)
    END

asyncio.run(main())
"""
ENDS = {
    "return": "pass",
    "exception": "raise RuntimeError('on purpose')",
    "sigkill": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.slow_env  # redis-py's version is nothing to it
@pytest.mark.parametrize("end", ENDS)
def test_the_servers_are_gone_when_the_process_ends(launcher: Launcher, end: str) -> None:
    program = launcher.start(SCRIPT.replace("END", ENDS[end]))
    output, errors = program.communicate(LONG)
    program.close()
    pids = [int(pid) for pid in output.split()]
    assert len(pids) == 2, errors
    assert all(gone(pid) for pid in pids)
