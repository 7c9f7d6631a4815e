"""How far a delivery has come: what each part has ended in so far, and what goes where in the next attempt. No I/O.

``flows.py`` asks it, attempt by attempt. Parts whose host is down may go to other hosts; what may be tried again, says
``retry.py``; whether a host is up, its watch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.deadlines import Deadline
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.retry import in_order
from nydus_core.delivery.rules import Rules
from nydus_core.engines import AnyEngine
from nydus_core.errors import (
    DeadlineExceeded,
    HostDown,
    HostError,
    HostListExhausted,
    NotAnsweredInTime,
    NotSentInTime,
    RoutingError,
    host_error,
)
from nydus_core.health import Watch

__all__ = ["Progress"]


class Progress:
    """How far one delivery has come.

    Parameters:
        plan: What goes where.
        rules: What to do about hosts that fail.
        together: Whether each host applies all of its commands or none, so that they are tried again together.
        bound: Whether no other host will do.

    Attributes:
        outcomes: By slot, what each part has ended in so far.
        waits: Whether a host is about to be tried again, so that a pause is due.
        impatient: Whether the hosts have so little time to answer that it says nothing if they do not.
    """

    def __init__(self, plan: Plan, rules: Rules, together: bool, bound: bool) -> None:
        self._plan = plan
        self._rules = rules
        self._watches = rules.watches
        self._together = together
        self._reroute = rules.reroute and not bound and len(rules.watches) > 1
        # By slot, of the parts that were rerouted: the hosts that they were meant for, and how many attempts ago
        self._tried: dict[int, set[int]] = {}
        self._before: dict[int, int] = {}
        # By slot, of the writes that may have been applied by an attempt: what that ended in
        self._doubts: dict[int, HostError] = {}
        self.outcomes: list[Any] = [None] * plan.slots
        self.waits = self.impatient = False

    def expire(self, lanes: Sequence[Lane], deadline: Deadline) -> None:
        """End what has not been sent when the deadline is over; what was tried before ends in what it did."""
        for lane in lanes:
            engine = self._watches[lane.host].engine
            for command, slot in zip(lane.commands, lane.slots, strict=True):
                if self.outcomes[slot] is None:
                    error = engine.failed(NotSentInTime, engine.late(str(deadline)), command)
                    error.attempts = 0
                    self.outcomes[slot] = error

    def admitted(self, lanes: Sequence[Lane], attempt: int) -> list[Lane]:
        """Return what may be sent now; what was meant for hosts that are down is rerouted or refused."""
        watches = self._watches
        passing = [lane for lane in lanes if watches[lane.host].admits]
        if len(passing) == len(lanes):
            return passing
        again = {lane.host: lane for lane in passing}
        for lane in lanes:
            if not watches[lane.host].admits:
                for command, slot in zip(lane.commands, lane.slots, strict=True):
                    error = self._noted(self._refusal(command, lane.host), command, slot, lane.host)
                    error.attempts = attempt - 1
                    if self._may_move(command):
                        self._move(command, slot, lane.host, error, again)
        return list(again.values())

    def _refusal(self, command: Command, host: int) -> HostError:
        watch = self._watches[host]
        engine: AnyEngine = watch.engine
        cause = engine.unavailable(f"it is taken for down: {watch.report().cause}")
        return engine.failed(HostDown, cause, command)

    def sorted_out(self, lanes: Sequence[Lane], answers: Sequence[Sequence[Any]], attempt: int) -> list[Lane]:
        """Note what the lanes ended in; return the lanes of the next attempt."""
        again: dict[int, Lane] = {}
        outcomes, tried = self.outcomes, self._tried
        self.waits = False
        for lane, found in zip(lanes, answers, strict=True):
            for slot, outcome in zip(lane.slots, found, strict=True):
                outcomes[slot] = outcome
            if tried:
                self._plan.moved.update((slot, lane.host) for slot in lane.slots if slot in tried)
            if any(issubclass(kind, Exception) for kind in set(map(type, found))):
                self._judge(lane, found)
                self._repeat(lane, found, attempt, again)
            else:
                self._watches[lane.host].succeeded()
        return list(again.values())

    def note_end(self, lanes: Sequence[Lane], answers: Sequence[Sequence[Any]], attempt: int) -> None:
        """Note what lanes ended in that nobody waits for any more. It says nothing of their hosts."""
        for lane, found in zip(lanes, answers, strict=True):
            for command, slot, outcome in zip(lane.commands, lane.slots, found, strict=True):
                noted = self._noted(outcome, command, slot, lane.host)
                if isinstance(noted, HostError):
                    noted.attempts = attempt

    def _noted(self, outcome: Any, command: Command, slot: int, host: int) -> Any:
        """Note what a part has ended in by now, and return it.

        A write that may have been applied by an earlier attempt still may, whatever a later one says but a value.
        """
        if isinstance(outcome, Exception) and command.access is Access.WRITE:
            doubt = self._doubts.get(slot)
            if isinstance(outcome, HostError) and not isinstance(outcome, HostDown):
                self._doubts[slot] = outcome
            elif doubt is not None:
                outcome = self._in_doubt(doubt, outcome, command, host)
        self.outcomes[slot] = outcome
        if slot in self._tried:
            self._plan.moved[slot] = host
        return outcome

    def _in_doubt(self, doubt: HostError, error: Exception, command: Command, host: int) -> HostError:
        if isinstance(error, DeadlineExceeded):
            doubt = self._watches[host].engine.failed(NotAnsweredInTime, error.__cause__ or error, command)
        doubt.add_note(f"it was tried again: {error}")
        return doubt

    def _judge(self, lane: Lane, found: Sequence[Any]) -> None:
        """Tell a watch how its host has fared."""
        watch = self._watches[lane.host]
        failures = [
            (outcome, command)
            for outcome, command in zip(found, lane.commands, strict=True)
            if isinstance(outcome, HostError)
        ]
        outage = next(
            (
                failure.__cause__ or failure
                for failure, command in failures
                if _is_outage(watch, failure) and not self._was_too_short(failure, command)
            ),
            None,
        )
        if outage is not None:
            watch.failed(outage)
        elif not failures:
            watch.succeeded()

    def _was_too_short(self, failure: HostError, command: Command) -> bool:
        """Whether a deadline was missed that says nothing: of no time at all, or of less than was to be waited."""
        return isinstance(failure, DeadlineExceeded) and (self.impatient or command.waits > 0)

    def _repeat(self, lane: Lane, found: Sequence[Any], attempt: int, again: dict[int, Lane]) -> None:
        """Note what a lane ended in, and put what is to be tried again into the lanes of the next attempt."""
        noted = [
            self._noted(outcome, command, slot, lane.host)
            for command, slot, outcome in zip(lane.commands, lane.slots, found, strict=True)
        ]
        for outcome in noted:
            if isinstance(outcome, HostError):
                outcome.attempts = attempt
        wanted = [
            position
            for position, outcome in enumerate(found)
            if isinstance(outcome, Exception)
            and self._wants(lane, position, outcome, outcome_of(noted[position]), attempt)
        ]
        if self._together:
            wanted = wanted if len(wanted) == len(found) else []
        elif len(wanted) < len(found):
            wanted = in_order(lane.commands, noted, wanted)
        for position in wanted:
            command, slot = lane.commands[position], lane.slots[position]
            if self._should_move(lane.host, command, found[position]):
                self._move(command, slot, lane.host, noted[position], again)
            elif self._watches[lane.host].admits:
                self.waits = True
                _put(again, lane.host, command, slot)

    def _wants(self, lane: Lane, position: int, error: Exception, outcome: Outcome, attempt: int) -> bool:
        if isinstance(error, DeadlineExceeded):
            return False
        if not isinstance(error, HostError) and not self._watches[lane.host].engine.is_passing(
            error, lane.commands[position]
        ):
            return False
        if outcome is Outcome.NOT_SENT and self._should_move(lane.host, lane.commands[position], error):
            return True  # another host is no second attempt
        attempts = attempt - self._before.get(lane.slots[position], 0)
        return self._rules.retry.repeats(lane.commands[position], outcome, attempts)

    # Other hosts ---------------------------------------------------------------------------------------------------

    def _may_move(self, command: Command) -> bool:
        return self._reroute and self._rules.placement.may_move(command)

    def _should_move(self, host: int, command: Command, error: Exception) -> bool:
        """Whether another host is to be tried: not if the host is well, and only its connections are all in use."""
        return (
            isinstance(error, HostError)
            and self._may_move(command)
            and _is_outage(self._watches[host], error)
        )

    def _move(self, command: Command, slot: int, host: int, error: HostError, again: dict[int, Lane]) -> None:
        """Give a part that ended in an error to other hosts, if there are any that it can go to."""
        rules, plan = self._rules, self._plan
        tried = self._tried.get(slot, set()) | {host}
        try:
            route = rules.placement.elsewhere(command, tried | self._down())
        except HostListExhausted as exhausted:
            self.outcomes[slot] = _exhausted(exhausted, error, command)
            return
        except RoutingError as why:
            error.add_note(f"it cannot go to other hosts instead: {why}")
            return
        if rules.stale and command.access is Access.WRITE:
            self._watches[host].take_out(error.__cause__ or error)
        first = plan.slots
        plan.put(slot, command, route, again)
        self.outcomes += [error] * (plan.slots - first)
        for place in range(first, plan.slots) or (slot,):
            self._tried[place], self._before[place] = tried, error.attempts
            plan.moved[place] = host  # until it was sent elsewhere: there may be no time for that
            if slot in self._doubts:
                self._doubts[place] = self._doubts[slot]

    def _down(self) -> set[int]:
        return {host for host, watch in enumerate(self._watches) if not watch.admits}


def _is_outage(watch: Watch[Any], failure: HostError) -> bool:
    engine: AnyEngine = watch.engine
    return engine.is_outage(failure.__cause__ or failure)


def _put(lanes: dict[int, Lane], host: int, command: Command, slot: int) -> None:
    lane = lanes.setdefault(host, Lane(host))
    lane.commands.append(command)
    lane.slots.append(slot)


def _exhausted(exhausted: HostListExhausted, error: HostError, command: Command) -> HostError:
    """No host is left. A command that may have been applied somewhere ends in that; others in this, of the client's type."""
    if outcome_of(error) is not Outcome.NOT_SENT:
        error.add_note(f"no other host is left: {exhausted.reason}")
        return error
    cause = error.__cause__ or error
    raised = host_error(HostListExhausted, cause, host=error.host, command=repr(command))
    raised.reason = f"{exhausted.reason}; the last said: {error}"
    raised.attempts = error.attempts
    return raised
