"""Profiles of libraries that place keys and talk to no server. See ``profiles``, which has the whole table."""

from __future__ import annotations

from types import MappingProxyType

from nydus_core.routers.profile import Profile

__all__ = ["LIBRARIES"]

#: The rows.
LIBRARIES = (
    Profile(
        "libketama",
        "Ring",
        "RJ/ketama 18cf9a77",
        {"shares": "libketama", "successor": ">=", "ties": "first", "label": "address"},
    ),
    Profile(
        "uhashring",
        "Ring",
        "uhashring 2.5, HashRing(hash_fn='ketama')",
        {"keys": "text"},
        {"vnodes": None, "points": None},
        differs="A key of bytes that are UTF-8 is hashed as that text; uhashring hashes the text b'...' of it.",
    ),
    Profile(
        "uhashring-meta",
        "Ring",
        "uhashring 2.5, HashRing()",
        {"hash": "md5_whole", "points": 1, "vnodes": 160, "shares": "multiple", "keys": "text"},
        {"vnodes": None, "hash": None},
        differs="As uhashring.",
    ),
    Profile(
        "hash-ring", "Ring", "hash_ring 1.3.1", {"points": 3}, differs="Numbers are hashed as their text."
    ),
    Profile(
        "pypi-consistent-hash",
        "Ring",
        "consistent-hash 1.0 of PyPI, and with points 4 consistent-hash-git 0.3",
        {"points": 3, "shares": "multiple"},
        {"points": None},
        differs="Compared with text in ASCII only.",
    ),
    Profile(
        "flexihash",
        "Ring",
        "Flexihash 1.5.1 of PyPI",
        {
            "hash": "crc32",
            "points": 1,
            "vnodes": 64,
            "shares": "multiple",
            "template": "{label}{i}",
            "successor": ">=",
        },
        {"vnodes": None, "hash": MappingProxyType({"crc32": "crc32", "md5": "md5_whole"})},
    ),
    Profile(
        "node-hashring",
        "Ring",
        "node-hashring 1.0.2 of npm",
        {
            "hash": "murmur3_4095",
            "points": 1,
            "vnodes": 80,
            "shares": "equal",
            "template": "{label}.{i}",
            "successor": "<=",
            "ties": "first",
        },
        weighted=False,
    ),
    Profile(
        "npm-consistent-hashing",
        "Ring",
        "consistent-hashing 0.3.0 of npm",
        {
            "hash": "md5_whole",
            "points": 1,
            "vnodes": 160,
            "shares": "equal",
            "template": "{label}:{i}",
            "successor": "<=",
        },
        weighted=False,
    ),
    Profile(
        "npm-ketama",
        "Ring",
        "ketama 1.0.0 of npm",
        {
            "hash": "sha1_first",
            "points": 1,
            "vnodes": 50,
            "shares": "rounded",
            "template": "{label}\0{i}",
            "first": 1,
            "successor": ">=",
            "ties": "first",
        },
        {"hash": MappingProxyType({"sha1": "sha1_first", "md5": "md5_first"})},
    ),
)
