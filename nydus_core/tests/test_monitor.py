"""Hosts that go down and come back: breakers, probes, readmission and the hooks, over in-process hosts with a switch."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from clusters import ByName
from engines import SwitchedEngine
from nydus_core import HostDown, HostError, HostListExhausted, create_cluster, hookimpl, threads
from nydus_core.health import monitor
from nydus_core.health.breaker import State
from nydus_core.plugins.manager import hooks
from waiting import LONG, Clock, until

QUICK = {"failures": 2, "backoff": 0.01, "most": 0.02}
NEVER = {"failures": 2, "backoff": 3600, "most": 3600}


class Recorder:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @hookimpl
    def nydus_host_down(self, cluster: Any, host: str, cause: BaseException) -> None:
        self.told.append(("down", cluster, host, cause))

    @hookimpl
    def nydus_host_up(self, cluster: Any, host: str) -> None:
        self.told.append(("up", cluster, host))

    @property
    def words(self) -> list[tuple[str, str]]:
        return [(each[0], each[2]) for each in self.told]


@pytest.fixture
def told() -> Iterator[Recorder]:
    """A plugin that listens."""
    recorder = Recorder()
    hooks.register(recorder, None)
    yield recorder
    hooks.unregister(recorder)


@pytest.fixture
def cluster_of() -> Iterator[Callable[..., Any]]:
    clusters: list[Any] = []

    def make(names: str = "ab", **settings: Any) -> Any:
        given = {"engine": SwitchedEngine, "router": ByName, "health": QUICK, "retry": {"attempts": 1}}
        clusters.append(create_cluster({**given, "hosts": {name: {} for name in names}, **settings}))
        return clusters[-1]

    yield make
    for cluster in clusters:
        for engine in cluster.hosts.values():
            engine.probing.set()
        cluster.close()


def fail(cluster: Any, host: str = "a", times: int = 2) -> None:
    """Make a host fail so often."""
    cluster[host].down = True
    for _ in range(times):
        with pytest.raises(HostDown):
            cluster.get(host)


def state(cluster: Any, host: str = "a") -> State:
    found: State = cluster.health()[host].state
    return found


# Down, and up again --------------------------------------------------------------------------------------------


def test_a_host_that_fails_is_taken_for_down_until_a_probe_succeeds(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of()
    fail(cluster)
    assert state(cluster) is not State.CLOSED
    until(lambda: cluster["a"].probes >= 3)
    assert state(cluster) is not State.CLOSED
    assert told.words == [("down", "a")]
    cluster["a"].down = False
    until(lambda: told.words == [("down", "a"), ("up", "a")])
    assert state(cluster) is State.CLOSED
    assert cluster.incr("a") == 1
    probes = cluster["a"].probes
    time.sleep(0.1)
    assert cluster["a"].probes == probes  # no more of them


def test_the_hooks_are_told_the_cluster_the_host_and_what_the_client_raised(
    cluster_of: Any, told: Recorder
) -> None:
    cluster = cluster_of()
    fail(cluster)
    cluster["a"].down = False
    until(lambda: len(told.told) == 2)
    down, up = told.told
    assert down[:3] == ("down", cluster, "a")
    assert type(down[3]) is ConnectionRefusedError
    assert up == ("up", cluster, "a")


def test_a_hook_that_fails_keeps_nobody_from_anything(cluster_of: Any, told: Recorder) -> None:
    class Broken:
        @hookimpl
        def nydus_host_down(self, cluster: Any, host: str) -> None:
            raise ZeroDivisionError

        @hookimpl
        def nydus_host_up(self, cluster: Any, host: str) -> None:
            raise ZeroDivisionError

    plugin = Broken()
    hooks.register(plugin, None)
    try:
        cluster = cluster_of()
        fail(cluster)
        cluster["a"].down = False
        until(lambda: told.words == [("down", "a"), ("up", "a")])
        assert cluster.incr("a") == 1
    finally:
        hooks.unregister(plugin)


def test_while_a_host_is_down_commands_are_refused_without_a_try(cluster_of: Any) -> None:
    cluster = cluster_of(health=NEVER)
    fail(cluster)
    cluster["a"].down = False  # which nobody knows yet
    with pytest.raises(HostDown, match="it is taken for down: ConnectionRefusedError") as caught:
        cluster.incr("a")
    assert caught.value.attempts == 0
    assert isinstance(caught.value, ConnectionError)
    assert cluster["a"].connection.data == {}
    assert cluster["a"].probes == 0


def test_other_hosts_go_on(cluster_of: Any) -> None:
    cluster = cluster_of(health=NEVER)
    fail(cluster)
    assert cluster.incr("b") == 1
    with cluster.map(fail_silently=True) as conn:
        lost, found = conn.incr("a"), conn.incr("b")
    assert isinstance(lost.error, HostDown)
    assert found == 2
    assert state(cluster, "b") is State.CLOSED


def test_health_tells_of_every_host_by_its_key(cluster_of: Any) -> None:
    cluster = cluster_of(health=NEVER)
    fail(cluster)
    health = cluster.health()
    assert list(health) == ["a", "b"]
    assert (health["a"].state, health["a"].failures) == (State.OPEN, 2)
    assert "Connection refused" in health["a"].cause
    assert health["a"].next_probe > 1000
    assert (health["b"].state, health["b"].cause, health["b"].next_probe) == (State.CLOSED, "", None)


def test_commands_are_never_probes(cluster_of: Any) -> None:
    cluster = cluster_of()
    cluster["a"].probing.clear()
    fail(cluster)
    until(lambda: state(cluster) is State.HALF_OPEN)
    cluster["a"].down = False
    for _ in range(20):
        with pytest.raises(HostDown):
            cluster.incr("a")
    cluster["a"].probing.set()
    until(lambda: state(cluster) is State.CLOSED)
    assert cluster.incr("a") == 1


def test_there_is_one_probe_however_many_threads_ask(cluster_of: Any) -> None:
    cluster = cluster_of()
    cluster["a"].probing.clear()
    fail(cluster)
    until(lambda: cluster["a"].probes)
    together = threading.Barrier(8)

    def ask(_: int) -> None:
        together.wait(LONG)
        for _ in range(200):
            with pytest.raises(HostDown):
                cluster.get("a")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert cluster["a"].probes == 1


def test_many_threads_that_fail_at_once_open_it_once(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of(health=NEVER)
    cluster["a"].down = True
    together = threading.Barrier(8)

    def ask(_: int) -> None:
        together.wait()
        for _ in range(20):
            with pytest.raises(HostDown):
                cluster.get("a")

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    assert told.words == [("down", "a")]


# Readmission -----------------------------------------------------------------------------------------------------


def test_a_host_keeps_its_data_by_default(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of()
    cluster.set("a", 5)
    fail(cluster)
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert cluster.get("a") == 5


def test_it_may_be_flushed_before_commands_go_there_again(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of(on_readmit="flush")
    cluster.set("a", 5)
    cluster.set("b", 6)
    fail(cluster)
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert cluster.get("a") is None
    assert cluster.get("b") == 6
    assert (cluster["a"].flushes, cluster["b"].flushes) == (1, 0)


def test_or_a_function_does_with_it_what_it_likes(cluster_of: Any, told: Recorder) -> None:
    seen: list[Any] = []

    def warm(host: str, client: Any) -> None:
        seen.append((host, client.get("a"), state(cluster)))
        client.set("a", "warm")
        with pytest.raises(HostDown):
            cluster.get("a")  # for others it is not there yet

    cluster = cluster_of(on_readmit=warm)
    cluster.set("a", 5)
    fail(cluster)
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert seen == [("a", 5, State.HALF_OPEN)]
    assert cluster.get("a") == "warm"


@pytest.mark.parametrize("error", [ValueError("not yet"), SystemExit(1), KeyboardInterrupt()], ids=repr)
def test_a_function_that_fails_keeps_the_host_out_until_it_does_not(
    cluster_of: Any, told: Recorder, error: BaseException
) -> None:
    left = [error, error]

    def warm(host: str, client: Any) -> None:
        if left:
            raise left.pop()

    cluster = cluster_of(on_readmit=warm)
    fail(cluster)
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert left == []
    assert cluster["a"].probes >= 3


def test_a_host_that_missed_a_write_is_not_asked_again_before_it_was_flushed(
    cluster_of: Any, told: Recorder
) -> None:
    cluster = cluster_of(
        on_host_down="reroute", on_readmit="flush", retry={"attempts": 2}, health={**QUICK, "failures": 99}
    )
    cluster.set("ab", "old")
    cluster["a"].down = True
    cluster.set("ab", "new")  # on b
    assert told.words == [("down", "a")]
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert cluster.get("ab") is None  # and not "old"
    assert cluster["b"].connection.data == {"ab": "new"}


# Rerouting through a cluster ---------------------------------------------------------------------------------------


def test_rerouted_commands_find_their_way_back(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of(on_host_down="reroute", retry={"attempts": 2})
    cluster["a"].down = True
    assert [cluster.incr("ab") for _ in range(5)] == [1, 2, 3, 4, 5]
    assert cluster["b"].connection.data == {"ab": 5}
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert cluster.incr("ab") == 1


def test_a_map_names_the_host_that_failed_in_the_end(cluster_of: Any) -> None:
    cluster = cluster_of("abc", on_host_down="reroute", retry={"attempts": 2}, health=NEVER)
    cluster["a"].down = cluster["b"].down = cluster["c"].down = True
    with cluster.map(fail_silently=True) as conn:
        lost = conn.incr("abc")
    [failure] = conn.get_errors()
    assert isinstance(lost.error, HostListExhausted)
    assert failure.hosts == ("c",)
    assert failure.error.attempts == 3


@pytest.mark.parametrize("call", [lambda c: c.on("a").incr("ab"), lambda c: c.ping()])
def test_a_host_that_was_named_and_a_broadcast_have_no_other(cluster_of: Any, call: Any) -> None:
    cluster = cluster_of(on_host_down="reroute", retry={"attempts": 2}, health=NEVER)
    cluster["a"].down = True
    with pytest.raises(HostError) as caught:
        call(cluster)
    assert not isinstance(caught.value, HostListExhausted)
    assert caught.value.attempts == 2
    assert cluster["b"].connection.data == {}


# The short cut -------------------------------------------------------------------------------------------------------


def test_the_short_cut_is_there_while_there_is_nothing_to_see(cluster_of: Any) -> None:
    cluster, clock = cluster_of(health={**NEVER, "window": 10}), Clock()
    cluster._snapshot.watches[0]._breaker._clock = clock

    def calls() -> list[Any]:
        return [watch.call for watch in cluster._snapshot.watches]

    assert calls() == [cluster["a"].call, cluster["b"].call]
    fail(cluster, times=1)
    assert calls() == [None, cluster["b"].call]
    cluster["a"].down = False
    cluster.get("a")
    assert calls()[0] is None  # a failure is remembered for a while
    clock.now += 10.1
    cluster.get("a")
    assert calls() == [cluster["a"].call, cluster["b"].call]


def test_a_command_by_the_short_cut_that_fails_is_tried_again_as_any_other(cluster_of: Any) -> None:
    cluster = cluster_of(retry={"attempts": 3, "backoff": 0}, health={"failures": 99})
    cluster["a"].down = True
    with pytest.raises(HostDown) as caught:
        cluster.incr("a")
    assert caught.value.attempts == 3
    assert cluster.health()["a"].failures == 3


def test_a_failure_that_another_thread_forgets_at_the_same_time_does_not_close_it_for_ever(
    cluster_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = cluster_of()
    watch = cluster._snapshot.watches[0]
    note = watch._breaker.failed

    def failed(cause: BaseException) -> bool:
        opened: bool = note(cause)
        watch.reset()  # as cluster.close() in another thread, just now
        return opened

    monkeypatch.setattr(watch._breaker, "failed", failed)
    fail(cluster, times=1)
    assert watch.call == cluster["a"].call


def test_a_readmitted_host_has_its_short_cut(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of()
    fail(cluster)
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    assert cluster._snapshot.watches[0].call == cluster["a"].call


# Ends ----------------------------------------------------------------------------------------------------------------


def test_close_forgets_which_hosts_are_down(cluster_of: Any, told: Recorder) -> None:
    cluster = cluster_of()
    fail(cluster)
    cluster.close()
    assert state(cluster) is State.CLOSED
    assert cluster.health()["a"].cause == ""
    probes = cluster["a"].probes
    time.sleep(0.1)
    assert cluster["a"].probes == probes
    cluster["a"].down = False
    assert cluster.incr("a") == 1


def test_a_probe_that_was_under_way_when_the_cluster_was_closed_changes_nothing(
    cluster_of: Any, told: Recorder
) -> None:
    cluster = cluster_of()
    cluster["a"].probing.clear()
    fail(cluster)
    until(lambda: cluster["a"].probes == 1)
    cluster.close()
    cluster["a"].probing.set()  # and then it fails
    time.sleep(0.1)
    assert state(cluster) is State.CLOSED
    assert cluster["a"].probes == 1
    assert told.words == [("down", "a")]


@pytest.mark.parametrize("probing", [False, True])
def test_a_cluster_that_nobody_holds_is_collected_and_its_probes_end(probing: bool) -> None:
    settings = {"engine": SwitchedEngine, "hosts": {"a": {}}, "health": QUICK, "retry": {"attempts": 1}}
    cluster: Any = create_cluster(settings)
    engine = cluster["a"]
    if probing:
        engine.probing.clear()
    fail(cluster)
    until(lambda: engine.probes >= 1)
    gone, watch = weakref.ref(cluster), weakref.ref(cluster._snapshot.watches[0])
    del cluster
    gc.collect()
    assert gone() is None
    engine.probing.set()
    until(lambda: (gc.collect(1), watch() is None)[1])
    probes = engine.probes
    time.sleep(0.1)
    assert engine.probes == probes


def test_a_cluster_that_nobody_held_while_it_probed_makes_nothing_of_it(told: Recorder) -> None:
    cluster: Any = create_cluster({"engine": SwitchedEngine, "hosts": {"a": {}}, "health": QUICK})
    engine = cluster["a"]
    engine.probing.clear()
    fail(cluster)
    until(lambda: engine.probes == 1)
    told.told.clear()  # it holds the cluster too
    del cluster
    gc.collect()
    engine.down = False
    engine.probing.set()
    time.sleep(0.05)
    assert told.told == []


@pytest.mark.parametrize("missing", ["thread", "timer"])
def test_a_host_whose_probe_finds_no_thread_is_probed_later(
    cluster_of: Any, told: Recorder, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    left = [1, 1]
    thread, alarm = threads.in_thread, threads.set_alarm

    def no_thread(job: Any) -> Any:
        return left.pop() and None if left else thread(job)

    def no_alarm(when: float, call: Any) -> Any:
        if left:
            left.clear()
            raise RuntimeError("can't start new thread")
        return alarm(when, call)

    if missing == "thread":
        monkeypatch.setattr(monitor, "in_thread", no_thread)
    else:
        monkeypatch.setattr(monitor, "set_alarm", no_alarm)
    cluster = cluster_of()
    fail(cluster, times=5)
    cluster["a"].down = False
    until(lambda: state(cluster) is State.CLOSED)
    assert left == []
    assert cluster.incr("a") == 1


def test_idle_connections_are_closed_at_each_failure_of_a_probe_too(cluster_of: Any) -> None:
    """A flush that prepares a host for its readmission may use connections that were in use meanwhile."""

    class Pooled(SwitchedEngine):
        dropped = 0

        def drop_idle(self) -> None:
            self.dropped += 1

    cluster = cluster_of(engine=Pooled)
    fail(cluster)
    until(lambda: cluster["a"].probes >= 3)
    assert cluster["a"].dropped >= 3
    assert cluster["b"].dropped == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_probes_hosts_that_were_down_in_its_parent(tmp_path: Any) -> None:
    program = """
        import os, sys, time, warnings
        sys.path.insert(0, sys.argv[1])
        warnings.simplefilter("ignore", DeprecationWarning)
        from engines import SwitchedEngine
        from nydus_core import HostDown, create_cluster
        quick = {"failures": 1, "backoff": 0.05, "most": 0.05}
        cluster = create_cluster({"engine": SwitchedEngine, "hosts": {"a": {"down": True}}, "health": quick})
        try:
            cluster.get("a")
        except HostDown:
            pass
        if sys.argv[2] == "half-open":
            cluster["a"].probing.clear()
            while cluster.health()["a"].state.value != "half-open":
                time.sleep(0.01)
        child = os.fork()
        if not child:
            cluster["a"].down = False
            cluster["a"].probing.set()
            end = time.monotonic() + 30
            while cluster.health()["a"].state.value != "closed" and time.monotonic() < end:
                time.sleep(0.01)
            os._exit(0 if cluster.incr("a") == 1 else 1)
        cluster["a"].probing.set()
        sys.exit(os.waitpid(child, 0)[1])
    """
    support = os.path.dirname(sys.modules["engines"].__file__ or "")
    for state_of_parent in ("open", "half-open"):
        command = [sys.executable, "-c", textwrap.dedent(program), support, state_of_parent]
        assert subprocess.run(command, timeout=LONG, check=False).returncode == 0


def test_a_probe_whose_planning_was_interrupted_is_made_up_for(
    cluster_of: Any, monkeypatch: pytest.MonkeyPatch, told: Recorder
) -> None:
    cluster = cluster_of()
    with monkeypatch.context() as patch:
        patch.setattr(monitor.Watch, "_plan_probe", lambda self: True)  # as if a Ctrl-C had come just before
        fail(cluster)
    assert cluster.health()["a"].state is State.OPEN
    monkeypatch.setattr(monitor, "_OVERDUE", 0.0)
    cluster["a"].down = False
    time.sleep(0.1)
    with contextlib.suppress(HostDown):
        cluster.get("a")
    until(lambda: ("up", "a") in told.words)
    assert cluster.incr("a") == 1


def test_a_probe_that_never_ends_is_given_up(
    cluster_of: Any, monkeypatch: pytest.MonkeyPatch, told: Recorder
) -> None:
    cluster, hung, go_on = cluster_of(), threading.Event(), threading.Event()

    def hang() -> None:
        hung.set()
        go_on.wait(LONG)
        raise HostDown("at last")

    with monkeypatch.context() as patch:
        patch.setattr(cluster["a"], "probe", hang)
        fail(cluster)
        assert hung.wait(LONG)
        patch.setattr(monitor, "LONGEST", 0.0)
        with pytest.raises(HostDown):
            cluster.get("a")  # whoever asks finds out
    cluster["a"].down = False
    until(lambda: ("up", "a") in told.words)
    go_on.set()
    assert cluster.incr("a") == 1
