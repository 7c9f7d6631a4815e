"""The fair pool: connections are bounded and handed out in order, and no task that gives up takes one with it."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from in_loop import in_loop
from nydus_core.aio.pool import FairPool
from waiting import until_async


class Exhausted(Exception):
    """All connections are in use."""


class Connection:
    """A connection, to nothing."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.open = True
        self.in_step = True


class Connections:
    """Makes them.

    Attributes:
        made: All that were opened, in order.
        opening: What opening one waits for, if anything.
        most: The most that were open at once, or being opened.
    """

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.opening: asyncio.Event | None = None
        self.fails: Exception | None = None
        self.underway = self.most = 0
        self.goodbyes: list[int] = []

    @property
    def open_ones(self) -> int:
        return sum(connection.open for connection in self.made)

    async def open(self) -> Connection:
        self.underway += 1
        self.most = max(self.most, self.underway + self.open_ones)
        try:
            await asyncio.sleep(0)
            if self.opening is not None:
                await self.opening.wait()
            if self.fails is not None:
                raise self.fails
            self.made.append(Connection(len(self.made)))
        finally:
            self.underway -= 1
        return self.made[-1]

    def is_in_step(self, connection: Connection) -> bool:
        return connection.open and connection.in_step

    async def is_fresh(self, connection: Connection) -> bool:
        await asyncio.sleep(0)
        return self.is_in_step(connection)

    def shut(self, connection: Connection) -> None:
        connection.open = False

    async def say_goodbye(self, connection: Connection) -> None:
        await asyncio.sleep(0)
        self.goodbyes.append(connection.number)
        connection.open = False

    def exhausted(self, why: str) -> Exception:
        return Exhausted(why)


def pool_of(size: int = 1, patience: float | None = None) -> tuple[FairPool[Connection], Connections]:
    connections = Connections()
    return FairPool(connections, size, patience), connections


async def waiting(pool: FairPool[Connection], count: int = 1) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.ensure_future(pool.take()) for _ in range(count)]
    await asyncio.sleep(0.005)
    assert not any(task.done() for task in tasks)
    return tasks


def test_a_connection_is_used_again_the_last_one_first() -> None:
    async def main() -> None:
        pool, connections = pool_of(2)
        one, other = await pool.take(), await pool.take()
        pool.give(one, clean=True)
        pool.give(other, clean=True)
        assert await pool.take() is other
        assert len(connections.made) == 2

    in_loop(main)


def test_tasks_are_served_in_the_order_in_which_they_asked() -> None:
    async def main() -> None:
        pool, connections = pool_of(2)
        served: list[int] = []

        async def use(number: int) -> None:
            connection = await pool.take()
            served.append(number)
            await asyncio.sleep(0)
            pool.give(connection, clean=True)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(use(number))
        assert served == [*range(200)]
        assert connections.most == 2

    in_loop(main)


def test_a_task_that_comes_back_at_once_waits_behind_those_who_wait() -> None:
    async def main() -> None:
        pool, _ = pool_of(1)
        greedy = await pool.take()
        (waiter,) = await waiting(pool)
        waiter.add_done_callback(lambda task: pool.give(task.result(), clean=True))
        pool.give(greedy, clean=True)
        assert await pool.take() is greedy  # in the same turn of the loop: it is free, but promised
        assert waiter.done()

    in_loop(main)


def test_the_size_is_kept_whatever_tasks_do() -> None:
    async def main() -> None:
        pool, connections = pool_of(4)
        dice = random.Random(5)
        done = 0

        async def use() -> None:
            nonlocal done
            for _ in range(20):
                connection = await pool.take()
                try:
                    assert connection.open
                    await asyncio.sleep(0)
                    connection.in_step = dice.random() > 0.1
                finally:
                    pool.give(connection, clean=dice.random() > 0.2)
            done += 1

        tasks = [asyncio.ensure_future(use()) for _ in range(60)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0)
            if dice.random() < 0.1:
                dice.choice(tasks).cancel()
            if dice.random() < 0.02:
                pool.drop()
        assert connections.most <= 4
        assert done
        assert done + sum(task.cancelled() for task in tasks) == 60
        taken = [await pool.take() for _ in range(4)]  # no turn was lost
        await waiting(pool)
        assert len(taken) == 4

    in_loop(main, debug=False)


def test_a_task_that_is_cancelled_while_it_waits_lets_the_next_one_have_its_turn() -> None:
    async def main() -> None:
        pool, _ = pool_of(1)
        connection = await pool.take()
        first, second = await waiting(pool, 2)
        first.cancel()
        pool.give(connection, clean=True)
        assert await second is connection
        # and one that is cancelled when it just had got it
        third, fourth = await waiting(pool, 2)
        pool.give(connection, clean=True)
        third.cancel()
        assert await fourth is connection
        assert third.cancelled()

    in_loop(main)


def test_a_task_that_is_cancelled_while_it_opens_a_connection_lets_the_next_one_open_its_own() -> None:
    async def main() -> None:
        pool, connections = pool_of(1)
        connections.opening = asyncio.Event()
        first, second = await waiting(pool, 2)
        first.cancel()
        await asyncio.wait([first])
        connections.opening.set()
        assert (await second).open
        assert connections.most == 1

    in_loop(main)


def test_a_connection_that_cannot_be_opened_leaves_its_turn_to_the_next_task() -> None:
    async def main() -> None:
        pool, connections = pool_of(1)
        connections.fails = OSError("no")
        tasks = [asyncio.ensure_future(pool.take()) for _ in range(5)]
        done, _ = await asyncio.wait(tasks, timeout=10)
        assert [str(task.exception()) for task in done] == ["no"] * 5
        connections.fails = None
        assert (await pool.take()).open

    in_loop(main)


def test_who_waits_too_long_is_told_how_many_there_are() -> None:
    async def main() -> None:
        pool, _ = pool_of(2, 0.02)
        await pool.take()
        held = await pool.take()
        with pytest.raises(Exhausted) as caught:
            await pool.take()
        assert str(caught.value) == ("all 2 connections are in use, and none fell free within 0.02 seconds")
        pool.give(held, clean=True)
        assert await pool.take() is held

    in_loop(main)


def test_a_connection_that_is_not_clean_or_not_in_step_is_shut() -> None:
    async def main() -> None:
        pool, connections = pool_of(1)
        for clean, in_step in ((False, True), (True, False)):
            connection = await pool.take()
            connection.in_step = in_step
            pool.give(connection, clean=clean)
            assert not connection.open
        stale = await pool.take()
        pool.give(stale, clean=True)
        stale.in_step = False  # an answer came that nobody waits for
        assert await pool.take() is not stale
        assert not stale.open
        assert connections.most == 1

    in_loop(main)


async def aclosed(pool: FairPool[Connection]) -> None:
    await pool.aclose()


async def dropped(pool: FairPool[Connection]) -> None:
    pool.drop()


async def retired(pool: FairPool[Connection]) -> None:
    pool.retire()


@pytest.mark.parametrize("close", [aclosed, dropped, retired])
def test_a_closed_pool_shuts_what_is_in_use_when_it_is_given_back(close: Any) -> None:
    async def main() -> None:
        pool, connections = pool_of(2)
        used, idle = await pool.take(), await pool.take()
        pool.give(idle, clean=True)
        await close(pool)
        assert (used.open, idle.open) == (True, False)
        assert connections.goodbyes == ([1] if close is aclosed else [])
        pool.give(used, clean=True)
        assert not used.open
        later = await pool.take()  # a later command opens new ones
        pool.give(later, clean=True)
        assert later.open is (close is not retired)

    in_loop(main)


@pytest.mark.parametrize("close", [aclosed, dropped])
def test_a_connection_in_the_making_when_its_pool_is_closed_is_shut_when_it_is_given_back(close: Any) -> None:
    async def main() -> None:
        pool, connections = pool_of(1)
        connections.opening = asyncio.Event()
        (task,) = await waiting(pool)
        await close(pool)
        connections.opening.set()
        connection = await task
        assert connection.open
        pool.give(connection, clean=True)
        assert not connection.open

    in_loop(main)


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_connection_that_takes_its_time_to_say_goodbye_is_shut(
    cancelled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        pool, connections = pool_of(1)
        connections.say_goodbye = lambda _: asyncio.sleep(1000)  # type: ignore[method-assign, assignment]
        connection = await pool.take()
        pool.give(connection, clean=True)
        task = asyncio.ensure_future(pool.aclose())
        if cancelled:
            await asyncio.sleep(0.005)
            task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() is cancelled
        assert not connection.open
        await until_async(lambda: len(asyncio.all_tasks()) == 1)

    monkeypatch.setattr("nydus_core.aio.pool._GOODBYE", 1000 if cancelled else 0.01)
    in_loop(main)


def test_a_retired_pool_ends_once_when_nobody_uses_a_connection_or_waits_for_one() -> None:
    async def main() -> None:
        pool, _ = pool_of(1)
        ended: list[int] = []
        connection = await pool.take()
        first, second = await waiting(pool, 2)
        pool.retire(lambda: ended.append(1))
        pool.give(connection, clean=True)
        assert ended == []  # two tasks wait: their calls had begun
        pool.give(await first, clean=True)
        assert ended == []
        second.cancel()
        await asyncio.wait([second])
        await until_async(lambda: ended == [1])
        pool.give(await pool.take(), clean=True)  # a late one
        assert ended == [1]

    in_loop(main)


def test_a_retired_pool_that_nobody_uses_ends_at_once() -> None:
    async def main() -> None:
        pool, _ = pool_of(1)
        ended: list[int] = []
        pool.retire(lambda: ended.append(1))
        assert ended == [1]

    in_loop(main)
