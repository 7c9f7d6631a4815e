"""The attempts of a delivery, as a generator that does no I/O.

A flow yields the next step, lanes to send or a pause, and is sent the outcomes of the lanes; a driver (``drivers``) takes the
step. So a decision made here holds for blocking and for asynchronous clusters alike: who is sent to, which commands are tried
again, when, and where.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, TypeVar

from nydus_core.delivery.ledger import Ledger
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.retry import PolicyFault, RetryPolicy, pause_of
from nydus_core.delivery.rules import PLAIN, CallOptions, Rules
from nydus_core.delivery.steps import Interrupted, Pause, in_turns
from nydus_core.health import ENOUGH

__all__ = ["Flow", "Interrupted", "Pause", "Step", "deliver"]

T_co = TypeVar("T_co", covariant=True)


#: The next thing that a flow wants done.
Step = Sequence[Lane] | Pause

#: Yields lanes, to be sent for each of them the outcomes of its commands, or a pause; returns its result.
Flow = Generator[Step, Sequence[Sequence[Any]], T_co]


def deliver(plan: Plan, rules: Rules, options: CallOptions = PLAIN) -> Flow[list[Any]]:
    """Deliver a plan: all lanes at the same time, and again the commands that may and should be tried again.

    Parameters:
        plan: Where the commands go.
        rules: The rules about hosts that fail.
        options: The options of the call.

    Returns:
        For each command its value, or the exception that it ended in. They are in the plan then, too.

    Raises:
        Interrupted: The caller wants no more of it. The outcomes known by then are in the plan.
    """
    ledger = Ledger(plan, rules, options)
    try:
        yield from _attempts(ledger, rules.retry, options)
    except Interrupted:
        plan.merge(ledger.outcomes)
        raise
    if not plan.parts:
        return plan.merge(ledger.outcomes)
    return (yield from in_turns(plan.merging(ledger.outcomes)))


def _attempts(ledger: Ledger, retry: RetryPolicy, options: CallOptions) -> Flow[None]:
    deadline = options.deadline
    if options.first_error is not None:
        yield from in_turns(ledger.note([[options.first_error]]))
        if not (yield from _paused(ledger, retry, options)):
            return
    while ledger.lanes:
        if deadline is not None and not deadline.left():
            yield from in_turns(ledger.expire(deadline))
            return
        if not ledger.all_admitted():
            try:
                yield from in_turns(ledger.admit())
            except Interrupted:
                ledger.abandon()
                raise
        ledger.hasty = deadline is not None and deadline.left() < ENOUGH
        try:
            answers: Sequence[Sequence[Any]] = (yield ledger.lanes) if ledger.lanes else []
        except Interrupted as end:
            ledger.note_end(end.answers)
            raise
        ledger.overslept = deadline is not None and deadline.overslept
        yield from in_turns(ledger.note(answers))
        if not (yield from _paused(ledger, retry, options)):
            return


def _paused(ledger: Ledger, retry: RetryPolicy, options: CallOptions) -> Flow[bool]:
    """Wait before the same host is tried again; return False if the deadline comes first, or the policy knows no time."""
    if ledger.lanes and ledger.pauses:
        deadline = options.deadline
        try:
            pause = pause_of(retry, ledger.attempt - 1)
        except PolicyFault as fault:
            ledger.give_up(str(fault))
            return False
        if deadline is not None and pause >= deadline.left():
            return False
        yield Pause(pause)
    return True
