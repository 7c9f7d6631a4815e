"""Servers that hang, so that they take connections and bytes and do not answer, and servers that are gone."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from waiting import until


class Process(Protocol):
    @property
    def pid(self) -> int: ...


@contextmanager
def stopped(*servers: Process) -> Iterator[None]:
    """Stop servers (SIGSTOP), and wake them at the end of the block."""
    for server in servers:
        os.kill(server.pid, signal.SIGSTOP)
    try:
        for server in servers:
            wait_until_stopped(server.pid)
        yield
    finally:
        for server in servers:
            os.kill(server.pid, signal.SIGCONT)


def gone(pid: int) -> bool:
    """Whether a process is gone, or goes soon."""

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    with contextlib.suppress(AssertionError):
        until(is_gone)
    return is_gone()


def wait_until_stopped(pid: int) -> None:
    """A signal is only on its way when kill() returns, and each thread stops when it is next scheduled."""
    tasks = Path(f"/proc/{pid}/task")
    if not tasks.exists():  # no Linux
        time.sleep(0.1)
        return
    until(lambda: all(_state(task) == "T" for task in tasks.iterdir()))


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
