"""Workers: threads that do jobs which wait, as many as are needed at once, and not too many for one host."""

from __future__ import annotations

import contextvars
import sys
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from nydus_core.threads.forks import era, refuse_eventlet
from nydus_core.threads.futures import Future
from nydus_core.threads.locks import Bell

__all__ = ["Workers", "in_thread", "start"]

T = TypeVar("T")

#: The most threads at once.
MOST_THREADS = 512
#: The most threads at once that work for one host. A host whose connects hang takes no more from the others.
MOST_FOR_A_HOST = 32
#: Seconds after which a thread without a job ends.
IDLE = 10.0


def in_thread(job: Callable[[], T]) -> Future[T] | None:
    """Run a job in a thread, in the context of the caller.

    Parameters:
        job: The function to call.

    Returns:
        The future of the job; None if no thread can be started, as when Python ends.
    """
    future: Future[T] = Future()
    return future if start(future, job) else None


def start(
    future: Future[T],
    job: Callable[[], T],
    *,
    host: object = None,
    in_line: bool = True,
    first: Callable[[], object] | None = None,
) -> bool:
    """Run a job in a thread, in the context of the caller, for a future that the caller already has.

    A caller that is interrupted in here can still cancel the job, or wait for its end.

    Parameters:
        future: The future that takes the result. If it is cancelled before the job begins, the job is not done.
        job: The function to call.
        host: The engine of the host that the job is for; None for a job that is for no host.
        in_line: Whether the job may wait until a thread is free.
        first: The first part of the job, if only this part counts among those for the host: a part that nobody can
            interrupt, such as connecting.

    Returns:
        False if there is no thread to be had: then the job is not done.
    """
    global _workers
    if sys.is_finalizing():
        # A finalizer calls: the threads there are will run no more, and on Python 3.11 start() hangs
        return False
    workers = _workers
    if workers.era != era():
        refuse_eventlet()
        workers = _workers = Workers()
    task = _Task(future, job, first, workers.line_of(host))
    return workers.take(task, in_line=in_line)


class _Line:
    """The jobs for one host: those that run, and those that wait for the end of another."""

    __slots__ = ("host", "running", "waiting")

    def __init__(self, host: int) -> None:
        self.host = host
        self.running: set[_Task] = set()
        self.waiting: deque[_Task] = deque()


class _Task:
    """A job for a future, in the context of its caller. See ``start``."""

    __slots__ = ("_context", "_first", "_future", "_job", "line")

    def __init__(
        self,
        future: Future[Any],
        job: Callable[[], Any],
        first: Callable[[], object] | None,
        line: _Line | None,
    ) -> None:
        self._future, self._job, self._first = future, job, first
        self._context = contextvars.copy_context()
        self.line = line

    def run(self, leave: Callable[[_Task], None]) -> None:
        """Do the job; ``leave`` is called when the part of it that counts is over."""
        future = self._future
        if not future.begin():
            return
        try:
            if self._first is not None:
                self._context.run(self._first)
                leave(self)
            value = self._context.run(self._job)
        except BaseException as error:
            future.set_exception(error)
            del future, self  # the error refers to this frame: no circle
        else:
            future.set_result(value)


class Workers:
    """Threads that do jobs.

    A program that ends does not wait for them, as it would for a ``ThreadPoolExecutor``: a job may hang, long after
    its caller has given up.

    Each step on the shared deques and sets cannot be interrupted, so they need no lock. After each step that could leave
    a job behind, whoever took the step looks again. The limits may be passed by as many threads as look at the same time.

    Attributes:
        era: The era (``forks.era``) in which they can be used.
    """

    def __init__(self) -> None:
        self.era = era()
        self._all: set[_Worker] = set()
        self._idle: deque[_Worker] = deque()
        self._waiting: deque[_Task] = deque()  # all threads are busy
        self._lines: dict[int, _Line] = {}  # by the identity of an engine, which its jobs keep alive

    @property
    def busy(self) -> int:
        """The number of threads that have a job."""
        return len(self._all) - len(self._idle)

    def line_of(self, host: object) -> _Line | None:
        """Return the line of a host; None for no host."""
        return None if host is None else self._lines.setdefault(id(host), _Line(id(host)))

    def take(self, task: _Task, *, in_line: bool) -> bool:
        """Give a task to a thread; return False if there is none to be had."""
        line = task.line
        if line is None:
            return self._hand_over(task, in_line)
        if line.waiting or len(line.running) >= MOST_FOR_A_HOST:
            if not in_line:
                return False
            line.waiting.append(task)
            if len(line.running) >= MOST_FOR_A_HOST or not _withdrawn(task, line.waiting):
                return True  # whoever ends a job of this host takes it
        line.running.add(task)
        begun = False
        try:
            begun = self._hand_over(task, in_line)
        finally:
            if not begun:
                line.running.discard(task)
        return begun

    def _hand_over(self, task: _Task, in_line: bool) -> bool:
        while True:
            try:
                self._idle.pop().give(task)
            except IndexError:
                """All threads are busy."""
            else:
                return True
            if len(self._all) < MOST_THREADS:
                return self._started(task)
            if not in_line:
                return False
            self._waiting.append(task)
            if not self._idle or not _withdrawn(task, self._waiting):
                return True

    def _started(self, task: _Task) -> bool:
        worker = _Worker(task)
        thread = threading.Thread(
            target=self._run, args=(worker,), name=f"nydus_{len(self._all)}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            return False
        return True

    def _run(self, worker: _Worker) -> None:
        self._all.add(worker)
        try:
            while (task := worker.taken() or self._next_for(worker)) is not None:
                task.run(self.leave)
                following = self._left(task)
                if following is not None:
                    worker.tasks.append(following)
                del task, following
        finally:
            self._all.discard(worker)

    def leave(self, task: _Task) -> None:
        """Count a task that goes on no longer among those for its host."""
        following = self._left(task)
        if following is not None and not self._hand_over(following, in_line=True):
            self._waiting.append(following)

    def _left(self, task: _Task) -> _Task | None:
        """Take a task out of the line of its host, once; return the next one of the line that may begin."""
        line, task.line = task.line, None
        if line is None:
            return None
        line.running.discard(task)
        if line.waiting and len(line.running) < MOST_FOR_A_HOST:
            try:
                following = line.waiting.popleft()
            except IndexError:
                return None
            line.running.add(following)
            return following
        if not line.running:
            self._lines.pop(line.host, None)
        return None

    def _next_for(self, worker: _Worker) -> _Task | None:
        """Wait for a task; None if the thread may end."""
        while True:
            try:
                return self._waiting.popleft()
            except IndexError:
                self._idle.append(worker)
            if not (self._waiting and _withdrawn(worker, self._idle)):
                break
        while True:
            if worker.bell.wait(IDLE):
                task = worker.taken()
                if task is not None:
                    return task
            elif _withdrawn(worker, self._idle):
                return None  # else a caller is about to give it a task


class _Worker:
    """A thread of the pool."""

    __slots__ = ("bell", "tasks")

    def __init__(self, task: _Task) -> None:
        self.bell = Bell()
        self.tasks = deque((task,))

    def give(self, task: _Task) -> None:
        """Have the thread do a task."""
        self.tasks.append(task)
        self.bell.ring()

    def taken(self) -> _Task | None:
        """Return the task that it was given; None if there is none."""
        try:
            return self.tasks.popleft()
        except IndexError:
            return None


def _withdrawn(item: T, line: deque[T]) -> bool:
    """Take an item out of a line; return False if somebody else has taken it."""
    try:
        line.remove(item)
    except ValueError:
        return False
    return True


_workers = Workers()
