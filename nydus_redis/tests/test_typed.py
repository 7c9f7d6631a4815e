"""Typed clusters at run time: nothing differs. What type checkers make of them is in ``tests/typing``."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import nydus_redis.typed.everywhere
from nydus_core import (
    AsyncCluster,
    BaseAsyncEngine,
    BaseEngine,
    Cluster,
    ConfigError,
    create_async_cluster,
    create_cluster,
)
from nydus_redis import (
    AsyncRedisCluster,
    Redis,
    RedisCluster,
    as_async_redis_cluster,
    as_redis_cluster,
    create_async_redis_cluster,
    create_redis_cluster,
)
from other_calls import EVERYWHERE, UNSENT
from sample_calls import name_of


def test_a_typed_cluster_is_a_cluster() -> None:
    plain = create_cluster({"engine": "redis", "hosts": [{}, {"db": 1}]})
    assert as_redis_cluster(plain) is plain
    assert type(create_redis_cluster({"engine": "embedded", "hosts": 2})) is Cluster is RedisCluster


def test_a_typed_asynchronous_cluster_is_a_cluster() -> None:
    plain = create_async_cluster({"engine": "redis", "hosts": [{}, {"db": 1}]})
    assert as_async_redis_cluster(plain) is plain
    assert type(create_async_redis_cluster({"engine": "redis", "hosts": [{}]})) is AsyncCluster
    assert AsyncRedisCluster is AsyncCluster


def test_an_asynchronous_class_of_the_users_own_can_be_typed() -> None:
    class Mine(AsyncRedisCluster):
        async def visit(self, page: str) -> int:
            return await self.incr(f"visits:{page}")

    assert type(create_async_redis_cluster({"engine": Redis, "hosts": [{}], "cluster": Mine})) is Mine


def test_another_asynchronous_engine_is_refused() -> None:
    class Other(BaseAsyncEngine):
        pass

    with pytest.raises(ConfigError, match="engine: found Other; expected 'redis' or 'embedded'"):
        create_async_redis_cluster({"engine": Other, "hosts": [{}]})


def test_a_class_of_the_users_own_can_be_typed() -> None:
    class Mine(RedisCluster):
        def visit(self, page: str) -> int:
            return self.incr(f"visits:{page}")

    assert type(create_redis_cluster({"engine": Redis, "hosts": [{}], "cluster": Mine})) is Mine


def test_another_engine_is_refused() -> None:
    class Other(BaseEngine):
        pass

    with pytest.raises(ConfigError, match="engine: found Other; expected 'redis' or 'embedded'"):
        create_redis_cluster({"engine": Other, "hosts": [{}]})


def test_the_methods_that_answer_lists_are_those_that_go_to_all_hosts() -> None:
    tree = ast.parse(Path(nydus_redis.typed.everywhere.__file__).read_text())
    (everywhere,) = [n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == "Everywhere"]
    untyped = [
        n.target.id
        for n in everywhere.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    ]
    sent = {name_of(sample) for sample in EVERYWHERE} | {"bgrewriteaof", "bgsave", "save"}
    assert sorted(sent) == untyped
    assert {name_of(sample) for sample in UNSENT} & sent == {"bgrewriteaof", "bgsave", "save"}
