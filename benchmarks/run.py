"""`make bench`: what Nydus costs, as ratios to a peer that is measured in the same run, on real servers.

The two sides of a row take turns, so noise of the machine meets both. A row shows the median time of each side, and
the median and the middle half of the ratios of turns that stood side by side; and the median ratio of the CPU times of this
process, for which the servers, and whatever else runs on the machine, count less.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import redis

from nydus.db import create_cluster
from nydus_redis.embedded.server import PrivateServer

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests" / "support"))
from asyncio_rows import asyncio_memcache_rows, asyncio_rows
from memcache_rows import memcache_rows
from side_by_side import BATCH, HOSTS, KEYS, SINGLES, Row, heading, measure, queue
from starts import STARTS, measure_start

from memcached import MemcachedServer


def main() -> None:
    """Measure all rows and print them as a table."""
    names = ("redis", "hiredis", "pymemcache", "aiomcache")
    print(f"Python {sys.version.split()[0]}, {', '.join(f'{name} {version(name)}' for name in names)}")
    print(f"{HOSTS} hosts of each kind on loopback; µs for one command or key\n")
    heading()
    with rows() as each:
        for row in each:
            measure(row)
    print("\nms of CPU time of a new interpreter, beyond one that does nothing\n")
    heading()
    for start in STARTS:
        measure_start(start)


@contextmanager
def rows() -> Iterator[list[Row]]:
    """The comparisons, on servers that run as long as they are in use."""
    with ExitStack() as stack:
        redis_servers = [PrivateServer(tcp=True) for _ in range(HOSTS)]
        memcached_servers = [MemcachedServer(tcp=True) for _ in range(HOSTS)]
        for redis_server in redis_servers:
            stack.enter_context(redis_server)
        for memcached_server in memcached_servers:
            stack.enter_context(memcached_server)
        yield [
            *redis_rows(stack, redis_servers),
            *memcache_rows(stack, memcached_servers),
            *asyncio_rows(stack, redis_servers),
            *asyncio_memcache_rows(stack, memcached_servers),
        ]


def redis_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """Against redis-py on one of the servers."""
    hosts = [f"redis://127.0.0.1:{server.port}" for server in servers]
    cluster = stack.enter_context(create_cluster({"engine": "redis", "router": "partition", "hosts": hosts}))
    plain = stack.enter_context(redis.Redis(port=servers[0].port))
    return [
        Row(
            "GET, single; peer redis-py, one host",
            lambda: gets(cluster),
            lambda: gets(plain),
            SINGLES,
            1.15,
            200,
        ),
        Row(
            "INCR, single; peer redis-py, one host",
            lambda: incrs(cluster),
            lambda: incrs(plain),
            SINGLES,
            1.15,
            200,
        ),
        Row(
            f"map() of {BATCH} SET, GET, INCR; peer pipeline",
            lambda: mapped(cluster),
            lambda: piped(plain),
            BATCH,
            0.8,
            25,
        ),
    ]


def gets(client: Any) -> None:
    """GET, one at a time."""
    for key in KEYS[:SINGLES]:
        client.get(key)


def incrs(client: Any) -> None:
    """INCR, one at a time."""
    for key in KEYS[:SINGLES]:
        client.incr("n" + key)


def mapped(cluster: Any) -> None:
    """The batch as a map()."""
    with cluster.map() as conn:
        queue(conn)


def piped(client: Any) -> None:
    """The batch as a hand-written pipeline."""
    with client.pipeline(transaction=False) as pipeline:
        queue(pipeline)
        pipeline.execute()


if __name__ == "__main__":
    main()
