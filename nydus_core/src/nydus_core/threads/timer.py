"""The timer of this process, which rings alarms in a thread of its own."""

from __future__ import annotations

import logging
import math
import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from nydus_core.threads.forks import era, refuse_eventlet
from nydus_core.threads.locks import Bell, Lock

__all__ = ["Alarm", "Timer", "set_alarm"]

logger = logging.getLogger("nydus")


def set_alarm(when: float, call: Callable[[], object]) -> Alarm:
    """Call a function at a time, in the timer's thread, unless the alarm is cancelled before.

    Parameters:
        when: The time, on the clock of ``time.monotonic``.
        call: The function. It should be quick, for all alarms share a thread.

    Returns:
        The alarm. As a context manager it is cancelled at the end of the block.

    Raises:
        RuntimeError: The thread of the timer cannot be started.
        ConfigError: The program has come to use eventlet.
    """
    global _timer
    if sys.is_finalizing():  # the thread there is will run no more, and on Python 3.11 start() hangs
        raise RuntimeError("no thread runs any more: Python is ending")
    timer = _timer
    if timer.era != era():
        refuse_eventlet()
        timer = _timer = Timer()
    return timer.set(Alarm(when, call, timer))


class Alarm:
    """A function to be called at a time. Made by ``set_alarm``."""

    __slots__ = ("_call", "_lock", "_over", "_timer", "when")

    def __init__(self, when: float, call: Callable[[], object], timer: Timer | None = None) -> None:
        self.when = when
        self._call = call
        self._timer = timer
        self._lock = threading.Lock()
        self._over = False

    def cancel(self) -> None:
        """Prevent the call. If the call has begun, wait for its end."""
        if self._timer is not None:
            self._timer.forget(self)
            if self._timer.era != era():
                self._over = True  # of the parent process: its thread may have had the lock during the fork
                return
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


class Timer:
    """Rings alarms.

    Nearly all alarms are cancelled long before their time, so they are kept unsorted: setting and cancelling costs next to
    nothing, and the thread looks through all alarms when the earliest may be due.

    Alarms are added to a set, taken from it, and copied with it. None of that can be interrupted, so it needs no lock.

    Attributes:
        era: The era (``forks.era``) in which it can be used.
    """

    def __init__(self) -> None:
        self.era = era()
        self._alarms: set[Alarm] = set()
        self._bell = Bell()
        self._wakes = math.inf
        self._starting = Lock("a thread is being started")
        self._thread: threading.Thread | None = None
        self._ringing: float | None = None  # since when the thread has been ringing an alarm

    def set(self, alarm: Alarm) -> Alarm:
        """Ring an alarm at its time.

        Raises:
            RuntimeError: The thread cannot be started.
        """
        if self._thread is None or self._is_stuck():
            self._start()
        self._alarms.add(alarm)
        if alarm.when < self._wakes:
            self._bell.ring()
        return alarm

    def _is_stuck(self) -> bool:
        """Tell whether ringing an alarm takes long: the collector may run any finalizer in the timer's thread."""
        since = self._ringing
        return since is not None and time.monotonic() - since > _LONG

    def _start(self) -> None:
        """Start a thread, which takes over from the one before."""
        with self._starting.again():
            if self._thread is not None and not self._is_stuck():
                return  # another caller has started it
            thread = threading.Thread(target=self._run, name="nydus-timer", daemon=True)
            before, self._thread = self._thread, thread
            self._ringing = None
            try:
                thread.start()
            except BaseException:
                self._thread = before
                raise

    def forget(self, alarm: Alarm) -> None:
        """Ring an alarm no more."""
        self._alarms.discard(alarm)

    def _run(self) -> None:
        thread = threading.current_thread()
        while self._thread is thread:
            # An alarm that is set from here on, and is not in the copy, rings the bell
            self._wakes = math.inf
            alarms = self._alarms.copy()
            now = time.monotonic()
            if not self._ring(thread, [alarm for alarm in alarms if alarm.when <= now]):
                break
            self._wakes = min((alarm.when for alarm in alarms if alarm.when > now), default=math.inf)
            self._bell.wait(max(0.0, self._wakes - time.monotonic()))
        self._bell.ring()  # for the thread that has taken over

    def _ring(self, thread: threading.Thread, due: list[Alarm]) -> bool:
        """Ring alarms; return False if another thread has taken over meanwhile."""
        for alarm in due:
            self._alarms.discard(alarm)
            self._ringing = time.monotonic()
            alarm.ring()
            if self._thread is not thread:
                return False
            self._ringing = None
        return True


#: Seconds that ringing an alarm may take before another thread rings the others.
_LONG = 0.1

_timer = Timer()
