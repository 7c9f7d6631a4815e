"""Delivery as users have it, on hosts in this process and on real servers: what is tried again, and how often it was
applied; what a deadline ends, and what is left behind.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pymemcache
import pytest
import redis

from address import Listening
from clusters import host_at, keys_of, memory_cluster
from engines import MemoryEngine, PipelinedEngine, Store, SwitchedEngine
from given import Proxies
from interrupting import Interrupts
from nydus_core import (
    BaseEngine,
    DeadlineExceeded,
    HostDown,
    HostError,
    MaybeApplied,
    Outcome,
    create_cluster,
)
from nydus_core.command import Command
from nydus_core.deadlines import Deadline
from nydus_core.delivery import drivers
from nydus_core.delivery import in_time as drivers_in_time
from nydus_core.delivery.flows import Flow
from nydus_core.delivery.plan import Lane
from nydus_core.delivery.steps import TURN, Pause
from nydus_core.errors import NotAnsweredInTime, NotResolved, NotSentInTime
from nydus_core.health.breaker import State
from nydus_core.threads import timer, workers
from stopping import stopped
from waiting import LONG, TooShort, long_enough, no_hang, until

#: Breakers that stay out of it.
PATIENT = {"failures": 10**6, "calls": 10**6}
ONCE = {"attempts": 1}
#: A socket that waits so long has waited for ever.
NO_TIMEOUT = {"timeout": 120}
#: Seconds that a call takes that cannot be interrupted, unless the test ends it.
FOREVER = 120.0


def in_time(*outcomes: Any) -> None:
    """Say that a deadline was too short if it was over before the commands were sent."""
    for outcome in outcomes:
        if isinstance(outcome, NotSentInTime):
            raise TooShort


def mapped(cluster: Any, *calls: tuple[Any, ...], **how: Any) -> list[Any]:
    """The outcomes of the commands of one map()."""
    with cluster.map(fail_silently=True, **how) as conn:
        promises = [getattr(conn, name)(*args) for name, *args in calls]
    return [each.error or each for each in promises]


# Hosts in this process ---------------------------------------------------------------------------------------------


def memory(names: str = "abc", engine: Any = MemoryEngine, **settings: Any) -> Any:
    hosts = {name: settings.pop("options", {}).copy() for name in names}
    given = {"router": "partition", "health": PATIENT, **settings}
    return create_cluster({"engine": engine, "hosts": hosts, **given})


def one(engine: Any = MemoryEngine, **options: Any) -> Any:
    return create_cluster({"engine": engine, "hosts": {"a": options}, "health": PATIENT})


class Slow(Store):
    """A client whose commands cannot be interrupted: they end when ``go_on`` is set."""

    go_on: threading.Event

    def _note(self, *call: Any) -> None:
        self.log.append(call)
        self.go_on.wait(FOREVER)


class SlowEngine(MemoryEngine):
    """The same as a host; ``begun`` tells that it is asked something."""

    def __init__(self, num: Any, **options: Any) -> None:
        super().__init__(num, **options)
        self.go_on = threading.Event()
        self.connecting = threading.Event()
        self.connecting.set()

    def connect(self) -> Store:
        self.connecting.wait(FOREVER)
        store = Slow(str(self.num))
        store.go_on = self.go_on
        return store


class SlowPipelines(SlowEngine, PipelinedEngine):
    """The same with a pipeline."""


def test_what_cannot_be_interrupted_is_left_to_its_thread_and_what_comes_after_it_is_never_sent() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        cluster = one(SlowEngine)
        with no_hang(), cluster.deadline(seconds):
            first, second, third = mapped(cluster, ("incr", "a1"), ("incr", "a2"), ("get", "a1"))
        cluster["a"].go_on.set()
        in_time(first)
        assert isinstance(first, NotAnsweredInTime)
        assert isinstance(second, NotSentInTime)
        assert isinstance(third, NotSentInTime)
        assert isinstance(first, TimeoutError)
        assert f"the deadline of {seconds:g} seconds is over" in str(first)
        assert [each.attempts for each in (first, second, third)] == [1, 1, 1]
        store = cluster["a"].connection
        until(lambda: store.data == {"a1": 1})  # as it was said: it may have been applied
        time.sleep(0.05)
        assert store.log == [("incr", "a1")]


def test_a_pipeline_that_cannot_be_interrupted_may_have_applied_all_of_it() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        cluster = one(SlowPipelines)
        with no_hang(), cluster.deadline(seconds):
            outcomes = mapped(cluster, ("incr", "a1"), ("incr", "a2"))
        cluster["a"].go_on.set()
        in_time(*outcomes)
        assert all(isinstance(each, NotAnsweredInTime) for each in outcomes)
        until(lambda: cluster["a"].connection.data == {"a1": 1, "a2": 1})


@pytest.mark.parametrize("engine", [SlowEngine, SlowPipelines])
@pytest.mark.parametrize("calls", [1, 2])
def test_a_connect_that_hangs_sends_nothing_also_when_it_is_done_at_last(engine: Any, calls: int) -> None:
    cluster = one(engine)
    cluster["a"].go_on.set()
    cluster["a"].connecting.clear()
    with no_hang(), cluster.deadline(0.05):
        outcomes = mapped(cluster, *[("incr", "a")] * calls)
    kinds = {type(each).__mro__[0].__name__ for each in outcomes}
    assert all(isinstance(each, DeadlineExceeded) for each in outcomes), kinds
    said = [isinstance(each, MaybeApplied) for each in outcomes]
    cluster["a"].connecting.set()
    until(lambda: cluster["a"].connection is not None)
    time.sleep(0.05)
    assert len(cluster["a"].connection.log) <= sum(said)


def test_one_command_has_a_deadline_as_a_map_has() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        cluster = one(SlowEngine)
        with no_hang(), cluster.deadline(seconds), pytest.raises(DeadlineExceeded) as caught:
            cluster.incr("a")
        cluster["a"].go_on.set()
        in_time(caught.value)
        assert isinstance(caught.value, NotAnsweredInTime)
        with cluster.deadline(60):
            assert cluster.incr("b") == 1


def test_hosts_that_are_in_time_have_their_values() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        cluster = memory_cluster(*"abc", engine=SlowEngine, router=None, health=PATIENT, deadline=seconds)
        cluster["a"].go_on.set()
        cluster["c"].go_on.set()
        with no_hang(), pytest.raises(DeadlineExceeded) as caught:
            cluster.incr("k")  # a broadcast
        cluster["b"].go_on.set()
        if seconds < 1 and caught.value.__notes__[0].count(": value") < 2:
            raise TooShort
        assert caught.value.__notes__ == ["by host: 'a': value, 'b': maybe applied, 'c': value"]
        assert isinstance(caught.value, MaybeApplied)


@pytest.mark.parametrize("names", ["a", "abc"])
def test_an_interrupt_passes_also_under_a_deadline(names: str) -> None:
    cluster = memory(names)
    with cluster.deadline(10), pytest.raises(KeyboardInterrupt):
        cluster.interrupt("k")
    with cluster.deadline(10):
        assert mapped(cluster, ("incr", "x"), ("incr", "y"), ("incr", "z")) == [1, 1, 1]


def test_attempts_share_the_deadline() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        again = {"attempts": 10**9, "backoff": 0.001, "most": 0.001}
        cluster = memory_cluster(
            "a", engine=SwitchedEngine, down=True, health=PATIENT, deadline=seconds, retry=again
        )
        with no_hang(), pytest.raises(HostDown) as caught:
            cluster.incr("a")
        if seconds < 1 and caught.value.attempts == 1:
            raise TooShort
        assert caught.value.attempts > 1


class Scripted:
    """A batch that does as its engine says."""

    ready = True

    def __init__(self, engine: Any, commands: Sequence[Command]) -> None:
        self.engine, self.commands = engine, commands
        self.received = 0
        engine.batches.append(self)
        self.aborted = threading.Event()
        self.closed = self.asked = 0

    @property
    def overlaps(self) -> bool:
        """As one that has written the rest meanwhile, in the thread that receives."""
        self.asked += 1
        return self.asked > 1 or bool(self.engine.overlaps)

    def send(self) -> None: ...

    def receive(self) -> list[Any]:
        self.received += 1
        if self.engine.hangs:
            self.aborted.wait(FOREVER)
            kind = MaybeApplied
            return [self.engine.failed(kind, TimeoutError("aborted"), each) for each in self.commands]
        time.sleep(0.02)
        return [self.engine.num for _ in self.commands]

    def abort(self) -> None:
        if self.engine.breaks:
            raise ZeroDivisionError
        self.aborted.set()

    def close(self) -> None:
        self.closed += 1


class ScriptedEngine(BaseEngine):
    def __init__(self, num: Any, *, overlaps: bool = True, hangs: bool = False, breaks: bool = False) -> None:
        super().__init__(num)
        self.overlaps, self.hangs, self.breaks = overlaps, hangs, breaks
        self.batches: list[Scripted] = []

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Any:
        return Scripted(self, commands)


def scripted(**hosts: Any) -> Any:
    return create_cluster({"engine": ScriptedEngine, "hosts": hosts, "health": PATIENT, "retry": ONCE})


def test_a_batch_that_overlaps_only_after_a_while_is_received_once() -> None:
    cluster = scripted(a={"overlaps": False}, b={"overlaps": False}, c={})
    with cluster.deadline(10):
        assert cluster.who("k") == ["a", "b", "c"]
    assert [engine.batches[0].received for engine in cluster.hosts.values()] == [1, 1, 1]
    assert [engine.batches[0].closed for engine in cluster.hosts.values()] == [1, 1, 1]


def test_a_batch_that_cannot_be_aborted_does_not_keep_others_from_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def scenario(seconds: float, **hosts: Any) -> Any:
        cluster = scripted(**hosts)
        with no_hang(), cluster.deadline(seconds), pytest.raises(DeadlineExceeded) as caught:
            cluster.who("k")
        in_time(caught.value)
        assert isinstance(caught.value, NotAnsweredInTime)
        return cluster

    hosts = {"a": {"breaks": True}, "b": {"hangs": True}, "c": {"hangs": True, "overlaps": False}}
    cluster = long_enough(lambda seconds: scenario(seconds, **hosts))
    assert [engine.batches[0].closed for engine in cluster.hosts.values()] == [1, 1, 1]
    hosts = {"a": {"breaks": True, "overlaps": False}, "b": {"hangs": True}}
    long_enough(lambda seconds: scenario(seconds, **hosts), 0.005)


# Real servers ------------------------------------------------------------------------------------------------------


class RedisStack:
    """Redis servers, a cluster of them, and what a plain client sees."""

    errors: Any = redis.RedisError

    def __init__(self, fixture: Any) -> None:
        self.servers = fixture("redis_servers")
        self.new_server = fixture("new_redis_server")

    def cluster(self, *servers: Listening, **settings: Any) -> Any:
        hosts = [host_at(server) for server in servers]
        return _made("redis", hosts, settings)

    def incr(self, client: Any, key: str) -> Any:
        return client.incr(key)

    def count(self, server: Listening, key: str) -> int:
        with redis.Redis(unix_socket_path=server.path) as client:
            return int(client.get(key) or 0)

    def connections(self, server: Listening) -> int:
        with redis.Redis(unix_socket_path=server.path) as client:
            return int(client.info("clients")["connected_clients"])

    def prepare(self, server: Listening, *keys: str) -> None: ...

    @staticmethod
    def in_use(cluster: Any) -> int:
        pools = [engine.connections.commands for engine in cluster.hosts.values()]
        return sum(pool.busy for pool in pools)

    @staticmethod
    def pool(cluster: Any) -> Any:
        return cluster.hosts[0].connections.commands


class MemcacheStack:
    errors: Any = (OSError, pymemcache.exceptions.MemcacheError)

    def __init__(self, fixture: Any) -> None:
        self.servers = fixture("memcached_servers")
        self.new_server = fixture("new_memcached_server")

    def cluster(self, *servers: Listening, **settings: Any) -> Any:
        return _made("memcache", [host_at(server) for server in servers], settings)

    def incr(self, client: Any, key: str) -> Any:
        return client.incr(key, 1)

    def count(self, server: Listening, key: str) -> int:
        with contextlib.closing(pymemcache.Client(server.path or ("127.0.0.1", server.port))) as client:
            return int(client.get(key) or 0)

    def connections(self, server: Listening) -> int:
        with contextlib.closing(pymemcache.Client(server.path)) as client:
            stats = client.stats()
        listening = 1  # memcached counts the socket on which it listens
        return int(stats[b"curr_connections"]) - listening

    def prepare(self, server: Listening, *keys: str) -> None:
        with contextlib.closing(pymemcache.Client(server.path or ("127.0.0.1", server.port))) as client:
            for key in keys:
                client.set(key, b"0", noreply=False)

    def in_use(self, cluster: Any) -> int:
        return sum(engine.pool.busy for engine in cluster.hosts.values())

    @staticmethod
    def pool(cluster: Any) -> Any:
        return cluster.hosts[0].pool


def _made(engine: str, hosts: list[dict[str, Any]], settings: dict[str, Any]) -> Any:
    given = {"router": "partition", "health": PATIENT, **settings}
    return create_cluster({"engine": engine, "hosts": hosts, **given})


@pytest.fixture(params=[RedisStack, MemcacheStack], ids=["redis", "memcache"])
def stack(request: pytest.FixtureRequest) -> Any:
    return request.param(request.getfixturevalue)


@pytest.fixture
def close() -> Iterator[Callable[[Any], Any]]:
    """``cluster = close(cluster)``: closed at the end of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda cluster: (stack.callback(cluster.close), cluster)[1]


Close = Callable[[Any], Any]


# Connections that went stale -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["command", "map", "deadline"])
def test_an_incr_after_a_restart_just_works_once(stack: Any, proxy: Proxies, close: Close, how: str) -> None:
    old, new = stack.servers(2)
    front = proxy(old)
    cluster = close(stack.cluster(front, retry=ONCE))
    for server in (old, new):
        stack.prepare(server, "k")
    assert stack.incr(cluster, "k") == 1
    front.target = new
    front.drop()
    time.sleep(0.02)
    with cluster.deadline(30) if how == "deadline" else contextlib.nullcontext():
        if how == "map":
            with cluster.map() as conn:
                found = stack.incr(conn, "k")
        else:
            found = stack.incr(cluster, "k")
    assert found == 1
    assert stack.count(new, "k") == 1
    assert cluster.health()[0].failures == 0


def test_so_do_the_commands_of_many_threads(stack: Any, proxy: Proxies, close: Close) -> None:
    server = stack.servers(1)[0]
    stack.prepare(server, "k")
    front = proxy(server)
    cluster = close(stack.cluster(front, retry=ONCE))
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: stack.incr(cluster, "k"), range(30)))
        front.drop()
        time.sleep(0.02)
        list(pool.map(lambda _: stack.incr(cluster, "k"), range(30)))
    assert stack.count(server, "k") == 60


# Trying again, and how often it was applied --------------------------------------------------------------------------


@pytest.mark.parametrize("mapping", [False, True])
def test_a_read_whose_answer_is_lost_is_read_again(
    stack: Any, proxy: Proxies, close: Close, mapping: bool
) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front))
    cluster.set("k", b"v")
    front.requests.clear()
    front.cut_replies()
    found = mapped(cluster, ("get", "k"))[0] if mapping else cluster.get("k")
    assert found == b"v"
    assert sum(chunk.lower().count(b"get") for chunk in front.requests) == 2


@pytest.mark.parametrize("cut", ["cut_requests", "cut_replies"])
@pytest.mark.parametrize("mapping", [False, True])
def test_a_write_whose_answer_is_lost_is_not_written_again(
    stack: Any, proxy: Proxies, close: Close, mapping: bool, cut: str
) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front))
    stack.prepare(server, "k")
    stack.incr(cluster, "k")
    getattr(front, cut)()
    if mapping:
        with cluster.map(fail_silently=True) as conn:
            promise = stack.incr(conn, "k")
        error = promise.error
    else:
        with pytest.raises(MaybeApplied) as caught:
            stack.incr(cluster, "k")
        error = caught.value
    assert isinstance(error, MaybeApplied)
    assert isinstance(error, stack.errors)
    assert error.attempts == 1
    assert stack.count(server, "k") == (2 if cut == "cut_replies" else 1)


def test_a_write_is_written_again_where_the_user_says_so(stack: Any, proxy: Proxies, close: Close) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front, retry={"repeat": "all"}))
    stack.prepare(server, "k")
    stack.incr(cluster, "k")
    front.cut_replies()
    assert stack.incr(cluster, "k") == 3  # at least once
    assert stack.count(server, "k") == 3


def test_with_idempotent_a_set_is_set_again_and_an_incr_is_not(
    stack: Any, proxy: Proxies, close: Close
) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front, retry={"repeat": "idempotent"}))
    stack.prepare(server, "n")
    front.cut_replies()
    assert cluster.set("k", b"v")
    front.cut_replies()
    with pytest.raises(MaybeApplied):
        stack.incr(cluster, "n")
    assert stack.count(server, "n") == 1


def test_of_a_map_what_was_answered_stays_and_reads_are_made_up_for(
    stack: Any, proxy: Proxies, close: Close
) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front))
    stack.prepare(server, "n", "m")
    cluster.set("k", b"v")
    front.cut_replies()
    with cluster.map(fail_silently=True) as conn:
        results = [stack.incr(conn, "n"), conn.get("k"), conn.get("n"), stack.incr(conn, "m"), conn.get("m")]
    incr_n, get_k, get_n, incr_m, get_m = results
    assert isinstance(incr_n.error, MaybeApplied)
    assert isinstance(incr_m.error, MaybeApplied)
    assert get_k == b"v"
    assert (get_n, get_m) == (b"1", b"1")
    assert (stack.count(server, "n"), stack.count(server, "m")) == (1, 1)


def test_a_host_that_refuses_is_tried_twice(stack: Any, proxy: Proxies, close: Close) -> None:
    front = proxy(stack.servers(1)[0])
    front.refuse()
    cluster = close(stack.cluster(front))
    with pytest.raises(HostDown) as caught:
        stack.incr(cluster, "k")
    assert caught.value.attempts == 2
    assert isinstance(caught.value, stack.errors)
    assert cluster.health()[0].failures == 2


def test_a_server_that_stays_away_is_found_out_and_comes_back_by_itself(
    stack: Any, proxy: Proxies, close: Close
) -> None:
    server = stack.servers(1)[0]
    stack.prepare(server, "k")
    front = proxy(server)
    quick = {"failures": 2, "backoff": 0.02, "most": 0.05}
    cluster = close(stack.cluster(front, health=quick))
    assert stack.incr(cluster, "k") == 1
    front.refuse()
    with pytest.raises(HostDown):
        stack.incr(cluster, "k")
    with pytest.raises(HostDown) as caught:
        stack.incr(cluster, "k")
    assert caught.value.attempts == 0
    assert isinstance(caught.value, stack.errors)
    front.accept()
    until(lambda: cluster.health()[0].state is State.CLOSED)
    assert stack.incr(cluster, "k") == 2
    assert stack.in_use(cluster) == 0


@pytest.mark.parametrize("policy", ["flush", "function"])
def test_a_readmitted_server_is_empty_or_as_a_function_has_left_it(
    stack: Any, proxy: Proxies, close: Close, policy: str
) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    on_readmit = "flush" if policy == "flush" else lambda host, client: client.set("k", b"warm")
    quick = {"failures": 1, "backoff": 0.02, "most": 0.05}
    cluster = close(stack.cluster(front, health=quick, on_readmit=on_readmit))
    cluster.set("k", b"old")
    front.refuse()
    with pytest.raises(HostDown):
        cluster.get("k")
    front.accept()
    until(lambda: cluster.health()[0].state is State.CLOSED)
    assert cluster.get("k") == (None if policy == "flush" else b"warm")


def test_in_reroute_the_keys_of_a_dead_host_live_on_others_meanwhile(
    stack: Any, proxy: Proxies, close: Close
) -> None:
    first, second = stack.servers(2)
    front = proxy(first)
    cluster = close(stack.cluster(front, second, on_host_down="reroute", on_readmit="flush"))
    keys = [f"k{number}" for number in range(20)]
    front.refuse()
    with cluster.map() as conn:
        for key in keys:
            conn.set(key, b"v")
    with cluster.map() as conn:
        found = [conn.get(key) for key in keys]
    assert found == [b"v"] * 20
    assert cluster.health()[0].state is not State.CLOSED  # it has missed writes


# "Try later" ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def telling() -> Iterator[Callable[..., Any]]:
    """``telling(b"-LOADING …")``: the address of a Redis that answers so as often, and then ``:1``; and what it got."""
    servers: list[socket.socket] = []

    def start(answer: bytes, times: int) -> tuple[dict[str, Any], list[bytes]]:
        listener = socket.create_server(("127.0.0.1", 0))
        servers.append(listener)
        asked: list[bytes] = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listener.accept()
                    servers.append(client)
                    threading.Thread(target=talk, args=(client,), daemon=True).start()

        def talk(client: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    for _ in range(data.count(b"*")):
                        if b"INCR" not in data:
                            client.sendall(b"+OK\r\n")
                            continue
                        asked.append(data)
                        client.sendall(answer if len(asked) <= times else b":1\r\n")

        threading.Thread(target=serve, daemon=True).start()
        host, port = listener.getsockname()
        return {"host": host, "port": port, "protocol": 2}, asked

    yield start
    for each in servers:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


LATER = {
    "LOADING": redis.BusyLoadingError,
    "BUSY": redis.ResponseError,
    "TRYAGAIN": redis.ResponseError,
    "CLUSTERDOWN": redis.ResponseError,
    "MASTERDOWN": redis.ResponseError,
    "READONLY": redis.ReadOnlyError,
}


@pytest.mark.parametrize("code", LATER)
@pytest.mark.parametrize("mapping", [False, True])
def test_a_server_that_says_later_is_asked_later(
    telling: Any, close: Close, code: str, mapping: bool
) -> None:
    address, asked = telling(f"-{code} not now\r\n".encode(), 1)
    cluster = close(_made("redis", [address], {}))
    assert (mapped(cluster, ("incr", "k"))[0] if mapping else cluster.incr("k")) == 1
    assert len(asked) == 2


@pytest.mark.parametrize("code", LATER)
def test_if_it_goes_on_so_its_answer_is_raised_unchanged_and_it_is_not_down(
    telling: Any, close: Close, code: str
) -> None:
    address, asked = telling(f"-{code} not now\r\n".encode(), 99)
    cluster = close(_made("redis", [address], {"health": {"failures": 1}}))
    with pytest.raises(LATER[code], match="not now") as caught:
        cluster.incr("k")
    assert not isinstance(caught.value, HostError)
    assert len(asked) == 2
    assert cluster.health()[0].state is State.CLOSED


@pytest.mark.parametrize("answer", ["WRONGTYPE no", "BUSYGROUP exists", "BUSYKEY exists"])
def test_any_other_answer_is_the_last_word(telling: Any, close: Close, answer: str) -> None:
    address, asked = telling(f"-{answer}\r\n".encode(), 1)
    cluster = close(_made("redis", [address], {}))
    with pytest.raises(redis.ResponseError):
        cluster.incr("k")
    assert len(asked) == 1


def test_a_server_that_runs_a_long_script_is_asked_again(
    new_redis_server: Any, proxy: Proxies, close: Close
) -> None:
    server = new_redis_server({"lua-time-limit": 10})
    front = proxy(server)
    patience = {"attempts": 10_000, "backoff": 0.02, "most": 0.02}
    cluster = close(_made("redis", [host_at(front)], {"retry": patience}))
    cluster.incr("k")
    with redis.Redis(unix_socket_path=server.path) as plain, ThreadPoolExecutor(2) as threads:
        running = threads.submit(plain.eval, "while true do end", 0)
        with redis.Redis(unix_socket_path=server.path) as other:
            until(lambda: _is_busy(other))
            asked = len(front.requests)
            counted = threads.submit(cluster.incr, "k")
            until(lambda: len(front.requests) >= asked + 2)
            other.script_kill()
        assert counted.result(LONG) == 2
        with pytest.raises(redis.ResponseError):
            running.result(LONG)
    assert RedisStack.count(cluster, server, "k") == 2


def _is_busy(client: Any) -> bool:
    try:
        client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


def test_a_replica_that_becomes_a_master_takes_the_write(new_redis_server: Any, close: Close) -> None:
    server = new_redis_server()
    patience = {"attempts": 10_000, "backoff": 0.02, "most": 0.02}
    cluster = close(_made("redis", [host_at(server)], {"retry": patience}))
    impatient = close(_made("redis", [host_at(server)], {}))
    with redis.Redis(unix_socket_path=server.path) as plain:
        plain.replicaof("127.0.0.1", 1)
        with pytest.raises(redis.ReadOnlyError):
            impatient.incr("k")
        assert impatient.health()[0].failures == 0
        promoted = threading.Timer(0.1, plain.replicaof, ("NO", "ONE"))
        promoted.start()
        assert cluster.incr("k") == 1
        promoted.join()


# Deadlines -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
def test_eight_hosts_that_hang_cost_one_deadline(stack: Any, close: Close, warm: bool) -> None:
    servers = stack.servers(8)

    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(*servers, defaults=NO_TIMEOUT))
        keys = keys_of(cluster, f"k{seconds:g}:{{}}")
        for server, key in zip(servers, keys, strict=True):
            stack.prepare(server, key)
        if warm:
            incr_all(stack, cluster, keys)
        how = {"fail_silently": True}
        with stopped(*servers), no_hang(), cluster.deadline(seconds), cluster.map(**how) as conn:
            promises = [stack.incr(conn, key) for key in keys]
        errors = [each.error for each in promises]
        if warm:
            in_time(*errors)
        for error, server, key in zip(errors, servers, keys, strict=True):
            assert isinstance(error, DeadlineExceeded)
            assert isinstance(error, stack.errors)
            assert isinstance(error, HostDown) != isinstance(error, MaybeApplied)
            assert not warm or isinstance(error, MaybeApplied)
            assert error.attempts == 1
            assert stack.count(server, key) - warm in ((0,) if isinstance(error, HostDown) else (0, 1))
        assert [each.hosts for each in conn.get_errors()] == [(str(host),) for host in range(8)]
        until(lambda: stack.in_use(cluster) == 0)
        assert_in_step(stack, cluster, servers, keys)

    long_enough(scenario, 0.1)


def incr_all(stack: Any, cluster: Any, keys: list[str]) -> list[Any]:
    with cluster.map() as conn:
        promises = [stack.incr(conn, key) for key in keys]
    return [int(promise) for promise in promises]


def assert_in_step(stack: Any, cluster: Any, servers: Any, keys: list[str]) -> None:
    """Each answer is that of its own command, once what was under way has been done."""

    def in_step() -> bool:
        found = incr_all(stack, cluster, keys)
        return found == [stack.count(server, key) for server, key in zip(servers, keys, strict=True)]

    until(in_step)


def test_a_broadcast_over_hosts_that_hang_costs_one_deadline_too(stack: Any, close: Close) -> None:
    servers = stack.servers(3)

    @long_enough
    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(*servers, deadline=seconds, defaults=NO_TIMEOUT))
        with stopped(*servers[1:]), no_hang(), pytest.raises(DeadlineExceeded) as caught:
            cluster.flushall() if isinstance(stack, RedisStack) else cluster.flush_all()
        until(lambda: stack.in_use(cluster) == 0)
        said = caught.value.__notes__[-1]
        if seconds < 1 and "'0': value" not in said:
            raise TooShort
        in_time(caught.value)
        assert isinstance(caught.value, MaybeApplied)
        assert "'0': value" in said


def test_one_host_that_hangs_does_not_cost_others_their_values(stack: Any, close: Close) -> None:
    servers = stack.servers(3)

    @long_enough
    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(*servers, defaults=NO_TIMEOUT))
        keys = keys_of(cluster)
        for key in keys:
            cluster.set(key, key.encode())
        with stopped(servers[1]), no_hang(), cluster.deadline(seconds):
            first, second, third = mapped(cluster, *[("get", key) for key in keys])
        if seconds < 1 and any(isinstance(each, DeadlineExceeded) for each in (first, third)):
            raise TooShort
        in_time(second)
        assert (first, third) == (keys[0].encode(), keys[2].encode())
        assert isinstance(second, NotAnsweredInTime)
        with cluster.deadline(LONG):
            assert mapped(cluster, *[("get", key) for key in keys]) == [key.encode() for key in keys]


@pytest.mark.parametrize("calls", [1, 3])
def test_an_answer_that_trickles_in_is_not_waited_for(
    stack: Any, proxy: Proxies, close: Close, calls: int
) -> None:
    front = proxy(stack.servers(1)[0])

    @long_enough
    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(front))
        cluster.set("k", b"v" * 1000)
        front.trickle = 0.1  # 100 seconds for all of it, and never a pause of the default timeout
        with no_hang(), cluster.deadline(seconds):
            outcomes = mapped(cluster, *[("get", "k")] * calls)
        front.heal()
        in_time(*outcomes)
        assert all(isinstance(each, NotAnsweredInTime) for each in outcomes)
        assert cluster.get("k") == b"v" * 1000
        assert stack.in_use(cluster) == 0


def test_a_connect_that_hangs_is_not_waited_for(stack: Any, proxy: Proxies, close: Close) -> None:
    server = stack.servers(1)[0]
    stack.prepare(server, "k")
    front = proxy(server, tcp=True)
    cluster = close(stack.cluster(front, defaults=NO_TIMEOUT))
    front.hang_connects()
    with no_hang(), cluster.deadline(0.1), pytest.raises(NotSentInTime) as caught:
        stack.incr(cluster, "k")
    assert isinstance(caught.value, stack.errors)
    assert caught.value.attempts == 1
    front.accept()
    until(lambda: stack.in_use(cluster) == 0)
    assert stack.incr(cluster, "k") == 1  # what was not sent in time never was
    assert stack.count(server, "k") == 1


@pytest.mark.parametrize("deadline", [False, True])
def test_a_pool_that_is_exhausted_is_no_fault_of_its_host(
    stack: Any, proxy: Proxies, close: Close, deadline: bool
) -> None:
    server = stack.servers(1)[0]
    stack.prepare(server, "k")
    limit = {"max_connections": 1} if isinstance(stack, RedisStack) else {"max_pool_size": 1}
    limit |= NO_TIMEOUT
    front = proxy(server)
    cluster = close(stack.cluster(front, defaults=limit, health={"failures": 1}, retry=ONCE))
    stack.incr(cluster, "k")
    front.blackhole = True
    stack.pool(cluster)._patience = 0.05
    with ThreadPoolExecutor(1) as thread:
        busy = thread.submit(stack.incr, cluster, "k")
        until(lambda: stack.in_use(cluster) == 1)
        with cluster.deadline(LONG) if deadline else contextlib.nullcontext(), pytest.raises(HostDown):
            stack.incr(cluster, "k")
        assert cluster.health()[0].state is State.CLOSED
        front.blackhole = False
        assert busy.result(LONG) == 2
    assert stack.incr(cluster, "k") == 3
    assert stack.in_use(cluster) == 0


def pool_of_one(server: Any, timeout: float) -> Any:
    made: Any = redis.BlockingConnectionPool  # redis-py leaves it without types
    return made(
        connection_class=redis.UnixDomainSocketConnection,
        path=server.path,
        max_connections=1,
        timeout=timeout,
    )


def test_a_wait_for_a_connection_ends_with_the_deadline_and_sends_nothing(
    redis_servers: Any, close: Close
) -> None:
    server = redis_servers(1)[0]
    pool = pool_of_one(server, timeout=FOREVER)
    settings = {"health": {"failures": 1, "backoff": 3600}, "retry": ONCE}
    cluster = close(_made("redis", [{"connection_pool": pool}], settings))
    taken = pool.get_connection()
    with no_hang(), cluster.deadline(0.05), pytest.raises(NotSentInTime):
        cluster.incr("k")
    pool.release(taken)
    time.sleep(0.1)
    assert RedisStack.count(cluster, server, "k") == 0
    cluster.close()
    assert cluster.incr("k") == 1
    pool.disconnect()


def test_a_pool_that_gives_no_connection_in_time_is_no_fault_of_its_host(
    redis_servers: Any, close: Close
) -> None:
    server = redis_servers(1)[0]
    pool = pool_of_one(server, timeout=0.05)
    cluster = close(_made("redis", [{"connection_pool": pool}], {"health": {"failures": 1}, "retry": ONCE}))
    taken = pool.get_connection()
    with pytest.raises(HostDown, match="No connection available"):
        cluster.incr("k")
    assert cluster.health()[0].state is State.CLOSED
    pool.release(taken)
    assert cluster.incr("k") == 1
    pool.disconnect()


def test_a_large_request_to_a_host_that_hangs_is_not_waited_for(stack: Any, close: Close) -> None:
    servers = stack.servers(2)
    value = b"v" * 900_000

    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(*servers, defaults=NO_TIMEOUT))
        keys = keys_of(cluster)
        for key in keys:
            cluster.set(key, b"")
        with stopped(servers[0]), no_hang(), cluster.deadline(seconds):
            outcomes = mapped(cluster, *[("set", keys[0], value)] * 10, ("set", keys[1], value))
        if seconds < 2 and isinstance(outcomes[-1], DeadlineExceeded):
            raise TooShort
        in_time(outcomes[0])
        assert outcomes[-1] is True or outcomes[-1] == True  # noqa: E712 - a promise
        assert all(isinstance(each, DeadlineExceeded) for each in outcomes[:-1])
        kinds = [isinstance(each, MaybeApplied) for each in outcomes[:-1]]
        assert kinds[0]
        assert kinds == sorted(kinds, reverse=True)  # once one was not sent, no later one was
        assert cluster.get(keys[1]) == value

    long_enough(scenario, 0.2)


def test_a_deadline_is_kept_where_no_thread_can_be_started(
    stack: Any, close: Close, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of the main thread, from Python 3.12 on."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    servers = stack.servers(2)
    cluster = close(stack.cluster(*servers, retry={"attempts": 1}))
    keys = keys_of(cluster)
    monkeypatch.setattr(workers, "_workers", workers.Workers())
    monkeypatch.setattr(timer, "_timer", timer.Timer())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with cluster.deadline(LONG):
        assert mapped(cluster, *[("set", key, "1") for key in keys]) == [True] * 2
        assert stack.incr(cluster, keys[0]) == 2
    with stopped(servers[1]), cluster.deadline(0.3):
        first, second = mapped(cluster, *[("get", key) for key in keys])
    assert first in (b"2", "2")
    assert isinstance(second, NotAnsweredInTime)
    assert [health.failures for health in cluster.health().values()] == [0, 1]


def test_large_requests_and_answers_have_time_enough(stack: Any, close: Close) -> None:
    servers = stack.servers(2)
    cluster = close(stack.cluster(*servers))
    keys = keys_of(cluster)
    value = b"v" * 900_000
    for _ in range(3):
        with cluster.deadline(30):
            outcomes = mapped(cluster, *[("set", key, value) for key in keys] * 5)
            assert outcomes == [True] * 10
            assert mapped(cluster, *[("get", key) for key in keys] * 5) == [value] * 10


@pytest.mark.parametrize("how", ["hangs", "refuses"])
def test_nothing_is_left_behind_by_many_calls_that_were_too_late(
    stack: Any, proxy: Proxies, close: Close, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = workers.Workers()  # of this test alone
    monkeypatch.setattr(workers, "_workers", pool)
    server = stack.servers(1)[0]
    stack.prepare(server, "k")
    front = proxy(server)
    front.refuse()
    settings = {"retry": {"attempts": 3, "backoff": 0.0005}, "defaults": {"timeout": 0.2}}
    cluster = close(stack.cluster(server if how == "hangs" else front, **settings))
    ended = []
    with stopped(server):
        for _ in range(200):
            with cluster.deadline(0.003), pytest.raises(HostError) as caught:
                stack.incr(cluster, "k")
            ended.append(caught.value)
        # What could not be interrupted, connecting, has a timeout of its own
        until(lambda: pool.busy == 0)
        until(lambda: stack.in_use(cluster) == 0)
    if how == "hangs":  # many of these short misses in a row take the host out
        odd = [e for e in ended if not (isinstance(e, DeadlineExceeded) or "taken for down" in str(e))]
        assert not odd, odd[:3]
    front.accept()
    again: list[int] = []

    def in_step() -> bool:
        again.append(stack.incr(cluster, "k"))
        return bool(again[-1] == stack.count(server, "k"))

    until(in_step)
    assert again[-1] <= len(again) + sum(isinstance(error, MaybeApplied) for error in ended)
    # The server sees the sockets that are still open: that of the pool, and that of whoever asks
    until(lambda: stack.connections(server) <= 2)


def test_a_program_ends_without_waiting_for_what_was_too_late(redis_servers: Any, proxy: Proxies) -> None:
    front = proxy(redis_servers(1)[0], tcp=True)
    front.hang_connects()
    program = """
        import sys
        from nydus_core import DeadlineExceeded, create_cluster
        hosts = [{"host": "127.0.0.1", "port": int(sys.argv[1]), "timeout": 3600}]
        cluster = create_cluster({"engine": "redis", "hosts": hosts})
        try:
            with cluster.deadline(0.05):
                cluster.get("k")
        except DeadlineExceeded:
            sys.exit(7)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(front.port)]
    assert subprocess.run(command, timeout=LONG, check=False).returncode == 7


def test_no_answer_is_ever_that_of_another_command(stack: Any, proxy: Proxies, close: Close) -> None:
    server = stack.servers(1)[0]
    front = proxy(server)
    cluster = close(stack.cluster(front))
    keys = [f"key-{number}" for number in range(40)]
    for key in keys:
        cluster.set(key, key.encode())
    front.delay = 0.004
    wrong: list[Any] = []

    def ask(number: int) -> int:
        late = 0
        for turn in range(15):
            mine = [keys[(number * 7 + turn + step) % len(keys)] for step in range(3)]
            with cluster.deadline(0.002 + 0.001 * (turn % 6)):
                for key, found in zip(mine, mapped(cluster, *[("get", key) for key in mine]), strict=True):
                    late += isinstance(found, DeadlineExceeded)
                    if not isinstance(found, HostError) and found != key.encode():
                        wrong.append((key, found))
        return late

    with ThreadPoolExecutor(6) as pool:
        late = sum(pool.map(ask, range(6)))
    assert wrong == []
    assert late > 0
    front.heal()
    assert mapped(cluster, *[("get", key) for key in keys]) == [key.encode() for key in keys]
    until(lambda: stack.in_use(cluster) == 0)


# Interrupts --------------------------------------------------------------------------------------------------------


class Busy:
    """A batch that takes its time to send."""

    overlaps, ready = True, False

    def __init__(self) -> None:
        self.log: list[str] = []

    def send(self) -> None:
        self.log.append("send begins")
        time.sleep(0.2)
        self.log.append("send ends")

    def receive(self) -> list[Any]:
        return [1]

    def abort(self) -> None: ...

    def close(self) -> None:
        self.log.append("closed")


@pytest.mark.parametrize("deadline", [None, LONG])
def test_an_interrupt_while_a_thread_is_started_closes_no_batch_that_is_in_use(
    deadline: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(future: Any, job: Any, **options: Any) -> bool:
        workers.start(future, job, **options)
        time.sleep(0.05)
        raise KeyboardInterrupt

    batches = [Busy(), Busy()]
    engines: list[Any] = [SimpleNamespace(batch=lambda *_, batch=batch, **__: batch) for batch in batches]
    lanes = [Lane(number, [Command("get")], [number]) for number in range(2)]
    for module in (drivers, drivers_in_time):
        monkeypatch.setattr(module, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drivers.run(iter_lanes(lanes), engines, deadline=None if deadline is None else Deadline(deadline))
    whole = (["send begins", "send ends", "closed"], ["closed"])
    until(lambda: all(batch.log in whole for batch in batches))
    time.sleep(0.05)
    assert all(batch.log in whole for batch in batches)


def iter_lanes(lanes: list[Lane]) -> Flow[Any]:
    yield lanes
    return []


class Between:
    """A flow whose driver is interrupted when it has the first answers, before it goes on."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self._flow = self._steps()

    def _steps(self) -> Flow[None]:
        try:
            yield [Lane(0, [Command("get")], [0])]
        except BaseException as error:
            self.told.append(type(error).__name__)
            raise

    def __next__(self) -> Any:
        return next(self._flow)

    def send(self, answers: Any) -> Any:
        raise KeyboardInterrupt

    def __getattr__(self, name: str) -> Any:
        return getattr(self._flow, name)


def test_a_flow_is_told_of_an_interrupt_between_two_steps() -> None:
    flow: Any = Between()
    engine: Any = SimpleNamespace(batch=lambda *_, **__: Busy())
    try:
        drivers.run(flow, [engine])
    except KeyboardInterrupt:
        assert flow.told == ["GeneratorExit"]


def test_only_a_sleep_that_was_replaced_is_asked_for_the_turn_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def flow() -> Flow[None]:
        yield TURN
        yield Pause(0.5)

    def as_of_gevent(seconds: float) -> None:
        slept.append(seconds)

    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)  # a function of C, as Python's own
    drivers.run(flow(), [])
    monkeypatch.setattr(time, "sleep", as_of_gevent)
    drivers.run(flow(), [])
    assert slept == [0.5, 0.0, 0.5]


def outcomes_if_interrupted_at(step: int) -> tuple[bool, list[Outcome | None], list[int]]:
    """Interrupt the end of a map() block at one step of the interpreter.

    Returns:
        Whether the step was reached; how the promises say that their commands ended, None where they say nothing; and how
        often each command was applied.
    """
    with memory_cluster() as cluster:
        block = cluster.map()
        conn = block.__enter__()
        promises: Any = [conn.incr(key) for key in ("a", "b")]
        interrupts = Interrupts(
            step, "nydus_core.cluster.mapping", "nydus_core.cluster.promise", "nydus_core.delivery"
        )
        with contextlib.suppress(KeyboardInterrupt), interrupts:
            block.__exit__(None, None, None)
        applied = [cluster.hosts[key].connection.data.get(key, 0) for key in ("a", "b")]
        told: list[Outcome | None] = []
        for promise in promises:
            try:
                told.append(promise.outcome)
            except NotResolved:
                told.append(None)
    return interrupts.struck, told, applied


def test_whoever_interrupts_the_end_of_a_block_is_told_what_was_applied() -> None:
    step, silent = 0, 0
    while True:
        struck, told, applied = outcomes_if_interrupted_at(step)
        for outcome, times in zip(told, applied, strict=True):
            assert times <= 1, step
            assert times == 0 or outcome in (Outcome.VALUE, Outcome.MAYBE_APPLIED), (step, told)
            assert times == 1 or outcome in (None, Outcome.NOT_SENT, Outcome.MAYBE_APPLIED), (step, told)
        silent += None in told
        if not struck:
            break
        step += 1
    assert step > 100
    assert silent <= 2  # interrupted as the block ends, before its first line


class JobTimeout(Exception):
    """What a queue of jobs raises in one that takes too long."""


def test_nothing_is_sent_by_a_call_that_was_left(redis_servers: Any, proxy: Proxies) -> None:
    server = redis_servers(1)[0]
    front = proxy(server, tcp=True, delay=FOREVER)
    hosts = [{"host": front.host, "port": front.port, **NO_TIMEOUT}]

    def stop(*_: Any) -> None:
        raise JobTimeout

    def stop_when_it_connects() -> None:
        until(lambda: front.requests)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGALRM)

    previous = signal.signal(signal.SIGALRM, stop)
    try:
        with create_cluster({"engine": "redis", "hosts": hosts, "deadline": FOREVER}) as cluster:
            stopper = threading.Thread(target=stop_when_it_connects)
            stopper.start()
            with pytest.raises(JobTimeout):
                cluster.set("k", "first")
            stopper.join(LONG)
            with redis.Redis(unix_socket_path=server.path) as plain:
                plain.set("k", "second")
                front.delay = 0
                until(lambda: RedisStack.in_use(cluster) == 0)
                time.sleep(0.1)
                assert plain.get("k") == b"second"
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_a_large_answer_is_had_although_another_host_hangs(stack: Any, close: Close) -> None:
    servers = stack.servers(2)
    value = b"v" * 900_000

    def scenario(seconds: float) -> None:
        cluster = close(stack.cluster(*servers, retry=ONCE, defaults=NO_TIMEOUT))
        keys = keys_of(cluster)
        cluster.set(keys[1], value)
        mapped(cluster, ("get", keys[0]), ("get", keys[1]))
        with stopped(servers[0]), cluster.deadline(seconds):
            outcomes = mapped(cluster, ("get", keys[0]), *[("get", keys[1])] * 5)
        if seconds < 5 and any(isinstance(each, DeadlineExceeded) for each in outcomes[1:]):
            raise TooShort
        assert isinstance(outcomes[0], DeadlineExceeded)
        assert outcomes[1:] == [value] * 5

    long_enough(scenario, 0.2)
