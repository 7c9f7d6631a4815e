"""The short way to the replies on a connection: its socket, and the reader of hiredis, without redis-py's methods in between.

redis-py opens the connection and greets the server. Where it has no hiredis, or does not show the socket and the reader, there
is no link, and its own methods are taken.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from itertools import islice
from typing import Any

import redis
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.sockets import poll_of
from nydus_redis.connection.replies import REFUSALS, may_get_pushes

__all__ = ["Link", "link_of", "looked_through", "unwrapped"]

#: Bytes to read at once.
_READ = 65536


class Link:
    """The socket of an open connection, and the reader that makes replies of its bytes.

    Parameters:
        sock: The socket, with its timeout.
        reader: The reader of hiredis. It has no bytes yet.
        pushed: Takes a push message.
        push_type: The class of push messages; None if hiredis knows none.
        decodes: Whether a text that cannot be decoded is a reply. Else it may be a push message, and the replies end there.
    """

    __slots__ = (
        *("_buffer", "_decodes", "_feed", "_gets", "_has_data", "_missing"),
        *("_poll", "_push_type", "_pushed", "_receive", "_send"),
    )

    def __init__(
        self,
        sock: Any,
        reader: Any,
        pushed: Callable[[Any], Any],
        push_type: type[Any] | None,
        decodes: bool,
    ) -> None:
        self._send: Callable[[bytes], None] = sock.sendall
        self._receive: Callable[[Any], int] = sock.recv_into
        self._gets: Callable[[], Any] = reader.gets
        self._has_data: Callable[[], bool] = reader.has_data
        # TLS has a buffer of its own, which is not seen from outside
        self._poll = None if isinstance(sock, ssl.SSLSocket) else poll_of(sock)
        self._feed: Callable[[Any, int, int], None] = reader.feed
        self._buffer = bytearray(_READ)
        #: The reader's word for "not enough bytes".
        self._missing: Any = reader.gets()
        self._pushed, self._push_type, self._decodes = pushed, push_type, decodes

    def has_bytes(self, connection: Any) -> bool:
        """Tell whether bytes have come, or the end of the connection, without waiting.

        Parameters:
            connection: The connection of this link. It is asked where the system has no ``poll``, and for TLS.
        """
        if self._poll is None:
            return bool(connection.can_read())
        return self._has_data() or bool(self._poll(0))

    def ask(self, request: bytes) -> Any:
        """Send a request that is not large, and read its reply. See ``read``.

        Raises:
            redis.ConnectionError: The request cannot be sent.
            redis.TimeoutError: The host took no byte of it for the timeout of the socket.
        """
        try:
            self._send(request)
        except TimeoutError:
            raise redis.TimeoutError("Timeout writing to socket") from None
        except OSError as error:
            raise redis.ConnectionError(f"Error while writing to socket: {error}") from error
        return self.one()

    def read(self, count: int, replies: list[Any], *, nested: bool) -> None:
        """Read replies. An error among them is a value like any other, but for those that end a connection.

        Parameters:
            count: How many.
            replies: Takes them, as far as they come. A ``UnicodeDecodeError`` stands for a reply that cannot be decoded.
            nested: Whether an error may stand within a reply. As in redis-py, an error of the connection that comes first in a
                list stands for the list.

        Raises:
            OSError: They do not come. A ``TimeoutError`` if nothing comes for the timeout of the socket.
            redis.ConnectionError: The server has closed the connection, or says that it does so.
            redis.InvalidResponse: These bytes are no replies.
        """
        seen = len(replies)
        wanted = seen + count
        while len(replies) < wanted:
            try:
                replies.extend(islice(iter(self._gets, self._missing), wanted - len(replies)))
                is_short = len(replies) < wanted
            except UnicodeDecodeError as error:
                if not self._decodes:
                    raise
                replies.append(error)
                is_short = False
            finally:
                if nested:
                    replies[seen:] = map(unwrapped, replies[seen:])
                seen = looked_through(replies, seen, self._push_type, self._pushed)
            if is_short:
                self._fill()

    def one(self) -> Any:
        """Read one reply. See ``read``."""
        while True:
            reply = self._gets()
            if reply is self._missing:
                self._fill()
                continue
            kind = type(reply)
            if kind is bytes or kind is int or kind is str or reply is None:
                return reply
            found = [unwrapped(reply)]
            looked_through(found, 0, self._push_type, self._pushed)
            if found:  # it was no push message
                return found[0]

    def _fill(self) -> None:
        size = self._receive(self._buffer)
        if not size:
            raise redis.ConnectionError("Connection closed by server.")
        self._feed(self._buffer, 0, size)


def looked_through(
    replies: list[Any], start: int, push_type: type[Any] | None, pushed: Callable[[Any], Any]
) -> int:
    """Take push messages out of the replies from ``start`` on; return how many replies were looked at.

    Parameters:
        replies: The replies, errors among them.
        start: How many of them were looked at before.
        push_type: The class of push messages; None if there are none.
        pushed: Takes a push message.

    Raises:
        redis.ConnectionError: An error that ends the connection stands among them. It and all that come after are taken out.
    """
    kinds = set(map(type, replies[start:] if start else replies))
    if push_type in kinds:
        pushes = [each for each in replies[start:] if type(each) is push_type]
        replies[start:] = [each for each in replies[start:] if type(each) is not push_type]
        for each in pushes:
            pushed(each)
    for kind in kinds:
        if issubclass(kind, redis.ConnectionError) and not issubclass(kind, REFUSALS):
            position = next(at for at in range(start, len(replies)) if type(replies[at]) is kind)
            error = replies[position]
            del replies[position:]
            raise error
    return len(replies)


def unwrapped(reply: Any) -> Any:
    """Return an error of the connection that stands first in a list; any other reply as it is."""
    is_error = type(reply) is list and reply and isinstance(reply[0], redis.ConnectionError)
    return reply[0] if is_error else reply


def link_of(connection: Any) -> Link | None:
    """Return the link of an open connection on which nothing is to come; None if redis-py does not show what it takes."""
    try:
        link: Link | None = connection.nydus_link
    except AttributeError:  # a connection of the user's own pool, which redis-py may open anew at any time
        return None
    if link is None:
        connection.nydus_link = link = _made(connection)
    return link


def _made(connection: Any) -> Link | None:
    if not HIREDIS_AVAILABLE:
        return None
    try:
        parser, sock = connection._parser, connection._sock
        reader, pushed = parser._reader, parser.handle_push_response
        if sock is None or reader.has_data():
            return None
        push_type = getattr(parser, "_hiredis_PushNotificationType", None)
        decodes = connection.encoder.decode_responses and not may_get_pushes(connection)
        return Link(sock, reader, pushed, push_type, decodes)
    except AttributeError:
        return None
