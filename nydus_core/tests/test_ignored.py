"""Nothing that a user writes is ignored in silence: overrides of nydus 0.11, options of routers, weights, addresses."""

from __future__ import annotations

import copy
import json
import pickle
import warnings
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from clusters import async_memory_cluster, memory_cluster
from nydus_core import ConfigError, SettingsWarning, create_async_cluster, create_cluster
from nydus_core.errors import CommandFailure
from nydus_core.routers import (
    BaseRouter,
    ConsistentHashingRouter,
    Modulo,
    Node,
    NodeRouter,
    PartitionRouter,
    RoundRobinRouter,
)
from nydus_memcache import Memcache
from nydus_redis import Redis

HOSTS = {0: {"db": 0}, 1: {"db": 1}}
NODES = [Node("a"), Node("b")]


# Overrides -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
@pytest.mark.parametrize("parent", [PartitionRouter, ConsistentHashingRouter, RoundRobinRouter])
@pytest.mark.parametrize(
    "name",
    ["_route", "get_dbs", "get_db", "_pre_routing", "_post_routing", "_setup_router", "_handle_exception"],
)
def test_a_router_that_overrides_what_nobody_calls_is_refused(
    create: Callable[..., Any], parent: type[Any], name: str
) -> None:
    mine = type("Mine", (parent,), {name: lambda self, **call: [0]})
    heir = type("Heir", (mine,), {})
    with pytest.raises(ConfigError, match=rf"router: Mine defines {name}\(\).*BaseRouter"):
        create({"engine": "redis", "router": heir, "hosts": HOSTS})


@pytest.mark.parametrize("name", ["retry_timeout", "attempt_reconnect_threshold", "retryable"])
def test_so_is_a_router_that_sets_what_nobody_reads(name: str) -> None:
    mine = type("Mine", (RoundRobinRouter,), {name: 7})
    with pytest.raises(ConfigError, match=f"Mine defines {name}, .*'health'"):
        create_cluster({"engine": "redis", "router": mine, "hosts": HOSTS})


def test_a_router_that_is_installed_by_hand_is_looked_at_too() -> None:
    mine = type("Mine", (PartitionRouter,), {"_route": lambda self, **call: [0]})
    with pytest.raises(ConfigError, match="_route"):
        memory_cluster().install_router(mine(NODES))


def test_a_router_with_a_locate_of_its_own_may_have_any_helper() -> None:
    class Mine(PartitionRouter):
        def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
            return self._route()

        def _route(self) -> str:
            return self.names[1]

    assert memory_cluster(router=Mine).explain("get", "k").parts[0].host == "b"


def test_a_base_router_is_called_as_ever() -> None:
    class Mine(BaseRouter):
        def _route(self, attr: str, args: Sequence[Any], kwargs: dict[str, Any], **further: Any) -> list[Any]:
            return ["b"]

    assert memory_cluster(router=Mine).explain("get", "k").parts[0].host == "b"


@pytest.mark.parametrize("parent", [Redis, Memcache])
@pytest.mark.parametrize("name", ["connect", "disconnect", "get_pipeline"])
def test_an_engine_that_overrides_what_nobody_calls_is_refused(parent: type[Any], name: str) -> None:
    mine = type("Mine", (parent,), {name: lambda self: None})
    with pytest.raises(ConfigError, match=rf"engine: Mine defines {name}\(\).*BaseEngine"):
        create_cluster({"engine": mine, "hosts": [{}]})


def test_a_failure_is_a_pair_as_in_nydus_0_11() -> None:
    error = ValueError("no")
    failure = CommandFailure("get", error, 0, ("a",))
    name, found = failure
    assert (name, found) == (failure[0], failure[1]) == ("get", error)
    assert len(failure) == 2
    with pytest.raises(IndexError):
        failure[2]


# Options of routers --------------------------------------------------------------------------------------------------


class ByPrefix(NodeRouter):
    def __init__(self, nodes: Sequence[Node], *, separator: Any = ":", **options: Any) -> None:
        super().__init__(nodes, **options)
        self.separator = separator

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        names = self.candidates(avoid)
        return names[len(key.partition(self.separator.encode())[0]) % len(names)]


def test_the_options_of_a_router_are_in_its_fingerprint() -> None:
    colon, slash = ByPrefix(NODES), ByPrefix(NODES, separator="/")
    assert colon.fingerprint == ByPrefix(NODES, separator=":").fingerprint, "the default is an option too"
    assert colon.fingerprint != slash.fingerprint
    assert slash.rule()["parameters"] == {"separator": "/", "hash_tags": False}
    assert json.loads(json.dumps(slash.rule())) == slash.rule()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_a_copy_of_a_router_has_its_fingerprint(copied: Callable[[Any], Any]) -> None:
    made = ByPrefix(NODES, separator="/")
    assert copied(made).fingerprint == made.fingerprint


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, True, "x", b"\xff", ["x"], ("x",), {"a": {"b": b"c"}}, {"x", "y"}]
)
def test_plain_data_are_options(value: Any) -> None:
    assert ByPrefix(NODES, separator=value).fingerprint == ByPrefix(NODES, separator=value).fingerprint


@pytest.mark.parametrize("value", [len, object(), [lambda: None], {"a": object()}])
def test_an_option_that_no_fingerprint_can_tell_is_refused_with_the_way(value: Any) -> None:
    settings = {"engine": "redis", "router": {"name": ByPrefix, "separator": value}, "hosts": HOSTS}
    with pytest.raises(ConfigError, match=r"router\.separator: found .*Define parameters\(\)"):
        create_cluster(settings)


def test_a_router_that_tells_its_parameters_takes_any_option() -> None:
    class Told(ByPrefix):
        def parameters(self) -> dict[str, Any]:
            return {**super().parameters(), "separator": self.separator("x")}

    assert Told(NODES, separator=str).rule()["parameters"] == {"separator": "x", "hash_tags": False}
    assert Told(NODES, separator=str).fingerprint != Told(NODES, separator=str.upper).fingerprint


def test_a_subclass_of_a_built_in_rule_tells_its_options_too() -> None:
    class Mine(Modulo):
        def __init__(self, nodes: Sequence[Node], *, region: str, **options: Any) -> None:
            super().__init__(nodes, **options)

    assert Mine(NODES, region="eu").fingerprint != Mine(NODES, region="us").fingerprint


@pytest.mark.parametrize("make", [memory_cluster, async_memory_cluster])
def test_hash_tags_count_for_a_router_that_knows_nothing_of_them(make: Callable[..., Any]) -> None:
    plain = make(router=ByPrefix)
    tagged = make(router={"name": ByPrefix, "hash_tags": True})
    assert plain.fingerprint != tagged.fingerprint
    moved = 0
    for number in range(20):
        key = f"{'x' * number}{{tag}}"
        assert tagged.router.locate(key.encode()) == plain.router.locate(b"tag")
        (place,) = tagged.explain("get", key).keys
        assert (place.part, place.host) == (b"tag", plain.router.locate(b"tag"))
        moved += plain.router.locate(key.encode()) != plain.router.locate(b"tag")
    assert moved, "without the option these keys live elsewhere"


def test_hash_tags_of_a_client_count_for_a_subclass_of_a_built_in_rule() -> None:
    class Mine(Modulo):
        def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
            return self.names[len(key) % len(self.names)]

    assert Mine(NODES, hash_tag="[]").locate(b"xyz[a]") == "b"


# Doubts --------------------------------------------------------------------------------------------------------------


def doubts(settings: dict[str, Any]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        create_cluster(settings)
    assert all(each.category is SettingsWarning and each.filename == __file__ for each in caught)
    return [str(each.message) for each in caught]


@pytest.mark.parametrize("router", [None, BaseRouter])
def test_a_weight_that_does_not_count_is_doubted(router: Any) -> None:
    (doubt,) = doubts({"engine": "redis", "router": router, "hosts": {"a": {"weight": 2}, "b": {"db": 1}}})
    assert doubt.startswith("hosts['a'].weight: found 2; with")


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_two_hosts_of_one_address_are_doubted(engine: str) -> None:
    (doubt,) = doubts({"engine": engine, "hosts": {"a": "h:1", "b": "h:2", "c": "h:1"}})
    assert doubt.startswith("hosts['c']: the same address as hosts['a']: h:1, database 0.")


def test_a_host_that_is_added_is_doubted_too() -> None:
    cluster = create_cluster({"engine": "redis", "hosts": {"a": "h:1"}})
    with pytest.warns(SettingsWarning, match=r"hosts\['b'\]: the same address"):
        cluster.add_host("b", "h:1")


def test_databases_of_one_server_are_hosts_of_their_own() -> None:
    assert doubts({"engine": "redis", "router": "partition", "hosts": HOSTS}) == []
