"""The threads of this process: a pool for jobs that wait, and a timer that rings alarms.

Neither starts a thread before its first use. A child process starts threads of its own.
"""

from __future__ import annotations

import contextvars
import logging
import math
import os
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, Self, TypeVar

__all__ = ["Alarm", "Renewable", "in_thread", "renew_after_fork", "set_alarm", "start"]

T = TypeVar("T")

logger = logging.getLogger("nydus")

#: The most threads of the pool. Further jobs wait until a thread is free.
MOST_THREADS = 256
#: Seconds after which a thread without a job ends.
IDLE = 10.0


def in_thread(job: Callable[[], T]) -> Future[T] | None:
    """Run a job in a thread of the pool, in the context of the caller.

    Parameters:
        job: The function to call.

    Returns:
        The future of the job; None if no thread can be started, as when Python ends.
    """
    future: Future[T] = Future()
    return future if start(future, job) else None


def start(future: Future[T], job: Callable[[], T]) -> bool:
    """Run a job in a thread of the pool, in the context of the caller, for a future that the caller already has.

    A caller that is interrupted in here can still cancel the job, or wait for its end.

    Parameters:
        future: The future that takes the result. If it is cancelled before the job begins, the job is not done.
        job: The function to call.

    Returns:
        False if no thread can be started: then the job is not done.
    """
    context = contextvars.copy_context()
    return _pool.take(lambda: _fill(future, context, job))


def _fill(future: Future[T], context: contextvars.Context, job: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = context.run(job)
    except BaseException as error:
        future.set_exception(error)
        del future  # the error refers to this frame: no circle
    else:
        future.set_result(value)


class _Pool:
    """Threads that do jobs, as many as are needed at once.

    A program that ends does not wait for them, as it would for a ``ThreadPoolExecutor``: a job may hang, long after
    its caller has given up.
    """

    def __init__(self) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._spare = 0  # threads that wait for a job, less the jobs that wait for a thread

    def take(self, job: Callable[[], None]) -> bool:
        """Give a job to a thread; return False if no thread can be started."""
        with self._lock:
            if self._spare > 0 or self._threads == MOST_THREADS:
                self._spare -= 1
            else:
                name = f"nydus_{self._threads}"
                try:
                    threading.Thread(target=self._run, name=name, daemon=True).start()
                except RuntimeError:
                    return False
                self._threads += 1
            self._jobs.put(job)
        return True

    def _run(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=IDLE)
            except Empty:
                if self._may_end():
                    return
                continue
            job()
            del job
            with self._lock:
                self._spare += 1

    def _may_end(self) -> bool:
        """Tell whether a thread that has waited in vain may end."""
        with self._lock:
            if self._spare <= 0:  # a job is on its way
                return False
            self._spare -= 1
            self._threads -= 1
            return True


def set_alarm(when: float, call: Callable[[], object]) -> Alarm:
    """Call a function at a time, in the timer's thread, unless the alarm is cancelled before.

    Parameters:
        when: The time, on the clock of ``time.monotonic``.
        call: The function. It should be quick, for all alarms share a thread.

    Returns:
        The alarm. As a context manager it is cancelled at the end of the block.

    Raises:
        RuntimeError: The thread of the timer cannot be started.
    """
    return _timer.set(Alarm(when, call))


class Alarm:
    """A function to be called at a time. Made by ``set_alarm``."""

    __slots__ = ("_call", "_lock", "_over", "when")

    def __init__(self, when: float, call: Callable[[], object]) -> None:
        self.when = when
        self._call = call
        self._lock = threading.Lock()
        self._over = False

    def cancel(self) -> None:
        """Prevent the call. If the call has begun, wait for its end."""
        _timer.forget(self)
        with self._lock:
            self._over = True

    def ring(self) -> None:
        """Call the function, unless the alarm was cancelled or has rung."""
        with self._lock:
            if self._over:
                return
            self._over = True
            try:
                self._call()
            except Exception:
                logger.exception("an alarm failed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()


class _Timer:
    """Rings alarms.

    Nearly all alarms are cancelled long before their time, so they are kept unsorted: setting and cancelling
    costs next to nothing, and the thread looks through all alarms when the earliest may be due.
    """

    def __init__(self) -> None:
        self._alarms: set[Alarm] = set()
        # Callers take the lock, not the Condition: a Ctrl-C on the way into its Python code would leave the
        # lock taken
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._wakes = math.inf
        self._thread: threading.Thread | None = None

    def set(self, alarm: Alarm) -> Alarm:
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="nydus-timer", daemon=True)
                thread.start()
                self._thread = thread  # not before: start() may fail
            self._alarms.add(alarm)
            if alarm.when < self._wakes:
                self._changed.notify()
        return alarm

    def forget(self, alarm: Alarm) -> None:
        with self._lock:
            self._alarms.discard(alarm)

    def _run(self) -> None:
        while True:
            for alarm in self._wait():
                alarm.ring()

    def _wait(self) -> list[Alarm]:
        """Wait until some alarms are due; return them."""
        with self._changed:
            while True:
                now = time.monotonic()
                due = [alarm for alarm in self._alarms if alarm.when <= now]
                if due:
                    self._alarms.difference_update(due)
                    return due
                self._wakes = min((alarm.when for alarm in self._alarms), default=math.inf)
                self._changed.wait(min(self._wakes - now, threading.TIMEOUT_MAX))


_pool = _Pool()
_timer = _Timer()


class Renewable(Protocol):
    """An object with locks, connections or alarms that are of no use after a fork."""

    def after_fork(self) -> None:
        """Become usable in a child process, where no thread of the parent runs."""
        ...


_renewable: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_after_fork(thing: Renewable) -> None:
    """Have ``thing.after_fork()`` called at the start of child processes, as long as ``thing`` is in use."""
    _renewable.add(thing)


def _after_fork() -> None:
    """Begin anew in a child process: the fork has copied the objects, but not the threads."""
    global _pool, _timer
    _pool, _timer = _Pool(), _Timer()
    for thing in list(_renewable):
        thing.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
