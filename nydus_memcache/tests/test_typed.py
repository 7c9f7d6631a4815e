"""Typed clusters at run time: nothing differs. What type checkers make of them is in ``tests/typing``."""

from __future__ import annotations

import pytest

from nydus_core import (
    AsyncCluster,
    BaseAsyncEngine,
    BaseEngine,
    Cluster,
    ConfigError,
    create_async_cluster,
    create_cluster,
)
from nydus_memcache import (
    AsyncMemcacheCluster,
    MemcacheCluster,
    as_async_memcache_cluster,
    as_memcache_cluster,
    create_async_memcache_cluster,
    create_memcache_cluster,
)


def test_a_typed_cluster_is_a_cluster() -> None:
    settings = {"engine": "memcache", "hosts": ["localhost:11211"]}
    plain = create_cluster(settings)
    assert as_memcache_cluster(plain) is plain
    assert type(create_memcache_cluster(settings)) is Cluster is MemcacheCluster


def test_another_engine_is_refused() -> None:
    class Other(BaseEngine):
        pass

    with pytest.raises(ConfigError, match="engine: found Other; expected 'memcache'"):
        create_memcache_cluster({"engine": Other, "hosts": [{}]})


def test_a_typed_cluster_for_asyncio_is_a_cluster_for_asyncio() -> None:
    settings = {"engine": "memcache", "hosts": ["localhost:11211"]}
    plain = create_async_cluster(settings)
    assert as_async_memcache_cluster(plain) is plain
    assert type(create_async_memcache_cluster(settings)) is AsyncCluster is AsyncMemcacheCluster


def test_another_engine_for_asyncio_is_refused() -> None:
    class Other(BaseAsyncEngine):
        pass

    with pytest.raises(ConfigError, match="engine: found Other; expected 'memcache'"):
        create_async_memcache_cluster({"engine": Other, "hosts": [{}]})
