"""Hashes of Java, which take characters.

The hashes of libmemcached are compared with its own answers in ``test_routers_vectors.py``, the others by the places of keys.
"""

from __future__ import annotations

import pytest

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
