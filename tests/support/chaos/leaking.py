"""Leaks on purpose, in a process that does nothing else: what two samples of it tell."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.samples import Allowance, grown, growth_by_type, sample

__all__ = ["LEAKS", "leak"]


class Left:
    """An object that a leak leaves, so that it can be counted by its type."""


def _threads(kept: list[Any]) -> None:
    for _ in range(30):
        threading.Thread(target=threading.Event().wait, daemon=True).start()


#: By the name of the amount that grows: a leak, and how much more is allowed.
LEAKS: dict[str, tuple[Callable[[list[Any]], object], float]] = {
    "memory, MB": (lambda kept: kept.append(b"x" * 30_000_000), 10),
    "objects": (lambda kept: kept.extend(Left() for _ in range(100_000)), 50_000),
    "files": (lambda kept: kept.extend(Path("/dev/null").open() for _ in range(60)), 40),  # noqa: SIM115
    "threads": (_threads, 20),
}


def leak(name: str) -> tuple[list[str], list[str]]:
    """Leak; return what has grown by more than is allowed, and which types have more objects."""
    cause, _ = LEAKS[name]
    before = sample(0.0, connections=0, tasks=0)
    kept: list[Any] = []
    cause(kept)
    after = sample(1.0, connections=0, tasks=0)
    allowances = {each: Allowance(0.0, most) for each, (_, most) in LEAKS.items()}
    return grown(before, after, allowances), growth_by_type(before, after)
