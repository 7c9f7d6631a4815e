"""Turns replies into outcomes of commands, for both sides of the engine. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.exceptions import InvalidResponse

from nydus_core.errors import MaybeApplied
from nydus_redis.commands import RedisCommand, UnreadableReply
from nydus_redis.connection import REFUSALS
from nydus_redis.engine.host import RedisHost

__all__ = ["as_transaction", "outcome_of_reply", "outcomes_of_transaction"]


def outcome_of_reply(engine: RedisHost, command: RedisCommand, reply: Any) -> Any:
    """Return the outcome of a command: the value that redis-py makes of the reply, or an error.

    Parameters:
        engine: The engine of the host.
        command: The command.
        reply: The server's reply; an error, if the server answered one.
    """
    if isinstance(reply, Exception):
        return reply
    try:
        value = command.parsed(reply)
    except UnreadableReply as error:
        return engine.failed(MaybeApplied, error, command)
    return command.signed(value, engine.name) if command.gives else value


def as_transaction(commands: Sequence[RedisCommand], packed: Sequence[bytes]) -> list[bytes]:
    """Return the bytes of some commands with MULTI and EXEC around them."""
    pack = commands[0].wire.pack
    return [pack(("MULTI",)), *packed, pack(("EXEC",))]


def outcomes_of_transaction(
    engine: RedisHost, commands: Sequence[RedisCommand], multi: Any, queued: Sequence[Any], replies: Any
) -> list[Any]:
    """Return the outcomes of commands between MULTI and EXEC.

    Parameters:
        engine: The engine of the host.
        commands: The commands.
        multi: The reply to MULTI.
        queued: The replies to the commands: QUEUED, or an error.
        replies: The reply to EXEC.

    Raises:
        Exception: The reply to EXEC cannot be understood.
    """
    if isinstance(multi, Exception):  # no MULTI: each command was applied on its own
        return [
            reply if isinstance(reply, Exception) else engine.failed(MaybeApplied, multi, command)
            for command, reply in zip(commands, queued, strict=True)
        ]
    if isinstance(replies, REFUSALS):
        raise replies  # or hiredis has raised the answer to the first command
    if isinstance(
        replies, Exception
    ):  # nothing was applied: the error of the command itself, or else of EXEC
        return [error if isinstance(error, Exception) else replies for error in queued]
    if not isinstance(replies, list):
        raise InvalidResponse(f"EXEC was answered with a {type(replies).__name__}; expected a list")
    return [
        outcome_of_reply(engine, command, reply) for command, reply in zip(commands, replies, strict=True)
    ]
