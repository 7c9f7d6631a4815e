"""The table of profiles: for each name a family, and the parameters with which it places keys as some client does.

Every formula follows the named version, by its recorded answers or by its source. ``differs`` names the intended
differences. Each name is also an attribute of this module, with underscores: a router class. The module is long on purpose: it
is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nydus_core.routers.maglev import Maglev
from nydus_core.routers.modulo import Furc, Jump, Modulo
from nydus_core.routers.profile import Profile, router_class
from nydus_core.routers.rendezvous import Rendezvous
from nydus_core.routers.rendezvous_slots import RendezvousSlots
from nydus_core.routers.ring import Ring
from nydus_core.routers.slots import Slots

__all__ = ["PROFILES"]

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
_JEDIS = MappingProxyType({"murmur": "murmur64a", "md5": "md5"})
#: Parameters of rings that several profiles share: libmemcached without weights; libmemcached with weights, and
#: twemproxy; Jedis.
_HUNDRED = {
    "hash": "one_at_a_time",
    "points": 1,
    "vnodes": 100,
    "shares": "equal",
    "successor": ">=",
    "ties": "first",
}
_FLOAT32 = {"ring_hash": "md5", "shares": "float32", "successor": ">=", "ties": "first"}
_SHARDED = {
    "hash": "murmur64a",
    "points": 1,
    "vnodes": 160,
    "shares": "multiple",
    "successor": ">=",
    "tags": "jedis",
}

_ROWS = (
    Profile(
        "partition",
        Modulo,
        "nydus 0.11, PartitionRouter",
        {"hash": "crc32_signed"},
        differs="Weights, which nydus did not know. Text beyond ASCII is hashed as UTF-8, where nydus raised.",
    ),
    Profile(
        "consistent",
        Ring,
        "nydus 0.11, ConsistentHashingRouter",
        {"template": "{label}-{i}-salt", "label": "identifier"},
        differs="Numbers are hashed as their text, where nydus raised; two hosts of one identifier are refused.",
    ),
    Profile(
        "slots",
        RendezvousSlots,
        "the rule for new clusters: slots of Redis Cluster, by weighted rendezvous with bounded loads",
        {"hash_tags": True},
        {"bound": None, "slots": None},
    ),
    Profile(
        "rendezvous",
        Rendezvous,
        "Thaler and Ravishankar 1998, Schindelhauer and Schomaker 2005",
        {"hash_tags": True},
    ),
    Profile(
        "jump",
        Jump,
        "Lamping and Veach 2014; jump-consistent-hash 3.6.0, dgryski/go-jump",
        {"hash_tags": True},
        {"hash": None},
        differs="How a key becomes a number is not part of the algorithm: CRC-32, unless 'hash' says otherwise.",
    ),
    Profile(
        "maglev",
        Maglev,
        "Eisenbud et al. 2016; dgryski/go-maglev 8961b9b1",
        {"hash_tags": True},
        {"hash": None, "table": None},
        differs="How a key becomes a number is not part of the algorithm: BLAKE2b, unless 'hash' says otherwise.",
    ),
    Profile(
        "redis-slots",
        Slots,
        "Redis 7.0, CLUSTER KEYSLOT and redis-cli --cluster create",
        {"hash_tags": True},
        {"slots": None},
        differs="The hosts are servers of their own, not nodes of a Redis Cluster, which this cannot talk to.",
    ),
    Profile(
        "rb-partition",
        Modulo,
        "rb 1.11.0, PartitionRouter",
        {"hash": "crc32_signed"},
        weighted=False,
        differs="Host numbers may have gaps, which rb refused.",
    ),
    Profile(
        "rb-ketama",
        Ring,
        "rb 1.11.0, ConsistentHashingRouter",
        {"template": "{label}-{i}-salt", "label": "rb"},
        weighted=False,
        differs="rb hashes the repr of a host, with its password and its TLS options. Here neither counts. To find "
        "what rb wrote with them, give each host that repr, in 'labels'.",
    ),
    Profile(
        "pymemcache",
        Rendezvous,
        "pymemcache 4.0.0, HashClient with RendezvousHash",
        {"score": "pymemcache", "ties": "larger", "label": "address"},
        {"seed": None},
        weighted=False,
        differs="A key of bytes that are UTF-8 is hashed as that text; pymemcache hashes the text b'...' of it. Keys "
        "that pymemcache refuses are hashed too.",
    ),
    Profile(
        "libmemcached-modula",
        Modulo,
        "libmemcached 1.1.4 and pylibmc 1.6.3, distribution modula",
        {"hash": "one_at_a_time"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="Weights, which it ignores, are refused. For SORT_HOSTS give the hosts in that order.",
    ),
    Profile(
        "libmemcached-ketama",
        Ring,
        "libmemcached 1.1.4 and pylibmc 1.6.3, KETAMA without weights",
        {**_HUNDRED, "label": "short-address"},
        {"hash": _LIBMEMCACHED, "ring_hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="Weights are refused: libmemcached ignores them, or makes this libmemcached-ketama-weighted.",
    ),
    Profile(
        "libmemcached-ketama-weighted",
        Ring,
        "libmemcached 1.1.4 and pylibmc 1.6.3, KETAMA_WEIGHTED",
        {**_FLOAT32, "shares": "libmemcached", "label": "short-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        differs="A weight of 0 counts as 1, as there.",
    ),
    Profile(
        "libmemcached-spy",
        Ring,
        "libmemcached 1.1.4, DISTRIBUTION_CONSISTENT_KETAMA_SPY without weights",
        {**_HUNDRED, "label": "slash-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        weighted=False,
        differs="Not compared with spymemcached itself.",
    ),
    Profile(
        "libmemcached-spy-weighted",
        Ring,
        "libmemcached 1.1.4, DISTRIBUTION_CONSISTENT_KETAMA_SPY with weights",
        {**_FLOAT32, "shares": "libmemcached", "label": "slash-address"},
        {"hash": _LIBMEMCACHED, "prefix": None},
        differs="Not compared with spymemcached itself. A weight of 0 counts as 1, as in libmemcached.",
    ),
    Profile(
        "twemproxy-ketama",
        Ring,
        "twemproxy 0.5.0, distribution ketama",
        {**_FLOAT32, "hash": "fnv1a_64", "empty": "zero"},
        {"hash": _TWEMPROXY, "hash_tag": None},
        differs="Servers without a name are hashed by address there: say label 'short-address'.",
    ),
    Profile(
        "twemproxy-modula",
        Modulo,
        "twemproxy 0.5.0, distribution modula",
        {"hash": "fnv1a_64", "empty": "zero"},
        {"hash": _TWEMPROXY, "hash_tag": None},
    ),
    Profile(
        "libketama",
        Ring,
        "RJ/ketama 18cf9a77",
        {"shares": "libketama", "successor": ">=", "ties": "first", "label": "address"},
    ),
    Profile(
        "uhashring",
        Ring,
        "uhashring 2.5, HashRing(hash_fn='ketama')",
        {"keys": "text"},
        {"vnodes": None, "points": None},
        differs="A key of bytes that are UTF-8 is hashed as that text; uhashring hashes the text b'...' of it.",
    ),
    Profile(
        "uhashring-meta",
        Ring,
        "uhashring 2.5, HashRing()",
        {"hash": "md5_whole", "points": 1, "vnodes": 160, "shares": "multiple", "keys": "text"},
        {"vnodes": None, "hash": None},
        differs="As uhashring.",
    ),
    Profile("hash-ring", Ring, "hash_ring 1.3.1", {"points": 3}, differs="Numbers are hashed as their text."),
    Profile(
        "jedis",
        Ring,
        "Jedis 3.9.0, Sharded, shards with names",
        {**_SHARDED, "template": "{label}*{i}"},
        {"hash": _JEDIS},
        differs="With hash tags, keys of bytes have them too if they are UTF-8; Jedis takes them of text only.",
    ),
    Profile(
        "jedis-unnamed",
        Ring,
        "Jedis 3.9.0, Sharded, shards without names",
        {**_SHARDED, "label": "position"},
        {"hash": _JEDIS},
        differs="As jedis.",
    ),
    Profile(
        "go-redis",
        Rendezvous,
        "go-redis 9.22.0, Ring",
        {"score": "go-redis", "hash_tags": True},
        weighted=False,
    ),
    Profile(
        "django-redis",
        Ring,
        "django-redis 7.0.0, ShardClient",
        {
            "hash": "sha256",
            "points": 1,
            "vnodes": 128,
            "shares": "equal",
            "template": "{label}:{i}",
            "successor": "<=",
            "tags": "django-redis",
            "hash_tags": True,
            "label": "identifier",
        },
        weighted=False,
        differs="A host's label is its identifier, redis://host:port/db; django-redis takes the URL as the settings have it, "
        "with its password. Keys are those that Redis sees, such as ':1:foo'.",
    ),
    Profile(
        "python-memcached",
        Modulo,
        "python-memcached 1.62",
        {"hash": "crc15"},
        {"hash": MappingProxyType({"crc15": "crc15", "crc15_or_1": "crc15_or_1"})},
        differs="Up to version 1.59 it took a hash of 0 for 1: that is hash 'crc15_or_1'.",
    ),
    Profile(
        "mcrouter-ch3",
        Furc,
        "mcrouter, Ch3HashFunc (mcrouter/lib/fbi/hash.c)",
        {"keys": "mcrouter"},
        weighted=False,
        differs="No salt. The weighted form of mcrouter is another function and not this.",
    ),
    Profile(
        "mcrouter-crc32",
        Modulo,
        "mcrouter, Crc32HashFunc",
        {"hash": "crc31", "keys": "mcrouter"},
        weighted=False,
        differs="No salt.",
    ),
    Profile(
        "phpredis",
        Modulo,
        "phpredis 5.3.7, RedisArray",
        {"hash": "crc32", "reduce": "range", "tags": "phpredis", "hash_tags": True},
        weighted=False,
        differs="The key whose CRC-32 is 0xffffffff has no host in phpredis; here it is the last one's.",
    ),
)

#: Every profile, by name.
PROFILES: Mapping[str, Profile] = MappingProxyType({row.name: row for row in _ROWS})

_CLASSES = {row.name.replace("-", "_"): router_class(row, __name__) for row in _ROWS}


def __getattr__(name: str) -> type[Any]:
    if name in _CLASSES:
        return _CLASSES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
