"""Code as users write it: what type checkers have to accept, and on the marked lines to refuse. Never run."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import Any, assert_type

from nydus_core import AsyncCluster, Cluster, create_async_cluster, create_cluster
from nydus_memcache import (
    AsyncMemcacheCluster,
    MemcacheCluster,
    as_async_memcache_cluster,
    as_memcache_cluster,
    create_async_memcache_cluster,
    create_memcache_cluster,
)


def methods_are_known(cluster: MemcacheCluster) -> None:
    cluster.set_many({"a": 1, b"b": 2}, expire=60)
    assert_type(cluster.get("a", default=0), Any)
    assert_type(cluster.on("north").get("a"), Any)


def mistakes_are_found(cluster: MemcacheCluster) -> None:
    cluster.get()  # type: ignore[call-arg]
    cluster.set("a", 1, expires=5)  # type: ignore[call-arg]
    cluster.getmany(["a"])  # type: ignore[operator]
    cluster.get_many(5)  # type: ignore[arg-type]


def ways_to_get_one() -> None:
    settings = {"engine": "memcache", "router": "consistent", "hosts": ["localhost:11211"]}
    cluster = create_memcache_cluster(settings)
    plain: Cluster = cluster
    print(plain.router)
    assert_type(as_memcache_cluster(create_cluster(settings)), MemcacheCluster)


async def awaited_methods_are_known(cluster: AsyncMemcacheCluster) -> None:
    await cluster.set_many({"a": 1, b"b": 2}, expire=60)
    assert_type(await cluster.get("a", default=0), Any)
    assert_type(await cluster.on("north").get("a"), Any)


async def mistakes_are_found_there_too(cluster: AsyncMemcacheCluster) -> None:
    await cluster.get()  # type: ignore[call-arg]
    await cluster.set("a", 1, expires=5)  # type: ignore[call-arg]
    await cluster.getmany(["a"])  # type: ignore[operator]
    await cluster.get_many(5)  # type: ignore[arg-type]
    cluster.get("a").upper()  # type: ignore[attr-defined]


def ways_to_get_one_for_asyncio() -> None:
    settings = {"engine": "memcache", "router": "consistent", "hosts": ["localhost:11211"]}
    cluster = create_async_memcache_cluster(settings)
    plain: AsyncCluster = cluster
    print(plain.router)
    assert_type(as_async_memcache_cluster(create_async_cluster(settings)), AsyncMemcacheCluster)
