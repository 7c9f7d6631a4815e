"""Code as users write it: what type checkers have to accept, and on the marked lines to refuse. Never run."""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUnknownMemberType=false

from typing import Any, assert_type

import redis

from nydus_core import Cluster, create_cluster
from nydus_core.connections import connections
from nydus_redis import RedisCluster, as_redis_cluster, create_redis_cluster


def methods_are_those_of_redis_py(cluster: RedisCluster) -> None:
    assert_type(cluster.incr("visits"), int)
    added = cluster.zadd("scores", {"Ada": 3}, nx=True)
    if added is not None:
        print(added + 1)
    cluster.set("a", 1, ex=5)
    cluster.json().get("document")


def mistakes_are_found(cluster: RedisCluster) -> None:
    cluster.zadd("scores", 5)  # type: ignore[arg-type]
    cluster.zadd()  # type: ignore[call-arg]
    cluster.set("a", 1, expires=5)  # type: ignore[call-arg]
    cluster.zad("scores", {"Ada": 3})  # type: ignore[operator]
    cluster.on(0).zad("scores")  # type: ignore[attr-defined]


def what_goes_to_all_hosts_answers_a_list(cluster: RedisCluster) -> None:
    print(sum(cluster.dbsize()), [keys for host in cluster.keys("*") for keys in host])
    assert_type(cluster.on("north"), redis.Redis)
    assert_type(cluster.on("north").dbsize(), int)


def a_cluster_is_still_one(cluster: RedisCluster) -> None:
    plain: Cluster = cluster
    print(plain.router, [cluster[host].identifier for host in cluster], len(cluster))
    with cluster as same, same.deadline(0.5):
        assert_type(same, RedisCluster)
    with cluster.map() as conn:
        promise = conn.incr("visits")
    assert_type(promise, Any)
    cluster.add_host("south", {"port": 6380})


def ways_to_get_one() -> None:
    settings = {"engine": "redis", "router": "rendezvous", "hosts": [{"port": 6379}]}
    assert_type(create_redis_cluster(settings), RedisCluster)
    assert_type(create_redis_cluster("some.toml", "main"), RedisCluster)
    assert_type(as_redis_cluster(connections["main"]), RedisCluster)
    create_redis_cluster(settings, "a", "b")  # type: ignore[call-arg]


def without_types_any_attribute_is_a_command() -> None:
    cluster = create_cluster({"engine": "ftp", "hosts": 1})
    assert_type(cluster.nlst("/"), Any)
