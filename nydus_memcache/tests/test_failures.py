"""What is known about a command when its host fails: not sent, or maybe applied. And that no answer is mixed up."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from clusters import host_at
from crowd import FEW, Crowd
from interrupting import interrupted_when
from memcached import MemcachedServer
from nydus_core import Cluster, HostDown, HostError, MaybeApplied, create_cluster
from nydus_core.aio import Line
from nydus_core.command import Outcome
from nydus_core.health import State
from nydus_core.testing import FaultProxy
from nydus_memcache import Memcache
from nydus_memcache.connection import link
from scripted import ScriptedServer
from stopping import stopped
from tls import TlsFront
from waiting import LONG, until
from waiting_time import in_loop_of, open_connections, timeout_of

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

MakeCluster = Callable[..., Cluster]
Create = Callable[[dict[str, Any]], Any]
KeysOn = Callable[[Cluster, int, int], list[str]]

ONCE = {"attempts": 1}


@pytest.fixture
def front(memcached_servers: Any, proxy: Callable[..., FaultProxy]) -> FaultProxy:
    """A proxy in front of one server."""
    return proxy(memcached_servers(1)[0])


# Not sent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tcp", [False, True])
def test_a_host_that_is_not_there_was_sent_nothing(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster, tcp: bool
) -> None:
    server = new_memcached_server(tcp=tcp)
    cluster = cluster_of(server)
    server.stop()
    with pytest.raises(HostDown) as caught:
        cluster.set("k", b"v")
    error = caught.value
    assert isinstance(error, (FileNotFoundError, ConnectionError))
    assert "set b'k' was not taken by host 0 (memcache://" in str(error)
    assert error.__cause__ is not None
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_one_host_that_is_gone_takes_nothing_from_the_others(
    servers: list[MemcachedServer],
    new_memcached_server: Callable[..., MemcachedServer],
    cluster_of: MakeCluster,
    keys_on: KeysOn,
) -> None:
    server = new_memcached_server()
    cluster = cluster_of(*servers[:2], server)
    keys = [key for host in range(3) for key in keys_on(cluster, host, 3)]
    cluster.set_many({key: key for key in keys})
    server.stop()
    with cluster.map(fail_silently=True) as conn:
        promises = [conn.get(key) for key in keys]
    assert [promise.value for promise in promises[:6]] == keys[:6]
    assert {promise.outcome for promise in promises[6:]} == {Outcome.NOT_SENT}
    assert [failure.hosts for failure in conn.get_errors()] == [("2",)] * 3
    with pytest.raises(HostDown) as caught:
        cluster.get_many(keys)
    assert any("'0': value" in note for note in caught.value.__notes__)


def test_a_server_that_restarts_is_noticed_before_anything_is_sent(
    front: FaultProxy, cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(front)
    cluster.set("n", 1)
    front.drop()
    assert cluster.incr("n") == 2
    front.drop()
    with cluster.map() as conn:
        counted = [conn.incr("n"), conn.incr("n")]
    assert counted == [3, 4]
    assert front.connections == 3


def test_a_server_that_comes_back_is_used_again(
    front: FaultProxy, new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(front)
    cluster.set("k", b"v")
    front.refuse()
    with pytest.raises(HostDown):
        cluster.get("k")
    front.target = new_memcached_server().path
    front.accept()
    assert cluster.get("k") is None
    assert cluster.set("k", b"w") is True


@pytest.mark.parametrize("create", [create_cluster], indirect=True)
def test_a_pool_that_is_exhausted_sends_nothing(front: FaultProxy, cluster_of: MakeCluster) -> None:
    cluster = cluster_of(front, max_pool_size=1)
    engine: Any = cluster.hosts[0]
    engine.pool._patience = 0.05
    front.delay = LONG
    thread = threading.Thread(target=cluster.get, args=("k",))
    thread.start()
    try:
        until(lambda: front.requests)
        with pytest.raises(HostDown, match=r"all 1 connections are in use.*max_pool_size") as caught:
            cluster.get("other")
        assert isinstance(caught.value, RuntimeError)
    finally:
        front.delay = 0
        thread.join()
    assert cluster.get("k") is None
    assert front.connections == 1


def test_a_connection_that_cannot_be_opened_in_time_was_sent_nothing(create: Create) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(8)]
        try:
            for each in waiting:  # the kernel takes one or two of them, and lets the others wait
                each.setblocking(False)
                each.connect_ex(address)
            hosts = [{"host": address[0], "port": address[1]}]
            defaults = {"timeout": LONG, "connect_timeout": 0.1}
            cluster = create({"engine": Memcache, "hosts": hosts, "defaults": defaults, "retry": ONCE})
            with pytest.raises(HostDown) as caught:
                cluster.set("k", b"v")
            assert isinstance(caught.value, TimeoutError)
        finally:
            for each in waiting:
                each.close()


# Maybe applied -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.incr("k"),
        lambda c: c.set("k", b"v"),
        lambda c: c.get("k"),
        lambda c: c.get_many(["k"]),
        lambda c: c.stats(),
        lambda c: c.raw_command("mg k v", key="k"),
    ],
)
def test_an_answer_that_is_cut_leaves_it_open(
    front: FaultProxy, cluster_of: MakeCluster, call: Callable[[Any], Any]
) -> None:
    cluster = cluster_of(front)
    cluster.set("k", 1)
    front.cut_replies(after=1)
    with pytest.raises(MaybeApplied) as caught:
        call(cluster)
    assert isinstance(caught.value, MemcacheUnexpectedCloseError)
    assert cluster.get("k") in (1, 2, b"v")


def test_what_was_answered_before_a_cut_is_known(front: FaultProxy, cluster_of: MakeCluster) -> None:
    cluster = cluster_of(front)
    front.cut_replies(after=len(b"STORED\r\n") + 3)
    with cluster.map(fail_silently=True) as conn:
        promises = [conn.set("a", b"1"), conn.set("b", b"2"), conn.incr("c"), conn.get("a"), conn.get("b")]
    assert [promise.outcome for promise in promises] == [Outcome.VALUE] + [Outcome.MAYBE_APPLIED] * 4
    assert promises[0] is not None
    assert cluster.get_many(["a", "b"]) == {"a": b"1", "b": b"2"}


@pytest.mark.parametrize("create", [create_cluster], indirect=True)  # that of asyncio is in test_aio
def test_what_was_answered_before_a_silence_is_known(
    memcached_servers: Any, cluster_of: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ready(sock: Any, seconds: float, *, writing: bool = False) -> tuple[bool, bool]:
        assert seconds == 0 or bad.played()  # all that is said has come before the time begins to count
        return wait(sock, seconds, writing=writing)

    wait = link.ready
    with ScriptedServer(memcached_servers(1)[0]) as bad:
        cluster = cluster_of(bad)
        cluster.version()
        bad.answer(b"STORED\r\nSTO")
        monkeypatch.setattr(link, "ready", ready)
        with timeout_of(cluster, 0.1), cluster.map(fail_silently=True) as conn:
            promises = [conn.set("a", b"1"), conn.set("b", b"2"), conn.get("a")]
        assert [promise.outcome for promise in promises] == [Outcome.VALUE] + [Outcome.MAYBE_APPLIED] * 2
        assert isinstance(promises[1].error, TimeoutError)
        assert cluster.get("a") is None


def test_what_the_socket_did_not_begin_to_take_was_not_sent(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    server = new_memcached_server()
    cluster = cluster_of(server)
    cluster.version()
    with stopped(server), timeout_of(cluster, 0.2), cluster.map(fail_silently=True) as conn:
        promises = [conn.set(f"key{number}", b"v" * 100_000) for number in range(100)]
    outcomes = [promise.outcome for promise in promises]
    taken = outcomes.count(Outcome.MAYBE_APPLIED)
    assert 0 < taken < 100
    assert outcomes == [Outcome.MAYBE_APPLIED] * taken + [Outcome.NOT_SENT] * (100 - taken)


def test_a_command_without_an_answer_is_done_when_the_socket_has_taken_it(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    server = new_memcached_server()
    cluster = cluster_of(server)
    cluster.version()
    values = {f"key{number}": b"v" * 50_000 for number in range(100)}
    in_vain = pytest.raises(MaybeApplied, match=r"within 0\.2 seconds")
    with stopped(server), timeout_of(cluster, 0.2), in_vain:
        cluster.set_many(values, noreply=True)
    cluster.version()
    with stopped(server), timeout_of(cluster, 0.2), cluster.map(fail_silently=True) as conn:
        promises = [conn.set(key, value, noreply=True) for key, value in values.items()]
        nothing = conn.get_many([])
    outcomes = [promise.outcome for promise in promises]
    assert outcomes[-1] is Outcome.NOT_SENT
    assert Outcome.MAYBE_APPLIED in outcomes
    assert outcomes == sorted(outcomes, key=[Outcome.VALUE, Outcome.MAYBE_APPLIED, Outcome.NOT_SENT].index)
    assert nothing == {}
    assert cluster.set_many(dict.fromkeys(values, b"v" * 5_000), noreply=True) == []
    assert len(cluster.get_many(values)) == len(values)


def test_a_server_that_hangs_leaves_it_open_after_the_timeout(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    server = new_memcached_server()
    cluster = cluster_of(server)
    cluster.set("n", 1)
    in_vain = pytest.raises(MaybeApplied, match=r"no answer within 0\.1 seconds")
    with stopped(server), timeout_of(cluster, 0.1), in_vain as caught:
        cluster.incr("n")
    assert isinstance(caught.value, TimeoutError)
    assert cluster.get("n") in (1, 2)


@pytest.mark.parametrize("create", [create_cluster], indirect=True)  # that of asyncio is in test_aio
def test_many_hosts_that_hang_cost_one_timeout(
    new_memcached_server: Callable[..., MemcachedServer],
    cluster_of: MakeCluster,
    keys_on: KeysOn,
) -> None:
    waited: list[int] = []

    def noting(wait: Callable[[int], Any]) -> Callable[[int], Any]:
        def is_readable(milliseconds: int) -> Any:
            waited.append(milliseconds)
            return wait(milliseconds)

        return is_readable

    servers = [new_memcached_server() for _ in range(4)]
    cluster = cluster_of(*servers)
    keys = [key for host in range(4) for key in keys_on(cluster, host, 1)]
    cluster.set_many(dict.fromkeys(keys, b"v"))
    with stopped(*servers[:3]), timeout_of(cluster, 0.2, 0, 1, 2), cluster.map(fail_silently=True) as conn:
        promises = [conn.get(key) for key in keys]
        for host in cluster:
            engine: Any = cluster[host]
            (connection,) = engine.pool.idle
            connection._is_readable = noting(connection._is_readable)
    assert [promise.outcome for promise in promises] == [Outcome.MAYBE_APPLIED] * 3 + [Outcome.VALUE]
    assert (
        0 < sum(milliseconds for milliseconds in waited if milliseconds <= 200) <= 203
    )  # 600 if each had its own


@pytest.mark.parametrize("batching", [True, False])
def test_a_late_answer_is_never_that_of_the_next_command(
    front: FaultProxy, cluster_of: MakeCluster, batching: bool
) -> None:
    cluster = cluster_of(front, batching=batching)
    cluster.set_many({"a": b"1", "b": b"2"})
    front.delay = 0.2
    with timeout_of(cluster, 0.1), pytest.raises(MaybeApplied):
        cluster.get("a")
    front.delay = 0
    assert [cluster.get(key) for key in ("b", "a", "b")] == [b"2", b"1", b"2"]
    assert front.connections == 2


def test_an_interrupted_wait_is_never_continued_by_the_next_command(
    front: FaultProxy, cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(front)
    cluster.set_many({"a": b"1", "b": b"2"})
    front.delay = LONG
    calls: list[Callable[[], Any]] = [lambda: cluster.get("a"), lambda: cluster.get_many(["a", "b"])]
    for call in calls:
        front.requests.clear()
        with interrupted_when(lambda: front.requests), pytest.raises(KeyboardInterrupt):
            call()
    front.delay = 0
    assert cluster.get("b") == b"2"


# Servers that do not speak the protocol ------------------------------------------------------------------------


@pytest.fixture
def liar() -> Iterator[Callable[[bytes], dict[str, Any]]]:
    """``liar(answer)``: the options of a host that answers every request so, whatever it says."""
    sockets: list[socket.socket] = []

    def serve(server: socket.socket, answer: bytes) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                sockets.append(client)
                while client.recv(65536):
                    client.sendall(answer)

    def start(answer: bytes) -> dict[str, Any]:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)
        threading.Thread(target=serve, args=(server, answer), daemon=True).start()
        return {"host": "127.0.0.1", "port": server.getsockname()[1], "timeout": LONG}

    yield start
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", lambda c: c.get("k")),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", lambda c: c.set("k", b"v")),
        (b"VALUE other 0 1\r\nx\r\nEND\r\n", lambda c: c.get("k")),
        (b"VALUE k zero 1\r\nx\r\nEND\r\n", lambda c: c.get("k")),
        (b"STORED\r\n", lambda c: c.delete("k")),
        (b"DELETED\r\n", lambda c: c.set("k", b"v")),
        (b"TOUCHED\r\n", lambda c: c.incr("k")),
        (b"STAT\r\nEND\r\n", lambda c: c.stats()),
        (b"nothing\r\n", lambda c: c.version()),
    ],
)
def test_an_answer_that_nobody_understands_leaves_it_open(
    create: Create, liar: Callable[[bytes], dict[str, Any]], answer: bytes, call: Callable[[Any], Any]
) -> None:
    with (
        create({"engine": Memcache, "hosts": [liar(answer)]}) as cluster,
        pytest.raises(MaybeApplied) as caught,
    ):
        call(cluster)
    assert isinstance(caught.value.__cause__, (MemcacheUnknownError, ValueError))


def test_a_server_that_cannot_tell_values_answers_an_error(
    create: Create, liar: Callable[[bytes], dict[str, Any]]
) -> None:
    hosts = [liar(b"VALUE k 0 1\r\nx\r\nSERVER_ERROR out of memory writing get response\r\n")]
    with create({"engine": Memcache, "hosts": hosts}) as cluster:
        calls: list[Callable[[], Any]] = [lambda: cluster.get("k"), lambda: cluster.get_many(["k", "l"])]
        for call in calls:
            with pytest.raises(MemcacheServerError, match="out of memory") as caught:
                call()
            assert not isinstance(caught.value, HostError)


def test_a_connection_with_more_to_say_is_not_used_again(
    create: Create, liar: Callable[[bytes], dict[str, Any]]
) -> None:
    with create({"engine": Memcache, "hosts": [liar(b"STORED\r\nSTORED\r\n")]}) as cluster:
        assert [cluster.set("k", b"v") for _ in range(3)] == [True] * 3


def test_after_a_line_that_was_not_understood_its_value_is_not_taken_for_answers(
    create: Create,
    liar: Callable[[bytes], dict[str, Any]],
) -> None:
    hosts = [liar(b"CLIENT_ERROR bad command line format\r\nSTORED\r\nSTORED\r\n")]
    with (
        create({"engine": Memcache, "hosts": hosts}) as cluster,
        cluster.map(fail_silently=True) as conn,
    ):
        promises = [conn.set("a", b"1"), conn.set("b", b"2")]
    assert [promise.outcome for promise in promises] == [Outcome.SERVER_ERROR, Outcome.MAYBE_APPLIED]
    assert isinstance(promises[1].error, HostError)


# A server that is full -------------------------------------------------------------------------------------------


@pytest.fixture(params=[False, True], ids=["unix", "tcp"])
def small(
    request: pytest.FixtureRequest, new_memcached_server: Callable[..., MemcachedServer]
) -> MemcachedServer:
    """A server that takes few connections."""
    return new_memcached_server(FEW, tcp=request.param)


FULL = "Too many open connections"
LARGE = b"x" * 500_000


def test_a_full_server_was_sent_nothing(small: MemcachedServer, create: Create) -> None:
    never = {"failures": 10**6, "calls": 10**6}
    cluster = create({"engine": Memcache, "hosts": [host_at(small)], "retry": ONCE, "health": never})
    calls: list[Callable[[Any], Any]] = [
        lambda to: to.get("k"),
        lambda to: to.get_many(["k", "l"]),
        lambda to: to.set("k", b"v"),
        lambda to: to.set("k", LARGE),
        lambda to: to.set_many({"k": b"v", "l": LARGE}),
        lambda to: to.incr("n"),
        lambda to: to.delete("k"),
        lambda to: to.raw_command("stats sizes", b"END\r\n", key="k"),
        lambda to: to.shutdown(),
        lambda to: to.flush_all(),
        lambda to: to.version(),
        lambda to: to.stats(),
    ]
    with Crowd(small):
        for call in calls * 3:
            with pytest.raises(HostDown, match=FULL) as caught:
                call(cluster.on(0))
            assert isinstance(caught.value, ConnectionError)
            assert isinstance(caught.value, MemcacheServerError)
            assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
        for _ in range(10):
            with cluster.map(fail_silently=True) as conn:
                promises = [
                    conn.get("k"),
                    conn.get("l"),
                    conn.set("k", b"v"),
                    conn.set("l", LARGE),
                    conn.append("k", b"w"),
                ]
            assert {promise.outcome for promise in promises} == {Outcome.NOT_SENT}
            assert all(FULL in str(promise.error) for promise in promises)
    assert cluster.get_many(["k", "l", "n"]) == {}


@pytest.mark.parametrize("way", ["call", "map"])
def test_a_full_server_is_tried_again(small: MemcachedServer, create: Create, way: str) -> None:
    class Patient:
        def repeats(self, command: Any, outcome: Outcome, attempt: int) -> bool:
            assert outcome is Outcome.NOT_SENT
            return True

        def backoff(self, attempt: int) -> float:
            crowd.leave()
            return 0

    settings = {"engine": Memcache, "hosts": [host_at(small)], "retry": Patient()}
    with Crowd(small) as crowd, create(settings) as cluster:
        if way == "call":
            assert cluster.set("k", b"v") is True
        else:
            with cluster.map() as conn:
                found = conn.set("k", b"v"), conn.get("k")
            assert found == (True, b"v")


def test_a_full_server_is_taken_for_down_and_another_host_stands_in(
    small: MemcachedServer, memcached_servers: Any, create: Create, keys_on: KeysOn
) -> None:
    hosts = [host_at(small), host_at(memcached_servers(1)[0])]
    settings = {"engine": Memcache, "router": "consistent", "hosts": hosts, "retry": ONCE}
    with (
        create({**settings, "health": {"failures": 2, "backoff": 0.05, "most": 0.1}}) as cluster,
        Crowd(small),
    ):
        keys = keys_on(cluster, 0, 4)
        assert [cluster.set(key, b"v") for key in keys] == [True] * 4
        assert cluster.on(1).get_many(keys) == dict.fromkeys(keys, b"v")
        assert FULL in cluster.health()[0].cause
        until(lambda: cluster.health()[0].failures > 3)  # probes are turned away, too
        assert FULL in cluster.health()[0].cause
        assert cluster.health()[0].state is not State.CLOSED
    with create({**settings, "health": {"failures": 2, "backoff": 0.05, "most": 0.1}}) as cluster:
        with Crowd(small):
            for key in keys:
                cluster.set(key, b"v")
        until(lambda: cluster.health()[0].state is State.CLOSED)
        assert cluster.on(0).get_many(keys) == {}


def test_what_looks_like_a_full_server_within_a_connection_is_an_answer(
    create: Create, liar: Callable[[bytes], dict[str, Any]]
) -> None:
    hosts = [liar(b"STORED\r\nERROR Too many open connections\r\n")]
    with create({"engine": Memcache, "hosts": hosts}) as cluster, cluster.map(fail_silently=True) as conn:
        promises = [conn.set("a", b"1"), conn.set("b", b"2")]
    assert [promise.outcome for promise in promises] == [Outcome.VALUE, Outcome.SERVER_ERROR]


def test_a_shutdown_that_is_refused_is_an_answer_and_the_connection_goes_on(
    front: FaultProxy, create: Create
) -> None:
    with create({"engine": Memcache, "hosts": [{**host_at(front), "batching": False}]}) as cluster:
        for _ in range(2):
            with pytest.raises(MemcacheUnknownCommandError, match="shutdown not enabled") as caught:
                cluster.on(0).shutdown()
            assert not isinstance(caught.value, HostError)
        assert cluster.set("k", b"v") is True
    assert front.connections == 1


# The words of errors of servers ---------------------------------------------------------------------------------------


def test_an_error_of_the_server_names_command_size_and_host(
    memcached_servers: Any, cluster_of: MakeCluster
) -> None:
    server = memcached_servers(1)[0]
    cluster = cluster_of(server, router=None, identifier="memcache://one")
    cluster.set("k", b"abc")
    who = "by host 0 (memcache://one)"
    with pytest.raises(MemcacheServerError) as caught:
        cluster.on(0).add("large", b"x" * (1 << 21))
    assert str(caught.value) == (
        f"object too large for cache: add b'large' of 2,097,152 bytes was refused {who}"
    )
    assert caught.value.args == (b"object too large for cache",)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.args) == (str(caught.value), caught.value.args)
    assert isinstance(copy, MemcacheServerError)
    with pytest.raises(MemcacheClientError) as client:
        cluster.on(0).incr("k", 1)
    assert str(client.value) == (
        f"cannot increment or decrement non-numeric value: incr b'k' was refused {who}"
    )
    with cluster.map(fail_silently=True) as conn:
        promises = [conn.incr("k", 1), conn.decr("k", 1)]
    said = "cannot increment or decrement non-numeric value"
    assert [str(promise.error) for promise in promises] == [
        f"{said}: incr b'k' was refused {who}",
        f"{said}: decr b'k' was refused {who}",
    ]
    with pytest.raises(MemcacheServerError) as many:
        cluster.on(0).set_many({"k": b"abc", "l": b"x" * (1 << 21)})
    assert "set_many b'l' of 2,097,152 bytes, which deletes the old value, was refused" in str(many.value)


def test_gets_that_were_sent_as_one_have_an_error_each(
    create: Create, liar: Callable[[bytes], dict[str, Any]]
) -> None:
    hosts = [liar(b"SERVER_ERROR out of memory reading request\r\n")]
    with create({"engine": Memcache, "hosts": hosts}) as cluster, cluster.map(fail_silently=True) as conn:
        promises = [conn.get("a"), conn.get("b")]
    assert [str(promise.error).split(" was refused")[0] for promise in promises] == [
        "out of memory reading request: get b'a'",
        "out of memory reading request: get b'b'",
    ]


def test_words_of_a_server_are_shown_in_one_short_line(
    create: Create, liar: Callable[[bytes], dict[str, Any]]
) -> None:
    with (
        create(
            {"engine": Memcache, "hosts": [liar(b"SERVER_ERROR \x1b[31m\xff\n" + b"x" * 5000 + b"\r\n")]}
        ) as cluster,
        pytest.raises(MemcacheServerError) as caught,
    ):
        cluster.get("k")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("full", [False, True], ids=["too large", "no memory"])
def test_a_set_that_is_refused_deletes_the_old_value_and_other_commands_keep_it(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster, full: bool
) -> None:
    # -M: the server refuses values when its memory is full, instead of throwing old ones away
    server = new_memcached_server(["-M", "-m", "8"] if full else None)
    cluster = cluster_of(server)
    value = b"x" * (200_000 if full else 1 << 21)
    keys = ["set", "set_many", "add", "replace", "append", "prepend", "cas"]
    cluster.set_many(dict.fromkeys(keys, b"old"))
    token = cluster.gets("cas")[1]
    if full:
        for number in range(1000):
            try:
                cluster.add(f"filler{number}", value)
            except MemcacheServerError:
                break
    reason = "out of memory storing object" if full else "object too large for cache"
    writes: dict[str, Callable[[], Any]] = {
        "set": lambda: cluster.set("set", value),
        "set_many": lambda: cluster.set_many({"set_many": value}),
        "add": lambda: cluster.add("add", value),
        "replace": lambda: cluster.replace("replace", value),
        "append": lambda: cluster.append("append", value),
        "prepend": lambda: cluster.prepend("prepend", value),
        "cas": lambda: cluster.cas("cas", value, token),
    }
    for name, write in writes.items():
        with pytest.raises(MemcacheServerError, match=reason) as caught:
            write()
        deletes = name in ("set", "set_many")
        assert ("which deletes the old value" in str(caught.value)) is deletes
        assert cluster.get(name) == (None if deletes else b"old")


# Connections ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [create_cluster], indirect=True)
def test_a_closed_cluster_opens_again(front: FaultProxy, cluster_of: MakeCluster) -> None:
    cluster = cluster_of(front)
    cluster.set("k", b"v")
    engine: Any = cluster[0]
    engine.connection.get("k")
    cluster.close()
    assert cluster.get("k") == b"v"
    assert front.connections == 3


def test_a_connection_in_use_while_the_cluster_closes_is_closed_afterwards(
    front: FaultProxy, cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(front)
    cluster.set("k", b"v")
    front.delay = LONG
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(cluster.get("k")))
    thread.start()
    until(lambda: len(front.requests) == 2)
    cluster.close()
    front.delay = 0
    thread.join()
    assert found == [b"v"]
    assert cluster.get("k") == b"v"
    assert front.connections == 2


def age(cluster: Any, seconds: float) -> None:
    """Have the idle connections of host 0 be idle for so much longer."""

    def older() -> None:
        for each in open_connections(cluster[0]):
            if isinstance(each, Line):  # of asyncio
                each.patience.since -= seconds
            else:
                each.used -= seconds

    in_loop_of(cluster, older)


@pytest.mark.parametrize("batching", [True, False])
def test_connections_that_were_idle_for_too_long_are_replaced(
    front: FaultProxy, cluster_of: MakeCluster, batching: bool
) -> None:
    cluster = cluster_of(front, pool_idle_timeout=LONG, batching=batching)
    cluster.get("k")
    cluster.get("k")
    assert front.connections == 1
    age(cluster, LONG)
    cluster.get("k")
    assert front.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("create", [create_cluster], indirect=True)
def test_a_forked_process_opens_connections_of_its_own(front: FaultProxy, cluster_of: MakeCluster) -> None:
    cluster = cluster_of(front)
    cluster.set("n", 0)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b"%d" % cluster.incr("n"))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    assert os.read(reading, 10) == b"1"
    os.close(reading)
    assert cluster.incr("n") == 2
    assert front.connections == 2


# TLS -----------------------------------------------------------------------------------------------------------


def test_over_tls_large_maps_and_idle_connections_work_too(
    create: Create, certificate: Path, servers: list[MemcachedServer]
) -> None:
    with (
        TlsFront(servers[0], certificate) as front,
        create(
            {
                "engine": Memcache,
                "hosts": [{"host": "localhost", "port": front.port}],
                "defaults": {
                    "tls_context": ssl.create_default_context(cafile=str(certificate)),
                    "timeout": LONG,
                },
            }
        ) as cluster,
    ):
        value = b"v" * 300_000
        with cluster.map() as conn:
            found = [(conn.set("k", value), conn.get("k")) for _ in range(20)]
        assert all(promise.value == value for _, promise in found)
        assert [cluster.set("k", number) for number in range(3)] == [True] * 3
        assert front.connections == 1


def test_a_server_that_is_not_who_it_should_be_is_sent_nothing(
    create: Create, certificate: Path, servers: list[MemcachedServer]
) -> None:
    with TlsFront(servers[0], certificate) as front:
        context = ssl.create_default_context()
        host = {"host": "localhost", "port": front.port, "tls_context": context, "timeout": LONG}
        with (
            create({"engine": Memcache, "hosts": [host]}) as cluster,
            pytest.raises(HostDown, match="certificate verify failed") as caught,
        ):
            cluster.set("k", b"v")
    assert isinstance(caught.value, ssl.SSLError)


@pytest.mark.parametrize("deadline", [None, LONG])
def test_a_signal_handler_that_raises_while_sending_does_not_make_it_unsent(
    servers: list[MemcachedServer], deadline: float | None
) -> None:
    class Interrupted:
        """A socket whose ``send`` is interrupted when it has taken everything."""

        def __init__(self, sock: Any) -> None:
            self._sock = sock

        def __getattr__(self, name: str) -> Any:
            return getattr(self._sock, name)

        def send(self, data: Any) -> int:
            self._sock.send(data)
            raise TimeoutError("the job took too long")  # as handlers of SIGALRM do

    hosts = [{"unix_socket_path": servers[0].path, "timeout": LONG}]
    with create_cluster({"engine": "memcache", "hosts": hosts, "deadline": deadline}) as cluster:
        cluster.set("n", 0)
        engine: Any = cluster.hosts[0]
        link = engine.pool._idle[0]
        link._sock = Interrupted(link._sock)
        with pytest.raises(MaybeApplied):
            cluster.incr("n", 1)
        until(lambda: cluster.get("n") == 1)  # the server may not have come to it yet
