"""`make bench`: what Nydus costs, as ratios to a peer that is measured in the same run, on real servers.

The two sides of a row take turns, so noise of the machine meets both. A row shows the median time of each side, and
the median and the middle half of the ratios of turns that stood side by side; and the median ratio of the CPU times of this
process, for which the servers, and whatever else runs on the machine, count less.

    python benchmarks/run.py            all rows
    python benchmarks/run.py asyncio    those whose name begins with this word
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TypeVar

from nydus_redis.embedded.server import PrivateServer

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from asyncio_connections import connections, show_connections
from asyncio_latency import latencies, measure_latency
from asyncio_memcache_rows import asyncio_memcache_rows
from asyncio_rows import asyncio_rows
from memcache_rows import memcache_rows, other_clients_rows
from parallel_rows import DELAY, FAR_HOSTS, SLOWER_BY, parallel_rows
from redis_peers import other_redis_rows
from redis_rows import many_keys_rows, redis_rows
from side_by_side import HOSTS, Row, heading, measure
from starts import STARTS, measure_start

from memcached import MemcachedServer

S = TypeVar("S", PrivateServer, MemcachedServer)

CLIENTS = (
    *("redis", "hiredis", "valkey", "libvalkey", "valkey-glide-sync", "valkey-glide"),
    *("pymemcache", "aiomcache", "meta-memcache", "meta-memcache-socket", "pylibmc"),
)


def main() -> None:
    """Measure the rows and print them as tables."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("only", nargs="?", default="", help="how the names of the rows begin")
    only = words.parse_args().only
    print(f"Python {sys.version.split()[0]}, {', '.join(installed())}")
    print(f"{HOSTS} hosts of each kind on loopback; µs for one command or key\n")
    heading()
    with rows() as each:
        measure_some(each, only, 1e-6)
    if "asyncio".startswith(only):
        many_tasks()
    print(
        f"\nms for one call; {FAR_HOSTS} hosts, each {DELAY * 1000:.0f} ms away, and one slow by another {SLOWER_BY * 1000:.0f} ms\n"
    )
    heading()
    with far_rows() as each:
        measure_some(each, only, 1e-3)
    if not only:
        print("\nms of CPU time of a new interpreter, beyond one that does nothing\n")
        heading()
        for start in STARTS:
            measure_start(start)


def measure_some(each: Sequence[Row], only: str, seconds: float) -> None:
    """Measure the rows whose name begins so, in this unit."""
    for row in each:
        if row.name.startswith(only):
            measure(row, seconds)


def many_tasks() -> None:
    """Measure how long each command takes among many, and count connections."""
    print("\nms from the call of a GET to its answer\n")
    heading()
    with ExitStack() as stack:
        redis_servers, memcached_servers = redis_and_memcached(stack)
        with ExitStack() as clients:
            for latency in latencies(clients, redis_servers):
                measure_latency(latency)
        print()
        show_connections(connections(redis_servers, memcached_servers))


def installed() -> Iterator[str]:
    """Yield the name and the version of each client library that is installed."""
    for name in CLIENTS:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


def redis_and_memcached(stack: ExitStack) -> tuple[list[PrivateServer], list[MemcachedServer]]:
    """Servers of both kinds, one for each host."""
    of_redis = [PrivateServer(tcp=True) for _ in range(HOSTS)]
    return started(stack, of_redis), started(stack, [MemcachedServer(tcp=True) for _ in range(HOSTS)])


def started(stack: ExitStack, servers: list[S]) -> list[S]:
    """Return servers that run until the end of the stack. All start at the same time."""
    for server in servers:
        stack.enter_context(server)
    return servers


@contextmanager
def rows() -> Iterator[list[Row]]:
    """The comparisons, on servers that run as long as they are in use."""
    with ExitStack() as stack:
        redis_servers, memcached_servers = redis_and_memcached(stack)
        # Other clients leave flags on their values, which not every peer reads
        of_others = started(stack, [MemcachedServer(tcp=True) for _ in range(HOSTS)])
        yield [
            *redis_rows(stack, redis_servers),
            *many_keys_rows(stack, redis_servers),
            *other_redis_rows(stack, redis_servers),
            *memcache_rows(stack, memcached_servers),
            *other_clients_rows(stack, of_others),
            *asyncio_rows(stack, redis_servers),
            *asyncio_memcache_rows(stack, memcached_servers),
        ]


@contextmanager
def far_rows() -> Iterator[list[Row]]:
    """The comparisons over hosts that are far away."""
    with ExitStack() as stack:
        yield parallel_rows(stack, started(stack, [PrivateServer() for _ in range(FAR_HOSTS)]))


if __name__ == "__main__":
    main()
