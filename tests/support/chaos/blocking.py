"""A run of the blocking side: threads call a ``Cluster``. With signals, the main thread is one of them: see ``signalled``."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

from chaos.calls import call
from chaos.record import Record
from chaos.runs import Entry, Found, Run, T, stack_of
from chaos.schedule import Op
from chaos.signalled import Interrupts
from nydus.db import create_cluster
from nydus_core import CommandError
from nydus_core.command import Outcome, outcome_of

__all__ = ["BlockingRun"]


class BlockingRun(Run):
    """Calls by threads."""

    def _open(self, stack: ExitStack, settings: dict[str, Any]) -> None:
        self._interrupts = Interrupts(self._handle)
        self._handled = iter(self._schedule.handler)
        self._cluster = stack.enter_context(create_cluster(settings))

    def _begin_calls(self) -> None:
        """Start all threads. With signals, the calls of the first are left for the main thread."""
        first = 1 if self._schedule.signals else 0
        self._threads = [
            threading.Thread(target=self._thread, args=(number, ops), name=f"chaos-{number}", daemon=True)
            for number, ops in list(enumerate(self._schedule.threads))[first:]
        ]
        for thread in self._threads:
            thread.start()

    def _strike_all(self) -> None:
        """Have faults strike from this thread; or, with signals, from another one, while this one calls."""
        if not self._schedule.signals:
            super()._strike_all()
            return
        striker = threading.Thread(target=super()._strike_all, name="chaos-striker", daemon=True)
        with self._interrupts.taken(self._schedule.signals, self._start_of_faults) as hang:
            striker.start()
            self._thread(0, self._schedule.threads[0])
        if hang:
            self._fail("hang", f"the main thread, which took signals:\n{hang[0]}")
        striker.join()

    def _hanging(self, until: float) -> list[str]:
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return [stack_of(thread) for thread in self._threads if thread.is_alive()]

    def _thread(self, number: int, ops: Sequence[Op]) -> None:
        for op in ops:
            time.sleep(op.pause)
            try:
                self._do(number, op)
            except BaseException:
                self._fail("strange error", f"{op}\n{traceback.format_exc()}")

    def _may_be_lost(self) -> int:
        struck = self._interrupts.struck
        return struck // 10 + (struck > 0)

    def _handle(self) -> None:
        """Call the cluster in the handler of a signal."""
        if (op := next(self._handled, None)) is not None:
            self._do(50, op)

    def _do(self, thread: int, op: Op) -> list[Record]:
        with self._booked(thread, op) as (entry, records):
            begun = time.monotonic()
            promises: list[Any] = []
            try:
                with self._interrupts.allowed():
                    self._call(op, entry, promises)
            except KeyboardInterrupt:
                entry.cancelled, entry.until = "interrupt", time.monotonic() - begun
                entry.found = self._interrupted(op, entry.found, promises)
        return records

    def _call(self, op: Op, entry: Entry, promises: list[Any]) -> None:
        # The deadline's block is timed, too
        with nullcontext() if op.deadline is None else self._cluster.deadline(op.deadline):
            if op.name == "map":
                entry.found = self._map(op, promises)
            elif op.ops:
                entry.found = self._at_once(op, entry)
            else:
                entry.found = self._single(op)

    def _interrupted(self, op: Op, found: Found, promises: Sequence[Any]) -> Found:
        """What is known of a call that Ctrl-C has interrupted: that of its promises; of others nothing."""
        if found:
            return found
        if op.name == "map":
            return self._kept_by(op, promises, Outcome.MAYBE_APPLIED)
        return [(each, Outcome.MAYBE_APPLIED, None, None) for each in op.ops or (op,)]

    def _single(self, op: Op) -> Found:
        try:
            value = call(self._schedule.engine, self._client(op), op)
        except Exception as error:
            return [(op, outcome_of(error), None, error)]
        return [(op, Outcome.VALUE, self._value(op, value), None)]

    def _map(self, op: Op, promises: list[Any]) -> Found:
        try:
            with self._cluster.map(transaction=op.transaction) as conn:
                for each in op.ops:
                    promises.append(call(self._schedule.engine, conn, each))
        except CommandError:
            pass
        return self._kept_by(op, promises)

    def _at_once(self, op: Op, entry: Entry) -> Found:
        """A pipeline, or a transaction that watches a key."""
        try:
            values = getattr(self, f"_{op.name}")(op, entry)
        except Exception as error:
            values = [error] * len(op.ops)
        return [self._ended(each, value) for each, value in zip(op.ops, values, strict=True)]

    def _pipeline(self, op: Op, _: Entry) -> Any:
        pipeline = self._client(op).pipeline(op.transaction)
        self._queue(pipeline, op)
        return pipeline.execute(raise_on_error=False)

    def _watched(self, op: Op, entry: Entry) -> Any:
        with self._client(op).pipeline() as pipeline:
            pipeline.watch(*op.keys)
            self._prepare(op, entry, pipeline)
            return pipeline.execute(raise_on_error=False)

    def _transact(self, op: Op, entry: Entry) -> Any:
        return self._cluster.on_key(op.keys[0]).transaction(partial(self._prepare, op, entry), *op.keys)

    def _prepare(self, op: Op, entry: Entry, pipeline: Any) -> None:
        entry.seen = (pipeline.get(op.keys[0]) or b"").decode()
        pipeline.multi()
        self._queue(pipeline, op)

    def _queue(self, pipeline: Any, op: Op) -> None:
        for each in op.ops:
            call(self._schedule.engine, pipeline, each)

    def _crowd(self, op: Op, count: int) -> None:
        threads = [threading.Thread(target=self._do, args=(99, op), daemon=True) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _look(self, look: Callable[[], T]) -> T:
        return look()

    def _close(self) -> None:
        self._cluster.close()
