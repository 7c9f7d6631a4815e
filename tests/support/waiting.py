"""Time in tests. A loaded machine may be slow by any factor, so a test waits for conditions, and a limit is one that only a
hang reaches. Where a deadline has to be short, ``long_enough`` makes it as long as the machine needs.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["LONG", "Clock", "TooShort", "long_enough", "no_hang", "until", "until_async"]

T = TypeVar("T")

#: Seconds after which a test may say that something hangs. Below pytest's own time limit, so that the test says what.
LONG = 40.0


def until(true: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until a condition holds.

    Raises:
        AssertionError: It does not hold after so many seconds.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come true within {seconds:g} s"
        time.sleep(0.002)


async def until_async(true: Callable[[], object], seconds: float = LONG) -> None:
    """Wait until a condition holds, while other tasks go on.

    Raises:
        AssertionError: It does not hold after so many seconds.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not come true within {seconds:g} s"
        await asyncio.sleep(0.002)


@contextmanager
def no_hang(seconds: float = 30.0) -> Iterator[None]:
    """Run a block that would take for ever, or several times as long as this, if it were wrong.

    Raises:
        AssertionError: The block took longer.
    """
    start = time.monotonic()
    yield
    took = time.monotonic() - start
    assert took < seconds, f"it hung: {took:.1f} s"


class TooShort(Exception):
    """The time that a scenario was given was over before it came to its point."""


def long_enough(scenario: Callable[[float], T], first: float = 0.05) -> T:
    """Run a scenario with a short time limit, and again with longer ones as long as it raises ``TooShort``.

    As a decorator of a function inside a test, it runs the function at once.

    Parameters:
        scenario: Is given the limit in seconds. Each run stands for itself.
        first: The first limit.
    """
    for factor in (1, 6, 36):
        try:
            return scenario(first * factor)
        except TooShort:
            continue
    return scenario(first * 216)


class Clock:
    """A clock that the test sets.

    Parameters:
        now: The time in seconds.
    """

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
