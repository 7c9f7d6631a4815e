"""The subscriptions on one host: redis-py's own ``PubSub``, which is never waited for, and whose loss is reported.

A connection is opened in a thread, while messages of other hosts are read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from nydus_core.command import key_bytes
from nydus_core.errors import HostError
from nydus_core.redaction import redactor_of
from nydus_redis.connection import (
    FAILURES,
    free_lock,
    is_closed,
    socket_of,
    without_connecting,
)
from nydus_redis.pubsub.ledger import CHANNELS, LEAVING
from nydus_redis.pubsub.opening import HandOver, Opening
from nydus_redis.pubsub.subscriber import KEPT, SubscriberBase, as_pong

if TYPE_CHECKING:
    from nydus_core.engines import Engine

__all__ = ["Subscriber"]

_ENDS = {kind: end for end, kind in LEAVING.items()}


class Subscriber(SubscriberBase):
    """Subscriptions on one host, with blocking calls. Only ``ready`` waits for the host; else connections open in a thread.

    Parameters:
        engine: The host.
        client: The client of the host.
        options: The options of redis-py's ``pubsub``.
    """

    def __init__(self, engine: Engine, client: Any, options: dict[str, Any]) -> None:
        super().__init__(engine)
        self._pubsub: Any = client.pubsub(**options)
        self._pool = self._pubsub.connection_pool = HandOver(self._pubsub.connection_pool)
        self._wanted: dict[str, dict[Any, None]] = {kind: {} for kind in KEPT}  # until there is a connection
        self._opening: Opening | None = None
        self._asked: float | None = None

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions."""
        return bool(self._pubsub.subscribed) or any(self._wanted.values())

    @property
    def redis_py(self) -> Any:
        """The ``PubSub`` of redis-py."""
        return self._pubsub

    @property
    def connection(self) -> Any:
        """The connection of redis-py; None while there is none."""
        return self._pubsub.connection

    @property
    def socket(self) -> Any:
        """The socket to wait for; None without a connection, or if redis-py does not show the socket."""
        connection = self._pubsub.connection
        return None if connection is None else socket_of(connection)

    @property
    def _is_open(self) -> bool:
        connection = self._pubsub.connection
        return self._pool.ready is not None or (connection is not None and not is_closed(connection))

    # Connecting -------------------------------------------------------------------------------------------------

    def begin(self) -> Opening | None:
        """Begin to connect, if there is no connection; return the connection that is being opened, if so."""
        if self._is_open:
            return None
        if self._opening is None:
            self._opening = Opening(self._pool.pool, self.engine)
        return self._opening

    def open_soon(self) -> bool:
        """Begin to connect, if there is no connection; return whether there is one. See ``SubscriberBase.open_soon``."""
        if not self._is_open and (self._opening is not None or time.monotonic() >= self._due):
            self.begin()
            self.ready(CHANNELS, self._names())
        return self._is_open

    def ready(self, kind: str, names: Iterable[Any]) -> None:
        """Take over the connection that was opened since ``begin``. Does nothing if it is still being opened.

        Parameters:
            kind: The command that will be sent, for the error.
            names: The names that will be sent, for the error.

        Raises:
            HostDown: The host cannot be reached.
        """
        try:
            self._take_over()
        except FAILURES as error:
            raise self._failed(error, kind, names) from error

    def _take_over(self) -> None:
        """Use the connection that was opened, and subscribe on it. Does nothing if it is still being opened."""
        opening = self._opening
        if opening is None or not opening.done:
            return
        self._opening = None
        if self._is_open:  # opened by the user meanwhile
            opening.give_up()
            return
        connection = opening.result()
        self._release()
        self._pool.ready = connection
        with without_connecting(connection):
            self._pubsub.on_connect(connection)
            for kind, names in self._wanted.items():
                if names:
                    getattr(self._pubsub, kind)(*names)
                    names.clear()

    def _release(self) -> None:
        """Give the closed connection back."""
        pubsub = self._pubsub
        connection, pubsub.connection = pubsub.connection, None
        if connection is not None:
            connection.deregister_connect_callback(pubsub.on_connect)
            self._pool.release(connection)

    def after_fork(self) -> None:
        """In a child process: connect anew when it is read. The connection belongs to the parent, which goes on to use it."""
        self._opening = None
        self._pool.ready = None
        free_lock(self._pubsub)
        self._disconnect()

    # Subscribing ------------------------------------------------------------------------------------------------

    def subscribe(self, kind: str, names: Sequence[Any]) -> None:
        """Subscribe to names: now, or as soon as there is a connection. See ``SubscriberBase.subscribe``."""
        if not self._is_open:
            self._wanted[kind].update(dict.fromkeys(names))
            self.begin()
            return
        try:
            with without_connecting(self._pubsub.connection or self._pool.ready):
                getattr(self._pubsub, kind)(*names)
        except FAILURES as error:
            raise self._failed(error, kind, names) from error

    def unsubscribe(self, kind: str, names: Sequence[Any]) -> bool:
        """End subscriptions; return whether the host will confirm this. A host that cannot be reached will not."""
        for name in names:
            self._wanted[kind].pop(name, None)
        connection = self._pubsub.connection
        if connection is not None and not is_closed(connection):
            try:
                with without_connecting(connection):
                    getattr(self._pubsub, _ENDS[kind])(*names)
                return True
            except FAILURES:
                pass
        self._drop(kind, names)  # or redis-py would subscribe again
        return False

    def _drop(self, kind: str, names: Sequence[Any]) -> None:
        """Have redis-py forget names, so that it does not subscribe to them again."""
        pubsub = self._pubsub
        encoder = pubsub.encoder
        for name in names:
            getattr(pubsub, KEPT[kind]).pop(encoder.decode(encoder.encode(name)), None)
        self._note_names()
        self._disconnect()

    def ping(self, message: Any) -> None:
        """Send a PING. See ``SubscriberBase.ping``."""
        if not self._is_open:
            return
        try:
            with without_connecting(self._pubsub.connection or self._pool.ready):
                self._pubsub.ping(message)
        except FAILURES as error:
            raise self._failed(error, "ping", ()) from error

    # Messages ---------------------------------------------------------------------------------------------------

    def receive(self) -> dict[str, Any] | None:
        """Return the next message, if there is one. See ``SubscriberBase.receive``."""
        if not self.subscribed:
            return None
        if not self._is_open:
            if self._opening is None and time.monotonic() < self._due:
                return None
            self.begin()
        try:
            self._take_over()
            if self._pubsub.connection is None or is_closed(self._pubsub.connection):
                return None
            with without_connecting(self._pubsub.connection):
                reply = self._reply()
        except ResponseError as error:
            redactor_of(self.engine).clean(error)
            raise
        except FAILURES as error:
            raise self._failed(error, CHANNELS, self._names()) from error
        if isinstance(reply, str | bytes):
            return as_pong(reply)
        message: dict[str, Any] | None = self._pubsub.handle_message(reply)
        return message

    def _reply(self) -> Any:
        pubsub = self._pubsub
        self._check_health()
        while pubsub.connection.can_read(timeout=0):
            reply = pubsub.parse_response(block=False, timeout=self._patience)
            if reply in (pubsub.HEALTH_CHECK_MESSAGE, pubsub.health_check_response_b):
                # Older versions of redis-py do not recognize it as text
                pubsub.health_check_response_counter -= 1
            elif reply is not None:
                self._failures = 0
                return reply
        self._failures = 0
        return None

    def _check_health(self) -> None:
        """Have redis-py send a PING if a health check is due, and see that the host answers in time."""
        pubsub, now = self._pubsub, time.monotonic()
        if not pubsub.health_check_response_counter:
            self._asked = None
            pubsub.check_health()
            if pubsub.health_check_response_counter:
                # redis-py looks once more before it reads the answer, and would send another PING
                pubsub.connection.next_health_check = now + pubsub.connection.health_check_interval
        elif self._asked is None:
            self._asked = now
        elif now - self._asked > self._patience and not pubsub.connection.can_read(timeout=0):
            raise self._late()

    def _names(self) -> list[bytes]:
        kept = [key_bytes(name) for kept in KEPT.values() for name in getattr(self._pubsub, kept)]
        return kept + [key_bytes(name) for names in self._wanted.values() for name in names]

    # Losing -----------------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, kind: str, names: Iterable[Any]) -> HostError:
        self._forget_ending()
        self._disconnect()
        return super()._failed(error, kind, names)

    def _forget_ending(self) -> None:
        """Have redis-py forget subscriptions that were about to end, or it would subscribe again."""
        for kept in KEPT.values():
            ending: set[Any] = getattr(self._pubsub, f"pending_unsubscribe_{kept}")
            for name in ending:
                getattr(self._pubsub, kept).pop(name, None)
            ending.clear()
        self._note_names()

    def _note_names(self) -> None:
        if not any(getattr(self._pubsub, kept) for kept in KEPT.values()):
            self._pubsub.subscribed_event.clear()

    def _disconnect(self) -> None:
        self._asked, self._pubsub.health_check_response_counter = None, 0
        for connection in (self._pubsub.connection, self._pool.ready):
            if connection is not None:
                with suppress(Exception):
                    connection.disconnect()
        ready, self._pool.ready = self._pool.ready, None
        if ready is not None:
            self._pool.release(ready)

    def close(self) -> None:
        """End all subscriptions, and close the connection. A connection that is being opened is not waited for."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.give_up()
        for names in self._wanted.values():
            names.clear()
        self._disconnect()
        self._pubsub.close()
