"""A program that closes fault proxies in the midst of work, and prints how many threads and files each has left behind.

It does nothing else, so that all threads and files of its process are its own. Its arguments are the process id of a Redis and
the path of its socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).parent))  # tests/support, as a program of its own

from fault_clients import connect, settle
from nydus_core.testing import FaultProxy
from stopping import stopped

FOREVER = 3600.0


def busy(server: str, tcp: bool, state: str) -> None:
    """Close a proxy whose connections are all under way."""
    with contextlib.ExitStack() as stack:
        between = FaultProxy(server, tcp=tcp, delay=FOREVER)
        for _ in range(20):
            client = stack.enter_context(connect(between))
            client.sendall(b"INCR n\r\n")
        if state == "full":
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(b"x" * 65536)
                    settle(between)
        if state == "hang" and tcp:
            between.hang_connects()
        if state == "refuse":
            between.refuse()
        between.close()


def refused() -> None:
    """Ask for proxies that cannot be made."""
    for target, delay in ((("nowhere.invalid", 1), 0.0), ("/nowhere.sock", -1.0)):
        with contextlib.suppress(OSError, ValueError):
            FaultProxy(target, delay=delay)
    with FaultProxy("/nowhere.sock") as between, contextlib.suppress(OSError):
        between.target = ("nowhere.invalid", 1)


def counts() -> tuple[int, int]:
    """The threads and the files of this process."""
    return threading.active_count(), len(os.listdir("/dev/fd"))


def main(pid: int, server: str) -> None:
    """Print what each state has left."""
    found = []
    FaultProxy(server).close()  # modules that are loaded late, and the like
    states = [(state, tcp) for state in ("hold", "hang", "refuse", "full") for tcp in (False, True)]
    with stopped(SimpleNamespace(pid=pid)):
        for state, tcp in [*states, ("unknown", False)]:
            threads, files = counts()
            refused() if state == "unknown" else busy(server, tcp, state)
            more = counts()
            found.append({"state": state, "tcp": tcp, "threads": more[0] - threads, "files": more[1] - files})
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
