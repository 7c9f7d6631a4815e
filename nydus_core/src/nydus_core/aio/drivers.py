"""The I/O of a flow with asyncio: a task for each host, all at the same time.

A lane that nobody wants to wait for any more, since a deadline is over or the caller was cancelled, is cancelled; then
its engine tells the outcome of each command as far as it is known.
"""

from __future__ import annotations

import asyncio
import logging
import time
from asyncio import CancelledError
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, TypeVar

from nydus_core.aio.pieces import with_turns
from nydus_core.aio.running import running_loop
from nydus_core.command import Command
from nydus_core.deadlines import Deadline
from nydus_core.delivery import Flow, Interrupted, Lane, Pause, Step
from nydus_core.engines import AsyncEngine, in_vain, waited_in_vain
from nydus_core.errors import CANCELLED, LATE, HostDown, HostError, MaybeApplied
from nydus_core.pieces import COSTLY, Work, done, slices
from nydus_core.redaction import redactor_of

__all__ = ["run"]

T = TypeVar("T")

logger = logging.getLogger("nydus")

#: Seconds that the loop may come late to the end of a deadline, until hosts are not blamed for that.
_LATE = 0.05
#: Seconds that an engine has to tell outcomes after its task was cancelled. After that its commands may have been applied.
_GRACE = 0.1


async def run(flow: Flow[T], engines: Sequence[AsyncEngine], deadline: Deadline | None = None) -> T:
    """Drive a flow to its end. See ``nydus_core.delivery.run``.

    Raises:
        CancelledError: The task was cancelled. The outcomes of its commands were noted before.
        NoEventLoop: No event loop of asyncio is running in this thread.
    """
    running_loop()
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
            jobs = _jobs(step, engines)
            try:
                await _performed(step, jobs, deadline)
                answers = [await _told(job) for job in jobs]
            except CancelledError:
                await _end(jobs, None)
                with suppress(Interrupted):
                    flow.throw(Interrupted([done(job.outcomes()) for job in jobs]))
                raise
            except BaseException as error:
                for job in jobs:
                    job.cancel(None)
                    job.ignore()
                flow.throw(error)
                raise
    finally:
        flow.close()  # interrupted between two steps: it has promises to mark


async def _told(job: _Job) -> list[Any]:
    found, cancelled = await with_turns(job.outcomes())
    if cancelled is not None:
        raise cancelled
    return found


def _jobs(step: Step, engines: Sequence[AsyncEngine]) -> list[_Job]:
    return [] if isinstance(step, Pause) else [_Job(engines[lane.host], lane) for lane in step]


async def _performed(step: Step, jobs: Sequence[_Job], deadline: Deadline | None) -> None:
    if isinstance(step, Pause):
        await asyncio.sleep(step.seconds)
        return
    _, pending = await asyncio.wait(
        [job.task for job in jobs], timeout=None if deadline is None else deadline.left()
    )
    if pending:
        if deadline is not None and time.monotonic() - deadline.until > _LATE:
            deadline.overslept = True
        cancelled = await _end(jobs, deadline)
        if cancelled is not None:
            raise cancelled


async def _end(jobs: Sequence[_Job], deadline: Deadline | None) -> CancelledError | None:
    """Cancel the jobs that are under way, and wait until they have ended.

    Parameters:
        jobs: All jobs of a step.
        deadline: The deadline that is over; None if the caller was cancelled.

    Returns:
        The cancellation that came meanwhile, if there was one.
    """
    pending = [job.task for job in jobs if job.cancel(deadline)]
    cancelled: CancelledError | None = None
    until = asyncio.get_running_loop().time() + _GRACE
    while pending and (left := until - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.wait(pending, timeout=left)
        except CancelledError as error:
            cancelled = error
        pending = [task for task in pending if not task.done()]
    for task in pending:
        _left_alone.add(task)
        task.add_done_callback(_forget)
    return cancelled


#: Tasks that did not end when they were cancelled. Kept, or they might vanish on their way.
_left_alone: set[asyncio.Task[Any]] = set()


def _forget(task: asyncio.Task[Any]) -> None:
    _left_alone.discard(task)
    if not task.cancelled() and task.exception() is not None:
        logger.debug("a task that was given up has failed", exc_info=task.exception())


class _Job:
    """A lane on its way to its host, in a task of its own."""

    def __init__(self, engine: AsyncEngine, lane: Lane) -> None:
        self._engine = engine
        self._lane = lane
        self._started = False
        self._why: str | None = None
        self._deadline: Deadline | None = None
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> list[Any]:
        self._started = True
        try:
            return await self._engine.exchange(self._lane.commands, transaction=self._lane.transaction)
        except Exception as error:
            redactor_of(self._engine).clean(error)
            raise

    def cancel(self, deadline: Deadline | None) -> bool:
        """Cancel the task; return whether it was under way."""
        if self.task.done():
            return False
        self._why = CANCELLED if deadline is None else str(deadline)
        self._deadline = deadline
        self.task.cancel()
        return True

    def outcomes(self) -> Work[list[Any]]:
        """Return the outcomes of the commands. A failure after the cancellation is due to the cancellation."""
        commands = self._lane.commands
        if not self.task.done() or self.task.cancelled():
            return (yield from self._all_because(MaybeApplied if self._started else HostDown))
        if self._why is None:
            return self.task.result()
        if self.task.exception() is not None:  # a fault of the engine, but nobody waits for it any more
            return (yield from self._all_because(MaybeApplied))
        found, told = self.task.result(), list[Any]()
        for piece in slices(len(commands), COSTLY):
            told += [
                self._because(
                    MaybeApplied if isinstance(outcome, MaybeApplied) else HostDown,
                    command,
                    waited=waited_in_vain(outcome),
                )
                if isinstance(outcome, HostError)
                else outcome
                for outcome, command in zip(found[piece], commands[piece], strict=True)
            ]
            if piece.stop < len(commands):
                yield
        return told

    def _all_because(self, kind: type[HostError]) -> Work[list[Any]]:
        told: list[Any] = []
        for piece in slices(len(self._lane.commands), COSTLY):
            told += [self._because(kind, command) for command in self._lane.commands[piece]]
            if piece.stop < len(self._lane.commands):
                yield
        return told

    def ignore(self) -> None:
        """Take the exception of the task, so that Python does not report it: another one is raised already."""
        if self.task.done() and not self.task.cancelled():
            self.task.exception()

    def _because(self, kind: type[HostError], command: Command, *, waited: bool = False) -> HostError:
        engine, why = self._engine, self._why or CANCELLED
        if self._deadline is not None:
            return engine.failed(LATE[kind], in_vain(engine.late(why), waited=waited), command)
        return engine.failed(kind, engine.unavailable(why), command)
