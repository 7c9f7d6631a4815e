"""``outcome_of`` is true of every error that a call of a cluster raises, on both engines and both sides."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import pymemcache.exceptions as of_memcached
import pytest
import redis

from clusters import NO_RETRY, ByName, async_cluster_of, cluster_of
from given import MemcachedServers, RedisServers
from nydus_core import BaseEngine, CommandError, Outcome, create_cluster
from nydus_core.command import outcome_of
from nydus_memcache.errors import ServerFull
from sharing import both_ways

Call = Callable[[Any], Any]


def ends_of(cluster: Any, calls: list[Call]) -> list[Outcome]:
    """The outcomes of calls that all raise."""
    found = []
    for call in calls:
        with pytest.raises(Exception) as caught:
            call(cluster)
        found.append(outcome_of(caught.value))
    return found


async def async_ends_of(cluster: Any, calls: list[Call]) -> list[Outcome]:
    found = []
    async with cluster:
        for call in calls:
            with pytest.raises(Exception) as caught:
                await call(cluster)
            found.append(outcome_of(caught.value))
    return found


REDIS: list[tuple[Call, Outcome]] = [
    (lambda c: c.lpush("text", 1), Outcome.SERVER_ERROR),
    (lambda c: c.on_key("text").lpush("text", 1), Outcome.SERVER_ERROR),
    (lambda c: c.on_key("text").pipeline().lpush("text", 1).execute(), Outcome.SERVER_ERROR),
    (lambda c: c.set("k", object()), Outcome.NOT_SENT),
    (lambda c: c.set("k", 10**5000), Outcome.NOT_SENT),
    (lambda c: c.rename("a", "b"), Outcome.NOT_SENT),
    (lambda c: c.on_key("text").get("b1"), Outcome.NOT_SENT),
    (lambda c: c.eval("return 1", "many", "k"), Outcome.NOT_SENT),
]


def _split(calls: list[tuple[Call, Outcome]]) -> tuple[list[Call], list[Outcome]]:
    return [call for call, _ in calls], [outcome for _, outcome in calls]


def test_redis(redis_servers: RedisServers) -> None:
    calls, outcomes = _split(REDIS)
    with cluster_of(*redis_servers(2), router=ByName, names="ab") as cluster:
        cluster.set("text", "text")
        assert ends_of(cluster, calls) == outcomes
        with pytest.raises(CommandError) as caught, cluster.map() as conn:
            promise = conn.lpush("text", 1)
            conn.set("written", 1)
        assert [promise.outcome, outcome_of(promise.error)] == [Outcome.SERVER_ERROR] * 2
        assert outcome_of(caught.value) is Outcome.MAYBE_APPLIED  # the other command was applied


@both_ways
def test_redis_with_asyncio(redis_servers: RedisServers, batching: bool) -> None:
    calls, outcomes = _split(REDIS)
    servers = redis_servers(2)
    with cluster_of(*servers, router=ByName, names="ab") as cluster:
        cluster.set("text", "text")
    other = async_cluster_of(*servers, router=ByName, names="ab", batching=batching)
    assert asyncio.run(async_ends_of(other, calls)) == outcomes


class Picky:
    """A serde that fails either way."""

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        if not isinstance(value, bytes):
            raise ValueError("cannot be stored")
        return value, 0

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        raise ValueError("cannot be read")


MEMCACHED: list[tuple[Call, Outcome]] = [
    (lambda c: c.incr("text"), Outcome.SERVER_ERROR),
    (lambda c: c.set("big", b"x" * 5_000_000), Outcome.SERVER_ERROR),
    (lambda c: c.set("bad key", b""), Outcome.NOT_SENT),
    (lambda c: c.set("k", b"", expire=2**70), Outcome.NOT_SENT),
    (
        lambda c: c.get("text"),
        Outcome.MAYBE_APPLIED,
    ),  # the server answered with a value, and the serde cannot read it
]


def test_memcached(memcached_servers: MemcachedServers) -> None:
    calls, outcomes = _split(MEMCACHED)
    with cluster_of(*memcached_servers(2), engine="memcache", serde=Picky()) as cluster:
        cluster.set("text", b"text")
        assert ends_of(cluster, calls) == outcomes
        with pytest.raises(CommandError), cluster.map() as conn:
            promises = conn.incr("text"), conn.get("text")
        assert [each.outcome for each in promises] == [Outcome.SERVER_ERROR, Outcome.MAYBE_APPLIED]


def test_memcached_with_asyncio(memcached_servers: MemcachedServers) -> None:
    calls, outcomes = _split(MEMCACHED)
    servers = memcached_servers(2)
    with cluster_of(*servers, engine="memcache", serde=Picky()) as cluster:
        cluster.set("text", b"text")
    other = async_cluster_of(*servers, engine="memcache", serde=Picky())
    assert asyncio.run(async_ends_of(other, calls)) == outcomes


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (redis.ResponseError("WRONGTYPE"), Outcome.SERVER_ERROR),
        (redis.BusyLoadingError("LOADING"), Outcome.SERVER_ERROR),
        (redis.WatchError("changed"), Outcome.SERVER_ERROR),
        (redis.ConnectionError("reset"), Outcome.MAYBE_APPLIED),
        (redis.TimeoutError("slow"), Outcome.MAYBE_APPLIED),
        (redis.exceptions.LockError("not owned"), Outcome.MAYBE_APPLIED),
        (redis.DataError("a list"), Outcome.NOT_SENT),
        (of_memcached.MemcacheServerError("out of memory"), Outcome.SERVER_ERROR),
        (of_memcached.MemcacheUnknownCommandError("x"), Outcome.SERVER_ERROR),
        (of_memcached.MemcacheUnexpectedCloseError(), Outcome.MAYBE_APPLIED),
        (of_memcached.MemcacheUnknownError("x"), Outcome.MAYBE_APPLIED),
        (of_memcached.MemcacheIllegalInputError("key"), Outcome.NOT_SENT),
        (ServerFull("full"), Outcome.NOT_SENT),
    ],
    ids=lambda each: getattr(each, "value", type(each).__name__),
)
def test_errors_of_client_libraries(error: Exception, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


class Answering(BaseEngine):
    """An engine of a third party. Its client answers some commands with exceptions."""

    def connect(self) -> Any:
        return _Client()

    def disconnect(self) -> None:
        pass


class _Client:
    def get(self, key: str) -> Any:
        return {"a": 1}[key]


def test_the_error_that_an_engine_of_a_third_party_raises_is_an_answer() -> None:
    cluster: Any = create_cluster(
        {"engine": Answering, "router": "partition", "hosts": [{}, {}], "retry": NO_RETRY}
    )
    with pytest.raises(KeyError) as caught:
        cluster.get("b")
    assert outcome_of(caught.value) is Outcome.SERVER_ERROR
    assert outcome_of(pickle.loads(pickle.dumps(caught.value))) is Outcome.SERVER_ERROR
    assert outcome_of(KeyError("b")) is Outcome.MAYBE_APPLIED  # nobody knows where it comes from
    with pytest.raises(CommandError), cluster.map() as conn:
        promise = conn.get("b")
    assert promise.outcome is Outcome.SERVER_ERROR
