"""A program that runs out of files in the middle of its work: ``python -m wanting redis /path/of/a/socket …``.

Prints the outcomes of a map() for which all connections are open, then those of a cluster that has to connect, and how many
failures are counted against its hosts.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Sequence
from typing import Any

from chaos.reading import KEYS, fill, make_cluster

__all__ = ["main"]


def main(engine: str, paths: Sequence[str]) -> None:
    """Run it."""
    connected, other = (make_cluster(engine, paths, retry={"attempts": 1}) for _ in range(2))
    fill(connected)
    outcomes(connected)
    limit = len(os.listdir("/dev/fd")) + 5
    files: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    try:
        while True:
            files.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        """There are no more."""
    found = outcomes(connected), outcomes(other), [health.failures for health in other.health().values()]
    for file in files:
        os.close(file)
    print(*found, sep="\n")


def outcomes(cluster: Any) -> list[str]:
    """Return the kinds of outcomes of a map(), and of a single command."""
    promises = []
    with cluster.deadline(20):
        for keys in (KEYS, KEYS[:1]):
            with cluster.map(fail_silently=True) as conn:
                promises += [conn.get(key) for key in keys]
    return sorted({promise.outcome.value for promise in promises})


if __name__ == "__main__":
    engine, *paths = sys.argv[1:]
    main(engine, paths)
