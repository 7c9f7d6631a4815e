"""The breaker of one host, on a clock and with dice of the test's own. Nothing is sent here."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nydus_core.health.breaker import Breaker, BreakerSettings, HostHealth, State

GONE = ConnectionRefusedError(111, "Connection refused")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker_of(clock: Clock) -> Callable[..., Breaker]:
    """``breaker_of(failures=3, chance=1.0)``"""

    def make(chance: float = 1.0, **settings: Any) -> Breaker:
        return Breaker(BreakerSettings(**settings), clock, lambda: chance)

    return make


def failing(breaker: Breaker, times: int = 1) -> list[bool]:
    return [breaker.failed(GONE) for _ in range(times)]


# Opening -------------------------------------------------------------------------------------------------------


def test_a_new_breaker_is_closed_and_has_nothing_to_remember(breaker_of: Any) -> None:
    breaker = breaker_of()
    assert breaker.closed
    assert breaker.pristine
    assert breaker.due is None


def test_failures_in_a_row_open_it(breaker_of: Any) -> None:
    breaker = breaker_of(failures=3)
    assert failing(breaker, 3) == [False, False, True]
    assert not breaker.closed


def test_misses_of_hasty_callers_count_by_the_time_they_take_together(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=2)
    opened = []
    for _ in range(
        7
    ):  # 0.02 s apart: the fourth comes 0.06 s after the first, the seventh as long after the fourth
        opened.append(breaker.missed(GONE))
        clock.now += 0.02
    assert opened == [False] * 6 + [True]
    assert breaker.report().failures == 2


def test_many_misses_at_one_time_count_once_at_most(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=2)
    assert not any(breaker.missed(GONE) for _ in range(100))
    clock.now += 0.06
    assert not any(breaker.missed(GONE) for _ in range(100))
    assert breaker.report().failures == 1


def test_an_answer_between_two_misses_begins_the_count_anew(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=1)
    for _ in range(20):
        clock.now += 0.04
        assert not breaker.missed(GONE)
        assert not breaker.pristine
        breaker.succeeded()


def test_by_default_five_failures_in_a_row_open_it(breaker_of: Any) -> None:
    assert failing(breaker_of(), 5) == [False, False, False, False, True]


def test_an_answer_in_between_starts_the_row_again(breaker_of: Any) -> None:
    breaker = breaker_of(failures=3)
    for _ in range(5):
        assert failing(breaker, 2) == [False, False]
        breaker.succeeded()
    assert breaker.closed


def test_that_it_opened_is_said_once(breaker_of: Any) -> None:
    breaker = breaker_of(failures=1)
    assert failing(breaker, 3) == [True, False, False]


def test_a_share_of_failures_opens_it_once_there_were_enough_calls(breaker_of: Any) -> None:
    breaker = breaker_of(failures=100, rate=0.5, calls=10)
    for _ in range(4):
        assert failing(breaker) == [False]
        breaker.succeeded()
    assert failing(breaker) == [False]  # 5 of 9: too few to tell
    assert failing(breaker) == [True]  # 6 of 10


def test_a_smaller_share_leaves_it_closed(breaker_of: Any) -> None:
    breaker = breaker_of(failures=100, rate=0.5, calls=10)
    for _ in range(100):
        assert failing(breaker) == [False]
        breaker.succeeded()
        breaker.succeeded()
    assert breaker.closed


def test_the_share_is_taken_of_a_window(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=100, rate=0.5, calls=10, window=10.0)
    failing(breaker, 9)
    clock.now += 10.1
    assert failing(breaker) == [False]  # the first of another window
    assert failing(breaker, 9)[-1]


def test_failures_in_a_row_count_however_far_apart(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=3, window=1.0)
    opened = []
    for _ in range(3):
        opened += failing(breaker)
        clock.now += 60
    assert opened == [False, False, True]


def test_a_window_without_further_failures_is_forgotten(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(window=10.0)
    failing(breaker)
    breaker.succeeded()
    assert not breaker.pristine
    clock.now += 10.1
    breaker.succeeded()
    assert breaker.pristine
    assert breaker.report().cause == ""


def test_successes_of_a_well_host_are_not_counted(breaker_of: Any) -> None:
    breaker = breaker_of(failures=100, rate=0.5, calls=10)
    for _ in range(1000):
        breaker.succeeded()
    assert breaker.pristine
    assert failing(breaker, 10)[-1]  # 10 of 10, not of 1010: such successes need not be told at all


def test_it_can_be_tripped_whatever_the_count(breaker_of: Any) -> None:
    breaker = breaker_of()
    assert breaker.trip(GONE)
    assert not breaker.closed
    assert breaker.due is not None
    assert not breaker.trip(GONE)


# Probes --------------------------------------------------------------------------------------------------------


def opened(breaker: Breaker) -> Breaker:
    assert breaker.trip(GONE)
    return breaker


@pytest.mark.parametrize(("chance", "wait"), [(0.0, 0.1), (0.5, 0.15), (1.0, 0.2)])
def test_a_probe_is_planned_half_at_random(breaker_of: Any, clock: Clock, chance: float, wait: float) -> None:
    breaker = opened(breaker_of(chance=chance, backoff=0.2))
    assert breaker.due == pytest.approx(clock.now + wait)


def test_the_wait_is_doubled_by_each_probe_that_fails_up_to_a_limit(breaker_of: Any, clock: Clock) -> None:
    breaker = opened(breaker_of(backoff=0.2, most=1.0))
    waits = []
    for _ in range(6):
        assert breaker.due is not None
        waits.append(breaker.due - clock.now)
        clock.now = breaker.due
        assert breaker.begin_probe()
        breaker.probe_failed(GONE)
    assert waits == pytest.approx([0.2, 0.4, 0.8, 1.0, 1.0, 1.0])


def test_any_number_of_probes_has_a_wait(breaker_of: Any, clock: Clock) -> None:
    breaker = opened(breaker_of(most=10.0))
    for _ in range(2000):
        breaker.begin_probe()
        breaker.probe_failed(GONE)
    assert breaker.due == pytest.approx(clock.now + 10)


def test_there_is_one_probe_at_a_time(breaker_of: Any) -> None:
    breaker = opened(breaker_of())
    assert breaker.begin_probe()
    assert breaker.report().state is State.HALF_OPEN
    assert not breaker.begin_probe()
    assert breaker.due is None
    assert not breaker.closed


def test_there_is_one_probe_however_many_threads_ask(breaker_of: Any) -> None:
    breaker = opened(breaker_of())
    together = threading.Barrier(8)

    def ask(_: int) -> bool:
        together.wait()
        return breaker.begin_probe()

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(ask, range(8))) == 1


def test_a_closed_breaker_has_no_probe(breaker_of: Any) -> None:
    breaker = breaker_of()
    assert not breaker.begin_probe()
    breaker.probe_failed(GONE)  # late: somebody has closed it meanwhile
    assert breaker.closed
    assert breaker.pristine


def test_closing_forgets_all_failures(breaker_of: Any, clock: Clock) -> None:
    breaker = opened(breaker_of(failures=2))
    breaker.begin_probe()
    breaker.probe_failed(GONE)
    breaker.begin_probe()
    breaker.close()
    assert breaker.closed
    assert breaker.pristine
    assert failing(breaker, 2) == [False, True]
    assert breaker.due == pytest.approx(clock.now + 0.2)  # as for the first time


@pytest.mark.parametrize("probing", [False, True])
def test_what_commands_tell_of_a_host_that_is_down_changes_nothing(breaker_of: Any, probing: bool) -> None:
    breaker = opened(breaker_of())
    if probing:
        breaker.begin_probe()
    before = breaker.report()
    breaker.succeeded()  # it was on its way when the breaker opened
    assert not breaker.failed(GONE)
    assert not breaker.trip(GONE)
    assert breaker.report() == before


# What is known -------------------------------------------------------------------------------------------------


def test_a_report_tells_state_failures_cause_and_times(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(failures=2, backoff=0.2)
    assert breaker.report() == HostHealth(State.CLOSED, 0, "", 0.0, None)
    clock.now += 5
    failing(breaker)
    cause = "ConnectionRefusedError: [Errno 111] Connection refused"
    assert breaker.report() == HostHealth(State.CLOSED, 1, cause, 5.0, None)
    failing(breaker)
    clock.now += 0.05
    report = breaker.report()
    assert (report.state, report.failures, report.cause) == (State.OPEN, 2, cause)
    assert report.seconds == pytest.approx(0.05)
    assert report.next_probe == pytest.approx(0.15)
    clock.now += 7  # a probe that is late is not due in the past
    assert breaker.report().next_probe == 0.0
    breaker.begin_probe()
    assert breaker.report().state is State.HALF_OPEN
    assert breaker.report().seconds == 0.0
    breaker.probe_failed(TimeoutError("slow"))
    assert breaker.report().failures == 3
    assert breaker.report().cause == "TimeoutError: slow"


def test_a_host_that_stayed_well_is_so_for_as_long_as_it_was(breaker_of: Any, clock: Clock) -> None:
    breaker = breaker_of(window=10.0)
    failing(breaker)
    clock.now += 60
    breaker.succeeded()  # which forgets the failure
    assert breaker.report() == HostHealth(State.CLOSED, 0, "", 60.0, None)


def test_a_cause_is_kept_as_text_and_keeps_no_frames_alive(breaker_of: Any) -> None:
    breaker = breaker_of()
    failing(breaker)
    assert isinstance(breaker.report().cause, str)


# Forks ---------------------------------------------------------------------------------------------------------


def test_in_a_child_nobody_makes_the_probe_that_the_parent_was_making(breaker_of: Any) -> None:
    breaker = opened(breaker_of())
    breaker.begin_probe()
    breaker.after_fork()
    assert breaker.report().state is State.OPEN
    assert breaker.due is not None


def test_in_a_child_nobody_holds_the_lock(breaker_of: Any) -> None:
    breaker = breaker_of(failures=1)
    breaker._lock.acquire()
    breaker.after_fork()
    assert breaker.failed(GONE)


def test_a_fork_leaves_a_closed_breaker_as_it_is(breaker_of: Any) -> None:
    breaker = breaker_of(failures=2)
    failing(breaker)
    breaker.after_fork()
    assert breaker.closed
    assert failing(breaker) == [True]
