"""Commands for one host, sent together: one write, then an answer for each run of commands. See ``runs``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.command import Command
from nydus_core.engines import Loan, SharedPool, Turn
from nydus_memcache.connection import Link
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.engine.outcomes import Failure, outcomes
from nydus_memcache.engine.runs import Run, runs
from nydus_memcache.errors import FAILURES, ServerFull

__all__ = ["MemcacheBatch"]


class MemcacheBatch:
    """Commands on their way to one host. See ``nydus_core.engines.Batch``."""

    def __init__(self, engine: MemcacheHost, pool: SharedPool[Link], commands: Sequence[Command]) -> None:
        self.engine = engine
        self._pool = pool
        self._commands = commands
        #: None until ``ready`` is asked: then the host before this one is at work.
        self._runs: list[Run] | None = None
        self._request = b""
        self._loan: Loan[Link] = Loan(pool, Link.shut)
        self._turn: Turn | None = None
        self._failure: Exception | None = None
        self._begun = self._sending = self._aborted = False

    @property
    def _link(self) -> Link | None:
        return self._loan.connection

    @property
    def overlaps(self) -> bool:
        """Whether all was written, so that only reading is left."""
        return self._link is None or not self._link.unsent

    def _prepared(self) -> list[Run]:
        """Return the runs of the commands. Their bytes are put together, unless that was done before."""
        if self._runs is None:
            self._runs = runs(self._commands)
            self._request = b"".join([run.request for run in self._runs])
        return self._runs

    @property
    def ready(self) -> bool:
        """Whether there is an open connection. It is claimed here, so that nobody else takes it."""
        self._prepared()
        return not self._request or self._loan.claim()

    def send(self) -> None:
        """Write as much as the socket takes at once."""
        try:
            if not self.ready:
                self._turn = Turn()
                if not self._aborted:
                    self._loan.take(self._turn)
            # Set before _aborted is read; abort() sets _aborted before it reads _begun. So one of the two sees the other
            self._begun = True
            if self._link is not None and not self._aborted:
                self._loan.clean, self._sending = False, True
                self._link.send(self._request)
        except FAILURES as error:
            self._failure = self._why_failed(error)

    def _why_failed(self, error: Exception) -> Exception:
        if self._link is None or self._aborted:
            return error
        cause = self._link.why(error)
        if not isinstance(cause, ServerFull):
            self._pool.drop_idle()  # they are as dead, if a firewall has forgotten them
        return cause

    def receive(self) -> list[Any]:
        """Write the rest, and read all answers; return the outcome of each command."""
        all_runs = self._prepared()
        answers: list[Any] = []
        if self._aborted and not self._sending and self._request:
            self._failure = self.engine.late("aborted")
        if self._failure is None:
            try:
                self._read(all_runs, answers)
            except FAILURES as error:
                self._failure = self._why_failed(error)
        found = outcomes(self.engine, all_runs, answers, self._why())
        self._loan.give_back()  # not when all hosts are done: others may wait for it, and this caller for others
        return found

    def _why(self) -> Failure | None:
        if self._failure is None:
            return None
        sent = self._link.sent if self._link is not None and self._sending else 0
        return Failure(self._failure, sent, sent)

    def _read(self, all_runs: Sequence[Run], answers: list[Any]) -> None:
        link = self._link
        if link is None:
            answers += [None] * len(all_runs)
            return
        if not all(run.silent for run in all_runs):
            link.wait()
        for run in all_runs:
            answers.append(run.read(link))
        link.flush()
        self._loan.clean = True

    def fileno(self) -> int | None:
        """Return the number of the socket that answers come from; None if there are no answers to wait for."""
        return None if self._failure is not None or self._link is None else self._link.fileno()

    def abort(self) -> list[Any] | None:
        """Shut the connection, so that a thread that waits for an answer is free; without a connection, never send."""
        self._aborted = True
        if self._begun:
            self._loan.interrupt()
            return None
        # Runs of its own: another thread may just be putting together the runs that are sent
        all_runs = runs(self._commands)
        if not any(run.request for run in all_runs):
            return None
        late = self.engine.late("aborted")
        if self._turn is not None:
            self._turn.abort(late)
        return outcomes(self.engine, all_runs, [], Failure(late))

    def close(self) -> None:
        """Give the connection back; close it first if answers are still to come."""
        self._loan.give_back()
