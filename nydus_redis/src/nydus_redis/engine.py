"""The Redis engine: one host of Redis, Valkey or anything else that speaks their protocol, through redis-py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import redis

from nydus_core.base_engine import BaseEngine
from nydus_core.batches import Batch
from nydus_core.command import Command, Dispatch
from nydus_core.engine import SurfaceFactory
from nydus_core.errors import HostDown, MaybeApplied
from nydus_redis import options as host_options
from nydus_redis.batch import RedisBatch, TransactionBatch
from nydus_redis.host import RedisHost
from nydus_redis.patience import no_connecting, patient
from nydus_redis.replies import ANSWERS, FAILURES, await_reply, only_pushes, read_reply, says_later
from nydus_redis.surface import host_client, surfaces
from nydus_redis.wire import RedisCommand, UnreadableReply

__all__ = ["Redis"]


class Redis(RedisHost, BaseEngine):
    """A Redis or Valkey host.

    Every option of ``redis.Redis`` may be given, but those for retries: the cluster alone decides what is sent
    again. Connections are pooled and shared by threads; a pool connects at first use.

    Parameters:
        num: The key of the host in the settings.
        host: Its name or address.
        port: Its port.
        db: The number of its database.
        timeout: Seconds that connecting, and waiting for an answer, may take; None for no limit.
        password: Its password. Never shown.
        unix_socket_path: Its unix socket, instead of host and port.
        identifier: What the ``consistent`` router knows it by; by default ``redis://host:port/db``, as in
            nydus 0.11.
        options: Further options of ``redis.Redis``.

    Raises:
        ConfigError: An option would undo what the cluster promises.
    """

    supports_pipelines: ClassVar[bool] = True
    async_side: ClassVar[type[Any] | str | None] = "nydus_redis.aio.engine.AsyncRedis"

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        self._client = redis.Redis(**host_options.client_options(options))
        self.pool: redis.ConnectionPool = self._client.connection_pool
        self._own_pool = options.get("connection_pool") is None
        if self._own_pool:
            self.pool.connection_class = patient(self.pool.connection_class)
        settled: Mapping[str, Any] = self.pool.connection_kwargs
        self._may_claim = self._own_pool and not settled.get("health_check_interval")
        return settled

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return what makes surfaces: objects with all methods of ``redis.Redis``."""
        return surfaces(options)

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return a client of this host, a ``redis.Redis``; pipelines and subscriptions work on it too."""
        return host_client(self, self._wire_options, dispatch)

    def connect(self) -> Any:
        """Return the client; its pool connects at first use."""
        return self._client

    def disconnect(self) -> None:
        """Close the connections of the pool, but not those in use, nor a pool that the settings gave."""
        if self._own_pool:
            self.pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Close the connections of the pool. A later command opens new ones."""
        self.disconnect()

    def retire(self) -> None:
        """Close the connections of the pool, and those in use when they are given back."""
        self._retired = True
        self.disconnect()

    def acquire(self) -> Any:
        """Take a connection that is ready to send; nothing of a command has been sent when this raises.

        One that the server has closed meanwhile, or has said more on than it was asked, is replaced.
        """
        connection = self._take()
        try:
            connection.check_health()
        except BaseException:
            self._give_back(connection, clean=False)
            raise
        return connection

    def claim(self) -> Any | None:
        """Take a connection that is open, without waiting for anything; None if there is none for certain."""
        if not self._may_claim:
            return None
        with no_connecting():
            try:
                return self._take()
            except FAILURES:
                return None

    def _take(self) -> Any:
        try:
            connection: Any = self.pool.get_connection()
        except BaseException as error:
            if not isinstance(error, redis.RedisError):
                # redis-py then keeps the connection as one that is open, and would go on in the middle of its greeting
                self.pool.disconnect(inuse_connections=False)
            raise
        try:
            self._have_in_step(connection)
        except BaseException:
            self._give_back(connection, clean=False)
            raise
        return connection

    def _have_in_step(self, connection: Any) -> None:
        """Open a connection anew if an answer that nobody waits for is pending on it.

        redis-py sees to it, but not where it expects push messages (of maintenance, by default over TCP).
        """
        expects_pushes = getattr(self.pool, "maint_notifications_enabled", None)
        if expects_pushes is None or not expects_pushes():
            return
        if connection.can_read() and not only_pushes(connection):
            connection.disconnect()
            connection.connect()
            if connection.can_read() and not only_pushes(connection):
                raise redis.ConnectionError("the server says more than it was asked for")

    def release(self, connection: Any, *, clean: bool) -> None:
        """Give a connection back; one that may still get an answer to what was sent is closed."""
        self._give_back(connection, clean)

    def _give_back(self, connection: Any, clean: bool) -> None:
        try:
            if not clean or (self._retired and self._own_pool):
                connection.disconnect()
        finally:
            self.pool.release(connection)

    def probe(self) -> None:
        """Find out whether the host is up: send PING. Any answer but "later" will do.

        Raises:
            Exception: It is not.
        """
        connection = self.acquire()
        clean = False
        try:
            connection.send_command("PING", check_health=False)
            try:
                connection.read_response(disconnect_on_error=False)
            except ANSWERS as answer:
                if says_later(answer):
                    raise
            clean = True
        finally:
            self.release(connection, clean=clean)

    def flush(self) -> None:
        """Delete all keys of the host's database."""
        self._client.flushdb()

    def call(self, command: Command) -> Any:
        """Do one command and return its value. See ``nydus_core.Engine.call``."""
        assert isinstance(command, RedisCommand)
        try:
            connection = self.acquire()
        except FAILURES as error:
            raise self.failed(HostDown, error, command) from error
        clean = False
        try:
            connection.send_packed_command([command.packed], check_health=False)
            if command.waits and self.timeout is not None:
                await_reply(connection, self.timeout + command.waits)
            value = command.parsed(read_reply(connection, command))
            clean = True
            return value
        except ANSWERS:
            clean = True
            raise
        except FAILURES as error:
            clean = isinstance(error, UnreadableReply)
            raise self.failed(MaybeApplied, error, command) from error
        finally:
            self.release(connection, clean=clean)

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare some commands to be sent as one pipeline; with MULTI and EXEC around them for a transaction."""
        return (TransactionBatch if transaction else RedisBatch)(self, commands)
