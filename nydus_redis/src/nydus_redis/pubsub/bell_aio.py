"""A bell: tasks that wait for messages sleep until it rings."""

from __future__ import annotations

import asyncio

__all__ = ["Bell", "wake"]


class Bell:
    """Wakes those who wait for messages."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    async def wait(self, seconds: float) -> None:
        """Wait until the bell rings, or until the time is over."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(seconds, wake, waiter)
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    def ring(self) -> None:
        """Wake all who wait."""
        for waiter in self._waiters:
            wake(waiter)


def wake(waiter: asyncio.Future[None]) -> None:
    """Wake one task, if nothing has woken it yet."""
    if not waiter.done():
        waiter.set_result(None)
