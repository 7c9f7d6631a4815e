"""The rule for new clusters: shares, what moves, and that no platform's logarithm makes a difference.

All is computed from fixed keys, so it comes out the same each time. Where chance is allowed for, it is four times the
standard deviation of independent draws.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from math import sqrt
from typing import Any

import pytest

from nydus_core import ConfigError
from nydus_core.command import key_bytes
from nydus_core.routers import Node, Rendezvous, profiles, rendezvous
from vectors import cases, mapping

KEYS = [b"user:%d" % number for number in range(20_000)]


def router(weights: Mapping[str, float]) -> Any:
    return profiles.rendezvous([Node(name, weight) for name, weight in weights.items()])


def places(weights: Mapping[str, float], avoid: set[str] = frozenset()) -> list[str]:  # type: ignore[assignment]
    made = router(weights)
    return [made.locate(key, avoid) for key in KEYS]


def assert_shares(found: list[str], weights: Mapping[str, float]) -> None:
    counts, total = Counter(found), sum(weights.values())
    for name, weight in weights.items():
        share = weight / total
        chance = sqrt(len(found) * share * (1 - share))
        assert abs(counts[name] - len(found) * share) <= 4 * chance, (name, counts)


EVEN = dict.fromkeys((f"host-{number}" for number in range(10)), 1.0)
UNEVEN = {"a": 1, "b": 2, "c": 3.5, "d": 0.25, "e": 10}


@pytest.mark.parametrize("weights", [EVEN, UNEVEN, {"a": 1, "b": 1}, {"a": 1, "b": 100}])
def test_each_host_has_its_share(weights: dict[str, float]) -> None:
    assert_shares(places(weights), weights)


def test_the_keys_of_a_host_to_be_avoided_are_shared_by_all_others() -> None:
    before, after = places(UNEVEN), places(UNEVEN, {"e"})
    moved = [new for old, new in zip(before, after, strict=True) if old == "e"]
    assert_shares(moved, {name: weight for name, weight in UNEVEN.items() if name != "e"})


def test_to_avoid_a_host_is_as_if_it_were_not_there() -> None:
    rest = {name: weight for name, weight in UNEVEN.items() if name not in ("b", "e")}
    assert places(UNEVEN, {"b", "e"}) == places(rest)


@pytest.mark.parametrize("weights", [EVEN, UNEVEN])
def test_a_key_moves_only_to_a_host_that_is_new_or_heavier(weights: dict[str, float]) -> None:
    first = next(iter(weights))
    for changed, host in (({**weights, "new": 3}, "new"), ({**weights, first: weights[first] * 1.5}, first)):
        before, after = places(weights), places(changed)
        moved = [there for here, there in zip(before, after, strict=True) if here != there]
        assert set(moved) == {host}
        assert {here for here, there in zip(after, before, strict=True) if here != there} == {
            host
        }  # and back


def test_the_share_that_moves_is_the_ideal_one() -> None:
    before, after = places(EVEN), places({**EVEN, "new": 1})
    moved = sum(here != there for here, there in zip(before, after, strict=True))
    assert moved / len(KEYS) == pytest.approx(1 / 11, abs=0.008)


def test_the_order_of_the_hosts_does_not_count() -> None:
    assert places(UNEVEN) == places(dict(reversed(UNEVEN.items())))


@pytest.mark.parametrize("factor", [2, 3, 0.1, 1e-6])
def test_only_the_ratios_of_weights_count(factor: float) -> None:
    weights = {"a": 1, "b": 2, "c": 3}
    scaled = {name: float(f"{Decimal(weight) * Decimal(str(factor))}") for name, weight in weights.items()}
    assert places(scaled) == places(weights)
    assert router(scaled).fingerprint == router(weights).fingerprint


def test_names_alike_and_keys_alike_are_no_trouble() -> None:
    """Hosts whose names differ in one bit share keys that differ in one bit."""
    weights = dict.fromkeys(map(chr, range(64, 96)), 1)
    made = router(weights)
    found = [made.locate(number.to_bytes(2, "big")) for number in range(20_000)]
    assert_shares(found, weights)


def test_two_hosts_win_independently_of_one_another() -> None:
    """Of keys that prefer a to b, the others win their share too: no two scores go together."""
    over, rest = router({"a": 1, "b": 1}), router({"c": 1, "d": 1})
    both = Counter((over.locate(key), rest.locate(key)) for key in KEYS)
    assert all(abs(count - 5_000) < 4 * sqrt(20_000 * 3 / 16) for count in both.values())


def test_doubles_decide_as_a_hundred_digits_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendezvous, "NEAR", 1e300)  # so that all are near, and compared exactly
    compared = 0
    for case in cases("rendezvous"):
        if len({host["weight"] for host in case["hosts"]}) > 1 and len(case["hosts"]) < 20:
            made = profiles.rendezvous(
                [Node(host["name"], host["weight"]) for host in case["hosts"]], **case["options"]
            )
            for key, theirs in mapping(case):
                assert made.locate(key_bytes(key)) == theirs
                compared += 1
    assert compared == 4_480


def test_equal_scores_go_to_the_smaller_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nydus_core.routers.scores.blake2b_64", lambda data: 5)
    assert router({"b": 1, "a": 1, "c": 1}).locate(b"key") == "a"
    assert router({"b": 2, "a": 2, "c": 2, "0": 1}).locate(b"key") == "a"


def test_weights_may_be_far_apart_but_not_absurdly() -> None:
    made = router({"most": 1e6, "least": 1e-6, "some": 1})
    assert {made.locate(key) for key in KEYS[:100]} == {"most"}
    assert {made.locate(key, {"most"}) for key in KEYS[:100]} == {"some"}
    assert {made.locate(key, {"most", "some"}) for key in KEYS[:100]} == {"least"}
    with pytest.raises(ConfigError, match=r"^hosts\['b'\]\.weight: found 1e-300; expected 0, or at least"):
        router({"a": 1, "b": 1e-300})


def test_a_changed_address_moves_nothing() -> None:
    here = profiles.rendezvous([Node("a", 1, "redis://x/0", "x:1", 0), Node("b", 1, "redis://y/0", "y:1", 0)])
    there = profiles.rendezvous([Node("a", 1, "redis://z/5", "z:9", 5), Node("b", 1, "", "", 0)])
    assert [here.locate(key) for key in KEYS] == [there.locate(key) for key in KEYS]
    assert here.fingerprint == there.fingerprint


def test_a_label_that_is_pinned_keeps_the_place_of_a_host_that_is_renamed() -> None:
    before = profiles.rendezvous([Node("a"), Node("b")])
    after = profiles.rendezvous([Node("A"), Node("b")], labels={"A": "a"})
    assert [before.locate(key) for key in KEYS] == [after.locate(key).lower() for key in KEYS]


def test_the_family_takes_other_scores_which_know_no_weights() -> None:
    assert Rendezvous([Node("a"), Node("b")], score="go-redis").locate(b"key") in "ab"
