"""How long a server may take: a timer that aborts the connection, so that whoever reads from it need not wait."""

from __future__ import annotations

import asyncio
from typing import Any

import redis

from nydus_redis.connection.streams_aio import interrupt

__all__ = ["Limit"]


class Limit:
    """Ends what is under way on a connection when its time is over. Made when a request is sent.

    If the loop was busy with something else by then, an answer may be there that nobody has read; so the time is given
    once more.

    ``asyncio.timeout`` would cancel the task, which is more to do for each command, and cannot tell a limit of ours from
    one of the user's.

    Parameters:
        connection: redis-py's connection.
        seconds: How long; None for no limit.
    """

    __slots__ = ("_connection", "_handle", "_loop", "_over", "_overslept", "_seconds", "_until")

    def __init__(self, connection: Any, seconds: float | None) -> None:
        self._connection = connection
        self._seconds = seconds
        self._over = self._overslept = False
        self._handle: asyncio.TimerHandle | None = None
        if seconds is not None:
            self._loop = loop = asyncio.get_running_loop()
            self._until = loop.time() + seconds
            self._handle = loop.call_at(self._until, self._ring)

    def renew(self, seconds: float) -> None:
        """Count from now, for another answer."""
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
        if now > self._until + _LATE and not self._overslept and self._seconds is not None:
            self._overslept = True
            self._until = now + self._seconds
        if now < self._until - _RESOLUTION:
            self._handle = self._loop.call_at(self._until, self._ring)
            return
        self._over = True
        interrupt(self._connection)

    def cancel(self) -> None:
        """There is an answer."""
        if self._handle is not None:
            self._handle.cancel()

    def cause(self, error: Exception) -> Exception:
        """Return what an error comes of: this limit, if it is over."""
        if self._over:
            return redis.TimeoutError(
                f"Timeout reading from socket: no answer within {self._seconds:g} seconds"
            )
        return error


#: Seconds that the loop may come late, until the time is given once more.
_LATE = 0.05
#: Seconds that a loop's clock may be early.
_RESOLUTION = 0.001
