"""Watches over hosts: who may be sent to, and the probes that find out when a host is up again.

A host whose breaker is open is probed in a thread of its own. No command waits for it: neither for a host that is down,
nor for its probe. The module is long on purpose: from the first failure to the readmission, all that happens to a host stands
on one page.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Generic, Protocol

from nydus_core.command import Command
from nydus_core.engines import E, Engine, counts, waited_in_vain
from nydus_core.errors import HostDown, HostError
from nydus_core.health.breaker import Breaker, BreakerSettings, HostHealth, State
from nydus_core.redaction import redactor_of
from nydus_core.threads import in_thread, renew_after_fork, set_alarm
from nydus_core.wording import text_of

__all__ = ["LONGEST", "Cancelable", "Listener", "Watch", "WatchBase"]

logger = logging.getLogger("nydus.health")

#: Seconds that a probe takes at most, with all that is done to readmit the host.
LONGEST = 30.0
#: Seconds in which it is logged once that a host refuses this client. Connections from before may go on meanwhile.
_DENIAL = 60.0
#: Seconds after which a probe that was due is not going to be made any more.
_OVERDUE = 1.0


class Cancelable(Protocol):
    """A call that is planned for a time."""

    def cancel(self) -> object:
        """Prevent the call."""
        ...


class Listener(Protocol):
    """A listener to watches. Hosts are given by name."""

    def host_down(self, host: str, cause: BaseException) -> None:
        """A host is taken for down."""
        ...

    def readmit(self, host: str, engine: Any) -> Any:
        """A probe of a host has succeeded: do all that has to be done before commands go there again.

        With asyncio the call is awaited.

        Raises:
            Exception: It is not fit for use yet.
        """
        ...

    def host_up(self, host: str) -> None:
        """Commands go to a host again."""
        ...


class WatchBase(Generic[E]):
    """Watches one host, on either side. How probes are made is for ``Watch`` and its asyncio sibling.

    Parameters:
        name: The name of the host.
        engine: The host.
        settings: When its breaker opens, and when it is probed.
        listener: Is told when the host is down or up. Held weakly.

    Attributes:
        redactor: Takes the host's secrets out of errors, before anybody sees or remembers them.
        call: The engine's ``call``, by which a single command may go straight to the host; None while it has to be seen
            how commands fare.
    """

    def __init__(self, name: str, engine: E, settings: BreakerSettings, listener: Listener) -> None:
        self.name = name
        self.engine = engine
        self.redactor = redactor_of(engine)
        self._breaker = Breaker(settings)
        self._listener: Callable[[], Listener | None] = weakref.ref(listener)
        self._alarm: Cancelable | None = None
        self._denial = ""  # why the host refuses this client; empty if it does not
        self._denial_logged: float | None = None
        self.call: Callable[[Command], Any] | None = engine.call
        renew_after_fork(self)

    # For deliveries ----------------------------------------------------------------------------------

    @property
    def admits(self) -> bool:
        """Whether commands may go there."""
        if self._breaker.closed:
            return True
        self._heal()
        return False

    def _heal(self) -> None:
        """Plan the next probe where that has got lost: by an interrupt just then, or by a probe that never ends."""
        health = self._breaker.report()
        if health.state is State.HALF_OPEN and health.seconds > LONGEST:
            self._breaker.probe_failed(TimeoutError(f"a probe takes more than {LONGEST:g} seconds"))
            self._plan_probe()
        elif health.state is State.OPEN and self._breaker.overdue() > _OVERDUE:
            self._plan_probe()

    def refusal(self, command: Command) -> HostError:
        """Return the error for a command that is not sent, since the host is taken for down."""
        cause = self.engine.unavailable(f"it is taken for down: {self.report().cause}")
        return self.engine.failed(HostDown, cause, command)

    def keep_secrets(self, outcomes: Iterable[Any]) -> None:
        """Take the host's secrets out of the errors among some outcomes."""
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                self.redactor.clean(outcome)

    def blames(self, failure: HostError) -> bool:
        """Tell whether a failure speaks against the host, rather than against its use."""
        return not waited_in_vain(failure) and self.engine.is_outage(failure.__cause__ or failure)

    def denies(self, failure: Exception) -> bool:
        """Tell whether a failure means that the host is up and refuses this client, as for a wrong password."""
        return isinstance(failure, HostDown) and self._is_denial(failure.__cause__ or failure)

    def _is_denial(self, cause: BaseException) -> bool:
        asked: Callable[[BaseException], bool] | None = getattr(self.engine, "is_denied", None)
        return asked is not None and asked(cause)

    @property
    def replaceable(self) -> bool:
        """Whether another host may stand in. Not while the host refuses this client: its data are there."""
        return not self._denial

    def report(self) -> HostHealth:
        """Return the health of the host."""
        report = self._breaker.report()
        return report if report.cause or not self._denial else report._replace(cause=self._denial)

    def succeeded(self) -> None:
        """Note that the host has answered."""
        self._accepted()
        if not self._breaker.pristine:
            self._breaker.succeeded()
            self._settle()

    def denied(self, cause: BaseException) -> None:
        """Note that the host refuses this client."""
        self._denial = text_of(self.redactor.clean(cause), with_type=True)
        self._settle()
        now = time.monotonic()
        if self._denial_logged is None or now - self._denial_logged > _DENIAL:
            self._denial_logged = now
            logger.error(
                "host %s (%s) refuses this client, so its commands fail and no other host stands in: %s",
                *(self.name, self._address, self._denial),
            )

    @property
    def _address(self) -> str:
        """The address of the host for the log: an identifier that the settings give may hold a password."""
        return self.redactor.address(self.engine.identifier)

    def _accepted(self) -> None:
        if self._denial:
            self._denial = ""
            self._settle()
            logger.info("host %s (%s) accepts this client again", self.name, self._address)

    def _settle(self) -> None:
        """Open the short cut, if there is nothing against it."""
        breaker = self._breaker
        self.call = self.engine.call if breaker.pristine and not self._denial else None
        # Another thread may just have seen it fail, and closed the short cut
        if not breaker.pristine or self._denial:
            self.call = None

    def failed(self, cause: BaseException) -> None:
        """Note that the host has failed."""
        if counts(cause):
            self._noted(self._breaker.failed(self.redactor.clean(cause)), cause)

    def missed(self, cause: BaseException) -> None:
        """Note that the host did not answer in a time too short to tell. Many such misses in a row count."""
        self._noted(self._breaker.missed(self.redactor.clean(cause)), cause)

    def _noted(self, opened: bool, cause: BaseException) -> None:
        self._settle()
        if opened:
            self._opened(cause)

    def take_out(self, cause: BaseException) -> None:
        """Take the host for down at once."""
        if self._breaker.trip(self.redactor.clean(cause)):
            self.call = None
            self._opened(cause)

    def reset(self) -> None:
        """Take the host for well, and plan no more probes."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.cancel()
        self._breaker.close()
        self._settle()

    def retire(self) -> None:
        """Watch no longer, and have the host close its connections as they fall out of use."""
        self.reset()
        self._listener = _nobody
        self.engine.retire()

    # Probes --------------------------------------------------------------------------------------------------------

    def _opened(self, cause: BaseException) -> None:
        self._drop_idle()
        logger.warning(
            "host %s (%s) is taken for down: %s",
            self.name,
            self._address,
            self._breaker.report().cause,
        )
        planned = self._plan_probe()
        listener = self._listener()
        if planned and listener is not None:
            listener.host_down(self.name, cause)

    def _drop_idle(self) -> None:
        """Have the host close its idle connections: they may be dead, and would be found so one by one."""
        # Not the engine itself is asked, which may hand names to its client
        if hasattr(type(self.engine), "drop_idle"):
            engine: Any = self.engine
            try:
                engine.drop_idle()
            except Exception as error:
                self.redactor.clean(error)
                logger.exception("the idle connections of host %s cannot be closed", self.name)

    def _plan_probe(self) -> bool:
        """Plan the next probe, if the host is down; return False, and take it for well, if that cannot be done."""
        due = self._breaker.due
        if due is None:
            return True
        try:
            self._alarm = self._set_alarm(due, partial(_begin_probe, weakref.ref(self)))
        except RuntimeError as error:  # without a timer nobody would ever find out that it is up again
            logger.warning("cannot plan a probe of host %s: %s", self.name, error)
            self._breaker.close()
            self._settle()
            return False
        return True

    def _set_alarm(self, when: float, call: Callable[[], object]) -> Cancelable:
        """Have a function called at a time, on the clock of ``time.monotonic``.

        Raises:
            RuntimeError: There is no timer to be had.
        """
        raise NotImplementedError

    def begin_probe(self) -> None:
        """Probe the host, unless that is being done, or the host is well. Waits for nothing."""
        raise NotImplementedError

    def _probe_failed(self, error: BaseException) -> None:
        self._drop_idle()  # all that is done to readmit the host is a part of the probe, and may use them
        self.redactor.clean(error)
        logger.debug("a probe of host %s failed: %s", self.name, error)
        self._breaker.probe_failed(error)
        cause = error.__cause__ if isinstance(error, HostError) and error.__cause__ is not None else error
        if self._is_denial(cause):
            self.denied(cause)
        self._plan_probe()

    def _readmitted(self, listener: Listener) -> None:
        self._accepted()
        self._breaker.close()
        self._settle()
        logger.info("host %s (%s) is up again", self.name, self._address)
        listener.host_up(self.name)

    def after_fork(self) -> None:
        """In a child process: its timer knows no alarms, and no probe is under way."""
        self._breaker.after_fork()
        self._plan_probe()


class Watch(WatchBase[Engine]):
    """Watches one host, which is probed in a thread. Threads may share it."""

    def _set_alarm(self, when: float, call: Callable[[], object]) -> Cancelable:
        return set_alarm(when, call)

    def begin_probe(self) -> None:
        """Probe the host in a thread, unless that is being done, or it is well."""
        if self._breaker.begin_probe() and in_thread(self._probe) is None:
            self._breaker.probe_failed(RuntimeError("no thread to be had for a probe"))
            self._plan_probe()

    def _probe(self) -> None:
        listener = self._listener()
        if listener is None:
            self._breaker.close()
            return
        engine: Any = self.engine
        try:
            engine.probe()
            listener.readmit(self.name, engine)
        except BaseException as error:  # a SystemExit of the user's function too, or it would be out for ever
            self._probe_failed(error)
        else:
            self._readmitted(listener)


def _nobody() -> None:
    """Return None, as a reference to a listener that is gone does."""


def _begin_probe(watch: weakref.ref[WatchBase[Any]]) -> None:
    """Begin the probe, when the alarm rings. The alarm must not keep alive a watch that nobody uses any more."""
    found = watch()
    if found is not None:
        found.begin_probe()
