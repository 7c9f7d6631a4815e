"""Reading replies with asyncio. See ``nydus_redis.connection.replies``."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from functools import partial
from traceback import walk_tb
from typing import Any

from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import InvalidResponse, ResponseError
from redis.utils import HIREDIS_AVAILABLE

from nydus_redis.commands import READING, RedisCommand
from nydus_redis.connection.replies import REFUSALS

__all__ = ["async_read_reply", "async_reader", "push_reader", "whole_answer"]


def async_reader(connection: Any) -> Callable[..., Awaitable[Any]]:
    """Return the function that reads a reply. It may return an error instead of raising it, and has no time limit."""
    try:
        read: Callable[..., Awaitable[Any]] = connection._parser.read_response
    except AttributeError:  # the public method takes longer, and would stop at redis-py's own time limit
        return partial(connection.read_response, timeout=math.inf, disconnect_on_error=False)
    return read


async def async_read_reply(connection: Any, command: RedisCommand) -> Any:
    """Read the reply to a command, as the options of the command ask for; return it before redis-py's callback.

    Raises:
        Exception: One of ``ANSWERS``; or any other error, if no answer came or none that can be understood.
    """
    options = command.kwargs
    try:
        read = connection._parser.read_response
    except AttributeError:
        read = async_reader(connection)
    try:
        if not options or READING.isdisjoint(options):
            reply = await read()
        else:
            reply = await read(disable_decoding=NEVER_DECODE in options)
    except REFUSALS as answer:
        whole_answer(answer)
        raise
    except ResponseError as error:  # only of the public method
        reply = error
    if isinstance(reply, ResponseError):
        if EMPTY_RESPONSE in options:
            return options[EMPTY_RESPONSE]
        raise reply
    return reply


def whole_answer(answer: Exception) -> Exception:
    """Return an answer that is a whole reply.

    Raises:
        InvalidResponse: redis-py's own parser has stopped at this answer within a reply, or it cannot be seen where. Then
            nobody knows how much of the reply is left.
    """
    if isinstance(answer, REFUSALS) and not HIREDIS_AVAILABLE:
        frames = walk_tb(answer.__traceback__)
        if sum(frame.f_code.co_name == "_read_response" for frame, _ in frames) != 1:
            raise InvalidResponse("an error of the connection within a reply") from answer
    return answer


def push_reader(connection: Any, handler: Callable[..., Any] | None) -> Callable[[], Awaitable[Any]]:
    """Return the function that reads messages of subscriptions.

    Parameters:
        connection: An open connection.
        handler: The user's function for push messages over RESP3; redis-py's option ``push_handler_func``.
    """
    try:
        parser = connection._parser
    except AttributeError:
        return _public_push_reader(connection, handler)
    if handler is not None:
        parser.set_pubsub_push_handler(handler)
    if "push_request" in inspect.signature(parser.read_response).parameters:
        return partial(parser.read_response, push_request=True)
    return parser.read_response  # type: ignore[no-any-return]


def _public_push_reader(connection: Any, handler: Callable[..., Any] | None) -> Callable[[], Awaitable[Any]]:
    read = partial(connection.read_response, timeout=math.inf, disconnect_on_error=False, push_request=True)

    async def read_message() -> Any:
        message = await read()
        if handler is None or not isinstance(message, list) or str(connection.protocol) != "3":
            return message
        return await handler(message)

    return read_message
