"""Deadlines as such: what holds where, and for how long. What they do to commands is in ``test_delivery``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from clusters import memory_cluster
from in_loop import in_loop
from nydus_core import DeadlineExceeded, NydusError
from nydus_core.checks import is_time
from nydus_core.deadlines import Deadline, DeadlineBlock, any_deadline, deadline_of
from waiting import LONG


class Owner:
    """Has deadlines."""


@pytest.fixture
def cluster() -> Any:
    return memory_cluster("a")


# One deadline --------------------------------------------------------------------------------------------------


def test_a_deadline_counts_from_when_it_is_made_and_never_below_none() -> None:
    deadline = Deadline(60)
    assert 60 - LONG < deadline.left() <= 60
    deadline.until = time.monotonic() - 1
    assert deadline.left() == 0.0
    assert str(deadline) == "the deadline of 60 seconds is over"


@pytest.mark.parametrize("value", [0.001, 1, 2.5, 86400])
def test_a_time_is_a_number_of_seconds(value: float) -> None:
    assert is_time(value)


@pytest.mark.parametrize(
    "value", [0, 0.0, -1, float("nan"), float("inf"), 1e9, True, False, "1", None, 1j, [1]], ids=repr
)
def test_anything_else_is_no_time(cluster: Any, value: Any) -> None:
    assert not is_time(value)
    with pytest.raises(ValueError, match="expected seconds, more than 0"):
        cluster.deadline(value)


# Blocks --------------------------------------------------------------------------------------------------------


def test_a_block_has_a_deadline_until_its_end(cluster: Any) -> None:
    assert not any_deadline()
    with cluster.deadline(60) as deadline:
        assert deadline_of(cluster) == deadline
        assert 60 - LONG < deadline.left() <= 60
    assert deadline_of(cluster) is None
    assert not any_deadline()


def test_the_time_of_a_block_begins_with_it(cluster: Any) -> None:
    block = cluster.deadline(60)
    time.sleep(0.05)
    before = time.monotonic()
    with block as deadline:
        assert deadline.until >= before + 60


def test_a_block_that_raises_ends_too(cluster: Any) -> None:
    with pytest.raises(ZeroDivisionError), cluster.deadline(60):
        raise ZeroDivisionError
    assert deadline_of(cluster) is None


def test_of_nested_blocks_the_earliest_end_counts(cluster: Any) -> None:
    with cluster.deadline(60) as outer:
        with cluster.deadline(3600) as inner:
            assert inner is outer
        with cluster.deadline(1) as inner:
            assert deadline_of(cluster) == inner
            assert inner.until < outer.until
        assert deadline_of(cluster) == outer


def test_a_block_is_of_one_cluster(cluster: Any) -> None:
    other = memory_cluster("a")
    with cluster.deadline(60) as ours:
        assert deadline_of(other) is None
        with other.deadline(3600) as theirs:
            assert theirs is not ours
            assert deadline_of(cluster) is ours
            assert deadline_of(other) is theirs
        assert deadline_of(cluster) is ours


def test_a_block_is_used_once(cluster: Any) -> None:
    block = cluster.deadline(60)
    with block:
        pass
    with pytest.raises(NydusError, match="used once") as caught, block:
        pass
    assert not isinstance(caught.value, DeadlineExceeded)  # a mistake; no time is over
    assert deadline_of(cluster) is None


def test_a_block_that_ends_in_another_thread_says_so_and_is_over(cluster: Any) -> None:
    block, seen, told = cluster.deadline(60), contextvars.Context(), contextvars.Context()
    seen.run(block.__enter__)
    assert seen.run(deadline_of, cluster) is not None
    with pytest.raises(NydusError, match="another thread or task than it began in"):
        told.run(block.__exit__, None, None, None)
    assert seen.run(deadline_of, cluster) is None


def test_a_generator_that_is_left_half_read_ends_its_block_with_it(cluster: Any) -> None:
    async def steps() -> AsyncIterator[int]:
        with cluster.deadline(60):
            for number in range(3):
                yield number

    async def left_half_read() -> None:
        unread = steps()
        assert await anext(unread) == 0
        await asyncio.create_task(unread.aclose())  # type: ignore[attr-defined]  # as loops close them
        assert deadline_of(cluster) is None

    in_loop(left_half_read)


def test_a_block_holds_for_its_thread_alone(cluster: Any) -> None:
    found: list[Any] = []
    with cluster.deadline(60):
        thread = threading.Thread(target=lambda: found.append(deadline_of(cluster)))
        thread.start()
        thread.join(LONG)
    assert found == [None]


def test_a_block_holds_for_its_task_alone(cluster: Any) -> None:
    async def one(seconds: float, meet: Callable[[], Any]) -> float:
        with cluster.deadline(seconds) as deadline:
            await meet()
            assert deadline_of(cluster) == deadline
            return float(deadline.seconds)

    async def other(meet: Callable[[], Any]) -> Any:
        await meet()
        return deadline_of(cluster)

    async def all_of_them() -> Any:
        inside = [0]
        everybody = asyncio.Event()

        async def meet() -> None:
            inside[0] += 1
            if inside[0] == 3:
                everybody.set()
            await everybody.wait()

        return await asyncio.gather(one(60, meet), one(3600, meet), other(meet))

    assert asyncio.run(all_of_them()) == [60, 3600, None]


# Which deadline a call has -------------------------------------------------------------------------------------


def test_each_call_has_the_deadline_of_the_settings_for_itself() -> None:
    cluster = memory_cluster("a", deadline=60)
    first, second = cluster._call(cluster._snapshot).deadline, cluster._call(cluster._snapshot).deadline
    assert first.seconds == second.seconds == 60
    assert second.until > first.until


def test_a_block_counts_instead_of_the_settings() -> None:
    cluster = memory_cluster("a", deadline=0.5)
    with cluster.deadline(60) as deadline:
        assert cluster._call(cluster._snapshot).deadline is deadline


def test_without_any_there_is_none(cluster: Any) -> None:
    assert cluster._call(cluster._snapshot).deadline is None


def test_the_calls_of_a_block_share_its_time(cluster: Any) -> None:
    with cluster.deadline(60) as deadline:
        assert cluster.set("k", 1)
        deadline.until = time.monotonic()  # and now it is over
        with pytest.raises(DeadlineExceeded):
            cluster.incr("k")
    assert cluster.get("k") == 1


def test_a_map_takes_the_deadline_of_where_it_ends(cluster: Any) -> None:
    with cluster.deadline(60), cluster.map() as conn:
        found = conn.incr("k")
    assert found == 1


def test_a_task_that_was_begun_in_a_block_is_free_when_the_block_has_ended() -> None:
    owner = Owner()
    with DeadlineBlock(owner, 0.01):
        context = contextvars.copy_context()
        assert context.run(deadline_of, owner) is not None
    assert context.run(deadline_of, owner) is None


def test_an_inner_block_ends_its_own_deadline_only() -> None:
    owner = Owner()
    with DeadlineBlock(owner, 1) as outer:
        with DeadlineBlock(owner, 60) as inner:
            assert inner is outer
        assert deadline_of(owner) is outer
        assert not outer.ended


def test_a_context_that_outlives_its_block_does_not_keep_the_cluster() -> None:
    owner = Owner()
    alive = weakref.ref(owner)
    with DeadlineBlock(owner, 60):
        context = contextvars.copy_context()  # as a connection has it that was opened there
    del owner
    assert alive() is None
    del context
