"""Work over many commands in pieces, so that others have their turn in between: other tasks of an event loop, other threads.

A function that works in pieces is a generator, which yields between two of them and returns the result.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import TypeVar

__all__ = ["COSTLY", "OF_LANE", "PIECE", "Pace", "Work", "done", "slices"]

T = TypeVar("T")

#: How many commands are dealt with at once: a millisecond or two. A lane of one host among many takes less at once, for all
#: lanes may work in one turn of an event loop. An error costs far more than a value, so fewer of them are dealt with.
PIECE, OF_LANE, COSTLY = 500, 128, 16

#: Work in pieces: yields between two of them, and returns the result.
Work = Generator[None, None, T]


class Pace:
    """Tells when others should have their turn, while several loops over commands follow one another."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = 0.0

    def is_used_up(self, count: int, most: int = PIECE) -> bool:
        """Take note of some commands that were dealt with, and tell whether it is time for others.

        Parameters:
            count: How many commands.
            most: How many of their kind may be dealt with at once.
        """
        self._used += count / most
        if self._used < 1.0:
            return False
        self._used = 0.0
        return True


def slices(length: int, most: int = PIECE) -> Iterable[slice]:
    """Return the slices that cut a sequence into pieces."""
    if length <= most:  # nearly always
        return (slice(0, length),) if length else ()
    return (slice(start, min(start + most, length)) for start in range(0, length, most))


def done(work: Work[T]) -> T:
    """Do some work in one go; return the result."""
    try:
        while True:
            next(work)
    except StopIteration as end:
        value: T = end.value
        return value
