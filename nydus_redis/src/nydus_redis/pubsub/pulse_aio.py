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
    """Sends a PING to a silent host after each ``health_check_interval``, and ends the connection if no answer comes.

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
        self._heard, self._asked, self._rests = True, False, False
        self._timer: asyncio.TimerHandle | None = None
        if self._interval:
            self._again(self._interval)

    def beat(self) -> None:
        """Note that the host has sent something."""
        self._heard, self._asked = True, False

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
        self._timer = asyncio.get_running_loop().call_later(seconds, self._ring)

    def _ring(self) -> None:
        if not self._connection.is_connected:
            return
        if self._heard or self._rests:
            self._heard = False
            self._again(self._interval)
        elif not self._asked:
            self._asked = True
            post(self._connection, "PING", _HEALTH)
            self._again(self._patience)
        else:
            self.stopped = True
            interrupt(self._connection)
