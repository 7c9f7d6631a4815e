"""Push messages that the function of a user asks for: none of them is the reply to a command, not even one that is no text."""

from __future__ import annotations

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


@pytest.mark.parametrize("side", [BlockingSide(), AsyncSide()], ids=["blocking", "asyncio"])
@pytest.mark.parametrize("changed", [b"text", b"\xff\xfe"])
def test_no_push_message_is_the_reply_to_a_command(
    side: Side, changed: bytes, redis_servers: Servers
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
    }
    settings = {"engine": "redis", "hosts": {"0": host}, "retry": {"attempts": 1}}

    async def queue(side: Side) -> list[Any]:
        async with side.map(side.cluster(settings), fail_silently=True) as conn:
            found = [conn.get("k0"), conn.exists(changed), conn.set(changed, "x")]
            found += [conn.get(f"k{number}") for number in range(1, 5)]
        return found

    found = side.run(queue)
    expected = ["v0", 0, True, "v1", "v2", "v3", "v4"]
    outcomes = [each.value if each.error is None else each.error for each in found]
    for outcome, value in zip(outcomes, expected, strict=True):
        assert outcome == value or isinstance(outcome, MaybeApplied)
    if changed == b"text":
        assert outcomes == expected
