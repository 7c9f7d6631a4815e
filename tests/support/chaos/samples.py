"""Samples of what a process holds: memory, files, threads, tasks, connections. And the judge of whether they stay flat."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Allowance", "Sample", "grown", "growth_by_type", "highest", "sample", "table"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """What was held at a moment when nobody called.

    Attributes:
        at: Seconds from the beginning.
        held: The amounts, by name.
        types: How many objects of each type there are.
    """

    at: float
    held: Mapping[str, float]
    types: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Allowance:
    """How much more there may be at the end than after the first fifth.

    Attributes:
        share: A share of what was there.
        amount: And so much besides.
    """

    share: float
    amount: float

    def most(self, before: float) -> float:
        """Return how much there may be where there was so much."""
        return before * (1 + self.share) + self.amount


def sample(at: float, connections: int, tasks: int) -> Sample:
    """Take a sample of this process.

    Parameters:
        at: Seconds from the beginning.
        connections: How many connections the servers have.
        tasks: How many tasks its event loop has.
    """
    for _ in range(3):
        gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    held = {
        "memory, MB": round(pages * _PAGE / 2**20, 1),
        "objects": sys.getallocatedblocks(),
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "tasks": tasks,
        "connections": connections,
    }
    return Sample(at, held, Counter(type(each).__qualname__ for each in gc.get_objects()))


def grown(first: Sample, last: Sample, allowances: Mapping[str, Allowance]) -> list[str]:
    """Tell what has grown by more than is allowed; nothing, if all is flat."""
    return [
        f"{name}: {first.held[name]:g} after {first.at:.0f} s, {last.held[name]:g} after {last.at:.0f} s;"
        f" at most {allowance.most(first.held[name]):g} were expected"
        for name, allowance in allowances.items()
        if last.held[name] > allowance.most(first.held[name])
    ]


def highest(samples: Sequence[Sample]) -> Sample:
    """Return the last of some samples, with the highest of each of their numbers."""
    held = {name: max(each.held[name] for each in samples) for name in samples[0].held}
    return replace(samples[-1], held=held)


def growth_by_type(first: Sample, last: Sample) -> list[str]:
    """Tell the types of which there are most more objects."""
    more = Counter(last.types)
    more.subtract(first.types)
    return [f"{count:+} {name}" for name, count in more.most_common(8) if count > 0]


def table(samples: Sequence[Sample]) -> str:
    """Return the samples as a table."""
    names = list(samples[0].held)
    lines = [["seconds", *names]]
    lines += [[f"{each.at:.0f}", *(f"{each.held[name]:g}" for name in names)] for each in samples]
    widths = [max(len(line[number]) for line in lines) for number in range(len(names) + 1)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
