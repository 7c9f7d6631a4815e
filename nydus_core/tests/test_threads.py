"""The pool of threads, and the timer that rings alarms."""

from __future__ import annotations

import contextvars
import functools
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest

from interrupting import Interrupts
from nydus_core import ReentrantCall
from nydus_core.threads import Alarm, Bell, Future, Lock, in_thread, set_alarm, start, timer, workers
from waiting import LONG, TooShort, long_enough, until

SOON = 0.02


def now() -> float:
    return time.monotonic()


def soon_enough(scenario: Callable[[float], None]) -> None:
    """Run a scenario whose alarms ring soon, but not before all of them are set."""
    long_enough(scenario, SOON)


def before(when: float) -> None:
    """Say that a time came too soon if it has come."""
    if now() >= when:
        raise TooShort


def timers() -> set[threading.Thread]:
    """The threads of timers, which no other thread of this process is."""
    return {thread for thread in threading.enumerate() if thread.name == "nydus-timer"}


# Alarms --------------------------------------------------------------------------------------------------------


def test_an_alarm_rings_at_its_time_in_another_thread() -> None:
    rung: list[tuple[float, int]] = []
    bell = threading.Event()
    when = now() + SOON

    def ring() -> None:
        rung.append((now(), threading.get_ident()))
        bell.set()

    set_alarm(when, ring)
    assert bell.wait(LONG)
    [(time_, thread)] = rung
    assert time_ >= when
    assert thread != threading.get_ident()


def test_an_alarm_whose_time_has_passed_rings_at_once() -> None:
    bell = threading.Event()
    set_alarm(now() - 5, bell.set)
    assert bell.wait(LONG)


def test_a_cancelled_alarm_never_rings() -> None:
    @soon_enough
    def scenario(soon: float) -> None:
        rung: list[str] = []
        bell = threading.Event()
        when = now() + soon
        alarm = set_alarm(when, lambda: rung.append("cancelled"))
        alarm.cancel()
        alarm.cancel()  # does nothing the second time
        before(when)
        set_alarm(when + SOON, bell.set)
        assert bell.wait(LONG)
        assert rung == []


def test_an_alarm_is_cancelled_at_the_end_of_its_block() -> None:
    @soon_enough
    def scenario(soon: float) -> None:
        rung: list[str] = []
        bell = threading.Event()
        when = now() + soon
        with set_alarm(when, lambda: rung.append("late")):
            pass
        before(when)
        set_alarm(when + SOON, bell.set)
        assert bell.wait(LONG)
        assert rung == []


def test_an_alarm_rings_once_however_many_ring_it() -> None:
    rung: list[int] = []
    alarm = Alarm(0.0, lambda: rung.append(1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: alarm.ring(), range(20)))
    assert rung == [1]


def test_cancelling_waits_for_a_call_that_has_begun() -> None:
    begun, go_on = threading.Event(), threading.Event()
    done: list[str] = []

    def call() -> None:
        begun.set()
        go_on.wait(LONG)
        done.append("call")

    alarm = set_alarm(now(), call)
    assert begun.wait(LONG)

    def cancel() -> None:
        alarm.cancel()
        done.append("cancel")

    canceller = threading.Thread(target=cancel)
    canceller.start()
    canceller.join(0.05)
    assert canceller.is_alive()
    go_on.set()
    canceller.join(LONG)
    assert done == ["call", "cancel"]


def test_alarms_ring_by_their_time_and_not_by_when_they_were_set() -> None:
    @soon_enough
    def scenario(soon: float) -> None:
        order: list[int] = []
        bells = [threading.Event() for _ in range(4)]
        start = now() + soon

        def ring(place: int) -> None:
            order.append(place)
            bells[place].set()

        for place in (2, 0, 3, 1):
            set_alarm(start + place * SOON, functools.partial(ring, place))
        before(start)
        assert all(bell.wait(LONG) for bell in bells)
        if sorted(order) != order and now() > start + 30 * SOON:
            raise TooShort  # several were due at once
        assert order == [0, 1, 2, 3]


def test_an_earlier_alarm_does_not_wait_for_a_later_one() -> None:
    bell = threading.Event()
    with set_alarm(now() + 3600, lambda: None):
        set_alarm(now() + SOON, bell.set)
        assert bell.wait(LONG)


def test_an_alarm_that_fails_is_logged_and_keeps_no_other_from_ringing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    bell = threading.Event()
    set_alarm(now(), fail)
    set_alarm(now() + SOON, bell.set)
    assert bell.wait(LONG)
    assert "an alarm failed" in caplog.text


def test_an_alarm_may_set_another() -> None:
    bell = threading.Event()
    set_alarm(now(), lambda: set_alarm(now() + SOON, bell.set))
    assert bell.wait(LONG)


def test_many_alarms_of_many_threads_all_ring_or_are_cancelled() -> None:
    each = 500

    @soon_enough
    def scenario(soon: float) -> None:
        rung: list[int] = []

        def some(thread: int) -> None:
            for number in range(each):
                when = now() + soon
                alarm = set_alarm(when, functools.partial(rung.append, number))
                if number % 2:
                    alarm.cancel()
                    before(when)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(some, range(8)))
        until(lambda: len(rung) >= 8 * each // 2)
        assert sorted(rung) == sorted(8 * list(range(0, each, 2)))


def test_all_alarms_share_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "_timer", timer.Timer())
    before = timers()
    with set_alarm(now() + 3600, lambda: None), set_alarm(now() + 3600, lambda: None):
        assert len(timers() - before) == 1


def test_a_timer_that_had_no_thread_once_rings_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timer, "_timer", timer.Timer())

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            set_alarm(now() + SOON, lambda: None)
    bell = threading.Event()
    set_alarm(now() + SOON, bell.set)
    assert bell.wait(LONG)


def test_an_alarm_that_takes_long_keeps_no_other_from_ringing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The collector may run any finalizer in the timer's thread, and the finalizer may wait for a host that hangs."""
    monkeypatch.setattr(timer, "_timer", timer.Timer())
    begun, go_on, bell = threading.Event(), threading.Event(), threading.Event()

    def stick() -> None:
        begun.set()
        go_on.wait(LONG)

    set_alarm(now(), stick)
    assert begun.wait(LONG)
    inherited = threading.Event()
    set_alarm(now() + SOON, inherited.set)  # too early to see that the thread is stuck
    time.sleep(timer._LONG + SOON)
    set_alarm(now() + SOON, bell.set)
    assert bell.wait(LONG)
    assert inherited.wait(LONG)
    go_on.set()
    again = threading.Event()
    set_alarm(now() + SOON, again.set)
    assert again.wait(LONG)


# The pool ------------------------------------------------------------------------------------------------------


@pytest.fixture
def fresh_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pool of this test alone."""
    monkeypatch.setattr(workers, "_workers", workers.Workers())


def test_a_job_runs_in_another_thread_and_its_future_has_what_it_returned() -> None:
    future = in_thread(threading.get_ident)
    assert future is not None
    assert future.result(LONG) != threading.get_ident()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
def test_the_future_has_what_the_job_raised_whatever_that_is(error: BaseException) -> None:
    def fail() -> None:
        raise error

    future = in_thread(fail)
    assert future is not None
    assert future.exception(LONG) is error


def test_a_job_sees_the_context_of_its_caller_and_leaves_it_alone() -> None:
    number = contextvars.ContextVar("number", default=0)
    number.set(5)

    def look() -> int:
        found = number.get()
        number.set(6)
        return found

    future = in_thread(look)
    assert future is not None
    assert future.result(LONG) == 5
    assert number.get() == 5


def test_more_jobs_than_threads_are_all_done(fresh_pool: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "MOST_THREADS", 2)
    futures = [in_thread(lambda number=number: number) for number in range(20)]  # type: ignore[misc]
    assert [future.result(LONG) for future in futures if future] == list(range(20))


def test_where_no_thread_can_be_had_there_is_no_future(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert in_thread(lambda: 1) is None


def test_a_job_for_which_no_thread_can_be_had_is_not_done_later_by_another(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def job() -> None:
        begun.set()
        go_on.wait(LONG)

    busy = in_thread(job)
    assert busy is not None
    assert begun.wait(LONG)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        future = in_thread(lambda: done.append("by the pool"))  # the pool has it in its queue by now
    if future is None:
        done.append("by the caller")
    go_on.set()
    last = in_thread(lambda: None)
    assert last is not None
    last.result(LONG)
    if future is not None:
        future.result(LONG)
    assert len(done) == 1


def test_a_host_that_hangs_takes_no_threads_from_the_others(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_FOR_A_HOST", 3)
    sick, well = object(), object()
    go_on, done = threading.Event(), []

    def hang(number: int) -> None:
        go_on.wait(LONG)
        done.append(number)

    def begin(host: object, job: Callable[[], object], **how: Any) -> Future[object] | None:
        future: Future[object] = Future()
        return future if start(future, job, host=host, **how) else None

    hung = [begin(sick, functools.partial(hang, number)) for number in range(10)]
    until(lambda: workers._workers.busy == 3)
    assert begin(sick, lambda: None, in_line=False) is None
    other = begin(well, lambda: "well")
    assert other is not None
    assert other.result(LONG) == "well"
    assert workers._workers.busy == 3
    withdrawn = hung.pop()
    assert withdrawn is not None
    assert withdrawn.cancel()  # it waits in line, so it is never begun
    go_on.set()
    for future in hung:
        assert future is not None
        future.result(LONG)
    assert sorted(done) == list(range(9))
    until(lambda: not workers._workers._lines)


def test_only_the_first_part_of_a_job_counts_for_its_host(
    fresh_pool: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "MOST_FOR_A_HOST", 1)
    host, go_on = object(), threading.Event()
    futures: list[Future[object]] = [Future() for _ in range(3)]
    begun: list[int] = []
    for number, future in enumerate(futures):
        first = functools.partial(begun.append, number)
        assert start(future, lambda: go_on.wait(LONG), host=host, first=first)
    until(lambda: begun == [0, 1, 2])  # each begins when the one before has done its first part
    go_on.set()
    assert [future.result(LONG) for future in futures] == [True] * 3


# Locks ---------------------------------------------------------------------------------------------------------


def test_a_thread_that_has_a_lock_is_refused_and_others_wait() -> None:
    lock, entered = Lock("the work is being done"), threading.Event()

    def work() -> None:
        with lock.alone():
            entered.set()

    other = threading.Thread(target=work)
    with lock.alone():
        with pytest.raises(ReentrantCall, match=r"^the work is being done: a signal handler or finalizer"):
            lock.alone()
        with lock.again():
            other.start()
            assert not entered.wait(0.05)
    other.join(LONG)
    assert entered.is_set()
    with lock.alone():
        """It is free again."""


# The end of Python ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("used", [False, True])
def test_a_finalizer_at_the_very_end_waits_for_no_thread(used: bool) -> None:
    program = f"""
        import builtins, time
        from nydus_core.threads import in_thread, set_alarm
        class Last:
            def __del__(self):
                print(in_thread(int))
                try:
                    set_alarm(time.monotonic(), int)
                except RuntimeError as error:
                    print(error)
        builtins.last = Last()
        if {used}:
            in_thread(int).result()
            set_alarm(time.monotonic(), int)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, timeout=LONG, check=True, capture_output=True, text=True)
    assert done.stdout == "None\nno thread runs any more: Python is ending\n"


# Forks ---------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_has_threads_and_a_timer_of_its_own_and_none_of_the_alarms() -> None:
    program = """
        import os, sys, threading, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from nydus_core.threads import in_thread, set_alarm
        rung = []
        in_thread(lambda: None).result()
        inherited = set_alarm(time.monotonic() + 0.1, lambda: rung.append(os.getpid()))
        child = os.fork()
        if not child:
            bell = threading.Event()
            own = in_thread(lambda: 7).result() == 7
            set_alarm(time.monotonic() + 0.3, bell.set)
            inherited.cancel()
            os._exit(0 if own and bell.wait() and os.getpid() not in rung else 1)
        status = os.waitpid(child, 0)[1]
        while not rung:
            time.sleep(0.01)
        sys.exit(status or rung != [os.getpid()])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], timeout=LONG, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("seconds", [1000.0, 0.01])
def test_an_interrupt_on_the_way_into_the_timer_leaves_it_unlocked(seconds: float) -> None:
    """Raised wherever Python code of the standard library returns, where a Ctrl-C may be seen."""

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        if event == "return" and frame.f_code.co_filename == threading.__file__:
            raise KeyboardInterrupt
        return trace

    set_alarm(now() + 2000, print).cancel()  # the timer has its thread
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        set_alarm(now() + seconds, print).cancel()
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)
    bell = threading.Event()
    threading.Thread(target=lambda: set_alarm(now(), bell.set), daemon=True).start()
    assert bell.wait(LONG)


def _interrupted_at(step: int) -> bool:
    """Wait for a job, and interrupt that at one step. The job must end all the same. Return whether the step was reached."""
    future: Future[int] = Future()
    begun, go_on, over = Bell(), Bell(), Bell()

    def job() -> None:
        future.begin()
        begun.ring()
        go_on.wait(LONG)
        future.set_result(1)
        over.ring()

    thread = threading.Thread(target=job)
    thread.start()
    assert begun.wait(LONG)
    interrupts = Interrupts(step, "nydus_core.threads", "concurrent.futures", "threading")
    with suppress(KeyboardInterrupt), interrupts:
        future.wait(0.0001)
        future.cancel()
        future.add_done_callback(lambda _: None)
        go_on.ring()
        future.result()
    go_on.ring()
    assert over.wait(LONG), f"interrupted at step {step}, the thread cannot end"
    thread.join(LONG)
    assert future.result(LONG) == 1
    return interrupts.struck


def test_an_interrupt_of_who_waits_for_a_job_does_not_keep_the_job_from_its_end() -> None:
    step = 0
    while _interrupted_at(step):
        step += 1
    assert step > 50


def test_a_future_is_cancelled_or_done_and_says_which() -> None:
    cancelled: Future[int] = Future()
    told: list[Future[int]] = []
    cancelled.add_done_callback(told.append)
    assert not cancelled.done()
    assert cancelled.cancel()
    assert cancelled.cancel()
    assert not cancelled.begin()
    assert cancelled.done()
    assert cancelled.wait()
    with pytest.raises(RuntimeError, match="was cancelled"):
        cancelled.result()
    done: Future[int] = Future()
    assert done.begin()
    assert not done.cancel()
    assert not done.wait(0)
    with pytest.raises(TimeoutError, match="not over after 0 seconds"):
        done.result(0)
    done.set_result(1)
    assert not done.cancel()
    done.add_done_callback(told.append)
    assert told == [cancelled, done]
    here: Future[int] = Future()
    here.set_exception(ValueError("no"))  # nobody had to begin it
    assert not here.cancel()
    with pytest.raises(ValueError, match="no"):
        here.result()


def test_a_callback_that_fails_is_logged_and_keeps_no_other_from_being_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    future: Future[int] = Future()
    told: list[object] = []
    future.add_done_callback(lambda _: 1 // 0)
    future.add_done_callback(told.append)
    future.set_result(1)
    assert told == [future]
    assert "at the end of a job has failed" in caplog.text


def test_threads_without_work_end(fresh_pool: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "IDLE", 0.05)
    together = threading.Barrier(5)

    def job() -> threading.Thread:
        together.wait(LONG)
        return threading.current_thread()

    futures = [in_thread(job) for _ in range(5)]
    used = {future.result(LONG) for future in futures if future is not None}
    assert len(used) == 5
    until(lambda: not any(thread.is_alive() for thread in used))
    future = in_thread(lambda: "done")
    assert future is not None
    assert future.result(LONG) == "done"
