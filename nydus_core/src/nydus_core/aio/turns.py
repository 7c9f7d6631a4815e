"""Who may go next: so many at once, the others in line, each for so long at most.

``asyncio.Semaphore`` would do, but looks through all that it has woken for each that it wakes, and has no limit of time
that costs nothing: with hundreds of tasks in line that is a quarter of the time of a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from nydus_core.engines import in_vain

__all__ = ["Turns"]

#: Seconds that a loop's clock may be early.
_RESOLUTION = 0.001


class Turns:
    """Turns of one event loop. Nobody overtakes.

    Parameters:
        size: How many may have a turn at once.
        patience: Seconds that a task waits for one at most; None for no limit.
        exhausted: Makes the error for a task that waited in vain.

    Attributes:
        free: How many turns nobody has.
    """

    def __init__(
        self, size: int, patience: float | None = None, exhausted: Callable[[], Exception] = TimeoutError
    ) -> None:
        self.free = size
        self._patience = patience
        self._exhausted = exhausted
        self._line: deque[tuple[asyncio.Future[None], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def take(self) -> None:
        """Take a turn, at once if there is one.

        Raises:
            Exception: None fell free in time.
        """
        if self.free:
            self.free -= 1
            return
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        until = loop.time() + (self._patience or 0.0)
        self._line.append((waiter, until))
        if self._timer is None and self._patience is not None:
            self._timer = loop.call_at(until, self._ring)
        try:
            await waiter
        except asyncio.CancelledError as cancelled:
            in_vain(cancelled)
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.give()  # it was this one's turn just then
            raise

    def give(self) -> None:
        """Give a turn back: to the first in line, if there is one."""
        while self._line:
            waiter, _ = self._line.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1

    def _ring(self) -> None:
        """End the waits that took too long. All wait equally long, so these are the first."""
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._line:
            waiter, until = self._line[0]
            if not waiter.done():
                if until - _RESOLUTION > loop.time():
                    self._timer = loop.call_at(until, self._ring)
                    return
                waiter.set_exception(self._exhausted())
            self._line.popleft()
