"""Reading replies: the server's answers, its errors among them, are told from failures to get one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)

from nydus_core.errors import STUMBLES
from nydus_redis.wire import READING, RedisCommand

__all__ = [
    "ANSWERS",
    "FAILURES",
    "PASSING",
    "PASSING_CODES",
    "as_client_error",
    "await_reply",
    "read_plainly",
    "read_reply",
    "reader",
]

#: The errors that are a server's answer. All else that reading raises is a failure to get one.
ANSWERS: tuple[type[Exception], ...] = (
    ResponseError,
    BusyLoadingError,
    AuthenticationError,
    AuthorizationError,
)

#: The answers that mean: not applied, try later.
PASSING: tuple[type[Exception], ...] = (
    BusyLoadingError,
    TryAgainError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
)
#: The same, where redis-py has no class for the code that the answer begins with.
PASSING_CODES = ("LOADING", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY")

#: What reading or writing raises when the connection fails, or a reply cannot be understood.
FAILURES: tuple[type[Exception], ...] = (redis.RedisError, *STUMBLES)


def await_reply(connection: Any, seconds: float) -> None:
    """Wait for the first bytes of a reply.

    Raises:
        redis.TimeoutError: None came.
    """
    if not connection.can_read(max(0.0, seconds)):
        raise redis.TimeoutError(f"no answer within {seconds:g} seconds")


def read_reply(connection: Any, command: RedisCommand) -> Any:
    """Read the reply to a command, as its options ask for; nothing is made of it yet.

    Raises:
        Exception: One of ``ANSWERS``; or anything else, when no answer came or none that can be understood.
    """
    options = command.kwargs
    if not options or READING.isdisjoint(options):
        return connection.read_response(disconnect_on_error=False)
    try:
        return connection.read_response(disable_decoding=NEVER_DECODE in options, disconnect_on_error=False)
    except ResponseError:
        if EMPTY_RESPONSE in options:
            return options[EMPTY_RESPONSE]
        raise


def reader(connection: Any) -> Callable[[], Any]:
    """Return what reads replies in a tight loop. An error may be returned instead of raised.

    The connection's own method looks around before and after each reply, and takes three times as long as its
    parser. What it would have made of the errors of a socket, ``as_client_error`` does.
    """
    parser = getattr(connection, "_parser", None)
    if parser is None:  # a connection class of the user's own
        return lambda: connection.read_response(disconnect_on_error=False)
    read: Callable[[], Any] = parser.read_response
    return read


def read_plainly(read: Callable[[], Any]) -> Any:
    """Read a reply; return the value or the server's error."""
    try:
        return read()
    except ANSWERS as error:
        return error


def as_client_error(error: Exception) -> Exception:
    """Return an error of a socket as the one that redis-py makes of it, and others as they are."""
    if isinstance(error, TimeoutError):
        return redis.TimeoutError("Timeout reading from socket")
    if isinstance(error, OSError):
        return redis.ConnectionError(f"Error while reading from socket: {error}")
    return error
