"""Waiting for a condition, in one way. The time limit is one that only a hang reaches: a loaded machine may be slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

__all__ = ["LONG", "until", "until_async"]

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
