"""The connections to one host, for blocking calls: redis-py's connections, in pools in which no command gets the answer to another.

Commands that wait for long at the server, such as BLPOP, have a pool of their own: however many wait, other commands find a
connection. ``pool_given`` has the other kind: a pool that the settings give, which is used as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakSet

import redis

from nydus_core.engines import SharedPool, retire_all
from nydus_core.redaction import NO_SECRETS, Redactor
from nydus_redis.commands import BlockingCommand
from nydus_redis.connection.connector import PooledConnector, discreet
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.sockets import shut

__all__ = ["Connections", "OwnConnections", "waits_among"]


def waits_among(items: Sequence[Any]) -> bool:
    """Tell whether the server may hold back the answer to any of some commands, or drafts, because the command asks for it."""
    if BlockingCommand not in set(map(type, items)):
        return False
    return any(type(item) is BlockingCommand and item.waits for item in items)


class Connections:
    """The connections to one host. Threads may share them.

    Attributes:
        redis_py: A pool of redis-py on the connections for commands, for redis-py's own clients and pipelines.
        commands: The pool for commands.
        blocking: The pool for commands that wait at the server.
        held: A pool of redis-py without a limit, for connections that are held for long, as by subscriptions.
        moves: Is told the answers of the host, and whether it is a replica.
        subscribers: The subscriptions, each with its ``connection``.
    """

    redis_py: redis.ConnectionPool
    commands: Any
    blocking: Any
    held: redis.ConnectionPool

    def __init__(self) -> None:
        self.subscribers: WeakSet[Any] = WeakSet()
        self.moves = Moves()

    def take(self) -> Any:
        """Take a connection for commands. See ``nydus_core.engines.SharedPool.take``."""
        return self.commands.take()

    def give(self, connection: Any, *, clean: bool) -> None:
        """Give a connection for commands back. It is closed unless ``clean`` says that all replies were read."""
        self.commands.give(connection, clean=clean)

    def open(self) -> Any:
        """Open a connection for a probe, without waiting for one that is in use."""
        raise NotImplementedError

    def shut(self, connection: Any) -> None:
        """Close a connection that was opened for a probe."""
        raise NotImplementedError

    def drop_idle(self) -> None:
        """Close the idle connections: the host, or the way to it, was found out of order."""
        raise NotImplementedError

    def close(self) -> None:
        """Close the idle connections, and those of subscriptions; connections in use are closed when they are given back.

        A later command opens new ones. A subscription reports that it was lost, if it is read again, and begins anew.
        """
        for subscriber in list(self.subscribers):
            if subscriber.connection is not None:
                shut(subscriber.connection)

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """Close the idle connections, and each connection in use when it is given back.

        Parameters:
            then: Called when no connection is in use any more.
        """
        raise NotImplementedError


class OwnConnections(Connections):
    """Connections that belong to one host alone.

    Parameters:
        redis_py: The pool that redis-py has made of the settings. It becomes a pool on top of the pool for commands.
        size: The most connections for commands, and as many for commands that wait at the server.
        patience: Seconds that a thread waits in line for a connection; None for no limit.
        redactor: Takes the host's secrets out of the errors of connecting.
        before: Is called before a connection is opened.
    """

    def __init__(
        self,
        redis_py: Any,
        size: int,
        patience: float | None,
        redactor: Redactor = NO_SECRETS,
        before: Callable[[], object] | None = None,
    ) -> None:
        super().__init__()
        redis_py.connection_class = discreet(redis_py.connection_class, redactor, before)
        self._connector = PooledConnector(redis_py, self.moves)
        self.commands: SharedPool[Any] = SharedPool(self._connector, size, patience)
        self.blocking: SharedPool[Any] = SharedPool(self._connector, size, patience)
        self.held = _HeldPool(redis_py, self._connector)
        # redis-py has told others of this very pool: those that renew a token, and those that hear of maintenance
        redis_py.__class__ = _CommandPool
        redis_py.nydus_pools = self.commands, self.blocking
        self.redis_py = redis_py

    def open(self) -> Any:
        """Open a connection for a probe. It is not counted."""
        return self._connector.open()

    def shut(self, connection: Any) -> None:
        """Close a connection that was opened for a probe."""
        self._connector.shut(connection)

    def drop_idle(self) -> None:
        """Close the idle connections: the host, or the way to it, was found out of order."""
        self.commands.drop_idle()
        self.blocking.drop_idle()

    def close(self) -> None:
        """Close all connections, those in use when they are given back. See ``Connections.close``."""
        self.commands.drop()
        self.blocking.drop()
        super().close()

    def retire(self, then: Callable[[], object] | None = None) -> None:
        """Close all connections, those in use when they are given back, and keep none from now on."""
        retire_all([self.commands, self.blocking], then)


class _CommandPool(redis.ConnectionPool):
    """A pool of redis-py's kind, on top of pools of our own: for redis-py's clients and pipelines on one host.

    Attributes:
        nydus_pools: The pools for commands, and for commands that wait at the server.
    """

    nydus_pools: tuple[SharedPool[Any], SharedPool[Any]]

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Take a connection for commands."""
        return self.nydus_pools[0].take()

    def release(self, connection: Any) -> None:
        """Give a connection back. redis-py has closed it if anything went wrong."""
        self.nydus_pools[0].give(connection, clean=True)

    def disconnect(self, inuse_connections: bool = True) -> None:
        """Close the idle connections, and the others when they are given back."""
        for pool in self.nydus_pools:
            if inuse_connections:
                pool.drop()
            else:
                pool.drop_idle()

    def reset(self) -> None:
        """Begin anew, as redis-py does in a child process: our pools have done so themselves."""

    def re_auth_callback(self, token: Any) -> None:
        """Use a new token: connections from before are closed as they fall out of use, and new ones greet with the token."""
        self.disconnect()

    def _get_free_connections(self) -> Any:
        return [connection for pool in self.nydus_pools for connection in pool.idle]

    def _get_in_use_connections(self) -> Any:
        return {connection for pool in self.nydus_pools for connection in pool.in_use}

    _available_connections = property(_get_free_connections)
    _in_use_connections = property(_get_in_use_connections)


class _HeldPool(redis.ConnectionPool):
    """A pool of redis-py's kind without a limit, which keeps no idle connections: each is used by one holder, for long.

    Parameters:
        redis_py: A pool of redis-py with the same settings.
        connector: Opens the connections.
    """

    def __init__(self, redis_py: Any, connector: PooledConnector) -> None:
        super().__init__(connection_class=redis_py.connection_class, **redis_py.connection_kwargs)
        self._connector = connector

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Open a connection."""
        return self._connector.open()

    def release(self, connection: Any) -> None:
        """Close a connection."""
        connection.disconnect()
