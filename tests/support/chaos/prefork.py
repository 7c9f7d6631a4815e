"""A program that forks while its threads call: ``python -m chaos.prefork redis /path/of/a/socket …``.

Parent and children use one cluster, made and connected before the fork, as the workers of a prefork server do.
Exit status 0 if every answer belonged to its question, in every process.
"""

from __future__ import annotations

import faulthandler
import os
import random
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Sequence

from chaos.reading import fill, make_cluster, read
from nydus_core import Cluster

__all__ = ["main"]

CHILDREN, THREADS = 4, 4


def main(engine: str, paths: Sequence[str], deadline: float | None) -> int:
    """Run it; return how many threads, over all processes, went wrong."""
    cluster = make_cluster(engine, paths, **({} if deadline is None else {"deadline": deadline}))
    fill(cluster)
    over = threading.Event()
    failures: list[str] = []
    threads = _started(cluster, engine, "parent", over, failures)
    children = []
    for number in range(CHILDREN):
        time.sleep(0.03)  # in the middle of whatever the threads do
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads: that is the point
            child = os.fork()
        if not child:
            os._exit(_child(cluster, engine, f"child {number}"))
        children.append(child)
    statuses = [os.waitpid(child, 0)[1] for child in children]
    over.set()
    for thread in threads:
        thread.join()
    cluster.close()
    print("".join(failures), file=sys.stderr)
    return len(failures) + sum(1 for status in statuses if status)


def _child(cluster: Cluster, engine: str, name: str) -> int:
    over = threading.Event()
    failures: list[str] = []
    try:
        read(cluster, engine, f"{name} first".replace(" ", "-"), random.Random(name))
        threads = _started(cluster, engine, name, over, failures)
        time.sleep(0.4)
        over.set()
        for thread in threads:
            thread.join()
        cluster.close()
    except BaseException:
        failures.append(traceback.format_exc())
    print("".join(failures), file=sys.stderr, flush=True)
    return min(100, len(failures))


def _started(
    cluster: Cluster, engine: str, name: str, over: threading.Event, failures: list[str]
) -> list[threading.Thread]:
    def work(number: int) -> None:
        own = f"{name}:{number}".replace(" ", "-")
        dice = random.Random(own)
        try:
            cluster.set(own, "")
            while not over.is_set():
                read(cluster, engine, own, dice)
        except BaseException:
            failures.append(f"{own}: {traceback.format_exc()}")

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    return threads


if __name__ == "__main__":
    faulthandler.dump_traceback_later(100, exit=True)  # where it hangs, should it
    engine, seconds, *paths = sys.argv[1:]
    sys.exit(main(engine, paths, float(seconds) or None))
