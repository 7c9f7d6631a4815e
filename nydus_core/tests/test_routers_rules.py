"""Fingerprints and rules: equal exactly when all keys live alike, the same in any process, plain data."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from nydus_core.routers import PROFILES, Node, NodeRouter, Ring, differences, profiles
from nydus_core.routers.nydus_consistent import ConsistentHashingRouter
from nydus_core.routers.nydus_partition import PartitionRouter

_RANDOM = random.Random(1)
KEYS = [
    *(b"user:%d" % number for number in range(1_000)),
    *(b"{%d}x{y}" % number for number in range(200)),
    *(b"/a/b/%d" % number for number in range(100)),
    *(_RANDOM.randbytes(number % 20) for number in range(500)),
]


def profile(name: str) -> Any:
    own = {"partition": PartitionRouter, "consistent": ConsistentHashingRouter}
    return own.get(name) or getattr(profiles, name.replace("-", "_"))


def hosts(names: str = "012", weights: tuple[float, ...] = (1, 1, 1, 1), at: str = "") -> list[Node]:
    return [
        Node(name, weight, f"redis://{at}{name}/0", f"{at}{name}:1")
        for name, weight in zip(names, weights, strict=False)
    ]


def variants(name: str) -> Iterator[Any]:
    """The rule over hosts and with options that may make a difference, or none."""
    weighted = PROFILES[name].weighted
    small: dict[str, Any] = (
        {"table": 251} if name == "maglev" else {}
    )  # so that the keys come to each of its places
    make = partial(profile(name), **small)
    yield make(hosts())
    yield make(hosts())
    yield make(hosts("210"))
    yield make(hosts("0123"))
    yield make(hosts("013"))
    yield make(hosts("0"))
    yield make(hosts(at="elsewhere"))
    tags = "hash_tag" if "hash_tag" in PROFILES[name].options else "hash_tags"
    yield make(hosts(), **{tags: "{}" if tags == "hash_tag" else True})
    yield make(hosts(), **{tags: "" if tags == "hash_tag" else False})
    if "label" in PROFILES[name].all_options:
        yield make(hosts(), label="name")
        yield make(hosts(), label="address")
        yield make(hosts(at="elsewhere"), labels={node.name: node.address for node in hosts()})
    if weighted:
        for weights in ((2, 2, 2), (1, 2, 3), (2, 4, 6), (1, 1, 0)):
            yield make(hosts(weights=weights))


@pytest.mark.parametrize("name", PROFILES)
def test_fingerprints_are_equal_exactly_when_all_keys_live_alike(name: str) -> None:
    found = [(router.fingerprint, [router.locate(key) for key in KEYS]) for router in variants(name)]
    for (one, here), (other, there) in itertools.combinations(found, 2):
        assert (one == other) == (here == there)
    assert len({one for one, _ in found}) > 3


def test_rules_of_one_fingerprint_place_all_keys_alike_whatever_they_are_called() -> None:
    by_fingerprint: dict[str, list[Any]] = {}
    for name in PROFILES:
        for router in variants(name):
            by_fingerprint.setdefault(router.fingerprint, []).append(router)
    shared = [found for found in by_fingerprint.values() if len({router.profile for router in found}) > 1]
    assert len(shared) > 3  # partition and rb-partition, and all that have one host
    for first, *rest in shared:
        here = [first.locate(key) for key in KEYS]
        assert all([other.locate(key) for key in KEYS] == here for other in rest)


#: What they are in this version, and have to stay: an operator may have written them down.
PINNED = {
    "partition": "modulo:1b6c6d3bb6601000",
    "consistent": "ring:3bc072ed9092c5c6",
    "slots": "slots:efa2b309c0fd1a88",
    "rendezvous": "rendezvous:501861742064e7a1",
    "jump": "jump:0e173c7b665113a6",
    "maglev": "maglev:e3b59dec8493389b",
    "redis-slots": "slots:abb783e596134da1",
    "rb-partition": "modulo:1b6c6d3bb6601000",
    "rb-ketama": "ring:ce1df44bebe70547",
    "pymemcache": "rendezvous:2f8fc23dfe2d9891",
    "libmemcached-modula": "modulo:10ad9969df886b61",
    "libmemcached-ketama": "ring:e666a62ed484f31d",
    "libmemcached-ketama-weighted": "ring:0bf4a8ed9ef54ed0",
    "libmemcached-spy": "ring:443bf6e3040426ae",
    "libmemcached-spy-weighted": "ring:f75c11dbbd5f79ae",
    "twemproxy-ketama": "ring:bce8db3b4d919aad",
    "twemproxy-modula": "modulo:3a8623edaf5a24a6",
    "libketama": "ring:0bf4a8ed9ef54ed0",
    "uhashring": "ring:42f155570fbefcd4",
    "uhashring-meta": "ring:c70485f42cfcd8d8",
    "hash-ring": "ring:f291386fe800626f",
    "jedis": "ring:b72c0d1bedc98209",
    "jedis-unnamed": "ring:24876ade0c2bd14d",
    "go-redis": "rendezvous:7feff9e2a128348a",
    "django-redis": "ring:1cc92945a9869723",
    "python-memcached": "modulo:c5e337e29e0c26fc",
    "mcrouter-ch3": "furc:d543f465627b60bc",
    "mcrouter-crc32": "modulo:84c88bc43d283bb4",
    "phpredis": "modulo:0f6ad9575fb3e7e1",
    "redis-shard": "ring:6aa2742d38b3a6cb",
    "libmc": "ring:487404180951013b",
    "dalli": "ring:70c5fec01756ac3c",
    "cache-memcached-fast": "ring:b81340a6eb4e667c",
    "memjs": "modulo:829aca96ce21393b",
    "spymemcached": "ring:0bf4a8ed9ef54ed0",
    "spymemcached-consistent": "ring:b84dd3a15db31fc6",
    "spymemcached-array-mod": "modulo:59b9db5019817f9a",
    "memcachio": "rendezvous:f03ef8e5385c366b",
    "pypi-consistent-hash": "ring:f291386fe800626f",
    "flexihash": "ring:4c6c46d52d3c3d17",
    "node-hashring": "ring:5695a28ccdcb79cc",
    "npm-consistent-hashing": "ring:8643a61ab7f9c64a",
    "npm-ketama": "ring:a4515396a256931a",
}


def test_fingerprints_stay_what_they_are() -> None:
    assert {name: profile(name)(hosts()).fingerprint for name in PROFILES} == PINNED


def test_a_fingerprint_that_is_asked_for_twice_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    router = profiles.rendezvous(hosts())
    before = router.fingerprint
    monkeypatch.setattr(type(router), "placement", None)
    assert router.fingerprint is before


@pytest.mark.parametrize("name", PROFILES)
def test_a_rule_is_plain_data(name: str) -> None:
    rule = profile(name)(hosts()).rule()
    assert json.loads(json.dumps(rule)) == rule
    assert rule["profile"] == name
    assert [host["name"] for host in rule["hosts"]] == ["0", "1", "2"]
    assert differences(rule, profile(name)(hosts()).rule()) == []


def test_what_differs_between_two_rules_is_said() -> None:
    old = profiles.pymemcache(hosts("012")).rule()
    new = profiles.uhashring(hosts("103", weights=(1, 2, 1)), label="address").rule()
    assert differences(old, new) == [
        "family: 'rendezvous', now 'ring'",
        "profile: 'pymemcache', now 'uhashring'",
        "score 'pymemcache', now 'absent'",
        "seed 0, now 'absent'",
        "ties 'larger', now 'last'",
        "hash 'absent', now 'md5'",
        "ring_hash 'absent', now 'md5'",
        "points 'absent', now 4",
        "vnodes 'absent', now 40",
        "shares 'absent', now 'proportional'",
        "template 'absent', now '{label}-{i}'",
        "successor 'absent', now '>'",
        "keys 'absent', now 'text'",
        "host '2': gone",
        "host '3': new",
        "host '0': weight 1, now 2",
        "order of the hosts: 0, 1, 2; now 1, 0, 3",
    ]


def test_a_rule_does_not_show_labels_that_are_pinned() -> None:
    """They may be what another client made of a password."""
    router = profiles.rb_ketama(hosts(), labels={"1": "<HostInfo password='secret'>"})
    assert "secret" not in str(router.rule())
    other = profiles.rb_ketama(hosts(), labels={"1": "<HostInfo password='other'>"})
    assert len(differences(router.rule(), other.rule())) == 1


class BySize(NodeRouter):
    """A rule of somebody else's."""

    def __init__(self, nodes: Any, *, size: int = 5) -> None:
        super().__init__(nodes)
        self.size = size

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        left = self.candidates(avoid)
        return left[min(len(key) // self.size, len(left) - 1)]

    def parameters(self) -> dict[str, Any]:
        return {**super().parameters(), "size": self.size}


class Addressed(BySize):
    by_address = True


class Other(ConsistentHashingRouter):
    """A subclass of one of ours may do anything."""

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return self.names[0]


def test_a_router_of_your_own_has_a_fingerprint_of_all_that_its_rule_says() -> None:
    found = {
        BySize(hosts()).fingerprint,
        BySize(hosts(), size=6).fingerprint,
        BySize(hosts("210")).fingerprint,
        Addressed(hosts()).fingerprint,
        Addressed(hosts(at="elsewhere")).fingerprint,
        Other(hosts()).fingerprint,
        ConsistentHashingRouter(hosts()).fingerprint,
    }
    assert len(found) == 7
    assert BySize(hosts(at="elsewhere")).fingerprint == BySize(hosts()).fingerprint
    assert BySize(hosts()).fingerprint.startswith("BySize:")
    assert Other(hosts()).rule()["family"].endswith("Other")


def test_a_hash_of_15_bits_does_not_tell_rings_apart_beyond_it() -> None:
    """No key gets there."""
    small = Ring(hosts(), hash="crc15", ring_hash="md5")
    assert max(small._starts) < 1 << 15
