"""Push messages that the function of a user asks for: none of them is the reply to a command, not even one that is no text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import redis

from nydus_core import MaybeApplied
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncSide, BlockingSide, Side

Servers = Callable[..., list[PrivateServer]]


def track(connection: Any) -> None:
    """Greet the server, and ask for a push message for each key that is read here and changes later."""
    connection.on_connect()
    connection.send_command("CLIENT", "TRACKING", "ON")
    connection.read_response()


async def async_track(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command("CLIENT", "TRACKING", "ON")
    await connection.read_response()


@pytest.mark.parametrize(
    ("side", "batching", "way"),
    [
        (BlockingSide(), True, "map"),
        *((AsyncSide(), batching, way) for batching in (True, False) for way in ("map", "single")),
    ],
    ids=["blocking", "asyncio-shared-map", "asyncio-shared-single", "asyncio-own-map", "asyncio-own-single"],
)
@pytest.mark.parametrize("changed", [b"text", b"\xff\xfe"])
def test_no_push_message_is_the_reply_to_a_command(
    side: Side, batching: bool, way: str, changed: bytes, redis_servers: Servers
) -> None:
    (server,) = redis_servers(1)
    with redis.Redis(unix_socket_path=server.path) as plain:
        plain.mset({f"k{number}": f"v{number}" for number in range(5)})
    greet = track if isinstance(side, BlockingSide) else async_track
    host = {
        "unix_socket_path": server.path,
        "protocol": 3,
        "decode_responses": True,
        "redis_connect_func": greet,
        "batching": batching,
        "max_connections": 1,
    }
    settings = {"engine": "redis", "hosts": {"0": host}, "retry": {"attempts": 1}}

    def asked(conn: Any) -> list[Any]:
        found = [conn.get("k0"), conn.exists(changed), conn.set(changed, "x")]
        return [*found, *(conn.get(f"k{number}") for number in range(1, 5))]

    async def ask(side: Side) -> list[Any]:
        cluster = side.cluster(settings)
        if way == "single":
            return await asyncio.gather(*asked(cluster), return_exceptions=True)
        async with side.map(cluster, fail_silently=True) as conn:
            found = asked(conn)
        return [each.value if each.error is None else each.error for each in found]

    outcomes = side.run(ask)
    expected = ["v0", 0, True, "v1", "v2", "v3", "v4"]
    for outcome, value in zip(outcomes, expected, strict=True):
        assert outcome == value or isinstance(outcome, MaybeApplied)
    if changed == b"text":
        assert outcomes == expected
