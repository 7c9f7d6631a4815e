"""Turns replies into outcomes of commands, for both sides of the engine. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, cast

from redis.client import EMPTY_RESPONSE
from redis.exceptions import InvalidResponse

from nydus_core.cluster import EventualCommand
from nydus_core.drafts import Commands, Draft, command_of, form_of, words_of
from nydus_core.engines import name_of
from nydus_core.errors import MaybeApplied
from nydus_redis.commands import RedisCommand, UnreadableReply, pack_all
from nydus_redis.connection import REFUSALS, says_later
from nydus_redis.engine.host import RedisHost

__all__ = [
    "DRAFTS",
    "as_transaction",
    "in_transaction",
    "outcome_of_reply",
    "outcomes_of",
    "outcomes_of_transaction",
    "request_of",
]


def outcome_of_reply(engine: RedisHost, command: RedisCommand, reply: Any) -> Any:
    """Return the outcome of a command: the value that redis-py makes of the reply, or an error.

    Parameters:
        engine: The engine of the host.
        command: The command.
        reply: The server's reply; an error, if the server answered one.
    """
    if type(reply) is UnicodeDecodeError:  # an error of ours may be an instance, too
        return engine.failed(MaybeApplied, reply, command)
    if isinstance(reply, Exception):
        return reply
    try:
        value = command.parsed(reply)
    except UnreadableReply as error:
        return engine.failed(MaybeApplied, error, command)
    return command.signed(value, name_of(engine)) if command.gives else value


#: The types of the items of a batch of drafts.
DRAFTS = {EventualCommand}


def request_of(items: Sequence[Any], kinds: set[type[Any]]) -> bytes:
    """Return the bytes of some commands.

    Parameters:
        items: Commands and drafts.
        kinds: Their types.
    """
    if kinds == DRAFTS:
        return pack_all([*map(words_of, items)])
    return pack_all([words_of(item) if isinstance(item, Draft) else item.packed for item in items])


def outcomes_of(
    engine: RedisHost, items: Sequence[Any], kinds: set[type[Any]], replies: list[Any]
) -> list[Any]:
    """Return the outcomes of the first commands, for which there are replies.

    Parameters:
        engine: The engine of the host.
        items: Commands and drafts.
        kinds: Their types.
        replies: Their replies; errors among them are values.
    """
    items = items[: len(replies)]
    if kinds != DRAFTS:
        commands = cast(Sequence[RedisCommand], Commands([*items]))
        return [
            outcome_of_reply(engine, command, reply) for command, reply in zip(commands, replies, strict=True)
        ]
    forms: list[Any] = [*map(form_of, items)]
    parsers = {form: form.callback for form in set(forms)}
    fails = any(issubclass(kind, Exception) for kind in set(map(type, replies)))
    if not fails and set(parsers.values()) <= {None}:
        return replies
    outcomes: list[Any] = []
    for item, form, reply in zip(items, forms, replies, strict=True):
        parse = parsers[form]
        if fails and isinstance(reply, Exception):
            outcomes.append(outcome_of_reply(engine, cast(RedisCommand, command_of(item)), reply))
        elif parse is None:
            outcomes.append(reply)
        else:
            try:
                outcomes.append(parse(reply))
            except Exception:
                outcomes.append(outcome_of_reply(engine, cast(RedisCommand, command_of(item)), reply))
    return outcomes


def as_transaction(commands: Sequence[RedisCommand]) -> list[bytes]:
    """Return the bytes of some commands with MULTI and EXEC around them."""
    pack = commands[0].wire.pack
    return [pack(("MULTI",)), *(command.packed for command in in_transaction(commands)), pack(("EXEC",))]


def in_transaction(commands: Sequence[RedisCommand]) -> list[RedisCommand]:
    """Return the commands of a transaction that are sent.

    A command of nothing, such as ``mget([])``, is refused by the server, and redis-py has the value already. In a transaction
    the refusal would abort the others. So the command is not sent, as redis-py does.
    """
    return [command for command in commands if EMPTY_RESPONSE not in command.kwargs]


def outcomes_of_transaction(
    engine: RedisHost, commands: Sequence[RedisCommand], multi: Any, queued: Sequence[Any], replies: Any
) -> Iterator[Any]:
    """Return the outcomes of commands between MULTI and EXEC. Each value is made as it is asked for.

    Parameters:
        engine: The engine of the host.
        commands: The commands.
        multi: The reply to MULTI.
        queued: The replies to the commands that were sent: QUEUED, or an error.
        replies: The reply to EXEC.

    Raises:
        Exception: The reply to EXEC cannot be understood.
    """
    found = iter(_outcomes_of_sent(engine, in_transaction(commands), multi, queued, replies))
    return (
        command.kwargs[EMPTY_RESPONSE] if EMPTY_RESPONSE in command.kwargs else next(found)
        for command in commands
    )


def _outcomes_of_sent(
    engine: RedisHost, commands: Sequence[RedisCommand], multi: Any, queued: Sequence[Any], replies: Any
) -> Iterable[Any]:
    if isinstance(multi, Exception):  # no MULTI: each command was applied on its own
        return (
            reply if isinstance(reply, Exception) else engine.failed(MaybeApplied, multi, command)
            for command, reply in zip(commands, queued, strict=True)
        )
    if isinstance(replies, REFUSALS):
        raise replies  # or hiredis has raised the answer to the first command
    if isinstance(replies, Exception):  # nothing was applied
        errors = [error for error in queued if isinstance(error, Exception)]
        culprit = next((error for error in errors if not says_later(error)), errors[0] if errors else None)
        return (error if isinstance(error, Exception) else _aborted(replies, culprit) for error in queued)
    if not isinstance(replies, list) or len(replies) != len(commands):
        raise InvalidResponse(
            f"EXEC was answered with a {type(replies).__name__}; expected a list of {len(commands)} replies"
        )
    return (
        outcome_of_reply(engine, command, reply) for command, reply in zip(commands, replies, strict=True)
    )


def _aborted(abort: Exception, culprit: Exception | None) -> Exception:
    """Return the error of EXEC for one command; each has its own, because it is worded for the command.

    Parameters:
        abort: The server's error.
        culprit: The error of the command that made the server abort, if it is known.
    """
    error = copy(abort)
    error.__cause__ = culprit
    return error
