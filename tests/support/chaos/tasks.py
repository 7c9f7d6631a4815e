"""A run of the asyncio side: tasks of one event loop call an ``AsyncCluster``, and some of their calls are cancelled.

The loop runs in a thread of its own: what strikes, and looks at servers, blocks. What is known of a cancelled call is told
by the promises of its ``map()``, and by the hooks where a plugin listens; else it may have been applied.
"""

from __future__ import annotations

import asyncio
import gc
import io
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ClassVar

from chaos.calls import call
from chaos.record import UNTOLD, Record
from chaos.runs import SLACK, WATCHDOG, Actions, Found, Run, T, stack_of, until
from chaos.schedule import Cancel, Fault, Op
from nydus_core import CommandError, ConfigError, RoutingError, create_async_cluster, hookimpl
from nydus_core.aio.threaded import ThreadedEngine
from nydus_core.command import Outcome, outcome_of
from nydus_core.plugins.manager import hooks
from nydus_core.testing import FaultProxy
from nydus_memcache import Memcache

__all__ = ["AsyncioRun"]

#: Seconds between two looks at whether the loop comes round.
_BEAT = 0.005
#: Seconds that the loop may not come round, while another thread does.
_BLOCKED = 0.5


class AsyncioRun(Run):
    """Calls by tasks."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._beats = 0
        self._where = ""
        self._watched = threading.Event()

    def _open(self, stack: ExitStack, settings: dict[str, Any]) -> None:
        if self._schedule.threaded:
            settings["engine"] = _ThreadedMemcache
        try:
            self._cluster = create_async_cluster(settings)
        except ConfigError as error:
            if "no async side" not in str(error):
                raise
            self._result.skipped = str(error)
            return
        if self._schedule.listens:
            stack.enter_context(_listening())
        found = stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        stack.callback(self._no_warnings, found)
        stack.enter_context(self._running())

    def _begin_calls(self) -> None:
        self._callers = [
            self._submit(self._task(number, ops)) for number, ops in enumerate(self._schedule.threads)
        ]

    def _hanging(self, until: float) -> list[str]:
        for caller in self._callers:
            try:
                caller.result(max(0.0, until - time.monotonic()))
            except TimeoutError:
                return self._look(self._stacks)
        return []

    async def _task(self, number: int, ops: Sequence[Op]) -> None:
        for op in ops:
            await asyncio.sleep(op.pause)
            try:
                await self._begun(number, op)
            except BaseException:
                self._fail("strange error", f"{op}\n{traceback.format_exc()}")

    async def _begun(self, number: int, op: Op) -> None:
        """Do a call, or those of a burst, which begin in the same turn of the loop."""
        if op.name == "burst":
            hurry = [replace(each, deadline=each.deadline or op.deadline) for each in op.ops]
            await asyncio.gather(*(self._done(number, each) for each in hurry))
        else:
            await self._done(number, op)

    def _actions(self, fault: Fault, proxy: FaultProxy, server: Any) -> Actions:
        if fault.kind != "busy":
            return super()._actions(fault, proxy, server)
        seconds = 0.01 + fault.amount * 0.1
        return lambda: self._loop.call_soon_threadsafe(time.sleep, seconds), None

    def _do(self, thread: int, op: Op) -> list[Record]:
        return self._submit(self._done(thread, op)).result(WATCHDOG)

    async def _done(self, number: int, op: Op) -> list[Record]:
        with self._booked(number, op) as (entry, records):
            attempt = _Attempt(self, op)
            await attempt.run(op.cancel)
            entry.found, entry.seen = attempt.found(), attempt.seen
            if attempt.answered is None and op.cancel is not None:
                entry.cancelled, entry.until = op.cancel.kind, attempt.cancelled_at
        if attempt.lost:
            self._fail("a cancellation was lost", "\n".join([str(op.cancel), *map(str, records)]))
        if self._schedule.listens:
            for text in attempt.untold():
                self._fail("a plugin was told otherwise", "\n    ".join([text, *map(str, records)]))
        return records

    def _crowd(self, op: Op, count: int) -> None:
        for each in [self._submit(self._done(99, op)) for _ in range(count)]:
            each.result(WATCHDOG)

    def _look(self, look: Callable[[], T]) -> T:
        async def looked() -> T:
            return look()

        return self._submit(looked()).result(WATCHDOG)

    # Afterwards -----------------------------------------------------------------------------------------------------

    def _works_again(self) -> None:
        super()._works_again()
        at_once = min(self._schedule.most or 0, 4) + 2  # more calls than connections, where there is a limit
        where = (f"c{self._schedule.seed}:where",)
        ops = [self._unhurried(Op("where", where, host=host)) for host in self._numbers()] * at_once
        for last in [each.result(WATCHDOG) for each in [self._submit(self._insist(op)) for op in ops]]:
            if last.outcome is not Outcome.VALUE:
                self._fail("not well again", f"of {len(ops)} at once: {last}")

    async def _insist(self, op: Op) -> Record:
        """Do a call until it has a value, or has had its chances: a busy machine is a fault of its own."""
        end = time.monotonic() + 8.0
        while True:
            (last,) = await self._done(99, op)
            if last.outcome is Outcome.VALUE or time.monotonic() > end:
                return last
            await asyncio.sleep(0.02)

    def _close(self) -> None:
        self._submit(self._cluster.aclose()).result(WATCHDOG)
        for _ in until(3.0):
            if not (pending := self._look(self._stacks)):
                break
        else:
            self._fail("tasks left", "\n".join(pending))
        longest = self._result.longest_turn
        if longest > _BLOCKED:
            self._fail("blocked", f"the event loop did not come round for {longest:.3f} s\n{self._where}")

    def _no_warnings(self, found: Sequence[warnings.WarningMessage]) -> None:
        gc.collect()  # what nobody has awaited or retrieved complains when it goes
        for each in found:
            self._fail("warned", f"{each.category.__name__}: {each.message} ({each.filename}:{each.lineno})")

    # The loop -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _running(self) -> Iterator[None]:
        begun = threading.Event()
        self._loop_thread = threading.Thread(
            target=lambda: asyncio.run(self._live(begun), debug=self._schedule.debug),
            name="chaos-loop",
            daemon=True,
        )
        watcher = threading.Thread(target=self._watch, name="chaos-watcher", daemon=True)
        self._loop_thread.start()
        begun.wait()
        watcher.start()
        try:
            yield
        finally:
            self._watched.set()
            watcher.join(WATCHDOG)
            self._loop.call_soon_threadsafe(self._over.set)
            self._loop_thread.join(WATCHDOG)

    async def _live(self, begun: threading.Event) -> None:
        self._loop = loop = asyncio.get_running_loop()
        loop.slow_callback_duration = SLACK
        loop.set_exception_handler(self._complained)
        self._over = asyncio.Event()
        self._kept = {asyncio.current_task(), loop.create_task(self._beat())}
        begun.set()
        await self._over.wait()
        gc.collect()  # while the loop is there to complain to
        await asyncio.sleep(0)

    async def _beat(self) -> None:
        while True:
            self._beats += 1
            await asyncio.sleep(_BEAT)

    def _watch(self) -> None:
        """See whether the loop comes round, as often as this thread does: a busy machine holds up both."""
        beats = rounds = 0
        while not self._watched.wait(_BEAT):
            rounds = rounds + 1 if self._beats == beats else 0
            beats = self._beats
            self._result.longest_turn = max(self._result.longest_turn, rounds * _BEAT)
            if rounds * _BEAT > _BLOCKED / 2:
                self._where = stack_of(self._loop_thread)

    def _complained(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        trace = "" if error is None else "".join(traceback.format_exception(error))
        self._fail("the loop complained", f"{context}\n{trace}")

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _stacks(self) -> list[str]:
        """Where all tasks are that were not there at the beginning."""
        found = []
        for task in asyncio.all_tasks() - self._kept - {asyncio.current_task()}:
            text = io.StringIO()
            task.print_stack(file=text)
            found.append(text.getvalue())
        return found


class _ThreadedMemcache(ThreadedEngine):
    """What a plugin does whose client library has no asyncio side."""

    sync_side: ClassVar[type[Any] | str | None] = Memcache


class _Attempt:
    """A call on its way, and what is known of it when it is over.

    Attributes:
        answered: What its commands ended in; None if it was cancelled before.
        lost: Whether it was cancelled, and went on as if it was not.
        cancelled_at: Seconds from its beginning to the cancellation.
        seen: What a transaction has seen at its key before it wrote.
    """

    def __init__(self, run: AsyncioRun, op: Op) -> None:
        self._run = run
        self._op = op
        self._begun = False
        self._told: list[Any] = []
        self._promises: list[Any] = []
        self._in_block = False
        self._start = time.monotonic()
        self.answered: Found | None = None
        self.lost = False
        self.cancelled_at: float | None = None
        self.seen: str | None = None

    async def run(self, cancel: Cancel | None) -> None:
        """Call, and be cancelled."""
        if cancel is None:
            await self._call()
        elif cancel.kind == "timeout":
            await self._in_time(cancel)
        elif cancel.kind == "group":
            await self._beside_one_that_fails(cancel)
        else:
            await self._in_a_task(cancel)

    async def _in_time(self, cancel: Cancel) -> None:
        try:
            async with asyncio.timeout(cancel.seconds) as timeout:
                await self._call()
        except TimeoutError:
            if not timeout.expired():
                raise
            self.cancelled_at = cancel.seconds
        else:
            self.lost = timeout.expired()

    async def _beside_one_that_fails(self, cancel: Cancel) -> None:
        async def fail() -> None:
            await _moment(cancel)
            self._cancelled()
            raise _Failed

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._call())
                group.create_task(fail())
        except* _Failed:
            pass

    async def _in_a_task(self, cancel: Cancel) -> None:
        call = asyncio.create_task(self._call())
        if cancel.turns is None:
            await asyncio.wait([call], timeout=cancel.seconds)
        else:  # no task beside it: that would be some turns later
            for _ in range(cancel.turns):
                await asyncio.sleep(0)
        asked = call.cancel()
        self._cancelled()
        if cancel.kind == "twice":
            for _ in range(3):
                await asyncio.sleep(0)
            call.cancel()
        await asyncio.wait([call])
        self.lost = asked and not call.cancelled()
        if not call.cancelled():
            call.result()

    def _cancelled(self) -> None:
        self.cancelled_at = time.monotonic() - self._start

    async def _call(self) -> None:
        self._begun = True
        _told.set(self._told)
        run, op = self._run, self._op
        with nullcontext() if op.deadline is None else run._cluster.deadline(op.deadline):
            if op.name == "map":
                await self._map()
                self.answered = run._kept_by(op, self._promises)
            elif op.ops:
                self.answered = await self._at_once()
            else:
                self.answered = await self._single()

    async def _single(self) -> Found:
        run, op = self._run, self._op
        try:
            value = await call(run._schedule.engine, run._client(op), op)
        except Exception as error:
            value = error
        return [run._ended(op, value)]

    async def _map(self) -> None:
        run, op = self._run, self._op
        try:
            async with run._cluster.map(transaction=op.transaction) as conn:
                self._in_block = True
                self._promises += [call(run._schedule.engine, conn, each) for each in op.ops]
                if op.cancel is not None:
                    await asyncio.sleep(0)  # so that the block may be cancelled, too
                self._in_block = False
        except CommandError:
            pass

    async def _at_once(self) -> Found:
        """A pipeline, or a transaction that watches a key."""
        op = self._op
        try:
            values = await getattr(self, f"_{op.name}")()
        except Exception as error:
            values = [error] * len(op.ops)
        return [self._run._ended(each, value) for each, value in zip(op.ops, values, strict=True)]

    async def _pipeline(self) -> Any:
        pipeline = self._run._client(self._op).pipeline(self._op.transaction)
        self._queue(pipeline)
        return await pipeline.execute(raise_on_error=False)

    async def _watched(self) -> Any:
        async with self._run._client(self._op).pipeline() as pipeline:
            await pipeline.watch(*self._op.keys)
            await self._prepare(pipeline)
            return await pipeline.execute(raise_on_error=False)

    async def _transact(self) -> Any:
        client = self._run._cluster.on_key(self._op.keys[0])
        return await client.transaction(self._prepare, *self._op.keys)

    async def _prepare(self, pipeline: Any) -> None:
        self.seen = (await pipeline.get(self._op.keys[0]) or b"").decode()
        pipeline.multi()
        self._queue(pipeline)

    def _queue(self, pipeline: Any) -> None:
        for each in self._op.ops:
            call(self._run._schedule.engine, pipeline, each)

    def found(self) -> Found:
        """Return what is known of the commands."""
        op = self._op
        ops = op.ops or (op,)
        if self.answered is not None:
            return self.answered
        if not self._begun:
            return [(each, Outcome.NOT_SENT, None, None) for each in ops]
        if op.name == "map":
            # A block that was cancelled has sent nothing; one that has ended has told all
            return self._run._kept_by(op, self._promises, Outcome.NOT_SENT if self._in_block else None)
        if not self._told:
            return [(each, Outcome.MAYBE_APPLIED, None, None) for each in ops]
        return [
            (each, outcome_of(error), None, error)
            if isinstance(error, Exception)
            else (each, Outcome.VALUE, UNTOLD, None)
            for each, error in zip(ops, self._told[0], strict=True)
        ]

    def untold(self) -> Iterator[str]:
        """Yield where a plugin was told nothing, too much, or other than the caller."""
        op = self._op
        if (
            not self._begun
            or op.name in ("watched", "transact")
            or (op.name == "pipeline" and op.host is not None)
        ):
            return  # a pipeline on one host is redis-py's own
        if self.answered is not None and any(isinstance(error, RoutingError) for *_, error in self.answered):
            return  # there was no host to ask
        if not self._told and self._op.name == "map" and self.answered is None:
            return  # cancelled within the block
        if len(self._told) != 1:
            yield f"told {len(self._told)} times: {self._told}"
            return
        outcomes = [outcome_of(each if isinstance(each, Exception) else None) for each in self._told[0]]
        if outcomes != [outcome for _, outcome, _, _ in self.found()]:
            yield f"told {self._told[0]}"


class _Failed(Exception):
    """What a task raises whose group is to be cancelled."""


async def _moment(cancel: Cancel) -> None:
    """Wait until it is to be cancelled."""
    if cancel.turns is None:
        await asyncio.sleep(cancel.seconds)
    else:
        for _ in range(cancel.turns):
            await asyncio.sleep(0)


#: What plugins are told of the call of this task.
_told: ContextVar[list[Any]] = ContextVar("told")


class _Listener:
    """A plugin that remembers how calls ended."""

    @hookimpl
    def nydus_command_done(self, error: Exception | None) -> None:
        _told.get().append([error])

    @hookimpl
    def nydus_batch_done(self, outcomes: Sequence[Any]) -> None:
        _told.get().append(outcomes)


@contextmanager
def _listening() -> Iterator[None]:
    listener = _Listener()
    hooks.register(listener)
    try:
        yield
    finally:
        hooks.unregister(listener)
