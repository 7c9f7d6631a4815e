"""The Redis engine against real servers: options, keys, splits, errors, and what is known after each of them."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis

import clusters
from interrupting import interrupted_when
from nydus_core import (
    Cluster,
    ConfigError,
    CrossHostError,
    HostDown,
    MaybeApplied,
    RoutingError,
    create_cluster,
)
from nydus_core.command import Outcome
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.embedded.server import PrivateServer
from tls import TlsFront
from waiting import LONG
from waiting_time import timeout_of

Servers = Callable[..., list[PrivateServer]]


cluster_of = partial(clusters.cluster_of, router="partition")


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        yield cluster


def apart(cluster: Cluster, count: int = 2) -> list[str]:
    """Keys that live on different hosts."""
    found: dict[str, str] = {}
    for i in range(100):
        found.setdefault(cluster.router.locate(f"key{i}".encode()), f"key{i}")
    return list(found.values())[:count]


def about(cluster: Cluster, host: int) -> dict[str, Any]:
    """What a host says of a connection to it."""
    with cluster.on(host).client() as one:
        found: dict[str, Any] = one.client_info()
    return found


# Where commands go ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "key"),
    [
        (lambda c: c.incr("k"), "k"),
        (lambda c: c.set(name="k", value=1, ex=100), "k"),
        (lambda c: c.zadd("k", {"a": 1}, nx=True), "k"),
        (lambda c: c.execute_command("SET", "k", "v"), "k"),
        (lambda c: c.execute_command("set", b"k", "v"), "k"),
        (lambda c: c.object("ENCODING", "k"), "k"),
        (lambda c: c.memory_usage("k"), "k"),
        (lambda c: c.eval("return redis.call('set', KEYS[1], ARGV[1])", 1, "k", "script"), "k"),
        (lambda c: c.zunionstore("k", ["k"]), "k"),
        (lambda c: c.xadd("k", {"a": 1}), "k"),
        (lambda c: c.xread({"k": 0}), "k"),
        (lambda c: c.bitop("NOT", "k", "k"), "k"),
        (lambda c: c.set(7, "v"), "7"),
        (lambda c: c.set(b"\xff\x00", "v"), b"\xff\x00"),
    ],
)
def test_a_command_goes_only_to_the_host_of_its_key(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], call: Callable[[Any], Any], key: str | bytes
) -> None:
    proxies = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*proxies) as cluster:
        cluster.ping()
        before = [len(each.requests) for each in proxies]
        call(cluster)
        after = [len(each.requests) for each in proxies]
        raw = key.encode() if isinstance(key, str) else key
        home = int(cluster.router.locate(raw))
        assert [now - then for now, then in zip(after, before, strict=True)] == [
            int(host == home) for host in range(3)
        ]


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set("k", "v", ex=100, nx=True),
        lambda c: c.zadd("k", {"a": 1.5, b"b": 2}, xx=True, ch=True),
        lambda c: c.config_get("maxmemory"),
        lambda c: c.object("ENCODING", "k"),
        lambda c: c.set("k", memoryview(b"view")),
        lambda c: c.set("k", bytearray(b"array")),
        lambda c: c.hset("k", mapping={"ü": 1, "b": 2.5}),
        lambda c: c.execute_command("CLIENT LIST"),
        lambda c: c.execute_command("get", "k"),
    ],
)
def test_a_host_receives_just_what_redis_py_would_have_sent(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], call: Callable[[Any], Any]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with redis.Redis(unix_socket_path=relay.path) as plain, cluster_of(relay) as cluster:
        cluster.ping()
        plain.ping()
        relay.requests.clear()
        try:
            call(plain)
        except redis.DataError:  # without hiredis it takes no bytearray
            with pytest.raises(redis.DataError):
                call(cluster)
            return
        expected = b"".join(relay.requests)
        relay.requests.clear()
        call(cluster.on(0))
        assert b"".join(relay.requests) == expected


def test_a_connection_greets_its_host_as_that_of_redis_py_does(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with redis.Redis(unix_socket_path=relay.path) as plain, cluster_of(relay) as cluster:
        plain.ping()
        expected = b"".join(relay.requests)
        relay.requests.clear()
        cluster.ping()
        assert b"".join(relay.requests) == expected
    assert redis.__version__.encode() in expected


@pytest.mark.skipif(not hasattr(redis, "DriverInfo"), reason="this redis-py has no DriverInfo")
def test_the_settings_may_say_how_connections_greet(redis_servers: Servers) -> None:
    given = redis.DriverInfo(name="mine", lib_version="5")
    with cluster_of(*redis_servers(1), driver_info=given) as cluster:
        assert cluster.on("0").client_info()["lib-name"] == "mine"


def test_no_key_means_all_hosts_in_host_order(cluster: Cluster) -> None:
    for host in cluster:
        cluster.on(host).set(f"only:{host}", host)
    assert cluster.keys("only:*") == [[b"only:0"], [b"only:1"], [b"only:2"]]
    assert cluster.dbsize() == [1, 1, 1]
    assert cluster.flushdb() == [True, True, True]


def test_commands_over_many_keys_are_split_and_joined(cluster: Cluster) -> None:
    keys = [f"key{i}" for i in range(20)]
    assert cluster.mset({key: i for i, key in enumerate(keys)}) is True
    assert min(cluster.dbsize()) > 0
    assert cluster.mget(*keys, "nope", keys[3], keys[3]) == [
        *(str(i).encode() for i in range(20)),
        None,
        b"3",
        b"3",
    ]
    assert cluster.exists(*keys, keys[0], "nope") == 21
    assert cluster.touch(*keys) == 20
    assert cluster.delete(*keys[:10]) == 10
    assert cluster.unlink(*keys) == 10
    assert cluster.dbsize() == [0, 0, 0]


def test_mset_of_one_key_twice_keeps_the_last_value(cluster: Cluster) -> None:
    a, b = apart(cluster)
    assert cluster.execute_command("MSET", a, 1, b, 2, a, 3) is True
    assert cluster.mget(a, b) == [b"3", b"2"]


@pytest.mark.parametrize(
    "call",
    [
        lambda c, a, b: c.sunion(a, b),
        lambda c, a, b: c.rename(a, b),
        lambda c, a, b: c.msetnx({a: 1, b: 2}),
        lambda c, a, b: c.eval("return 1", 2, a, b),
        lambda c, a, b: c.zunionstore(a, [b]),
        lambda c, a, b: c.blpop([a, b], timeout=1),
        lambda c, a, b: c.pfcount(a, b),
        lambda c, a, b: c.execute_command("SMOVE", a, b, "x"),
        lambda c, a, b: c.sort(a, store=b),
        lambda c, a, b: c.copy(a, b),
    ],
)
def test_keys_on_several_hosts_are_refused_before_anything_is_sent(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], call: Callable[..., Any]
) -> None:
    proxies = [proxy(server) for server in redis_servers(2)]
    with cluster_of(*proxies) as cluster:
        a, b = apart(cluster)
        with pytest.raises(CrossHostError, match="hash tag") as caught:
            call(cluster, a, b)
        assert {name: sorted(set(keys)) for name, keys in caught.value.hosts.items()} == {
            cluster.router.locate(key.encode()): [key.encode()] for key in (a, b)
        }
        assert not any(each.requests for each in proxies)


def test_hash_tags_bring_keys_together(redis_servers: Servers) -> None:
    router = {"name": "nydus_core.routers.PartitionRouter", "hash_tags": True}
    with cluster_of(*redis_servers(3), router=router) as cluster:
        for i in range(20):
            cluster.sadd(f"{{{i}}}.a", 1)
            cluster.sadd(f"{{{i}}}.b", 2)
            assert cluster.sunion(f"{{{i}}}.a", f"{{{i}}}.b") == {b"1", b"2"}


def test_arguments_that_hide_the_keys_are_refused(cluster: Cluster) -> None:
    for call in (("GET",), ("EVAL", "return 1", "many", "k"), ("ZUNIONSTORE", "to", 3, "a")):
        with pytest.raises(RoutingError, match="Nothing was sent"):
            cluster.execute_command(*call)


def test_an_unknown_command_is_refused_until_its_keys_are_stated(cluster: Cluster) -> None:
    with pytest.raises(RoutingError, match=r"keys=\['k'\]"):
        cluster.execute_command("X.Y", "k")
    with pytest.raises(redis.ResponseError, match="unknown command"):
        cluster.execute_command("X.Y", "k", keys=["k"])


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.monitor(),
        lambda c: c.client(),
        lambda c: c.execute_command("WATCH", "k"),
        lambda c: c.execute_command("MULTI"),
        lambda c: c.execute_command("SUBSCRIBE", "news"),
        lambda c: c.select(1),
        lambda c: c.scan(),
    ],
)
def test_what_lives_on_one_connection_needs_a_host_and_says_so(
    cluster: Cluster, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(RoutingError, match=r"cluster\.on\(host\)"):
        call(cluster)


def test_one_host_can_be_asked_with_everything_that_its_client_can(cluster: Cluster) -> None:
    host = cluster.on(1)
    assert host.set("here", 1)
    assert host.pipeline().incr("here").get("here").execute() == [2, b"2"]
    assert list(host.scan_iter()) == [b"here"]
    assert cluster.dbsize() == [0, 1, 0]
    with host.pubsub() as subscriber:
        subscriber.subscribe("news")
        assert subscriber.get_message(timeout=LONG)["type"] == "subscribe"
    with pytest.raises(RoutingError, match="there is no host 9; the hosts are 0, 1, 2"):
        cluster.on(9)


@pytest.mark.parametrize("call", [lambda c: c.select(3), lambda c: c.execute_command("MULTI")])
def test_what_would_stay_with_a_shared_connection_needs_one_of_its_own(
    cluster: Cluster, call: Callable[[Any], Any]
) -> None:
    with pytest.raises(RoutingError, match=r"cluster\.on\(host\)\.client\(\)"):
        call(cluster.on(0))
    with cluster.on(0).client() as one:
        call(one)
    key = next(f"k{i}" for i in range(50) if cluster.router.locate(f"k{i}".encode()) == "0")
    assert cluster.set(key, "v") is True
    assert cluster.on(0).get(key) == b"v"


FORMS = [
    ("MEMORY USAGE", "k"),
    ("MEMORY", "USAGE", "k"),
    ("OBJECT ENCODING", "k"),
    ("GET", "k"),
    ("get", "k"),
    (b"GET", b"k"),
    ("GET k",),
    ("XINFO STREAM", "s"),
]


@pytest.mark.parametrize("args", FORMS)
def test_every_way_to_write_a_command_works_each_time(cluster: Cluster, args: tuple[Any, ...]) -> None:
    cluster.set("k", "v")
    cluster.xadd("s", {"a": 1})
    first, *others = [cluster.execute_command(*args) for _ in range(3)]
    assert first is not None
    assert others == [first, first]


def test_a_stated_key_may_stand_alone(cluster: Cluster) -> None:
    for key in apart(cluster, 3):
        with pytest.raises(redis.ResponseError, match="unknown command"):
            cluster.execute_command("X.Y", key, keys=key)


def test_the_words_behind_a_name_are_not_shown(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster:
        server.stop()
        for name in ("CONFIG SET requirepass hunter2", "AUTH hunter2", "X.AUTH hunter2", "SET k hunter2"):
            with pytest.raises((HostDown, RoutingError)) as caught:
                cluster.execute_command(name)
            assert "hunter2" not in str(caught.value)


def test_methods_of_several_commands_work(cluster: Cluster) -> None:
    cluster.hset("h", mapping={str(i): i for i in range(50)})
    assert len(dict(cluster.hscan_iter("h", count=10))) == 50
    assert cluster.json().__class__.__name__ == "JSON"


def test_scripts_and_locks_live_on_the_host_of_their_key(cluster: Cluster) -> None:
    double = cluster.register_script("return redis.call('incrby', KEYS[1], ARGV[1]) * 2")
    for key in apart(cluster, 3):
        assert double(keys=[key], args=[4]) == 8
        with cluster.lock(f"lock:{key}", timeout=LONG) as lock:
            assert lock.owned()
            assert cluster.on(int(cluster.router.locate(f"lock:{key}".encode()))).exists(f"lock:{key}")
        assert cluster.exists(f"lock:{key}") == 0


def test_a_promise_of_an_earlier_map_is_its_value_as_an_argument(cluster: Cluster) -> None:
    with cluster.map() as conn:
        one, two = conn.incr("one"), conn.incr("two", 2)
    cluster.set("copy", two)
    assert cluster.get("copy") == b"2"
    assert cluster.incrby("one", one) == 2
    for pipeline in (cluster.pipeline(), cluster.on_key("copy").pipeline(), cluster.on(0).pipeline()):
        assert pipeline.set("copy", one).get("copy").execute() == [True, b"1"]
    watching = cluster.on_key("copy").pipeline()
    watching.watch("copy")
    assert watching.echo(two) == b"2"
    watching.multi()
    assert watching.append("copy", two).execute() == [2]
    assert cluster.get("copy") == b"12"


# Options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
def test_replies_are_those_of_a_plain_client_with_the_same_options(
    redis_servers: Servers, protocol: int, decode: bool
) -> None:
    (server,) = redis_servers(1)
    options: dict[str, Any] = {"protocol": protocol, "decode_responses": decode}
    with (
        redis.Redis(unix_socket_path=server.path, **options) as plain,
        cluster_of(server, **options) as cluster,
    ):
        plain.zadd("z", {"a": 1, "b": 2.5})
        plain.hset("h", mapping={"x": "1"})
        calls: list[Callable[[Any], Any]] = [
            lambda c: c.zrange("z", 0, -1, withscores=True),
            lambda c: c.hgetall("h"),
            lambda c: c.get("none"),
            lambda c: c.smembers("none"),
            lambda c: c.zscore("z", "b"),
            lambda c: c.dump("h"),
            lambda c: c.time().__class__,
        ]
        for call in calls:
            expected = call(plain)
            assert call(cluster.on(0)) == expected
            with cluster.map() as conn:
                one, several = conn.zrange("z", 0, -1, withscores=True), conn.hgetall("h")
                dumped = conn.dump("h")
            assert (one, several, dumped) == (
                plain.zrange("z", 0, -1, withscores=True),
                plain.hgetall("h"),
                plain.dump("h"),
            )


def test_options_of_redis_py_reach_it(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server({"requirepass": "s3cret"})
    with cluster_of(server, password="s3cret", client_name="me", health_check_interval=1, db=3) as cluster:
        assert about(cluster, 0)["name"] == "me"
        assert about(cluster, 0)["db"] == 3
        assert "s3cret" not in repr(cluster) + repr(cluster[0]) + repr(vars(cluster))


def test_a_wrong_password_is_not_sent_and_not_shown(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server({"requirepass": "s3cret"})
    with cluster_of(server, password="wr0ng") as cluster, pytest.raises(HostDown) as caught:
        cluster.get("k")
    assert isinstance(caught.value, redis.AuthenticationError)
    assert "wr0ng" not in str(caught.value) + repr(caught.value)


def test_tcp_and_urls(redis_servers: Servers) -> None:
    servers = redis_servers(2, tcp=True)
    hosts = [f"redis://127.0.0.1:{servers[0].port}/1", f"unix://{servers[1].path}?db=2"]
    with create_cluster({"engine": Redis, "hosts": hosts, "defaults": {"timeout": LONG}}) as cluster:
        assert cluster.ping() == [True, True]
        assert cluster[0].identifier == hosts[0]
        assert [about(cluster, i)["db"] for i in range(2)] == [1, 2]


@pytest.mark.parametrize(
    "option",
    [
        *("retry", "retry_on_timeout", "retry_on_error", "single_connection_client"),
        *("cache", "cache_config"),
    ],
)
def test_options_that_would_go_behind_the_clusters_back_are_refused(option: str) -> None:
    with pytest.raises(ConfigError, match=option):
        create_cluster({"engine": Redis, "hosts": [{option: True}]})


def test_hosts_must_agree_on_how_replies_look() -> None:
    with pytest.raises(ConfigError, match="one decode_responses"):
        create_cluster({"engine": Redis, "hosts": [{"decode_responses": True}, {}]})


def test_a_pool_that_would_send_twice_is_refused(redis_servers: Servers) -> None:
    pool = redis.Redis(unix_socket_path=redis_servers(1)[0].path).connection_pool
    with pytest.raises(ConfigError, match=r"hosts\[0\]\.connection_pool: the retries of this pool"):
        create_cluster({"engine": Redis, "hosts": [{"connection_pool": pool}]})


@pytest.mark.parametrize("host", ["redis://:hunter2@h", "me:hunter2@h"])
def test_a_host_is_no_url(host: str) -> None:
    with pytest.raises(ConfigError, match=r"hosts\[0\]\.host: found a URL or a user") as caught:
        create_cluster({"engine": Redis, "hosts": [{"host": host}]})
    assert "hunter2" not in str(caught.value)


def test_a_pool_of_the_users_own_is_used(redis_servers: Servers) -> None:
    (server,) = redis_servers(1)
    pool = redis.BlockingConnectionPool(  # type: ignore[no-untyped-call]
        connection_class=redis.UnixDomainSocketConnection,
        path=server.path,
        max_connections=2,
        decode_responses=True,
    )
    with create_cluster({"engine": Redis, "hosts": [{"connection_pool": pool}]}) as cluster:
        cluster.set("k", "v")
        assert cluster.get("k") == "v"
        engine: Any = cluster[0]
        assert engine.pool is pool
        assert cluster[0].identifier == f"unix://{server.path}?db=0"


def test_timeouts_are_set_and_retries_are_off() -> None:
    def settled(**options: Any) -> list[Any]:
        with create_cluster({"engine": Redis, "hosts": [options]}) as cluster:
            engine: Any = cluster[0]
            kwargs = engine.pool.connection_kwargs
            return [
                *(kwargs[f"socket_{kind}timeout"] for kind in ("", "connect_")),
                kwargs["retry"].get_retries(),
            ]

    assert settled() == [5.0, 5.0, 0]
    assert settled(timeout=2) == [2, 2, 0]
    assert settled(timeout=None) == [None, None, 0]
    assert settled(timeout=2, socket_connect_timeout=1) == [2, 1, 0]
    assert settled(ssl=True) == [5.0, 5.0, 0]


def test_a_pipeline_of_one_host_is_not_sent_again_either(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        host = cluster.on(0)
        calls: list[Callable[[], Any]] = [
            lambda: host.pipeline().incr("n").execute(),
            lambda: host.client().incr("n"),
        ]
        for call in calls:
            cluster.ping()
            relay.cut_replies(times=5)
            with pytest.raises(redis.ConnectionError):
                call()
            relay.heal()
        assert cluster.get("n") in (b"1", b"2")


def test_a_user_of_the_servers_access_list(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster:
        cluster.on(0).acl_setuser(
            "ada", enabled=True, passwords=["+s3cret"], categories=["+@all"], keys=["a:*"]
        )
    with cluster_of(server, username="ada", password="s3cret") as cluster:
        assert cluster.set("a:1", 1)
        with pytest.raises(redis.exceptions.NoPermissionError):
            cluster.set("b:1", 1)


def test_tls(redis_servers: Servers, certificate: Path) -> None:
    (server,) = redis_servers(1)
    with TlsFront(server, certificate) as front:
        hosts: list[Any] = [
            {"host": "localhost", "port": front.port, "ssl": True, "ssl_ca_certs": str(certificate)},
            f"rediss://localhost:{front.port}/3?ssl_ca_certs={certificate}",
            f"rediss://localhost:{front.port}/4",
        ]
        with create_cluster({"engine": Redis, "hosts": hosts[:2], "defaults": {"timeout": LONG}}) as cluster:
            assert cluster.incr("n") == [1, 1]
        with (
            create_cluster({"engine": Redis, "hosts": hosts[2:], "defaults": {"timeout": LONG}}) as cluster,
            pytest.raises(HostDown, match="CERT"),
        ):
            cluster.ping()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("port", 0),
        ("port", 99_999),
        ("db", -1),
        ("timeout", 0),
        ("timeout", -1),
        ("socket_connect_timeout", 0),
        ("max_connections", 0),
        ("protocol", 7),
        ("host", ""),
    ],
)
def test_a_value_that_makes_no_sense_is_told_with_its_place(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^hosts\[0\]\.{option}: found {value!r}; expected "):
        create_cluster({"engine": Redis, "hosts": [{option: value}]})


def test_a_method_that_redis_py_has_not_is_told_with_the_nearest(cluster: Cluster) -> None:
    with pytest.raises(AttributeError, match="redis-py has no command 'zad'; did you mean 'zadd'"):
        _ = cluster.zad
    with pytest.raises(AttributeError, match="did you mean 'zadd'"):
        _ = cluster.on(0).zad


# What is known -------------------------------------------------------------------------------------------------


def test_a_server_error_passes_through_unchanged(cluster: Cluster) -> None:
    cluster.set("text", "x")
    with pytest.raises(redis.ResponseError, match=r"^WRONGTYPE") as caught:
        cluster.lpush("text", 1)
    assert type(caught.value) is redis.ResponseError
    assert cluster.get("text") == b"x"


def test_a_refused_connection_is_not_sent_and_fails_at_once(
    new_redis_server: Callable[..., PrivateServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redis.retry.sleep", pytest.fail)  # redis-py's own retries would take about 3 s
    server = new_redis_server(tcp=True)
    hosts = [{"host": "127.0.0.1", "port": server.port}]
    with create_cluster(
        {"engine": Redis, "router": "partition", "hosts": hosts, "defaults": {"timeout": LONG}}
    ) as cluster:
        cluster.set("k", "v")
        server.stop()
        with pytest.raises(HostDown, match="GET b'k' was not taken by host 0") as caught:
            cluster.get("k")
        error = caught.value
        assert isinstance(error, redis.ConnectionError)
        assert (error.command, error.attempts) == ("GET b'k'", 2)
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again)) == (type(error), str(error))


def test_an_incr_whose_reply_is_lost_was_applied_once_and_says_maybe(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    (server,) = redis_servers(1)
    relay = proxy(server)
    with cluster_of(relay) as cluster:
        cluster.ping()
        relay.cut_replies()
        with pytest.raises(MaybeApplied) as caught:
            cluster.incr("n")
        assert isinstance(caught.value, redis.ConnectionError)
        cluster.ping()
        relay.swallow = True
        with pytest.raises(MaybeApplied) as caught, timeout_of(cluster, 0.1):
            cluster.incr("n")
        assert isinstance(caught.value, redis.TimeoutError)
        relay.swallow = False
        assert cluster.get("n") == b"2"  # and no reply of an earlier command


def test_an_incr_after_a_restart_of_the_server_just_works(
    new_redis_server: Callable[..., PrivateServer], proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(new_redis_server())
    with cluster_of(relay) as cluster:
        assert cluster.incr("n") == 1
        relay.target = new_redis_server().path
        relay.drop()
        assert cluster.incr("n") == 1


def test_a_server_that_is_loading_answered(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server({"maxmemory": "1mb", "maxmemory-policy": "noeviction"})
    with cluster_of(server) as cluster, cluster.map(fail_silently=True) as conn:
        big = [conn.set(f"k{i}", "x" * 100_000) for i in range(30)]
        small = conn.get("k0")
    errors = [promise.error for promise in big if promise.error is not None]
    assert errors
    assert all(type(error) is redis.exceptions.OutOfMemoryError for error in errors)
    assert small.outcome is Outcome.VALUE


def test_one_connection_pool_serves_many_threads(cluster: Cluster) -> None:
    def work(number: int) -> None:
        for _ in range(50):
            cluster.incr("shared")
            assert cluster.incr(f"own:{number}") > 0
            with cluster.map() as conn:
                conn.incr("shared")
                mine = conn.get(f"own:{number}")
            assert int(mine) > 0

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cluster.get("shared") == b"800"
    assert cluster.mget(*[f"own:{number}" for number in range(8)]) == [b"50"] * 8


def test_a_dead_host_does_not_keep_locks_and_scripts_from_the_others(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    servers = [new_redis_server() for _ in range(3)]
    with cluster_of(*servers) as cluster:
        keys = [
            next(f"k{i}" for i in range(50) if cluster.router.locate(f"k{i}".encode()) == str(n))
            for n in range(3)
        ]
        servers[2].stop()
        double = cluster.register_script("return redis.call('incr', KEYS[1]) * 2")
        with cluster.lock(keys[0], timeout=LONG):
            assert double(keys=[keys[1]]) == 2
        assert cluster.exists(keys[0]) == 0
        with pytest.raises(HostDown):
            double(keys=[keys[2]])


def test_a_write_that_reached_some_hosts_may_have_been_applied(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    servers = [new_redis_server() for _ in range(3)]
    with cluster_of(*servers) as cluster, cluster_of(*servers, router=None) as everyone:
        servers[1].stop()
        calls: list[Callable[[], Any]] = [
            lambda: everyone.incr("n"),
            lambda: cluster.mset({f"k{i}": i for i in range(20)}),
        ]
        for call in calls:
            with pytest.raises(MaybeApplied, match="others have applied it") as caught:
                call()
            assert isinstance(caught.value, redis.ConnectionError)
        with pytest.raises(HostDown):  # a read has done nothing
            cluster.mget([f"k{i}" for i in range(20)])


def test_the_time_limit_of_a_job_is_not_taken_for_a_failure(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    class JobTimeout(Exception):
        pass

    def out_of_time(*_: Any) -> None:
        raise JobTimeout

    relay = proxy(redis_servers(1)[0])

    def sent() -> bool:
        return b"INCR" in b"".join(relay.requests)

    with cluster_of(relay) as cluster:
        cluster.ping()
        relay.swallow = True
        in_time = pytest.raises(JobTimeout)
        with interrupted_when(sent, out_of_time), in_time, cluster.map(fail_silently=True) as conn:
            promise = conn.incr("n")
        relay.swallow = False
        cluster.ping()
        relay.requests.clear()
        relay.swallow = True
        with interrupted_when(sent, out_of_time), pytest.raises(JobTimeout):
            cluster.incr("n")
        relay.swallow = False
        assert promise.outcome is Outcome.MAYBE_APPLIED
        assert cluster.get("n") == b"2"


def test_an_exhausted_pool_is_not_sent(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(1), max_connections=1) as cluster:
        engine: Any = cluster[0]
        taken = engine.connections.take()
        engine.connections.commands._patience = 0.05
        with pytest.raises(HostDown, match="Too many connections") as caught:
            cluster.incr("n")
        assert isinstance(caught.value, redis.ConnectionError)
        engine.connections.give(taken, clean=True)
        assert cluster.incr("n") == 1


def test_a_ctrl_c_while_waiting_leaves_no_crossed_replies(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        cluster.set("k", "mine")
        relay.delay = LONG
        with interrupted_when(lambda: b"INCR" in relay.requests[-1]), pytest.raises(KeyboardInterrupt):
            cluster.incr("n")
        relay.delay = 0  # and the answer comes
        assert cluster.get("k") == b"mine"
        assert cluster.get("n") == b"1"
        assert [cluster.get("k") for _ in range(3)] == [b"mine"] * 3


def test_a_fork_shares_no_connection(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(3)) as cluster:
        cluster.set("k", "v")
        child = os.fork()
        if child == 0:
            ok = all(cluster.get("k") == b"v" and cluster.ping() == [True] * 3 for _ in range(100))
            os._exit(0 if ok else 1)
        assert all(cluster.get("k") == b"v" for _ in range(100))
        assert os.waitpid(child, 0)[1] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_while_a_thread_holds_the_lock_of_redis_pys_pool_keeps_no_child_waiting(
    redis_servers: Servers,
) -> None:
    """In a program of its own, whose one thread besides the main one holds the lock at the fork."""
    program = f"""
import os, sys, threading
from nydus_core import create_cluster
import redis
pool = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path={redis_servers(1)[0].path!r})
cluster = create_cluster({{"engine": "redis", "hosts": [{{"connection_pool": pool}}]}})
cluster.incr("n")
held, over = threading.Event(), threading.Event()
def hold():
    with cluster[0].pool._lock:
        held.set()
        over.wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if not child:
    os._exit(cluster.incr("n") != 2)
print(os.waitpid(child, 0)[1], flush=True)
over.set()
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("0\n", "")
