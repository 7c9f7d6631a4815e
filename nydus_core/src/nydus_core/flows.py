"""The decisions of delivering a plan, as a generator that does no I/O.

A flow yields the lanes to deliver and is sent the outcomes of their commands; a driver (``drivers.py``) does the I/O
in between. So that what is decided here holds for blocking and for asynchronous clusters alike.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from nydus_core.plan import Lane, Plan, joined

__all__ = ["Flow", "deliver"]

#: Yields lanes, is sent for each lane the outcomes of its commands, and returns the outcome of every command.
Flow = Generator[Sequence[Lane], Sequence[Sequence[Any]], list[Any]]


def deliver(plan: Plan) -> Flow:
    """Deliver a plan: each lane once, all of them at the same time.

    Parameters:
        plan: What goes where.

    Returns:
        For each command its value, or the exception that it ended in.
    """
    outcomes: list[Any] = [None] * plan.slots
    answers = yield plan.lanes
    for lane, found in zip(plan.lanes, answers, strict=True):
        for slot, outcome in zip(lane.slots, found, strict=True):
            outcomes[slot] = outcome
    for position, join in plan.joins.items():
        outcomes[position] = joined(join, outcomes, plan.names)
    return outcomes[: len(plan.commands)]
