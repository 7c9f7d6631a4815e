"""The time limit for an answer: a timer that ends the connection, so that nobody waits any longer."""

from __future__ import annotations

import asyncio
from typing import Any

import redis

from nydus_redis.connection.streams_aio import interrupt

__all__ = ["Limit"]


class Limit:
    """Interrupts a connection when the time for an answer is over. It is made when a request is sent.

    If the loop was busy when the time was over, an answer may have come that nobody has read. So the server is given the
    same time once more.

    ``asyncio.timeout`` would cancel the task. That is more work for each command, and its error would look like the
    error of a limit that the user has set.

    Parameters:
        connection: redis-py's connection.
        seconds: The time for an answer; None for no limit.
    """

    __slots__ = ("_connection", "_handle", "_loop", "_over", "_seconds", "_until", "_was_busy")

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._over = self._was_busy = False
        self._handle: asyncio.TimerHandle | None = None
        if seconds is not None:
            self._loop = loop = asyncio.get_running_loop()
            self._until = loop.time() + seconds
            self._handle = loop.call_at(self._until, self._ring)

    def renew(self, seconds: float) -> None:
        """Give the server so many seconds from now on, for the next answer."""
        if self._handle is None:
            return
        self._seconds = seconds
        until = self._loop.time() + seconds
        if until < self._until:
            self._handle.cancel()
            self._handle = self._loop.call_at(until, self._ring)
        self._until = until

    def _ring(self) -> None:
        now = self._loop.time()
        if now > self._until + _LATE and not self._was_busy and self._seconds is not None:
            self._was_busy = True
            self._until = now + self._seconds
        if now < self._until - _RESOLUTION:
            self._handle = self._loop.call_at(self._until, self._ring)
            return
        self._over = True
        interrupt(self._connection)

    def cancel(self) -> None:
        """End the limit: there is an answer."""
        if self._handle is not None:
            self._handle.cancel()

    def cause(self, error: Exception) -> Exception:
        """Return the cause of an error: a timeout if this limit has ended the connection, else the error itself."""
        if self._over:
            return redis.TimeoutError(
                f"Timeout reading from socket: no answer within {self._seconds:g} seconds"
            )
        return error


#: Seconds. A loop that comes later than this was busy, so the time is given once more.
_LATE = 0.05
#: Seconds that the clock of a loop may be early.
_RESOLUTION = 0.001
