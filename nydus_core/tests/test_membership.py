"""Hosts that come and go while a cluster is in use."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest

from clusters import async_memory_cluster, memory_cluster
from engines import MemoryEngine, PipelinedEngine
from nydus_core import Cluster, ConfigError, RoutingError, create_cluster
from nydus_core.engines import BaseEngine
from nydus_core.routers import ConsistentHashingRouter, NodeRouter, PartitionRouter, RoundRobinRouter
from nydus_core.routers.legacy import BaseRouter
from waiting import LONG

cluster_of = partial(memory_cluster, router=ConsistentHashingRouter)

KEYS = [f"key{number}" for number in range(200)]


def places(cluster: Cluster) -> dict[str, str]:
    return {key: cluster.router.locate(key.encode()) for key in KEYS}


# Placement --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("router", [ConsistentHashingRouter, PartitionRouter])
def test_a_cluster_with_a_host_more_is_as_if_made_so_from_the_start(router: Any) -> None:
    cluster = cluster_of("a", "b", router=router)
    cluster.add_host("c", {})
    assert list(cluster) == ["a", "b", "c"]
    assert places(cluster) == places(cluster_of("a", "b", "c", router=router))
    assert {cluster.who(key) for key in KEYS} == {"a", "b", "c"}


def test_numbered_hosts_stay_in_the_order_of_their_numbers() -> None:
    cluster = cluster_of(0, 2, router=PartitionRouter)
    cluster.add_host(1, {})
    assert list(cluster) == [0, 1, 2]
    assert places(cluster) == places(cluster_of(0, 1, 2, router=PartitionRouter))


def test_a_cluster_without_a_host_is_as_if_it_had_never_been_there() -> None:
    cluster = cluster_of("a", "b", "c")
    cluster.remove_host("b")
    assert list(cluster) == ["a", "c"]
    assert places(cluster) == places(cluster_of("a", "c"))
    assert cluster.ping() == ["pong from a", "pong from c"]


def test_a_weight_counts_as_if_it_had_been_set_from_the_start() -> None:
    cluster = cluster_of("a", "b")
    cluster.set_weight("b", 3)
    heavy = create_cluster(
        {"engine": MemoryEngine, "router": ConsistentHashingRouter, "hosts": {"a": {}, "b": {"weight": 3}}}
    )
    assert places(cluster) == places(heavy) != places(cluster_of("a", "b"))


def test_a_host_stays_what_it_was_when_another_one_comes_or_goes() -> None:
    cluster = cluster_of("a", "b")
    for key in KEYS:
        cluster.set(key, "here")
    before, stored = cluster["a"], dict(cluster["a"].connection.data)
    cluster.add_host("c", {})
    cluster.remove_host("b")
    assert cluster["a"] is before
    assert before.connection.data == stored


def test_the_router_keeps_its_options() -> None:
    cluster = cluster_of("a", "b", router={"name": "nydus_core.routers.PartitionRouter", "hash_tags": True})
    cluster.add_host("c", {})
    assert cluster.router.hash_tags
    assert len({cluster.router.locate(f"{{user}}.{key}".encode()) for key in KEYS}) == 1


def test_without_a_router_all_hosts_are_asked() -> None:
    cluster = cluster_of("a", router=None)
    assert cluster.ping() == "pong from a"
    cluster.add_host("b", {})
    assert cluster.ping() == ["pong from a", "pong from b"]


def test_a_router_that_sees_calls_sees_the_hosts_there_are() -> None:
    cluster = cluster_of("a", "b", router=BaseRouter)
    cluster.add_host("c", {})
    assert cluster.who("k") == ["a", "b", "c"]


def test_a_host_that_is_added_has_the_defaults() -> None:
    cluster = create_cluster({"engine": MemoryEngine, "defaults": {"delay": 0.001}, "hosts": {"a": {}}})
    cluster.add_host("b", {})
    added: Any = cluster["b"]
    assert added.delay == 0.001


# Calls under way --------------------------------------------------------------------------------------------------


class Slow(MemoryEngine):
    """A host whose ``wait`` lasts until the test says so."""

    begun = threading.Event()
    go_on = threading.Event()

    def wait(self, key: Any) -> str:
        self.begun.set()
        assert self.go_on.wait(LONG)
        return f"{self.connection.ping()}, open: {self.connection.open}"


@pytest.fixture
def slow() -> Cluster:
    Slow.begun.clear()
    Slow.go_on.clear()
    return create_cluster({"engine": Slow, "router": RoundRobinRouter, "hosts": {"a": {}, "b": {}}})


def test_a_call_under_way_ends_as_it_began_and_then_its_host_is_closed(slow: Cluster) -> None:
    gone: Any = slow["a"]
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(slow.wait("k")))
    thread.start()
    assert Slow.begun.wait(LONG)
    client = gone.connection
    slow.remove_host("a")
    assert client.open
    Slow.go_on.set()
    thread.join(LONG)
    assert answers == ["pong from a, open: True"]
    assert not client.open


def test_a_host_that_nobody_uses_is_closed_at_once() -> None:
    cluster = cluster_of("a", "b")
    client = cluster["a"].connection
    cluster.remove_host("a")
    assert not client.open


def test_a_map_is_sent_to_the_hosts_that_there_are_at_its_end() -> None:
    hosts: dict[str, Any] = {"a": {}, "b": {}}
    cluster = create_cluster({"engine": PipelinedEngine, "router": ConsistentHashingRouter, "hosts": hosts})
    with cluster.map() as conn:
        results = [conn.who(key) for key in KEYS]
        cluster.remove_host("a")
    assert set(results) == {"b"}


def test_threads_see_the_hosts_of_before_or_those_of_after() -> None:
    cluster = cluster_of("a", "b")
    before, after = places(cluster), places(cluster_of("a", "b", "c"))
    moved = next(key for key in KEYS if before[key] != after[key])
    seen: set[Any] = set()
    failures: list[BaseException] = []
    stop = threading.Event()

    def use() -> None:
        try:
            while not stop.is_set():
                seen.add(cluster.who(moved))
                assert len(cluster.ping()) in (2, 3)
                with cluster.map() as conn:
                    pair = [conn.who(moved), conn.who(moved)]
                assert pair[0] == pair[1]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(50):
        cluster.add_host("c", {})
        cluster.remove_host("c")
    stop.set()
    for thread in threads:
        thread.join(LONG)
    assert failures == []
    assert seen <= {before[moved], after[moved]}


def test_a_host_that_went_and_came_back_is_well() -> None:
    cluster = cluster_of("a", "b", health={"failures": 1}, on_host_down="raise", retry={"attempts": 1})
    cluster["a"].down = True
    with pytest.raises(Exception, match="refused"):
        cluster.on("a").ping()
    assert not cluster._snapshot.watches[0].admits
    cluster.remove_host("a")
    cluster.add_host("a", {})
    assert cluster.on("a").ping() == "pong from a"


# Mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.add_host("a", {}), r"hosts\['a'\]: there is a host 'a' already"),
        (
            lambda c: c.add_host("c", {"dely": 1}),
            r"hosts\['c'\].dely: unknown setting; .*did you mean 'delay'",
        ),
        (lambda c: c.add_host("", {}), "hosts: found the key"),
        (lambda c: c.add_host("c", {"weight": -1}), r"hosts\['c'\].weight: found int -1"),
        (lambda c: c.remove_host("x"), "hosts: there is no host 'x'; known: 'a', 'b'"),
        (lambda c: c.set_weight("x", 2), "hosts: there is no host 'x'"),
        (lambda c: c.set_weight("a", "2"), r"hosts\['a'\].weight: found str '2'; expected a number"),
    ],
)
def test_a_mistake_changes_nothing(change: Any, said: str) -> None:
    cluster = cluster_of("a", "b")
    before = places(cluster)
    with pytest.raises(ConfigError, match=said):
        change(cluster)
    assert list(cluster) == ["a", "b"]
    assert places(cluster) == before


def test_the_last_host_stays() -> None:
    with pytest.raises(ConfigError, match="only host"):
        cluster_of("a").remove_host("a")


class ByLength(NodeRouter):
    """A rule that knows no weights."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return self.names[len(key) % len(self.names)]


def test_a_rule_without_weights_refuses_one() -> None:
    cluster = cluster_of("a", "b", router=ByLength)
    with pytest.raises(ConfigError, match="knows no weights"):
        cluster.set_weight("a", 2)
    assert {cluster.who(key) for key in KEYS} == {"a", "b"}


def test_hosts_of_a_router_installed_by_hand_are_the_users_affair() -> None:
    cluster = cluster_of("a", "b", router=None)
    cluster.install_router(BaseRouter(cluster))
    with pytest.raises(ConfigError, match="installed by hand"):
        cluster.add_host("c", {})


def test_a_host_that_is_gone_has_no_client() -> None:
    cluster = cluster_of("a", "b")
    cluster.remove_host("a")
    with pytest.raises(RoutingError, match="no host 'a'"):
        cluster.on("a")


def test_a_retired_engine_connects_for_who_still_uses_it_and_closes_after() -> None:
    engine: Any = MemoryEngine("a")
    assert isinstance(engine, BaseEngine)
    engine.retire()
    client = engine.client(lambda dispatch: dispatch, engine.call)
    command = engine.describe("ping", (), {})
    assert client(command) == "pong from a"
    assert engine._connection is None


def test_the_client_of_a_host_that_was_replaced_leads_to_neither_of_the_two() -> None:
    cluster = cluster_of(0, 1, router=PartitionRouter)
    key = next(key for key in KEYS if cluster.router.locate(key.encode()) == "0")
    by_name, by_key, before = cluster.on(0), cluster.on_key(key), cluster[0]
    cluster.remove_host(0)
    cluster.add_host(0, {})
    for client in (by_name, by_key):
        with pytest.raises(RoutingError, match="host '0' has left the cluster"):
            client.set(key, 1)
    assert before._connection is None


def test_the_client_of_a_host_that_stays_goes_on() -> None:
    cluster = cluster_of("a", "b", router=PartitionRouter)
    client = cluster.on("b")
    cluster.remove_host("a")
    assert client.who("k") == "b"


def test_a_cluster_that_is_refused_leaves_no_host_open() -> None:
    closed: list[Any] = []

    class Closing(MemoryEngine):
        def close(self) -> None:
            closed.append(self.num)

    with pytest.raises(ConfigError, match="do not live where"):
        create_cluster({"engine": Closing, "hosts": {"a": {}, "b": {}}, "fingerprint": "all:1"})
    assert sorted(closed) == ["a", "b"]


# As a container ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [memory_cluster, async_memory_cluster])
def test_a_cluster_is_no_dict_of_values(make: Any) -> None:
    cluster = make()
    with pytest.raises(TypeError, match=r"cluster\.exists\(key\) .* cluster\.hosts"):
        "user:1" in cluster  # noqa: B015
    with pytest.raises(KeyError, match=r"cluster\.get\(key\)"):
        cluster["user:1"]
    with pytest.raises(KeyError, match=r"cluster\.get\(key\)"):
        cluster[["no", "key"]]
    with pytest.raises(TypeError, match=r"cluster\.set\(key, value\)"):
        cluster["k"] = "v"
    with pytest.raises(TypeError, match=r"cluster\.delete\(key\)"):
        del cluster["k"]
    assert cluster["a"] is cluster.hosts["a"]
    assert list(cluster) == ["a", "b"]
    assert "a" in cluster.hosts


def test_without_a_router_no_host_is_given_a_weight() -> None:
    cluster = memory_cluster(router=None)
    with pytest.raises(ConfigError, match=r"hosts\['a'\]\.weight: without a router no weight counts"):
        cluster.set_weight("a", 2)
