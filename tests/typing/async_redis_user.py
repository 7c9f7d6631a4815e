"""Code with asyncio as users write it: what type checkers have to accept, and on the marked lines to refuse. Never run."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnknownMemberType=false

from typing import Any, assert_type

import redis.asyncio

from nydus_core import AsyncCluster, create_async_cluster
from nydus_redis import AsyncRedisCluster, as_async_redis_cluster, create_async_redis_cluster


async def methods_are_those_of_redis_py(cluster: AsyncRedisCluster) -> None:
    assert_type(await cluster.incr("visits"), int)
    added = await cluster.zadd("scores", {"Ada": 3}, nx=True)
    if added is not None:
        print(added + 1)
    await cluster.set("a", 1, ex=5)
    await cluster.json().get("document")
    print([key async for key in cluster.scan_iter(match="a*", cursor="a cursor")])


async def mistakes_are_found(cluster: AsyncRedisCluster) -> None:
    await cluster.zadd("scores", 5)  # type: ignore[arg-type]
    await cluster.zadd()  # type: ignore[call-arg]
    await cluster.set("a", 1, expires=5)  # type: ignore[call-arg]
    cluster.zad("scores", {"Ada": 3})  # type: ignore[operator]
    cluster.on(0).zad("scores")  # type: ignore[attr-defined]
    print(cluster.incr("visits") + 1)  # type: ignore[operator]


async def what_goes_to_all_hosts_answers_a_list(cluster: AsyncRedisCluster) -> None:
    print(sum(await cluster.dbsize()), [keys for host in await cluster.keys("*") for keys in host])
    assert_type(cluster.on("north"), redis.asyncio.Redis)
    assert_type(await cluster.on("north").dbsize(), int)


async def a_cluster_is_still_one(cluster: AsyncRedisCluster) -> None:
    plain: AsyncCluster = cluster
    print(plain.router, [cluster[host].identifier for host in cluster], len(cluster))
    async with cluster as same:
        assert_type(same, AsyncRedisCluster)
        with same.deadline(0.5):
            await same.get("a")
    async with cluster.map() as conn:
        promise = conn.incr("visits")
    assert_type(promise, Any)
    cluster.add_host("south", {"port": 6380})
    await cluster.aclose()


def ways_to_get_one() -> None:
    settings = {"engine": "redis", "router": "rendezvous", "hosts": [{"port": 6379}]}
    assert_type(create_async_redis_cluster(settings), AsyncRedisCluster)
    assert_type(create_async_redis_cluster("some.toml", "main"), AsyncRedisCluster)
    assert_type(as_async_redis_cluster(create_async_cluster(settings)), AsyncRedisCluster)
    create_async_redis_cluster(settings, "a", "b")  # type: ignore[call-arg]


async def without_types_any_attribute_is_a_command() -> None:
    cluster = create_async_cluster({"engine": "ftp", "hosts": 1})
    assert_type(cluster.nlst("/"), Any)
