"""The rule for new clusters, ``slots``: slots of Redis Cluster, shares within a bound, and few slots that move.

All is computed from fixed names, so it comes out the same each time.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Collection, Mapping
from decimal import localcontext
from fractions import Fraction
from hashlib import sha256, shake_128
from math import ceil, log
from typing import Any

import pytest

from nydus_core import ConfigError, HostListExhausted
from nydus_core.command import key_bytes
from nydus_core.routers import Node, Slots, bounded, differences, guard, locate_all, profiles, slot_of
from vectors import cases, mapping

SLOTS = 16384
KEYS = [b"user:%d" % number for number in range(20_000)]


def even(count: int) -> dict[str, float]:
    return dict.fromkeys((f"host-{number}" for number in range(count)), 1)


def router(weights: Mapping[str, float], **options: Any) -> Any:
    return profiles.slots([Node(name, weight) for name, weight in weights.items()], **options)


def table(weights: Mapping[str, float], **options: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = router(weights, **options).table
    return found


def straight(weights: Mapping[str, float], bound: float = 1.05) -> list[str]:
    """The rule as the documentation has it: all pairs of slot and host, from the highest rating to the lowest."""
    shares = {name: Fraction(str(weight)) for name, weight in weights.items() if weight}
    total = sum(shares.values())
    room = {name: ceil(Fraction(str(bound)) * SLOTS * share / total) for name, share in shares.items()}
    pairs = []
    for name, share in shares.items():
        stream = shake_128(name.encode()).digest(4 * SLOTS)
        for slot in range(SLOTS):
            x = int.from_bytes(stream[4 * slot : 4 * slot + 4], "little")
            pairs.append((-log((2 * x + 1) / 2**33) / float(share), name, slot))
    found = [""] * SLOTS
    for _, name, slot in sorted(pairs):
        if not found[slot] and room[name]:
            found[slot] = name
            room[name] -= 1
    return found


def stand_in(slot: int, weights: Mapping[str, float], avoid: Collection[str]) -> str:
    """The host with the highest rating that is not to be avoided."""
    rated = {}
    for name in weights.keys() - avoid:
        x = int.from_bytes(shake_128(name.encode()).digest(4 * slot + 4)[-4:], "little")
        rated[name] = -weights[name] / log((2 * x + 1) / 2**33)
    return max(rated, key=rated.__getitem__)


EVEN = even(10)
UNEVEN = {"a": 1, "b": 2, "c": 3.5, "d": 0.25, "e": 10}


# The rule ---------------------------------------------------------------------------------------------------------


def test_the_vectors_that_were_computed_in_a_second_way() -> None:
    compared = 0
    for case in cases("slots"):
        made = profiles.slots(
            [Node(host["name"], host["weight"]) for host in case["hosts"]], **case["options"]
        )
        assert sha256("\n".join(made.table).encode()).hexdigest() == case["table"]
        for key, theirs in mapping(case):
            assert made.locate(key_bytes(key)) == theirs
            compared += 1
    assert compared == 5_376


@pytest.mark.parametrize(
    ("weights", "bound"),
    [
        *((even(3), 1.05), (even(3), 1), (UNEVEN, 1.05), (UNEVEN, 2), (even(17), 1.02), (even(40), 1.02)),
        *(({"a": 1, "b": 1000}, 1.05), ({"a": 7}, 1), ({f"{n}": n % 4 + 0.25 for n in range(8)}, 1.01)),
    ],
)
def test_it_is_the_straight_rule(weights: dict[str, float], bound: float) -> None:
    assert list(table(weights, bound=bound)) == straight(weights, bound)


@pytest.mark.parametrize("seed", range(4))
def test_it_is_the_straight_rule_for_any_fleet(seed: int) -> None:
    dice = random.Random(seed)
    weights = {"one": 1.0}
    for _ in range(dice.randrange(2, 9)):
        weights[f"{dice.random()}"] = dice.choice((1, 1, 2, 0.5, 0, dice.random() * 5))
    bound = dice.choice((1, 1.01, 1.05, 1.3))
    assert list(table(weights, bound=bound)) == straight(weights, bound)


@pytest.mark.parametrize("count", [3, 8])
def test_doubles_decide_as_a_hundred_digits_do(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {f"{number}": 1 + number % 3 for number in range(count)}
    expected = table(weights)
    monkeypatch.setattr(bounded, "_NEAR", 7)  # so that costs within a hundredth are compared exactly
    monkeypatch.setattr(bounded, "log", lambda u: log(u) * (1 + 0.001 * (u * 7919 % 1)))  # by a bad logarithm
    with localcontext() as context:  # of the calling program, which must not count
        context.prec = 3
        found = table(weights)
    assert found == expected


def test_equal_ratings_go_to_the_smaller_name_and_the_smaller_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    class Same:
        def __init__(self, data: bytes) -> None:
            pass

        def digest(self, length: int) -> bytes:
            return bytes([200]) * length

    monkeypatch.setattr(bounded, "shake_128", Same)
    half = SLOTS // 2
    assert table({"b": 1, "a": 1}, bound=1) == ("a",) * half + ("b",) * half
    assert table({"b": 2, "a": 2, "c": 4}, bound=1) == ("c",) * half + ("a",) * (half // 2) + ("b",) * (
        half // 2
    )
    assert set(table({"b": 1, "a": 1}, bound=2)) == {"a"}


# Shares -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("count", "largest", "moved"),
    [(3, 1.017, 1.02), (10, 1.050, 1.00), (100, 1.056, 1.28), (1000, 1.099, 1.5)],
)
def test_the_largest_share_and_the_slots_that_move(count: int, largest: float, moved: float) -> None:
    before, after = table(even(count)), table(even(count + 1))
    assert round(max(Counter(before).values()) / SLOTS * count, 3) <= largest
    ideal = SLOTS / (count + 1)
    assert round(sum(here != there for here, there in zip(before, after, strict=True)) / ideal, 2) <= moved


def test_the_largest_share_of_keys() -> None:
    keys = [b"user:%d" % number for number in range(100_000)]
    for count, largest in ((3, 1.025), (10, 1.061), (100, 1.134)):
        counts = Counter(map(router(even(count)).locate, keys))
        assert max(counts.values()) / len(keys) * count <= largest


@pytest.mark.parametrize("bound", [1, 1.0001, 1.02, 1.05, 1.5])
def test_no_host_has_more_than_its_bound_and_every_slot_has_a_host(bound: float) -> None:
    dice = random.Random(1)
    for _ in range(2):
        weights = {f"{dice.random()}": dice.choice((1, 2, 3, 0, 0.1, 1e-6)) for _ in range(12)} | {"one": 1}
        counts, total = Counter(table(weights, bound=bound)), sum(map(Fraction, map(str, weights.values())))
        for name, weight in weights.items():
            fair = SLOTS * Fraction(str(weight)) / total
            assert counts[name] <= ceil(Fraction(str(bound)) * fair)
        assert sum(counts.values()) == SLOTS


def test_a_bound_beyond_any_share_is_none() -> None:
    free = table(EVEN, bound=1e9)
    assert all(free[slot] == stand_in(slot, EVEN, ()) for slot in range(0, SLOTS, 97))


@pytest.mark.parametrize(
    "wrong", [0, 0.99, -1, float("inf"), float("nan"), 10**5000, True, "1.05", [1.05]], ids=range(9)
)
def test_a_bound_that_no_fleet_can_hold_is_refused(wrong: Any) -> None:
    with pytest.raises(
        ConfigError, match=r"^router\.bound: found .*; expected a number, 1 or more"
    ) as caught:
        router(EVEN, bound=wrong)
    assert caught.value.path == "router.bound"


def test_each_host_has_about_its_share() -> None:
    counts, total = Counter(table(UNEVEN)), sum(UNEVEN.values())
    for name, weight in UNEVEN.items():
        assert counts[name] == pytest.approx(SLOTS * weight / total, rel=0.06)


def test_a_host_of_weight_0_has_no_slots() -> None:
    assert table({**UNEVEN, "f": 0}) == table(UNEVEN)
    assert "f" not in router({**UNEVEN, "f": 0}).owners()


# Changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [EVEN, UNEVEN, even(40)])
def test_the_order_of_the_hosts_does_not_count(weights: dict[str, float]) -> None:
    turned = dict(reversed(weights.items()))
    assert table(turned) == table(weights)
    assert router(turned).fingerprint == router(weights).fingerprint


@pytest.mark.parametrize("factor", [2, 3, 0.5, 1000])
def test_only_the_ratios_of_weights_count(factor: float) -> None:
    assert table({name: weight * factor for name, weight in UNEVEN.items()}) == table(UNEVEN)


def test_a_changed_address_moves_nothing() -> None:
    here = profiles.slots([Node("a", 1, "redis://x/0", "x:1", 0), Node("b", 1, "redis://y/0", "y:1", 0)])
    there = profiles.slots([Node("a", 1, "redis://z/5", "z:9", 5), Node("b", 1, "", "", 0)])
    assert here.table == there.table
    assert here.fingerprint == there.fingerprint


def test_a_label_that_is_pinned_keeps_the_place_of_a_host_that_is_renamed() -> None:
    after = router({"A": 1, "b": 1}, labels={"A": "a"})
    assert tuple(name.lower() for name in after.table) == table({"a": 1, "b": 1})


@pytest.mark.parametrize("count", [3, 10, 50])
def test_without_a_bound_slots_move_only_to_a_new_host_and_with_one_hardly_elsewhere(count: int) -> None:
    for bound, astray in ((1e9, 0), (1.05, SLOTS / count / 4)):
        before, after = table(even(count), bound=bound), table({**even(count), "new": 1}, bound=bound)
        moved = [(here, there) for here, there in zip(before, after, strict=True) if here != there]
        assert len([there for _, there in moved if there != "new"]) <= astray


def test_the_slots_of_a_host_that_goes_are_shared_by_all_others() -> None:
    names = even(10)
    before, after = table(names), table({name: 1 for name in names if name != "host-5"})
    heirs = Counter(there for here, there in zip(before, after, strict=True) if here == "host-5")
    assert len(heirs) == 9
    assert max(heirs.values()) < 3 * SLOTS / 10 / 9


# Hosts to be avoided ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [UNEVEN, EVEN, even(60), {f"{n}": 1 + n % 3 for n in range(30)}])
def test_a_key_whose_host_is_to_be_avoided_goes_to_the_next_best(weights: dict[str, float]) -> None:
    made, names = router(weights), sorted(weights)
    for avoid in (names[:1], names[1:3], names[: len(names) // 2], names[2:], names[:2] + names[3:]):
        for key in KEYS[:300]:
            home = made.locate(key)
            there = made.locate(key, avoid)
            assert there == (stand_in(slot_of(key), weights, avoid) if home in avoid else home)


@pytest.mark.parametrize("count", [3, 40])
def test_given_slots_of_hosts_to_be_avoided_go_where_dealt_slots_go(count: int) -> None:
    dealt = router(even(count))
    given = router(even(count), slots=dealt.ranges())
    avoid = list(even(count))[: count // 2]
    for key in KEYS[:300]:
        assert given.locate(key, avoid) == dealt.locate(key, avoid)


def test_when_all_hosts_with_a_share_are_to_be_avoided_there_is_none_left() -> None:
    with pytest.raises(HostListExhausted):
        router({"a": 1, "b": 1, "c": 0}).locate(b"key", ["a", "b"])


# Slots that are given ---------------------------------------------------------------------------------------------

FORMS = [
    {"a": [[0, 5460]], "b": [[5461, 10922]], "c": [[10923, 16383]]},
    {"a": ["0-5460"], "b": ["5461-10922"], "c": ["10923-16383"]},
    {"c": ("10923-16382", "16383"), "a": ["1-5460", 0], "b": [(5461, 10921), 10922]},
]


@pytest.mark.parametrize("given", FORMS, ids=range(len(FORMS)))
def test_slots_may_be_given_as_a_cluster_shows_them(given: Any) -> None:
    hosts = [Node(name) for name in "abc"]
    found, ranges = profiles.slots(hosts, slots=given), profiles.redis_slots(hosts, slots=given)
    assert found.table == ranges.table == profiles.redis_slots(hosts).table
    assert found.fingerprint == ranges.fingerprint == profiles.redis_slots(hosts).fingerprint
    assert found.ranges() == FORMS[1]
    assert not differences(found.rule(), profiles.slots(hosts, slots=FORMS[0]).rule())


def test_slots_that_were_dealt_can_be_given_and_then_moved_one_by_one() -> None:
    before = router(UNEVEN)
    ranges = before.ranges()
    given = router(dict.fromkeys(UNEVEN, 1), slots=ranges)
    assert given.table == before.table
    assert given.fingerprint == before.fingerprint
    assert sum(len(each) for each in ranges.values()) > 3_000  # they are scattered
    one = next(iter(ranges["a"]))
    moved = router(dict.fromkeys(UNEVEN, 1), slots={**ranges, "a": ranges["a"][1:], "b": [*ranges["b"], one]})
    assert moved.fingerprint != before.fingerprint
    assert {there for here, there in zip(before.table, moved.table, strict=True) if here != there} == {"b"}


def test_differences_name_slots_that_have_another_host() -> None:
    hosts = [Node("a"), Node("b")]
    old = profiles.slots(hosts, slots={"a": ["0-9999"], "b": ["10000-16383"]}).rule()
    new = profiles.slots(hosts, slots={"a": ["0-9989", 16383], "b": ["9990-16382"]}).rule()
    assert differences(old, new) == [
        "slots: 11 have another host: slot 9990 of 'a', now of 'b', slot 9991 of 'a', now of 'b', slot 9992 of "
        "'a', now of 'b', …"
    ]
    assert differences(new, new) == []
    (dealt, *_) = differences(old, profiles.slots(hosts).rule())
    assert len(dealt) < 300
    assert differences(profiles.slots(hosts).rule(), profiles.slots(hosts, bound=2).rule()) == [
        "bound 1.05, now 2"
    ]


@pytest.mark.parametrize("wrong", [{"a": ["x"]}, {"a": [5]}, {"a": 5}, [1]])
def test_a_rule_whose_slots_are_none_is_refused(wrong: Any) -> None:
    made = router({"a": 1, "b": 1}, slots={"a": ["0-9999"], "b": ["10000-16383"]})
    with pytest.raises(ConfigError, match="found no rule"):
        guard(made, made.names, {**made.rule(), "parameters": {"slots": wrong}})


def test_with_slots_that_are_given_the_next_best_stands_in_too() -> None:
    made = router(even(3), slots={"host-0": ["0-99"], "host-1": ["100-16383"]})
    assert set(made.owners()) == {"host-0", "host-1"}
    for key in KEYS[:100]:
        assert made.locate(key, ["host-1"]) == "host-0"
    three = router(even(3), slots={"host-0": ["0-99"], "host-1": ["100-16382"], "host-2": [16383]})
    heirs = Counter(three.locate(key, ["host-1"]) for key in KEYS[:2_000])
    assert heirs["host-0"] == pytest.approx(1_000, abs=100)
    for key in KEYS[:50]:
        if three.locate(key) == "host-1":
            assert three.locate(key, ["host-1"]) == stand_in(slot_of(key), even(3), ["host-1"])


@pytest.mark.parametrize("name", ["slots", "redis-slots"])
@pytest.mark.parametrize(
    "wrong", ["x", "5-4", "1-", "-1", "0-16384", "16384", "1-2-3", "0 - 5", "٣", "000001", True, None, 1.0]
)
def test_a_range_that_is_none_is_refused(name: str, wrong: Any) -> None:
    make = getattr(profiles, name.replace("-", "_"))
    with pytest.raises(
        ConfigError, match=r"^router\.slots\['a'\]: found .*; expected a slot, or the first"
    ) as caught:
        make([Node("a"), Node("b")], slots={"a": [wrong], "b": ["0-16383"]})
    assert caught.value.path == "router.slots['a']"


def test_nothing_is_given_that_has_no_effect() -> None:
    hosts = {"a": ["0-9999"], "b": ["10000-16383"]}
    with pytest.raises(ConfigError, match=r"^router\.bound: a bound has no effect on slots that are given"):
        router({"a": 1, "b": 1}, slots=hosts, bound=1.05)
    with pytest.raises(
        ConfigError, match=r"^hosts\['b'\]\.weight: found 2; a fleet whose slots are given knows no"
    ):
        router({"a": 1, "b": 2}, slots=hosts)


def test_there_are_no_more_hosts_than_slots() -> None:
    with pytest.raises(ConfigError, match=r"^hosts: found 16385 hosts; there are 16384 slots"):
        router(dict.fromkeys(map(str, range(SLOTS + 1)), 1))


# Many keys --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slots", "redis-slots", "rendezvous", "partition", "libmemcached-ketama"])
@pytest.mark.parametrize("tags", [True, False])
def test_many_keys_are_located_as_each_of_them(name: str, tags: bool) -> None:
    make = getattr(profiles, name.replace("-", "_"))
    made = make([Node(each, address=f"{each}:1") for each in "abc"], hash_tags=tags)
    odd = [b"", b"{", b"}{", b"{}", b"{}a", b"{a}", b"x{a}y{b}", b"{{a}}", b"\xff{\0}", b"{a", b"a}"]
    expected = [made.locate(key) for key in odd + KEYS[:200]]
    assert [*made.locate_all(odd + KEYS[:200])] == expected
    assert [*locate_all(made)(odd + KEYS[:200])] == expected
    assert [*made.locate_all([])] == []
    for wrong in ("text", 5, None):
        unfit: Any = [b"a", wrong]
        with pytest.raises(TypeError):
            made.locate_all(unfit)


def test_a_subclass_with_a_rule_of_its_own_is_asked_for_each_key() -> None:
    class Last(Slots):
        def locate(self, key: bytes, avoid: Any = ()) -> str:
            return self.names[-1]

    assert [*locate_all(Last([Node("a"), Node("b")]))(KEYS[:3])] == ["b", "b", "b"]


def test_many_keys_with_a_prefix_are_located_as_each_of_them() -> None:
    for options in (
        {"prefix": "p{"},
        {"keys": "mcrouter"},
        {"hash_tag": "<>"},
        {"hash_tags": True, "prefix": "p"},
    ):
        made = Slots([Node("a"), Node("b")], **options)
        keys = [*KEYS[:50], b"x{y}z", b"/r/c/a|#|b", b"a<b>c"]
        assert [*made.locate_all(keys)] == [made.locate(key) for key in keys]


def test_two_fleets_share_no_pattern() -> None:
    """Slots that prefer a to b are shared fairly by two further hosts: no two scores go together."""
    over, rest = table({"a": 1, "b": 1}), table({"c": 1, "d": 1})
    both = Counter(zip(over, rest, strict=True))
    assert all(
        abs(both[pair] - SLOTS / 4) < 4 * (SLOTS * 3 / 16) ** 0.5 for pair in itertools.product("ab", "cd")
    )
