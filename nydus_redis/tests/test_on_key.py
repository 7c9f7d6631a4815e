"""The client of a key's host: transactions that watch keys, and nothing that belongs elsewhere."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis
from redis.utils import HIREDIS_AVAILABLE

import clusters
from nydus_core import Cluster, HostDown, MaybeApplied, RoutingError
from nydus_core.testing import FaultProxy
from nydus_redis.commands import wire
from nydus_redis.embedded.server import PrivateServer

Servers = Callable[..., list[PrivateServer]]


cluster_of = partial(clusters.cluster_of, names="abc")


def keys_by_host(cluster: Cluster) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {str(host): [] for host in cluster}
    for number in range(100):
        found[cluster.router.locate(b"key:%d" % number)].append(f"key:{number}")
    return found


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        yield cluster


def test_it_is_the_client_of_the_host_that_the_key_belongs_to(cluster: Cluster) -> None:
    for host, keys in keys_by_host(cluster).items():
        assert cluster.on_key(keys[0]).set(keys[0], 1)
        assert cluster.on(host).exists(keys[0]) == 1
        assert cluster.on_key(keys[0].encode()).get(keys[0]) == b"1"
    assert cluster.on_key("any").ping() is True


def test_hash_tags_count_as_the_router_has_them(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(3), router={"name": "rendezvous", "hash_tags": True}) as cluster:
        for user in range(10):
            client = cluster.on_key(f"{{user:{user}}}.a")
            assert client.pipeline().set(f"{{user:{user}}}.b", 1).execute() == [True]
            assert cluster.get(f"{{user:{user}}}.b") == b"1"


def steps() -> list[Any]:
    return [
        lambda client, key: client.get(key),
        lambda client, key: client.execute_command("get", key),
        lambda client, key: client.mget(key, key),
        lambda client, key: client.pipeline().get(key),
        lambda client, key: client.pipeline().execute_command("SORT", key, "STORE", "to"),
        lambda client, key: client.pipeline().watch(key),
        lambda client, key: client.transaction(print, key),
        lambda client, key: client.lock(key).acquire(),
        lambda client, key: client.register_script("return 1")(keys=[key]),
        lambda client, key: client.pubsub().subscribe(key),
        lambda client, key: client.pubsub().ssubscribe(key),
        lambda client, key: client.publish(key, "hello"),
    ]


@pytest.mark.parametrize("number", range(len(steps())))
def test_what_lives_elsewhere_is_refused_before_anything_is_sent(cluster: Cluster, number: int) -> None:
    mine, other, _ = (keys[0] for keys in keys_by_host(cluster).values())
    with pytest.raises(
        RoutingError, match=rf"b'{other}' lives on host 'b'; this is host 'a', that of '{mine}'"
    ):
        steps()[number](cluster.on_key(mine), other)
    assert cluster.keys() == [[], [], []]


def test_keys_that_cannot_be_told_are_refused(cluster: Cluster) -> None:
    for call in (cluster.on_key("k").execute_command, cluster.on_key("k").pipeline().execute_command):
        with pytest.raises(RoutingError, match=r"cannot tell the keys of X\.Y: .* or use cluster\.on\("):
            call("X.Y", "k")


def test_a_key_that_has_moved_meanwhile_is_refused(cluster: Cluster) -> None:
    client = cluster.on_key("k")
    cluster.remove_host(cluster.router.locate(b"k"))
    with pytest.raises(RoutingError, match="lives on host"):
        client.set("k", 1)


@pytest.mark.parametrize("router", [None, "broadcast", "round-robin"])
def test_a_router_without_keys_has_no_host_for_one(redis_servers: Servers, router: Any) -> None:
    expected = pytest.raises(RoutingError, match=r"use cluster\.on\(host\), with host one of a, b")
    with cluster_of(*redis_servers(2), router=router) as cluster, expected:
        cluster.on_key("k")


def test_a_single_host_has_all_keys(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(1), router=None) as cluster:
        assert cluster.on_key("k").pipeline().set("x", 1).execute() == [True]


def test_a_transaction_sees_a_watched_key_change(cluster: Cluster) -> None:
    cluster.set("stock", 5)
    tries: list[int] = []

    def buy(pipe: Any) -> None:
        left = int(pipe.get("stock"))
        if not tries:
            cluster.set("stock", 3)
        tries.append(left)
        pipe.multi()
        pipe.set("stock", left - 1)

    assert cluster.on_key("stock").transaction(buy, "stock") == [True]
    assert tries == [5, 3]
    assert cluster.get("stock") == b"2"


def test_a_transaction_whose_answer_is_lost_is_not_run_again(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        runs: list[None] = []

        def add(pipe: Any) -> None:
            runs.append(None)
            pipe.get("n")
            pipe.multi()
            pipe.incr("n")
            relay.cut_replies(times=1)

        with pytest.raises(MaybeApplied, match="a pipeline of 1 command may have been applied") as caught:
            cluster.on_key("n").transaction(add, "n")
        assert isinstance(caught.value, redis.ConnectionError)
        assert runs == [None]
        assert cluster.get("n") == b"1"


def test_a_write_after_watch_whose_answer_is_lost_is_not_run_again(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:

        def add(pipe: Any) -> None:
            relay.cut_replies(times=1)
            pipe.incr("n")

        with pytest.raises(MaybeApplied, match="INCRBY may have been applied"):
            cluster.on_key("n").transaction(add, "n")
        assert cluster.get("n") == b"1"
        assert cluster.on_key("n").pipeline().incr("n").execute() == [2]


def test_a_host_that_is_down_was_not_sent_a_pipeline(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster:
        assert cluster.ping() is True
        server.stop()
        with pytest.raises(HostDown, match="a pipeline of 2 commands was not taken") as caught:
            cluster.on("a").pipeline().set("a", 1).set("b", 2).execute()
        assert isinstance(caught.value, redis.ConnectionError)
        with pytest.raises(HostDown, match="WATCH was not taken"):
            cluster.on_key("a").transaction(print, "a")


def test_a_servers_own_error_passes_through(cluster: Cluster) -> None:
    cluster.set("word", "hello")
    with pytest.raises(redis.ResponseError, match="Command # 1 ") as caught:
        cluster.on_key("word").pipeline().incr("word").execute()
    assert type(caught.value) is redis.ResponseError


class Color(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize("key", [Color.RED, "text", b"\xff", 7, 1.5, bytearray(b"x"), memoryview(b"y")])
def test_a_key_is_placed_by_the_bytes_that_are_sent(cluster: Cluster, key: Any) -> None:
    if isinstance(key, bytearray) and not HIREDIS_AVAILABLE:
        pytest.skip("redis-py sends a bytearray only with hiredis")
    client = cluster.on_key(key)
    client.set(key, "v")
    assert cluster.get(key) == b"v"


def test_text_is_encoded_as_the_options_say(redis_servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "HIREDIS_AVAILABLE", False)
    monkeypatch.setattr(wire, "pack_at_once", None)
    with cluster_of(*redis_servers(3), encoding="utf-16-le") as cluster:
        for number in range(20):
            key = f"é:{number}"
            index = cluster.router.locate(key.encode("utf-16-le"))
            assert cluster._surface.nydus_wire.key(key) == key.encode("utf-16-le")
            assert cluster.on_key(key).nydus_engine is cluster.hosts[index]


@pytest.mark.parametrize("key", [None, True, [1], {"a": 1}, object()])
def test_what_is_no_key_is_refused(cluster: Cluster, key: Any) -> None:
    with pytest.raises(redis.DataError):
        cluster.on_key(key)
