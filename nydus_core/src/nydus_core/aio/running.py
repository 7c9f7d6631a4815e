"""The running event loop, or the error that says what to do where none of asyncio runs."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

from nydus_core.errors import NoEventLoop

__all__ = ["running_loop"]


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        NoEventLoop: None of asyncio is running in this thread.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        pass
    raise NoEventLoop(_what_to_do())


def _what_to_do() -> str:
    for name, (is_running, instead) in _OTHERS.items():
        module = sys.modules.get(name)
        if module is not None and is_running(module):
            return (
                f"an asynchronous cluster needs an event loop of asyncio, and here {name} runs: make a blocking cluster with "
                f"create_cluster, and call its commands by {instead}"
            )
    return (
        "an asynchronous cluster needs a running event loop of asyncio, and none runs in this thread: call it in a coroutine "
        "that asyncio.run() runs, or make a blocking cluster with create_cluster"
    )


def _in_trio(trio: Any) -> bool:
    try:
        trio.lowlevel.current_task()
    except (AttributeError, RuntimeError):
        return False
    return True


def _in_curio(curio: Any) -> bool:
    try:
        return bool(curio.meta.curio_running())
    except AttributeError:
        return False


#: Other drivers of coroutines: whether one is running, and how it calls a function that waits. None of them is imported here.
_OTHERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "trio": (_in_trio, "trio.to_thread.run_sync"),
    "curio": (_in_curio, "curio.run_in_thread"),
}
