"""The steps of a flow besides lanes: a pause, and the turn of others. No I/O.

A flow of many commands would keep an event loop to itself, so it does its work in pieces, and yields a ``TURN`` between them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeVar

from nydus_core.pieces import Work, done

__all__ = ["TURN", "Interrupted", "Pause", "in_turns"]

T = TypeVar("T")


class Pause(NamedTuple):
    """A wait before the next attempt.

    Attributes:
        seconds: How long.
    """

    seconds: float


#: The turn of other tasks, between two pieces of work.
TURN = Pause(0.0)


class Interrupted(BaseException):
    """Thrown into a flow by a driver whose caller wants no more of it, such as a task that was cancelled.

    The flow notes the outcomes that are known by then, and raises it again.

    Parameters:
        answers: For each lane under way the outcomes of its commands; none in a pause.
    """

    def __init__(self, answers: Sequence[Sequence[Any]]) -> None:
        super().__init__(answers)
        self.answers = answers


def in_turns(work: Work[T], *, to_its_end: bool = True) -> Generator[Pause, Any, T]:
    """Do some work, with a turn for others between its pieces.

    Parameters:
        work: The work.
        to_its_end: Whether it is done to its end if something is thrown in meanwhile.

    Returns:
        The result of the work.

    Raises:
        BaseException: Thrown in meanwhile.
    """
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: T = end.value
            return value
        try:
            yield TURN
        except BaseException:
            if to_its_end:
                done(work)
            raise
