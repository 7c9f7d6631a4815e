"""Locks that a signal handler cannot wait for in vain, and a bell that wakes one thread."""

from __future__ import annotations

import threading
from typing import Any

from nydus_core.errors import ReentrantCall
from nydus_core.threads.forks import era

__all__ = ["Bell", "Lock"]


class Lock:
    """A lock for work that may wait. Each process has its own, and so has a program that gevent has patched.

    ::

        with lock.alone():
            ...

    Parameters:
        busy: The error for a thread that has the lock already, and comes again: a signal handler or a finalizer that
            interrupts the work.
    """

    __slots__ = ("_busy", "_by_era")

    def __init__(self, busy: str) -> None:
        self._busy = busy
        self._by_era: dict[Any, Any] = {}

    def alone(self) -> Any:
        """Return a context manager that holds the lock.

        Raises:
            ReentrantCall: This very thread holds it already: it would wait for itself.
        """
        lock = self.again()
        if lock._is_owned():
            raise ReentrantCall(f"{self._busy}: a signal handler or finalizer came in between")
        return lock

    def again(self) -> Any:
        """Return a context manager that holds the lock. A thread that holds it already goes on at once."""
        now = era()
        # setdefault() cannot be interrupted: all threads get the same lock
        return self._by_era.get(now) or self._by_era.setdefault(now, threading.RLock())


class Bell:
    """Wakes the one thread that waits for it. Ringing waits for nothing, and may happen at any time."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def ring(self) -> None:
        """Wake the thread that waits, or the next that will."""
        try:
            self._lock.release()
        except RuntimeError:
            """It was rung already."""

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, or some seconds are over; return whether it rang."""
        return self._lock.acquire(timeout=min(seconds, threading.TIMEOUT_MAX))
