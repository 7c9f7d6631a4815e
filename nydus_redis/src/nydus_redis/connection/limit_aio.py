"""The time limit for an answer: a timer that ends the connection, so that nobody waits any longer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import redis

from nydus_core.sockets import LARGE, LOOKS, not_taken
from nydus_redis.connection.streams_aio import interrupt, writer_of

__all__ = ["Ear", "Limit", "listen"]


class Ear:
    """Hears when bytes come over a connection.

    Attributes:
        heard: When the last bytes came, by the clock of the event loop.
    """

    __slots__ = ("heard",)

    def __init__(self) -> None:
        self.heard = 0.0


def listen(connection: Any) -> None:
    """Have a connection tell, as ``nydus_ear``, when bytes come. Where redis-py has no such names, nobody hears anything."""
    try:
        stream = connection._reader
        feed: Callable[[bytes], None] = stream.feed_data
    except AttributeError:
        return
    if "feed_data" in vars(stream):  # it is told already
        return
    ear, now = Ear(), asyncio.get_running_loop().time

    def feed_data(data: bytes) -> None:
        ear.heard = now()
        feed(data)

    stream.feed_data = feed_data
    connection.nydus_ear = ear


class Limit:
    """Interrupts a connection when nothing has come or gone for too long. It is made when a request is sent.

    Each part of an answer that comes renews the time, and so does each part of a large request that the host takes.

    If the loop was busy when the time was over, an answer may have come that nobody has read. So the server is given the
    same time once more.

    ``asyncio.timeout`` would cancel the task. That is more work for each command, and its error would look like the
    error of a limit that the user has set.

    Parameters:
        connection: redis-py's connection.
        seconds: The time without progress; None for no limit.
        waits: Seconds that the command asks the server to wait, in addition, before the answer begins.
    """

    __slots__ = (
        "_connection",
        "_handle",
        "_looks",
        "_loop",
        "_over",
        "_seconds",
        "_taken",
        "_until",
        "_was_busy",
        "_written",
    )

    def __init__(self, connection: Any, seconds: float | None, waits: float = 0.0) -> None:
        self._connection = connection
        self._seconds = seconds
        self._over = self._was_busy = self._looks = False
        # Bytes of the request, and those that the host had taken when it was looked at
        self._written = self._taken = 0
        self._handle: asyncio.TimerHandle | None = None
        if seconds is not None:
            self._loop = loop = asyncio.get_running_loop()
            self._until = loop.time() + seconds + waits
            self._handle = loop.call_at(self._until, self._ring)

    @property
    def over(self) -> bool:
        """Whether this limit has ended the connection."""
        return self._over

    def renew(self, waits: float = 0.0) -> None:
        """Give the server its time from now on, for the next answer."""
        if self._handle is None or self._seconds is None:
            return
        until = self._loop.time() + self._seconds + waits
        if until < self._until:
            self._ring_at(until)
        self._until = until

    def wrote(self, size: int) -> None:
        """Take note of a request, or of a part: if it is a large one, see that the host takes more and more of it."""
        self._written += size
        if self._written > LARGE and self._seconds is not None and not self._looks:
            self._looks = True
            self._taken = self._written - _not_taken(self._connection)
            self._ring_at(min(self._loop.time() + self._seconds / LOOKS, self._until))

    def _ring_at(self, when: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        now, seconds = self._loop.time(), self._seconds
        assert seconds is not None
        if now > self._until + _LATE and not self._was_busy:
            self._was_busy = True
            self._until = now + seconds
        ear = getattr(self._connection, "nydus_ear", None)
        if ear is not None:
            self._until = max(self._until, ear.heard + seconds)
        if self._looks:
            self._look(now + seconds)
        if now >= self._until - _RESOLUTION:
            self._over = True
            interrupt(self._connection)
        else:
            self._ring_at(min(self._until, now + seconds / LOOKS) if self._looks else self._until)

    def _look(self, until: float) -> None:
        """Give the host time until then, if it has taken more of the request since the last look."""
        before, self._taken = self._taken, self._written - _not_taken(self._connection)
        if self._taken > before:
            self._until = max(self._until, until)
        self._looks = self._taken < self._written

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


def _not_taken(connection: Any) -> int:
    """Return how many bytes of a request the host has not taken: in the buffer of the event loop, and of the kernel."""
    writer = writer_of(connection)
    return 0 if writer is None else not_taken(writer.transport)


#: Seconds. A loop that comes later than this was busy, so the time is given once more.
_LATE = 0.05
#: Seconds that the clock of a loop may be early.
_RESOLUTION = 0.001
