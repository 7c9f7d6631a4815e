"""``cluster.pipeline()``: redis-py's names, one batch a host, and an outcome for each command."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis

import clusters
from clusters import keys_of
from nydus_core import (
    Cluster,
    CommandError,
    CrossHostError,
    HostDown,
    MaybeApplied,
    NydusError,
    RoutingError,
)
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer

Servers = Callable[..., list[PrivateServer]]


cluster_of = partial(clusters.cluster_of, names="abc")


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        yield cluster


def several(client: Any, transaction: bool) -> Any:
    pipe = client.pipeline(transaction=transaction)
    for number in range(20):
        pipe.set(f"k{number}", number)
    pipe.hset("h", mapping={"a": 1}).hgetall("h").zadd("z", {"m": 1.5}).zrange("z", 0, -1, withscores=True)
    pipe.mget("k3", "nobody", "k1").incr("k7").delete("k1", "k2").exists("k1", "k3").get("nobody")
    return pipe


@pytest.mark.parametrize("transaction", [False, True])
@pytest.mark.parametrize("options", [{"protocol": 2}, {"protocol": 3}, {"decode_responses": True}])
def test_it_answers_what_one_server_would_have_answered(
    redis_servers: Servers, transaction: bool, options: dict[str, Any]
) -> None:
    one, *three = redis_servers(4)
    with (
        cluster_of(*three, **options) as cluster,
        redis.Redis(unix_socket_path=one.path, **options) as plain,
    ):
        assert several(cluster, transaction).execute() == several(plain, transaction).execute()


def test_it_is_used_as_redis_pys(cluster: Cluster) -> None:
    with cluster.pipeline() as pipe:
        assert isinstance(pipe, redis.client.Pipeline)
        same: Any = pipe.set("a", 1)
        assert same is pipe
        pipe.get("a")
        assert len(pipe) == 2
        assert pipe
        assert [words for words, _ in pipe.command_stack] == [("SET", "a", 1), ("GET", "a")]
        assert pipe.execute() == [True, b"1"]
        assert len(pipe) == 0
        assert pipe.execute() == []
        pipe.set("a", 2).reset()
        assert pipe.execute() == []
        pipe.set("a", 3)
    assert cluster.get("a") == b"1"
    pipe = cluster.pipeline(transaction=False)
    pipe.multi()
    assert pipe.incr("a").execute() == [2]
    assert pipe.incr("a").incr("a").execute() == [3, 4]
    with pytest.raises(redis.RedisError, match="before the first"):
        pipe.incr("a").multi()


@pytest.mark.parametrize("transaction", [False, True])
def test_each_host_has_one_batch(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], transaction: bool
) -> None:
    relays = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*relays) as cluster:
        cluster.ping()
        for relay in relays:
            relay.requests.clear()
        pipe = cluster.pipeline(transaction)
        for key in keys_of(cluster):
            pipe.incr(key).incr(key)
        assert pipe.execute() == [1, 2] * 3
        assert [len(relay.requests) for relay in relays] == [1, 1, 1]
        assert {b"MULTI" in relay.requests[0] for relay in relays} == {transaction}


def test_in_a_transaction_each_host_applies_all_of_its_commands_or_none(cluster: Cluster) -> None:
    mine, other, _ = keys_of(cluster)
    pipe = cluster.pipeline().set(mine, 1).execute_command("SET", mine).set(other, 1)
    with pytest.raises(redis.ResponseError):
        pipe.execute()
    assert cluster.mget(mine, other) == [None, b"1"]


def test_commands_without_a_key_and_split_ones_answer_as_on_the_cluster(cluster: Cluster) -> None:
    pipe = cluster.pipeline(transaction=False)
    assert pipe.mset({"a": 1, "b": 2, "c": 3}).ping().dbsize().mget("a", "b", "c").execute() == [
        True,
        [True, True, True],
        cluster.dbsize(),
        [b"1", b"2", b"3"],
    ]


def test_an_error_is_raised_as_redis_py_does(cluster: Cluster) -> None:
    cluster.set("word", "hello")
    pipe = cluster.pipeline().set("n", 1).incr("word").incr("n")
    with pytest.raises(redis.ResponseError) as caught:
        pipe.execute()
    assert type(caught.value) is redis.ResponseError
    assert str(caught.value).startswith("Command # 2 (INCRBY b'word') of pipeline caused error: value is not")
    assert pipe.get_results() == [True, caught.value, 2]
    assert [failure.position for failure in pipe.get_errors()] == [1]


def test_errors_stand_among_the_values_if_asked(cluster: Cluster) -> None:
    cluster.set("word", "hello")
    one, bad, two = cluster.pipeline().incr("n").incr("word").incr("n").execute(raise_on_error=False)
    assert (one, two) == (1, 2)
    assert str(bad) == "value is not an integer or out of range"


@pytest.mark.parametrize("transaction", [False, True])
def test_of_several_errors_the_gravest_is_raised_and_none_is_lost(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], transaction: bool
) -> None:
    relays = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*relays, health={"failures": 100}) as cluster:
        lost, down, fine = keys_of(cluster)
        cluster.set(fine, "hello")
        cluster.ping()
        relays[0].cut_replies(times=1)
        relays[1].refuse()
        relays[1].drop()
        pipe = cluster.pipeline(transaction).incr(fine).incr(down).incr(lost).get(fine)
        with pytest.raises(MaybeApplied) as caught:
            pipe.execute()
        error: Any = caught.value
        assert isinstance(error, redis.ConnectionError)
        assert f"INCRBY b'{lost}'" in str(error)
        assert "Command # 3 " in error.__notes__[0]
        assert [type(each).__name__ for each in pipe.get_results()] == [
            "ResponseError",
            "HostDown",
            "MaybeApplied",
            "bytes",
        ]
        assert [failure.hosts for failure in pipe.get_errors()] == [("c",), ("b",), ("a",)]
        assert any("INCRBY on b" in note for note in error.__notes__)
        relays[0].heal()
        assert cluster.get(lost) == b"1"
        lost_one: Any = caught.value
        assert pickle.loads(pickle.dumps(lost_one)).host == lost_one.host
        with pytest.raises(HostDown):
            cluster.pipeline(transaction).incr(fine).incr(down).execute()


def test_what_has_no_place_is_refused_and_nothing_is_sent(cluster: Cluster) -> None:
    first, second, _ = keys_of(cluster)
    pipe = cluster.pipeline().set("a", 1).sunion(first, second)
    with pytest.raises(CrossHostError):
        pipe.execute()
    with pytest.raises(RoutingError, match="SCAN is for one host"):
        pipe.set("a", 1).scan(0).execute()
    with pytest.raises(RoutingError, match="cannot tell the keys"):
        cluster.pipeline().set("a", 1).execute_command("X.Y", "k").execute()
    assert cluster.dbsize() == [0, 0, 0]
    assert pipe.execute() == []


@pytest.mark.parametrize(
    "call",
    [
        lambda pipe: pipe.watch("k"),
        lambda pipe: pipe.discard(),
        lambda pipe: pipe.immediate_execute_command("GET", "k"),
        lambda pipe: pipe.pipeline(),
        lambda pipe: pipe.pubsub(),
        lambda pipe: pipe.lock("l"),
        lambda pipe: pipe.scan_iter(),
        lambda pipe: pipe.hscan_iter("h"),
        lambda pipe: pipe.monitor(),
        lambda pipe: pipe.client(),
    ],
)
def test_what_cannot_be_queued_is_refused_with_the_way(cluster: Cluster, call: Callable[[Any], Any]) -> None:
    with pytest.raises(RoutingError, match=r"cluster\.|the cluster|reset\(\)"):
        call(cluster.pipeline())
    assert cluster.pipeline().unwatch() is True


def test_a_registered_script_need_not_be_known_to_the_hosts(cluster: Cluster) -> None:
    cluster.script_flush()
    add = cluster.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    with redis.Redis(unix_socket_path="/nowhere") as plain:
        foreign = plain.register_script("return redis.call('get', KEYS[1])")
    pipe = cluster.pipeline()
    for key in keys_of(cluster):
        add(keys=[key], args=[5], client=pipe)
        foreign(keys=[key], client=pipe)
    assert pipe.execute() == [5, b"5"] * 3


def test_messages_can_be_published_in_it(cluster: Cluster) -> None:
    assert cluster.pipeline().set("a", 1).publish("news", "hello").execute() == [True, 0]


def test_a_deadline_holds_for_it(redis_servers: Servers, proxy: Callable[..., FaultProxy]) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        cluster.ping()
        relay.blackhole = True
        with pytest.raises(NydusError, match="deadline"), cluster.deadline(0.05):
            cluster.pipeline().incr("a").incr("b").execute()


def test_routers_without_keys(redis_servers: Servers) -> None:
    servers = redis_servers(2)
    with cluster_of(*servers, router=None) as everywhere:
        assert everywhere.pipeline().incr("a").incr("a").execute() == [[1, 1], [2, 2]]
        everywhere.flushdb()
    with cluster_of(*servers, router="round-robin") as next_one:
        assert next_one.pipeline().incr("a").incr("a").incr("a").execute() == [1, 1, 2]
    with cluster_of(servers[0], router=None) as single:
        assert single.pipeline().incr("b").dbsize().execute() == [1, 2]


def test_a_router_that_wants_to_see_calls_is_told_to_use_a_map(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(2), router="nydus.db.routers.base.BaseRouter") as cluster:
        for method in (cluster.pipeline, cluster.pubsub):
            with pytest.raises(RoutingError, match=r"use cluster\."):
                method()


def test_a_map_is_not_changed_by_it(cluster: Cluster) -> None:
    cluster.set("word", "hello")
    with pytest.raises(CommandError), cluster.map() as conn:
        conn.incr("word")
