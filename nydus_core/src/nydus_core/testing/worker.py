"""An event loop in a thread of its own. Other threads hand work to it, and wait until the work is done."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

__all__ = ["Worker"]

T = TypeVar("T")


class Worker:
    """A thread with an event loop that does one piece of work at a time, between steps of other tasks on the loop.

    Parameters:
        name: The name of the thread.
    """

    def __init__(self, name: str) -> None:
        self._lock = threading.Lock()
        self._loop = asyncio.SelectorEventLoop()  # on every system: the other kind cannot watch plain sockets
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether the thread has ended."""
        return self._loop.is_closed()

    def look(self, work: Callable[[], T]) -> T:
        """Call a function on the loop, or here after the end, and return its result."""
        with self._lock:
            return work() if self.is_closed else self._wait(_as_coroutine(work))

    def do(self, work: Callable[[], T]) -> T:
        """Call a function on the loop, and return its result or raise its exception.

        Raises:
            RuntimeError: The thread has ended.
        """
        return self.run(lambda: _as_coroutine(work))

    def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, and return its result or raise its exception.

        Raises:
            RuntimeError: The thread has ended.
        """
        with self._lock:
            if self.is_closed:
                raise RuntimeError(f"{self._thread.name} was closed")
            return self._wait(work())

    def close(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a last coroutine and end the thread. Does nothing the second time."""
        with self._lock:
            if self.is_closed:
                return
            try:
                self._wait(last())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        done: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result()


async def _as_coroutine(work: Callable[[], T]) -> T:
    return work()
