"""A program that forks at every step of a first call: ``python -m forking redis blocking 0 /path/of/a/socket …``.

One thread makes the first call of a cluster, line by line. At every few lines the main thread forks, so that the locks of
that moment are locked in the child, for ever: the child has no such thread. Each child makes a call of its own, which has to
end. Exit status 0 if all did. Prints the number of children.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from nydus.db import create_async_cluster, create_cluster
from nydus_core import BaseEngine

__all__ = ["Store", "main"]

#: Lines from one fork to the next. ``FORKING_STEP=5`` is more thorough, and takes ten seconds.
STEP = int(os.environ.get("FORKING_STEP", "29"))
OURS = tuple(f"{os.sep}{name}{os.sep}" for name in ("nydus_core", "nydus_redis", "nydus_memcache", "redis"))


class Store(BaseEngine):
    """A store in memory, of a third party."""

    def connect(self) -> dict[str, Any]:
        return {}

    def disconnect(self) -> None:
        """There is nothing to close."""


def call_of(engine: str, side: str, paths: Sequence[str], settings: dict[str, Any]) -> Callable[[], object]:
    """Return a function that makes a call, in a new cluster."""
    if engine == "store":
        cluster: Any = create_cluster({"engine": Store, "router": "partition", "hosts": [{}, {}], **settings})
        return lambda: cluster.get("a")
    given = {"engine": engine, "router": "partition", **settings}
    hosts: Any = [{"unix_socket_path": path} for path in paths] if paths else 2
    if side == "blocking":
        cluster = create_cluster({**given, "hosts": hosts})
        return lambda: cluster.get("a")
    cluster = create_async_cluster({**given, "hosts": hosts})

    async def get() -> None:
        await cluster.get("a")

    return lambda: asyncio.run(get())


def main(call: Callable[[], object]) -> int:
    """Run it; return how many children there were."""
    wanted, done, over = threading.Event(), threading.Event(), threading.Event()
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if not any(name in frame.f_code.co_filename for name in OURS):
            return None
        if event == "line":
            lines += 1
            if not lines % STEP:
                wanted.set()
                done.wait()
                done.clear()
        return trace

    def first() -> None:
        sys.settrace(trace)
        try:
            call()
        finally:
            sys.settrace(None)
            over.set()
            wanted.set()

    threading.Thread(target=first, daemon=True).start()
    children = 0
    while wanted.wait() and not over.is_set():
        wanted.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads: that is the point
            child = os.fork()
        if not child:
            signal.alarm(10)  # ends a child that waits for ever
            try:
                call()
                os._exit(0)
            except BaseException as error:
                print(f"child {children}: {error!r}", file=sys.stderr, flush=True)
                os._exit(1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            faulthandler.dump_traceback()
            sys.exit(f"child {children}, forked at line {lines}, ended with {status}")
        children += 1
        done.set()
    return children


if __name__ == "__main__":
    engine, side, seconds, *paths = sys.argv[1:]
    print(main(call_of(engine, side, paths, {"deadline": float(seconds)} if float(seconds) else {})))
