"""The log tells when a host goes down, is up again, or refuses this client: once each, not once a command."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import redis

from clusters import host_at, keys_of, settings_of
from memcached import MemcachedServer
from nydus_core import HostDown
from nydus_core.health import State
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side

NewRedis = Callable[..., PrivateServer]
RIGHT, WRONG = "right-4b1d", "wrong-9f3c"
QUICK = {"failures": 2, "backoff": 0.01, "most": 0.02}


@pytest.fixture(params=[BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
def side(request: pytest.FixtureRequest) -> Side:
    made: Side = request.param()
    return made


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """``log()``: the records of the health of hosts so far, but those for debugging: level and text."""
    caplog.set_level(logging.DEBUG)
    return lambda: [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if record.name == "nydus.health" and record.levelno > logging.DEBUG
    ]


Log = Callable[[], list[tuple[str, str]]]


# Down and up ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_the_log_tells_once_that_a_host_is_down_and_up_again(
    side: Side,
    engine: str,
    new_redis_server: NewRedis,
    new_memcached_server: Callable[..., MemcachedServer],
    log: Log,
) -> None:
    servers: list[Any] = [
        (new_redis_server if engine == "redis" else new_memcached_server)() for _ in range(2)
    ]

    async def scenario(side: Side) -> None:
        cluster = side.cluster(settings_of(*servers, names="ab", engine=engine, health=QUICK))
        keys = keys_of(cluster)
        assert await side(cluster.set(keys[1], "v"))
        assert log() == []
        servers[1].kill()
        for _ in range(5):
            with pytest.raises(HostDown):
                await side(cluster.get(keys[1]))
            async with side.map(cluster, fail_silently=True) as conn:
                conn.get(keys[0]), conn.get(keys[1])
        ((level, text),) = log()
        assert level == "WARNING"
        assert text.startswith(f"host b ({cluster.hosts['b'].identifier}) is taken for down: ")
        servers[1].restart()
        await side.until(lambda: len(log()) > 1)
        assert log()[1] == ("INFO", f"host b ({cluster.hosts['b'].identifier}) is up again")
        assert await side(cluster.set(keys[1], "v"))
        assert len(log()) == 2

    side.run(scenario)


# Refused ----------------------------------------------------------------------------------------------------------

REFUSED: list[dict[str, Any]] = [
    {"password": WRONG},
    {"username": "nobody", "password": RIGHT},
    {},
    {"password": RIGHT, "db": 99},
    {"password": WRONG, "protocol": 2},
]


@pytest.mark.parametrize("router", ["consistent", "rendezvous"])
@pytest.mark.parametrize("options", REFUSED, ids=["password", "user", "none", "database", "RESP2"])
def test_a_host_that_refuses_this_client_is_logged_and_never_replaced(
    side: Side, new_redis_server: NewRedis, log: Log, options: dict[str, Any], router: str, caplog: Any
) -> None:
    servers = new_redis_server(), new_redis_server({"requirepass": RIGHT})

    async def scenario(side: Side) -> None:
        own = {name: value for name, value in options.items() if name != "protocol"}
        shared = {name: value for name, value in options.items() if name == "protocol"}
        hosts = {"a": {**host_at(servers[0]), **shared}, "b": {**host_at(servers[1]), **own, **shared}}
        cluster = side.cluster(
            {"engine": "redis", "router": router, "hosts": hosts, "health": QUICK, "on_host_down": "reroute"}
        )
        mine, theirs = keys_of(cluster)
        for _ in range(5):
            with pytest.raises(HostDown) as caught:
                await side(cluster.set(theirs, "v"))
            assert isinstance(caught.value, (redis.AuthenticationError, redis.ResponseError))
            assert caught.value.attempts == 1
            async with side.map(cluster, fail_silently=True) as conn:
                fine, refused = conn.set(mine, "v"), conn.set(theirs, "v")
            assert fine is not None
            assert isinstance(refused.error, HostDown)
            with pytest.raises(HostDown):
                await side(cluster.get(theirs))
        assert await side(cluster.on("a").dbsize()) == 1
        ((level, text),) = log()
        assert level == "ERROR"
        assert text.startswith(f"host b ({cluster.hosts['b'].identifier}) refuses this client, ")
        assert cluster.health()["b"].state is State.CLOSED
        assert cluster.health()["b"].cause
        with redis.Redis(unix_socket_path=servers[1].path, password=RIGHT) as admin:
            mend(admin, options)
        if "db" not in options:
            assert await side(cluster.set(theirs, "v"))
            assert log()[1:] == [
                ("INFO", f"host b ({cluster.hosts['b'].identifier}) accepts this client again")
            ]
            assert cluster.health()["b"].cause == ""

    side.run(scenario)
    assert WRONG not in caplog.text
    assert RIGHT not in caplog.text


def mend(admin: Any, options: dict[str, Any]) -> None:
    """Have the server take this client."""
    if "username" in options:
        admin.acl_setuser("nobody", enabled=True, passwords=f"+{RIGHT}", commands=["+@all"], keys=["*"])
    admin.config_set("requirepass", options.get("password", ""))


def test_a_host_that_comes_back_and_refuses_this_client_is_not_replaced_any_more(
    side: Side, new_redis_server: NewRedis, proxy: Callable[..., FaultProxy], log: Log
) -> None:
    servers = new_redis_server(), new_redis_server()
    strict = new_redis_server({"requirepass": RIGHT})
    name = proxy(servers[1])

    async def scenario(side: Side) -> None:
        cluster = side.cluster(
            settings_of(servers[0], name, names="ab", router="consistent", health=QUICK, on_readmit="flush")
        )
        _, key = keys_of(cluster)
        assert await side(cluster.set(key, "v"))
        name.refuse()
        assert await side(cluster.set(key, "stand-in"))
        name.target = strict
        name.accept()
        await side.until(lambda: any(level == "ERROR" for level, _ in log()))
        for _ in range(3):
            with pytest.raises(HostDown, match="taken for down: AuthenticationError"):
                await side(cluster.get(key))
        assert [level for level, _ in log()] == ["WARNING", "ERROR"]
        with redis.Redis(unix_socket_path=strict.path, password=RIGHT) as admin:
            admin.set(key, "stale")
            admin.config_set("requirepass", "")
        await side.until(lambda: cluster.health()["b"].state is State.CLOSED)
        assert await side(cluster.get(key)) is None
        assert [level for level, _ in log()] == ["WARNING", "ERROR", "INFO", "INFO"]

    side.run(scenario)
