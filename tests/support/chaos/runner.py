"""Runs schedules: which side's callers they need, on which servers."""

from __future__ import annotations

import time
from collections.abc import Mapping

from chaos import runs
from chaos.blocking import BlockingRun
from chaos.runs import Result
from chaos.schedule import Schedule, make_schedule
from chaos.servers import Fleet
from chaos.tasks import AsyncioRun

__all__ = ["allow", "run", "run_seed"]


def run(schedule: Schedule, fleet: Fleet) -> Result:
    """Run a schedule and judge it."""
    start = time.monotonic()
    result = Result(schedule)
    (AsyncioRun if schedule.side == "asyncio" else BlockingRun)(schedule, fleet, result).all()
    result.seconds = time.monotonic() - start
    return result


def run_seed(seed: int, side: str = "blocking") -> Result:
    """Run the schedule of a seed, on servers that this process keeps."""
    global _fleet
    _fleet = _fleet or Fleet()
    return run(make_schedule(seed, side), _fleet)


def allow(limits: Mapping[str, float]) -> None:
    """Set the time limits of this process, in seconds: see ``SLACK`` and the like in ``runs``."""
    vars(runs).update(limits)


_fleet: Fleet | None = None
