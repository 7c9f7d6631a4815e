"""Jobs in worker threads that tasks wait for. A task that is cancelled does not wait for its thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from typing import Any, Generic, TypeVar

from nydus_core.aio.running import running_loop
from nydus_core.threads import Future, start

__all__ = ["Job", "in_worker"]

T = TypeVar("T")


class Job(Generic[T]):
    """Something to be done in a thread of the pool. Await it, any number of times, for its value.

    Parameters:
        work: The function to call.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._future: Future[T] = Future()
        self._loop = running_loop()
        self._ends = ExitStack()
        self._waiters: list[asyncio.Future[None]] = []
        self._over = False

    def at_end(self, call: Callable[[], object]) -> None:
        """Have something called in the loop when the job is over, done or not. The last one is called first.

        If the loop is closed by then, it is called in the thread.
        """
        self._ends.callback(call)

    def start(self) -> bool:
        """Begin; return False if there is no thread to be had. Then it is over, and was not done."""
        if not start(self._future, self._work):
            self._future.cancel()
            self._end()
            return False
        self._future.add_done_callback(self._tell)
        return True

    def _tell(self, _: Future[T]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._end)
        except RuntimeError:  # the loop is closed, and nobody waits any more
            with suppress(RuntimeError):  # it belongs to the loop; connections are let go of all the same
                self._ends.close()

    def _end(self) -> None:
        self._over = True
        try:
            self._ends.close()
        finally:
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    @property
    def done(self) -> bool:
        """Whether the thread is done with it, so that there is nothing to wait for but the end."""
        return self._future.done()

    def cancel(self) -> bool:
        """Prevent the job, if it has not begun; return whether it has not, and never will."""
        return self._future.cancel()

    def __await__(self) -> Generator[Any, None, T]:
        # Not by asyncio.wrap_future: it complains where a thread is done after its loop was closed
        if not self._over:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            yield from waiter
        return self._future.result()


async def in_worker(work: Callable[[], T]) -> T:
    """Do something in a worker thread, and return its value. A task that is cancelled leaves it to itself.

    Raises:
        RuntimeError: There is no thread to be had.
    """
    job = Job(work)
    if not job.start():
        raise RuntimeError("no new thread to be had")
    return await job
