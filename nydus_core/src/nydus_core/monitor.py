"""The health of all hosts of a cluster: who may be sent to, and the probes that find out when one is up again.

A host whose breaker is open is probed in a thread of its own. No command waits for it: neither for a host that is down,
nor for its probe.
"""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

from nydus_core.command import Command
from nydus_core.engine import Engine
from nydus_core.health import Breaker, BreakerSettings, HostHealth
from nydus_core.threads import Alarm, in_thread, set_alarm

__all__ = ["Listener", "Monitor"]

logger = logging.getLogger("nydus")


class Listener(Protocol):
    """What a monitor tells of what it finds. Hosts are named by their index."""

    def host_down(self, host: int, cause: BaseException) -> None:
        """A host is taken for down."""
        ...

    def readmit(self, host: int) -> None:
        """A probe of a host has succeeded: do what has to be done before commands go there again.

        Raises:
            Exception: It is not fit for use yet.
        """
        ...

    def host_up(self, host: int) -> None:
        """Commands go to a host again."""
        ...


class Monitor:
    """Watches the hosts of a cluster.

    Parameters:
        engines: The hosts, in host order.
        settings: When a breaker opens, and when its host is probed.
        listener: Is told what happens. Held weakly.

    Attributes:
        calls: For each host what does a single command there, the short cut of the everyday case; None while the
            monitor has to see how commands fare.
    """

    def __init__(self, engines: Sequence[Engine], settings: BreakerSettings, listener: Listener) -> None:
        self._engines = engines
        self._breakers = [Breaker(settings) for _ in engines]
        self._listener = weakref.ref(listener)
        self._lock = threading.Lock()
        self._alarms: dict[int, Alarm] = {}
        self.calls: list[Callable[[Command], Any] | None] = [engine.call for engine in engines]
        _monitors.add(self)

    # What deliveries ask and tell ----------------------------------------------------------------------------------

    def admits(self, host: int) -> bool:
        """Tell whether commands may go to a host."""
        return self._breakers[host].closed

    def why(self, host: int) -> str:
        """Return why a host is taken for down."""
        return self._breakers[host].report().cause

    def down(self) -> list[int]:
        """Return the hosts that no command may go to."""
        return [host for host, breaker in enumerate(self._breakers) if not breaker.closed]

    def succeeded(self, host: int) -> None:
        """Note that a host has answered."""
        breaker = self._breakers[host]
        if not breaker.pristine:
            breaker.succeeded()
            self._settle(host)

    def _settle(self, host: int) -> None:
        """Open the short cut to a host that has nothing against it."""
        if self._breakers[host].pristine:
            self.calls[host] = self._engines[host].call
            if not self._breakers[
                host
            ].pristine:  # another thread has just seen it fail, and closed the short cut
                self.calls[host] = None

    def failed(self, host: int, cause: BaseException) -> None:
        """Note that a host has failed."""
        opened = self._breakers[host].failed(cause)
        self.calls[host] = None
        self._settle(
            host
        )  # another thread may have closed the breaker meanwhile, and found the short cut open
        if opened:
            self._opened(host, cause)

    def take_out(self, host: int, cause: BaseException) -> None:
        """Take a host for down at once."""
        if self._breakers[host].trip(cause):
            self.calls[host] = None
            self._opened(host, cause)

    def report(self) -> list[HostHealth]:
        """Return what is known of each host, in host order."""
        return [breaker.report() for breaker in self._breakers]

    def reset(self) -> None:
        """Take all hosts for well, and plan no more probes."""
        with self._lock:
            alarms, self._alarms = self._alarms, {}
        for alarm in alarms.values():
            alarm.cancel()
        for host, breaker in enumerate(self._breakers):
            breaker.close()
            self._settle(host)

    # Probes --------------------------------------------------------------------------------------------------------

    def _opened(self, host: int, cause: BaseException) -> None:
        planned = self._plan_probe(host)
        listener = self._listener()
        if planned and listener is not None:
            listener.host_down(host, cause)

    def _plan_probe(self, host: int) -> bool:
        """Plan the next probe of a host that is down; return False, and take it for well, if that cannot be done."""
        due = self._breakers[host].due
        if due is None:
            return True
        try:
            alarm = set_alarm(due, partial(_begin_probe, weakref.ref(self), host))
        except RuntimeError as error:  # without a timer nobody would ever find out that it is up again
            logger.warning("cannot plan a probe of host %s: %s", host, error)
            self._breakers[host].close()
            self._settle(host)
            return False
        with self._lock:
            self._alarms[host] = alarm
        return True

    def _begin_probe(self, host: int) -> None:
        if self._breakers[host].begin_probe() and in_thread(partial(self._probe, host)) is None:
            self._breakers[host].probe_failed(RuntimeError("no thread to be had for a probe"))
            self._plan_probe(host)

    def _probe(self, host: int) -> None:
        listener = self._listener()
        if listener is None:
            return
        breaker = self._breakers[host]
        try:
            self._engines[host].probe()
            listener.readmit(host)
        except BaseException as error:  # a SystemExit of the user's function too, or it would be out for ever
            logger.debug("probe of host %s failed: %s", host, error)
            breaker.probe_failed(error)
            self._plan_probe(host)
            return
        breaker.close()
        self._settle(host)
        listener.host_up(host)

    def after_fork(self) -> None:
        """In a child process: its timer knows no alarms, and no probe is under way."""
        self._lock = threading.Lock()
        self._alarms = {}
        for host, breaker in enumerate(self._breakers):
            breaker.after_fork()
            self._plan_probe(host)


def _begin_probe(monitor: weakref.ref[Monitor], host: int) -> None:
    """What an alarm calls: it must not keep alive what nobody uses any more."""
    found = monitor()
    if found is not None:
        found._begin_probe(host)


_monitors: weakref.WeakSet[Monitor] = weakref.WeakSet()


def _after_fork() -> None:
    for monitor in list(_monitors):
        monitor.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)  # after that of threads.py: handlers run in order
