"""The Redis engine: one host of Redis, Valkey or anything else that speaks their protocol, through redis-py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import redis

from nydus_core.command import Command, Dispatch
from nydus_core.engines import MAX_CONNECTIONS, Batch, SurfaceFactory, name_of
from nydus_core.errors import HostDown
from nydus_core.sockets import LARGE
from nydus_redis import options as host_options
from nydus_redis.commands import READING, RedisCommand, UnreadableReply
from nydus_redis.connection import (
    ANSWERS,
    FAILURES,
    Connections,
    GivenConnections,
    OwnConnections,
    as_client_error,
    await_reply,
    link_of,
    read_reply,
    says_goodbye,
    says_later,
    write,
)
from nydus_redis.engine.batch import RedisBatch, TransactionBatch
from nydus_redis.engine.host import RedisHost
from nydus_redis.surface import host_client, surfaces

__all__ = ["Redis"]


class Redis(RedisHost):
    """A Redis or Valkey host.

    Every option of ``redis.Redis`` may be given, except for retries: only the cluster decides whether a command is sent
    again. Connections are pooled and shared by threads; a pool connects at first use.

    Parameters:
        num: The key of the host in the settings.
        host: The name or address of the host.
        port: The port.
        db: The number of the database.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        password: The password. It is never shown.
        unix_socket_path: The path of a unix socket, instead of host and port.
        identifier: The name of the host for the ``consistent`` router; by default ``redis://host:port/db``, as in
            nydus 0.11.
        options: Further options of ``redis.Redis``:

            - ``max_connections``: the most connections at once, by default 100. More threads wait in line.

    Raises:
        ConfigError: An option would break a promise of the cluster.
    """

    async_side: ClassVar[type[Any] | str | None] = "nydus_redis.engine.AsyncRedis"

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        self._client = redis.Redis(**host_options.client_options(options))
        pool: Any = self._client.connection_pool
        connection_options: Mapping[str, Any] = pool.connection_kwargs
        if options.get("connection_pool") is None:
            size, patience = options.get("max_connections"), connection_options.get("socket_timeout")
            self.connections = self._own(pool, size or MAX_CONNECTIONS, patience)
        else:
            self.connections = GivenConnections(pool)
        return connection_options

    def _own(self, redis_py: redis.ConnectionPool, size: int, patience: float | None) -> Connections:
        return OwnConnections(redis_py, size, patience, self.redactor)

    @property
    def pool(self) -> redis.ConnectionPool:
        """redis-py's pool."""
        return self.connections.redis_py

    @property
    def connection(self) -> redis.Redis:
        """A client of redis-py that sends to this host at once, whatever the cluster knows of it."""
        return host_client(self, self._wire_options, self.call)

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return the maker of surfaces: objects with all methods of ``redis.Redis``."""
        return surfaces(options)

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return a client of this host, a ``redis.Redis``; pipelines and subscriptions work on it too."""
        return host_client(self, self._wire_options, dispatch, make_surface)

    def close(self) -> None:
        """Close the connections of the pool. A later command opens new ones."""
        self.connections.close()

    def drop_idle(self) -> None:
        """Close the idle connections: the host was found down."""
        self.connections.drop_idle()

    def retire(self) -> None:
        """Close the idle connections of the pool, and each connection in use when it is given back."""
        self.connections.retire()

    def probe(self) -> None:
        """Find out whether the host is up: send PING. The host is up if it answers anything but "later".

        Raises:
            Exception: The host is down.
        """
        connection = self.connections.open()  # not one that was open: a host may be up while those are dead
        try:
            connection.send_command("PING", check_health=False)
            try:
                connection.read_response(disconnect_on_error=False)
            except ANSWERS as answer:
                if says_later(answer):
                    raise
        finally:
            self.connections.shut(connection)

    def flush(self) -> None:
        """Delete all keys of the host's database."""
        self._client.flushdb()

    def call(self, command: Command) -> Any:
        """Send one command and return the value. See ``nydus_core.Engine.call``."""
        assert isinstance(command, RedisCommand)
        connections, waits = self.connections, command.waits
        pool = connections.blocking if waits else connections.commands
        try:
            connection = pool.take()
        except FAILURES as error:
            raise self.failed(HostDown, error, command) from error
        clean = False
        try:
            request = command.packed
            is_special = waits or len(request) > LARGE or not READING.isdisjoint(command.kwargs)
            link = None if is_special else link_of(connection)
            if link is None:
                write(connection, request)
                if waits and self.timeout is not None:
                    await_reply(connection, self.timeout + waits)
                reply = read_reply(connection, command)
            else:
                reply = link.ask(request)
                if isinstance(reply, Exception):
                    raise reply
            value = command.parsed(reply)
            clean = True
            return command.signed(value, name_of(self)) if command.gives else value
        except ANSWERS as answer:
            clean = not (connections.moves.heard(answer) or says_goodbye(answer))
            raise
        except FAILURES as error:
            clean = isinstance(error, UnreadableReply)
            if not clean:
                connections.drop_idle()  # they are as dead, if a firewall has forgotten them
            cause = self.cause_of(as_client_error(error), len(command.packed))
            raise self.failed(self.kind_of(cause), cause, command) from cause
        finally:
            pool.give(connection, clean=clean)

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare some commands to be sent as one pipeline; with MULTI and EXEC around them for a transaction."""
        return (TransactionBatch if transaction else RedisBatch)(self, self.connections, commands)
