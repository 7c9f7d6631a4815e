"""Ctrl-C in the middle of a delivery: whoever is still at work on a batch keeps its connection."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import pytest

from nydus_core import drivers
from nydus_core.command import Command
from nydus_core.deadlines import Deadline
from nydus_core.plan import Lane


class SlowBatch:
    """Takes a while to connect. Is itself the engine that makes it."""

    overlaps = True
    ready = False

    def __init__(self, log: list[str]) -> None:
        self.log = log

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> SlowBatch:
        return self

    def send(self) -> None:
        self.log.append("sends")
        time.sleep(0.1)
        self.log.append("has sent")

    def receive(self) -> list[Any]:
        return ["value"]

    def abort(self) -> None:
        pass

    def close(self) -> None:
        self.log.append("closed")


def one_lane_a_host(count: int) -> Generator[Sequence[Lane], Any, list[Any]]:
    yield [Lane(host, [Command("incr")], [host]) for host in range(count)]
    return []


def interrupted(begins: bool) -> Callable[[Callable[[], Any]], Any]:
    """``in_thread``, and a Ctrl-C inside of it: when the job has begun, or before."""

    def in_thread(job: Callable[[], Any]) -> Any:
        jobs.append(job)
        if begins:
            real(job)
            time.sleep(0.03)
        raise KeyboardInterrupt

    real = drivers.in_thread
    jobs: list[Callable[[], Any]] = []
    in_thread.__dict__["jobs"] = jobs
    return in_thread


def deliver(monkeypatch: pytest.MonkeyPatch, in_thread: Any, seconds: float | None) -> list[list[str]]:
    monkeypatch.setattr(drivers, "in_thread", in_thread)
    logs: list[list[str]] = [[], []]
    engines: Any = [SlowBatch(log) for log in logs]
    with pytest.raises(KeyboardInterrupt):
        drivers.run(one_lane_a_host(2), engines, deadline=None if seconds is None else Deadline(seconds))
    return logs


@pytest.mark.parametrize("seconds", [None, 5.0])
def test_a_batch_is_not_closed_while_a_thread_is_at_work_on_it(
    monkeypatch: pytest.MonkeyPatch, seconds: float | None
) -> None:
    first, second = deliver(monkeypatch, interrupted(begins=True), seconds)
    until = time.monotonic() + 5
    while len(first) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    assert first == ["sends", "has sent", "closed"]
    assert second == ["closed"]


@pytest.mark.parametrize("seconds", [None, 5.0])
def test_a_job_that_has_not_begun_never_does(monkeypatch: pytest.MonkeyPatch, seconds: float | None) -> None:
    in_thread = interrupted(begins=False)
    logs = deliver(monkeypatch, in_thread, seconds)
    for job in in_thread.__dict__["jobs"]:  # a thread of the pool gets round to it
        with contextlib.suppress(RuntimeError):
            job()
    assert logs == [["closed"], ["closed"]]
