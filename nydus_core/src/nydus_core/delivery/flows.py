"""The decisions of delivering a plan, as a generator that does no I/O.

A flow yields what to do next, lanes to deliver or a pause, and is sent the outcomes of the lanes; a driver (``drivers.py``)
does it. So what is decided here holds for blocking and for asynchronous clusters alike: who is sent to, what is tried
again, when, and where.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from nydus_core.deadlines import Deadline
from nydus_core.delivery.plan import Lane, Plan
from nydus_core.delivery.progress import Progress
from nydus_core.delivery.rules import Rules

__all__ = ["Flow", "Interrupted", "Pause", "Step", "deliver"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait before the next attempt.

    Attributes:
        seconds: How long.
    """

    seconds: float


class Interrupted(BaseException):
    """Thrown into a flow by the driver of a caller that wants no more of it, such as a task that was cancelled.

    The flow notes what is known of the commands by then, and raises it again.

    Parameters:
        answers: For each lane under way the outcomes of its commands; none in a pause.
    """

    def __init__(self, answers: Sequence[Sequence[Any]]) -> None:
        super().__init__(answers)
        self.answers = answers


#: Seconds that a host must have had, before it speaks against it that it missed a deadline.
_PATIENCE = 0.05

#: What a flow wants done next.
Step = Sequence[Lane] | Pause

#: Yields lanes, to be sent for each of them the outcomes of its commands, or a pause; returns what it is for.
Flow = Generator[Step, Sequence[Sequence[Any]], T_co]


def deliver(
    plan: Plan,
    rules: Rules,
    *,
    together: bool = False,
    bound: bool = False,
    deadline: Deadline | None = None,
    begun: Exception | None = None,
) -> Flow[list[Any]]:
    """Deliver a plan: all lanes at the same time, and again what may and should be tried again.

    Parameters:
        plan: What goes where.
        rules: What to do about hosts that fail.
        together: Whether each host applies all of its commands or none, so that they are tried again together.
        bound: Whether the hosts were named by the user, so that no other will do.
        deadline: When all of it has to be over.
        begun: What the first attempt of the only command ended in, if there was one already.

    Returns:
        For each command its value, or the exception that it ended in.

    Raises:
        Interrupted: By a driver that was. What everything ended in is in the plan then, too.
    """
    progress = Progress(plan, rules, together, bound or together)
    try:
        yield from _attempts(progress, plan.lanes, rules, deadline, begun)
    except Interrupted:
        plan.results(progress.outcomes)
        raise
    return plan.results(progress.outcomes)


def _attempts(
    progress: Progress,
    lanes: Sequence[Lane],
    rules: Rules,
    deadline: Deadline | None,
    begun: Exception | None,
) -> Flow[None]:
    answers: Sequence[Sequence[Any]] | None = None if begun is None else [[begun]]
    attempt = 1
    while lanes:
        if answers is None:
            if deadline is not None and not deadline.left():
                progress.expire(lanes, deadline)
                break
            lanes = progress.admitted(lanes, attempt)
            progress.impatient = deadline is not None and deadline.left() < _PATIENCE
            try:
                answers = (yield lanes) if lanes else []
                progress.impatient = progress.impatient or (deadline is not None and deadline.overslept)
            except Interrupted as end:
                progress.note_end(lanes, end.answers, attempt)
                raise
        lanes = progress.sorted_out(lanes, answers, attempt)
        answers = None
        if lanes and progress.waits:
            pause = rules.retry.backoff(attempt)
            if deadline is not None and pause >= deadline.left():
                break
            yield Pause(pause)
        attempt += 1
