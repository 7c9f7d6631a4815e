"""Hosts that are far away: a process of its own with a proxy in front of each server, which holds replies back.

    python benchmarks/far_hosts.py 0.02 0.22 -- /path/of/one.sock /path/of/another.sock

It prints the paths where the proxies listen, and ends with its standard input. In the process that is measured the proxies would
take its time.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nydus_core.testing import FaultProxy


@contextmanager
def far_hosts(paths: Sequence[str], delays: Sequence[float]) -> Iterator[list[str]]:
    """Put a proxy in front of each server.

    Parameters:
        paths: The unix sockets of the servers.
        delays: For each, the seconds that a reply is held back.

    Returns:
        The unix sockets of the proxies.
    """
    program = [sys.executable, __file__, *map(str, delays), "--", *paths]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield [process.stdout.readline().rstrip() for _ in paths]
        finally:
            process.stdin.close()


def main() -> None:
    """Be that process."""
    middle = sys.argv.index("--")
    given = zip(sys.argv[1:middle], sys.argv[middle + 1 :], strict=True)
    proxies = [FaultProxy(path, delay=float(delay)) for delay, path in given]
    for proxy in proxies:
        print(proxy.path, flush=True)
    sys.stdin.read()
    for proxy in proxies:
        proxy.close()


if __name__ == "__main__":
    main()
