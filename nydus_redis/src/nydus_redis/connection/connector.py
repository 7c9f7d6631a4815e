"""Opens, examines and closes redis-py's connections, with blocking calls: they are kept in a pool of our own.

redis-py opens connections and greets the server. redis-py's pool is not used for commands. It refuses a thread where all
connections are in use, holds a lock over Python code, and counts commands that wait for long with all others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import redis

from nydus_core.redaction import NO_SECRETS, Redactor
from nydus_core.sockets import LARGE
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.replies import FAILURES, only_pushes
from nydus_redis.connection.sockets import Discreet, in_time, is_closed, shows_its_state
from nydus_redis.connection.writing import piecemeal

__all__ = ["PooledConnector", "discreet"]


class PooledConnector:
    """Makes connections of redis-py. See ``nydus_core.engines.BlockingConnector``.

    Parameters:
        redis_py: redis-py's pool, which knows the class and the options of the connections.
        moves: Tells whether the host became a replica.
    """

    def __init__(self, redis_py: redis.ConnectionPool, moves: Moves) -> None:
        self._redis_py: Any = redis_py
        self._moves = moves
        #: Whether it may take time to find out whether an idle connection is alive.
        self.asks = bool(redis_py.connection_kwargs.get("health_check_interval"))
        expects_pushes = getattr(redis_py, "maint_notifications_enabled", None)
        self._expects_pushes = bool(expects_pushes is not None and expects_pushes())
        self._may_reconnect = hasattr(redis_py.connection_class, "should_reconnect")  # since redis-py 7

    def open(self) -> Any:
        """Open a connection: connect, and greet the server as redis-py does."""
        count = self._moves.count
        connection = self._redis_py.connection_class(**self._redis_py.connection_kwargs)
        connection.nydus_count = count
        try:
            with in_time(connection):
                connection.connect()
            self.asks = self.asks or not shows_its_state(connection)
            if self._has_bytes(connection):
                raise redis.ConnectionError("the server says more than it was asked for")
        except BaseException:
            # redis-py would take it for an open one, and go on in the middle of the greeting
            connection.disconnect()
            raise
        return connection

    def is_in_step(self, connection: Any) -> bool:
        """Tell whether a connection is open, from the server that the host is by now, and not to be opened anew.

        Bytes that nobody has read are looked for when it is taken.
        """
        return (
            connection.nydus_count == self._moves.count
            and not connection.nydus_stateful
            and not is_closed(connection)
            and not (self._may_reconnect and connection.should_reconnect())
        )

    def is_fresh(self, connection: Any) -> bool:
        """Tell whether an idle connection is still in step: no answer is pending on it that nobody waits for."""
        try:
            return self.is_in_step(connection) and not self._has_bytes(connection)
        except FAILURES:
            return False

    def is_alive(self, connection: Any) -> bool:
        """Ask the server, if ``health_check_interval`` says so."""
        if not self.asks:
            return True
        try:
            connection.check_health()
        except FAILURES:
            return False
        return True

    def _has_bytes(self, connection: Any) -> bool:
        link = connection.nydus_link
        found = connection.can_read() if link is None else link.has_bytes(connection)
        return bool(found) and not (self._expects_pushes and only_pushes(connection))

    def shut(self, connection: Any) -> None:
        """Close a connection at once."""
        connection.disconnect()

    def forget(self, connection: Any) -> None:
        """Let go of a connection of the parent process: redis-py closes the socket of this process, and says nothing."""
        connection.disconnect()

    def exhausted(self, why: str) -> Exception:
        """Make the error for a caller that got no connection."""
        return redis.ConnectionError(f"Too many connections: {why} (max_connections)")


def discreet(
    connection_class: type[Any], redactor: Redactor = NO_SECRETS, before: Callable[[], object] | None = None
) -> type[Any]:
    """Return a subclass of a connection class that shows no secrets when it cannot connect, and has room for a permit.

    Parameters:
        connection_class: redis-py's class.
        redactor: The redactor of the host.
        before: Is called before it connects.
    """
    body = {"nydus_redactor": redactor, "nydus_before": staticmethod(before or _nothing)}
    return type(connection_class.__name__, (_Pooled, connection_class), body)


def _nothing() -> None:
    """Do nothing before a connection is opened."""


class _Pooled(Discreet):
    """Mixed into redis-py's connection classes.

    Attributes:
        nydus_before: Is called before it connects.
        nydus_permit: Belongs to the pool.
        nydus_link: The short way to the replies, once it was asked for: see ``link_of``.
        nydus_count: The count of the host's moves when it was opened.
    """

    nydus_before: Callable[[], object]
    nydus_permit: Any = None
    nydus_link: Any = None
    nydus_count = 0

    def connect(self, *args: Any, **kwargs: Any) -> None:
        if is_closed(self):
            self.nydus_link = None
            self.nydus_before()
        try:
            super().connect(*args, **kwargs)  # type: ignore[misc]
        except Exception as error:
            self.nydus_told(error)
            raise
        self.nydus_stateful = False  # that was the greeting

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send a request. Its large pieces may take as long as the server takes more: see ``piecemeal``."""
        if type(command) is not list or len(command) != 1 or len(command[0]) > LARGE:
            command = piecemeal(self, [command] if isinstance(command, str) else command)
        super().send_packed_command(command, check_health)  # type: ignore[misc]
