"""A key, a group, a member or a value may be called like an option. It is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clusters import settings_of
from nydus_core.command import Access
from nydus_redis.commands import RedisCommand, lookup, names
from nydus_redis.commands.conditions import WITH_OPTIONS
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.surface import surfaces
from sides import AsyncSide, BlockingSide, Side

Servers = Callable[..., list[PrivateServer]]
FOREVER = 7 * 86400.0


def command_of(*words: Any) -> RedisCommand:
    made: list[Any] = []
    surface: Any = surfaces([{}])(made.append)
    surface.execute_command(*words)
    found: RedisCommand = made[0]
    return found


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("XREAD BLOCK 100 STREAMS k 0", 0.1),
        ("XREAD COUNT 5 block 100 STREAMS k 0", 0.1),
        ("XREAD BLOCK 0 STREAMS k 0", FOREVER),
        ("XREAD STREAMS BLOCK 0", 0),
        ("XREAD STREAMS block 100 0 0", 0),
        ("XREAD COUNT 5 STREAMS k BLOCK 0 5", 0),
        ("XREADGROUP GROUP g c BLOCK 100 STREAMS k >", 0.1),
        ("XREADGROUP GROUP block c BLOCK 100 STREAMS k >", 0.1),
        ("XREADGROUP GROUP g block BLOCK 100 STREAMS k >", 0.1),
        ("XREADGROUP GROUP BLOCK 5000 BLOCK 100 STREAMS k >", 0.1),
        ("XREADGROUP GROUP BLOCK 5000 STREAMS k >", 0),
        ("XREADGROUP GROUP streams block NOACK BLOCK 100 STREAMS k >", 0.1),
        ("XREADGROUP GROUP g c CLAIM 7 BLOCK 100 STREAMS k >", 0.1),
        ("BLPOP block 5 2", 2),
        ("BLMOVE block BLOCK left right 3", 3),
        ("BLMPOP 4 2 block 9 LEFT COUNT 2", 4),
        ("TS.READ block - BLOCK 100 5 MAX_COUNT 7", 0.1),
        ("TS.READ BLOCK 5000", 0),
    ],
)
def test_the_wait_is_that_of_the_option(words: str, seconds: float) -> None:
    assert command_of(*words.split()).waits == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("words", "is_bound"),
    [
        ("SET k v NX", True),
        ("SET k v EX 5 nx", True),
        ("SET k v GET NX PX 7", True),
        ("SET k NX", False),
        ("SET NX NX", False),
        ("SET k v IFEQ NX", False),
        ("SET k v IFEQ NX NX", True),
        ("SET k v IFDNE nx", False),
        ("JSON.SET k $ 1 NX", True),
        ("JSON.SET k $ NX", False),
        ("JSON.SET k NX 1", False),
    ],
)
def test_only_the_option_nx_binds_a_command(words: str, is_bound: bool) -> None:
    assert bool(command_of(*words.split()).bound) is is_bound


@pytest.mark.parametrize(
    ("words", "repeatable"),
    [
        ("SET k GET", True),
        ("SET k NX", True),
        ("SET k v EX 5", True),
        ("SET k v NX", False),
        ("SET k v XX", False),
        ("SET k v GET", False),
        ("SET k v IFEQ old", False),
        ("ZADD k 1 NX", True),
        ("ZADD k 1 a 2 GT", True),
        ("ZADD k GT 1 a", False),
        ("ZADD k CH XX 1 a", False),
        ("ZADD k INCR 1 a", False),
        ("GEOADD k 1 2 NX", True),
        ("GEOADD k CH NX 1 2 a", False),
        ("EXPIRE k 5", True),
        ("EXPIRE NX 5", True),
        ("EXPIRE k 5 NX", False),
        ("HEXPIRE k 5 FIELDS 1 NX", True),
        ("HEXPIRE k 5 GT FIELDS 1 a", False),
        ("SADD k NX GET", True),
        ("HSET k GET LIMIT", True),
        ("MSET k NX l XX", True),
        ("XACK k NX 1-1", True),
        ("XTRIM k MAXLEN 5", True),
        ("XTRIM k MAXLEN ~ 5", False),
        ("XTRIM LIMIT MAXLEN 5", True),
        ("XTRIM k MINID ~ 5 LIMIT 7", False),
        ("INCR k", False),
    ],
)
def test_only_options_are_conditions(words: str, repeatable: bool) -> None:
    assert command_of(*words.split()).idempotent is repeatable


#: Writing commands that leave the same data if they are repeated, and have no option that changes that.
PLAIN = {
    "DEL",
    "FLUSHALL",
    "FLUSHDB",
    "GETEX",
    "HDEL",
    "HMSET",
    "HPERSIST",
    "HSET",
    "LSET",
    "MSET",
    "PERSIST",
    "PFADD",
    "PSETEX",
    "SADD",
    "SETBIT",
    "SETEX",
    "SETRANGE",
    "SREM",
    "UNLINK",
    "XACK",
    "XDEL",
    "ZREM",
    "ZREMRANGEBYLEX",
    "ZREMRANGEBYSCORE",
}


def test_the_options_of_each_command_that_may_be_repeated_are_known() -> None:
    specs = {name: lookup((name,)) for name in names()}
    repeatable = {
        name for name, spec in specs.items() if spec and spec.access is Access.WRITE and spec.idempotent
    }
    assert repeatable == PLAIN | (WITH_OPTIONS.keys() - {"JSON.SET"})
    assert {name for name, spec in specs.items() if spec and spec.bound_by_nx} <= WITH_OPTIONS.keys()


@pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])
def test_a_group_named_block_may_wait_longer_than_the_timeout(side: Side, redis_servers: Servers) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(1), names="a", timeout=1))
        await side(cluster.xgroup_create("k", "block", mkstream=True))
        assert not await side(cluster.xreadgroup("block", "c", {"k": ">"}, block=1500))
        async with side.map(cluster) as conn:
            conn.execute_command(*["XREADGROUP", "GROUP", "block", "c", "BLOCK", "1500", "STREAMS", "k", ">"])
        assert not await side(cluster.on_key("k").xreadgroup("block", "streams", {"k": ">"}, block=1500))

    side.run(scenario)
