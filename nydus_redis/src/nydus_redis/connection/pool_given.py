"""The connections of a pool that the settings give, for blocking calls. It may belong to others too, and is used as it is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import redis

from nydus_core.engines import Turn
from nydus_core.threads import renew_after_fork
from nydus_redis.connection.pool import Connections
from nydus_redis.connection.replies import only_pushes

__all__ = ["GivenConnections"]


class GivenConnections(Connections):
    """The connections of a pool that the settings gave. It is used as it is, and never closed from here.

    Parameters:
        redis_py: redis-py's pool.
    """

    def __init__(self, redis_py: Any) -> None:
        super().__init__()
        self.redis_py = self.held = redis_py
        self.commands = self.blocking = _GivenPool(redis_py)

    def open(self) -> Any:
        """Take a connection, and connect it anew."""
        connection = self.commands.take()
        try:
            connection.disconnect()
            connection.connect()
        except BaseException:
            self.commands.give(connection, clean=False)
            raise
        return connection

    def shut(self, connection: Any) -> None:
        """Close a connection, and give it back."""
        self.commands.give(connection, clean=False)

    def drop_idle(self) -> None:
        """Do nothing: the pool belongs to others too. redis-py connects a dead connection anew, when it was found dead."""

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """Do nothing: the pool belongs to others too."""


class _GivenPool:
    """A pool of redis-py, with the calls of ``nydus_core.engines.SharedPool``.

    Parameters:
        redis_py: redis-py's pool.
    """

    def __init__(self, redis_py: Any) -> None:
        self._redis_py = redis_py
        renew_after_fork(self)

    def after_fork(self) -> None:
        """In a child process: wait for no thread of the parent, which may have held a lock at the fork.

        redis-py opens new connections there.
        """
        for name in ("_lock", "_fork_lock"):
            if hasattr(self._redis_py, name):
                setattr(self._redis_py, name, threading.RLock())

    def take(self, turn: Turn | None = None) -> Any:
        """Take a connection that is ready to send.

        Raises:
            Exception: One of ``FAILURES``: there is no connection.
        """
        connection = self._redis_py.get_connection()
        try:
            self._have_in_step(connection)
            connection.check_health()
        except BaseException:
            self.give(connection, clean=False)
            raise
        return connection

    def _have_in_step(self, connection: Any) -> None:
        """Open a connection anew if an answer is pending on it that nobody waits for.

        redis-py does so too, but not where it expects push messages (about maintenance, by default over TCP).
        """
        expects_pushes = getattr(self._redis_py, "maint_notifications_enabled", None)
        if expects_pushes is None or not expects_pushes():
            return
        if connection.can_read() and not only_pushes(connection):
            connection.disconnect()
            connection.connect()
            if connection.can_read() and not only_pushes(connection):
                raise redis.ConnectionError("the server says more than it was asked for")

    def claim(self) -> Any | None:
        """Return None: redis-py's pool may connect, which takes time."""
        return None

    def give(self, connection: Any, *, clean: bool) -> None:
        """Give a connection back."""
        try:
            if not clean:
                connection.disconnect()
        finally:
            self._redis_py.release(connection)
