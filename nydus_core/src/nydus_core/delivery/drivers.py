"""The I/O of a flow, blocking: send to all hosts, then read from all.

Engines whose batches overlap (sending apart from reading) are driven by the calling thread alone: every host has its
commands before the first answer is awaited. Work that has to wait, such as opening a connection, or an engine that
cannot do the two apart, gets a thread for each host.

With a deadline, an alarm in another thread aborts every batch that is not over in time. The calling thread waits for nothing
that cannot be interrupted: such work is left to a thread of its own, and to its own timeouts.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, TypeVar

from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Flow, Pause, Step
from nydus_core.delivery.plan import Lane
from nydus_core.engines import Batch, Engine
from nydus_core.errors import LATE, HostDown, MaybeApplied
from nydus_core.redaction import redactor_of
from nydus_core.threads import set_alarm, start

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
        time.sleep(step.seconds)
        return ()
    if deadline is None:
        return _exchange(step, engines)
    return _exchange_in_time(step, engines, deadline)


def _exchange(lanes: Sequence[Lane], engines: Sequence[Engine]) -> list[list[Any]]:
    with _batches(lanes, engines) as batches:
        waits = [not batch.ready for batch in batches]  # asked once: sending changes the answer
        for batch, has_to_wait in zip(batches, waits, strict=True):
            if not has_to_wait:
                batch.send()
        _at_once(
            [(batch.send, True) for batch, has_to_wait in zip(batches, waits, strict=True) if has_to_wait]
        )
        return _at_once([(batch.receive, not batch.overlaps) for batch in batches])


@contextmanager
def _batches(lanes: Sequence[Lane], engines: Sequence[Engine]) -> Generator[list[Batch]]:
    with ExitStack() as stack:
        batches = [engines[lane.host].batch(lane.commands, transaction=lane.transaction) for lane in lanes]
        for batch in reversed(batches):
            stack.callback(batch.close)
        yield batches


def _at_once(jobs: Sequence[tuple[Callable[[], T], bool]]) -> list[T]:
    """Run jobs, each given with whether it has to wait; a job that has to gets a thread. Results in order."""
    waiting = [number for number, (_, waits) in enumerate(jobs) if waits]
    if len(waiting) == len(jobs):
        del waiting[-1:]  # the calling thread would be idle
    futures: dict[int, Future[T]] = {number: Future() for number in waiting}
    started: set[int] = set()
    try:
        for number, future in futures.items():
            if not start(future, jobs[number][0]):  # then the calling thread does the rest itself
                break
            started.add(number)
        here = {number: job() for number, (job, _) in enumerate(jobs) if number not in started}
        return [
            futures[number].result() if number in started else here[number] for number in range(len(jobs))
        ]
    finally:  # also after a Ctrl-C: nobody may be left using a connection
        wait([future for future in futures.values() if not future.cancel()])


# In time ----------------------------------------------------------------------------------------------------------


def _exchange_in_time(
    lanes: Sequence[Lane], engines: Sequence[Engine], deadline: Deadline
) -> list[list[Any]]:
    timed = [_Timed(engines[lane.host], lane) for lane in lanes]
    try:
        alarm = set_alarm(deadline.until, partial(_abort, timed))
    except RuntimeError as error:  # no thread to be had: nobody would keep the deadline, so nothing is begun
        return [each.refused(error) for each in timed]
    with ExitStack() as stack:
        for each in reversed(timed):
            stack.callback(each.close)
        stack.enter_context(alarm)
        ready: list[_Timed] = []
        for each in timed:
            if each.batch.ready:
                each.batch.send()
                ready.append(each)
            else:
                each.start(each.exchange)
        here: list[_Timed] = []
        for each in ready:
            if each.batch.overlaps:  # asked once here too: receiving changes the answer
                here.append(each)
            elif each.final is None:
                each.start(each.receive)
        for each in _as_answered(here, deadline):
            if each.final is None:
                each.receive()
        for each in timed:
            each.wait(deadline)
    return [each.outcomes(deadline) for each in timed]


def _as_answered(timed: list[_Timed], deadline: Deadline) -> Iterator[_Timed]:
    """Yield batches as their answers begin to arrive, so that one whose host hangs does not keep others from theirs."""
    waiting = list(timed)
    while len(waiting) > 1 and deadline.left():
        sockets = {each: each.fileno() for each in waiting}
        if None in sockets.values():
            break
        readable = _readable(list(sockets.values()), deadline.left())
        for each in [each for each in waiting if sockets[each] in readable]:
            waiting.remove(each)
            yield each
    yield from waiting


def _readable(sockets: Sequence[int | None], seconds: float) -> set[int]:
    with selectors.DefaultSelector() as selector:
        for each in sockets:
            if each is not None:
                selector.register(each, selectors.EVENT_READ)
        return {key.fd for key, _ in selector.select(seconds)}


def _abort(timed: Sequence[_Timed]) -> None:
    for each in timed:
        try:
            each.abort()
        except Exception as error:  # then that one is waited for, and no other
            redactor_of(each.engine).clean(error)
            logger.exception("a batch cannot be aborted")


class _Timed:
    """A batch that an alarm may abort.

    Attributes:
        engine: The host.
        final: The outcomes of its commands, if it was aborted and nobody needs to wait for it any more.
    """

    def __init__(self, engine: Engine, lane: Lane) -> None:
        self.batch = engine.batch(lane.commands, transaction=lane.transaction)
        self.final: list[Any] | None = None
        self.engine = engine
        self._lane = lane
        self._received: list[Any] = []
        self._future: Future[Any] | None = None
        self._over = self._aborted = False

    def start(self, job: Callable[[], Any]) -> None:
        """Do a job in a thread, if there is one to be had."""
        self._future = Future()
        if not start(self._future, job):
            self._future = None
            job()

    def refused(self, why: Exception) -> list[Any]:
        """The outcomes, if nothing is sent."""
        return [self.engine.failed(HostDown, why, command) for command in self._lane.commands]

    def fileno(self) -> int | None:
        """The socket that answers come from, if the batch tells it."""
        fileno: Callable[[], int | None] | None = getattr(self.batch, "fileno", None)
        number = None if fileno is None else fileno()
        return None if number is None or number < 0 else number

    def exchange(self) -> None:
        self.batch.send()
        self.receive()

    def receive(self) -> None:
        self._received = self.batch.receive()
        self._over = True

    def abort(self) -> None:
        if not self._over:
            self._aborted = True
            self.final = self.batch.abort()

    def wait(self, deadline: Deadline) -> None:
        """Wait for the job in the thread, until it is over, or the alarm has made its outcomes final."""
        if self._future is None:
            return
        wait([self._future], timeout=deadline.left())
        while self.final is None and not self._future.done():
            wait([self._future], timeout=_MOMENT)  # aborted, or about to be: it will not take long
        if self.final is None:
            self._future.result()

    def close(self) -> None:
        """Close the batch, or have its thread do so when it is done with it."""
        if self._future is None or self._future.done() or self._future.cancel():
            self.batch.close()
        else:  # too late, or interrupted: nothing more is to be sent by whoever is at it
            self.batch.abort()
            self._future.add_done_callback(lambda _: self.batch.close())

    def outcomes(self, deadline: Deadline) -> list[Any]:
        """Return the outcomes of the commands. A failure after the alarm is due to the alarm."""
        found = self._received if self.final is None else self.final
        return (
            [
                self._late(each, command, deadline)
                for each, command in zip(found, self._lane.commands, strict=True)
            ]
            if self._aborted
            else found
        )

    def _late(self, outcome: Any, command: Any, deadline: Deadline) -> Any:
        for kind in (HostDown, MaybeApplied):
            if isinstance(outcome, kind):
                return self.engine.failed(LATE[kind], self.engine.late(str(deadline)), command)
        return outcome


#: Seconds between looks at a thread that was told to end.
_MOMENT = 0.01
