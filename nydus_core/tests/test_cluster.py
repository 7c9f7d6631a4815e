"""Clusters over in-process engines: what goes where, what comes back, and what is known when something fails."""

from __future__ import annotations

import codecs
import contextvars
import copy
import os
import pickle
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import urllib.error
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest

from clusters import ByName, memory_cluster
from engines import Lost, MemoryEngine, PipelinedEngine, Refused, Store
from nydus_core import (
    Cluster,
    CommandError,
    ConfigError,
    CrossHostError,
    HostDown,
    HostError,
    MaybeApplied,
    NydusError,
    RoutingError,
    create_cluster,
)
from nydus_core.command import Command, Outcome, Scope
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import make_plan
from nydus_core.engines import BaseEngine
from nydus_core.errors import NotResolved, host_error
from nydus_core.routers import BaseRouter, PartitionRouter
from nydus_core.threads import workers
from waiting import LONG

both_engines = pytest.mark.parametrize("engine", [MemoryEngine, PipelinedEngine])


def log(cluster: Any, host: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = cluster[host].connection.log
    return found


# Single commands --------------------------------------------------------------------------------------------------


def test_a_command_goes_to_the_host_of_its_key_and_to_no_other() -> None:
    cluster = memory_cluster(*"abc")
    assert cluster.incr("b1") == 1
    assert cluster.incr(key="b1") == 2
    assert cluster.get(b"b2") is None
    assert [log(cluster, host) for host in "abc"] == [
        [],
        [("incr", "b1"), ("incr", "b1"), ("get", b"b2")],
        [],
    ]


def test_arguments_arrive_as_they_were_given() -> None:
    cluster = memory_cluster(*"abc")
    assert cluster.set("a1", [1, 2], only_new=True) is True
    assert cluster.set("a1", 5, only_new=True) is False
    assert cluster.get("a1") == [1, 2]


def test_commands_may_have_dots_in_their_names() -> None:
    cluster = memory_cluster(*"abc")
    cluster.set("b1", 1)
    assert cluster.admin.size() == [0, 1, 0]
    assert cluster.admin.drop("b1") is True
    assert cluster.admin.size() == [0, 0, 0]


@both_engines
@pytest.mark.parametrize("router", [None, ByName])
def test_a_command_without_a_key_goes_to_all_hosts_and_answers_in_host_order(
    engine: Any, router: Any
) -> None:
    assert memory_cluster(*"cab", engine=engine, router=router).ping() == [
        "pong from c",
        "pong from a",
        "pong from b",
    ]


@both_engines
def test_without_a_router_every_command_goes_to_all_hosts(engine: Any) -> None:
    cluster = memory_cluster(*"abc", engine=engine, router=None)
    assert cluster.incr("foo") == [1, 1, 1]
    with cluster.map() as conn:
        results = [conn.incr("foo"), conn.incr("bar")]
    assert results == [[2, 2, 2], [1, 1, 1]]


@both_engines
def test_one_host_without_a_router_answers_plainly(engine: Any) -> None:
    cluster = memory_cluster("a", engine=engine, router=None)
    assert cluster.incr("foo") == 1
    assert cluster.ping() == "pong from a"
    with cluster.map() as conn:
        results = [conn.incr("foo"), conn.ping()]
    assert results == [2, "pong from a"]


@pytest.mark.parametrize("name", ["_private", "__index__", "_Cluster__x"])
def test_names_with_an_underscore_are_no_commands(name: str) -> None:
    cluster = memory_cluster("a")
    with pytest.raises(AttributeError), cluster.map() as conn:
        getattr(conn, name)
    with pytest.raises(AttributeError):
        getattr(cluster, name)


# map() ------------------------------------------------------------------------------------------------------------


@both_engines
def test_map_answers_by_position_so_equal_commands_have_results_of_their_own(engine: Any) -> None:
    cluster = memory_cluster(*"abc", engine=engine)
    with cluster.map() as conn:
        results = [conn.incr(key) for key in ("b1", "a1", "b1", "b1", "c1", "a1")]
    assert results == [1, 1, 2, 3, 1, 2]
    assert conn.get_results() == results
    assert conn.get_errors() == []


@both_engines
def test_map_keeps_the_order_of_the_commands_of_a_host(engine: Any) -> None:
    cluster = memory_cluster(*"abc", engine=engine)
    with cluster.map() as conn:
        conn.set("a1", "x")
        conn.ping()
        conn.set("b1", "y")
        first = conn.get("a1")
        conn.set("a1", "z")
        second = conn.get(key="a1")
    assert (first, second) == ("x", "z")
    assert [call[0] for call in log(cluster, "a")] == ["set", "ping", "get", "set", "get"]
    assert log(cluster, "c") == [("ping",)]


def test_map_sends_nothing_before_its_end() -> None:
    cluster = memory_cluster(*"abc")
    with cluster.map() as conn:
        promise = conn.incr("a1")
        assert len(conn) == 1
        assert log(cluster, "a") == []
        with pytest.raises(NotResolved, match="no value yet"):
            promise + 1
        with pytest.raises(NotResolved, match="has not ended"):
            conn.get_results()
        with pytest.raises(NotResolved, match="has not ended"):
            conn.get_errors()
    assert promise + 1 == 2


@both_engines
def test_map_of_a_body_that_raises_sends_nothing(engine: Any) -> None:
    cluster = memory_cluster(*"ab", engine=engine)
    with pytest.raises(ZeroDivisionError), cluster.map() as conn:
        promise = conn.incr("a1")
        1 / 0  # noqa: B018
    assert log(cluster, "a") == []
    assert promise.outcome is Outcome.NOT_SENT
    with pytest.raises(NotResolved, match="has raised"):
        conn.get_results()


def test_map_with_a_command_that_has_no_place_sends_nothing() -> None:
    cluster = memory_cluster(*"abc")
    with pytest.raises(RoutingError), cluster.map() as conn:
        promise = conn.incr("a1")
        conn.get(name="x")
    assert log(cluster, "a") == []
    assert promise.outcome is Outcome.NOT_SENT


def test_an_empty_map_does_nothing() -> None:
    with memory_cluster(*"abc").map() as conn:
        pass
    assert conn.get_results() == []


@pytest.mark.parametrize("how", ["ends", "raises"])
def test_map_cannot_be_used_after_its_end(how: str) -> None:
    cluster = memory_cluster(*"abc")
    try:
        with cluster.map() as conn:
            incr = conn.incr
            incr("a1")
            if how == "raises":
                raise LookupError
    except LookupError:
        pass
    before = copy.copy(log(cluster, "a"))
    for late in (incr, conn.get):
        with pytest.raises(
            NydusError, match=r"b'a1' comes too late: this map\(\) block has (ended|raised); start another"
        ):
            late("a1")
    assert log(cluster, "a") == before


def test_maps_may_be_nested() -> None:
    cluster = memory_cluster(*"abc")
    with cluster.map() as outer:
        first = outer.incr("a1")
        with cluster.map() as inner:
            second = inner.incr("a1")
        assert second == 1
    assert first == 2


def test_map_takes_a_number_of_workers_as_nydus_did() -> None:
    with memory_cluster(*"abc").map(workers=2) as conn:
        promise = conn.incr("a1")
    assert promise == 1


# map() with failures ----------------------------------------------------------------------------------------------


@both_engines
def test_map_tells_every_failure_with_position_host_and_cause(engine: Any) -> None:
    cluster = memory_cluster(*"abc", engine=engine)
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        results = [conn.incr("a1"), conn.refuse("b1"), conn.incr("b2"), conn.refuse("c1"), conn.incr("b3")]
    first, second = caught.value.errors
    assert (first.position, first.name, first.hosts) == (1, "refuse", ("b",))
    assert (second.position, second.name, second.hosts) == (3, "refuse", ("c",))
    assert [tuple(failure) for failure in caught.value.errors] == [
        ("refuse", first.error),
        ("refuse", second.error),
    ]
    assert str(caught.value) == (
        "2 command(s) failed:\n  #1 refuse on b: b says no\n  #3 refuse on c: c says no"
    )
    assert [results[0], results[2], results[4]] == [1, 1, 1]
    assert isinstance(first.error, Refused)
    with pytest.raises(Refused, match="b says no"):
        results[1] + 1


@both_engines
def test_map_may_fail_silently(engine: Any) -> None:
    with memory_cluster(*"abc", engine=engine).map(fail_silently=True) as conn:
        results = [conn.incr("a1"), conn.refuse("b1")]
    assert conn.get_results()[0] == 1
    ((name, error),) = conn.get_errors()
    assert (name, type(error)) == ("refuse", Refused)
    assert [result.outcome for result in results] == [Outcome.VALUE, Outcome.SERVER_ERROR]


def test_map_of_one_command_may_fail_silently_too() -> None:
    with memory_cluster(*"abc").map(fail_silently=True) as conn:
        result = conn.refuse("b1")
    assert isinstance(result.error, Refused)


def test_failing_silently_is_for_commands_and_not_for_mistakes() -> None:
    with pytest.raises(RoutingError), memory_cluster(*"abc").map(fail_silently=True) as conn:
        conn.get(name="x")


def test_a_broadcast_that_failed_on_one_host_names_that_host() -> None:
    cluster = memory_cluster(hosts={"a": {}, "b": {"down": True}, "c": {}})
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        conn.ping()
    assert caught.value.errors[0].hosts == ("b",)


@both_engines
def test_a_host_that_is_down_fails_its_own_commands_only(engine: Any) -> None:
    cluster = memory_cluster(hosts={"a": {}, "b": {"down": True}}, engine=engine)
    with pytest.raises(CommandError), cluster.map() as conn:
        results = [conn.incr("a1"), conn.incr("b1"), conn.incr("a1"), conn.incr("b2")]
    outcomes = [result.outcome for result in results]
    assert outcomes == [Outcome.VALUE, Outcome.NOT_SENT, Outcome.VALUE, Outcome.NOT_SENT]
    assert (results[0], results[2]) == (1, 2)


def test_without_a_pipeline_a_lost_connection_fails_one_command_only() -> None:
    with memory_cluster(*"abc").map(fail_silently=True) as conn:
        results = [conn.incr("a1"), conn.lose("a2"), conn.incr("a1")]
    assert [result.outcome for result in results] == [Outcome.VALUE, Outcome.MAYBE_APPLIED, Outcome.VALUE]


def test_in_a_pipeline_a_lost_connection_leaves_all_of_its_commands_open() -> None:
    with memory_cluster(*"ab", engine=PipelinedEngine).map(fail_silently=True) as conn:
        results = [conn.incr("a1"), conn.lose("a2"), conn.incr("b1")]
    outcomes = [result.outcome for result in results]
    assert outcomes == [Outcome.MAYBE_APPLIED, Outcome.MAYBE_APPLIED, Outcome.VALUE]


def test_the_failures_of_a_map_can_be_pickled() -> None:
    with pytest.raises(CommandError) as caught, memory_cluster(*"abc").map() as conn:
        conn.refuse("a1")
        conn.lose("b1")
    revived = pickle.loads(pickle.dumps(caught.value))
    assert str(revived) == str(caught.value)
    assert [failure.hosts for failure in revived.errors] == [("a",), ("b",)]


# Transactions -----------------------------------------------------------------------------------------------------


def test_a_transaction_is_refused_by_an_engine_without() -> None:
    cluster = memory_cluster(*"abc")
    with pytest.raises(RoutingError, match="engine MemoryEngine has no transactions"):
        cluster.map(transaction=True)


def test_a_transaction_is_asked_of_every_batch() -> None:
    asked = []

    class Transacting(MemoryEngine):
        supports_transactions = True

        def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Any:
            asked.append((self.num, transaction))
            return super().batch(commands)

    cluster = memory_cluster(*"ab", engine=Transacting)
    with cluster.map(transaction=True) as conn:
        conn.ping()
    cluster.ping()
    with cluster.map() as conn:
        conn.ping()
    assert asked == [("a", True), ("b", True), *[("a", False), ("b", False)] * 2]


# In parallel ------------------------------------------------------------------------------------------------------


@both_engines
def test_hosts_work_at_the_same_time(engine: Any) -> None:
    together = threading.Barrier(8)

    class Meeting(Store):
        """A client that does a command when all hosts have one to do."""

        def _note(self, *call: Any) -> None:
            together.wait(LONG)
            super()._note(*call)

    class Eighth(engine):  # type: ignore[misc]
        def connect(self) -> Store:
            return Meeting(str(self.num))

    cluster = memory_cluster(*"abcdefgh", engine=Eighth)
    assert cluster.ping() == [f"pong from {name}" for name in "abcdefgh"]
    with cluster.map() as conn:
        promises = [conn.who(f"{name}1") for name in "abcdefgh"]
    assert promises == [*"abcdefgh"]


def test_many_threads_may_use_one_cluster() -> None:
    cluster = memory_cluster(*"abc", engine=PipelinedEngine)

    def work(thread: int) -> list[Any]:
        mine = [f"{'abc'[n % 3]}{thread}:{n}" for n in range(30)]
        with cluster.map() as conn:
            once = [conn.incr(key) for key in mine]
        return [once, [cluster.incr(key) for key in mine], cluster.ping()]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(8)))
    assert answers == [[[1] * 30, [2] * 30, ["pong from a", "pong from b", "pong from c"]]] * 8


def test_a_first_command_of_many_threads_connects_once() -> None:
    connected = []

    class Slow(MemoryEngine):
        def connect(self) -> Store:
            time.sleep(0.01)
            connected.append(self.num)
            return super().connect()

    cluster = memory_cluster("a", engine=Slow)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(cluster.get, ["a1"] * 8))
    assert connected == ["a"]


def test_work_in_threads_sees_the_context_of_the_caller() -> None:
    user = contextvars.ContextVar("user", default="nobody")

    class Seeing(MemoryEngine):
        def whose(self) -> str:
            return user.get()

    token = user.set("somebody")
    try:
        assert memory_cluster(*"abc", engine=Seeing, router=None).whose() == ["somebody"] * 3
    finally:
        user.reset(token)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    program = """
        import os, threading, time, warnings
        from engines import MemoryEngine
        from nydus_core import create_cluster
        from nydus_core.threads import workers

        warnings.simplefilter("ignore", DeprecationWarning)  # of os.fork with threads: that is the point
        cluster = create_cluster({"engine": MemoryEngine, "hosts": [{}] * 2})
        assert len(cluster.ping()) == 2
        assert threading.active_count() == 2  # one host has the calling thread
        while not workers._workers._idle:  # until that thread waits for work: a child must not take it for its own
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            os._exit(7 if cluster.ping() == ["pong from 0", "pong from 1"] else 1)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), len(cluster.ping()))
    """
    path = os.pathsep.join(sys.path)
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert said.stdout.split() == ["7", "2"], said.stderr


# Batches of engines -----------------------------------------------------------------------------------------------


class Tracing:
    """A batch that writes down what is done to it, and by which thread."""

    def __init__(self, engine: Traced, commands: Sequence[Command]) -> None:
        self.engine = engine
        self.commands = commands
        self.overlaps = engine.overlaps
        self.ready = engine.ready

    def note(self, what: str) -> None:
        thread = "here" if threading.current_thread() is threading.main_thread() else "thread"
        Traced.trace.append((what, self.engine.num, thread))
        if self.engine.raises == what:
            raise KeyboardInterrupt

    def send(self) -> None:
        self.note("send")

    def receive(self) -> list[Any]:
        self.note("receive")
        return [command.name for command in self.commands]

    def close(self) -> None:
        self.note("close")


class Traced(BaseEngine):
    """An engine whose batches overlap, or not, and are ready, or not."""

    trace: ClassVar[list[tuple[str, Any, str]]] = []

    def __init__(self, num: Any, *, overlaps: bool = True, ready: bool = True, raises: str = "") -> None:
        super().__init__(num)
        self.overlaps, self.ready, self.raises = overlaps, ready, raises

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Any:
        return Tracing(self, commands)


def traced(**hosts: dict[str, Any]) -> Any:
    Traced.trace.clear()
    return create_cluster({"engine": Traced, "hosts": hosts})


def test_hosts_that_overlap_are_all_sent_to_before_any_is_read() -> None:
    assert traced(a={}, b={}).ping() == ["ping", "ping"]
    steps = ["send", "receive", "close"]
    assert Traced.trace == [(step, host, "here") for step in steps for host in "ab"]


def test_hosts_that_have_to_connect_first_do_so_at_the_same_time() -> None:
    traced(a={"ready": False}, b={}, c={"ready": False}).ping()
    sends = [step for step in Traced.trace if step[0] == "send"]
    assert sends[0] == ("send", "b", "here")
    assert sorted(sends[1:]) == [("send", "a", "thread"), ("send", "c", "thread")]
    assert ("receive", "b", "here") in Traced.trace  # meanwhile


def test_hosts_that_do_not_overlap_get_threads() -> None:
    traced(a={"overlaps": False}, b={"overlaps": False}, c={"overlaps": False}).ping()
    receives = sorted(step for step in Traced.trace if step[0] == "receive")
    assert receives == [("receive", "a", "thread"), ("receive", "b", "thread"), ("receive", "c", "here")]


@pytest.mark.parametrize("when", ["send", "receive"])
@pytest.mark.parametrize("overlaps", [True, False])
@pytest.mark.parametrize("host", ["a", "b", "c"])
def test_an_interrupt_closes_all_batches_and_says_that_commands_were_on_their_way(
    when: str, overlaps: bool, host: str
) -> None:
    hosts: dict[str, dict[str, Any]] = {name: {"overlaps": overlaps} for name in "abc"}
    hosts[host]["raises"] = when
    cluster = traced(**hosts)
    with pytest.raises(KeyboardInterrupt), cluster.map() as conn:
        promise = conn.ping()
    assert [name for step, name, _ in Traced.trace if step == "close"] == ["a", "b", "c"]
    assert promise.outcome is Outcome.MAYBE_APPLIED
    with pytest.raises(NotResolved, match="may have been applied"):
        str(promise)
    with pytest.raises(NotResolved, match="interrupted"):
        conn.get_results()


def test_a_batch_that_cannot_be_closed_does_not_keep_others_open() -> None:
    cluster = traced(a={"raises": "close"}, b={})
    with pytest.raises(KeyboardInterrupt):
        cluster.ping()
    assert [name for step, name, _ in Traced.trace if step == "close"] == ["a", "b"]


def test_an_interrupted_command_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        memory_cluster(*"abc").interrupt("a1")
    with pytest.raises(KeyboardInterrupt):
        memory_cluster(*"abc").interrupt()


# Hosts ------------------------------------------------------------------------------------------------------------


def test_a_cluster_counts_lists_and_gives_its_hosts() -> None:
    cluster = create_cluster({"engine": MemoryEngine, "hosts": {2: {}, 0: {}, 1: {}}})
    assert len(cluster) == 3
    assert list(cluster) == list(cluster.hosts) == [0, 1, 2]
    assert [cluster[key].num for key in cluster] == [0, 1, 2]
    with pytest.raises(KeyError):
        cluster[3]
    with pytest.raises(TypeError):
        cluster.hosts[3] = cluster[0]  # type: ignore[index]
    assert repr(cluster).startswith("<Cluster of 3 hosts {0: 0, 1: 1, 2: 2}, router None, placement all:")


def test_on_sends_every_command_to_one_host() -> None:
    cluster = memory_cluster(*"abc")
    here = cluster.on("b")
    assert here.ping() == "pong from b"
    assert here.who("a1") == "b"
    assert here.admin.size() == 0
    assert log(cluster, "a") == log(cluster, "c") == []


def test_on_reaches_what_only_has_a_meaning_on_one_host() -> None:
    class Holding(MemoryEngine):
        @classmethod
        def describe(cls, name: str, args: Any, kwargs: Any) -> Command:
            return Command(name, args, kwargs, scope=Scope.HOST)

    cluster = memory_cluster(*"ab", engine=Holding)
    with pytest.raises(RoutingError, match=r"cluster\.on\(host\)"):
        cluster.ping()
    assert cluster.on("b").ping() == "pong from b"


@pytest.mark.parametrize("host", ["x", 0, None])
def test_on_refuses_a_host_that_there_is_not(host: Any) -> None:
    with pytest.raises(RoutingError, match=rf"there is no host {host!r}; the hosts are 'a', 'b', 'c'"):
        memory_cluster(*"abc").on(host)


def test_the_client_of_a_keys_host_takes_no_key_that_lives_elsewhere() -> None:
    cluster = memory_cluster(*"abc")
    home = cluster.on_key("b1")
    home.set("b2", 1)
    assert cluster.get("b2") == 1
    assert home.ping() == "pong from b"
    with pytest.raises(RoutingError, match="set: b'a1' lives on host 'a'; this is host 'b', that of 'b1'"):
        home.set("a1", 1)
    with pytest.raises(RoutingError, match="cannot tell the keys of set"):
        home.set(value=1)
    assert cluster.get("a1") is None


@pytest.mark.parametrize("router", [None, "round-robin", "broadcast"])
def test_a_key_without_a_host_of_its_own_has_no_client(router: Any) -> None:
    with pytest.raises(RoutingError, match=r"use cluster\.on\(host\), with host one of a, b, c"):
        memory_cluster(*"abc", router=router).on_key("b1")


def test_nothing_connects_before_its_first_command() -> None:
    cluster = memory_cluster(hosts={"a": {"down": True}, "b": {}})
    cluster.on("a")
    with cluster.map() as conn:
        conn.get("b1")
    assert cluster.get("b1") is None


@pytest.mark.parametrize(
    "close", [Cluster.close, Cluster.disconnect, lambda cluster: cluster.__exit__(None, None, None)]
)
def test_closing_closes_all_hosts_and_a_later_command_connects_again(close: Callable[[Any], None]) -> None:
    cluster = memory_cluster(*"abc")
    clients = [cluster[host].connection for host in "abc"]
    close(cluster)
    assert [client.open for client in clients] == [False] * 3
    close(cluster)
    assert cluster.ping()[0] == "pong from a"
    assert cluster["a"].connection is not clients[0]


def test_a_host_that_cannot_be_closed_does_not_keep_others_open() -> None:
    class Stuck(MemoryEngine):
        def disconnect(self) -> None:
            super().disconnect()
            if self.num == "a":
                raise OSError("stuck")

    cluster = memory_cluster(*"abc", engine=Stuck)
    clients = [cluster[host].connection for host in "abc"]
    with pytest.raises(OSError, match="stuck"):
        cluster.close()
    assert [client.open for client in clients] == [False] * 3


def test_a_cluster_is_a_context_manager_that_closes() -> None:
    with memory_cluster(*"abc") as cluster:
        client = cluster["a"].connection
        assert client.open
    assert not client.open


def test_a_cluster_may_be_of_a_class_of_ones_own() -> None:
    class Greeting(Cluster):
        def greet(self, key: str) -> str:
            return f"hello {self.who(key)}"

    cluster = memory_cluster(*"abc", cluster=Greeting)
    assert cluster.greet("b1") == "hello b"
    assert repr(cluster).startswith("<Greeting of 3 hosts")


def test_a_router_may_be_installed_later() -> None:
    cluster = memory_cluster(*"abc", router=None)
    cluster.install_router(PartitionRouter([*memory_cluster(*"abc").router.nodes]))
    assert cluster.who("key") in "abc"
    cluster.install_router(BaseRouter(cluster))
    assert cluster.who("key") == ["a", "b", "c"]
    cluster.install_router(None)
    assert cluster.who("key") == ["a", "b", "c"]


# How commands fail ------------------------------------------------------------------------------------------------


def failed(call: Callable[[Any], Any], **settings: Any) -> Any:
    with pytest.raises(Exception) as caught:
        call(memory_cluster(**settings))
    return caught.value


@both_engines
@pytest.mark.parametrize("call", [lambda c: c.get("b1"), lambda c: c.on("b").get("b1")])
def test_a_host_that_cannot_be_connected_to_was_not_sent_to(engine: Any, call: Any) -> None:
    error = failed(call, hosts={"a": {}, "b": {"down": True}, "c": {}}, engine=engine)
    assert isinstance(error, HostDown)
    assert isinstance(error, ConnectionRefusedError)
    assert error.errno == 111
    assert type(error.__cause__) is ConnectionRefusedError
    assert error.host == "'b' (b)"


def test_the_error_of_a_host_says_which_command_which_host_and_why() -> None:
    error = failed(lambda c: c.set("b1", "s3cret"), hosts={"b": {"down": True}})
    assert (
        str(error)
        == "set b'b1' was not taken by host 'b' (b) after 2 attempts: [Errno 111] Connection refused"
    )
    assert (error.command, error.attempts) == ("set b'b1'", 2)
    error = failed(lambda c: c.lose("b1"))
    assert str(error) == "lose b'b1' may have been applied by host 'b' (b): b is gone"


def test_a_lost_connection_may_have_applied_the_command() -> None:
    error = failed(lambda c: c.lose("b1"))
    assert isinstance(error, MaybeApplied)
    assert isinstance(error, Lost)
    assert error.code == 7
    assert type(error.__cause__) is Lost


@both_engines
@pytest.mark.parametrize(
    "call", [lambda c: c.refuse("b1"), lambda c: c.on("b").refuse("b1"), lambda c: c.refuse()]
)
def test_the_answer_of_a_server_passes_unchanged(engine: Any, call: Any) -> None:
    error = failed(call, engine=engine)
    assert type(error) is Refused
    assert not isinstance(error, NydusError)


def test_a_broadcast_tells_how_each_host_fared() -> None:
    error = failed(lambda c: c.refuse_on("c"), hosts={"a": {}, "b": {"down": True}, "c": {}}, router=None)
    assert isinstance(error, MaybeApplied)  # it may be a write, and 'a' has done it
    assert isinstance(error, ConnectionRefusedError)
    assert error.__notes__ == ["by host: 'a': value, 'b': not sent, 'c': server error"]


class Demanding(Exception):
    """Cannot be made from a message alone."""

    def __init__(self, code: int, *, reply: str) -> None:
        super().__init__(f"{code} {reply}")
        self.code = code
        self.reply = reply


class Fixed(Exception):
    """Has read-only attributes of the names that ours have."""

    @property
    def host(self) -> str:
        return "theirs"

    @property
    def command(self) -> str:
        return "theirs"


class Newborn(Exception):
    """Wants its arguments early."""

    def __new__(cls, code: int, text: str) -> Newborn:
        return super().__new__(cls, code, text)


class Slotted(Exception):
    """Keeps an attribute in a slot."""

    __slots__ = ("sort",)

    def __init__(self, sort: str) -> None:
        super().__init__(sort)
        self.sort = sort


def _tls_error() -> ssl.SSLError:
    """Return an error as OpenSSL raises it, with attributes that Python does not let a program give."""
    incoming = ssl.MemoryBIO()
    incoming.write(b"-ERR this is no TLS\r\n")
    client = ssl.create_default_context().wrap_bio(incoming, ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(ssl.SSLError) as caught:
        client.do_handshake()
    assert caught.value.reason
    return caught.value


CAUSES = {
    "os error": ConnectionResetError(104, "reset"),
    "os error with a file": FileNotFoundError(2, "no such socket", "/run/redis.sock"),
    "os error without a number": OSError("gone"),
    "timeout": TimeoutError("timed out"),
    "tls": ssl.SSLError(1, "certificate verify failed"),
    "tls with a reason": _tls_error(),
    "url": urllib.error.URLError("no such scheme"),
    "slots": Slotted("lemon"),
    "eof": EOFError(),
    "with attributes": Lost("gone", code=9),
    "demanding": Demanding(5, reply="busy"),
    "fixed": Fixed("no"),
    "newborn": Newborn(1, "no"),
    "unicode": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "group": ExceptionGroup("all addresses failed", [OSError("one"), OSError("two")]),
    "key": KeyError("k"),
    "stop": StopIteration(3),
    "ours": HostDown("inner"),
}


_OF_CAUSES = [
    *("errno", "strerror", "filename", "filename2", "code", "reply", "library", "verify_code", "sort"),
    *("encoding", "object", "start", "end"),
]


@pytest.mark.parametrize("cause", CAUSES.values(), ids=list(CAUSES))
@pytest.mark.parametrize("kind", [HostDown, MaybeApplied])
def test_any_error_of_a_client_can_be_behind_ours(kind: type[HostError], cause: Exception) -> None:
    error = host_error(kind, cause, host="'a' (addr)", command="get b'k'")
    assert isinstance(error, kind)
    assert str(error).startswith(f"get b'k' {kind.said} by host 'a' (addr): ")
    assert (error.host, error.command, error.why) == ("'a' (addr)", "get b'k'", str(cause))
    assert error.reason == (
        error.why if isinstance(cause, HostError) else getattr(cause, "reason", error.why)
    )
    assert traceback.format_exception(error)


@pytest.mark.parametrize(
    "name",
    [
        "os error",
        "os error with a file",
        "timeout",
        "tls",
        "eof",
        "with attributes",
        "demanding",
        "tls with a reason",
        "url",
        "slots",
        "unicode",
        "key",
    ],
)
@pytest.mark.parametrize(
    "revive", [lambda error: pickle.loads(pickle.dumps(error)), copy.copy], ids=["pickle", "copy"]
)
def test_an_error_is_also_what_the_client_raised_even_after_pickling(
    name: str, revive: Callable[[Any], Any]
) -> None:
    cause = CAUSES[name]
    error = host_error(HostDown, cause, host="'a' (addr)", command="get b'k'")
    error.attempts = 3
    for each in (error, revive(error)):
        assert isinstance(each, HostDown)
        assert isinstance(each, type(cause))
        assert str(each) == str(error)
        assert (each.host, each.command, each.attempts) == (error.host, error.command, 3)
        for attribute in _OF_CAUSES:
            assert getattr(each, attribute, None) == getattr(cause, attribute, None)
        assert each.reason == getattr(cause, "reason", each.why)
        if isinstance(cause, UnicodeError):
            seen: Any = each
            assert codecs.lookup_error("replace")(seen) == ("\ufffd", 1)  # as C sees it
    assert type(revive(error)) is type(error)


@pytest.mark.parametrize(
    "error",
    [
        RoutingError("no place"),
        CrossHostError("get", {"a": [b"1"], "b": [b"2"]}, "Hint."),
        HostDown("refused", host="'a' (addr)", command="get", attempts=2),
        NotResolved("not yet"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_of_ours_can_be_pickled(error: Exception) -> None:
    revived = pickle.loads(pickle.dumps(error))
    assert type(revived) is type(error)
    assert str(revived) == str(error)
    assert revived.__dict__ == error.__dict__


# Engines that split -----------------------------------------------------------------------------------------------


class Joining:
    """``who`` over the keys of several hosts."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> list[Command]:
        return [Command("who", tuple(command.args[position] for position in group[:1])) for group in groups]

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> str:
        return "+".join(values)


class Splitting(PipelinedEngine):
    @classmethod
    def describe(cls, name: str, args: Any, kwargs: Any) -> Command:
        keys = [key.encode() for key in args]
        return Command(name, args, kwargs, keys, split=Joining() if name == "who" else None)


def test_a_command_over_several_hosts_is_split_and_joined() -> None:
    cluster = memory_cluster(*"abc", engine=Splitting)
    assert cluster.who("c1", "a1", "c2") == "c+a"
    with cluster.map() as conn:
        promises = [conn.who("a1", "b1"), conn.who("c1")]
    assert promises == ["a+b", "c"]


def test_a_command_over_several_hosts_that_cannot_be_split_sends_nothing() -> None:
    cluster = memory_cluster(*"abc", engine=Splitting)
    with pytest.raises(CrossHostError, match="host 'a': b'a1'; host 'b': b'b1'"):
        cluster.get("a1", "b1")
    assert log(cluster, "a") == log(cluster, "b") == []


def test_the_short_cut_of_the_everyday_case_is_on_the_same_road() -> None:
    cluster = memory_cluster(*"abc")
    for key in ("a1", "b1", "c1"):
        command = BaseEngine.describe("get", (key,), {})
        placement = Placement(tuple(cluster), cluster.router)
        assert placement.single(command) == make_plan([command], placement).lanes[0].host
        assert placement.route(command).hosts == [placement.single(command)]


def test_a_class_is_not_a_router() -> None:
    cluster = create_cluster({"engine": MemoryEngine, "hosts": [{}]})
    with pytest.raises(ConfigError, match="found the class PartitionRouter; expected a router"):
        cluster.install_router(PartitionRouter)


def test_a_host_is_named_by_its_key_or_by_that_as_text() -> None:
    cluster = create_cluster({"engine": MemoryEngine, "hosts": [{}, {}]})
    cluster.on("1").set("k", 1)
    assert cluster.on(1).get("k") == 1


def test_an_empty_map_is_not_false() -> None:
    with memory_cluster(*"abc").map() as conn:
        assert (conn or None) is conn


def test_a_map_is_used_once() -> None:
    cluster = memory_cluster(*"abc")
    block = cluster.map()
    with block as conn:
        conn.incr("a")
    with pytest.raises(NydusError, match=r"used once: call cluster\.map\(\) again"), block:
        pass
    assert cluster.get("a") == 1


def test_there_is_no_host_of_the_name_of_a_key() -> None:
    with pytest.raises(KeyError, match="there is no host 'k'; the hosts are 'a', 'b', 'c'"):
        memory_cluster(*"abc")["k"]


def test_a_map_works_where_no_thread_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(workers, "_workers", workers.Workers())
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with memory_cluster(*"abc").map() as conn:
        results = [conn.incr(key) for key in ("a1", "b1", "c1")]
    assert results == [1, 1, 1]
