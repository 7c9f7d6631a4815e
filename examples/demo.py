"""The main job of Nydus on three private, real servers: `make demo` runs this.

Everything that the program starts is gone when it ends.
"""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections import Counter

from nydus.db import AsyncCluster, Cluster, create_async_cluster, create_cluster

KEYS = [f"user:{number}" for number in range(3000)]


def main() -> None:
    """Show a cluster, where its keys go, a broadcast, a map(), and the same with asyncio."""
    settings = {"engine": "embedded", "hosts": {"ant": {}, "bee": {}, "cat": {}}}
    with create_cluster({**settings, "router": "slots"}) as redis:
        show_cluster(redis)
        show_single(redis)
        show_broadcast(redis)
        show_map(redis)
        show_refusal(redis)
    with create_cluster(settings) as redis:
        show_no_router(redis)
    asyncio.run(show_asyncio(create_async_cluster({**settings, "router": "slots"})))
    print("\nAll servers are stopped. Next: `make test`, and docs/start.md.")


def show_cluster(redis: Cluster) -> None:
    """The hosts, and the servers behind them."""
    title("A cluster of three real servers")
    for name, answer in zip(redis, redis.info("server"), strict=True):
        kind = "valkey" if "valkey_version" in answer else "redis"
        version = answer.get("valkey_version", answer["redis_version"])
        print(f"  {name}   {kind} {version}, process {answer['process_id']}")
    print(f"  router: {redis.router!r}")


def show_single(redis: Cluster) -> None:
    """A command goes to the host of its key."""
    title("One key, one host")
    for key in ("foo", "bar", "user:1"):
        print(f"  incr({key!r}) = {redis.incr(key)}   on {redis.router.locate(key.encode())}")
    print(f"  mget('foo', 'nope', 'bar') = {redis.mget('foo', 'nope', 'bar')}   split over hosts, in order")


def show_broadcast(redis: Cluster) -> None:
    """A command without a key goes to all hosts."""
    title("No key: all hosts at once, a list in host order")
    print(f"  ping() = {redis.ping()}")
    print(f"  dbsize() = {redis.dbsize()}")


def show_map(redis: Cluster) -> None:
    """Many commands, one pipeline a host."""
    title(f"map(): {len(KEYS)} INCR, one pipeline a host, in parallel")
    start = time.perf_counter()
    with redis.map() as conn:
        results = [conn.incr(key) for key in KEYS]
    mapped = time.perf_counter() - start
    assert set(results) == {1, 2}  # user:1 was counted before
    start = time.perf_counter()
    for key in KEYS[:300]:
        redis.get(key)
    single = (time.perf_counter() - start) / 300
    print(f"  map()        {mapped * 1e3:7.1f} ms in all, {mapped / len(KEYS) * 1e6:5.1f} µs a command")
    print(f"  one by one   {single * len(KEYS) * 1e3:7.1f} ms in all, {single * 1e6:5.1f} µs a command")
    show_shares(redis)


def show_shares(redis: Cluster) -> None:
    """A bar for each host's share of the keys."""
    title("Where the keys went")
    shares = Counter(redis.router.locate(key.encode()) for key in KEYS)
    for name in redis:
        share = shares[name] / len(KEYS)
        print(f"  {name}   {'█' * round(share * 60)} {share:.1%}")


def show_refusal(redis: Cluster) -> None:
    """A command that cannot be done on one host is refused before anything is sent."""
    title("Never silently the wrong host")
    try:
        redis.sunion("a", "b", "c")
    except Exception as error:
        print(
            textwrap.fill(
                f"{type(error).__name__}: {error}", 100, initial_indent="  ", subsequent_indent="  "
            )
        )


def show_no_router(redis: Cluster) -> None:
    """Without a router every command goes to all hosts."""
    title("No router: every command on all hosts, a list in host order")
    print(f"  incr('foo') = {redis.incr('foo')}")


async def show_asyncio(cluster: AsyncCluster) -> None:
    """The same with asyncio: calls that talk to hosts are awaited."""
    title("asyncio: the same settings and rules, with await")
    async with cluster as redis:
        print(f"  await ping() = {await redis.ping()}")
        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(redis.incr("visits")) for _ in range(1000)]
        print(
            f"  1000 tasks, each an INCR of 'visits': the highest answer is {max(v.result() for v in visits)}"
        )
        async with redis.map() as conn:
            results = [conn.incr(key) for key in KEYS]
        print(f"  map() of {len(KEYS)} INCR, one pipeline a host: their sum is {sum(results)}")


def title(text: str) -> None:
    """Print a heading."""
    print(f"\n{text}")


if __name__ == "__main__":
    main()
