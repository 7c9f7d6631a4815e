"""The I/O of a flow, blocking: send to all hosts, then read from all.

Engines whose batches overlap (sending apart from reading) are driven by the calling thread alone: every host has its
commands before the first answer is awaited. Work that has to wait, such as opening a connection, or an engine that
cannot do the two apart, gets a thread for each host.

With a deadline, an alarm in another thread aborts every batch that is not over in time. The calling thread waits for nothing
that cannot be interrupted: such work is left to a thread of its own, and to its own timeouts. Where no thread can be started,
as when Python ends, the calling thread does all of it, and looks at the clock between its steps.

Once commands may have been sent, nothing here opens a file or a socket: a process that has no more of them still learns how
its commands ended.
"""

from __future__ import annotations

import contextvars
import logging
import selectors
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any, Generic, NamedTuple, TypeVar

from nydus_core.deadlines import Deadline, work_until
from nydus_core.delivery.flows import Flow, Step
from nydus_core.delivery.plan import Lane
from nydus_core.delivery.steps import Pause
from nydus_core.engines import Batch, Engine, in_vain, waited_in_vain
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
                interrupt = error.__context__
                if isinstance(error, RuntimeError) and isinstance(interrupt, KeyboardInterrupt):
                    raise interrupt from None  # it came while Python's own Future.result() had no lock to release
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
    hosts = [engines[lane.host] for lane in lanes]
    with _batches(lanes, hosts) as batches:
        waits = [not batch.ready for batch in batches]  # asked once: sending changes the answer
        for batch, has_to_wait in zip(batches, waits, strict=True):
            if not has_to_wait:
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
        wait([future for future in futures.values() if not future.cancel()])


# In time ----------------------------------------------------------------------------------------------------------


def _exchange_in_time(
    lanes: Sequence[Lane], engines: Sequence[Engine], deadline: Deadline
) -> list[list[Any]]:
    timed = [_Timed(engines[lane.host], lane) for lane in lanes]
    abort = partial(_abort, timed)
    with ExitStack() as stack:
        for each in reversed(timed):
            stack.callback(each.close)
        has_alarm = True
        try:
            stack.enter_context(set_alarm(deadline.until, abort))
        except RuntimeError:  # no thread to be had
            has_alarm = False
        ready: list[_Timed] = []
        for each in timed:
            if has_alarm and not each.batch.ready:
                each.start_exchange(deadline)
                continue
            each.send(deadline)
            ready.append(each)
        here: list[_Timed] = []
        for each in ready:
            if each.batch.overlaps:  # asked once here too: receiving changes the answer
                here.append(each)
            elif each.final is None:
                each.start(each.receive)
        for each in _as_answered(here, deadline, least=1 if has_alarm else 0):
            if not has_alarm and not deadline.left():
                abort()
            if each.final is None:
                each.receive()
        for each in timed:
            each.wait(deadline)
    return [each.outcomes(deadline) for each in timed]


def _as_answered(timed: list[_Timed], deadline: Deadline, least: int) -> Iterator[_Timed]:
    """Yield batches as their answers begin to arrive, so that one whose host hangs does not keep others from theirs.

    Parameters:
        timed: The batches.
        deadline: The time by which all are yielded, whether an answer has come or not.
        least: So many batches are not waited for here, since somebody else ends their wait: the last one if there is an
            alarm.
    """
    waiting = list(timed)
    while len(waiting) > least and deadline.left():
        sockets = {each: each.fileno() for each in waiting}
        if None in sockets.values():
            break
        try:
            readable = _readable(list(sockets.values()), deadline.left())
        except (OSError, ValueError):  # the alarm has shut one of them just now
            break
        for each in [each for each in waiting if sockets[each] in readable]:
            waiting.remove(each)
            yield each
    yield from waiting


def _readable(sockets: Sequence[int | None], seconds: float) -> set[int]:
    with _selector() as selector:
        for each in sockets:
            if each is not None:
                selector.register(each, selectors.EVENT_READ)
        return {key.fd for key, _ in selector.select(seconds)}


def _selector() -> selectors.BaseSelector:
    """Return a selector that needs no file of its own, as that of epoll does; or the one of gevent."""
    kind: type[selectors.BaseSelector] = selectors.DefaultSelector
    if kind.__name__ in ("EpollSelector", "KqueueSelector", "DevpollSelector"):
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
    return kind()


def _abort(timed: Sequence[_Timed]) -> None:
    for each in timed:
        each.abort()


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
        self._over = self._aborted = self._sent = False

    def start_exchange(self, deadline: Deadline) -> None:
        """Send and receive in a thread. Where sending is apart, only sending, with its connect, cannot be interrupted."""
        send = partial(self._send, deadline)
        if self.batch.overlaps:
            self.start(self.receive, first=send)
            return

        def exchange() -> None:
            send()
            self.receive()

        self.start(exchange)

    def start(self, job: Callable[[], Any], first: Callable[[], object] | None = None) -> None:
        """Do a job in a thread, if there is one to be had. For ``first`` see ``threads.start``."""
        self._future = Future()
        if not start(self._future, job, host=self.engine, first=first):
            self._future = None
            context = contextvars.copy_context()
            for part in (first, job):
                if part is not None:
                    context.run(part)

    def send(self, deadline: Deadline) -> None:
        """Send in this thread. If it has to connect first, that takes no longer than is left."""
        contextvars.copy_context().run(self._send, deadline)

    def _send(self, deadline: Deadline) -> None:
        work_until(deadline)
        self._sent = True
        self.batch.send()

    def fileno(self) -> int | None:
        """The socket that answers come from, if the batch tells it."""
        fileno: Callable[[], int | None] | None = getattr(self.batch, "fileno", None)
        number = None if fileno is None else fileno()
        return None if number is None or number < 0 else number

    def receive(self) -> None:
        self._received = self.batch.receive()
        self._over = True

    def abort(self) -> bool:
        """Abort the batch; return False if that fails: then this one is waited for, and no other."""
        if self._over:
            return True
        self._aborted = True
        try:
            self.final = self.batch.abort()
        except Exception as error:
            redactor_of(self.engine).clean(error)
            logger.exception("a batch cannot be aborted")
            return False
        return True

    def wait(self, deadline: Deadline) -> None:
        """Wait for the job in the thread, until it is over, or the alarm has made its outcomes final."""
        if self._future is None:
            return
        wait([self._future], timeout=deadline.left())
        if not self._future.done() and self._future.cancel():  # it waits for a thread
            aborted = self.abort()
            if self.final is None and self._sent and aborted:  # nothing waits here any more
                self.receive()
            elif self.final is None:
                kind, late = MaybeApplied if self._sent else HostDown, self.engine.late(str(deadline))
                self.final = [self.engine.failed(kind, late, command) for command in self._lane.commands]
            return
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
        """Return the outcomes of the commands. A failure after the alarm is due to the alarm.

        So is a timeout, also if it came just before: connecting lasts no longer than the deadline.
        """
        found = self._received if self.final is None else self.final
        if self._aborted or not deadline.left():
            commands = self._lane.commands
            return [
                self._late(outcome, command, deadline)
                for outcome, command in zip(found, commands, strict=True)
            ]
        return found

    def _late(self, outcome: Any, command: Any, deadline: Deadline) -> Any:
        for kind in (HostDown, MaybeApplied):
            if isinstance(outcome, kind):
                late = self.engine.late(str(deadline))
                if not self._aborted and not isinstance(outcome.__cause__, TimeoutError | type(late)):
                    return outcome
                late = in_vain(late, waited=waited_in_vain(outcome))
                return self.engine.failed(LATE[kind], late, command)
        return outcome


#: Seconds between looks at a thread that was told to end.
_MOMENT = 0.01
