"""How long a program waits before its first command: imports and the first cluster, in new interpreters.

Time is CPU time of the whole process, user and system, beyond that of an interpreter that does nothing. Compiled modules are
there, as in any second run of a program.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from side_by_side import Times, show


class Start(NamedTuple):
    """One comparison: two programs, each run by new interpreters."""

    name: str
    ours: str
    peer: str
    target: float


_HOSTS = {str(number): {"port": 6379 + number} for number in range(4)}

STARTS = (
    Start(
        "importing create_cluster; peer import redis",
        "from nydus.db import create_cluster",
        "import redis",
        0.35,
    ),
    Start(
        "the first cluster; peer the first redis.Redis()",
        "from nydus.db import create_cluster\n"
        f"create_cluster({{'engine': 'redis', 'router': 'slots', 'hosts': {_HOSTS}}}).get",
        "import redis\nredis.Redis().get",
        1.15,
    ),
)


def measure_start(start: Start, turns: int = 25) -> None:
    """Let interpreters take turns: one that does nothing, ours, and the peer. Print the row, in ms."""
    for program in (start.ours, start.peer):
        cpu_seconds(program)  # writes the compiled modules, if need be
    ours: list[Times] = []
    peer: list[Times] = []
    for turn in range(turns):
        bare = cpu_seconds("pass")
        sides = [(start.ours, ours), (start.peer, peer)]
        for program, times in sides if turn % 2 else reversed(sides):
            used = cpu_seconds(program) - bare
            times.append(Times(used, used))
    show(start.name, ours, peer, 1e-3, start.target)


def cpu_seconds(program: str) -> float:
    """The CPU time of a new interpreter that runs a program."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    process = os.posix_spawn(sys.executable, [sys.executable, "-c", program], environment)
    _, status, used = os.wait4(process, 0)
    if status:
        raise RuntimeError(f"this program failed: {program}")
    return used.ru_utime + used.ru_stime
