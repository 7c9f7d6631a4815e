"""Event loops for tests: nothing may be left behind of which asyncio would complain."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from waiting import LONG

__all__ = ["in_loop"]

T = TypeVar("T")


def in_loop(main: Callable[[], Coroutine[Any, Any, T]], *, debug: bool = True) -> T:
    """Run a coroutine function in a loop of its own, in asyncio's debug mode.

    Raises:
        AssertionError: asyncio has complained: of an exception that nobody retrieved, a task that was destroyed, and so
            on.
    """
    complaints: list[dict[str, Any]] = []
    with asyncio.Runner(debug=debug) as runner:
        runner.get_loop().slow_callback_duration = LONG  # a loaded machine is slow, which is no complaint
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(context))
        value = runner.run(main())
    gc.collect(1)  # the young ones: a whole collection takes longer than the test
    assert not complaints, complaints
    return value
