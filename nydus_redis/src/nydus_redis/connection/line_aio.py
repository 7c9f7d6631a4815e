"""The connection to one host that all tasks of an event loop share: replies are read as they come, in the order of the commands.

redis-py opens the connection and greets the server: TLS, user and password, protocol, database, names. After that the
transport is told to hand its bytes to a ``RedisLine``, without redis-py's streams and locks in between. Where redis-py does not
show its streams there is no line, and each command has a connection of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, ClassVar, Protocol

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import ResponseError

from nydus_core.aio import Asked, Line
from nydus_redis.commands import READING
from nydus_redis.connection.link import looked_through, unwrapped
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.parser_aio import MISSING, DrivenParser
from nydus_redis.connection.pool_aio import readable
from nydus_redis.connection.replies import as_client_error, may_get_pushes, says_goodbye
from nydus_redis.connection.streams_aio import abort, do_later

__all__ = ["Part", "RedisLine", "shows_its_streams"]


class Part(Protocol):
    """The commands of a lane that were written together, and take their replies."""

    @property
    def missing(self) -> int:
        """How many replies have not come."""
        ...

    @property
    def nested(self) -> bool:
        """Whether an error may stand within a reply."""
        ...

    def options(self, ahead: int) -> dict[str, Any] | None:
        """Return the options of a command; None if no command of this part has any.

        Parameters:
            ahead: How many replies come before its own, of those that are missing.
        """
        ...

    def take(self, replies: list[Any]) -> None:
        """Take the next replies. Errors are values; a ``UnicodeDecodeError`` stands for a reply that cannot be decoded."""
        ...


class _Ping:
    """The question whether an idle connection is alive."""

    kwargs: ClassVar[dict[str, Any]] = {}
    callback, gives = None, False


_PING = b"*1\r\n$4\r\nPING\r\n"


class RedisLine(Line):
    """A connection that redis-py has opened.

    Parameters:
        connection: redis-py's connection, on which nothing is to come.
        moves: Is told the answers of the host.
        timeout: Seconds without progress after which the host is given up; None for no limit.
        outcome: Makes the value or the error of a command, given its reply or an error.
    """

    def __init__(
        self,
        connection: Any,
        moves: Moves,
        timeout: float | None,
        outcome: Callable[[Any, Any], Any],
    ) -> None:
        super().__init__(timeout)
        self._connection, self._moves, self._outcome = connection, moves, outcome
        self._now = asyncio.get_running_loop().time
        self._decodes = connection.encoder.decode_responses and not may_get_pushes(connection)
        parser = connection._parser
        reader = getattr(parser, "_reader", None)
        self._push_type: type[Any] | None = None
        if reader is None:
            reader = DrivenParser(parser, connection._reader, self._read)
            self._missing = MISSING
        else:
            self._missing = reader.gets()
            self._push_type = getattr(parser, "_hiredis_PushNotificationType", None)
        self._feed: Callable[[bytes], None] = reader.feed
        self._gets: Callable[..., Any] = reader.gets
        self._has_data: Callable[[], bool] = reader.has_data
        transport = connection._writer.transport
        transport.set_protocol(self)
        self.connection_made(transport)

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, asked: Sequence[Asked]) -> None:
        """Write some commands. See ``nydus_core.aio.Line``."""
        self.waiting.extend(asked)
        self.write(b"".join([request for _, _, request in asked]), len(asked))

    def send_part(self, part: Part, request: bytes) -> None:
        """Write a part of a lane.

        Parameters:
            part: Takes the replies.
            request: The bytes of its commands.
        """
        self.waiting.append(part)
        self.write(request, part.missing)

    def check(self) -> Awaitable[None] | None:
        """Ask the server whether it still answers, if ``health_check_interval`` says so."""
        seconds = self._connection.health_check_interval
        if not seconds or self._now() - self.patience.since < seconds:
            return None
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.send([(answer, _Ping, _PING)])
        return answer

    # Reading --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Read the replies that are complete, and hand them out. asyncio calls this."""
        self.patience.since = self._now()
        self._feed(data)
        self._read()

    def _read(self) -> None:
        try:
            count = self._read_all()
        except Exception as error:
            self.end(as_client_error(error))
        except BaseException:  # nobody knows which reply comes next
            self.end(redis.ConnectionError("interrupted while a reply was read"))
            raise
        else:
            if count:
                self.read_on(count)

    def _read_all(self) -> int:
        """Hand out the replies that are complete; return how many."""
        waiting, gets, missing, count = self.waiting, self._gets, self._missing, 0
        try:
            while waiting:
                first = waiting[0]
                if type(first) is not tuple:
                    count += self._read_part(first)
                    if first.missing:
                        break
                    waiting.popleft()
                    continue
                waiter, command, _ = first
                options = command.kwargs
                try:
                    if not options or READING.isdisjoint(options):
                        reply = gets()
                    else:
                        reply = gets(NEVER_DECODE not in options)
                except UnicodeDecodeError as error:
                    if not self._decodes:
                        raise
                    reply = error
                kind = type(reply)
                if kind is not bytes and kind is not int and kind is not str and reply is not None:
                    if reply is missing:
                        break
                    if kind is self._push_type:
                        self._pushed(reply)
                        continue
                    reply = self._seen(reply, options)
                if command.callback is not None or kind is UnicodeDecodeError or command.gives:
                    try:
                        reply = self._outcome(command, reply)
                    except BaseException as error:  # of a callback of the user; it is for the task that waits
                        reply = error
                waiting.popleft()
                count += 1
                if not waiter.done():
                    if isinstance(reply, BaseException):
                        waiter.set_exception(reply)
                    else:
                        waiter.set_result(reply)
            if not waiting:
                self._read_unasked()
        finally:
            if count:
                self.answered = True
        return count

    def _seen(self, reply: Any, options: dict[str, Any]) -> Any:
        """Look at a reply that may be an error; return it, or the value in its place.

        Raises:
            redis.ConnectionError: The server ends the connection.
        """
        found = [unwrapped(reply)]
        looked_through(found, 0, None, self._pushed)
        self._heed(found)
        return _as_asked(found[0], options)

    def _heed(self, replies: list[Any]) -> None:
        """Use the connection no more if an answer says so: the host is a replica by now, or closes the connection."""
        is_news = self.is_current()  # else connections that are opened just now would count as old ones
        if (is_news and self._moves.heard_among(replies)) or says_goodbye(replies[-1]):
            self.finish()

    def _read_part(self, part: Part) -> int:
        """Read replies to a part of a lane; return how many."""
        wanted, gets, missing = part.missing, self._gets, self._missing
        replies: list[Any] = []
        try:
            while (seen := len(replies)) < wanted:
                options = part.options(seen)
                try:
                    if options is None:
                        replies.extend(islice(iter(gets, missing), wanted - seen))
                    else:
                        replies.extend(islice(iter(partial(gets, NEVER_DECODE not in options), missing), 1))
                    is_short = len(replies) < (wanted if options is None else seen + 1)
                except UnicodeDecodeError as error:
                    if not self._decodes:
                        raise
                    replies.append(error)
                    is_short = False
                finally:
                    if part.nested:
                        replies[seen:] = map(unwrapped, replies[seen:])
                    looked_through(replies, seen, self._push_type, self._pushed)
                if options is not None and len(replies) > seen:
                    replies[seen] = _as_asked(replies[seen], options)
                if is_short:
                    break
        finally:
            self.answered = self.answered or bool(replies)
            part.take(replies)
        if replies:
            self._heed(replies)
        return len(replies)

    def _read_unasked(self) -> None:
        """Take push messages that come while no reply is waited for.

        Raises:
            redis.ConnectionError: The server says more than it was asked for.
        """
        while self._has_data() and (reply := self._gets()) is not self._missing:
            if type(reply) is not self._push_type:
                raise redis.ConnectionError("the server says more than it was asked for")
            self._pushed(reply)

    def _pushed(self, message: Any) -> None:
        do_later(self._connection._parser.handle_push_response(message))

    # The connection -------------------------------------------------------------------------------------------------

    def is_quiet(self) -> bool:
        """Tell whether no bytes have come that nobody asked for. See ``nydus_core.aio.Line``."""
        return not self._has_data() and not readable(self.transport.get_extra_info("socket"))

    def is_current(self) -> bool:
        """Tell whether the connection leads to the server that the host is by now."""
        return bool(self._connection.nydus_count == self._moves.count)

    def hung(self, why: str) -> Exception:
        """Make redis-py's error for a host that is given up."""
        return redis.TimeoutError(f"Timeout reading from socket: {why}")

    def lost(self, error: Exception | None) -> Exception:
        """Make redis-py's error for a connection that was closed."""
        closed = redis.ConnectionError("Connection closed by server.")
        return closed if error is None else as_client_error(error)

    def abort(self) -> None:
        """Close the connection at once. redis-py would complain of one that is still open."""
        abort(self._connection)


def _as_asked(reply: Any, options: dict[str, Any]) -> Any:
    """Return a reply, or the value that the options of its command want in the place of an error."""
    return options.get(EMPTY_RESPONSE, reply) if isinstance(reply, ResponseError) else reply


def shows_its_streams(connection: Any) -> bool:
    """Tell whether a connection of redis-py, which need not be open, shows all that a line takes from it."""
    if not all(hasattr(connection, name) for name in ("_reader", "_writer", "_parser", "encoder")):
        return False
    parser = connection._parser
    with_hiredis = hasattr(parser, "_reader") and hasattr(parser, "handle_push_response")
    return with_hiredis or (hasattr(parser, "_buffer") and hasattr(parser, "_stream"))
