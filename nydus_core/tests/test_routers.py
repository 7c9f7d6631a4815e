"""Routers: hash tags, options and their errors, weights, and what is particular to one rule.

What any router must do is in ``nydus_core.testing.routers``; ``test_routers_contract.py`` puts all of ours through it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nydus_core import BaseEngine, ConfigError, RoutingError, create_cluster
from nydus_core.routers import (
    PROFILES,
    BroadcastRouter,
    ConsistentHashingRouter,
    Node,
    NodeRouter,
    PartitionRouter,
    Ring,
    RoundRobinRouter,
    Spread,
    hash_tag,
    profiles,
    tags,
)
from nydus_core.routers.hashes import blake2b_64
from nydus_core.routers.modulo import jump


def nodes(names: Sequence[Any], identifiers: Sequence[str] = ()) -> list[Node]:
    return [
        Node(str(name), identifier=identifier)
        for name, identifier in zip(names, identifiers or [f"host-{name}" for name in names], strict=True)
    ]


def profile(name: str) -> Any:
    own = {"partition": PartitionRouter, "consistent": ConsistentHashingRouter}
    return own.get(name) or getattr(profiles, name.replace("-", "_"))


# Any router -------------------------------------------------------------------------------------------------------


class ByLength(NodeRouter):
    """The example of the documentation of ``NodeRouter``."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        names = self.candidates(avoid)
        return names[len(key) % len(names)]


NAMES = tuple("abcdefg")
KEYS = [b"", b"\0", b"\xff" * 300, b"{}", b"{x}", *(random.Random(1).randbytes(n % 40) for n in range(300))]


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


@pytest.mark.parametrize(
    ("rule", "key", "part"),
    [
        (tags.jedis, "foo{bar}", "bar"),
        (tags.jedis, "{}{a}", "}{a"),
        (tags.jedis, "{}}", "}"),
        (tags.jedis, "{a\u2028b}{c}", "c"),
        (tags.jedis, "{a", "{a"),
        (tags.django_redis, "{a}b{c}", "c"),
        (tags.django_redis, "{a{b}}", "b}"),
        (tags.django_redis, "{}", ""),
        (tags.django_redis, "a\n{b}", "a\n{b}"),
        (tags.phpredis, "{a}{b}", "a"),
        (tags.phpredis, "{}x", ""),
        (tags.phpredis, "}{", "}{"),
        (tags.mcrouter, "/region/cluster/key", "key"),
        (tags.mcrouter, "/region/cluster/", ""),
        (tags.mcrouter, "/region/key", "/region/key"),
        (tags.mcrouter, "//key", "//key"),
        (tags.mcrouter, "///key", "key"),
        (tags.mcrouter, "/", "/"),
        (tags.mcrouter, "region/cluster/key", "region/cluster/key"),
        (tags.mcrouter, "key|#|rest|#|more", "key"),
        (tags.mcrouter, "/a/b/key|#|/c/d", "key"),
        (tags.mcrouter, "|#|", ""),
        (tags.between("$$"), "a$b$c", "b"),
        (tags.between("$$"), "$$a$", "$$a$"),
        (tags.between("<>"), "><a>", "a"),
    ],
)
def test_which_part_of_a_key_other_clients_hash(rule: Any, key: str, part: str) -> None:
    assert rule(key.encode()) == part.encode()


def test_jedis_takes_no_tags_of_keys_that_are_no_text() -> None:
    assert tags.jedis(b"\xff{a}") == b"\xff{a}"


# Options ----------------------------------------------------------------------------------------------------------

WRONG = [
    ("libmemcached-ketama", {"hash": "md6"}, "router.hash", "found 'md6'; expected one of default, crc, md5"),
    ("libmemcached-ketama", {"hash": "crc32"}, "router.hash", "found 'crc32'"),
    ("twemproxy-ketama", {"hash": "fnv1a64"}, "router.hash", "did you mean 'fnv1a_64'?"),
    ("twemproxy-ketama", {"hash_tag": "{"}, "router.hash_tag", "found '{'; expected two ASCII characters"),
    ("jump", {"hash": 5}, "router.hash", "found 5; expected one of blake2b"),
    ("maglev", {"table": 65536}, "router.table", "found 65536; expected a prime number"),
    ("maglev", {"table": 1}, "router.table", "found 1; expected a whole number, 2 to 1000000"),
    ("maglev", {"table": 2}, "router.table", "found 2; expected more places than the 3 hosts"),
    ("uhashring", {"vnodes": 0}, "router.vnodes", "found 0; expected a whole number, 1 to"),
    ("uhashring", {"vnodes": {"a": 1}}, "router.vnodes", "found a; expected each host: a, b, c"),
    ("uhashring", {"vnodes": {"a": 1, "b": True, "c": 1}}, "router.vnodes['b']", "found True"),
    ("uhashring", {"points": 5}, "router.points", "found 5; expected a whole number, 1 to 4"),
    ("pymemcache", {"seed": -1}, "router.seed", "found -1; expected a whole number, 0 to 4294967295"),
    ("rendezvous", {"label": "adress"}, "router.label", "did you mean 'address'?"),
    ("rendezvous", {"labels": {"z": "x"}}, "router.labels", "there is no host 'z'; hosts: a, b, c"),
    ("rendezvous", {"labels": {"a": 1}}, "router.labels['a']", "found int; expected text"),
    ("rendezvous", {"labels": ["x"]}, "router.labels", "found list; expected a dict of texts by host"),
    ("rendezvous", {"labels": {"a": "b"}}, "hosts", "hosts 'a' and 'b' have one label, 'b'"),
    ("rendezvous", {"labels": {"b": "a"}}, "hosts", "hosts 'a' and 'b' have one label; "),
    ("rendezvous", {"hash_tags": 1}, "router.hash_tags", "found 1; expected true or false"),
    (
        "rendezvous",
        {"weights": 1},
        "router.weights",
        "unknown option of 'rendezvous'; known: hash_tags, label",
    ),
    ("rb-ketama", {}, "hosts", "found the name 'a'; rb knows hosts by numbers"),
    ("libmemcached-modula", {"prefix": 5}, "router.prefix", "found int; expected text"),
    ("redis-slots", {"slots": [1]}, "router.slots", "found list; expected a dict of ranges by host"),
    ("redis-slots", {"slots": {"z": []}}, "router.slots", "there is no host 'z'"),
    ("redis-slots", {"slots": {"a": "0-16383"}}, "router.slots['a']", "found '0-16383'; expected a list"),
    (
        "redis-slots",
        {"slots": {"a": [[5, 4]]}},
        "router.slots['a']",
        "found [5, 4]; expected a slot, or the first",
    ),
    ("redis-slots", {"slots": {"a": [16384]}}, "router.slots['a']", "found 16384"),
    (
        "redis-slots",
        {"slots": {"a": [[0, 9]], "b": [9]}},
        "router.slots['b']",
        "slot 9 is given to 'a' already",
    ),
    ("redis-slots", {"slots": {"a": [[0, 9], [11, 16383]]}}, "router.slots", "slot 10 has no host"),
]


@pytest.mark.parametrize(("name", "options", "path", "message"), WRONG)
def test_a_wrong_option_is_refused_with_its_place(
    name: str, options: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        profile(name)([Node(each, address=f"{each}:1") for each in "abc"], **options)
    assert caught.value.path == path
    assert message in caught.value.message


def test_settings_name_the_option_that_a_profile_does_not_have() -> None:
    settings = {"engine": BaseEngine, "hosts": [{}], "router": {"name": "uhashring", "vnode": 5}}
    with pytest.raises(
        ConfigError, match=r"^router\.vnode: unknown setting; known: .*; did you mean 'vnodes'\?"
    ):
        create_cluster(settings)


def test_a_host_without_an_address_is_refused_where_addresses_count() -> None:
    with pytest.raises(ConfigError, match=r"^hosts\['a'\]: this host has no address"):
        profiles.pymemcache([Node("a")])
    assert profiles.pymemcache([Node("a")], labels={"a": "10.0.0.1:11211"}).locate(b"key") == "a"


@pytest.mark.parametrize("name", ["jump", "twemproxy-modula", "partition"])
def test_rules_that_number_hosts_take_whole_weights(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^hosts\['b'\]\.weight: found 1\.5; .* takes whole weights only"):
        profile(name)([Node("a"), Node("b", 1.5)])


@pytest.mark.parametrize("name", [name for name, row in PROFILES.items() if row.weighted])
def test_a_host_of_weight_0_has_no_keys(name: str) -> None:
    hosts = [Node(each, int(each != "1"), f"id-{each}", f"host-{each}:1") for each in "012"]
    router = profile(name)(hosts)
    found = {router.locate(b"%d" % number) for number in range(300)}
    assert found == ({"0", "1", "2"} if "libmemcached" in name else {"0", "2"})  # there 0 counts as 1


@pytest.mark.parametrize("name", ["uhashring-meta", "flexihash", "cache-memcached-fast"])
def test_weights_so_small_that_no_host_has_a_point_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"^hosts\['b'\]\.weight: found 0\.002; no host would have a point"):
        profile(name)([Node("a", 0.001, address="a:1"), Node("b", 0.002, address="b:1")])


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_whether_addresses_count(name: str) -> None:
    def places(identifier: str, address: str, db: int) -> tuple[Any, list[str]]:
        hosts = [Node(each, 1, f"{identifier}-{each}", f"{address}-{each}:1", db) for each in "012"]
        router = profile(name)(hosts)
        some = random.Random(1)  # keys that do not begin alike: Java's hash leaves such on one host of a ring
        return router, [router.locate(some.randbytes(12)) for _ in range(300)]

    router, before = places("id", "host", 0)
    _, after = places("other", "elsewhere", 1)
    assert (before != after) == router.by_address == profile(name).by_address == PROFILES[name].by_address


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


def test_jump_is_written_out_as_it_is_written_down() -> None:
    hosts = [Node(str(number), 1 + number % 2) for number in range(50)]
    table = [node.name for node in hosts for _ in range(int(node.weight))]
    router = profiles.jump(hosts, hash="blake2b")
    assert all(router.locate(key) == table[jump(blake2b_64(hash_tag(key)), 75)] for key in KEYS)


@pytest.mark.parametrize(("ties", "owner"), [("first", "node62"), ("last", "node581")])
def test_a_point_of_two_hosts_is_the_first_or_the_last_ones(ties: str, owner: str) -> None:
    """These two share a point, 2086610694: see the last case of nydus_ketama.json."""
    ring = Ring([Node("node62"), Node("node581")], template="{label}-{i}-salt", successor=">=", ties=ties)
    assert ring._owners[bisect_right(ring._starts, 2086610694) - 1] == owner
    assert sum(ring.points.values()) == 319
    assert ring.points[owner] == 160


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


def test_round_robin_gives_a_heavier_host_more_turns_spread_over_the_round() -> None:
    router = RoundRobinRouter([Node("a", 1), Node("b", 3), Node("c", 0), Node("d", 2)])
    assert [router.locate(b"") for _ in range(12)] == list("bdabdb") * 2


def test_broadcast_has_no_place_for_a_key() -> None:
    with pytest.raises(RoutingError, match="all hosts"):
        BroadcastRouter(nodes("ab")).locate(b"key")
