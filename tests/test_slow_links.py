"""``timeout`` bounds an exchange without progress: a large value over a slow link passes, and a host that stops half-way is told.

Both engines and both sides, on every road, through a proxy that is as slow as a link may be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from clusters import settings_of
from given import MemcachedServers, Proxies, RedisServers
from nydus_core import CommandError, DeadlineExceeded, HostError, MaybeApplied, Outcome
from nydus_core.command import outcome_of
from nydus_core.testing import FaultProxy
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side
from waiting import LONG

#: Seconds of the hosts in these tests, which a large value needs several times.
TIMEOUT = 0.4
#: Bytes of a value, and bytes a second of a slow link.
SIZE, RATE = 900_000, 900_000.0
VALUE = b"x" * SIZE

sides = pytest.mark.parametrize("make_side", [BlockingSide, AsyncSide, AsyncOwnSide])
engines = pytest.mark.parametrize("engine", ["redis", "memcache"])
nets = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])

Road = Callable[[Side, Any, str], Coroutine[Any, Any, Any]]


@pytest.fixture
def front_of(
    proxy: Proxies, redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> Callable[..., FaultProxy]:
    def make(engine: str, *, tcp: bool = False) -> FaultProxy:
        (server,) = (redis_servers if engine == "redis" else memcached_servers)(1)
        return proxy(server, tcp=tcp)

    return make


def settings(engine: str, *fronts: FaultProxy, timeout: float = TIMEOUT) -> dict[str, Any]:
    return settings_of(*fronts, engine=engine, timeout=timeout, retry={"attempts": 1})


class Timer(threading.Timer):
    """Calls a function later, for the time of a block."""

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.join()


async def connect(side: Side, cluster: Any) -> None:
    """Open the connection. While a machine is busy that may take longer than the timeout of these tests."""
    end = time.monotonic() + LONG
    while True:
        try:
            await side(cluster.get("warm"))
        except HostError:
            if time.monotonic() > end:
                raise
            await side.sleep(0.05)
        else:
            return


async def by_command(side: Side, cluster: Any, key: str) -> Any:
    await side(cluster.set(key, VALUE))
    return await side(cluster.get(key))


async def by_map(side: Side, cluster: Any, key: str) -> Any:
    async with side.map(cluster) as conn:
        conn.set(key, VALUE)
        value = conn.get(key)
    return value.value


async def by_many(side: Side, cluster: Any, key: str) -> Any:
    """A large batch of small commands."""
    count = 200
    part = SIZE // count
    async with side.map(cluster) as conn:
        for number in range(count):
            conn.set(f"{key}{number}", VALUE[:part])
    async with side.map(cluster) as conn:
        values = [conn.get(f"{key}{number}") for number in range(count)]
    return b"".join(each.value for each in values)


async def by_transaction(side: Side, cluster: Any, key: str) -> Any:
    async with side.map(cluster, transaction=True) as conn:
        conn.set(key, VALUE)
        value = conn.get(key)
    return value.value


async def by_on_host(side: Side, cluster: Any, key: str) -> Any:
    host = cluster.on(next(iter(cluster.hosts)))
    await side(host.set(key, VALUE))
    return await side(host.get(key))


async def by_host_pipeline(side: Side, cluster: Any, key: str) -> Any:
    pipeline = cluster.on(next(iter(cluster.hosts))).pipeline(transaction=False)
    pipeline.set(key, VALUE)
    pipeline.get(key)
    return (await side(pipeline.execute()))[1]


async def by_key_transaction(side: Side, cluster: Any, key: str) -> Any:
    pipeline = cluster.on_key(key).pipeline()
    await side(pipeline.watch(key))
    pipeline.multi()
    pipeline.set(key, VALUE)
    pipeline.get(key)
    return (await side(pipeline.execute()))[1]


BOTH = [by_command, by_map, by_many, by_on_host]
REDIS = [*BOTH, by_transaction, by_host_pipeline, by_key_transaction]
roads = pytest.mark.parametrize(
    ("engine", "road"),
    [("redis", road) for road in REDIS] + [("memcache", road) for road in BOTH],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)


def slowly(run: Callable[[float], Any]) -> Any:
    """Run a scenario; and again, slower in all by a factor, where a busy machine was slower than the link."""
    for factor in (1.0, 3.0):
        try:
            return run(factor)
        except (MaybeApplied, CommandError):
            continue
    return run(9.0)


@sides
@roads
def test_a_large_value_passes_a_slow_link(
    make_side: type[Side], engine: str, road: Road, front_of: Callable[..., FaultProxy]
) -> None:
    front = front_of(engine)

    def run(factor: float) -> Any:
        async def scenario(side: Side) -> Any:
            front.heal()
            cluster = side.cluster(settings(engine, front, timeout=TIMEOUT * factor))
            await connect(side, cluster)
            front.throttle = RATE / factor
            return await road(side, cluster, "big")

        return make_side().run(scenario)

    assert slowly(run) == VALUE


@sides
@engines
def test_bytes_that_only_the_kernel_has_taken_are_on_their_way(
    make_side: type[Side], engine: str, front_of: Callable[..., FaultProxy]
) -> None:
    """Over TCP a socket takes some megabytes at once, and sends them for as long as the link needs."""
    front = front_of(engine, tcp=True)

    def run(factor: float) -> Any:
        async def scenario(side: Side) -> Any:
            front.heal()
            cluster = side.cluster(settings(engine, front, timeout=TIMEOUT * factor))
            await connect(side, cluster)
            front.throttle = RATE / factor
            return [await by_command(side, cluster, "big"), await by_map(side, cluster, "big")]

        return make_side().run(scenario)

    assert slowly(run) == [VALUE, VALUE]


@sides
@engines
@pytest.mark.parametrize("road", [by_command, by_map])
@nets
def test_a_host_that_stops_taking_is_told(
    make_side: type[Side], engine: str, road: Road, tcp: bool, front_of: Callable[..., FaultProxy]
) -> None:
    front = front_of(engine, tcp=tcp)

    async def scenario(side: Side) -> Any:
        cluster = side.cluster(settings(engine, front))
        await connect(side, cluster)
        front.blackhole = True
        return await road(side, cluster, "big")

    with pytest.raises(Exception) as caught:
        make_side().run(scenario)
    failed = (
        [each.error for each in caught.value.errors]
        if isinstance(caught.value, CommandError)
        else [caught.value]
    )
    assert isinstance(failed[0], MaybeApplied)
    assert outcome_of(failed[-1]) in (Outcome.MAYBE_APPLIED, Outcome.NOT_SENT)


@sides
@engines
def test_a_host_that_stops_within_an_answer_is_told(
    make_side: type[Side], engine: str, front_of: Callable[..., FaultProxy]
) -> None:
    front = front_of(engine)

    async def scenario(side: Side) -> Any:
        cluster = side.cluster(settings(engine, front))
        await side(cluster.set("big", VALUE))
        front.throttle = RATE / 10

        with Timer(0.2, lambda: setattr(front, "blackhole", True)):
            return await side(cluster.get("big"))

    with pytest.raises(MaybeApplied):
        make_side().run(scenario)


@sides
@engines
def test_a_deadline_bounds_the_whole(
    make_side: type[Side], engine: str, front_of: Callable[..., FaultProxy]
) -> None:
    front = front_of(engine)

    async def scenario(side: Side) -> Any:
        cluster = side.cluster(settings(engine, front, timeout=LONG))
        await connect(side, cluster)
        front.throttle = RATE / 1000
        with cluster.deadline(0.5):
            await side(cluster.set("big", VALUE))

    with pytest.raises(DeadlineExceeded) as caught:
        make_side().run(scenario)
    assert isinstance(caught.value, MaybeApplied)
