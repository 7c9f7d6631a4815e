"""Routers: placement equal to that of nydus 0.11, by what the original answered, and what holds for any router."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nydus_core import ConfigError, HostListExhausted, RoutingError
from nydus_core.routers import (
    BroadcastRouter,
    ConsistentHashingRouter,
    Node,
    NodeRouter,
    PartitionRouter,
    RoundRobinRouter,
    Router,
    Spread,
    hash_tag,
)


def nodes(names: Sequence[Any], identifiers: Sequence[str] = ()) -> list[Node]:
    return [
        Node(str(name), identifier=identifier)
        for name, identifier in zip(names, identifiers or [f"host-{name}" for name in names], strict=True)
    ]


# Any router -------------------------------------------------------------------------------------------------------


class ByLength(NodeRouter):
    """The example of the documentation of ``NodeRouter``."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        names = self.candidates(avoid)
        return names[len(key) % len(names)]


def tagging(rule: type[NodeRouter]) -> Callable[[Sequence[Node]], NodeRouter]:
    return lambda hosts: rule(hosts, hash_tags=True)


BY_KEY = {
    "partition": PartitionRouter,
    "partition with tags": tagging(PartitionRouter),
    "consistent": ConsistentHashingRouter,
    "consistent with tags": tagging(ConsistentHashingRouter),
    "consistent with weights": lambda hosts: ConsistentHashingRouter(
        [Node(host.name, 1 + number, host.identifier) for number, host in enumerate(hosts)]
    ),
    "custom": ByLength,
}
ALL = {**BY_KEY, "round robin": RoundRobinRouter}

by_key = pytest.mark.parametrize("make", BY_KEY.values(), ids=list(BY_KEY))
any_router = pytest.mark.parametrize("make", ALL.values(), ids=list(ALL))

NAMES = tuple("abcdefg")
KEYS = [b"", b"\0", b"\xff" * 300, b"{}", b"{x}", *(random.Random(1).randbytes(n % 40) for n in range(300))]


@any_router
def test_a_router_is_a_router(make: Callable[[Any], Router]) -> None:
    assert isinstance(make(nodes(NAMES)), Router)


@any_router
def test_every_key_has_a_host_and_equal_settings_give_equal_places(make: Callable[[Any], Router]) -> None:
    places = [make(nodes(NAMES)).locate(key) for key in KEYS]
    assert set(places) <= set(NAMES)
    one, other = make(nodes(NAMES)), make(nodes(NAMES))
    assert [one.locate(key) for key in KEYS] == [other.locate(key) for key in KEYS]


@by_key
def test_a_key_stays_where_it_is(make: Callable[[Any], Router]) -> None:
    router = make(nodes(NAMES))
    before = [router.locate(key) for key in KEYS]
    assert [router.locate(key) for key in reversed(KEYS)] == before[::-1]


@any_router
def test_every_host_is_used(make: Callable[[Any], Router]) -> None:
    router = make(nodes(NAMES))
    assert {router.locate(key) for key in KEYS} == set(NAMES)


@any_router
@pytest.mark.parametrize("avoid", [{"a"}, {"g", "b"}, set("bcdefg"), {"nobody", "c"}], ids=sorted)
def test_a_host_to_be_avoided_is_never_chosen(make: Callable[[Any], Router], avoid: set[str]) -> None:
    router = make(nodes(NAMES))
    assert {router.locate(key, avoid) for key in KEYS} == set(NAMES) - avoid


@pytest.mark.parametrize("make", [PartitionRouter, ConsistentHashingRouter])
def test_only_the_keys_of_an_avoided_host_move(make: Callable[[Any], Router]) -> None:
    router = make(nodes(NAMES))
    moved = {router.locate(key) for key in KEYS if router.locate(key, {"c"}) != router.locate(key)}
    assert moved == {"c"}


@any_router
def test_when_all_hosts_are_to_be_avoided_there_is_none_left(make: Callable[[Any], Router]) -> None:
    with pytest.raises(HostListExhausted, match="a, b, c"):
        make(nodes("abc")).locate(b"key", {"c", "b", "a", "x"})


@any_router
def test_one_host_has_all_keys(make: Callable[[Any], Router]) -> None:
    router = make(nodes(["only"]))
    assert {router.locate(key) for key in KEYS} == {"only"}


@pytest.mark.parametrize("rule", ["PartitionRouter", "ConsistentHashingRouter"])
def test_places_are_the_same_in_any_process(rule: str) -> None:
    program = (
        f"from nydus_core.routers import Node, {rule} as rule\n"
        "router = rule([Node(n, identifier=f'host-{n}') for n in 'abcdefg'])\n"
        "print(*(router.locate(b'%d' % n) for n in range(200)))"
    )
    answers = {
        subprocess.check_output([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    }
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("router", "spread"),
    [
        (PartitionRouter, Spread.KEY),
        (ConsistentHashingRouter, Spread.KEY),
        (ByLength, Spread.KEY),
        (RoundRobinRouter, Spread.ANY),
        (BroadcastRouter, Spread.ALL),
    ],
)
def test_a_router_says_how_it_spreads_commands(router: type[NodeRouter], spread: Spread) -> None:
    assert router.spread is spread


def test_a_router_that_has_no_rule_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"NodeRouter has to define locate\(key, avoid\)"):
        NodeRouter(nodes("ab")).locate(b"key")


# Hash tags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "tag"),
    [
        (b"{user1000}.following", b"user1000"),
        (b"foo{bar}{zap}", b"bar"),
        (b"foo{{bar}}zap", b"{bar"),
        (b"{a}", b"a"),
        (b"x{a}}", b"a"),
        (b"}{a}", b"a"),
        (b"{\0\xff}", b"\0\xff"),
        (b"foo{}{bar}", b"foo{}{bar}"),
        (b"{}x", b"{}x"),
        (b"{a", b"{a"),
        (b"a}b{", b"a}b{"),
        (b"a}", b"a}"),
        (b"{", b"{"),
        (b"{}", b"{}"),
        (b"", b""),
        (b"plain", b"plain"),
    ],
)
def test_hash_tags_are_those_of_redis_cluster(key: bytes, tag: bytes) -> None:
    assert hash_tag(key) == tag


@pytest.mark.parametrize("rule", [PartitionRouter, ConsistentHashingRouter])
def test_keys_with_one_hash_tag_live_where_the_tag_does_if_the_router_honours_tags(
    rule: type[NodeRouter],
) -> None:
    tagged = [b"%d{user:1}%d" % (n, n) for n in range(50)]
    honours, ignores = rule(nodes(NAMES), hash_tags=True), rule(nodes(NAMES))
    assert {honours.locate(key) for key in tagged} == {honours.locate(b"user:1")}
    assert len({ignores.locate(key) for key in tagged}) > 1
    assert honours.hash_tags
    assert not ignores.hash_tags


@pytest.mark.parametrize("rule", [PartitionRouter, ConsistentHashingRouter])
def test_hash_tags_change_nothing_for_keys_without_tags(rule: type[NodeRouter]) -> None:
    plain = [b"plain:%d" % n for n in range(100)]
    honours, ignores = rule(nodes(NAMES), hash_tags=True), rule(nodes(NAMES))
    assert [honours.locate(key) for key in plain] == [ignores.locate(key) for key in plain]


# One rule each ----------------------------------------------------------------------------------------------------


def test_consistent_moves_only_the_keys_that_a_new_host_receives() -> None:
    before = ConsistentHashingRouter(nodes("abc"))
    after = ConsistentHashingRouter(nodes("abcd"))
    moved = [key for key in KEYS if before.locate(key) != after.locate(key)]
    assert {after.locate(key) for key in moved} == {"d"}
    assert len(moved) < len(KEYS) / 2


def test_consistent_places_by_identifier_so_a_host_may_be_renamed() -> None:
    one = ConsistentHashingRouter([Node("a", identifier="x"), Node("b", identifier="y")])
    other = ConsistentHashingRouter([Node("A", identifier="x"), Node("B", identifier="y")])
    assert [one.locate(key).upper() for key in KEYS] == [other.locate(key) for key in KEYS]


def test_consistent_gives_a_heavier_host_more_keys() -> None:
    router = ConsistentHashingRouter([Node("light", 1, "light"), Node("heavy", 4, "heavy")])
    shares = Counter(router.locate(b"key:%d" % n) for n in range(5000))
    assert 0.7 < shares["heavy"] / 5000 < 0.9


@pytest.mark.parametrize("weights", [(0, 0), (0.0, 0.0)])
def test_consistent_refuses_hosts_of_which_none_has_a_point(weights: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="weight"):
        ConsistentHashingRouter([Node(str(weight), weight, f"h{n}") for n, weight in enumerate(weights)])


def test_round_robin_takes_the_hosts_in_turn_from_the_first() -> None:
    router = RoundRobinRouter(nodes("abc"))
    assert [router.locate(b"any key") for _ in range(7)] == list("abcabca")


def test_round_robin_shares_one_turn_among_threads() -> None:
    router = RoundRobinRouter(nodes("abcd"))

    def some(_: int) -> list[str]:
        return [router.locate(b"") for _ in range(1000)]

    with ThreadPoolExecutor(8) as threads:
        taken = Counter(name for names in threads.map(some, range(8)) for name in names)
    assert taken == dict.fromkeys("abcd", 2000)


def test_round_robin_finds_the_host_that_is_left_while_others_take_turns() -> None:
    router = RoundRobinRouter(nodes("ab"))

    class Contended(set[str]):
        """Between two turns of one caller, another takes one."""

        def __contains__(self, name: object) -> bool:
            router.locate(b"")
            return super().__contains__(name)

    router.locate(b"")
    assert router.locate(b"", Contended({"b"})) == "a"


def test_broadcast_has_no_place_for_a_key() -> None:
    with pytest.raises(RoutingError, match="all hosts"):
        BroadcastRouter(nodes("ab")).locate(b"key")
