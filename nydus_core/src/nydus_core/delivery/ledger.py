"""The ledger of a delivery: the outcome of each command so far, and the lanes of the next attempt. No I/O.

``flows`` asks it, attempt by attempt. ``retry`` says which commands may be tried again, ``reroute`` finds other hosts, and the
watch of a host knows whether it is up. The module is long on purpose: all that decides how a command ends stands on one page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.deadlines import Deadline
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.reroute import Rerouter
from nydus_core.delivery.retry import PolicyFault, may_repeat, ordering
from nydus_core.delivery.rules import CallOptions, Rules
from nydus_core.engines import mark_if_answer, waited_in_vain
from nydus_core.errors import (
    CANCELLED,
    DeadlineExceeded,
    HostDown,
    HostError,
    NotAnsweredInTime,
    NotSentInTime,
)
from nydus_core.health import WatchBase
from nydus_core.pieces import COSTLY, Pace, Work, done, slices

__all__ = ["Ledger"]

#: How many outcomes are noted at once, and how many commands are asked whether they are to be tried again.
_QUICK, _ASKED = 10_000, 200


class Ledger:
    """The state of one delivery.

    Parameters:
        plan: Where the commands go.
        rules: The rules of the delivery.
        options: The options of the call.

    Attributes:
        outcomes: The outcomes of commands and parts so far, by position.
        lanes: The lanes of the next attempt.
        attempt: The number of the next attempt, from 1.
        pauses: Whether a host is about to be tried again, so that a pause is due.
        hasty: Whether hosts had so little time to answer that one missed deadline says nothing of them.
        overslept: Whether this process was busy when the deadline was over, so that a missed one says nothing at all.
    """

    def __init__(self, plan: Plan, rules: Rules, options: CallOptions) -> None:
        self._plan = plan
        self._watches = rules.watches
        self._retry = rules.retry
        self._rerouter: Rerouter | None = None  # made when a host fails
        self._rules, self._options = rules, options
        self.outcomes: list[Any] = [None] * plan.size
        # By position, the errors of writes that may have been applied
        self._doubts: dict[int, HostError] = {}
        self.lanes: Sequence[Lane] = plan.lanes
        self.attempt = 1
        self.pauses = self.hasty = self.overslept = False
        self._pace = Pace()

    # Before an attempt -----------------------------------------------------------------------------------------------

    def expire(self, deadline: Deadline) -> Work[None]:
        """End the commands that were not sent when the deadline is over; commands that were tried end as they did."""
        return self._end_unsent(NotSentInTime, lambda engine: engine.late(str(deadline)))

    def abandon(self) -> None:
        """End the commands that were not sent when the caller wants no more of them."""
        done(self._end_unsent(HostDown, lambda engine: engine.unavailable(CANCELLED)))

    def _end_unsent(self, kind: type[HostError], why: Callable[[Any], Exception]) -> Work[None]:
        for lane in self.lanes:
            engine = self._watches[lane.host].engine
            for command, position in zip(lane.commands, lane.positions, strict=True):
                if self.outcomes[position] is None:
                    error = engine.failed(kind, why(engine), command)
                    error.attempts = 0
                    self.outcomes[position] = error
                    if self._pace.is_used_up(1, COSTLY):
                        yield

    def all_admitted(self) -> bool:
        """Tell whether all lanes may go to their hosts."""
        watches = self._watches
        return all(watches[lane.host].admits for lane in self.lanes)

    def admit(self) -> Work[None]:
        """Take the lanes of hosts that are down out of the next attempt: their commands are rerouted or refused."""
        watches = self._watches
        passing = [lane for lane in self.lanes if watches[lane.host].admits]
        again = {lane.host: lane for lane in passing}
        for lane in self.lanes:
            if lane.host not in again or again[lane.host] is not lane:
                yield from self._refuse(lane, again)
        self.lanes = list(again.values())

    def _refuse(self, lane: Lane, again: dict[int, Lane]) -> Work[None]:
        rerouter = self._elsewhere()
        rerouter.note(lane)
        for command, position in zip(lane.commands, lane.positions, strict=True):
            refusal = self._watches[lane.host].refusal(command)
            error: HostError = self._noted(refusal, command, position, lane.host)
            error.attempts = self.attempt - 1
            if rerouter.may_move(command) and self._watches[lane.host].replaceable:
                self._move(command, position, lane.host, error, again)
            else:
                rerouter.tell_bound(command, error)
            if self._pace.is_used_up(1, COSTLY):
                yield

    # After an attempt ------------------------------------------------------------------------------------------------

    def note(self, answers: Sequence[Sequence[Any]]) -> Work[None]:
        """Note the outcomes of an attempt, and plan the lanes of the next.

        Parameters:
            answers: For each lane the outcomes of its commands.
        """
        again: dict[int, Lane] = {}
        outcomes = self.outcomes
        self.pauses = False
        self._pace = Pace()  # others had their turn while the hosts were at work
        for lane, found in zip(self.lanes, answers, strict=True):
            if len(found) == 1:  # a single command, and a short way for it
                outcomes[lane.positions[0]] = found[0]
            else:
                for piece in slices(len(found), _QUICK):
                    for position, outcome in zip(lane.positions[piece], found[piece], strict=True):
                        outcomes[position] = outcome
                    if self._pace.is_used_up(piece.stop - piece.start, _QUICK):
                        yield
            if self._rerouter is not None:
                self._rerouter.note(lane)
            if any(issubclass(kind, Exception) for kind in set(map(type, found))):
                yield from self._keep_secrets(lane, found)
                yield from self._judge_host(lane, found)
                yield from self._try_again(lane, found, again)
            else:
                self._watches[lane.host].succeeded()
        self.lanes = list(again.values())
        self.attempt += 1

    def note_end(self, answers: Sequence[Sequence[Any]]) -> None:
        """Note the outcomes of lanes that nobody waits for any more. They say nothing of the hosts.

        Parameters:
            answers: For each lane the outcomes of its commands.
        """
        for lane, found in zip(self.lanes, answers, strict=True):
            if self._rerouter is not None:
                self._rerouter.note(lane)
            self._watches[lane.host].keep_secrets(found)
            done(self._note_errors(lane, found))

    def _keep_secrets(self, lane: Lane, found: Sequence[Any]) -> Work[None]:
        for piece in slices(len(found), COSTLY):
            self._watches[lane.host].keep_secrets(found[piece])
            if self._pace.is_used_up(piece.stop - piece.start, COSTLY):
                yield

    def _note_errors(self, lane: Lane, found: Sequence[Any]) -> Work[list[Any]]:
        noted: list[Any] = []
        for piece in slices(len(found)):
            for command, position, outcome in zip(
                lane.commands[piece], lane.positions[piece], found[piece], strict=True
            ):
                noted.append(self._noted(outcome, command, position, lane.host))
                if isinstance(noted[-1], HostError):
                    noted[-1].attempts = self.attempt
            if self._pace.is_used_up(piece.stop - piece.start):
                yield
        return noted

    def _noted(self, outcome: Any, command: Command, position: int, host: int) -> Any:
        """Note the outcome of a command, and return it.

        A write that may have been applied by an earlier attempt still may, whatever a later one says but a value.
        """
        if isinstance(outcome, Exception) and not isinstance(outcome, HostError):
            mark_if_answer(self._watches[host].engine, outcome)
        if isinstance(outcome, Exception) and command.access is Access.WRITE:
            doubt = self._doubts.get(position)
            if isinstance(outcome, HostError) and not isinstance(outcome, HostDown):
                self._doubts[position] = outcome
            elif doubt is not None:
                outcome = self._in_doubt(doubt, outcome, command, host)
        self.outcomes[position] = outcome
        return outcome

    def _in_doubt(self, doubt: HostError, error: Exception, command: Command, host: int) -> HostError:
        if isinstance(error, DeadlineExceeded):
            doubt = self._watches[host].engine.failed(NotAnsweredInTime, error.__cause__ or error, command)
        doubt.add_note(f"it was tried again: {error}")
        return doubt

    def _judge_host(self, lane: Lane, found: Sequence[Any]) -> Work[None]:
        """Tell the watch of a host how the host has fared."""
        watch = self._watches[lane.host]
        failures: list[HostError] = []
        outages: list[HostError] = []
        for piece in slices(len(found), _ASKED):
            for outcome, command in zip(found[piece], lane.commands[piece], strict=True):
                if isinstance(outcome, HostError):
                    failures.append(outcome)
                    if watch.blames(outcome) and not self._says_nothing(outcome, command):
                        outages.append(outcome)
            if self._pace.is_used_up(piece.stop - piece.start, _ASKED):
                yield
        outage = next((failure for failure in outages if not self._was_too_short(failure)), None)
        if outage is not None:
            watch.failed(outage.__cause__ or outage)
        elif not failures:
            watch.succeeded()
        elif outages:
            watch.missed(outages[0].__cause__ or outages[0])
        else:
            self._note_denial(watch, failures)

    def _note_denial(self, watch: WatchBase[Any], failures: Sequence[HostError]) -> None:
        denial = next((failure for failure in failures if watch.denies(failure)), None)
        if denial is not None:
            watch.denied(denial.__cause__ or denial)

    def _says_nothing(self, failure: HostError, command: Command) -> bool:
        """Tell whether a missed deadline says nothing: nobody looked at the clock, or the command asks to wait longer."""
        return isinstance(failure, DeadlineExceeded) and (self.overslept or command.waits > 0)

    def _was_too_short(self, failure: HostError) -> bool:
        """Tell whether there was hardly any time to answer, so that only several such failures say anything."""
        return isinstance(failure, DeadlineExceeded) and self.hasty

    # The next attempt ------------------------------------------------------------------------------------------------

    def _try_again(self, lane: Lane, found: Sequence[Any], again: dict[int, Lane]) -> Work[None]:
        """Note the outcomes of a lane, and put the commands that are to be tried again into the next lanes."""
        noted = yield from self._note_errors(lane, found)
        wanted: list[int] = []
        for piece in slices(len(found), _ASKED):
            for index in range(piece.start, piece.stop):
                outcome, told = found[index], noted[index]
                if told is outcome and isinstance(outcome, HostError):
                    self._elsewhere().tell_bound(lane.commands[index], outcome)
                if isinstance(outcome, Exception) and self._wants(lane, index, outcome, outcome_of(told)):
                    wanted.append(index)
            if self._pace.is_used_up(piece.stop - piece.start, _ASKED):
                yield
        if self._options.transaction:
            wanted = wanted if len(wanted) == len(found) else []
        elif len(wanted) < len(found):
            wanted = yield from ordering(lane.commands, noted, wanted)
        for piece in slices(len(wanted), _ASKED):
            for index in wanted[piece]:
                self._put_again(lane, index, found[index], noted[index], again)
            if self._pace.is_used_up(piece.stop - piece.start, _ASKED):
                yield

    def _put_again(
        self, lane: Lane, index: int, outcome: HostError, told: HostError, again: dict[int, Lane]
    ) -> None:
        command, position = lane.commands[index], lane.positions[index]
        if self._elsewhere().should_move(lane.host, command, outcome):
            self._move(command, position, lane.host, told, again)
        elif self._watches[lane.host].admits:
            self.pauses = True
            again.setdefault(lane.host, Lane(lane.host, transaction=self._options.transaction)).add(
                command, position
            )

    def _wants(self, lane: Lane, index: int, error: Exception, outcome: Outcome) -> bool:
        """Tell whether a command of a lane is to be tried again."""
        command = lane.commands[index]
        if isinstance(error, DeadlineExceeded) or self._watches[lane.host].denies(error):
            return False
        if waited_in_vain(error):  # for all the time that it has
            return False
        if not isinstance(error, HostError) and not self._watches[lane.host].engine.is_passing(
            error, command
        ):
            return False
        if outcome is Outcome.NOT_SENT and self._elsewhere().should_move(lane.host, command, error):
            return True  # another host is no second attempt
        attempts = self._elsewhere().attempts(lane.positions[index], self.attempt)
        try:
            return may_repeat(self._retry, command, outcome, attempts)
        except PolicyFault as fault:
            self._tell(lane.positions[index], str(fault))
            return False

    def give_up(self, why: str) -> None:
        """Note on the errors of all commands that were to be tried again why they are not."""
        for position in sorted({position for lane in self.lanes for position in lane.positions}):
            self._tell(position, why)

    def _tell(self, position: int, why: str) -> None:
        error = self.outcomes[position]
        if isinstance(error, Exception) and why not in getattr(error, "__notes__", ()):
            error.add_note(why)

    def _elsewhere(self) -> Rerouter:
        if self._rerouter is None:
            self._rerouter = Rerouter(self._plan, self._rules, self._options)
        return self._rerouter

    def _move(
        self, command: Command, position: int, host: int, error: HostError, again: dict[int, Lane]
    ) -> None:
        """Give a command that ended in an error to other hosts, if it can go to any."""
        moved = self._elsewhere().move(position, command, host, error, again)
        if isinstance(moved, HostError):
            self.outcomes[position] = moved
            return
        self.outcomes += [error] * (self._plan.size - len(self.outcomes))
        if position in self._doubts:
            self._doubts.update(dict.fromkeys(moved, self._doubts[position]))
