"""The I/O of a flow, blocking: send to all hosts, then read from all.

Engines whose batches overlap (sending apart from reading) are driven by the calling thread alone: every host has its
commands before the first answer is awaited. What has to wait on the way, opening a connection or an engine that
cannot do the two apart, gets a thread for each host.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Any, TypeVar

from nydus_core.engine import Engine
from nydus_core.flows import Flow
from nydus_core.plan import Lane

__all__ = ["run"]

T = TypeVar("T")

#: More hosts than this at once wait for each other.
MOST_THREADS = 256


def run(flow: Flow, engines: Sequence[Engine], *, transaction: bool = False) -> list[Any]:
    """Drive a flow to its end.

    Parameters:
        flow: What decides.
        engines: The hosts, in host order.
        transaction: Whether each host must apply all of its commands or none.

    Returns:
        For each command its value, or the exception that it ended in.
    """
    lanes = next(flow)
    while True:
        try:
            lanes = flow.send(_exchange(lanes, engines, transaction))
        except StopIteration as end:
            outcomes: list[Any] = end.value
            return outcomes


def _exchange(lanes: Sequence[Lane], engines: Sequence[Engine], transaction: bool) -> list[list[Any]]:
    batches = [engines[lane.host].batch(lane.commands, transaction=transaction) for lane in lanes]
    with ExitStack() as stack:
        for batch in reversed(batches):
            stack.callback(batch.close)
        waits = [not batch.ready for batch in batches]  # asked once: sending changes the answer
        for batch, has_to_wait in zip(batches, waits, strict=True):
            if not has_to_wait:
                batch.send()
        _at_once(
            [(batch.send, True) for batch, has_to_wait in zip(batches, waits, strict=True) if has_to_wait]
        )
        return _at_once([(batch.receive, not batch.overlaps) for batch in batches])


def _at_once(jobs: Sequence[tuple[Callable[[], T], bool]]) -> list[T]:
    """Run jobs, each with whether it has to wait for something; those that do get threads. Results in order."""
    waiting = [number for number, (_, waits) in enumerate(jobs) if waits]
    if len(waiting) == len(jobs):
        del waiting[-1:]  # the calling thread would be idle
    started: dict[int, Future[T]] = {}
    try:
        for number in waiting:
            future = _in_thread(jobs[number][0])
            if future is None:  # then the calling thread does the rest itself
                break
            started[number] = future
        here = {number: job() for number, (job, _) in enumerate(jobs) if number not in started}
        return [
            started[number].result() if number in started else here[number] for number in range(len(jobs))
        ]
    finally:
        wait(started.values())  # also after a Ctrl-C: nobody may be left using a connection


def _in_thread(job: Callable[[], T]) -> Future[T] | None:
    """Run a job in a thread; None if there are no more threads to be had, as when Python ends."""
    global _threads
    with _lock:
        if _threads is None:
            _threads = ThreadPoolExecutor(MOST_THREADS, "nydus")
        try:
            return _threads.submit(contextvars.copy_context().run, job)
        except RuntimeError:
            return None


_threads: ThreadPoolExecutor | None = None
_lock = threading.Lock()


def _forget_threads() -> None:
    """A fork has copied the object but not the threads: its child starts its own."""
    global _threads, _lock
    _threads, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
