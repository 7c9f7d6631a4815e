"""The work that both sides of a comparison do, and how it is measured: in turns, so that noise meets both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

R = TypeVar("R")
T = TypeVar("T")

HOSTS = 4
SINGLES = 100
BATCH = 10_000
KEYS = [f"key:{number}" for number in range(BATCH)]


class Row(NamedTuple):
    """One comparison: the same work done twice, and how many units it is. Without a target it is for information."""

    name: str
    ours: Callable[[], Any]
    peer: Callable[[], Any]
    units: int
    target: float | None
    turns: int


def queue(client: Any) -> None:
    """The commands of a batch, in thirds."""
    for number, key in enumerate(KEYS):
        match number % 3:
            case 0:
                client.set(key, number)
            case 1:
                client.get(key)
            case _:
                client.incr("n" + key)


def heading() -> None:
    """Print the head of the table."""
    print(
        f"| {'what':50} | {'nydus':>7} | {'peer':>7} | {'ratio':>5} | {'middle half':>11} | {'CPU':>5} | {'target':>6} |"
    )
    print(f"|{'-' * 52}|{'-' * 8}:|{'-' * 8}:|{'-' * 6}:|{'-' * 12}:|{'-' * 6}:|{'-' * 7}:|")


def measure(row: Row, seconds: float = 1e-6) -> None:
    """Let both sides take turns, and print the row.

    Parameters:
        row: The comparison.
        seconds: The unit of the times that are printed, in seconds: by default µs.
    """
    ours, peer = take_turns(row.ours, row.peer, row.turns, times_of)
    show(row.name, ours, peer, row.units * seconds, row.target)


def take_turns(
    ours: Callable[[], R], peer: Callable[[], R], turns: int, measured: Callable[[Callable[[], R]], T]
) -> tuple[list[T], list[T]]:
    """Return what was measured of both sides, which take turns. Each has worked once before, to connect and to warm up."""
    ours(), peer()
    found: tuple[list[T], list[T]] = ([], [])
    for turn in range(turns):
        sides = [*zip((ours, peer), found, strict=True)]
        for work, measures in sides if turn % 2 else reversed(sides):
            measures.append(measured(work))
    return found


class Times(NamedTuple):
    """How long some work takes, and for how long this process was at work."""

    seconds: float
    cpu: float


def show(name: str, ours: Sequence[Times], peer: Sequence[Times], units: float, target: float | None) -> None:
    """Print a row of the table, of times that stood side by side, for one unit."""
    ratios = [mine.seconds / theirs.seconds for mine, theirs in zip(ours, peer, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    cpu = statistics.median(mine.cpu / theirs.cpu for mine, theirs in zip(ours, peer, strict=True))
    aim = "" if target is None else f"{target:.2f}"
    each = [statistics.median(times.seconds for times in side) / units for side in (ours, peer)]
    print(
        f"| {name:50} | {each[0]:7.2f} | {each[1]:7.2f} | {middle:5.2f} | {low:4.2f} – {high:4.2f} | {cpu:5.2f} | {aim:>6} |"
    )


def times_of(work: Callable[[], Any]) -> Times:
    """Measure some work. Garbage of the side before is not on its bill."""
    gc.collect()
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return Times(time.perf_counter() - start, time.process_time() - cpu)
