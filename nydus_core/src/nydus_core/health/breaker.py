"""Whether a host is up: a circuit breaker for each. Pure: the clock and the dice are given, and nothing is sent.

A breaker is *closed* while its host is well, and commands pass. Failures in a row, or too large a share of them, *open*
it, and commands are refused at once. Some time later one probe is made, during which it is *half-open*; its success
closes it again, its failure makes the wait for the next one longer.

Source: Michael Nygard, *Release It!*, "Circuit Breaker". The waits are doubled, each with a random half.
"""

from __future__ import annotations

import enum
import random
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from nydus_core.wording import text_of

__all__ = ["ENOUGH", "Breaker", "BreakerSettings", "HostHealth", "State"]


class State(enum.Enum):
    """The state of a breaker."""

    #: the host is well: commands pass
    CLOSED = "closed"
    #: the host is down: commands are refused
    OPEN = "open"
    #: a probe finds out whether it is up again; commands are refused
    HALF_OPEN = "half-open"


class BreakerSettings(NamedTuple):
    """When a breaker opens, and when its host is probed.

    Attributes:
        failures: So many failures in a row open it.
        rate: So large a share of failures opens it, 0 to 1, once there were ``calls`` in a ``window``.
        calls: How many calls the share is at least taken of.
        window: Seconds, counted from a first failure, that the share is taken over.
        backoff: Seconds until the first probe.
        most: Seconds that a wait for the next probe takes at most.
    """

    failures: int = 5
    rate: float = 0.5
    calls: int = 20
    window: float = 10.0
    backoff: float = 0.2
    most: float = 10.0


class HostHealth(NamedTuple):
    """The health of one host, as far as it is known.

    Attributes:
        state: The state of its breaker.
        failures: How many failures in a row there were last, failed probes among them.
        cause: The last failure, as text; empty if there was none since it was last well.
        seconds: How long it has been in this state.
        next_probe: Seconds until it is probed; None if that is not planned.
    """

    state: State
    failures: int
    cause: str
    seconds: float
    next_probe: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the health as text and numbers, for ``json.dumps``; ``state`` is ``closed``, ``open`` or ``half-open``."""
        return {**self._asdict(), "state": self.state.value}


#: Seconds that a host must have had to answer, before a missed deadline speaks against it.
ENOUGH = 0.05


class Breaker:
    """The circuit breaker of one host. Threads may share it.

    Parameters:
        settings: When it opens, and when its host is probed.
        clock: Returns the time in seconds.
        chance: Returns a random number from 0 to 1.

    Attributes:
        pristine: Whether it is closed and has no failure to remember, so that successes need not be told.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._chance = chance
        self._lock = threading.RLock()  # a finalizer may come in between
        self._start()

    def _start(self) -> None:
        self.pristine = True
        self._state = State.CLOSED
        self._since = self._clock()
        self._due: float | None = None
        self._cause = ""
        self._failures = self._probes = 0
        self._window, self._calls, self._misses = 0.0, 0, 0
        self._missed_since: float | None = None

    @property
    def closed(self) -> bool:
        """Whether commands pass."""
        return self._state is State.CLOSED

    def failed(self, cause: BaseException) -> bool:
        """Note a failure of the host; return whether that opened the breaker."""
        with self._lock:
            if self._state is not State.CLOSED:
                return False
            return self._count(self._clock(), cause)

    def _count(self, now: float, cause: BaseException) -> bool:
        self._look_at_window(now)
        self._cause = text_of(cause, with_type=True)
        self._failures += 1
        self._calls += 1
        self._misses += 1
        return self._too_many() and self._open()

    def _look_at_window(self, now: float) -> None:
        if self.pristine or now - self._window > self._settings.window:
            self._window, self._calls, self._misses = now, 0, 0
        self.pristine = False

    def missed(self, cause: BaseException) -> bool:
        """Note that the host did not answer in a time too short to tell; return whether that opened the breaker.

        Misses without an answer between them, over ``ENOUGH`` seconds or more, count as one failure.
        """
        with self._lock:
            if self._state is not State.CLOSED:
                return False
            now = self._clock()
            if self._missed_since is None:
                self._look_at_window(now)
                self._missed_since = now
            elif now - self._missed_since >= ENOUGH:
                self._missed_since = now
                return self._count(now, cause)
            return False

    def _too_many(self) -> bool:
        settings = self._settings
        if self._failures >= settings.failures:
            return True
        return self._calls >= settings.calls and self._misses >= settings.rate * self._calls

    def trip(self, cause: BaseException) -> bool:
        """Open the breaker, whatever the count; return whether it was closed."""
        with self._lock:
            if self._state is not State.CLOSED:
                return False
            self.pristine = False
            self._cause = text_of(cause, with_type=True)
            return self._open()

    def _open(self) -> bool:
        self._to(State.OPEN)
        self._plan_probe()
        return True

    def _to(self, state: State) -> None:
        self._state, self._since = state, self._clock()

    def _plan_probe(self) -> None:
        settings = self._settings
        wait = min(settings.most, settings.backoff * 2.0 ** min(self._probes, 64))
        self._due = self._clock() + wait * (0.5 + 0.5 * self._chance())

    def succeeded(self) -> None:
        """Note an answer of the host. Needs no call while the breaker is ``pristine``."""
        with self._lock:
            if self._state is not State.CLOSED or self.pristine:
                return
            self._failures, self._missed_since = 0, None
            self._calls += 1
            if self._clock() - self._window > self._settings.window:
                since = self._since
                self._start()
                self._since = since  # it was closed all the time

    @property
    def due(self) -> float | None:
        """When the next probe is to be made, on the breaker's clock; None unless it is open."""
        return self._due

    def overdue(self) -> float:
        """Return how many seconds ago a probe was due that has not begun; 0 if none was."""
        due = self._due
        return 0.0 if due is None else max(0.0, self._clock() - due)

    def begin_probe(self) -> bool:
        """Become half-open; False if it is not open, so that there is one probe at a time."""
        with self._lock:
            if self._state is not State.OPEN:
                return False
            self._due = None
            self._to(State.HALF_OPEN)
            return True

    def probe_failed(self, cause: BaseException) -> None:
        """Open again after a probe, for longer than before."""
        with self._lock:
            if self._state is State.HALF_OPEN:
                self._cause = text_of(cause, with_type=True)
                self._probes += 1
                self._failures += 1
                self._open()

    def close(self) -> None:
        """Close, and forget all failures."""
        with self._lock:
            self._start()

    def after_fork(self) -> None:
        """In a child process: whoever held the lock or made a probe is not there."""
        self._lock = threading.RLock()
        if self._state is State.HALF_OPEN:
            self._open()

    def report(self) -> HostHealth:
        """Return the state and its history."""
        with self._lock:
            now = self._clock()
            until = None if self._due is None else max(0.0, self._due - now)
            return HostHealth(self._state, self._failures, self._cause, now - self._since, until)
