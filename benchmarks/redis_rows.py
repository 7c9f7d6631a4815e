"""Redis, blocking: four hosts behind the recommended router, against redis-py on one of them. Others: ``redis_peers``."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any

import redis
from side_by_side import BATCH, KEYS, SINGLES, Row, queue

from nydus.db import create_cluster
from nydus_redis.embedded.server import PrivateServer

ROUTER = "slots"
THREADS = 16
VALUES = dict.fromkeys(KEYS, "value")


def redis_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """Commands that are sent as they are: each is one command at the server, too."""
    cluster, plain = _both(stack, servers)
    threads = stack.enter_context(ThreadPoolExecutor(THREADS))

    def single(name: str, work: Callable[[Any], Any], target: float = 0.65) -> Row:
        return Row(
            f"{name}, single; peer redis-py", lambda: work(cluster), lambda: work(plain), SINGLES, target, 200
        )

    def batch(name: str, work: Callable[[Any], Any], target: float) -> Row:
        return Row(
            f"map() of {BATCH} {name}; peer pipeline",
            lambda: mapped(cluster, work),
            lambda: piped(plain, work),
            BATCH,
            target,
            25,
        )

    return [
        single("GET", gets),
        single("SET", sets),
        single("INCR", incrs),
        Row(
            f"GET in {THREADS} threads; peer redis-py",
            lambda: [*threads.map(gets, [cluster] * THREADS)],
            lambda: [*threads.map(gets, [plain] * THREADS)],
            SINGLES * THREADS,
            0.67,
            20,
        ),
        batch("GET", queue_gets, 0.40),
        batch("SET", queue_sets, 0.35),
        batch("INCR", queue_incrs, 0.40),
        batch("SET, GET, INCR", queue, 0.40),
        batch("of a mix", queue_mix, 0.50),
    ]


def many_keys_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """Commands of many keys, which are cut over the hosts."""
    cluster, plain = _both(stack, servers)
    works: list[tuple[str, Callable[[Any], Any], int]] = [
        ("MSET", lambda client: client.mset(VALUES), 1),
        ("MGET", lambda client: client.mget(KEYS), 1),
        ("MSET, then DEL", lambda client: (client.mset(VALUES), client.delete(*KEYS)), 2),
    ]
    return [
        Row(
            f"{name} of {BATCH} keys; peer one plain call",
            partial(work, cluster),
            partial(work, plain),
            BATCH * calls,
            1.8,
            40,
        )
        for name, work, calls in works
    ]


def _both(stack: ExitStack, servers: list[PrivateServer]) -> tuple[Any, Any]:
    hosts = [f"redis://127.0.0.1:{server.port}" for server in servers]
    cluster = create_cluster({"engine": "redis", "router": ROUTER, "hosts": hosts})
    return stack.enter_context(cluster), stack.enter_context(redis.Redis(port=servers[0].port))


def gets(client: Any) -> None:
    """GET, one at a time."""
    for key in KEYS[:SINGLES]:
        client.get(key)


def sets(client: Any) -> None:
    """SET, one at a time."""
    for key in KEYS[:SINGLES]:
        client.set(key, "value")


def incrs(client: Any) -> None:
    """INCR, one at a time."""
    for key in KEYS[:SINGLES]:
        client.incr("n" + key)


def queue_gets(client: Any) -> None:
    """A batch of GET."""
    for key in KEYS:
        client.get(key)


def queue_sets(client: Any) -> None:
    """A batch of SET."""
    for key in KEYS:
        client.set(key, "value")


def queue_incrs(client: Any) -> None:
    """A batch of INCR."""
    for key in KEYS:
        client.incr("n" + key)


def queue_mix(client: Any) -> None:
    """A batch of commands on hashes, lists and sorted sets."""
    for number, key in enumerate(KEYS):
        match number % 6:
            case 0:
                client.hset("h" + key, "field", number)
            case 1:
                client.hget("h" + key, "field")
            case 2:
                client.lpush("l" + key, number)
            case 3:
                client.lrange("l" + key, 0, -1)
            case 4:
                client.zadd("z" + key, {"member": number})
            case _:
                client.zscore("z" + key, "member")


def mapped(cluster: Any, work: Callable[[Any], Any]) -> None:
    """A batch as a map()."""
    with cluster.map() as conn:
        work(conn)


def piped(client: Any, work: Callable[[Any], Any]) -> None:
    """A batch as a hand-written pipeline."""
    with client.pipeline(transaction=False) as pipeline:
        work(pipeline)
        pipeline.execute()
