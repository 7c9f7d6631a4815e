"""The blocking and the asynchronous side have the same names, signatures and docstrings.

What has to be written otherwise with asyncio is taken for the same: see ``plainly``. Whatever else differs stands in
``DIFFERENCES``, with the reason; and no longer than it does.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from typing import Any

import pytest
import redis
import redis.asyncio

import nydus_core
import nydus_core.aio.engine
import nydus_core.aio.mapping
import nydus_core.cluster.mapping
import nydus_memcache
import nydus_memcache.surface.aio
import nydus_memcache.surface.blocking
import nydus_redis
import nydus_redis.embedded.aio
import nydus_redis.embedded.blocking
import nydus_redis.pubsub.cluster
import nydus_redis.pubsub.cluster_aio
import nydus_redis.surface.clients
import nydus_redis.surface.clients_aio
import nydus_redis.surface.host_pipeline
import nydus_redis.surface.pipeline
import nydus_redis.surface.pipelines_aio
import nydus_redis.surface.scan
import nydus_redis.surface.scan_aio
from nydus_core import (
    AsyncCluster,
    AsyncEngine,
    BaseAsyncEngine,
    BaseEngine,
    Cluster,
    Engine,
    create_async_cluster,
    create_cluster,
)
from nydus_core.cluster.mapping import MapConnection
from nydus_core.connections import AsyncConnectionHandler, LazyConnectionHandler
from nydus_core.plugins import registry

#: The two sides of what users or plugin authors hold.
PAIRS: dict[str, tuple[type[Any], type[Any]]] = {
    "cluster": (Cluster, AsyncCluster),
    "map": (nydus_core.cluster.mapping.Map, nydus_core.aio.mapping.AsyncMap),
    "connections": (LazyConnectionHandler, AsyncConnectionHandler),
    "engine": (Engine, AsyncEngine),
    "base engine": (BaseEngine, BaseAsyncEngine),
    "redis commands": (
        nydus_redis.surface.clients._ClusterClient,
        nydus_redis.surface.clients_aio._ClusterClient,
    ),
    "redis commands on a host": (
        nydus_redis.surface.clients._HostClient,
        nydus_redis.surface.clients_aio._HostClient,
    ),
    "redis pipeline": (
        nydus_redis.surface.pipeline.ClusterPipeline,
        nydus_redis.surface.pipelines_aio.AsyncClusterPipeline,
    ),
    "redis pipeline on a host": (
        nydus_redis.surface.host_pipeline.HostPipeline,
        nydus_redis.surface.pipelines_aio.AsyncHostPipeline,
    ),
    "redis pubsub": (
        nydus_redis.pubsub.cluster.ClusterPubSub,
        nydus_redis.pubsub.cluster_aio.AsyncClusterPubSub,
    ),
    "memcache commands": (nydus_memcache.surface.blocking.Surface, nydus_memcache.surface.aio.AsyncSurface),
    "redis scan": (nydus_redis.surface.scan.ClusterScan, nydus_redis.surface.scan_aio.AsyncClusterScan),
}

_EXCHANGE = "with asyncio one coroutine sends and reads: there are no two steps to drive from outside"
_CLOSE = "the name that asyncio has for close()"
_LOOPS = "with asyncio each event loop has a client of its own"
_LEGACY = "nydus 0.11 had it, and had no asyncio"
_REDIS_PY = "redis-py has it on that side only"

#: What differs, and why.
DIFFERENCES = {
    "cluster.aclose": _CLOSE + "; close and disconnect are other names for it",
    "connections": "the blocking one has the other one as .aio",
    "connections.aclose": _CLOSE + "; disconnect is another name for it",
    "connections.reload": "it waits for nothing, so with asyncio what is in use is closed later",
    "engine": "only the asynchronous one has to say what a cancelled task leaves behind",
    "engine.aclose": _CLOSE,
    "engine.batch": _EXCHANGE,
    "engine.close": _CLOSE,
    "engine.exchange": _EXCHANGE,
    "base engine": "the examples are real programs; " + _LOOPS,
    "base engine.aclose": _CLOSE,
    "base engine.batch": _EXCHANGE,
    "base engine.close": _CLOSE,
    "base engine.connection": _LOOPS + ", so there is not the one",
    "base engine.disconnect": _LOOPS + ", so it is told which",
    "base engine.enter": "counted by the client, not by the engine: " + _LOOPS,
    "base engine.exchange": _EXCHANGE,
    "base engine.get_pipeline": _LEGACY,
    "base engine.leave": "counted by the client, not by the engine: " + _LOOPS,
    "base engine.supports_pipelines": _LEGACY,
    "base engine.survives_fork": _LOOPS + ", and a child process has no loop of its parent",
    **{
        f"redis {what}.{name}": _REDIS_PY
        for what in ("commands", "commands on a host", "pipeline on a host")
        for name in ("aclose", "get_cache", "initialize")
    },
    "redis commands on a host": "its pools are those of the running event loop",
    "redis commands on a host.connection_pool": "it is that of the running event loop",
    "redis pipeline.aclose": _REDIS_PY,
    "redis pubsub": "only the asynchronous one belongs to an event loop, and is read by tasks that may be cancelled",
    "redis pubsub.__init__": "redis.asyncio has its options by name, as its PubSub has",
    "redis pubsub.aclose": _REDIS_PY,
    "redis pubsub.after_fork": "with asyncio it belongs to an event loop, which no child process has",
    **{
        f"redis pubsub.{name}": "in a cluster of one host it is as redis-py's of that side"
        for name in (
            "connect",
            "connection_pool",
            "handle_message",
            "on_connect",
            "parse_response",
            "shard_hint",
        )
    },
    "redis pubsub.run": _REDIS_PY,
    "redis pubsub.run_in_thread": _REDIS_PY,
    "redis pubsub.subscribe": "with asyncio handlers may be coroutine functions, and it may be closed meanwhile",
    "redis scan.aclose": "asynchronous generators have it, for contextlib.aclosing",
    "redis scan.close": "generators have it, for contextlib.closing",
    "memcache commands": "the docstring of the asynchronous one points to the other",
}


def plainly(text: str | None) -> str:
    """A docstring or signature without what is only said otherwise with asyncio."""
    for pattern, plain in (
        (r"\ban (?=``?async )", "a "),
        (r"\basync (with|for)\b", r"\1"),
        (r"\bawait ", ""),
        (r"\bAsync(?=[A-Z])", ""),
        (r"\bcreate_async_cluster\b", "create_cluster"),
        (r"\bredis\.asyncio\b", "redis"),
        (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
        (r"\basynchronous iterator", "iterator"),
        (r"\bis awaited\b", "is called"),
        (r"\s+", " "),
    ):
        text = re.sub(pattern, plain, text or "")
    return text or ""


def ours(kind: type[Any]) -> dict[str, Any]:
    """The public members of a class that Nydus has defined; of redis-py's there are only the names."""
    found = {}
    for name in dir(kind):
        owner = next(each for each in kind.__mro__ if name in vars(each))
        if inspect.isfunction(vars(owner)[name]) and _only_refuses(vars(owner)[name]):
            continue  # it says to use the other side's word: async with, or with
        if (name in SPECIAL or not name.startswith(("_", "nydus_"))) and owner is not object:
            found[plainly(name)] = vars(owner)[name] if owner.__module__.startswith("nydus") else None
    return found


def _only_refuses(member: Any) -> bool:
    return (
        member.__name__ in ("__enter__", "__aenter__")
        and inspect.signature(member).return_annotation == "NoReturn"
    )


#: What is public although its name begins with an underscore.
SPECIAL = (
    *("__init__", "__repr__", "__len__", "__contains__", "__getitem__"),
    *("__enter__", "__exit__", "__iter__", "__next__", "__aenter__", "__aexit__", "__aiter__", "__anext__"),
)


def facts(member: Any) -> tuple[str, str]:
    """What is compared of a member: its signature and its docstring."""
    function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    if not inspect.isfunction(function):
        return "", ""
    return plainly(str(inspect.signature(function))), plainly(function.__doc__)


def alike(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two members are alike. A docstring may point to the other one, after its first sentence."""
    docs = [
        doc.partition(" See ``")[0] if " See ``" in one[1] + other[1] else doc for doc in (one[1], other[1])
    ]
    return one[0] == other[0] and (docs[0] == docs[1] or docs[0].startswith(docs[1] + " "))


def differences() -> dict[str, str]:
    """Each name that differs, and how."""
    found = {}
    for pair, (blocking, asynchronous) in PAIRS.items():
        here, there = ours(blocking), ours(asynchronous)
        one, other = ("", plainly(blocking.__doc__)), ("", plainly(asynchronous.__doc__))
        if not alike(one, other):
            found[pair] = f"\n    {one[1]}\n    {other[1]}"
        for name in here.keys() | there.keys():
            if name not in there or name not in here:
                found[f"{pair}.{name}"] = f"only on the {'blocking' if name in here else 'asynchronous'} side"
            elif here[name] is not there[name] and None not in (here[name], there[name]):
                one, other = facts(here[name]), facts(there[name])
                if not alike(one, other):
                    found[f"{pair}.{name}"] = f"\n    {one}\n    {other}"
    return found


def test_the_sides_differ_in_what_is_listed_and_nothing_else() -> None:
    found = differences()
    unlisted = [f"{name}: {how}" for name, how in sorted(found.items()) if name not in DIFFERENCES]
    assert not unlisted, "\n".join(["not listed:", *unlisted])
    assert sorted(DIFFERENCES.keys() - found.keys()) == [], "they are alike now: no more to be listed"


@pytest.mark.parametrize("reason", sorted(set(DIFFERENCES.values())))
def test_a_difference_has_a_reason(reason: str) -> None:
    assert len(reason) > 10


@pytest.mark.parametrize(
    "blocking", [nydus_redis.Redis, nydus_redis.embedded.blocking.Embedded, nydus_memcache.Memcache]
)
def test_hosts_know_the_same_options_on_both_sides(blocking: Any) -> None:
    asynchronous: Any = registry.find_class("", blocking.async_side, "engine")
    assert registry.find_class("", asynchronous.sync_side, "engine") == blocking
    assert inspect.signature(blocking) == inspect.signature(asynchronous)
    here, there = set(blocking.option_types()), set(asynchronous.option_types())
    assert here - there == set()
    assert there - here <= {"auto_close_connection_pool", "maint_notifications_config"}  # to say why not


def waits(kind: type[Any]) -> set[str]:
    """The members of a class that have to be awaited."""
    return {plainly(name) for name, member in ours(kind).items() if inspect.iscoroutinefunction(member)}


def test_of_a_cluster_only_its_end_has_to_be_awaited() -> None:
    assert waits(Cluster) == set()
    assert waits(AsyncCluster) == {"aclose", "close", "disconnect", "__enter__", "__exit__"}
    assert AsyncCluster.close is AsyncCluster.disconnect is AsyncCluster.aclose


def test_clusters_have_no_methods_of_the_same_names_as_commands_but_close() -> None:
    for kind, commands in ((Cluster, redis.Redis), (AsyncCluster, redis.asyncio.Redis)):
        shared = {name for name in dir(commands) if name[0] != "_" and hasattr(kind, name)}
        assert shared == {"close", "aclose"} & set(dir(kind))


def test_both_sides_are_made_in_the_same_way() -> None:
    blocking, asynchronous = facts(create_cluster)[0], facts(create_async_cluster)[0]
    assert asynchronous == blocking


class Both(BaseEngine):
    """An engine of both sides, of which nothing is called."""

    async_side = "async_engines.AsyncMemoryEngine"


def test_a_map_block_works_on_an_object_of_the_same_class() -> None:
    settings: dict[str, Any] = {"engine": Both, "hosts": [{}]}
    blocking, asynchronous = create_cluster(settings), create_async_cluster(settings)
    with pytest.raises(ZeroDivisionError), blocking.map() as conn:
        1 / 0  # noqa: B018
    assert type(conn) is type(asynchronous.map().connection) is MapConnection


def classes() -> dict[str, list[type[Any]]]:
    """The classes of the three distributions, by name."""
    found: dict[str, list[type[Any]]] = {}
    for package in (nydus_core, nydus_redis, nydus_memcache):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if info.name != "nydus_core.testing.fixtures":
                for name, value in vars(importlib.import_module(info.name)).items():
                    if isinstance(value, type) and value.__module__ == info.name:
                        found.setdefault(name, []).append(value)
    return found


def test_a_class_for_asyncio_is_a_sibling_of_the_blocking_one_and_no_child_of_it() -> None:
    by_name = classes()
    pairs = [
        (asynchronous, blocking)
        for name, kinds in by_name.items()
        for asynchronous in kinds
        for blocking in by_name.get(name.removeprefix("Async"), [])
        if name.startswith("Async") and asynchronous.__module__.startswith(blocking.__module__[:10])
    ]
    assert {asynchronous.__name__ for asynchronous, _ in pairs} > {
        "AsyncCluster",
        "AsyncWatch",
        "AsyncSurface",
    }
    assert [pair for pair in pairs if pair[1] in pair[0].__mro__] == []
