"""The connections to one host, for blocking calls: redis-py's pool, in which no command gets the answer to another.

redis-py opens connections, greets the server and keeps idle connections. This module sees to it that nothing is unread on a
connection that is taken, and that a connection is closed if its replies were not read when it is given back.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

import redis

from nydus_core.redaction import NO_SECRETS, Redactor
from nydus_core.threads import renew_after_fork
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.patience import allow_connecting, free_locks, no_connecting, patient, shut
from nydus_redis.connection.replies import FAILURES, only_pushes

__all__ = ["Pool"]


class Pool:
    """The connections to one host. Threads may share it.

    Parameters:
        redis_py: redis-py's pool.
        own: Whether the pool belongs to this host alone. A pool that the settings gave is never closed from here.
        redactor: Takes the host's secrets out of the errors of connecting.

    Attributes:
        redis_py: redis-py's pool.
        moves: Is told the answers of the host, and whether it is a replica.
        subscribers: The subscriptions, each with its ``connection``, that hold a connection of the pool.
    """

    def __init__(self, redis_py: redis.ConnectionPool, *, own: bool, redactor: Redactor = NO_SECRETS) -> None:
        self.subscribers: WeakSet[Any] = WeakSet()
        self.redis_py = redis_py
        self._own = own
        self._retired = False
        self.moves = Moves()
        if own:
            redis_py.connection_class = patient(redis_py.connection_class, self.moves, redactor)
        self._may_claim = own and not redis_py.connection_kwargs.get("health_check_interval")
        renew_after_fork(self)

    def after_fork(self) -> None:
        """In a child process: wait for no thread of the parent. redis-py opens new connections there."""
        free_locks(self.redis_py)

    def take(self) -> Any:
        """Take a connection that is ready to send; nothing of a command has been sent when this raises.

        A connection that the server has closed meanwhile, or that holds more bytes than were asked for, is replaced.

        Raises:
            Exception: One of ``FAILURES``: there is no connection.
        """
        allow_connecting()
        connection = self._in_step()
        try:
            connection.check_health()
        except BaseException:
            self._put_back(connection, clean=False)
            raise
        return connection

    def claim(self) -> Any | None:
        """Take an open connection without waiting; None if there is none, or if that is not certain."""
        if not self._may_claim:
            return None
        with no_connecting():
            try:
                return self._in_step()
            except FAILURES:
                return None

    def give(self, connection: Any, *, clean: bool) -> None:
        """Give a connection back.

        Parameters:
            connection: The connection.
            clean: Whether all replies were read. If not, the connection is closed.
        """
        self._put_back(connection, clean)

    def _put_back(self, connection: Any, clean: bool) -> None:
        try:
            if not clean or (self._retired and self._own):
                connection.disconnect()
        finally:
            self.redis_py.release(connection)

    def close(self) -> None:
        """Close the idle connections, unless the pool is not this host's own, and those of subscriptions.

        A later command opens new ones. A subscription reports that it was lost, if it is read again, and begins anew.
        """
        self._close_idle()
        for subscriber in list(self.subscribers):
            if subscriber.connection is not None:
                shut(subscriber.connection)

    def _close_idle(self) -> None:
        if self._own:
            self.redis_py.disconnect(inuse_connections=False)

    def retire(self) -> None:
        """Close the idle connections, and each connection in use when it is given back."""
        self._retired = True
        self._close_idle()

    def _in_step(self) -> Any:
        try:
            connection: Any = self.redis_py.get_connection()
        except BaseException as error:
            if not isinstance(error, redis.RedisError):
                # redis-py would take this connection for an open one, and go on in the middle of the greeting
                self.redis_py.disconnect(inuse_connections=False)
            raise
        try:
            self._have_in_step(connection)
        except BaseException:
            self._put_back(connection, clean=False)
            raise
        return connection

    def _have_in_step(self, connection: Any) -> None:
        """Open a connection anew if an answer is pending on it that nobody waits for.

        redis-py does so too, but not where it expects push messages (about maintenance, by default over TCP).
        """
        expects_pushes = getattr(self.redis_py, "maint_notifications_enabled", None)
        if expects_pushes is None or not expects_pushes():
            return
        if connection.can_read() and not only_pushes(connection):
            connection.disconnect()
            connection.connect()
            if connection.can_read() and not only_pushes(connection):
                raise redis.ConnectionError("the server says more than it was asked for")
