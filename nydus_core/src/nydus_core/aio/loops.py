"""Values for each event loop: connections, locks and timers belong to the loop that made them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from nydus_core.aio.running import running_loop
from nydus_core.threads import renew_after_fork

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Something that is made once for each event loop, when it is first asked for there. Threads may share it.

    A value ends with its loop, where the loop ends as ``asyncio.run`` ends it; else it is dropped when another
    one comes. None of it is in a child process.

    Parameters:
        make: Makes it, in the loop.
        end: Ends a value, in its loop; the result is awaited, if it can be.
    """

    def __init__(self, make: Callable[[], T], end: Callable[[T], Any] = lambda _: None) -> None:
        self._make = make
        self._end = end
        self._of_parents: list[Any] = []
        self._guards: dict[asyncio.AbstractEventLoop, AsyncGenerator[None]] = {}
        self._by_loop: dict[asyncio.AbstractEventLoop, T] = {}
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: in a child process everything belongs to the parent.

        It must not be collected, either: it would be closed, and the selector that is told so is the parent's as well.
        """
        self._lock = threading.RLock()  # a finalizer may come in between
        self._of_parents += [self._guards, self._by_loop]
        self._guards, self._by_loop = {}, {}
        self._last: tuple[asyncio.AbstractEventLoop | None, T | None] = None, None

    def get(self) -> T:
        """Return the value of the running loop.

        Raises:
            NoEventLoop: No event loop of asyncio is running in this thread.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            loop = running_loop()  # which says what to do
        last, own = self._last
        if last is loop and own is not None:
            return own
        with self._lock:
            found = self._by_loop.get(loop)
            if found is None:
                self._drop_closed()
                found = self._by_loop.setdefault(loop, self._make())
                self._guard(loop, found)
            self._last = loop, found
        return found

    def _drop_closed(self) -> None:
        for loop in [loop for loop in self._by_loop if loop.is_closed()]:
            del self._by_loop[loop]
            self._guards.pop(loop, None)

    def _guard(self, loop: asyncio.AbstractEventLoop, own: T) -> None:
        """Have it ended with the loop, which closes the asynchronous generators that it has not seen the end of."""
        guard = self._guards[loop] = self._ended(loop, own)
        with suppress(StopIteration):
            guard.__anext__().send(None)

    async def _ended(self, loop: asyncio.AbstractEventLoop, own: T) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._by_loop.pop(loop, None)
                self._guards.pop(loop, None)
                self._last = None, None
            ending = self._end(own)
            if inspect.isawaitable(ending):
                await ending

    def __len__(self) -> int:
        """The number of open event loops that have a value of their own."""
        with self._lock:
            return sum(not loop.is_closed() for loop in self._by_loop)

    def in_each(self, call: Callable[[T], object]) -> None:
        """Call a function with the value of each loop: at once for the running loop, else in the loop, when it gets to it."""
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        with self._lock:
            all_of_them = list(self._by_loop.items())
        for loop, own in all_of_them:
            if loop is here:
                call(own)
            else:
                with suppress(RuntimeError):  # it is closed, and with it all that it had open
                    loop.call_soon_threadsafe(call, own)
