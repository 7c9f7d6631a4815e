"""The future of a job in a thread, which no interrupt can break.

``concurrent.futures.Future`` takes a lock by code of Python. A ``KeyboardInterrupt`` that strikes in there leaves the lock taken
for ever: then the thread that has the result waits for the lock, and everybody else for the thread. Here each step is one
operation that cannot be interrupted, so there is no lock to be left behind.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from nydus_core.threads.locks import Bell

__all__ = ["Future"]

T = TypeVar("T")

logger = logging.getLogger("nydus")


class Future(Generic[T]):
    """The result of a job, once there is one. Its methods are those of ``concurrent.futures.Future``, as far as they go."""

    __slots__ = ("_callbacks", "_end", "_fate")

    def __init__(self) -> None:
        self._fate: dict[None, str] = {}  # setdefault() decides, once, whether the job is done or cancelled
        self._end: tuple[Any, BaseException | None] | None = None
        self._callbacks: deque[Callable[[Future[T]], object]] = deque()

    def begin(self) -> bool:
        """Decide that the job is done, by the thread that calls.

        Returns:
            False if it was cancelled before: then it must not be done.
        """
        return self._fate.setdefault(None, _BEGUN) == _BEGUN

    def cancel(self) -> bool:
        """Prevent the job.

        Returns:
            False if it has begun: then it goes on, or is over.
        """
        if self._fate.setdefault(None, _CANCELLED) == _BEGUN:
            return False
        self._tell()
        return True

    def set_result(self, value: T) -> None:
        """End the job with a value."""
        self._finish(value, None)

    def set_exception(self, error: BaseException) -> None:
        """End the job with an exception."""
        self._finish(None, error)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        self.begin()  # now it cannot be cancelled
        self._end = value, error
        self._tell()

    def done(self) -> bool:
        """Tell whether the job is over, or was cancelled."""
        return self._end is not None or self._fate.get(None) == _CANCELLED

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the job is over, or was cancelled.

        Parameters:
            timeout: The seconds to wait at most; None for no limit.

        Returns:
            Whether it is over, or was cancelled.
        """
        if self.done():
            return True
        bell = Bell()

        def ring(_: object) -> None:
            bell.ring()

        self.add_done_callback(ring)
        bell.wait(math.inf if timeout is None else max(0.0, timeout))
        with suppress(ValueError):
            self._callbacks.remove(ring)
        return self.done()

    def result(self, timeout: float | None = None) -> T:
        """Wait for the value, and return it.

        Parameters:
            timeout: The seconds to wait at most; None for no limit.

        Raises:
            TimeoutError: There is none yet.
            RuntimeError: The job was cancelled.
            BaseException: The job raised it.
        """
        value, error = self._ended(timeout)
        try:
            if error is not None:
                raise error
        finally:
            del error, self  # the error refers to this frame: no circle
        found: T = value
        return found

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the end, and return what the job raised; None if it has a value.

        Parameters:
            timeout: The seconds to wait at most; None for no limit.

        Raises:
            TimeoutError: It is not over yet.
            RuntimeError: The job was cancelled.
        """
        return self._ended(timeout)[1]

    def _ended(self, timeout: float | None) -> tuple[Any, BaseException | None]:
        if not self.wait(timeout):
            raise TimeoutError(f"the job is not over after {timeout} seconds")
        if self._end is None:
            raise RuntimeError("the job was cancelled, and is not done")
        return self._end

    def add_done_callback(self, call: Callable[[Future[T]], object]) -> None:
        """Have a function called, with this future, when the job is over or was cancelled: at once if it is.

        Parameters:
            call: The function. It is called by the thread that ends the job. An exception of it is logged.
        """
        self._callbacks.append(call)
        if self.done():
            with suppress(ValueError):  # the thread that has just ended the job calls it
                self._callbacks.remove(call)
                self._call(call)

    def _tell(self) -> None:
        while True:
            try:
                call = self._callbacks.popleft()  # each is taken, and so called, once
            except IndexError:
                return
            self._call(call)

    def _call(self, call: Callable[[Future[T]], object]) -> None:
        try:
            call(self)
        except Exception:
            logger.exception("a function that was to be called at the end of a job has failed")


_BEGUN, _CANCELLED = "begun", "cancelled"
