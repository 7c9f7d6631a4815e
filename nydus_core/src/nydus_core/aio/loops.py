"""What each event loop has its own of: connections, locks and timers belong to the loop that made them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

from nydus_core.threads import renew_after_fork

__all__ = ["PerLoop"]

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Something that is made once for each event loop, when it is first asked for there. Threads may share it.

    What belongs to a loop that was closed is dropped when another one comes, and none of it is in a child process.

    Parameters:
        make: Makes it, in the loop.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self.after_fork()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Begin anew: in a child process everything belongs to the parent."""
        self._lock = threading.Lock()
        self._by_loop: dict[asyncio.AbstractEventLoop, T] = {}
        self._last: tuple[asyncio.AbstractEventLoop | None, T | None] = None, None

    def get(self) -> T:
        """Return that of the running loop.

        Raises:
            RuntimeError: No loop is running in this thread.
        """
        loop = asyncio.get_running_loop()
        last, own = self._last
        if last is loop and own is not None:
            return own
        with self._lock:
            found = self._by_loop.get(loop)
            if found is None:
                self._by_loop = {each: its for each, its in self._by_loop.items() if not each.is_closed()}
                found = self._by_loop[loop] = self._make()
            self._last = loop, found
        return found

    def __len__(self) -> int:
        """How many open loops have one."""
        with self._lock:
            return sum(not loop.is_closed() for loop in self._by_loop)

    def in_each(self, call: Callable[[T], object]) -> None:
        """Call something with each: at once for the running loop, else in its own, as soon as that gets to it."""
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
                with suppress(RuntimeError):  # it is closed, and with it what it had open
                    loop.call_soon_threadsafe(call, own)
