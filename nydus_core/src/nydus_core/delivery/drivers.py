"""The I/O of a flow, blocking: send to all hosts, then read from all.

Engines whose batches overlap (sending apart from reading) are driven by the calling thread alone: every host has its
commands before the first answer is awaited. Work that has to wait, such as opening a connection, or an engine that
cannot do the two apart, gets a thread for each host.

``in_time`` does the same with a deadline.

Once commands may have been sent, nothing here opens a file or a socket: a process that has no more of them still learns how
its commands ended.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import BuiltinFunctionType
from typing import Any, Generic, NamedTuple, TypeVar

from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Flow, Step
from nydus_core.delivery.in_time import exchange_in_time
from nydus_core.delivery.plan import Lane
from nydus_core.delivery.steps import Pause
from nydus_core.engines import Batch, Engine
from nydus_core.redaction import redactor_of
from nydus_core.threads import Future, start

__all__ = ["run"]

T = TypeVar("T")

logger = logging.getLogger("nydus")


def run(flow: Flow[T], engines: Sequence[Engine], deadline: Deadline | None = None) -> T:
    """Drive a flow to its end.

    Parameters:
        flow: The flow, which decides.
        engines: The engines, in host order.
        deadline: The time by which the flow has to end.

    Returns:
        The result of the flow.

    Raises:
        Exception: The flow raised it.
    """
    answers: Sequence[Sequence[Any]] = ()
    started = False
    try:
        while True:
            try:
                step = flow.send(answers) if started else next(flow)
            except StopIteration as end:
                value: T = end.value
                return value
            started = True
            try:
                answers = _performed(step, engines, deadline)
            except BaseException as error:
                for engine in engines:
                    redactor_of(engine).clean(error)
                flow.throw(error)  # it has promises to mark
                raise
    finally:
        flow.close()  # interrupted between two steps: it has promises to mark


def _performed(step: Step, engines: Sequence[Engine], deadline: Deadline | None) -> Sequence[Sequence[Any]]:
    if isinstance(step, Pause):
        # Threads get their turns without being asked, greenlets of gevent, which replaces this function, do not
        if step.seconds or not isinstance(time.sleep, BuiltinFunctionType):
            time.sleep(step.seconds)
        return ()
    if deadline is None:
        return _exchange(step, engines)
    return exchange_in_time(step, engines, deadline)


def _exchange(lanes: Sequence[Lane], engines: Sequence[Engine]) -> list[list[Any]]:
    hosts = [engines[lane.host] for lane in lanes]
    with _batches(lanes, hosts) as batches:
        waits: list[bool] = []
        for batch in batches:  # the first host is at work while the commands for the next are put together
            waits.append(not batch.ready)  # asked once: sending changes the answer
            if not waits[-1]:
                batch.send()
        # A host that has to be waited for is waited for apart, up to its answers: who waits in line for a connection to one
        # host must not keep, meanwhile, a connection to another, for which somebody else may be in line
        return _at_once(
            [
                _exchange_of(batch, host)
                if has_to_wait
                else _Job(batch.receive, batch, host, not batch.overlaps)
                for batch, host, has_to_wait in zip(batches, hosts, waits, strict=True)
            ]
        )


def _exchange_of(batch: Batch, host: Engine) -> _Job[list[Any]]:
    """Return the job to send and receive. Where sending is apart, only that counts among the threads of the host."""
    if batch.overlaps:
        return _Job(batch.receive, batch, host, True, batch.send)

    def exchange() -> list[Any]:
        batch.send()
        return batch.receive()

    return _Job(exchange, batch, host, True)


@contextmanager
def _batches(lanes: Sequence[Lane], hosts: Sequence[Engine]) -> Generator[list[Batch]]:
    with ExitStack() as stack:
        batches = [
            host.batch(lane.commands, transaction=lane.transaction)
            for lane, host in zip(lanes, hosts, strict=True)
        ]
        for batch in reversed(batches):
            stack.callback(batch.close)
        yield batches


class _Job(NamedTuple, Generic[T]):
    """Something to be done for a host."""

    do: Callable[[], T]
    batch: Batch
    host: Engine
    waits: bool  # then it gets a thread
    first: Callable[[], object] | None = None  # see ``threads.start``

    def here(self) -> T:
        """Do it in the calling thread."""
        if self.first is not None:
            self.first()
        return self.do()


def _at_once(jobs: Sequence[_Job[T]]) -> list[T]:
    """Do jobs at the same time; return their results, in order."""
    waiting = [number for number, job in enumerate(jobs) if job.waits]
    if len(waiting) == len(jobs):
        del waiting[-1:]  # the calling thread would be idle
    futures: dict[int, Future[T]] = {number: Future() for number in waiting}
    started: set[int] = set()
    try:
        for number, future in futures.items():
            # If there is no thread, or enough are at work for this host, the calling thread does it
            if start(
                future, jobs[number].do, host=jobs[number].host, in_line=False, first=jobs[number].first
            ):
                started.add(number)
        left = [number for number in range(len(jobs)) if number not in started]
        here = {number: jobs[number].here() for number in sorted(left, key=lambda number: jobs[number].waits)}
        return [
            futures[number].result() if number in started else here[number] for number in range(len(jobs))
        ]
    except BaseException:  # a Ctrl-C waits for no answers
        for number in started:
            with suppress(Exception):
                jobs[number].batch.abort()
        raise
    finally:  # nobody may be left using a connection
        for future in futures.values():
            if not future.cancel():
                future.wait()
