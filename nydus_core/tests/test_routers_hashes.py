"""Hashes: Java's characters, and the hashes under which everyday keys crowd on few hosts.

The hashes of libmemcached are compared with its own answers in ``test_routers_vectors.py``, the others by the places of keys.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from nydus_core.routers import Modulo, Node, Ring, profiles
from nydus_core.routers.hashes import HASHES


@pytest.mark.parametrize(
    ("key", "unsigned", "absolute"),
    [
        ("", 0, 0),
        ("hello", 99_162_322, 99_162_322),
        (
            "polygenelubricants",
            1 << 31,
            1 << 31,
        ),  # famous for the lowest of all hashes, which has no absolute value
        ("\U0001f600", 0xD83D * 31 + 0xDE00, 0xD83D * 31 + 0xDE00),  # two characters of Java
        ("\xe4", 0xE4, 0xE4),
    ],
)
def test_the_hash_of_java_takes_characters(key: str, unsigned: int, absolute: int) -> None:
    assert HASHES["java"].function(key.encode()) == unsigned
    assert HASHES["java_abs"].function(key.encode()) == absolute


def test_the_hashes_of_spymemcached_are_those_of_libmemcached_for_ascii_only() -> None:
    for name in ("fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64"):
        ours, theirs = HASHES[f"java_{name}"].function, HASHES[name].function
        assert [ours(b"%d" % number) for number in range(50)] == [
            theirs(b"%d" % number) for number in range(50)
        ]
        assert ours("\xe4".encode()) != theirs("\xe4".encode())


ABC = [Node(name) for name in "abc"]


def least_share(rule: type[Any], name: str) -> float:
    """The least of the shares of the hosts, over some everyday keys; 1 is a fair share."""
    even = {"ring_hash": "md5"} if HASHES[name].bits == 32 else {"points": 1, "vnodes": 160}
    points: dict[str, Any] = {} if rule is Modulo else even
    least = 1.0
    for count in (3, 5, 10):
        router = rule([Node(f"{number}") for number in range(count)], hash=name, **points)
        for form in (b"user:%d", b"session:%d:cart"):
            shares = Counter(router.locate(form % number) for number in range(1000))
            least = min(least, *(shares[host] * count / 1000 for host in router.names))
    return least


@pytest.mark.parametrize("name", sorted(HASHES.keys() - {"decimal", "crc32_signed"}))
def test_a_hash_says_under_which_rules_keys_that_begin_alike_crowd(name: str) -> None:
    for rule in (Modulo, Ring):
        assert (rule.family in HASHES[name].crowds) == (least_share(rule, name) < 0.1)


def test_a_router_whose_keys_crowd_says_so() -> None:
    assert "begin alike" in profiles.twemproxy_modula(ABC).caution
    assert profiles.twemproxy_modula(ABC, hash="md5").caution == ""
    assert profiles.memjs(ABC).caution == ""
    narrow = profiles.twemproxy_ketama(ABC, hash="crc32")
    assert "most keys live on one host" in narrow.caution
    assert len({narrow.locate(b"%d" % number) for number in range(1000)}) == 1
