"""Settings in, asynchronous cluster out: the sides of an engine, the class of the cluster, and named clusters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from async_engines import AsyncMemoryEngine, AsyncSwitchedEngine, BlockingMemory, ThreadedMemory
from engines import MemoryEngine
from in_loop import in_loop
from nydus.conf import configure
from nydus.db import connections
from nydus_core import (
    AsyncCluster,
    BaseEngine,
    Cluster,
    ConfigError,
    PluginError,
    create_async_cluster,
    create_cluster,
)
from nydus_core.aio.loops import PerLoop
from nydus_core.connections import LazyConnectionHandler
from waiting import until, until_async


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    configure(CONNECTIONS={})


def refused(make: Any, settings: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        make({"hosts": [{}], **settings})
    return str(caught.value)


# The sides of an engine ------------------------------------------------------------------------------------------------


class OnlyHere(MemoryEngine):
    """Blocking only."""


class Child(BlockingMemory):
    """A subclass of an engine with two sides: it does something else, so the other side is not its own."""


class AsyncChild(ThreadedMemory):
    """The same of the asynchronous side."""


def test_an_engine_of_both_sides_gives_each_cluster_its_own() -> None:
    for engine in (BlockingMemory, ThreadedMemory, "async_engines.BlockingMemory"):
        settings: dict[str, Any] = {"engine": engine, "hosts": {"a": {}}}
        if engine is ThreadedMemory:
            assert isinstance(create_cluster(settings)["a"], BlockingMemory)
        asynchronous = create_async_cluster(settings)
        assert type(asynchronous) is AsyncCluster
        assert type(asynchronous["a"]) is ThreadedMemory
    blocking = create_cluster({"engine": BlockingMemory, "hosts": {"a": {}}})
    assert type(blocking) is Cluster
    assert type(blocking["a"]) is BlockingMemory


@pytest.mark.parametrize(
    ("engine", "shown"),
    [(OnlyHere, "'OnlyHere'"), ("engines.MemoryEngine", "'engines.MemoryEngine'"), (Child, "'Child'")],
)
def test_an_engine_without_a_side_for_asyncio_says_so(engine: Any, shown: str) -> None:
    expected = f"engine: engine {shown} has no async side (it offers: sync)"
    assert refused(create_async_cluster, {"engine": engine}) == expected
    assert refused(create_async_cluster, {"backend": engine}) == expected.replace("engine:", "backend:", 1)


@pytest.mark.parametrize("engine", [AsyncMemoryEngine, "async_engines.AsyncMemoryEngine"])
def test_an_engine_without_a_blocking_side_says_so(engine: Any) -> None:
    shown = repr(engine if isinstance(engine, str) else engine.__qualname__)
    assert refused(create_cluster, {"engine": engine}) == (
        f"engine: engine {shown} has no sync side (it offers: async)"
    )


def test_a_subclass_of_an_asynchronous_side_has_no_blocking_side() -> None:
    assert "has no sync side" in refused(create_cluster, {"engine": AsyncChild})


@pytest.mark.parametrize(
    ("create", "engine", "told"),
    [
        (
            create_async_cluster,
            OnlyHere,
            "use create_cluster; or set async_side in the class, such as to a ThreadedEngine",
        ),
        (create_async_cluster, Child, "has one, which is not inherited: set async_side in Child, too"),
        (create_cluster, AsyncMemoryEngine, "use create_async_cluster"),
        (create_cluster, AsyncChild, "has one, which is not inherited: set sync_side in AsyncChild, too"),
    ],
)
def test_what_can_be_done_about_a_missing_side_is_told(create: Any, engine: Any, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create({"engine": engine, "hosts": {"a": {}}})
    (note,) = caught.value.__notes__
    assert told in note


class Misled(MemoryEngine):
    async_side = "engines.Missing"


class Wrong(MemoryEngine):
    async_side = "engines.Store"


class Twice(MemoryEngine):
    async_side = "engines.MemoryEngine"


def test_a_side_that_leads_nowhere_is_named() -> None:
    with pytest.raises(PluginError, match=r"^engine: .*engines.*Missing"):
        create_async_cluster({"engine": Misled, "hosts": [{}]})
    assert "Store is not an engine: it has no" in refused(create_async_cluster, {"engine": Wrong})
    assert refused(create_async_cluster, {"engine": Twice}) == (
        "engine: MemoryEngine, the async side of Twice, is sync too"
    )


class Incomplete:
    is_async = True


def test_an_asynchronous_engine_has_to_have_what_is_asked_of_it() -> None:
    message = refused(create_async_cluster, {"engine": Incomplete})
    assert "Incomplete is not an engine: it has no surface, call, exchange, aclose, probe" in message


# The class of the cluster, and all else -----------------------------------------------------------------------------------


class Mine(AsyncCluster):
    """A cluster of a user's own."""


class Blocking(Cluster):
    """A blocking one."""


def test_the_cluster_may_be_a_subclass_of_its_own_side_only() -> None:
    assert type(create_async_cluster({"engine": BlockingMemory, "hosts": [{}], "cluster": Mine})) is Mine
    assert refused(create_async_cluster, {"engine": BlockingMemory, "cluster": Blocking}) == (
        "cluster: Blocking is not an AsyncCluster; expected a subclass"
    )
    assert refused(create_cluster, {"engine": BlockingMemory, "cluster": Mine}) == (
        "cluster: Mine is not a Cluster; expected a subclass"
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"engin": "redis"},
        {"engine": None},
        {"engine": "rediss"},
        {"engine": "engines.Store"},
        {"hosts": []},
        {"hosts": [{"downn": True}]},
        {"hosts": {"a": {"weight": "much"}}},
        {"router": "consistant"},
        {"router": {"nam": "consistent"}},
        {"retry": {"attempts": 0}},
        {"retry": {"repeat": "always"}},
        {"health": {"rate": 2}},
        {"on_host_down": "wait"},
        {"on_host_down": "reroute"},
        {"on_readmit": "empty"},
        {"deadline": 0},
        {"fingerprint": "nydus-1:other"},
        {"fingerprint": 5},
        {"cluster": "engines.Store"},
    ],
    ids=str,
)
def test_wrong_settings_are_refused_with_the_same_words(wrong: dict[str, Any]) -> None:
    settings = {"engine": BlockingMemory, "hosts": {"a": {}, "b": {}}, **wrong}
    found = [refused(make, settings) for make in (create_cluster, create_async_cluster)]
    words = [("a Cluster", "an AsyncCluster"), ("BlockingMemory", "ThreadedMemory")]
    for blocking, asynchronous in words:
        found[1] = found[1].replace(asynchronous, blocking)
    assert found[1] == found[0]


def test_a_toml_file_has_clusters_of_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "clusters.toml"
    path.write_text(
        '[memory]\nengine = "async_engines.BlockingMemory"\nhosts = [{}, {}]\n[wrong]\nhosts = [{}]\n'
    )
    assert len(create_async_cluster(path, "memory")) == 2
    with pytest.raises(ConfigError, match=r"wrong\.engine: missing"):
        create_async_cluster(path, "wrong")


class Begun(BaseEngine):
    """An engine that begins something when it is made."""

    retired: ClassVar[list[Any]] = []

    def connect(self) -> None: ...

    def retire(self) -> None:
        Begun.retired.append(self.num)


class AsyncBegun(ThreadedMemory):
    sync_side = Begun


def test_hosts_of_a_cluster_that_was_refused_are_let_go_of() -> None:
    Begun.retired.clear()
    assert "fingerprint" in refused(create_async_cluster, {"engine": AsyncBegun, "fingerprint": "no"})
    until(lambda: Begun.retired in (["0"], [0]))


# Named clusters -------------------------------------------------------------------------------------------------------------


class Counted(AsyncMemoryEngine):
    """Counts how often its hosts are made, and takes its time."""

    count = 0

    def __init__(self, num: Any, **options: Any) -> None:
        time.sleep(0.01)
        Counted.count += 1
        super().__init__(num, **options)


COUNTED = {"engine": Counted, "hosts": [{}]}
BOTH = {"engine": BlockingMemory, "hosts": {"a": {}}}


def test_a_name_leads_to_a_cluster_of_each_side() -> None:
    configure(CONNECTIONS={"both": BOTH})

    async def main() -> None:
        assert await connections.aio["both"].incr("n") == 1

    in_loop(main)
    assert connections["both"].incr("n") == 1
    assert list(connections.aio) == ["both"]
    assert len(connections.aio) == 1
    assert "both" in connections.aio
    assert "other" not in connections.aio


def test_a_named_cluster_is_built_once_however_many_tasks_and_threads_ask() -> None:
    Counted.count = 0
    configure(CONNECTIONS={"counted": COUNTED})

    async def ask() -> set[Any]:
        async def one() -> Any:
            return connections.aio["counted"]

        return set(await asyncio.gather(*(one() for _ in range(10))))

    with ThreadPoolExecutor(8) as pool:
        found = set().union(*pool.map(lambda _: in_loop(ask), range(8)))
    assert len(found) == 1
    assert Counted.count == 1


def test_an_unknown_name_is_told_with_those_that_there_are() -> None:
    configure(CONNECTIONS={"cache": BOTH, "wrong": {"hosts": [{}]}})
    with pytest.raises(KeyError, match="there is no cluster 'cash'; there is 'cache', 'wrong'; did you mean"):
        connections.aio["cash"]
    with pytest.raises(ConfigError, match=r"^CONNECTIONS\['wrong'\]\.engine: missing"):
        connections.aio["wrong"]


def test_clusters_that_are_configured_anew_are_closed_as_they_fall_out_of_use() -> None:
    configure(CONNECTIONS={"old": {"engine": AsyncMemoryEngine, "hosts": {"a": {}}}})

    async def main() -> None:
        old: Any = connections.aio["old"]
        task = asyncio.ensure_future(old.wait())
        await until_async(lambda: old["a"].clients and old["a"].clients[0].log)
        (client,) = old["a"].clients
        configure(CONNECTIONS={"new": BOTH})
        assert "old" not in connections.aio
        await asyncio.sleep(0.01)
        assert client.open
        client.going.set()
        assert await task == "a"
        await until_async(lambda: not client.open)
        assert await connections.aio["new"].incr("n") == 1

    in_loop(main)


def test_a_reload_builds_a_named_cluster_anew_on_both_sides() -> None:
    handler = LazyConnectionHandler(lambda: {"both": BOTH})
    before = handler["both"], handler.aio["both"]
    handler.aio.reload()
    assert handler["both"] is before[0]
    assert handler.aio["both"] is not before[1]
    again = handler.aio["both"]
    handler.reload()
    assert handler["both"] is not before[0]
    assert handler.aio["both"] is not again


def test_a_host_that_was_down_is_not_probed_after_a_reload() -> None:
    settings = {
        "engine": AsyncSwitchedEngine,
        "hosts": {"a": {"down": True}},
        "health": {"failures": 1, "backoff": 0.02},
    }
    handler = LazyConnectionHandler(lambda: {"down": settings})

    async def main() -> None:
        host: Any = handler.aio["down"]["a"]
        with pytest.raises(ConnectionRefusedError):
            await handler.aio["down"].incr("n")
        handler.reload()
        probes = host.probes  # none, unless this took long
        await asyncio.sleep(0.1)
        assert host.probes == probes

    in_loop(main)


@pytest.mark.parametrize("name", ["aclose", "disconnect"])
def test_closing_closes_those_that_were_built_and_a_later_command_connects_again(name: str) -> None:
    Counted.count = 0
    settings = {"engine": AsyncMemoryEngine, "hosts": {"a": {}}}
    handler = LazyConnectionHandler(lambda: {"one": settings, "two": settings, "unused": COUNTED})

    async def main() -> None:
        one: Any = handler.aio["one"]
        two: Any = handler.aio["two"]
        await one.who()
        await two.who()
        await getattr(handler.aio, name)()
        assert [client.open for each in (one, two) for client in each["a"].clients] == [False, False]
        assert await handler.aio["one"].who() == "a"
        assert handler.aio["one"] is one
        assert Counted.count == 0
        host: Any = one["a"]
        assert isinstance(host._own, PerLoop)

    in_loop(main)
