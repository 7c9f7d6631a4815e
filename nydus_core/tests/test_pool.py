"""The pool of connections that threads share: places, the line, and what interrupts it."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nydus_core.engines import Loan, SharedPool, Turn
from nydus_core.threads import Bell
from waiting import LONG, until


class Exhausted(Exception):
    pass


class Connection:
    """Stands for a connection; nobody else may use it at the same time."""

    nydus_permit: Any = None

    def __init__(self) -> None:
        self.open = self.in_step = self.fresh = self.alive = True
        self.user: int | None = None


class Connections:
    """Makes connections, and counts those that are open. No server is needed: the pool has no I/O of its own."""

    asks = False

    def __init__(self) -> None:
        self.made: Any = []
        self.forgotten: list[Connection] = []
        self.fails: Exception | None = None
        self.gate: threading.Event | None = None

    def open(self) -> Connection:
        if self.gate is not None:
            assert self.gate.wait(LONG)
        if self.fails is not None:
            raise self.fails
        connection = Connection()
        self.made.append(connection)
        return connection

    def is_in_step(self, connection: Connection) -> bool:
        return connection.in_step

    def is_fresh(self, connection: Connection) -> bool:
        return connection.fresh

    def is_alive(self, connection: Connection) -> bool:
        return connection.alive

    def shut(self, connection: Connection) -> None:
        connection.open = False

    def forget(self, connection: Connection) -> None:
        self.forgotten.append(connection)

    def exhausted(self, why: str) -> Exception:
        return Exhausted(why)

    @property
    def open_ones(self) -> list[Connection]:
        return [each for each in self.made if each.open]


@pytest.fixture
def connections() -> Connections:
    return Connections()


def test_the_connection_that_was_used_last_is_used_next(connections: Connections) -> None:
    pool = SharedPool(connections, 3, LONG)
    first, second = pool.take(), pool.take()
    pool.give(first, clean=True)
    pool.give(second, clean=True)
    assert pool.take() is second
    assert pool.claim() is first
    assert pool.claim() is None
    assert len(connections.made) == 2
    assert (pool.busy, set(pool.in_use), pool.idle) == (2, {first, second}, [])


def test_a_caller_beyond_waits_and_is_told_in_the_end(connections: Connections) -> None:
    pool = SharedPool(connections, 1, 0.01)
    taken = pool.take()
    with pytest.raises(
        Exhausted, match=r"all 1 connections are in use, and none fell free within 0\.01 seconds"
    ):
        pool.take()
    pool.give(taken, clean=True)
    assert pool.take() is taken
    assert pool.busy == 1


def in_line(pool: Any, count: int) -> None:
    until(lambda: len(pool._line) == count)


def test_nobody_overtakes(connections: Connections) -> None:
    pool = SharedPool(connections, 1, LONG)
    order: list[int] = []

    def work(number: int) -> None:
        connection = pool.take()
        order.append(number)
        pool.give(connection, clean=number % 2 == 0)

    taken = pool.take()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        in_line(pool, number + 1)
    assert pool.claim() is None
    pool.give(taken, clean=True)
    work(8)  # the thread that has just given back comes again, behind all others
    for thread in threads:
        thread.join(LONG)
    assert order == list(range(9))
    assert pool.busy == 0


def test_never_more_than_the_limit_and_none_is_lost(connections: Connections) -> None:
    pool = SharedPool(connections, 5, LONG)
    wrong: list[Any] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        for _ in range(100):
            connection = pool.claim() if dice.random() < 0.3 else pool.take()
            if connection is None:
                continue
            if connection.user is not None or len(pool._permits) > 10:
                wrong.append(connection)
            connection.user = seed
            time.sleep(dice.random() * 0.0003)
            connection.user = None
            connection.in_step = dice.random() < 0.9
            if dice.random() < 0.05:
                pool.drop_idle()
            pool.give(connection, clean=dice.random() < 0.9)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert not wrong
    assert pool.busy == 0
    assert len(connections.open_ones) == len(pool.idle) <= 5
    assert len([pool.take() for _ in range(5)]) == 5


@pytest.mark.parametrize("how", ["fresh", "alive"])
def test_one_dead_connection_takes_all_idle_ones_with_it(connections: Connections, how: str) -> None:
    pool = SharedPool(connections, 30, LONG)
    for each in [pool.take() for _ in range(24)]:
        pool.give(each, clean=True)
        setattr(each, how, False)
    new = pool.take()
    assert new.open
    assert len(connections.made) == 25
    assert connections.open_ones == [new]
    assert pool.busy == 1


def test_a_claim_finds_a_dead_connection_too(connections: Connections) -> None:
    pool = SharedPool(connections, 3, LONG)
    for each in [pool.take(), pool.take()]:
        pool.give(each, clean=True)
        each.fresh = False
    assert pool.claim() is None
    assert not connections.open_ones
    assert pool.busy == 0


def test_a_connection_in_use_while_the_pool_is_closed_is_closed_when_it_is_given_back(
    connections: Connections,
) -> None:
    pool = SharedPool(connections, 3, LONG)
    idle, used = pool.take(), pool.take()
    pool.give(idle, clean=True)
    pool.drop()
    assert (idle.open, used.open) == (False, True)
    pool.give(used, clean=True)
    assert not used.open
    assert pool.busy == 0
    pool.give(used, clean=True)  # once more does no harm
    assert (pool.busy, pool.idle) == (0, [])


def test_one_that_is_in_use_while_the_idle_ones_are_dropped_stays_if_it_was_answered(
    connections: Connections,
) -> None:
    pool = SharedPool(connections, 3, LONG)
    used = pool.take()
    pool.drop_idle()
    pool.give(used, clean=True)
    assert pool.take() is used


def test_the_end_of_a_retired_pool_is_told_once(connections: Connections) -> None:
    pool = SharedPool(connections, 1, LONG)
    ends: list[int] = []
    used = pool.take()
    waiting = threading.Thread(target=lambda: pool.give(pool.take(), clean=True))
    waiting.start()
    in_line(pool, 1)
    pool.retire(lambda: ends.append(1))
    assert not ends
    pool.give(used, clean=True)
    waiting.join(LONG)
    assert ends == [1]
    assert not connections.open_ones


def test_a_host_that_cannot_be_reached_takes_no_place(connections: Connections) -> None:
    pool = SharedPool(connections, 1, LONG)
    connections.fails = OSError("no")
    for _ in range(3):
        with pytest.raises(OSError, match="no"):
            pool.take()
    connections.fails = None
    assert pool.take().open


def test_another_thread_can_end_a_wait(connections: Connections) -> None:
    pool = SharedPool(connections, 1, None)
    taken = pool.take()
    turn = Turn()
    ended: list[Any] = []

    def work() -> None:
        with pytest.raises(Exhausted) as caught:
            pool.take(turn)
        ended.append(caught.value)

    thread = threading.Thread(target=work)
    thread.start()
    in_line(pool, 1)
    turn.give_up()
    thread.join(LONG)
    assert len(ended) == 1
    pool.give(taken, clean=True)
    assert pool.take() is taken


def test_a_lent_connection_is_shut_only_by_whom_it_belongs_to(connections: Connections) -> None:
    pool = SharedPool(connections, 2, LONG)
    shut: list[Connection] = []
    loan = Loan(pool, shut.append)
    connection = loan.take(Turn())
    loan.interrupt()
    assert shut == [connection]
    loan.give_back()
    assert not connection.open  # whatever was read on it
    loan = Loan(pool, shut.append)
    connection = loan.take(Turn())
    loan.give_back()
    loan.interrupt()
    assert connection not in shut
    assert pool.take() is connection


def test_an_interrupted_shut_leaves_the_connection_to_its_user(connections: Connections) -> None:
    pool = SharedPool(connections, 2, LONG)

    def shut(connection: Connection) -> None:
        loan.give_back()  # the other thread is done just now
        assert connection.open

    loan: Loan[Connection] = Loan(pool, shut)
    connection = loan.take(Turn())
    loan.interrupt()
    assert not connection.open
    assert pool.busy == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_child_forgets_all_and_waits_for_nothing(connections: Connections) -> None:
    pool = SharedPool(connections, 2, LONG)
    idle, used = pool.take(), pool.take()
    pool.give(idle, clean=True)
    waiting = [threading.Thread(target=lambda: pool.give(pool.take(), clean=True)) for _ in range(2)]
    child = os.fork()
    if child == 0:
        try:
            fine = connections.forgotten == [idle] and idle.open
            new = pool.take()
            pool.give(used, clean=True)
            fine = fine and new not in (idle, used) and pool.busy == 1 and not pool.idle
            os._exit(0 if fine else 1)
        except BaseException:
            os._exit(2)
    for thread in waiting:
        thread.start()
    assert os.waitpid(child, 0)[1] == 0
    pool.give(used, clean=True)
    for thread in waiting:
        thread.join(LONG)
    assert pool.busy == 0


# Interrupts ----------------------------------------------------------------------------------------------------------


@contextmanager
def rings(handler: Any) -> Iterator[None]:
    """Call a handler a thousand times a second."""
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Interrupted(BaseException):
    pass


def interrupt(*_: object) -> None:
    raise Interrupted


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_a_handler_that_raises_anywhere_takes_no_place_for_good(connections: Connections) -> None:
    connections.made = deque(maxlen=0)  # nobody but the pool and its users keeps them
    pool = SharedPool(connections, 3, 0.002)
    stop = threading.Event()
    wrong: list[Any] = []

    def work(rounds: int) -> int:
        interrupts = 0
        for _ in range(rounds):
            try:
                connection = pool.take()
                try:
                    if connection.user is not None:
                        wrong.append(connection)
                    connection.user = threading.get_ident()
                    connection.user = None
                finally:
                    pool.give(connection, clean=True)
            except Interrupted:
                interrupts += 1
            except Exhausted:
                pass
        return interrupts

    def others() -> None:
        while not stop.is_set():
            work(10)

    threads = [threading.Thread(target=others) for _ in range(4)]
    for thread in threads:
        thread.start()
    interrupts = 0
    while interrupts < 1000:
        try:
            with rings(interrupt):
                while interrupts < 1000:
                    interrupts += work(1)
        except Interrupted:
            interrupts += 1
    stop.set()
    for thread in threads:
        thread.join(LONG)
    gc.collect()
    assert not wrong
    assert pool.busy == 0
    assert len([pool.take() for _ in range(3)]) == 3


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
@pytest.mark.parametrize("size", [1, 4])
def test_handlers_and_finalizers_use_the_pool_in_the_middle_of_itself(
    connections: Connections, size: int
) -> None:
    pool = SharedPool(connections, size, 0.0005)
    used = [0, 0]

    def use(which: int) -> None:
        try:
            connection = pool.take()
        except Exhausted:
            return
        used[which] += 1
        pool.give(connection, clean=used[which] % 7 != 0)

    class Finalized:
        def __init__(self) -> None:
            self.me = self  # so it is for the collector

        def __del__(self) -> None:
            use(1)

    rounds = 0
    with rings(lambda *_: use(0)):
        while used[0] < 300 or used[1] < 300:
            Finalized()
            use(0)
            rounds += 1
            if rounds % 50 == 0:
                gc.collect()
    gc.collect()
    assert pool.busy == 0


def test_a_bell_rings_twice_without_harm() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    assert bell.wait(0)
    assert not bell.wait(0)
