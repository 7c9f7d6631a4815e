"""A program whose calls are made by greenlets: ``python -m greenlets gevent early redis 0 /path/of/a/socket …``.

Python's threads and sockets are replaced by those of gevent or eventlet: before anything of Nydus is imported (``early``);
after a cluster has been used (``late``); or in a child process of one that has used it (``forked``), as ``gunicorn -k gevent
--preload`` does. Exit status 0 if every answer belonged to its question. Prints how many calls were made.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import random
import socket
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["main"]

GREENLETS, CALLS = 60, 10


def patched(kind: str) -> Callable[[Sequence[Callable[[], None]]], None]:
    """Replace threads and sockets; return what runs functions in greenlets."""
    if kind == "gevent":
        importlib.import_module("gevent.monkey").patch_all()
        gevent: Any = importlib.import_module("gevent")
        return lambda jobs: gevent.joinall([gevent.spawn(job) for job in jobs], raise_error=True)
    eventlet: Any = importlib.import_module("eventlet")
    eventlet.monkey_patch()

    def run(jobs: Sequence[Callable[[], None]]) -> None:
        for thread in [eventlet.spawn(job) for job in jobs]:
            thread.wait()

    return run


def main(kind: str, when: str, engine: str, deadline: float | None, paths: Sequence[str]) -> int:
    """Run it; return the exit status."""
    run = patched(kind) if when == "early" else None
    reading: Any = importlib.import_module("chaos.reading")
    cluster = reading.make_cluster(engine, paths, **({} if deadline is None else {"deadline": deadline}))
    if when != "early":
        reading.fill(cluster)
        for _ in range(3):
            with cluster.deadline(20), cluster.map() as conn:
                conn.get("a")
    if when == "forked":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads: that is the point
            child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            work(reading, cluster, engine, patched(kind))
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # eventlet keeps a child from ending on its own
        os._exit(0)
    work(reading, cluster, engine, run or patched(kind))
    return 0


def work(
    reading: Any, cluster: Any, engine: str, run: Callable[[Sequence[Callable[[], None]]], None]
) -> None:
    """Have greenlets make their calls."""
    faulthandler.dump_traceback_later(40, exit=True)  # where it hangs, should it
    done = []

    def calls(number: int) -> None:
        own, dice = f"own:{number}", random.Random(number)
        cluster.set(own, "")
        for _ in range(CALLS):
            reading.read(cluster, engine, own, dice)
            done.append(number)

    reading.fill(cluster)
    run([lambda: hang(reading, engine)])
    run([lambda number=number: calls(number) for number in range(GREENLETS)])  # type: ignore[misc]
    cluster.close()
    print(len(done), flush=True)


def hang(reading: Any, engine: str) -> None:
    """Call a host that accepts connections and never answers: the deadline ends the call."""
    path = os.path.join(tempfile.mkdtemp(), "silent")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        cluster = reading.make_cluster(engine, [path])
        with cluster.deadline(0.2):
            try:
                cluster.get("a")
            except importlib.import_module("nydus_core").DeadlineExceeded:
                return
    raise AssertionError("the deadline was not kept")


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="(?s).*Eventlet is deprecated")
    kind, when, engine, seconds, *paths = sys.argv[1:]
    sys.exit(main(kind, when, engine, float(seconds) or None, paths))
