"""The connections of one host in one event loop: connections of ``redis.asyncio``, in a pool of our own.

redis-py's pools are not used for commands. They refuse a task where all connections are in use, or let later tasks overtake
waiting tasks. And giving a connection back has to be awaited, so it may be cancelled half-way.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import redis
import redis.asyncio

from nydus_core.aio import FairPool
from nydus_core.redaction import NO_SECRETS, Redactor
from nydus_core.sockets import LARGE
from nydus_redis.connection.limit_aio import Limit, listen
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.replies import FAILURES, as_client_error
from nydus_redis.connection.sockets import Discreet
from nydus_redis.connection.streams_aio import abort, shows_its_state, writer_of
from nydus_redis.connection.tls_aio import TlsContext

__all__ = ["PipelinePool", "RedisConnector", "heedful", "readable", "waiting"]

_ConnectionPool: Any = redis.asyncio.ConnectionPool  # has no types


class RedisConnector:
    """Opens, examines and closes connections of ``redis.asyncio``. See ``nydus_core.aio.Connector``.

    Parameters:
        connection_class: redis-py's class of the connections.
        options: The options of that class.
        moves: Tells whether the host became a replica.

    Attributes:
        held: A pool of redis-py without a limit, for connections that are held for long, as subscriptions do.
    """

    def __init__(self, connection_class: type[Any], options: Mapping[str, Any], moves: Moves) -> None:
        self._moves = moves
        self.held: Any = _ConnectionPool(connection_class=connection_class, max_connections=2**31, **options)
        #: Whether connections show which bytes are unread; else redis-py is asked, which takes longer. Set by ``open``.
        self._sees_bytes = True

    async def open(self) -> Any:
        """Open a connection: connect, and greet the server as redis-py does."""
        connection = self.held.make_connection()
        connection.nydus_count = self._moves.count
        try:
            await connection.connect()
            self._sees_bytes = shows_its_state(connection)
            if not await self._is_quiet(connection):
                raise redis.ConnectionError("the server says more than it was asked for")
            return connection
        except BaseException as error:
            abort(connection)
            hidden = error.__cause__
            if not (isinstance(error, redis.ConnectionError) and isinstance(hidden, redis.RedisError)):
                raise
        try:
            raise hidden  # over a unix socket redis-py hides the server's answer to the greeting
        finally:
            del hidden  # the error refers to this frame

    def is_in_step(self, connection: Any) -> bool:
        """Tell whether a connection is open and has no unread bytes, as far as the loop has read.

        A connection from before the host became a replica is not used again.
        """
        is_old = connection.nydus_count != self._moves.count or connection.nydus_stateful
        return not is_old and self._is_empty(connection)

    def _is_empty(self, connection: Any) -> bool:
        if not self._sees_bytes:
            return bool(connection.is_connected)  # unread bytes are looked for when it is taken
        stream, writer = connection._reader, connection._writer
        if stream is None or writer is None or writer.transport.is_closing():
            return False
        if stream.at_eof() or stream._buffer or stream.exception() is not None:
            return False
        parser = connection._parser
        hiredis = getattr(parser, "_reader", None)
        return not (getattr(parser, "_buffer", b"") if hiredis is None else hiredis.has_data())

    async def is_fresh(self, connection: Any) -> bool:
        """Tell whether an idle connection is still in step; ask the server, if ``health_check_interval`` says so."""
        if not (self.is_in_step(connection) and await self._is_quiet(connection)):
            return False
        if connection.health_check_interval:
            try:
                await connection.check_health()
            except (redis.RedisError, OSError):
                return False
        return True

    async def _is_quiet(self, connection: Any) -> bool:
        """Tell whether a connection is open and has no unread bytes. Bytes that the loop has not read yet count, too."""
        if not self._sees_bytes:
            return self._is_empty(connection) and not await _has_bytes(connection)
        if self._is_empty(connection) and readable(connection._writer.transport.get_extra_info("socket")):
            # The loop reads it, in the first turn perhaps behind this task; TLS has messages of its own
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return self._is_empty(connection)

    def shut(self, connection: Any) -> None:
        """Close a connection at once."""
        abort(connection)

    async def say_goodbye(self, connection: Any) -> None:
        """Close an idle connection properly."""
        with contextlib.suppress(redis.RedisError, OSError):
            await connection.disconnect()

    def exhausted(self, why: str) -> Exception:
        """Make the error for a task that waited for a connection in vain."""
        return redis.ConnectionError(f"Too many connections: {why} (max_connections)")


def heedful(connection_class: type[Any], redactor: Redactor = NO_SECRETS) -> type[Any]:
    """Return a subclass of a connection class that loses no cancellation, and shows no secrets when it cannot connect.

    redis-py sends with ``asyncio.wait_for``. Before Python 3.12 this function ignores a cancellation that comes while it ends,
    and the task would go on as if nobody had cancelled it.

    Parameters:
        connection_class: redis-py's class.
        redactor: The redactor of the host.
    """
    return type(
        connection_class.__name__,
        (_Heedful, connection_class),
        {"nydus_redactor": redactor, "nydus_tls": TlsContext()},
    )


class _Heedful(Discreet):
    """Mixed into redis-py's connection classes."""

    socket_timeout: float | None
    is_connected: bool
    check_health: Callable[[], Awaitable[None]]

    nydus_tls: TlsContext

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        try:
            await self.nydus_tls.lend(self)
            await super().connect(*args, **kwargs)  # type: ignore[misc]
        except Exception as error:
            self.nydus_told(error)
            raise
        self.nydus_stateful = False  # that was the greeting
        listen(self)

    #: The size of a large request that was sent, until an answer is waited for.
    nydus_sent = 0

    async def send_packed_command(self, command: Any, *args: Any, **kwargs: Any) -> None:
        """Send a request. A large request may take as long as the server takes more."""
        task = asyncio.current_task()
        before = task.cancelling() if task is not None else 0
        size = len(command) if isinstance(command, str | bytes) else sum(map(len, command))
        try:
            if size <= LARGE:
                await super().send_packed_command(command, *args, **kwargs)  # type: ignore[misc]
            else:
                await self._nydus_send_large(command, size, *args, **kwargs)
        except Exception:
            _mind(task, before, self)
            raise
        _mind(task, before, self)

    async def _nydus_send_large(self, command: Any, size: int, check_health: bool = True) -> None:
        if not self.is_connected:
            await self.connect()
        if check_health:
            await self.check_health()
        writer = writer_of(self)
        if writer is None:
            await super().send_packed_command(command, False)  # type: ignore[misc]
            return
        limit = Limit(self, self.socket_timeout)
        try:
            writer.write(command if isinstance(command, bytes) else b"".join(command))
            limit.wrote(size)
            self.nydus_sent = size
            await writer.drain()
            if limit.over:
                raise TimeoutError
        except (OSError, TimeoutError) as error:
            abort(self)
            raise limit.cause(as_client_error(error)) from error
        except BaseException:
            abort(self)
            raise
        finally:
            limit.cancel()

    async def read_response(
        self, disable_decoding: bool = False, timeout: float | None = None, **options: Any
    ) -> Any:
        """Read an answer. redis-py wants all of it within ``socket_timeout``; here each part that comes renews the time."""
        if timeout is not None or not self.socket_timeout:
            return await super().read_response(disable_decoding, timeout, **options)  # type: ignore[misc]
        limit = Limit(self, self.socket_timeout)
        if self.nydus_sent:
            size, self.nydus_sent = self.nydus_sent, 0
            limit.wrote(size)
        try:
            return await super().read_response(disable_decoding, math.inf, **options)  # type: ignore[misc]
        except FAILURES as error:
            cause = limit.cause(error)
            if cause is error:
                raise
            raise cause from error
        finally:
            limit.cancel()


def _mind(task: asyncio.Task[Any] | None, before: int, connection: Any) -> None:
    """Raise ``CancelledError`` if the task was cancelled meanwhile."""
    if task is not None and task.cancelling() > before:
        abort(connection)
        raise asyncio.CancelledError


def waiting(connection_class: type[Any], wait: Callable[[], Awaitable[None]]) -> type[Any]:
    """Return a subclass of a connection class that waits for something before it connects.

    Parameters:
        connection_class: redis-py's class.
        wait: The function that waits. If it fails, connecting raises a ``redis.ConnectionError`` with that error as its cause.
    """

    class Waiting(connection_class):  # type: ignore[misc]
        async def connect(self) -> None:
            if not self.is_connected:
                try:
                    await wait()
                except Exception as error:
                    raise redis.ConnectionError(error) from error
            await super().connect()

    return Waiting


async def _has_bytes(connection: Any) -> bool:
    """Ask redis-py whether a connection has unread bytes, or was closed by the server."""
    look = getattr(connection, "can_read", None) or connection.can_read_destructive  # before redis-py 8
    try:
        return bool(await look())
    except (redis.RedisError, OSError):
        return True


def readable(sock: Any) -> bool:
    """Tell whether bytes have come, or the end of the connection, that the event loop has not seen yet."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


class PipelinePool(_ConnectionPool):  # type: ignore[misc]
    """A pool of redis-py's kind for its pipelines on one host. It takes connections from the pool for commands.

    Parameters:
        pool: The pool for commands.
        template: A pool of redis-py with the same settings.
    """

    def __init__(self, pool: FairPool[Any], template: Any) -> None:
        options = dict(template.connection_kwargs)
        super().__init__(connection_class=template.connection_class, **options)
        self._pool = pool

    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Take a connection."""
        return await self._pool.take()

    async def release(self, connection: Any) -> None:
        """Give a connection back. redis-py has closed it if anything went wrong."""
        self._pool.give(connection, clean=True)
