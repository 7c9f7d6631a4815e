"""The I/O of a flow that has a deadline, blocking.

An alarm in another thread aborts every batch that is not over in time. The calling thread waits for nothing that cannot be
interrupted: such work is left to a thread of its own, and to its own timeouts. Where no thread can be started, as when Python
ends, the calling thread does all of it, and looks at the clock between its steps.

As in ``drivers``, nothing here opens a file or a socket once commands may have been sent.
"""

from __future__ import annotations

import contextvars
import logging
import selectors
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from nydus_core.deadlines import Deadline, work_until
from nydus_core.delivery.plan import Lane
from nydus_core.engines import Engine, in_vain, waited_in_vain
from nydus_core.errors import LATE, HostDown, MaybeApplied
from nydus_core.redaction import redactor_of
from nydus_core.threads import Future, set_alarm, start

__all__ = ["exchange_in_time"]

logger = logging.getLogger("nydus")


def exchange_in_time(lanes: Sequence[Lane], engines: Sequence[Engine], deadline: Deadline) -> list[list[Any]]:
    """Send to all hosts, then read from all, until a deadline.

    Parameters:
        lanes: The commands for each host.
        engines: The engines, in host order.
        deadline: The time by which it is over.

    Returns:
        For each lane, in order, the outcomes of its commands.
    """
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
        self._future.wait(deadline.left())
        if not self._future.done() and self._future.cancel():  # it waits for a thread
            aborted = self.abort()
            if self.final is None and self._sent and aborted:  # nothing waits here any more
                self.receive()
            elif self.final is None:
                kind, late = MaybeApplied if self._sent else HostDown, self.engine.late(str(deadline))
                self.final = [self.engine.failed(kind, late, command) for command in self._lane.commands]
            return
        while self.final is None and not self._future.done():
            self._future.wait(_MOMENT)  # aborted, or about to be: it will not take long
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
