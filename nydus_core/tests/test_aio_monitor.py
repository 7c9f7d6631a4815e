"""Hosts that go down and come back, with asyncio: probes in tasks, and loops that end before their probes do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from async_engines import AsyncSwitchedEngine
from clusters import NO_RETRY, async_memory_cluster
from in_loop import in_loop
from nydus_core import HostDown, HostError, hookimpl
from nydus_core.deadlines import deadline_of
from nydus_core.health.breaker import State
from nydus_core.plugins.manager import hooks
from waiting import LONG, TooShort, long_enough, until_async

QUICK = {"failures": 2, "backoff": 0.01, "most": 0.02}
NEVER = {"failures": 2, "backoff": 3600, "most": 3600}

cluster_of = partial(
    async_memory_cluster, "a", router=None, engine=AsyncSwitchedEngine, health=QUICK, retry=NO_RETRY
)


class Recorder:
    """What the hooks were told."""

    def __init__(self) -> None:
        self.words: list[tuple[str, str]] = []

    @hookimpl
    def nydus_host_down(self, host: str) -> None:
        self.words.append(("down", host))

    @hookimpl
    def nydus_host_up(self, host: str) -> None:
        self.words.append(("up", host))


@pytest.fixture
def told() -> Iterator[Recorder]:
    recorder = Recorder()
    hooks.register(recorder, None)
    yield recorder
    hooks.unregister(recorder)


async def fail(cluster: Any, times: int = 2) -> None:
    cluster["a"].down = True
    for _ in range(times):
        with pytest.raises(HostDown):
            await cluster.incr("n")


def state(cluster: Any) -> State:
    found: State = cluster.health()["a"].state
    return found


def test_a_host_that_fails_is_taken_for_down_until_a_probe_succeeds(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of()
        await fail(cluster)
        await until_async(lambda: cluster["a"].probes >= 3)
        with pytest.raises(HostDown, match="it is taken for down: ConnectionRefusedError"):
            await cluster.incr("n")
        assert told.words == [("down", "a")]
        cluster["a"].down = False
        await until_async(lambda: state(cluster) is State.CLOSED)
        assert told.words == [("down", "a"), ("up", "a")]
        assert await cluster.incr("n") == 1
        probes = cluster["a"].probes
        await asyncio.sleep(0.1)
        assert cluster["a"].probes == probes  # no more of them

    in_loop(main)


def test_a_host_that_answers_nothing_is_taken_for_down_too() -> None:
    async def main() -> None:
        cluster = cluster_of(health=NEVER)
        await cluster.incr("n")
        cluster["a"].deaf = True
        for _ in range(2):
            with pytest.raises(HostError, match="no answer"):
                await cluster.incr("n")
        assert state(cluster) is State.OPEN
        await cluster.aclose()
        assert state(cluster) is State.CLOSED

    in_loop(main)


def test_there_is_one_probe_at_a_time_and_no_command_waits_for_it() -> None:
    async def main() -> None:
        cluster = cluster_of()
        cluster["a"].probing = asyncio.Event()
        await fail(cluster)
        await until_async(lambda: cluster["a"].probes == 1)
        assert state(cluster) is State.HALF_OPEN
        for _ in range(5):
            with pytest.raises(HostDown):
                await cluster.incr("n")
        assert cluster["a"].probes == 1
        cluster["a"].down = False
        cluster["a"].probing.set()
        await until_async(lambda: state(cluster) is State.CLOSED)

    in_loop(main)


@pytest.mark.parametrize("end", ["aclose", "remove_host"])
def test_a_probe_ends_with_its_cluster_or_host(end: str, told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of(router="partition", hosts={"a": {}})
        host = cluster["a"]
        host.probing = asyncio.Event()
        await fail(cluster)
        await until_async(lambda: host.probes == 1)
        if end == "aclose":
            await cluster.aclose()
            assert state(cluster) is State.CLOSED
        else:
            cluster.add_host("b", {})
            cluster.remove_host("a")
        await asyncio.sleep(0.05)
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
        assert host.probes == 1
        assert told.words == [("down", "a")]

    in_loop(main)


def test_a_probe_of_one_loop_ends_with_a_cluster_that_is_closed_in_another() -> None:
    cluster = cluster_of()
    begun, closed = threading.Event(), threading.Event()

    async def other() -> None:
        cluster["a"].probing = asyncio.Event()
        await fail(cluster)
        await until_async(lambda: cluster["a"].probes == 1)
        probing = asyncio.all_tasks() - {asyncio.current_task()}
        begun.set()
        await asyncio.wait(probing, timeout=LONG)
        assert all(task.cancelled() for task in probing)
        closed.set()

    async def main() -> None:
        await cluster.aclose()
        await until_async(closed.is_set)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(in_loop, other)
        assert begun.wait(LONG)
        in_loop(main)
        ended.result(LONG)
    assert state(cluster) is State.CLOSED


async def _is_up_again(cluster: Any) -> None:
    """A command finds the host down, and has it probed."""
    cluster["a"].down, cluster["a"].probing = False, None
    with pytest.raises(HostDown):
        await cluster.incr("n")
    await until_async(lambda: state(cluster) is State.CLOSED)
    assert await cluster.incr("n") == 1


def test_a_loop_that_ended_with_a_probe_planned_leaves_it_to_the_next_one() -> None:
    @long_enough
    def scenario(seconds: float) -> None:
        cluster = cluster_of(health={"failures": 2, "backoff": seconds, "most": seconds})

        async def main() -> None:
            await fail(cluster)

        in_loop(main)
        if state(cluster) is not State.OPEN:  # the probe has begun
            raise TooShort
        in_loop(lambda: _is_up_again(cluster))


def test_a_loop_that_ended_with_a_probe_under_way_leaves_it_to_the_next_one() -> None:
    cluster = cluster_of()

    async def main() -> None:
        cluster["a"].probing = asyncio.Event()
        await fail(cluster)
        await until_async(lambda: cluster["a"].probes == 1)

    in_loop(main)
    in_loop(lambda: _is_up_again(cluster))


def test_a_loop_that_was_closed_under_its_probe_leaves_it_to_the_next_one() -> None:
    cluster = cluster_of()
    probes: list[Any] = []

    async def main() -> None:
        cluster["a"].probing = asyncio.Event()
        await fail(cluster)
        await until_async(lambda: cluster["a"].probes == 1)
        probes.extend(asyncio.all_tasks() - {asyncio.current_task()})

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()  # as no one should: its tasks are left as they are
    assert state(cluster) is State.HALF_OPEN
    in_loop(lambda: _is_up_again(cluster))
    for probe in probes:
        probe._log_destroy_pending = False  # asyncio's own switch: this complaint is right, and not ours
        with contextlib.suppress(RuntimeError):  # its loop is closed
            probe.get_coro().close()  # here, and not when another test collects garbage


def test_a_cluster_that_nobody_uses_any_more_is_not_probed(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of(health={"failures": 2, "backoff": 0.05, "most": 0.05})
        await fail(cluster)
        host, gone = cluster["a"], weakref.ref(cluster)
        del cluster
        gc.collect()
        assert gone() is None
        probes = host.probes  # none, unless this took long
        await asyncio.sleep(0.1)
        assert host.probes == probes

    in_loop(main)


class Readmitted:
    """What ``on_readmit`` functions were called with."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.fail_once = False

    def plain(self, host: str, client: Any) -> None:
        self.calls.append((host, client))

    async def awaited(self, host: str, client: Any) -> None:
        await asyncio.sleep(0)
        self.calls.append((host, await client.incr("readmitted")))
        if self.fail_once:
            self.fail_once = False
            raise ValueError("not fit yet")


async def _down_and_up(cluster: Any) -> None:
    await fail(cluster)
    cluster["a"].down = False
    await until_async(lambda: state(cluster) is State.CLOSED)


def test_a_host_is_readmitted_as_the_settings_say(told: Recorder) -> None:
    async def main() -> None:
        calls = Readmitted()
        for on_readmit, flushes in (("keep", 0), ("flush", 1), (calls.plain, 0), (calls.awaited, 0)):
            cluster = cluster_of(on_readmit=on_readmit)
            await _down_and_up(cluster)
            assert cluster["a"].flushes == flushes
        (host, client), awaited = calls.calls
        assert host == "a"
        assert await client.who() == "a"
        assert awaited == ("a", 1)
        assert told.words == [("down", "a"), ("up", "a")] * 4

    in_loop(main)


def test_a_readmission_knows_nothing_of_the_call_that_found_the_host_down() -> None:
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[Any] = []

    async def main() -> None:
        def look(host: str, client: Any) -> None:
            seen.append((request.get(), deadline_of(cluster)))

        cluster: Any = cluster_of(on_readmit=look)
        request.set("that of a user")
        with cluster.deadline(30):
            await _down_and_up(cluster)
        assert seen == [("none", None)]

    in_loop(main)


def test_a_readmission_that_fails_is_tried_again_with_the_next_probe() -> None:
    async def main() -> None:
        calls = Readmitted()
        calls.fail_once = True
        cluster = cluster_of(on_readmit=calls.awaited)
        await _down_and_up(cluster)
        assert calls.calls == [("a", 1), ("a", 2)]

    in_loop(main)


@pytest.mark.parametrize("call", [lambda c: c.health(), lambda c: c.explain("incr", "n"), repr])
def test_what_needs_no_loop_needs_none_while_a_host_is_down(call: Callable[[Any], Any]) -> None:
    cluster = cluster_of(health=NEVER)
    in_loop(lambda: fail(cluster))
    call(cluster)
    assert state(cluster) is State.OPEN
