"""`make bench`: what Nydus costs, as ratios to a peer that is measured in the same run, on real servers.

The two sides of a row take turns, so noise of the machine meets both. A row shows the median time of each side, and
the median and the middle half of the ratios of turns that stood side by side; and the median ratio of the CPU times of this
process, for which the servers, and whatever else runs on the machine, count less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nydus_redis.embedded.server import PrivateServer

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from asyncio_rows import asyncio_memcache_rows, asyncio_rows
from memcache_rows import memcache_rows, other_clients_rows
from parallel_rows import DELAY, FAR_HOSTS, SLOWER_BY, parallel_rows
from redis_peers import other_redis_rows
from redis_rows import many_keys_rows, redis_rows
from side_by_side import HOSTS, Row, heading, measure
from starts import STARTS, measure_start

from memcached import MemcachedServer

CLIENTS = (
    *("redis", "hiredis", "valkey", "libvalkey", "valkey-glide-sync"),
    *("pymemcache", "aiomcache", "meta-memcache", "meta-memcache-socket", "pylibmc"),
)


def main() -> None:
    """Measure all rows and print them as a table."""
    print(f"Python {sys.version.split()[0]}, {', '.join(installed())}")
    print(f"{HOSTS} hosts of each kind on loopback; µs for one command or key\n")
    heading()
    with rows() as each:
        for row in each:
            measure(row)
    print(
        f"\nms for one call; {FAR_HOSTS} hosts, each {DELAY * 1000:.0f} ms away, and one slow by another {SLOWER_BY * 1000:.0f} ms\n"
    )
    heading()
    with far_rows() as each:
        for row in each:
            measure(row, 1e-3)
    print("\nms of CPU time of a new interpreter, beyond one that does nothing\n")
    heading()
    for start in STARTS:
        measure_start(start)


def installed() -> Iterator[str]:
    """Yield the name and the version of each client library that is installed."""
    for name in CLIENTS:
        with suppress(PackageNotFoundError):
            yield f"{name} {version(name)}"


@contextmanager
def rows() -> Iterator[list[Row]]:
    """The comparisons, on servers that run as long as they are in use."""
    with ExitStack() as stack:
        redis_servers = [PrivateServer(tcp=True) for _ in range(HOSTS)]
        memcached_servers = [MemcachedServer(tcp=True) for _ in range(HOSTS)]
        # Other clients leave flags on their values, which not every peer reads
        of_others = [MemcachedServer(tcp=True) for _ in range(HOSTS)]
        for redis_server in redis_servers:
            stack.enter_context(redis_server)
        for memcached_server in memcached_servers + of_others:
            stack.enter_context(memcached_server)
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
        servers = [PrivateServer() for _ in range(FAR_HOSTS)]
        for server in servers:
            stack.enter_context(server)
        yield parallel_rows(stack, servers)


if __name__ == "__main__":
    main()
