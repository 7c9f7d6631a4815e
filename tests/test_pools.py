"""Connections that are kept: dead ones, limits, and those that wait at a server. Both engines, both sides, real servers."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from clusters import ByName
from given import NewRedisServer, Proxies
from nydus_core import HostDown, MaybeApplied, create_cluster
from nydus_core.health import State
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side
from waiting import LONG, until

ENGINES = ["redis", "memcache"]
#: The option that limits the connections.
LIMIT = {"redis": "max_connections", "memcache": "max_pool_size"}
ONCE = {"attempts": 1}


@pytest.fixture(params=[BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> Any:
    return request.param()


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Any:
    return request.param


def ways_of_pool(engine: str, side: Side) -> list[str]:
    """The ways of ``tried`` that take a connection of the pool."""
    if not side.shares:
        return ["single", "map"]
    if engine == "memcache":
        pytest.skip("all commands of memcached share a connection")
    return ["transaction"]


@pytest.fixture
def front(request: pytest.FixtureRequest, engine: str, proxy: Proxies) -> Any:
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    return proxy(servers(1)[0])


def settings(engine: str, *fronts: Any, router: Any = None, **given: Any) -> dict[str, Any]:
    options = given.pop("options", {})
    hosts = {name: {"unix_socket_path": front.path} for name, front in zip("abc", fronts, strict=False)}
    return {"engine": engine, "router": router or ByName, "hosts": hosts, "defaults": options, **given}


def pool_of(cluster: Any, host: str = "a") -> Any:
    """The pool for commands."""
    found = cluster.hosts[host]
    return found.connections.commands if hasattr(found, "connections") else found.pool


async def keep(side: Side, cluster: Any, count: int) -> None:
    """Have a host keep so many idle connections."""
    pool = pool_of(cluster)
    taken = [pool.take() for _ in range(count)]
    for each in [await each if asyncio.iscoroutine(each) else each for each in taken]:
        pool.give(each, clean=True)
    assert len(pool._idle) == count


async def tried(side: Side, cluster: Any, way: str) -> BaseException | None:
    """Read a key; return the error, if there is one."""
    if way != "single":
        options = {"transaction": True} if way == "transaction" else {}
        async with side.map(cluster, fail_silently=True, **options) as conn:
            promise = conn.get("a1")
        error: BaseException | None = promise.error
        return error
    try:
        await side(cluster.get("a1"))
    except (HostDown, MaybeApplied) as error:
        return error
    return None


# Dead connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["single", "map"])
def test_connections_that_a_firewall_has_forgotten_cost_one_timeout(
    engine: str, side: Side, front: Any, way: str
) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": 1.0, LIMIT[engine]: 24}
        cluster = side.cluster(settings(engine, front, retry=ONCE, health={"failures": 100}, options=options))
        await keep(side, cluster, 24)
        assert await tried(side, cluster, way) is None
        before = front.connections
        front.forget()
        assert isinstance(await tried(side, cluster, way), MaybeApplied)
        assert not pool_of(cluster)._idle
        assert await tried(side, cluster, way) is None
        assert front.connections == before + 1

    side.run(scenario)


@pytest.mark.parametrize("count", [12, 24])
def test_a_host_that_was_taken_for_down_is_probed_by_a_new_connection(
    engine: str, side: Side, front: Any, count: int
) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": 1.0, LIMIT[engine]: count}
        health = {"failures": 1, "backoff": 0.01}
        cluster = side.cluster(settings(engine, front, retry=ONCE, health=health, options=options))
        await keep(side, cluster, count)
        assert await tried(side, cluster, "single") is None
        before = front.connections
        front.forget()
        assert await tried(side, cluster, "single") is not None
        await side.until(lambda: cluster.health()["a"].state is State.CLOSED)
        assert front.connections == before + 1  # of one probe
        for _ in range(3):
            assert await tried(side, cluster, "single") is None
        assert front.connections == before + 2

    side.run(scenario)


def test_a_probe_waits_in_no_line(engine: str, side: Side, front: Any) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": LONG, LIMIT[engine]: 2}
        cluster = side.cluster(settings(engine, front, options=options))
        pool = pool_of(cluster)
        taken = [pool.take(), pool.take()]
        taken = [await each if asyncio.iscoroutine(each) else each for each in taken]
        before = front.connections
        await side(cluster.hosts["a"].probe())
        assert front.connections == before + 1
        for each in taken:
            pool.give(each, clean=True)

    side.run(scenario)


def test_a_host_that_is_found_down_keeps_no_idle_connection(engine: str, side: Side, front: Any) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": LONG}
        cluster = side.cluster(settings(engine, front, options=options, health={"backoff": 1000}))
        await keep(side, cluster, 5)
        assert await tried(side, cluster, "single") is None
        (watch,) = cluster._snapshot.watches
        watch.take_out(OSError("somebody says so"))
        assert not pool_of(cluster)._idle
        await side.until(lambda: front.open_connections == 0)

    side.run(scenario)


@pytest.mark.parametrize("way", ["single", "map"])
@pytest.mark.parametrize("tcp", [False, True])
def test_values_that_a_server_does_not_take_open_no_breaker_for_others(
    side: Side, new_redis_server: NewRedisServer, proxy: Proxies, way: str, tcp: bool
) -> None:
    """The server answers with a protocol error, which may be read or not, and closes the connection."""
    server = new_redis_server({"proto-max-bulk-len": 1048576})
    relay = proxy(server, tcp=True)

    async def scenario(side: Side) -> None:
        where = {"host": relay.host, "port": relay.port} if tcp else {"unix_socket_path": server.path}
        given = {"engine": "redis", "router": ByName, "hosts": {"a": where}, "defaults": {"timeout": LONG}}
        cluster = side.cluster({**given, "retry": ONCE, "health": {"failures": 2}})
        for size in (1_048_577, 4_000_000) * 3:
            if way == "map":
                async with side.map(cluster, fail_silently=True) as conn:
                    promise = conn.set("a1", b"v" * size)
                error = promise.error
            else:
                error = None
                try:
                    await side(cluster.set("a1", b"v" * size))
                except redis.RedisError as caught:
                    error = caught
            assert isinstance(error, MaybeApplied) or "Protocol error" in str(error)
            assert "proto-max-bulk-len" in str(error) or "Protocol error" in str(error)
            assert cluster.health()["a"].state is State.CLOSED
        assert cluster.health()["a"].failures == 0
        assert await side(cluster.get("a1")) is None

    side.run(scenario)


# Limits --------------------------------------------------------------------------------------------------------------


def test_callers_beyond_the_limit_wait_in_line(engine: str, side: Side, front: Any) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": LONG, LIMIT[engine]: 5}
        cluster = side.cluster(settings(engine, front, retry=ONCE, options=options))

        async def work() -> None:
            for _ in range(3):
                await side(cluster.get("a1"))
                async with side.map(cluster) as conn:
                    conn.get("a2")

        if isinstance(side, AsyncSide):
            await asyncio.gather(*[work() for _ in range(100)])
        else:
            with ThreadPoolExecutor(40) as threads:
                for each in [threads.submit(asyncio.run, work()) for _ in range(40)]:
                    each.result()
        assert front.connections == 1 if side.shares else front.connections <= 5

    side.run(scenario)


def test_a_caller_that_waited_in_vain_is_not_sent_and_no_fault_of_the_host(
    engine: str, side: Side, front: Any
) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": 0.2, LIMIT[engine]: 1}
        retry = {"attempts": 3}  # whoever waited in vain does not stand in line again
        cluster = side.cluster(settings(engine, front, retry=retry, options=options, health={"failures": 1}))
        ways, pool = ways_of_pool(engine, side), pool_of(cluster)
        taken = pool.take()
        taken = await taken if asyncio.iscoroutine(taken) else taken
        for way in ways:
            error: Any = await tried(side, cluster, way)
            assert isinstance(error, HostDown)
            assert (
                f"all 1 connections are in use, and none fell free within 0.2 seconds ({LIMIT[engine]})"
                in str(error)
            )
            assert error.attempts == 1
            assert cluster.health()["a"].state is State.CLOSED
        pool.give(taken, clean=True)
        assert await tried(side, cluster, "single") is None

    side.run(scenario)


def test_a_deadline_that_is_over_in_line_is_no_fault_of_the_host(engine: str, side: Side, front: Any) -> None:
    async def scenario(side: Side) -> None:
        options = {"timeout": LONG, LIMIT[engine]: 1}
        cluster = side.cluster(settings(engine, front, retry=ONCE, options=options, health={"failures": 1}))
        ways, pool = ways_of_pool(engine, side), pool_of(cluster)
        taken = pool.take()
        taken = await taken if asyncio.iscoroutine(taken) else taken
        for way in ways:
            with cluster.deadline(0.2):
                error: Any = await tried(side, cluster, way)
            assert isinstance(error, HostDown)
            assert cluster.health()["a"].state is State.CLOSED
            assert cluster.health()["a"].failures == 0
        pool.give(taken, clean=True)
        assert await tried(side, cluster, "single") is None

    side.run(scenario)


def test_the_default_limit_is_one(engine: str, side: Side, front: Any) -> None:
    async def scenario(side: Side) -> None:
        pool = pool_of(side.cluster(settings(engine, front)))
        assert pool._size == 100

    side.run(scenario)


def test_maps_over_many_hosts_do_not_wait_for_each_other(
    request: pytest.FixtureRequest, engine: str, proxy: Proxies
) -> None:
    """One connection a host: a thread in line for one host must not keep the connection to another."""
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    fronts = [proxy(server) for server in servers(3)]
    options = {"timeout": LONG / 2, LIMIT[engine]: 1}
    with create_cluster(settings(engine, *fronts, options=options, retry=ONCE)) as cluster:

        def work(number: int) -> None:
            for _ in range(20):
                with cluster.map() as conn:
                    for name in "abc" if number % 2 else "cba":
                        conn.get(f"{name}1")

        with ThreadPoolExecutor(8) as threads:
            for each in [threads.submit(work, number) for number in range(8)]:
                each.result()
    assert [front.connections for front in fronts] == [1, 1, 1]


def test_a_wait_in_line_ends_with_the_deadline(engine: str, front: Any) -> None:
    options = {"timeout": LONG, LIMIT[engine]: 1}
    with create_cluster(settings(engine, front, options=options)) as cluster:
        pool = pool_of(cluster)
        taken = pool.take()
        with pytest.raises(HostDown), cluster.deadline(0.05):
            cluster.get("a1")
        until(lambda: not pool._line)  # the thread that waited is free, too
        pool.give(taken, clean=True)
        assert pool.busy == 0


@pytest.mark.parametrize("where", ["connect", "greeting"])
def test_connecting_ends_with_the_deadline(
    request: pytest.FixtureRequest, engine: str, proxy: Proxies, where: str
) -> None:
    servers = request.getfixturevalue("redis_servers" if engine == "redis" else "memcached_servers")
    front = proxy(servers(1)[0], tcp=True)
    given = {"router": ByName, "hosts": {"a": {"host": front.host, "port": front.port}}, "retry": ONCE}
    with create_cluster({"engine": engine, **given, "defaults": {"timeout": 100 * LONG}}) as cluster:
        if where == "connect":
            front.hang_connects()
        else:
            front.blackhole = True
        for _ in range(3):
            with pytest.raises((HostDown, MaybeApplied)), cluster.deadline(0.1):
                cluster.get("a1")
        until(lambda: pool_of(cluster).busy == 0)  # no thread is at it any more
        front.heal()
        with cluster.deadline(LONG):
            assert cluster.get("a1") is None
        assert cluster.get("a1") is None


# Commands that wait at the server -------------------------------------------------------------------------------------


def test_commands_that_wait_at_the_server_shut_out_no_others(
    side: Side, new_redis_server: NewRedisServer, proxy: Proxies
) -> None:
    server = proxy(new_redis_server())

    async def scenario(side: Side) -> None:
        options = {"timeout": LONG, "max_connections": 2}
        cluster = side.cluster(settings("redis", server, options=options))

        async def wait_at_server(number: int) -> Any:
            if number % 2:
                return await side(cluster.blpop([f"a:{number}"], timeout=0))
            async with side.map(cluster) as conn:
                found = conn.blpop([f"a:{number}"], timeout=0)
            return found  # noqa: RET504 - the promise is filled at the end of the block

        async def work() -> list[Any]:
            await side.until(lambda: b"".join(server.requests).count(b"BLPOP") == 2)
            answers = [await side(cluster.set("a1", "v")), await side(cluster.get("a1"))]
            async with side.map(cluster) as conn:
                answers.append(conn.get("a1"))
            for number in range(3):
                await side(cluster.rpush(f"a:{number}", "x"))
            return answers

        if isinstance(side, AsyncSide):
            *waited, answers = await asyncio.gather(*[wait_at_server(number) for number in range(3)], work())
        else:
            with ThreadPoolExecutor(4) as threads:
                futures = [threads.submit(asyncio.run, wait_at_server(number)) for number in range(3)]
                answers = threads.submit(asyncio.run, work()).result()
                waited = [each.result() for each in futures]
        assert answers == [True, b"v", b"v"]
        assert sorted(found[1] for found in waited) == [b"x"] * 3
        assert server.connections <= 3 + (not side.shares)

    side.run(scenario)


def test_subscriptions_and_clients_of_their_own_shut_out_no_commands(
    side: Side, new_redis_server: NewRedisServer
) -> None:
    server = new_redis_server()

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings("redis", server, options={"timeout": LONG, "max_connections": 1}))
        held = [cluster.on("a").pubsub() for _ in range(3)]
        for each in held:
            await side(each.subscribe("news"))
        own = cluster.on("a").client()
        if isinstance(side, AsyncSide):
            await own.initialize()
        assert await side(own.ping()) is True
        assert await side(cluster.set("a1", "v")) is True
        pipe = cluster.on("a").pipeline()
        pipe.get("a1")
        assert await side(pipe.execute()) == [b"v"]
        for each in held:
            await side(each.aclose() if isinstance(side, AsyncSide) else each.close())
        await side(own.aclose() if isinstance(side, AsyncSide) else own.close())

    side.run(scenario)


# Handlers, finalizers, forks -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("deadline", [None, LONG])
def test_a_signal_handler_uses_the_cluster_in_the_middle_of_a_call(
    engine: str, front: Any, deadline: float | None
) -> None:
    options = {"timeout": LONG, LIMIT[engine]: 3}
    with create_cluster(settings(engine, front, options=options, deadline=deadline)) as cluster:
        cluster.set("a1", b"v")
        handled = 0

        def handle(*_: object) -> None:
            nonlocal handled
            assert cluster.get("a1") == b"v"
            handled += 1

        before = signal.signal(signal.SIGALRM, handle)
        try:
            while handled < 200:
                signal.setitimer(
                    signal.ITIMER_REAL, 0.001
                )  # the next only after this one: handlers would pile up
                assert cluster.get("a1") == b"v"
                with cluster.map() as conn:
                    found = conn.get("a1")
                assert found == b"v"
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert pool_of(cluster).busy == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_uses_no_connection_of_its_parent(engine: str, front: Any) -> None:
    with create_cluster(settings(engine, front, options={"timeout": LONG})) as cluster:
        cluster.set("a1", b"v")
        pool = pool_of(cluster)
        other = pool.take()
        stop = threading.Event()

        def work() -> None:
            while not stop.is_set():
                assert cluster.get("a1") == b"v"

        thread = threading.Thread(target=work)
        thread.start()
        children = []
        for _ in range(10):
            child = os.fork()
            if child == 0:
                try:
                    os._exit(0 if all(cluster.get("a1") == b"v" for _ in range(5)) else 1)
                finally:
                    os._exit(2)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0] * 10
        stop.set()
        thread.join(LONG)
        pool.give(other, clean=True)
        assert cluster.get("a1") == b"v"
        assert pool.take() is other
        pool.give(other, clean=True)
        assert pool.busy == 0
