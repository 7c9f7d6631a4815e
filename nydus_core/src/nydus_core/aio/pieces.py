"""Work in pieces on an event loop: between two pieces other tasks have their turn."""

from __future__ import annotations

from asyncio import CancelledError, sleep
from typing import TypeVar

from nydus_core.pieces import Work, done

__all__ = ["with_turns"]

T = TypeVar("T")


async def with_turns(work: Work[T]) -> tuple[T, CancelledError | None]:
    """Do some work, with a turn for other tasks between its pieces.

    A task that is cancelled meanwhile does the rest at once: it has outcomes to tell.

    Parameters:
        work: The work.

    Returns:
        The result, and the cancellation that came meanwhile, if there was one.
    """
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: T = end.value
            return value, None
        try:
            await sleep(0)
        except CancelledError as cancelled:
            return done(work), cancelled
