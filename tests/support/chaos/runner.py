"""Runs schedules: which side's callers they need, on which servers."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from chaos import runs
from chaos.blocking import BlockingRun
from chaos.features import make_schedule
from chaos.runs import Result
from chaos.schedule import Schedule
from chaos.servers import Fleet
from chaos.spoil import caught
from chaos.tasks import AsyncioRun

__all__ = ["allow", "run", "run_and_lie", "run_seed"]


def run(schedule: Schedule, fleet: Fleet) -> Result:
    """Run a schedule and judge it."""
    start = time.monotonic()
    result = Result(schedule)
    (AsyncioRun if schedule.side == "asyncio" else BlockingRun)(schedule, fleet, result).all()
    result.seconds = time.monotonic() - start
    return result


def run_seed(seed: int, side: str = "blocking", features: Iterable[str] | None = None) -> Result:
    """Run the schedule of a seed, on servers that this process keeps; return what another process can be told."""
    global _fleet
    _fleet = _fleet or Fleet()
    result = run(make_schedule(seed, side, features), _fleet)
    result.evidence = None
    return result


def run_and_lie(
    seed: int, side: str, features: Iterable[str], lies: Iterable[str]
) -> tuple[Result, dict[str, bool | None]]:
    """Run the schedule of a seed, and tell of each lie about it whether the judge sees it: see ``spoil``."""
    global _fleet
    _fleet = _fleet or Fleet()
    result = run(make_schedule(seed, side, features), _fleet)
    evidence, result.evidence = result.evidence, None
    return result, {name: caught(name, evidence) for name in lies} if evidence is not None else {}


def allow(limits: Mapping[str, float]) -> None:
    """Set the time limits of this process, in seconds: see ``SLACK`` and the like in ``runs``."""
    vars(runs).update(limits)


_fleet: Fleet | None = None
