"""Words that mean something only to the host that gave them, and commands that no other host may answer for.

Cursors, cas tokens, claims (``SET … NX``, ``add``, locks) and consumer groups: on both servers and both sides.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest
import redis

from clusters import NO_RETRY, keys_of, settings_of
from given import NewRedisServer, RedisServers
from memcached import MemcachedServer
from nydus_core import ForeignWordError, HostDown, RoutingError
from nydus_core.routers import BaseRouter
from nydus_memcache.commands import CasToken
from nydus_redis.commands import Cursor
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side

NewMemcachedServer = Callable[..., MemcachedServer]
FIELDS = {f"f{number}": str(number) for number in range(600)}
DOWN = {"failures": 1, "backoff": 60, "most": 60}

pytestmark = pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=lambda side: side.name)


def fill(*servers: PrivateServer) -> None:
    """Write the same hash, set and sorted set to some servers, each past one page."""
    for server in servers:
        with redis.Redis(unix_socket_path=server.path) as client:
            client.hset("h", mapping=FIELDS)
            client.sadd("s", *FIELDS)
            client.zadd("z", {name: float(score) for name, score in FIELDS.items()})


async def all_of(side: Side, iteration: Any, most: int | None = None) -> list[Any]:
    """Return the items of an iteration; the first ones, if a number is given."""
    if hasattr(iteration, "__aiter__"):
        found: list[Any] = []
        while most is None or len(found) < most:
            try:
                found.append(await anext(iteration))
            except StopAsyncIteration:
                break
        return found
    return list(islice(iteration, most))


@pytest.mark.parametrize("router", ["rendezvous", "consistent", "partition", "round-robin"])
def test_an_iteration_over_a_key_is_whole(side: Side, router: str, redis_servers: RedisServers) -> None:
    servers = redis_servers(3)
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, router=router, decode_responses=True))
        for _ in range(3):
            assert dict(await all_of(side, cluster.hscan_iter("h", count=10))) == FIELDS
            assert set(await all_of(side, cluster.sscan_iter("s", count=10))) == set(FIELDS)
            assert dict(await all_of(side, cluster.zscan_iter("z", count=10))) == {
                name: float(score) for name, score in FIELDS.items()
            }
        few = await all_of(side, cluster.hscan_iter("h", match="f59*"))
        assert dict(few) == {name: score for name, score in FIELDS.items() if name.startswith("f59")}
        assert await all_of(side, cluster.hscan_iter("none")) == []
        assert await all_of(side, cluster.zscan_iter("z", "f599", score_cast_func=str)) == [("f599", "599")]

    side.run(scenario)


def test_a_short_iteration_is_one_request(side: Side, redis_servers: RedisServers) -> None:
    (server,) = redis_servers(1)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(server, router=None, decode_responses=True))
        await side(cluster.hset("h", "a", "1"))
        await side(cluster.config_resetstat())
        assert await all_of(side, cluster.hscan_iter("h")) == [("a", "1")]
        counted = await side(cluster.info("commandstats"))
        assert set(counted) == {"cmdstat_hscan", "cmdstat_config|resetstat"}
        assert counted["cmdstat_hscan"]["calls"] == 1

    side.run(scenario)


@pytest.mark.parametrize("router", ["rendezvous", "consistent", "round-robin"])
def test_a_cursor_is_a_number_that_knows_its_host(
    side: Side, router: str, redis_servers: RedisServers
) -> None:
    servers = redis_servers(3)
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="abc", router=router, decode_responses=True))
        cursor, page = await side(cluster.hscan("h", count=10))
        found = dict(page)
        assert isinstance(cursor, Cursor)
        assert cursor == int(cursor)
        assert json.dumps(cursor) == repr(cursor) == str(int(cursor))
        assert (pickle.loads(pickle.dumps(cursor)), pickle.loads(pickle.dumps(cursor)).host) == (
            cursor,
            cursor.host,
        )
        with_cursor = await side(cluster.on(cursor.host).hscan("h", cursor, count=10))
        while cursor:
            cursor, page = await side(cluster.hscan("h", cursor, count=10))
            found.update(page)
        assert found == FIELDS
        assert type(cursor) is int
        assert with_cursor[0].host in "abc"
        async with side.map(cluster) as conn:
            first = conn.hscan("h", count=10)
        async with side.map(cluster) as conn:
            second = conn.hscan("h", first.value[0], count=10)
        assert second.value[0].host == first.value[0].host
        (queued,) = await side(cluster.pipeline(transaction=False).hscan("h", count=10).execute())
        assert queued[0].host in "abc"

    side.run(scenario)


@pytest.mark.parametrize("how", ["single", "map", "pipeline", "on", "on_pipeline", "scan"])
def test_a_cursor_of_another_host_is_refused(side: Side, how: str, redis_servers: RedisServers) -> None:
    servers = redis_servers(3)
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="abc", decode_responses=True))
        home = cluster.router.locate(b"h")
        other = next(name for name in "abc" if name != home)
        foreign = (await side(cluster.on(other).hscan("h", count=10)))[0]
        assert foreign.host == other
        with pytest.raises(ForeignWordError, match=f"host '{other}' gave the cursor.*Nothing was sent"):
            if how == "single":
                await side(cluster.hscan("h", foreign))
            elif how == "map":
                async with side.map(cluster) as conn:
                    conn.hscan("h", foreign)
            elif how == "pipeline":
                await side(cluster.pipeline().hscan("h", foreign).execute())
            elif how == "on":
                await side(cluster.on(home).hscan("h", foreign))
            elif how == "on_pipeline":
                await side(cluster.on(home).pipeline().hscan("h", foreign).execute())
            else:
                await side(cluster.on(home).scan(foreign))
        assert "gave the cursor" in cluster.explain("hscan", "h", foreign).refused
        # on its own host it is a number like any other
        assert (await side(cluster.on(other).pipeline().hscan("h", foreign).execute()))[0][1]

    side.run(scenario)


def test_a_cursor_that_does_not_tell_its_host_is_refused_where_any_host_will_do(
    side: Side, redis_servers: RedisServers
) -> None:
    servers = redis_servers(2)
    fill(*servers)

    async def scenario(side: Side) -> None:
        for router in ("round-robin", None):
            cluster = side.cluster(settings_of(*servers, names="ab", router=router))
            with pytest.raises(ForeignWordError, match=r"use cluster.on\(host\), with host one of a, b"):
                await side(cluster.hscan("h", 5))
        cluster = side.cluster(settings_of(*servers, names="ab"))
        await side(cluster.hscan("h", 5))  # by keys it can only be the host of the key
        cluster = side.cluster(settings_of(*servers, names="ab", router=None))
        with pytest.raises(RoutingError, match=r"with a cursor of its own: use cluster.on\(host\)"):
            await all_of(side, cluster.hscan_iter("h"))

    side.run(scenario)


@pytest.mark.parametrize("router", ["consistent", "round-robin"])
def test_an_iteration_does_not_go_on_at_another_host(
    side: Side, router: str, redis_servers: RedisServers, new_redis_server: NewRedisServer
) -> None:
    servers = [new_redis_server() for _ in range(2)]
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(
            settings_of(
                *servers, names="ab", router=router, decode_responses=True, retry=NO_RETRY, health=DOWN
            )
        )
        iteration = cluster.hscan_iter("h", count=10)
        found = await all_of(side, iteration, 5)
        host = iteration._cursor.host
        server = servers["ab".index(host)]
        server.kill()
        for _ in range(2):  # the second time the breaker is open
            with pytest.raises(HostDown) as caught:
                await all_of(side, iteration)
            assert caught.value.__notes__ == [
                "it cannot go to another host instead: only the host that gave the cursor understands it"
            ]
        if router == "consistent":  # a first page of the other host could not go on when this one is back
            for begin in (cluster.hscan_iter, cluster.sscan_iter, cluster.zscan_iter):
                with pytest.raises(HostDown):
                    await all_of(side, begin("h"))
        # other commands go to the other host
        assert await side(cluster.hlen("h")) == len(FIELDS)
        assert len(found) == 5

    side.run(scenario)


def test_over_a_restart_of_the_server_an_iteration_is_whole(
    side: Side, new_redis_server: NewRedisServer
) -> None:
    servers = [new_redis_server({"save": "", "appendonly": "yes"}) for _ in range(2)]
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="ab", decode_responses=True))
        at = "ab".index(cluster.router.locate(b"h"))
        for client in (cluster, cluster.on("ab"[at])):
            iteration = client.hscan_iter("h", count=10)
            found = dict(await all_of(side, iteration, 300))
            servers[at].restart()
            found.update(await all_of(side, iteration))
            assert found == FIELDS

    side.run(scenario)


def test_when_hosts_change_an_iteration_ends_in_an_error(side: Side, redis_servers: RedisServers) -> None:
    servers = redis_servers(3)
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="abc", decode_responses=True))
        home = cluster.router.locate(b"h")
        iteration = cluster.hscan_iter("h", count=10)
        await all_of(side, iteration, 5)
        removed = cluster.remove_host(home)
        if hasattr(removed, "__await__"):
            await removed
        with pytest.raises(ForeignWordError, match=f"host '{home}' gave the cursor, and this would go to"):
            await all_of(side, iteration)

    side.run(scenario)


# Locks and other claims ---------------------------------------------------------------------------------------------


def test_a_lock_is_granted_once_while_its_host_is_down(side: Side, new_redis_server: NewRedisServer) -> None:
    servers = [new_redis_server({"appendonly": "yes", "appendfsync": "always"}) for _ in range(2)]

    async def scenario(side: Side) -> None:
        settings = settings_of(*servers, names="ab", router="consistent", retry=NO_RETRY, health=DOWN)
        cluster, other = side.cluster(settings), side.cluster(settings)
        name = keys_of(cluster)[0]
        held = cluster.lock(name, timeout=100)
        assert await side(held.acquire())
        servers[0].kill()
        for _ in range(2):
            with pytest.raises(HostDown):
                await side(other.lock(name).acquire(blocking=False))
        with pytest.raises(HostDown):
            await side(held.release())
        assert await side(other.set(name, "a plain write goes to the other host"))
        servers[0].restart()
        fresh = side.cluster(settings)
        assert not await side(fresh.lock(name).acquire(blocking=False))

    side.run(scenario)


@pytest.mark.parametrize("router", ["round-robin", None])
def test_a_lock_without_a_host_of_its_own_is_refused(
    side: Side, router: str | None, redis_servers: RedisServers
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*redis_servers(2), router=router))
        with pytest.raises(RoutingError, match=r"use cluster.on\(host\)"):
            cluster.lock("l")

    side.run(scenario)


#: Commands that no other host may answer for, and whether each is bound.
CLAIMS = [
    (("SET", "k", "v", "NX"), True),
    (("set", "k", "v", "EX", "9", "nx", "GET"), True),
    (("SET", "k", "NX"), False),
    (("SET", "k", "v", "XX"), False),
    (("SETNX", "k", "v"), True),
    (("HSETNX", "k", "f", "v"), True),
    (("MSETNX", "k", "v"), True),
    (("JSON.SET", "k", "$", "1", "nx"), True),
    (("CF.ADDNX", "k", "v"), True),
    (("CF.INSERTNX", "k", "ITEMS", "v"), True),
    (("RENAMENX", "k", "k"), True),
    (("XACK", "k", "g", "1-1"), True),
    (("XREADGROUP", "GROUP", "g", "c", "STREAMS", "k", ">"), True),
    (("XGROUP", "CREATE", "k", "g", "$", "MKSTREAM"), True),
    (("XADD", "k", "*", "f", "v"), False),
    (("HSCAN", "k", "0"), True),
    (("HSCAN", "k", "7"), True),
    (("GET", "k"), False),
    (("INCR", "k"), False),
    (("PUBLISH", "k", "hello"), True),
]


@pytest.mark.parametrize(
    ("words", "bound"), CLAIMS, ids=lambda given: " ".join(given) if isinstance(given, tuple) else ""
)
def test_a_claim_stays_with_its_host(
    side: Side,
    words: tuple[str, ...],
    bound: bool,
    redis_servers: RedisServers,
    new_redis_server: NewRedisServer,
) -> None:
    """A host that is down: a bound command fails, any other goes to the host that is left."""
    (well,) = redis_servers(1)
    down = new_redis_server()

    async def scenario(side: Side) -> None:
        cluster = side.cluster(
            settings_of(well, down, names="ab", router="consistent", retry=NO_RETRY, health=DOWN)
        )
        key = keys_of(cluster)[1]
        call = [key if word == "k" else word for word in words]
        down.kill()
        for _ in range(2):
            if bound:
                with pytest.raises(HostDown) as caught:
                    await side(cluster.execute_command(*call))
                assert "it cannot go to another host instead: " in caught.value.__notes__[-1]
            else:
                await side(cluster.execute_command(*call))

    side.run(scenario)


# cas tokens ---------------------------------------------------------------------------------------------------------


def memcached_settings(*servers: MemcachedServer, **settings: Any) -> dict[str, Any]:
    return settings_of(*servers, **{"engine": "memcache", "names": "abc"[: len(servers)], **settings})


def test_a_token_is_not_used_on_the_host_that_stands_in(
    side: Side,
    memcached_servers: Callable[..., list[MemcachedServer]],
    new_memcached_server: NewMemcachedServer,
) -> None:
    (well,) = memcached_servers(1)
    dying = new_memcached_server()

    async def scenario(side: Side) -> None:
        cluster = side.cluster(
            memcached_settings(well, dying, router="consistent", retry=NO_RETRY, health=DOWN)
        )
        key = keys_of(cluster)[1]
        assert await side(cluster.set(key, "old"))
        value, token = await side(cluster.gets(key))
        many = await side(cluster.gets_many([key]))
        assert (value, many) == ("old", {key: ("old", token)})
        assert await side(cluster.gets("none", 0, b"7")) == (0, b"7")
        assert (type(token), token.host, many[key][1].host) == (CasToken, "b", "b")
        assert pickle.loads(pickle.dumps(token)).host == "b"
        dying.kill()
        for _ in range(2):
            with pytest.raises(HostDown) as caught:
                await side(cluster.cas(key, "mine", token))
            assert "only the host that gave the token understands it" in caught.value.__notes__[-1]
            async with side.map(cluster, fail_silently=True) as conn:
                promise = conn.cas(key, "mine", token)
            assert isinstance(promise.error, HostDown)
        assert await side(cluster.set(key, "of the stand-in"))
        for _ in range(3):  # tokens are counted: soon one of the stand-in is the same number
            await side(cluster.set("x", 1))
        for _ in range(2):
            with pytest.raises(HostDown) as caught:
                await side(cluster.gets(key))
            assert "only the host that gives the token understands it" in caught.value.__notes__[-1]
            with pytest.raises(HostDown):
                await side(cluster.gets_many([key]))
        _, strange = await side(cluster.on("a").gets(key))
        assert strange.host == "a"
        with pytest.raises(HostDown):
            await side(cluster.cas(key, "mine", bytes(strange)))
        with pytest.raises(ForeignWordError, match="host 'a' gave the token, and this would go to host 'b'"):
            await side(cluster.cas(key, "mine", strange))
        with pytest.raises(ForeignWordError):
            async with side.map(cluster) as conn:
                conn.cas(key, "mine", strange)
        assert await side(cluster.get(key)) == "of the stand-in"
        with pytest.raises(HostDown):
            await side(cluster.add(key, "first"))

    side.run(scenario)


def test_on_the_way_back_a_token_of_the_stand_in_is_refused(
    side: Side,
    memcached_servers: Callable[..., list[MemcachedServer]],
    new_memcached_server: NewMemcachedServer,
) -> None:
    (well,) = memcached_servers(1)
    dying = new_memcached_server()

    async def scenario(side: Side) -> None:
        settings = memcached_settings(well, dying, router="consistent", retry=NO_RETRY, health=DOWN)
        cluster = side.cluster(settings)
        key = keys_of(cluster)[1]
        dying.kill()
        assert await side(cluster.set(key, "of the stand-in"))
        with pytest.raises(HostDown):
            await side(cluster.gets(key))
        _, token = await side(cluster.on("a").gets(key))
        assert token.host == "a"
        dying.restart()
        again = side.cluster(settings)  # for which the host is up
        assert await side(again.set(key, "at home"))
        with pytest.raises(ForeignWordError, match="begin anew"):
            await side(again.cas(key, "mine", token))
        _, token = await side(again.gets(key))
        assert await side(again.cas(key, "mine", token))

    side.run(scenario)


def test_in_turn_a_token_leads_back_to_its_host(
    side: Side, memcached_servers: Callable[..., list[MemcachedServer]]
) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(memcached_settings(*memcached_servers(3), router="round-robin"))
        for host in "abc":
            assert await side(cluster.on(host).set("k", host))
        for _ in range(4):
            value, token = await side(cluster.gets("k"))
            assert token.host == value
            assert await side(cluster.cas("k", value, token)) is True
            assert await side(cluster.cas("k", value, token)) is False  # it was changed since
            with pytest.raises(ForeignWordError, match=r"use cluster.on\(host\)"):
                await side(cluster.cas("k", value, bytes(token)))

    side.run(scenario)


class ToFirst(BaseRouter):
    """A router written for nydus 0.11."""

    def get_dbs(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[Any]:
        return ["a"]


def test_a_router_of_nydus_0_11_is_held_to_it_too(side: Side, redis_servers: RedisServers) -> None:
    servers = redis_servers(2)
    fill(*servers)

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="ab", router=ToFirst))
        assert len(await all_of(side, cluster.hscan_iter("h", count=10))) == len(FIELDS)
        foreign = (await side(cluster.on("b").hscan("h", count=10)))[0]
        with pytest.raises(ForeignWordError):
            await side(cluster.hscan("h", foreign))

    side.run(scenario)
