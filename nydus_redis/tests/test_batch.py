"""``map()`` over real Redis servers: one pipeline a host, an outcome for every command, whatever happens."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis
from redis.utils import HIREDIS_AVAILABLE

import clusters
from clusters import NO_RETRY
from nydus_core import (
    Cluster,
    CommandError,
    CrossHostError,
    HostDown,
    MaybeApplied,
    NydusError,
    create_cluster,
)
from nydus_core.command import Outcome
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.connection import replies
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.engine import batch
from scripted import ScriptedServer
from stopping import stopped
from waiting_time import timeout_of

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]


#: The outcome of one attempt is the engine's affair; the rest is the core's.
cluster_of = partial(clusters.cluster_of, router="partition", retry=NO_RETRY)


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        yield cluster


def test_results_are_by_position_also_of_equal_commands(cluster: Cluster) -> None:
    with cluster.map() as conn:
        results = [
            conn.incr("n"),
            conn.incr("n"),
            conn.get("n"),
            conn.incr("m"),
            conn.get("nope"),
            conn.get("n"),
        ]
    assert results == [1, 2, b"2", 1, None, b"2"]
    assert conn.get_results() == results
    assert conn.get_errors() == []


def test_every_kind_of_command_may_be_queued(cluster: Cluster) -> None:
    with cluster.map() as conn:
        conn.mset({f"k{i}": i for i in range(10)})
        values = conn.mget([f"k{i}" for i in range(10)])
        pings, gone = conn.ping(), conn.delete(*[f"k{i}" for i in range(10)])
        fields, raw = conn.hset("h", mapping={"a": 1}), conn.execute_command("HGET", "h", "a")
    assert values == [str(i).encode() for i in range(10)]
    assert pings == [True] * 3
    assert (gone, fields, raw) == (10, 1, b"1")


def test_each_host_is_hit_once_and_only_those_that_are_needed(redis_servers: Servers, proxy: Proxies) -> None:
    proxies = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*proxies) as cluster:
        cluster.ping()
        before = [len(each.requests) for each in proxies]
        with cluster.map() as conn:
            for i in range(60):
                conn.incr(f"key{i}")
        with cluster.map() as conn:
            for _ in range(60):
                conn.incr("one")
        home = int(cluster.router.locate(b"one"))
        assert [len(each.requests) - then for each, then in zip(proxies, before, strict=True)] == [
            1 + (host == home) for host in range(3)
        ]


def test_an_empty_block_sends_nothing(redis_servers: Servers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster, cluster.map() as conn:
        pass
    assert conn.get_results() == []
    assert relay.requests == []


def test_a_block_that_raises_sends_nothing(redis_servers: Servers, proxy: Proxies) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        with pytest.raises(ZeroDivisionError), cluster.map() as conn:
            promise = conn.incr("n")
            raise ZeroDivisionError
        assert relay.requests == []
    assert promise.outcome is Outcome.NOT_SENT
    with pytest.raises(NydusError, match="never sent"):
        int(promise)


def test_a_command_that_is_refused_keeps_the_whole_block_from_being_sent(cluster: Cluster) -> None:
    with pytest.raises(CrossHostError), cluster.map() as conn:
        conn.incr("n")
        conn.sunion(*[f"key{i}" for i in range(20)])
    assert cluster.exists("n") == 0


def test_an_argument_that_cannot_be_sent_is_refused_where_it_is_given(cluster: Cluster) -> None:
    with pytest.raises(redis.DataError), cluster.map() as conn:
        conn.incr("n")
        conn.set("k", object())
    assert cluster.exists("n") == 0


def test_one_wrong_command_does_not_touch_the_others(cluster: Cluster) -> None:
    cluster.set("text", "x")
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        results = [conn.incr("a"), conn.lpush("text", 1), conn.get("text"), conn.incr("text"), conn.incr("b")]
    assert [promise.outcome for promise in results] == [
        *(Outcome.VALUE, Outcome.SERVER_ERROR, Outcome.VALUE, Outcome.SERVER_ERROR, Outcome.VALUE)
    ]
    assert (results[0], results[2], results[4]) == (1, b"x", 1)
    home = cluster.router.locate(b"text")
    assert [(name, each.position, each.hosts) for each in caught.value.errors for name, _ in [each]] == [
        ("LPUSH", 1, (home,)),
        ("INCRBY", 3, (home,)),
    ]
    assert "WRONGTYPE" in str(caught.value)
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        len(results[1])


def test_fail_silently_only_records(cluster: Cluster) -> None:
    cluster.set("text", "x")
    with cluster.map(fail_silently=True) as conn:
        conn.lpush("text", 1)
    (failure,) = conn.get_errors()
    assert failure.name == "LPUSH"
    assert isinstance(failure.error, redis.ResponseError)


def test_the_commands_of_a_dead_host_are_not_sent_and_the_others_are_done(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    servers = [new_redis_server() for _ in range(3)]
    with cluster_of(*servers) as cluster:
        cluster.ping()
        servers[1].kill()
        with pytest.raises(CommandError) as caught, cluster.map() as conn:
            results = {f"key{i}": conn.incr(f"key{i}") for i in range(30)}
            pings = conn.ping()
        at_dead = [key for key in results if cluster.router.locate(key.encode()) == "1"]
        assert len(caught.value.errors) == len(at_dead) + 1
        for key, promise in results.items():
            if key in at_dead:
                assert promise.outcome is Outcome.NOT_SENT
                assert isinstance(promise.error, HostDown)
                assert isinstance(promise.error, redis.ConnectionError)
            else:
                assert promise == 1
        assert pings.outcome is Outcome.NOT_SENT
        assert "'0': value, '1': not sent, '2': value" in pings.error.__notes__[0]


def test_replies_that_arrived_are_values_and_the_rest_is_maybe(
    redis_servers: Servers, proxy: Proxies
) -> None:
    (server,) = redis_servers(1)
    relay = proxy(server)
    with cluster_of(relay) as cluster:
        cluster.ping()
        relay.cut_replies(after=len(b":1\r\n") * 3 + 1)
        with pytest.raises(CommandError) as caught, cluster.map() as conn:
            results = [conn.incr("n") for _ in range(10)]
        assert results[:3] == [1, 2, 3]
        assert {promise.outcome for promise in results[3:]} == {Outcome.MAYBE_APPLIED}
        assert {type(each.error).__name__ for each in caught.value.errors} == {"MaybeApplied"}
        assert cluster.get("n") == b"10"  # applied once each, and on a new connection


def test_a_host_that_is_silent_costs_one_timeout_and_only_its_own_commands(
    redis_servers: Servers, proxy: Proxies, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def await_reply(connection: Any, seconds: float) -> None:
        waited.append(max(0.0, seconds))
        replies.await_reply(connection, seconds)

    monkeypatch.setattr(batch, "await_reply", await_reply)
    proxies = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*proxies) as cluster:
        cluster.ping()
        for each in proxies[:2]:
            each.swallow = True
        with timeout_of(cluster, 0.2, 0, 1), cluster.map(fail_silently=True) as conn:
            results = {f"key{i}": conn.incr(f"key{i}") for i in range(30)}
        assert (
            0 < sum(seconds for seconds in waited if seconds <= 0.2) <= 0.2
        )  # 0.4 if each were given its own
        for key, promise in results.items():
            silent = cluster.router.locate(key.encode()) != "2"
            assert promise.outcome is (Outcome.MAYBE_APPLIED if silent else Outcome.VALUE)
        proxies[0].swallow = proxies[1].swallow = False
        assert cluster.mget(*results) == [b"1"] * 30


def test_replies_that_arrived_before_a_silence_are_values(
    redis_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def await_reply(connection: Any, seconds: float) -> None:
        assert bad.played()  # all that is said has come before the time begins to count
        replies.await_reply(connection, seconds)

    with ScriptedServer(redis_servers(1)[0]) as bad, cluster_of(bad) as cluster:
        cluster.ping()
        bad.answer(b":7\r\n:")
        monkeypatch.setattr(batch, "await_reply", await_reply)
        with timeout_of(cluster, 0.1), cluster.map(fail_silently=True) as conn:
            results = [conn.incr("n") for _ in range(3)]
        assert [promise.outcome for promise in results] == [Outcome.VALUE] + [Outcome.MAYBE_APPLIED] * 2
        assert isinstance(results[1].error, redis.TimeoutError)
        monkeypatch.undo()
        assert cluster.get("n") is None


def test_a_stopped_server_answers_maybe_and_nothing_is_crossed_when_it_wakes(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    servers = [new_redis_server() for _ in range(2)]
    with cluster_of(*servers) as cluster:
        cluster.mset({f"key{i}": i for i in range(10)})
        with stopped(servers[0]), timeout_of(cluster, 0.1, 0), cluster.map(fail_silently=True) as conn:
            results = [conn.get(f"key{i}") for i in range(10)]
        assert {type(promise.error) for promise in results} >= {type(None)}
        assert any(isinstance(promise.error, MaybeApplied) for promise in results)
        for _ in range(5):
            assert cluster.mget(*[f"key{i}" for i in range(10)]) == [str(i).encode() for i in range(10)]


GARBAGE = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"?\r\n", b"\x00" * 64]
if HIREDIS_AVAILABLE:  # redis-py's own parser takes a negative length for an empty value
    GARBAGE.append(b"$-2\r\n")


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_server_that_talks_nonsense_is_an_error_and_not_a_value(garbage: bytes) -> None:
    def nonsense() -> None:
        client, _ = listener.accept()
        with client:
            while client.recv(65536):
                client.sendall(garbage)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=nonsense)
        thread.start()
        host = {"host": "127.0.0.1", "port": listener.getsockname()[1], "timeout": 0.2, "protocol": 2}
        settings = {"engine": Redis, "hosts": [host]}
        with create_cluster(settings) as cluster, pytest.raises((HostDown, MaybeApplied)):
            cluster.get("k")
        thread.join()


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="redis-py's own parser does not get past such a reply")
def test_a_value_that_cannot_be_decoded_spoils_no_other(redis_servers: Servers) -> None:
    (server,) = redis_servers(1)
    with cluster_of(server) as plain, cluster_of(server, decode_responses=True) as cluster:
        plain.set("binary", b"\xff\xfe")
        with cluster.map(fail_silently=True) as conn:
            results = [conn.incr("n"), conn.get("binary"), conn.incr("n"), conn.get("n")]
        assert (results[0], results[2], results[3]) == (1, 2, "2")
        assert "can't decode" in str(results[1].error)


# Transactions --------------------------------------------------------------------------------------------------


def test_a_transaction_is_applied_whole_on_each_host(redis_servers: Servers, proxy: Proxies) -> None:
    proxies = [proxy(server) for server in redis_servers(3)]
    with cluster_of(*proxies) as cluster:
        with cluster.map(transaction=True) as conn:
            results = [conn.incr(f"key{i}") for i in range(30)]
            scores = conn.zadd("z", {"a": 1}), conn.zrange("z", 0, -1, withscores=True)
        assert results == [1] * 30
        assert scores == (1, cluster.zrange("z", 0, -1, withscores=True))
        for each in proxies:
            (chunk,) = [request for request in each.requests if b"INCRBY" in request]
            assert chunk.startswith(b"*1\r\n$5\r\nMULTI")
            assert chunk.endswith(b"EXEC\r\n")


def test_a_wrong_command_in_a_transaction_keeps_its_host_from_applying_any(cluster: Cluster) -> None:
    with pytest.raises(CommandError) as caught, cluster.map(transaction=True) as conn:
        first, wrong = conn.incr("n"), conn.execute_command("SET", "n")
    assert cluster.exists("n") == 0
    assert isinstance(first.error, redis.exceptions.ExecAbortError)
    assert "wrong number of arguments" in str(wrong.error)
    assert [each.position for each in caught.value.errors] == [0, 1]


def test_a_command_that_fails_in_a_transaction_is_the_only_one(cluster: Cluster) -> None:
    with pytest.raises(CommandError), cluster.map(transaction=True) as conn:
        results = [conn.set("n", "x"), conn.incr("n"), conn.get("n")]
    assert [promise.outcome for promise in results] == [Outcome.VALUE, Outcome.SERVER_ERROR, Outcome.VALUE]
    assert results[2] == b"x"


def test_a_transaction_whose_answer_is_lost_may_have_been_applied(
    redis_servers: Servers, proxy: Proxies
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        cluster.ping()
        relay.cut_replies(after=5)
        with pytest.raises(CommandError), cluster.map(transaction=True) as conn:
            results = [conn.incr("n"), conn.incr("n")]
        assert {promise.outcome for promise in results} == {Outcome.MAYBE_APPLIED}
        assert cluster.get("n") == b"2"


def test_a_transaction_whose_multi_is_refused_was_none(
    new_redis_server: Callable[..., PrivateServer],
) -> None:
    server = new_redis_server()
    with cluster_of(server) as cluster:
        cluster.on(0).execute_command("ACL SETUSER", "default", "-multi")
        with pytest.raises(CommandError), cluster.map(transaction=True) as conn:
            results = [conn.incr("n"), conn.incr("n")]
        assert {promise.outcome for promise in results} == {Outcome.MAYBE_APPLIED}
        assert cluster.get("n") == b"2"
