"""A key is hashed once, and encoded once where it is one of many keys of a call, on both sides and with both engines."""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from redis.utils import HIREDIS_AVAILABLE

from clusters import settings_of
from given import MemcachedServers, RedisServers
from nydus_core.routers import slots
from nydus_redis.commands import command as redis_command
from nydus_redis.commands.packing import pack_one
from sides import AsyncSide, BlockingSide, Side

KEYS = [f"key:{number}" for number in range(300)]
VALUES = dict.fromkeys(KEYS, "value")

Call = Callable[[Side, Any], Coroutine[Any, Any, Any]]

sides = pytest.mark.parametrize("make_side", [BlockingSide, AsyncSide])


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The keys that were hashed, each time."""
    found: list[bytes] = []
    crc = binascii.crc_hqx

    def kept(key: bytes, start: int) -> int:
        found.append(key)
        return crc(key, start)

    monkeypatch.setattr(slots, "crc_hqx", kept)
    return found


@pytest.fixture
def servers_of(
    redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> Callable[[str], list[Any]]:
    return lambda engine: list((redis_servers if engine == "redis" else memcached_servers)(3))


def run(make_side: type[Side], engine: str, servers: list[Any], call: Call, hashed: list[bytes]) -> None:
    """Make a call; nothing of the making of the cluster counts."""

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, engine=engine, router="slots"))
        hashed.clear()
        await call(side, cluster)

    make_side().run(scenario)


def in_map(queue: Callable[[Any, str], Any]) -> Call:
    """A map() with a command for each key."""

    async def call(side: Side, cluster: Any) -> None:
        async with side.map(cluster) as conn:
            for key in KEYS:
                queue(conn, key)

    return call


def at_once(send: Callable[[Any], Any]) -> Call:
    """One call for all keys."""

    async def call(side: Side, cluster: Any) -> None:
        await side(send(cluster))

    return call


def in_one_command_of_a_map(send: Callable[[Any], Any]) -> Call:
    """One call for all keys, in a map()."""

    async def call(side: Side, cluster: Any) -> None:
        async with side.map(cluster) as conn:
            send(conn)

    return call


MANY: dict[str, Callable[[Any], Any]] = {
    "mget": lambda client: client.mget(KEYS),
    "mset": lambda client: client.mset(VALUES),
    "delete": lambda client: client.delete(*KEYS),
}
CALLS: list[tuple[str, str, Call]] = [
    *(("redis", f"{name}", at_once(send)) for name, send in MANY.items()),
    *(("redis", f"{name} in a map", in_one_command_of_a_map(send)) for name, send in MANY.items()),
    ("redis", "map of get", in_map(lambda conn, key: conn.get(key))),
    ("redis", "map of set", in_map(lambda conn, key: conn.set(key, "value"))),
    ("redis", "map of set with options", in_map(lambda conn, key: conn.set(key, "value", ex=60))),
    ("redis", "map of hset", in_map(lambda conn, key: conn.hset(f"h{key}", "field", 1))),
    ("memcache", "get_many", at_once(lambda client: client.get_many(KEYS))),
    ("memcache", "set_many", at_once(lambda client: client.set_many(VALUES))),
    ("memcache", "delete_many", at_once(lambda client: client.delete_many(KEYS))),
    ("memcache", "map of get", in_map(lambda conn, key: conn.get(key))),
    ("memcache", "map of set", in_map(lambda conn, key: conn.set(key, "value"))),
]


@sides
@pytest.mark.parametrize(
    ("engine", "call"),
    [(engine, call) for engine, _, call in CALLS],
    ids=[f"{engine} {name}" for engine, name, _ in CALLS],
)
def test_a_key_is_hashed_once(
    make_side: type[Side],
    engine: str,
    call: Call,
    servers_of: Callable[[str], list[Any]],
    hashed: list[bytes],
) -> None:
    run(make_side, engine, servers_of(engine), call, hashed)
    assert len({key.removeprefix(b"h") for key in hashed} & {key.encode() for key in KEYS}) == len(KEYS)
    assert Counter(hashed).most_common(1)[0][1] == 1


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis each part is packed by redis-py")
@sides
@pytest.mark.parametrize("name", MANY)
def test_the_bytes_of_a_key_that_is_sent_are_those_that_were_hashed(
    make_side: type[Side],
    name: str,
    servers_of: Callable[[str], list[Any]],
    hashed: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bytes that were made a second time would be another object."""
    packed: list[bytes] = []

    def kept(name: str, words: list[bytes]) -> bytes:
        packed.extend(words)
        return pack_one(name, words)

    monkeypatch.setattr(redis_command, "pack_one", kept)
    run(make_side, "redis", servers_of("redis"), at_once(MANY[name]), hashed)
    sent = {id(word) for word in packed if word.startswith(b"key:")}
    assert len(sent) == len(KEYS)
    assert sent == {*map(id, hashed)}
