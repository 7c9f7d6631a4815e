"""Calls that are given up on their way, by a cancellation or a deadline: what is known of each command by then.

The hosts are stores in this process: ``wait`` is a command that hangs.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from async_engines import AsyncMemoryEngine, AsyncStore
from clusters import NO_RETRY, async_memory_cluster
from engines import Refused
from in_loop import in_loop
from nydus_core import DeadlineExceeded, HostDown, MaybeApplied, Outcome, hookimpl
from nydus_core.aio import drivers
from nydus_core.aio.drivers import _Job
from nydus_core.command import Command
from nydus_core.delivery.plan import Lane
from nydus_core.health.breaker import State
from nydus_core.pieces import done
from nydus_core.plugins.manager import hooks
from waiting import TooShort, long_enough, no_hang, until_async

cluster_of = partial(async_memory_cluster, retry=NO_RETRY)


def store(cluster: Any, host: str) -> AsyncStore:
    found: AsyncStore = cluster[host].clients[-1]
    return found


def hangs(cluster: Any, host: str = "a") -> Callable[[], bool]:
    """What comes true when a ``wait`` has reached a host."""
    return lambda: bool(cluster[host].clients) and any(each[0] == "wait" for each in store(cluster, host).log)


async def given_up(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


class Block:
    """A ``map()`` block in a task of its own: its promises outlive it."""

    def __init__(self, cluster: Any, *calls: tuple[str, str]) -> None:
        self.promises: list[Any] = []
        self.task = asyncio.get_running_loop().create_task(self._run(cluster, calls))

    async def _run(self, cluster: Any, calls: Sequence[tuple[str, str]]) -> None:
        async with cluster.map() as conn:
            self.promises += [getattr(conn, name)(key) for name, key in calls]

    @property
    def outcomes(self) -> list[Outcome]:
        return [promise.outcome for promise in self.promises]


class Recorder:
    """What the hooks were told of commands."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, Any, Any]] = []
        self.batches: list[tuple[Any, ...]] = []

    @hookimpl
    def nydus_command_done(self, command: Any, hosts: Any, error: Any) -> None:
        self.commands.append((command.name, hosts, error))

    @hookimpl
    def nydus_batch_done(self, hosts: Any, outcomes: Any) -> None:
        self.batches.append((hosts, outcomes))


@pytest.fixture
def told() -> Iterator[Recorder]:
    recorder = Recorder()
    hooks.register(recorder, None)
    yield recorder
    hooks.unregister(recorder)


# Cancelled ------------------------------------------------------------------------------------------------------


def test_a_lane_that_is_cancelled_before_its_task_began_was_not_sent() -> None:
    async def main() -> None:
        engine = AsyncMemoryEngine("a")
        job = _Job(engine, Lane("a", [Command("incr", ("a",), {}, (b"a",))], [0]))  # type: ignore[arg-type]
        assert job.cancel(None)
        await asyncio.wait([job.task])
        (outcome,) = done(job.outcomes())
        assert isinstance(outcome, HostDown)
        assert "its task was cancelled" in str(outcome)
        assert engine.clients == []

    in_loop(main)


def test_a_task_that_is_cancelled_before_it_began_sends_nothing() -> None:
    async def main() -> None:
        cluster = cluster_of()
        task = asyncio.ensure_future(cluster.incr("a"))
        await given_up(task)
        assert cluster["a"].clients == []

    in_loop(main)


def test_a_command_that_is_cancelled_while_its_host_is_connected_to_was_not_sent(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of()
        cluster["a"].connecting = asyncio.Event()
        block = Block(cluster, ("incr", "a"), ("incr", "a"), ("incr", "b"))
        await until_async(lambda: cluster["b"].clients and store(cluster, "b").log)
        await given_up(block.task)
        assert block.outcomes == [Outcome.NOT_SENT, Outcome.NOT_SENT, Outcome.VALUE]
        task = asyncio.ensure_future(cluster.incr("a"))
        await asyncio.sleep(0.01)
        await given_up(task)
        (_, hosts, error) = told.commands[-1]
        assert hosts == ("a",)
        assert isinstance(error, HostDown)

    in_loop(main)


def test_what_is_cancelled_when_it_was_sent_may_have_been_applied_and_values_that_are_there_stay() -> None:
    async def main() -> None:
        cluster = cluster_of(*"abc")
        calls = [("incr", "a"), ("incr", "b"), ("wait", "b"), ("incr", "b"), ("refuse", "c")]
        block = Block(cluster, *calls)
        await until_async(hangs(cluster, "b"))
        await until_async(lambda: cluster["c"].clients and store(cluster, "c").log)
        await given_up(block.task)
        assert block.outcomes == [
            Outcome.VALUE,
            Outcome.VALUE,
            Outcome.MAYBE_APPLIED,
            Outcome.NOT_SENT,
            Outcome.SERVER_ERROR,
        ]
        assert block.promises[0] == 1
        assert "its task was cancelled" in str(block.promises[2].error)

    in_loop(main)


def test_the_hooks_are_told_what_a_cancelled_command_may_have_done(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of()
        task = asyncio.ensure_future(cluster.wait("a"))
        await until_async(hangs(cluster))
        await given_up(task)
        ((name, hosts, error),) = told.commands
        assert (name, hosts) == ("wait", ("a",))
        assert isinstance(error, MaybeApplied)

        block = Block(cluster, ("wait", "a"), ("incr", "b"))
        await until_async(hangs(cluster))
        await until_async(lambda: cluster["b"].clients and store(cluster, "b").log)
        await given_up(block.task)
        ((hosts, outcomes),) = told.batches
        assert hosts == [("a",), ("b",)]
        assert isinstance(outcomes[0], MaybeApplied)
        assert outcomes[1] == 1

    in_loop(main)


def test_a_cancellation_in_a_pause_keeps_what_the_attempts_before_ended_in(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of(retry=Patient())
        await cluster.incr("b")
        cluster["a"].down = True
        block = Block(cluster, ("incr", "a"), ("incr", "b"))
        await until_async(lambda: store(cluster, "b").data.get("b") == 2)
        await asyncio.sleep(0.02)  # the pause has begun, or does
        await given_up(block.task)
        assert block.outcomes == [Outcome.NOT_SENT, Outcome.VALUE]
        assert "Connection refused" in str(block.promises[0].error)
        ((_, outcomes),) = told.batches
        assert isinstance(outcomes[0], HostDown)

    in_loop(main)


class Patient:
    """A policy that repeats for ever, an hour later."""

    def repeats(self, command: Any, outcome: Any, attempt: int) -> bool:
        return True

    def backoff(self, attempt: int) -> float:
        return 3600.0


def test_a_cancelled_command_is_not_tried_again() -> None:
    async def main() -> None:
        cluster = cluster_of(retry={"attempts": 5, "backoff": 0, "repeat": "all"})
        block = Block(cluster, ("wait", "a"))
        await until_async(hangs(cluster))
        await given_up(block.task)
        single = asyncio.ensure_future(cluster.wait("a"))
        await until_async(lambda: len(cluster["a"].clients) == 2 and hangs(cluster)())
        await given_up(single)
        await asyncio.sleep(0.02)
        assert [len(client.log) for client in cluster["a"].clients] == [1, 1]

    in_loop(main)


def test_cancellations_do_not_speak_against_a_host(told: Recorder) -> None:
    async def main() -> None:
        cluster = cluster_of(health={"failures": 1})
        for _ in range(3):
            for task in (Block(cluster, ("wait", "a")).task, asyncio.ensure_future(cluster.wait("a"))):
                await asyncio.sleep(0.01)
                await given_up(task)
        health = cluster.health()["a"]
        assert (health.state, health.failures) == (State.CLOSED, 0)
        assert await cluster.incr("a") == 1

    in_loop(main)


def test_a_second_cancellation_does_not_lose_what_the_first_one_found_out() -> None:
    async def main() -> None:
        cluster = cluster_of(engine=Slow)
        block = Block(cluster, ("incr", "a"))
        await until_async(lambda: cluster["a"].commands)
        block.task.cancel()
        await until_async(lambda: cluster["a"].ending)
        block.task.cancel()
        await asyncio.sleep(0)
        cluster["a"].going.set()
        with pytest.raises(asyncio.CancelledError):
            await block.task
        assert block.promises[0] == "known after all"

    in_loop(main)


def test_a_cancellation_that_comes_as_a_deadline_ends_a_call_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drivers, "_GRACE", 60)  # this machine may take its time

    async def main(seconds: float) -> None:
        cluster = cluster_of(engine=Slow, deadline=seconds)
        for begin in (
            lambda: Block(cluster, ("incr", "a")).task,
            lambda: asyncio.ensure_future(cluster.on("a").incr("a")),
        ):
            task = begin()
            await until_async(lambda task=task: cluster["a"].ending or task.done())  # type: ignore[misc]
            if task.done():  # the deadline was over before it was sent
                task.exception()
                raise TooShort
            task.cancel()
            await asyncio.sleep(0)
            cluster["a"].going.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            cluster["a"].going.clear()
            cluster["a"].ending = False

    long_enough(lambda seconds: in_loop(lambda: main(seconds)), 0.02)


class Slow(AsyncMemoryEngine):
    """A host whose exchange hangs, and that needs a moment to end when it is cancelled."""

    def __init__(self, num: Any) -> None:
        super().__init__(num)
        self.commands: list[Any] = []
        self.ending = False
        self.going = asyncio.Event()

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        self.commands += commands
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.ending = True
            await self.going.wait()
        return ["known after all"] * len(commands)


# Engines that misbehave -------------------------------------------------------------------------------------------


class Stubborn(AsyncMemoryEngine):
    """A host whose exchange will not end when it is cancelled, and fails much later."""

    def __init__(self, num: Any) -> None:
        super().__init__(num)
        self.begun = self.cancelled = 0
        self.going = asyncio.Event()

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        self.begun += 1
        while not self.going.is_set():
            try:
                await self.going.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        raise ValueError("much too late")


def test_a_deadline_is_kept_with_an_engine_that_ignores_its_cancellation() -> None:
    async def main(seconds: float) -> None:
        cluster = cluster_of(engine=Stubborn, deadline=seconds)
        with no_hang():  # it would be an hour
            with pytest.raises(DeadlineExceeded) as caught:
                await cluster.on("a").incr("a")
            block = Block(cluster, ("incr", "a"))
            with pytest.raises(Exception, match=rf"deadline of {seconds:g} seconds"):
                await block.task
        begun = cluster["a"].begun
        cluster["a"].going.set()
        await asyncio.sleep(0.01)  # what it raises now is nobody's: in_loop() would find a complaint
        if begun < 2:
            raise TooShort
        assert isinstance(caught.value, MaybeApplied)
        assert cluster["a"].cancelled == 2

    long_enough(lambda seconds: in_loop(lambda: main(seconds)))


def test_hosts_are_not_blamed_for_a_deadline_that_a_busy_loop_has_missed() -> None:
    async def main() -> None:
        cluster = cluster_of("a", health={"failures": 3})
        with cluster.deadline(0.1):
            tasks = [asyncio.ensure_future(cluster.wait("a")) for _ in range(3)]
            await asyncio.sleep(0)
            time.sleep(0.3)
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(error, DeadlineExceeded)
        assert cluster.health()["a"].failures == 0

    in_loop(main, debug=False)


def test_a_cancellation_ends_with_an_engine_that_ignores_it() -> None:
    async def main() -> None:
        cluster = cluster_of(engine=Stubborn)
        block = Block(cluster, ("incr", "a"))
        await until_async(lambda: cluster["a"].begun)
        await given_up(block.task)
        assert block.outcomes == [Outcome.MAYBE_APPLIED]
        cluster["a"].going.set()
        await asyncio.sleep(0.01)

    in_loop(main)


class Broken(AsyncMemoryEngine):
    """A host whose exchange has a fault: it raises, at once or when it is cancelled."""

    at_once = True
    begun = False

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        self.begun = True
        try:
            await asyncio.sleep(0 if self.at_once else 3600)
        finally:
            raise ZeroDivisionError(f"a fault of host {self.num}")


class BrokenLater(Broken):
    at_once = False


def test_a_fault_of_an_engine_is_raised_as_it_is_and_those_of_others_are_not_told() -> None:
    async def main() -> None:
        cluster = cluster_of(engine=Broken)
        block = Block(cluster, ("incr", "a"), ("incr", "b"))
        with pytest.raises(ZeroDivisionError, match="host a"):
            await block.task
        assert block.outcomes == [Outcome.MAYBE_APPLIED] * 2

    in_loop(main)


def test_a_fault_of_an_engine_does_not_swallow_a_cancellation() -> None:
    async def main() -> None:
        cluster = cluster_of(engine=BrokenLater)
        block = Block(cluster, ("incr", "a"), ("incr", "b"))
        await until_async(lambda: cluster["a"].begun and cluster["b"].begun)
        await given_up(block.task)
        assert block.outcomes == [Outcome.MAYBE_APPLIED] * 2

    in_loop(main)


# Timeouts, deadlines and task groups -------------------------------------------------------------------------------


async def single(cluster: Any) -> None:
    await cluster.wait("a")


async def mapped(cluster: Any) -> None:
    async with cluster.map(fail_silently=True) as conn:
        promise = conn.wait("a")
    if isinstance(promise.error, HostDown):
        raise TooShort
    assert isinstance(promise.error, MaybeApplied)
    raise promise.error


@pytest.mark.parametrize("call", [single, mapped])
@pytest.mark.parametrize("deadline_outside", [True, False])
def test_the_earlier_of_a_deadline_and_a_timeout_is_raised(call: Any, deadline_outside: bool) -> None:
    async def both(cluster: Any, deadline: float, timeout: float) -> None:
        if deadline_outside:
            with cluster.deadline(deadline):
                async with asyncio.timeout(timeout):
                    await call(cluster)
        else:
            async with asyncio.timeout(timeout):
                with cluster.deadline(deadline):
                    await call(cluster)

    async def main(seconds: float) -> None:
        cluster = cluster_of()
        with pytest.raises(DeadlineExceeded, match=f"deadline of {seconds:g} seconds"):
            await both(cluster, seconds, 600)
        with pytest.raises(TimeoutError) as caught:
            await both(cluster, 600, seconds)
        assert not isinstance(caught.value, DeadlineExceeded)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        assert await cluster.incr("a") == 1  # the task goes on as if nothing had been

    long_enough(lambda seconds: in_loop(lambda: main(seconds)), 0.02)


def test_a_cancellation_from_outside_is_not_taken_for_the_timeout() -> None:
    async def patient(cluster: Any) -> None:
        async with asyncio.timeout(600):
            with cluster.deadline(600):
                await cluster.wait("a")

    async def main() -> None:
        cluster = cluster_of()
        task = asyncio.ensure_future(patient(cluster))
        await until_async(hangs(cluster))
        await given_up(task)

    in_loop(main)


def test_a_task_that_fails_in_a_group_ends_the_calls_of_the_others() -> None:
    async def main() -> None:
        cluster = cluster_of()
        block: Any = None

        async def mapping() -> None:
            nonlocal block
            async with cluster.map() as block:
                block.wait("a")
                block.incr("b")

        async def failing() -> None:
            await until_async(hangs(cluster))
            await cluster.refuse("b")

        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(mapping())
                group.create_task(cluster.on("a").wait())
                group.create_task(failing())
        assert [type(error) for error in caught.value.exceptions] == [Refused]
        waiting, counted = block.get_results()
        assert waiting.outcome is Outcome.MAYBE_APPLIED
        assert counted == 1

    in_loop(main)


def test_all_calls_of_a_group_are_under_way_at_once() -> None:
    async def main() -> None:
        cluster = cluster_of()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(cluster.wait("a")) for _ in range(20)]
            await until_async(lambda: cluster["a"].clients and len(store(cluster, "a").log) == 20)
            store(cluster, "a").going.set()
        assert [task.result() for task in tasks] == ["a"] * 20

    in_loop(main)


def test_of_nested_deadlines_the_earliest_counts_also_in_tasks_begun_inside() -> None:
    async def main() -> None:
        cluster = cluster_of()
        with cluster.deadline(600), cluster.deadline(0.02):
            task = asyncio.ensure_future(cluster.wait("a"))
            with pytest.raises(DeadlineExceeded, match=r"0\.02"):
                await cluster.wait("a")
            with pytest.raises(DeadlineExceeded, match=r"0\.02"):
                await task

    in_loop(main)


def test_a_task_that_outlives_a_deadline_is_under_the_one_around_it() -> None:
    async def main() -> None:
        cluster = cluster_of()
        inner_is_over, missed, outer_is_over = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def outliving() -> None:
            await inner_is_over.wait()
            with pytest.raises(DeadlineExceeded, match=r"0\.1 seconds"):
                await cluster.wait("a")
            missed.set()
            await outer_is_over.wait()
            assert await cluster.incr("a") == 1  # under none

        with cluster.deadline(0.1):
            with cluster.deadline(0.05):
                task = asyncio.ensure_future(outliving())
            inner_is_over.set()
            await missed.wait()
        outer_is_over.set()
        await task

    in_loop(main)


def test_tasks_have_deadlines_of_their_own() -> None:
    async def main() -> None:
        cluster = cluster_of()

        async def hasty() -> None:
            with cluster.deadline(0.02), pytest.raises(DeadlineExceeded):
                await cluster.wait("a")

        async def patient() -> str:
            found: str = await cluster.wait("b")
            return found

        async with asyncio.TaskGroup() as group:
            hasty_ones = [group.create_task(hasty()) for _ in range(3)]
            waiting = group.create_task(patient())
            await asyncio.wait(hasty_ones)
            await until_async(hangs(cluster, "b"))
            store(cluster, "b").going.set()
        assert waiting.result() == "b"

    in_loop(main)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_eager_tasks_are_driven_and_cancelled_as_others_are() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        cluster = cluster_of()
        async with cluster.map() as conn:
            promises = [conn.incr("a"), conn.who("b")]
        assert promises == [1, "b"]
        block = Block(cluster, ("wait", "a"), ("incr", "b"))
        await until_async(hangs(cluster))
        await until_async(lambda: "b" in store(cluster, "b").data)
        await given_up(block.task)
        assert block.outcomes == [Outcome.MAYBE_APPLIED, Outcome.VALUE]
        with cluster.deadline(0.02), pytest.raises(DeadlineExceeded):
            await cluster.wait("a")

    in_loop(main)
