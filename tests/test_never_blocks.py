"""Nothing on the asyncio side blocks its event loop, and many tasks share few connections in turn.

What would block, were it called in the thread of a running loop, raises instead: see ``Watchdog``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import redis

from given import Proxies, RedisServers
from in_loop import in_loop
from nydus_core import HostDown, HostError, create_async_cluster
from nydus_core.health.breaker import State
from sharing import both_ways
from waiting import LONG, until_async


class Blocked(BaseException):
    """A blocking call in the thread of a running loop. No ``except Exception`` catches it."""


class Watchdog:
    """Has blocking calls raise, where a loop is running in the same thread.

    Parameters:
        patch: What undoes it.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.found: list[str] = []
        self._patch = patch
        self._loop: asyncio.AbstractEventLoop | None = None
        self._starting = False
        start = threading.Thread.start
        patch.setattr(threading.Thread, "start", lambda thread: self._started(start, thread))
        self._on(time, "sleep")
        for name in ("getaddrinfo", "gethostbyname", "getnameinfo", "create_connection"):
            self._on(socket, name)
        for name in ("connect", "accept", "recv", "recv_into", "recvfrom", "send", "sendall"):
            self._on(socket.socket, name, lambda sock, *_, **__: sock.gettimeout() == 0)
        self._on(select, "select", lambda *sets: sets[3:] == (0,))
        self._on(threading.Thread, "join")
        self._on(threading.Event, "wait", lambda event, *_, **__: event.is_set() or self._starting)
        self._on(threading.Condition, "wait", lambda _, timeout=None: self._starting or timeout == 0)
        self._on(concurrent.futures.Future, "result", lambda future, *_, **__: future.done())
        self._on(concurrent.futures, "wait")
        self._on(queue.Queue, "get")
        self._on(subprocess.Popen, "wait")
        self._on(subprocess.Popen, "communicate")

    def run(self, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a coroutine function in a loop of its own, and watch over it."""

        async def watched() -> None:
            self._loop = asyncio.get_running_loop()
            try:
                await main()
            finally:
                self._loop = None  # asyncio itself joins threads at the end

        in_loop(watched)

    def _started(self, start: Callable[[threading.Thread], None], thread: threading.Thread) -> None:
        """Start a thread: that waits too, until it runs."""
        if asyncio._get_running_loop() is not self._loop:
            start(thread)
            return
        self._starting = True
        try:
            start(thread)
        finally:
            self._starting = False

    def _on(self, owner: Any, name: str, harmless: Callable[..., bool] = lambda *_, **__: False) -> None:
        original = getattr(owner, name)

        def guarded(*args: Any, **kwargs: Any) -> Any:
            here = asyncio._get_running_loop()
            if here is not None and here is self._loop and not harmless(*args, **kwargs):
                call = f"{getattr(owner, '__name__', owner)}.{name}"
                self.found.append(call)
                raise Blocked(call)
            return original(*args, **kwargs)

        self._patch.setattr(owner, name, guarded, raising=False)


@pytest.fixture
def watchdog(monkeypatch: pytest.MonkeyPatch) -> Watchdog:
    return Watchdog(monkeypatch)


async def apart(call: Callable[..., Any], *args: Any) -> Any:
    """Do something of the test's own that blocks, in a thread."""
    return await asyncio.to_thread(call, *args)


def test_the_watchdog_bites(watchdog: Watchdog, redis_servers: RedisServers) -> None:
    (server,) = redis_servers(1)

    async def main() -> None:
        with pytest.raises(Blocked, match=r"time\.sleep"):
            time.sleep(0)
        with socket.socket(socket.AF_UNIX) as client, pytest.raises(Blocked, match=r"socket\.connect"):
            client.connect(server.path)
        with pytest.raises(Blocked, match=r"Event\.wait"):
            threading.Event().wait(0)
        await apart(time.sleep, 0)

    watchdog.run(main)
    assert len(watchdog.found) == 3


@both_ways
def test_commands_block_nothing(watchdog: Watchdog, redis_servers: RedisServers, batching: bool) -> None:
    servers = redis_servers(3)
    hosts = [{"unix_socket_path": server.path, "batching": batching} for server in servers]

    async def main() -> None:
        async with create_async_cluster(
            {"engine": "redis", "router": "rendezvous", "hosts": hosts}
        ) as cluster:
            assert await cluster.mset({str(number): "x" * 100_000 for number in range(20)})
            assert await cluster.incr("n") == 1
            assert len(await cluster.mget([str(number) for number in range(20)])) == 20
            assert await cluster.ping() == [True] * 3
            async with cluster.map() as conn:
                for number in range(500):
                    conn.set(f"key{number}", number)
            async with cluster.map(transaction=True) as conn:
                conn.incr("n")
            with cluster.deadline(LONG):
                assert await cluster.incr("n") == 3
            assert len([key async for key in cluster.scan_iter()]) == 521
            pipeline = cluster.on_key("n").pipeline()
            assert await pipeline.incr("n").execute() == [4]
            cluster.remove_host("0")
            cluster.add_host("0", hosts[0])
            assert await cluster.ping() == [True] * 3
            assert await cluster.flushdb() == [True] * 3

    watchdog.run(main)
    assert watchdog.found == []


@both_ways
def test_hosts_that_fail_and_their_probes_block_nothing(
    watchdog: Watchdog, redis_servers: RedisServers, proxy: Proxies, batching: bool
) -> None:
    fronts = [proxy(server, tcp=True) for server in redis_servers(3, tcp=True)]
    hosts = {
        name: {"host": "localhost", "port": front.port, "timeout": 0.3, "batching": batching}
        for name, front in zip(("hanging", "silent", "refusing"), fronts, strict=True)
    }
    settings = {
        "engine": "redis",
        "router": "partition",
        "hosts": hosts,
        "retry": {"attempts": 2},
        "health": {"failures": 1, "backoff": 0.05, "most": 0.05},
        "on_readmit": "flush",
    }
    fronts[0].hang_connects()
    fronts[1].blackhole = True
    fronts[2].refuse()

    async def main() -> None:
        cluster = create_async_cluster(settings)
        found = await asyncio.gather(
            *(cluster.on(name).set("key", 1) for name in hosts), return_exceptions=True
        )
        assert [isinstance(error, HostError) for error in found] == [True] * 3
        await until_async(
            lambda: all(health.failures > 1 for health in cluster.health().values())
        )  # by probes
        async with cluster.map(fail_silently=True) as conn:
            promises = [conn.incr(number) for number in range(20)]
        assert all(isinstance(promise.error, HostDown) for promise in promises)
        for front in fronts:
            await apart(front.heal)
        await until_async(lambda: all(health.state is State.CLOSED for health in cluster.health().values()))
        await asyncio.gather(*(cluster.on(name).ping() for name in hosts), return_exceptions=True)
        await cluster.aclose()

    watchdog.run(main)
    assert watchdog.found == []


def test_private_servers_block_nothing(watchdog: Watchdog) -> None:
    cluster = create_async_cluster({"engine": "embedded", "router": "partition", "hosts": 2})  # spawns them

    async def main() -> None:
        assert await cluster.ping() == [True, True]  # waits for them
        assert await cluster.incr("n") == 1
        cluster.add_host("2", {})
        assert await cluster.ping() == [True] * 3
        cluster.remove_host("2")
        await cluster.aclose()

    watchdog.run(main)
    assert watchdog.found == []


# Many tasks, few connections -------------------------------------------------------------------------------------------------


TASKS, ROUNDS, CONNECTIONS = 1000, 4, 8


@pytest.mark.parametrize(
    "options",
    [{"batching": False, "max_connections": CONNECTIONS}, {"batching": 2}, {"pipeline_depth": 20}],
    ids=["own", "two shared", "shared"],
)
def test_a_thousand_tasks_share_few_connections_to_each_of_four_hosts_in_turn(
    redis_servers: RedisServers, options: dict[str, int]
) -> None:
    servers = redis_servers(4)
    hosts = [{"unix_socket_path": server.path, "timeout": 2 * LONG, **options} for server in servers]
    most = options.get("max_connections", options.get("batching", 1))
    direct = [redis.Redis(unix_socket_path=server.path) for server in servers]
    before = [client.info("stats")["total_connections_received"] for client in direct]
    overtaking: list[int] = []

    async def main() -> None:
        cluster = create_async_cluster({"engine": "redis", "router": "rendezvous", "hosts": hosts})
        members = [int(cluster.router.locate(b"%d" % number)) for number in range(TASKS)]
        # By host, who waits for its first turn; but those that open the connections, which may take any time
        waiting = [{number for number in range(TASKS) if members[number] == host} for host in range(4)]
        for each in waiting:
            each -= set(sorted(each)[:most])

        async def use(number: int) -> None:
            for turn in range(ROUNDS):
                if turn % 2:
                    async with cluster.map() as conn:
                        conn.incr(number)
                else:
                    await cluster.incr(number)
                if turn and waiting[members[number]]:
                    overtaking.append(number)
                waiting[members[number]].discard(number)

        async with asyncio.TaskGroup() as group:
            for number in range(TASKS):
                group.create_task(use(number))
        async with cluster.map() as conn:
            counts = [conn.get(number) for number in range(TASKS)]
        assert counts == [b"%d" % ROUNDS] * TASKS
        open_ones = [client.info("clients")["connected_clients"] - 1 for client in direct]
        assert [0 < count <= most for count in open_ones] == [True] * 4, open_ones
        await cluster.aclose()

    in_loop(main, debug=False)
    after = [client.info("stats")["total_connections_received"] for client in direct]
    assert [0 < now - then <= most for now, then in zip(after, before, strict=True)] == [True] * 4
    # Whoever asked earlier is served earlier; a few answers may arrive in another order
    assert len(overtaking) < TASKS / 10
    for client in direct:
        client.close()


@both_ways
def test_tasks_that_wait_for_a_host_that_hangs_hold_up_no_others(
    redis_servers: RedisServers, proxy: Proxies, batching: bool
) -> None:
    servers = redis_servers(2)
    front = proxy(servers[0])
    hosts = [
        {"unix_socket_path": path, "max_connections": 2, "timeout": 2 * LONG, "batching": batching}
        for path in (front.path, servers[1].path)
    ]
    front.blackhole = True

    async def main() -> None:
        cluster = create_async_cluster({"engine": "redis", "router": "partition", "hosts": hosts})
        waiting = [asyncio.ensure_future(cluster.on(0).incr("n")) for _ in range(100)]
        assert sorted(await asyncio.gather(*(cluster.on(1).incr("n") for _ in range(100)))) == [
            *range(1, 101)
        ]
        assert not any(task.done() for task in waiting)
        for task in waiting[::2]:
            task.cancel()
        await apart(front.heal)
        found: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(value) for value in found[::2]] == [asyncio.CancelledError] * 50
        # those that had a connection may have counted before they were given up
        assert sorted(found[1::2])[-1] <= (50 if batching else 52)
        assert len(set(found[1::2])) == 50
        await cluster.aclose()

    in_loop(main, debug=False)
