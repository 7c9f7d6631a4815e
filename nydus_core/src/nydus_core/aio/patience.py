"""The time limit of a connection: it ends one on which nothing comes and goes though answers are waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from nydus_core.sockets import LOOKS, not_taken

__all__ = ["Patience"]

#: Seconds. A loop that comes later than this was busy: an answer may have come that nobody has read.
_LATE = 0.05
#: Seconds that the clock of a loop may be early.
_RESOLUTION = 0.001


class Patience:
    """Gives a host up that neither answers nor takes bytes for too long.

    Each part of an answer that comes counts, and so does each part of a request that the host takes. One timer serves all
    requests, because starting one costs more than a command.

    If the loop was busy when the time was over, the host is given the same time once more.

    Parameters:
        seconds: The time without progress; None for no limit.
        is_waiting: Tells whether an answer is waited for.
        give_up: Called when the host has made no progress for so long.

    Attributes:
        seconds: The time without progress; None for no limit.
        since: When the last bytes came, or the wait began, by the clock of the event loop. The owner sets it.
    """

    __slots__ = ("_give_up", "_is_waiting", "_left", "_loop", "_timer", "_transport", "seconds", "since")

    def __init__(
        self, seconds: float | None, is_waiting: Callable[[], bool], give_up: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.seconds = seconds
        self._is_waiting = is_waiting
        self._give_up = give_up
        self._timer: asyncio.TimerHandle | None = None
        self._transport: Any = None
        self._left = 0  # bytes that the host had not taken at the last look
        self.since = self._loop.time()

    def begin(self, transport: Any) -> None:
        """Take note that an answer is waited for from now on."""
        self.since = self._loop.time()
        if self._timer is None and self.seconds is not None:
            self._transport, self._left = transport, 0
            self._ring_at(self.since + self.seconds / LOOKS)

    def end(self) -> None:
        """Stop: the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ring_at(self, when: float, *, again: bool = False) -> None:
        self._timer = self._loop.call_at(when, self._ring, when, again)

    def _ring(self, planned: float, again: bool) -> None:
        self._timer = None
        if not self._is_waiting():
            return
        seconds, now = self.seconds, self._loop.time()
        assert seconds is not None
        before, self._left = self._left, not_taken(self._transport)
        if self._left < before:
            self.since = now
        until = self.since + seconds
        if now < until - _RESOLUTION:
            self._ring_at(min(until, now + seconds / LOOKS))
        elif now > planned + _LATE and not again:
            self._ring_at(now + seconds, again=True)
        else:
            self._give_up()
