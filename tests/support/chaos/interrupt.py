"""A program that is interrupted in the middle of its calls: ``python -m chaos.interrupt redis 0 /path/of/a/socket …``.

A timer raises ``KeyboardInterrupt`` in the main thread, as Ctrl-C does, at random moments of a call. Exit status 0 if
every later answer belonged to its question. Prints how many calls were interrupted, and how many connections it cost.
"""

from __future__ import annotations

import faulthandler
import random
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

from chaos.reading import fill, make_cluster, read
from nydus_core import CommandError, HostError

__all__ = ["main"]

CALLS = 200


def main(engine: str, paths: Sequence[str], deadline: float | None) -> None:
    """Run it."""
    cluster = make_cluster(engine, paths, **({} if deadline is None else {"deadline": deadline}))
    fill(cluster)
    cluster.set("own", "")
    dice = random.Random(1)
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    interrupted = 0
    for _ in range(CALLS):
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(0.0003, 0.012))
            try:
                read(cluster, engine, "own", dice)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except KeyboardInterrupt:
            interrupted += 1
            read(cluster, engine, "own", dice)  # whatever is left on the connection would be read now
    for _ in range(30):
        read(cluster, engine, "own", dice)
    end = time.monotonic() + 20
    while (
        used := _used(cluster)
    ) >= interrupted / 10 and time.monotonic() < end:  # some may be under way still
        time.sleep(0.01)
    print(interrupted, used)


def _used(cluster: Any) -> int:
    engines = cluster.hosts.values()
    return sum(
        engine.connections.commands.busy if hasattr(engine, "connections") else engine.pool.busy
        for engine in engines
    )


if __name__ == "__main__":
    faulthandler.dump_traceback_later(100, exit=True)  # where it hangs, should it
    engine, seconds, *paths = sys.argv[1:]
    try:
        main(engine, paths, float(seconds) or None)
    except (HostError, CommandError) as error:
        sys.exit(f"{error!r} from a server that is well")
