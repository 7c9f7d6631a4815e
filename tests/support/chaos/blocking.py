"""A run of the blocking side: threads call a ``Cluster``."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import Any

from chaos.calls import call
from chaos.record import Record
from chaos.runs import Found, Run, T, stack_of
from chaos.schedule import Op
from nydus.db import create_cluster
from nydus_core import CommandError
from nydus_core.command import Outcome, outcome_of

__all__ = ["BlockingRun"]


class BlockingRun(Run):
    """Calls by threads."""

    def _open(self, stack: ExitStack, settings: dict[str, Any]) -> None:
        self._cluster = stack.enter_context(create_cluster(settings))

    def _begin_calls(self) -> None:
        self._threads = [
            threading.Thread(target=self._thread, args=(number, ops), name=f"chaos-{number}", daemon=True)
            for number, ops in enumerate(self._schedule.threads)
        ]
        for thread in self._threads:
            thread.start()

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

    def _do(self, thread: int, op: Op) -> list[Record]:
        with self._booked(thread, op) as (entry, records):  # noqa: SIM117 - the deadline's block is timed, too
            with nullcontext() if op.deadline is None else self._cluster.deadline(op.deadline):
                entry.found = self._map(op) if op.ops else self._single(op)
        return records

    def _single(self, op: Op) -> Found:
        client = self._client(op)
        try:
            value = call(self._schedule.engine, client, op)
        except Exception as error:
            return [(op, outcome_of(error), None, error)]
        return [(op, Outcome.VALUE, self._value(op, value), None)]

    def _map(self, op: Op) -> Found:
        promises: list[Any] = []
        try:
            with self._cluster.map(transaction=op.transaction) as conn:
                promises += [call(self._schedule.engine, conn, each) for each in op.ops]
        except CommandError:
            pass
        return self._kept_by(op, promises)

    def _look(self, look: Callable[[], T]) -> T:
        return look()

    def _close(self) -> None:
        self._cluster.close()
