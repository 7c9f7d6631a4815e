"""Health checks of a connection with subscriptions: such a connection may be silent for long."""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.client import PubSub

from nydus_redis.connection import interrupt, post

__all__ = ["HEALTHY", "Pulse"]

#: The text of a health check, which the answer repeats.
_HEALTH: str = PubSub.HEALTH_CHECK_MESSAGE
HEALTHY = (_HEALTH, _HEALTH.encode())


class Pulse:
    """Sends a PING to a host that was silent for ``health_check_interval``, and ends the connection if no answer comes.

    So a silent host gets one PING in each interval, whatever time an answer may take.

    Parameters:
        connection: The connection.
        patience: Seconds that an answer may take.

    Attributes:
        stopped: Whether the connection was ended so.
    """

    def __init__(self, connection: Any, patience: float) -> None:
        self.stopped = False
        self._connection = connection
        self._interval: float = connection.health_check_interval
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._asked: float | None = None  # when, as long as there is no answer
        self._rests = False
        self._timer: asyncio.TimerHandle | None = None
        if self._interval:
            self._again(self._interval)

    def beat(self) -> None:
        """Note that the host has sent something."""
        self._heard, self._asked = self._loop.time(), None

    def resting(self) -> Pulse:
        """Return the context of a block in which nobody reads, so that the host cannot be heard."""
        return self

    def __enter__(self) -> None:
        self._rests = True

    def __exit__(self, *args: object) -> None:
        self._rests = False
        self.beat()

    def cancel(self) -> None:
        """End the health checks."""
        if self._timer is not None:
            self._timer.cancel()

    def _again(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._ring)

    def _ring(self) -> None:
        if not self._connection.is_connected:
            return
        now = self._loop.time()
        if self._rests:
            self._again(self._interval)
        elif self._asked is not None:
            self._wait_on(self._asked + self._patience - now)
        elif now < self._heard + self._interval - _RESOLUTION:
            self._again(self._heard + self._interval - now)
        else:
            self._asked = now
            post(self._connection, "PING", _HEALTH)
            self._wait_on(self._patience)

    def _wait_on(self, seconds: float) -> None:
        """Wait for the answer so many seconds more, and look after an interval whether it has come."""
        if seconds > _RESOLUTION:
            self._again(min(seconds, self._interval))
        else:
            self.stopped = True
            interrupt(self._connection)


#: Seconds that the clock of a loop may be early.
_RESOLUTION = 0.001
