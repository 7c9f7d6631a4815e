"""Profiles of clients and proxies of memcached. See ``profiles``, which has the whole table."""

from __future__ import annotations

from types import MappingProxyType

from nydus_core.routers.profile import Profile

__all__ = ["MEMCACHED"]

_TWEMPROXY = MappingProxyType(
    {
        **{name: name for name in ("one_at_a_time", "md5", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32")},
        **{name: name for name in ("hsieh", "murmur", "jenkins")},
        "crc16": "crc16_wide",
        "crc32": "crc15",
        "crc32a": "crc32",
    }
)
_LIBMEMCACHED = MappingProxyType(
    {
        "default": "one_at_a_time",
        "crc": "crc15",
        **{name: name for name in ("md5", "fnv1_64", "fnv1a_64", "fnv1_32", "fnv1a_32")},
        **{name: name for name in ("murmur", "murmur3", "jenkins")},
    }
)
_LIBMC = MappingProxyType(
    {
        "MC_HASH_MD5": "md5",
        "MC_HASH_FNV1_32": "fnv1_32_unsigned",
        "MC_HASH_FNV1A_32": "fnv1a_32_unsigned",
        "MC_HASH_CRC_32": "crc32",
    }
)
_SPYMEMCACHED = MappingProxyType(
    {
        "NATIVE_HASH": "java",
        "CRC_HASH": "crc15",
        "FNV1_64_HASH": "java_fnv1_64",
        "FNV1A_64_HASH": "java_fnv1a_64",
        "FNV1_32_HASH": "java_fnv1_32",
        "FNV1A_32_HASH": "java_fnv1a_32",
    }
)
#: Parameters of rings that several profiles share: libmemcached without weights; libmemcached with weights, and twemproxy.
_HUNDRED = {
    "hash": "one_at_a_time",
    "points": 1,
    "vnodes": 100,
    "shares": "equal",
    "successor": ">=",
    "ties": "first",
}
_FLOAT32 = {"ring_hash": "md5", "shares": "float32", "successor": ">=", "ties": "first"}

#: The rows.
MEMCACHED = (
    Profile(
        "pymemcache",
        "Rendezvous",
        "pymemcache 4.0.0, HashClient with RendezvousHash",
        {"score": "pymemcache", "ties": "larger", "label": "address"},
        {"seed": None},
        weighted=False,
        differs="A key of bytes that are UTF-8 is hashed as that text; pymemcache hashes the text b'...' of it. Keys "
        "that pymemcache refuses are hashed too.",
    ),
    Profile(
        "libmemcached-modula",
        "Modulo",
        "libmemcached 1.1.4 and pylibmc 1.6.3, distribution modula",
        {"hash": "one_at_a_time"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="Weights, which it ignores, are refused. For SORT_HOSTS give the hosts in that order.",
    ),
    Profile(
        "libmemcached-ketama",
        "Ring",
        "libmemcached 1.1.4 and pylibmc 1.6.3, KETAMA without weights",
        {**_HUNDRED, "label": "short-address"},
        {"hash": _LIBMEMCACHED, "ring_hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="Weights are refused: libmemcached ignores them, or makes this libmemcached-ketama-weighted.",
    ),
    Profile(
        "libmemcached-ketama-weighted",
        "Ring",
        "libmemcached 1.1.4 and pylibmc 1.6.3, KETAMA_WEIGHTED",
        {**_FLOAT32, "shares": "libmemcached", "label": "short-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        differs="A weight of 0 counts as 1, as there.",
    ),
    Profile(
        "libmemcached-spy",
        "Ring",
        "libmemcached 1.1.4, DISTRIBUTION_CONSISTENT_KETAMA_SPY without weights",
        {**_HUNDRED, "label": "slash-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="It is libmemcached's own. spymemcached hashes other labels and has a third of the keys where this has them: "
        "see spymemcached.",
    ),
    Profile(
        "libmemcached-spy-weighted",
        "Ring",
        "libmemcached 1.1.4, DISTRIBUTION_CONSISTENT_KETAMA_SPY with weights",
        {**_FLOAT32, "shares": "libmemcached", "label": "slash-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        differs="As libmemcached-spy. A weight of 0 counts as 1, as in libmemcached.",
    ),
    Profile(
        "twemproxy-ketama",
        "Ring",
        "twemproxy 0.5.0, distribution ketama",
        {**_FLOAT32, "hash": "fnv1a_64", "empty": "zero"},
        {"hash": _TWEMPROXY, "hash_tag": None},
        differs="Servers without a name are hashed by address there: say label 'short-address'.",
    ),
    Profile(
        "twemproxy-modula",
        "Modulo",
        "twemproxy 0.5.0, distribution modula",
        {"hash": "fnv1a_64", "empty": "zero"},
        {"hash": _TWEMPROXY, "hash_tag": None},
    ),
    Profile(
        "python-memcached",
        "Modulo",
        "python-memcached 1.62",
        {"hash": "crc15"},
        {"hash": MappingProxyType({"crc15": "crc15", "crc15_or_1": "crc15_or_1"})},
        differs="Up to version 1.59 it took a hash of 0 for 1: that is hash 'crc15_or_1'.",
    ),
    Profile(
        "mcrouter-ch3",
        "Furc",
        "mcrouter, Ch3HashFunc (mcrouter/lib/fbi/hash.c)",
        {"keys": "mcrouter"},
        weighted=False,
        differs="No salt. The weighted form of mcrouter is another function and not this.",
    ),
    Profile(
        "mcrouter-crc32",
        "Modulo",
        "mcrouter, Crc32HashFunc",
        {"hash": "crc31", "keys": "mcrouter"},
        weighted=False,
        differs="No salt.",
    ),
    Profile(
        "libmc",
        "Ring",
        "libmc 1.4.17",
        {**_HUNDRED, "hash": "md5", "ring_hash": "md5", "label": "short-address"},
        {"hash": _LIBMC},
        weighted=False,
        differs="Servers with an alias are hashed by it there: give the aliases in 'labels'.",
    ),
    Profile(
        "dalli",
        "Ring",
        "dalli 3.0.6",
        {
            "hash": "crc32",
            "ring_hash": "sha1_first",
            "points": 1,
            "vnodes": 160,
            "template": "{label}:{i}",
            "successor": "<=",
            "label": "address",
        },
        differs="A point that two hosts have is the last one's; dalli sorts such points in no certain order.",
    ),
    Profile(
        "cache-memcached-fast",
        "Ring",
        "Cache::Memcached::Fast 0.28 with ketama_points",
        {
            "hash": "crc32",
            "points": 1,
            "vnodes": 150,
            "shares": "rounded",
            "template": "chained",
            "successor": ">=",
            "ties": "first",
            "label": "zero-address",
        },
        {"vnodes": None, "prefix": None},
        differs="Its ketama_points are 'vnodes', 150 unless you say otherwise. Without ketama_points it is python-memcached. "
        "Its namespace is hashed: it is 'prefix', unless your keys begin with it.",
    ),
    Profile(
        "memjs",
        "Modulo",
        "memjs 1.3.2",
        {"hash": "java_abs"},
        weighted=False,
    ),
    Profile(
        "spymemcached",
        "Ring",
        "spymemcached 2.12.3, KetamaConnectionFactory",
        {"shares": "spymemcached", "successor": ">=", "label": "address"},
        differs="Servers given by name have other labels there: 'name/ip:port', or 'name/<unresolved>:port'; give them "
        "in 'labels'. Its format LIBMEMCACHED is libmemcached-ketama-weighted with hash 'md5'.",
    ),
    Profile(
        "spymemcached-consistent",
        "Ring",
        "spymemcached 2.12.3, locator CONSISTENT with another hash than KETAMA_HASH",
        {
            "hash": "java",
            "points": 1,
            "vnodes": 160,
            "shares": "equal",
            "successor": ">=",
            "label": "address",
        },
        {"hash": _SPYMEMCACHED},
        weighted=False,
        differs="Labels as spymemcached.",
    ),
    Profile(
        "spymemcached-array-mod",
        "Modulo",
        "spymemcached 2.12.3, its default: locator ARRAY_MOD with NATIVE_HASH",
        {"hash": "java"},
        {"hash": MappingProxyType({**_SPYMEMCACHED, "KETAMA_HASH": "md5"})},
        weighted=False,
    ),
    Profile(
        "memcachio",
        "Rendezvous",
        "memcachio 0.5.1",
        {"score": "memcachio", "label": "memcachio"},
        weighted=False,
    ),
)
