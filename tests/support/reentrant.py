"""A program whose calls are interrupted by calls of the same thread: ``python -m reentrant redis 0 /path/of/a/socket …``.

A signal handler uses the cluster a thousand times a second, and so do finalizers that the collector runs, at any moment of
a call. Another thread calls, too: it must not be held up. Exit status 0 if every answer belonged to its question. Prints how
many calls were made by the main thread, the other thread, the handler and the finalizers.
"""

from __future__ import annotations

import faulthandler
import gc
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from chaos.reading import fill, make_cluster, read

__all__ = ["main"]

SECONDS = 1.5


def main(engine: str, paths: Sequence[str], deadline: float | None) -> None:
    """Run it."""
    cluster = make_cluster(engine, paths, **({} if deadline is None else {"deadline": deadline}))
    fill(cluster)
    calls: Counter[str] = Counter()
    end = time.monotonic() + SECONDS
    failures: list[BaseException] = []

    def caller(name: str) -> Callable[..., None]:
        dice, under_way = random.Random(name), threading.Lock()

        def call(*_: Any) -> None:
            if not under_way.acquire(blocking=False):
                return  # the call of the last signal is not over yet
            try:
                read(cluster, engine, name, dice)
                calls[name] += 1
            except BaseException as error:
                failures.append(error)
            finally:
                under_way.release()

        return call

    class Circle:
        """A reference cycle, so that the collector has something to do."""

        finalize = staticmethod(caller("finalizer"))

        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            self.finalize()

    def work(call: Callable[..., None]) -> None:
        while time.monotonic() < end and not failures:
            Circle()
            call()

    for name in ("main", "thread", "handler", "finalizer"):
        cluster.set(name, "")
    gc.set_threshold(300, 5, 5)
    signal.signal(signal.SIGALRM, caller("handler"))
    other = threading.Thread(target=work, args=(caller("thread"),), daemon=True)
    other.start()
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    work(caller("main"))
    signal.setitimer(signal.ITIMER_REAL, 0)
    other.join()
    gc.collect()
    for failure in failures:
        raise failure
    print(*(calls[name] for name in ("main", "thread", "handler", "finalizer")))


if __name__ == "__main__":
    faulthandler.dump_traceback_later(40, exit=True)  # where it hangs, should it
    engine, seconds, *paths = sys.argv[1:]
    main(engine, paths, float(seconds) or None)
