"""Iterating over the keys of all hosts: whole, in pieces, in another process, and while hosts come and go."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from typing import Any

import pytest

import clusters
from nydus_core import Cluster, HostDown, RoutingError
from nydus_redis.embedded.server import PrivateServer

Servers = Callable[..., list[PrivateServer]]
KEYS = {f"user:{number}" for number in range(300)}


cluster_of = partial(clusters.cluster_of, names="abc", decode_responses=True)


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        cluster.mset(dict.fromkeys(KEYS, 1))
        cluster.lpush("list", 1)
        yield cluster


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_all_keys_of_all_hosts_come_up(redis_servers: Servers, protocol: int, decode: bool) -> None:
    with cluster_of(*redis_servers(3), protocol=protocol, decode_responses=decode) as cluster:
        cluster.mset(dict.fromkeys(KEYS, 1))
        found = list(cluster.scan_iter(count=10))
        assert len(found) == len(set(found)) == 300
        assert {key if decode else key.decode() for key in found} == KEYS
        assert list(cluster.scan_iter(match="nobody:*")) == []


def test_its_options_are_those_of_scan(cluster: Cluster) -> None:
    assert set(cluster.scan_iter("user:*")) == KEYS
    assert list(cluster.scan_iter(_type="list")) == ["list"]
    assert list(cluster.scan_iter(match=b"user:7")) == ["user:7"]


def test_a_key_of_a_host_is_iterated_over_on_its_host(cluster: Cluster) -> None:
    cluster.hset("h", mapping={"a": 1, "b": 2})
    cluster.sadd("s", "x", "y")
    cluster.zadd("z", {"p": 1, "q": 2})
    assert dict(cluster.hscan_iter("h")) == {"a": "1", "b": "2"}
    assert set(cluster.sscan_iter("s")) == {"x", "y"}
    assert dict(cluster.zscan_iter("z")) == {"p": 1.0, "q": 2.0}


@pytest.mark.parametrize("stop", [0, 1, 9, 10, 11, 150, 299, 300])
def test_it_goes_on_from_its_cursor_and_loses_nothing(cluster: Cluster, stop: int) -> None:
    first = cluster.scan_iter("user:*", count=10)
    before = list(islice(first, stop))
    after = list(cluster.scan_iter("user:*", count=25, cursor=first.cursor))
    assert {*before, *after} == KEYS
    assert len(before) + len(after) <= 300 + 25  # what came in one answer may come again


def test_at_the_end_its_cursor_has_no_more_keys(cluster: Cluster) -> None:
    first = cluster.scan_iter("user:*")
    assert set(first) == KEYS
    assert list(first) == []
    assert list(cluster.scan_iter("user:*", cursor=first.cursor)) == []


def test_another_process_goes_on(cluster: Cluster) -> None:
    first = cluster.scan_iter("user:*", count=10)
    before = list(islice(first, 100))
    engines: dict[str, Any] = dict(cluster.hosts)
    hosts = {name: {"unix_socket_path": engine.unix_socket_path} for name, engine in engines.items()}
    program = f"""
from nydus_core import create_cluster
with create_cluster({{"engine": "redis", "router": "rendezvous", "hosts": {hosts}}}) as cluster:
    for key in cluster.scan_iter("user:*", cursor={first.cursor!r}):
        print(key.decode())
"""
    after = subprocess.check_output([sys.executable, "-c", program], text=True).split()
    assert {*before, *after} == KEYS


def test_a_cursor_of_another_cluster_or_with_other_options_is_refused(
    cluster: Cluster, redis_servers: Servers
) -> None:
    iteration = cluster.scan_iter("user:*")
    next(iteration)
    for options in ({}, {"match": "user:1*"}, {"match": "user:*", "_type": "string"}):
        with pytest.raises(RoutingError, match=r"this cursor was begun with .*user:\*"):
            cluster.scan_iter(cursor=iteration.cursor, **options)
    expected = pytest.raises(RoutingError, match=r"one of hosts \['a', 'b', 'c'\]; found \['a', 'b'\]")
    with cluster_of(*redis_servers(2)) as other, expected:
        other.scan_iter("user:*", cursor=iteration.cursor)
    for text in ("", "7", "nonsense", iteration.cursor[:-9], "e30="):
        with pytest.raises(RoutingError, match="no cursor"):
            cluster.scan_iter("user:*", cursor=text)


def test_a_host_that_is_gone_since_is_told(cluster: Cluster) -> None:
    iteration = cluster.scan_iter("user:*")
    next(iteration)
    cluster.remove_host("a")
    with pytest.raises(RoutingError, match="stands at host 'a', which is gone"):
        cluster.scan_iter("user:*", cursor=iteration.cursor)


def test_it_goes_on_after_a_failure_of_a_host(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    first, third = redis_servers(2)
    second = new_redis_server({"save": ""})
    with cluster_of(first, second, third) as cluster:
        cluster.mset(dict.fromkeys(KEYS, 1))
        alive = set(cluster.on("a").keys()) | set(cluster.on("c").keys())
        iteration = cluster.scan_iter("user:*", count=10)
        found = set(islice(iteration, len(cluster.on("a").keys()) + 5))
        second.stop()
        with pytest.raises(HostDown):
            for key in iteration:
                found.add(key)
        text = iteration.cursor
        with pytest.raises(HostDown):
            next(iteration)
        back = new_redis_server({"save": ""})
        with cluster_of(first, back, third) as again:
            mine = {key for key in KEYS if again.router.locate(key.encode()) == "b"}
            again.mset(dict.fromkeys(mine, 1))
            rest = set(again.scan_iter("user:*", cursor=text))
        assert rest >= mine  # another process: it was begun anew
        assert found | rest == alive | mine == KEYS


def test_a_server_that_is_replaced_on_the_way_is_begun_anew(
    redis_servers: Servers, proxy: Callable[..., Any], new_redis_server: Callable[..., PrivateServer]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        cluster.mset(dict.fromkeys(KEYS, 1))
        iteration = cluster.scan_iter(count=10)
        found = set(islice(iteration, 150))
        other = new_redis_server()
        relay.target = other.path
        relay.drop()
        cluster.mset(dict.fromkeys(KEYS, 1))
        late = set(iteration)
        assert late == KEYS
        assert len(found) == 150


@pytest.mark.parametrize("router", [None, "round-robin"])
def test_without_a_router_by_key_the_keys_of_each_host_come_up(redis_servers: Servers, router: Any) -> None:
    with cluster_of(*redis_servers(2), router=router) as cluster:
        cluster.on("a").set("k", 1)
        cluster.on("b").set("k", 1)
        assert list(cluster.scan_iter()) == ["k", "k"]


def test_a_plain_scan_and_one_in_a_map_are_refused_with_the_way(cluster: Cluster) -> None:
    with pytest.raises(RoutingError, match="SCAN is for one host, which has to be named"):
        cluster.scan(0)
    with pytest.raises(RoutingError, match=r"use cluster\.scan_iter\(\)"), cluster.map() as conn:
        conn.scan_iter()


def test_threads_that_share_an_iteration_find_each_key_once(cluster: Cluster) -> None:
    keys, members = cluster.scan_iter("user:*", count=10), cluster.sscan_iter("many", count=10)
    cluster.sadd("many", *range(3000))
    with ThreadPoolExecutor(6) as threads:
        each = [threads.submit(list, iteration) for iteration in (keys, members) for _ in range(3)]
        found = [done.result() for done in each]
    assert sorted(chain(*found[:3])) == sorted(KEYS)
    assert sorted(map(int, chain(*found[3:]))) == list(range(3000))
