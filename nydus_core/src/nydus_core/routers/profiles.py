"""The table of profiles: for each name a family, and the parameters with which it places keys as some client does.

Every formula follows the named version, by its recorded answers or by its source. ``differs`` names the intended
differences. Each name is also an attribute of this module, with underscores: a router class. The module is long on purpose: it
is one table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from nydus_core.routers.keyed import KeyRouter
from nydus_core.routers.profile import Profile, router_class
from nydus_core.routers.profiles_libraries import LIBRARIES
from nydus_core.routers.profiles_memcached import MEMCACHED

__all__ = ["PROFILES"]

_JEDIS = MappingProxyType({"murmur": "murmur64a", "md5": "md5"})
#: Parameters that both profiles of Jedis share.
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
        "Modulo",
        "nydus 0.11, PartitionRouter",
        {"hash": "crc32_signed"},
        differs="Weights, which nydus did not know. Text beyond ASCII is hashed as UTF-8, where nydus raised.",
    ),
    Profile(
        "consistent",
        "Ring",
        "nydus 0.11, ConsistentHashingRouter",
        {"template": "{label}-{i}-salt", "label": "identifier"},
        differs="Numbers are hashed as their text, where nydus raised; two hosts of one identifier are refused.",
    ),
    Profile(
        "slots",
        "RendezvousSlots",
        "the rule for new clusters: slots of Redis Cluster, by weighted rendezvous with bounded loads",
        {"hash_tags": True},
        {"bound": None, "slots": None},
    ),
    Profile(
        "rendezvous",
        "Rendezvous",
        "Thaler and Ravishankar 1998, Schindelhauer and Schomaker 2005",
        {"hash_tags": True},
    ),
    Profile(
        "jump",
        "Jump",
        "Lamping and Veach 2014; jump-consistent-hash 3.6.0, dgryski/go-jump",
        {"hash_tags": True},
        {"hash": None},
        differs="How a key becomes a number is not part of the algorithm: CRC-32, unless 'hash' says otherwise.",
    ),
    Profile(
        "maglev",
        "Maglev",
        "Eisenbud et al. 2016; dgryski/go-maglev 8961b9b1",
        {"hash_tags": True},
        {"hash": None, "table": None},
        differs="How a key becomes a number is not part of the algorithm: BLAKE2b, unless 'hash' says otherwise.",
    ),
    Profile(
        "redis-slots",
        "Slots",
        "Redis 7.0, CLUSTER KEYSLOT and redis-cli --cluster create",
        {"hash_tags": True},
        {"slots": None},
        differs="The hosts are servers of their own, not nodes of a Redis Cluster, which this cannot talk to.",
    ),
    Profile(
        "rb-partition",
        "Modulo",
        "rb 1.11.0, PartitionRouter",
        {"hash": "crc32_signed"},
        weighted=False,
        differs="Host numbers may have gaps, which rb refused.",
    ),
    Profile(
        "rb-ketama",
        "Ring",
        "rb 1.11.0, ConsistentHashingRouter",
        {"template": "{label}-{i}-salt", "label": "rb"},
        weighted=False,
        differs="rb hashes the repr of a host, with its password and its TLS options. Here neither counts. To find "
        "what rb wrote with them, give each host that repr, in 'labels'.",
    ),
    Profile(
        "jedis",
        "Ring",
        "Jedis 3.9.0, Sharded, shards with names",
        {**_SHARDED, "template": "{label}*{i}"},
        {"hash": _JEDIS},
        differs="With hash tags, keys of bytes have them too if they are UTF-8; Jedis takes them of text only.",
    ),
    Profile(
        "jedis-unnamed",
        "Ring",
        "Jedis 3.9.0, Sharded, shards without names",
        {**_SHARDED, "label": "position"},
        {"hash": _JEDIS},
        differs="As jedis.",
    ),
    Profile(
        "go-redis",
        "Rendezvous",
        "go-redis 9.22.0, Ring",
        {"score": "go-redis", "hash_tags": True},
        weighted=False,
    ),
    Profile(
        "django-redis",
        "Ring",
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
        "redis-shard",
        "Ring",
        "redis-shard 0.3.7, RedisShardAPI",
        {
            "hash": "crc32",
            "points": 1,
            "vnodes": 128,
            "shares": "equal",
            "template": "{label}:{i}",
            "successor": "> or stay",
            "tags": "django-redis",
            "hash_tags": True,
        },
        {"hash": MappingProxyType({"crc32": "crc32", "md5": "md5_whole", "sha1": "sha1"})},
        weighted=False,
        differs="Text beyond ASCII is hashed as UTF-8; under Python 3 redis-shard hashes Latin-1, or raises.",
    ),
    Profile(
        "phpredis",
        "Modulo",
        "phpredis 5.3.7, RedisArray",
        {"hash": "crc32", "reduce": "range", "tags": "phpredis", "hash_tags": True},
        weighted=False,
        differs="The key whose CRC-32 is 0xffffffff has no host in phpredis; here it is the last one's.",
    ),
    *MEMCACHED,
    *LIBRARIES,
)

#: Every profile, by name.
PROFILES: Mapping[str, Profile] = MappingProxyType({row.name: row for row in _ROWS})

_CLASSES: dict[str, type[KeyRouter]] = {}


def __getattr__(name: str) -> type[Any]:
    """Return the router class of a profile. It is made when it is first asked for, and only then its family is imported."""
    row = PROFILES.get(name.replace("_", "-"))
    if row is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _CLASSES.get(name) or _CLASSES.setdefault(name, router_class(row, __name__))
