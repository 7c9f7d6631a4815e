"""Reading replies, and telling a server's answers, errors included, from failures to get an answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ExecAbortError,
    InvalidResponse,
    MasterDownError,
    ReadOnlyError,
    ResponseError,
    TryAgainError,
)
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.errors import STUMBLES
from nydus_redis.commands import READING, RedisCommand

__all__ = [
    "ANSWERS",
    "FAILURES",
    "REFUSALS",
    "as_client_error",
    "await_reply",
    "may_get_pushes",
    "only_pushes",
    "read_plainly",
    "read_reply",
    "reader",
    "says_full",
    "says_goodbye",
    "says_later",
    "says_replica",
]

#: Answers that redis-py takes for errors of the connection, and raises as soon as it meets them.
REFUSALS: tuple[type[Exception], ...] = (BusyLoadingError, AuthenticationError, AuthorizationError)

#: The errors that are a server's answer. Any other error means that no answer was read.
ANSWERS: tuple[type[Exception], ...] = (ResponseError, *REFUSALS)

#: Answers that mean: not applied, try later.
_LATER: tuple[type[Exception], ...] = (
    BusyLoadingError,
    TryAgainError,
    ClusterDownError,
    MasterDownError,
    ReadOnlyError,
)
#: The first words of such answers for which redis-py has no class.
_LATER_CODES = ("LOADING", "BUSY ", "TRYAGAIN", "CLUSTERDOWN", "MASTERDOWN", "READONLY", "UNBLOCKED force")
#: Of these, the answers of a replica: to a write, to a read while its data are stale, and to a command that waits when its
#: server becomes a replica. The others are answers of a server that is the right one.
_REPLICA: tuple[type[Exception], ...] = (ReadOnlyError, MasterDownError)
_REPLICA_CODES = ("READONLY", "MASTERDOWN", "UNBLOCKED force")

#: The errors of reading and writing when the connection fails, or when a reply cannot be parsed, as a reply that is nested
#: too deep for redis-py's own parser.
FAILURES: tuple[type[Exception], ...] = (redis.RedisError, RecursionError, *STUMBLES)


def says_later(answer: Exception) -> bool:
    """Tell whether an answer means that the command was not applied, and may be tried later."""
    return _says(answer, _LATER, _LATER_CODES)


def says_full(error: Exception) -> bool:
    """Tell whether a failure means that the server has turned a new connection away, and so has read no command.

    The greeting of a connection meets this answer first, but not every connection has a greeting.
    """
    return isinstance(error, redis.ConnectionError) and str(error).endswith("max number of clients reached")


def says_goodbye(outcome: Any) -> bool:
    """Tell whether an outcome is the answer to a request that the server cannot read. The server closes the connection."""
    return isinstance(outcome, ResponseError) and str(outcome).startswith("Protocol error")


def says_replica(answer: Exception) -> bool:
    """Tell whether an answer means that the server is a replica, so that a new connection may lead to another server."""
    return _says(answer, _REPLICA, _REPLICA_CODES)


def _says(answer: Exception, kinds: tuple[type[Exception], ...], codes: tuple[str, ...]) -> bool:
    if not isinstance(answer, ExecAbortError):
        return isinstance(answer, kinds) or str(answer).startswith(codes)
    culprit = answer.__cause__  # a command that was refused when it was queued, or else EXEC itself
    if isinstance(culprit, Exception):
        return _says(culprit, kinds, codes)
    return str(answer).partition("because of: ")[2].startswith(codes)


def await_reply(connection: Any, seconds: float) -> None:
    """Wait for the first bytes of a reply.

    Raises:
        redis.TimeoutError: No bytes came in time.
    """
    if not connection.can_read(max(0.0, seconds)):
        raise redis.TimeoutError(f"no answer within {seconds:g} seconds")


def read_reply(connection: Any, command: RedisCommand) -> Any:
    """Read the reply to a command, as the options of the command ask for; return it before redis-py's callback.

    Raises:
        Exception: One of ``ANSWERS``; or any other error, if no answer came or none that can be understood.
    """
    options = command.kwargs
    try:
        if not options or READING.isdisjoint(options):
            return connection.read_response(disconnect_on_error=False)
        return connection.read_response(disable_decoding=NEVER_DECODE in options, disconnect_on_error=False)
    except REFUSALS as answer:
        _pass_over(getattr(connection, "_parser", None), answer)
        raise
    except ResponseError:
        if EMPTY_RESPONSE in options:
            return options[EMPTY_RESPONSE]
        raise


def reader(connection: Any) -> Callable[[], Any]:
    """Return the function that reads a reply in a tight loop. It may return an error instead of raising it.

    The parser takes a third of the time of the connection's own method, which does more than to read. Errors of the socket
    are raised as they are: see ``as_client_error``.
    """
    parser = getattr(connection, "_parser", None)
    if parser is None:  # a connection class of the user's own
        read: Callable[[], Any] = partial(connection.read_response, disconnect_on_error=False)
    else:
        read = parser.read_response
    if HIREDIS_AVAILABLE and _buffer(parser) is None:
        return read

    def read_on() -> Any:
        try:
            return read()
        except REFUSALS as answer:
            _pass_over(parser, answer)
            raise

    return read_on


def _buffer(parser: Any) -> Any:
    """Return the buffer of redis-py's own parser; None for hiredis, and where redis-py does not show the buffer."""
    buffer = getattr(parser, "_buffer", None)
    return buffer if hasattr(buffer, "readline") else None


def _pass_over(parser: Any, answer: Exception) -> None:
    """Pass over an answer of ``REFUSALS``: redis-py's own parser goes back, and would read the answer once more.

    Raises:
        InvalidResponse: The answer stands within a reply, or the buffer is not shown. Then nobody knows how much of the
            reply is left.
    """
    buffer = _buffer(parser)
    if buffer is None:
        if not HIREDIS_AVAILABLE:
            raise InvalidResponse("an error of the connection, perhaps within a reply") from answer
        return
    if not buffer.readline().startswith(b"-"):
        raise InvalidResponse("an error of the connection within a reply") from answer
    buffer.purge()


def read_plainly(read: Callable[[], Any]) -> Any:
    """Read a reply; return the value or the server's error."""
    try:
        return read()
    except ANSWERS as error:
        return error


def only_pushes(connection: Any) -> bool:
    """Have redis-py take the push messages that wait on a connection; return whether nothing else waits on it."""
    parser: Any = getattr(connection, "_parser", None)
    if parser is None:
        return False
    take, taken = parser.handle_push_response, 0

    def count(*args: Any, **kwargs: Any) -> Any:
        nonlocal taken
        taken += 1
        return take(*args, **kwargs)

    parser.handle_push_response = count
    try:
        for expected in range(1, _MOST_PUSHES):
            if not connection.can_read():
                return True
            connection.read_response(push_request=True, timeout=0, disconnect_on_error=False)
            if taken != expected:
                return False
    except FAILURES:
        pass
    finally:
        del parser.handle_push_response
    return False


def may_get_pushes(connection: Any) -> bool:
    """Tell whether push messages of any text may come on a connection: a function of the user may have asked for them.

    Then a reply that cannot be decoded may be such a message, and nobody knows which reply comes next.
    """
    return (
        getattr(connection, "redis_connect_func", None) is not None
        and str(getattr(connection, "protocol", "")) != "2"
    )


#: A server with more push messages than this is taken for a server that never stops sending.
_MOST_PUSHES = 1000


def as_client_error(error: Exception) -> Exception:
    """Return redis-py's error for an error of a socket, and any other error as it is."""
    if isinstance(error, TimeoutError):
        return redis.TimeoutError("Timeout reading from socket")
    if isinstance(error, OSError):
        return redis.ConnectionError(f"Error while reading from socket: {error}")
    return error
