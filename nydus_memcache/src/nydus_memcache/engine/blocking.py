"""The memcached engine: one host of memcached, or another server that speaks the same text protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any, ClassVar

from pymemcache.client.base import PooledClient

from nydus_core.command import Command
from nydus_core.drafts import items_of
from nydus_core.engines import MAX_CONNECTIONS, Batch, SerialBatch, SharedPool, SurfaceFactory
from nydus_core.errors import HostDown, MaybeApplied
from nydus_memcache import options as host_options
from nydus_memcache.commands import MemcacheCommand, Plain
from nydus_memcache.connection import Link, LinkConnector
from nydus_memcache.engine.batch import MemcacheBatch
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.errors import FAILURES, ServerFull
from nydus_memcache.surface import Surfaces

__all__ = ["Memcache"]


class Memcache(MemcacheHost):
    """A memcached host.

    The commands, options, serdes and errors are pymemcache's. The connections are Nydus's own, because pymemcache's client
    sends and waits in one step. After an error it knows neither whether a command was sent nor the outcomes of the other
    commands of a ``set_many``.

    Values are ``bytes``, ``str`` and ``int``; see ``serde`` and ``pickle`` for others. Threads share a pool of
    connections, which connects at first use.

    Parameters:
        num: The key of the host in the settings.
        host: The name or address of the server.
        port: The port of the server.
        unix_socket_path: The unix socket of the server, instead of host and port.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        connect_timeout: Seconds that connecting may take, if not ``timeout``.
        identifier: The name that the ``consistent`` router hashes; by default ``memcache://host:port/``, as in nydus 0.11,
            or ``memcache:///path`` of the unix socket.
        options: Further options, those of pymemcache's ``PooledClient``:

            - ``key_prefix``: put before each key on its way to the server. Routers do not see it.
            - ``allow_unicode_keys``: whether keys may be any text, as UTF-8, and not only ASCII.
            - ``serde`` (or ``serializer`` and ``deserializer``): turns values into bytes and back, with ``encoding`` for
              text that the serde returns. ``pickle``, an option of Nydus: use pymemcache's ``pickle_serde``, where all who
              can write to the servers are trusted.
            - ``max_pool_size``: the most connections at once, by default 100. Threads beyond wait in line.
            - ``pool_idle_timeout``: seconds until a connection that is not used is closed; 0 for never.
            - ``no_delay`` (here True by default), ``socket_keepalive``, ``tls_context``.
            - ``lock_generator``: for the client of pymemcache behind ``connection``. The engine needs no lock.

    Raises:
        ConfigError: An option would undo a promise of the cluster (``default_noreply``, ``ignore_exc``), or makes no
            sense.
    """

    async_side: ClassVar[type[Any] | str | None] = "nydus_memcache.engine.AsyncMemcache"

    def _prepare(self) -> None:
        self._client: PooledClient | None = None
        self._making = Lock()
        self.pool: SharedPool[Link] = SharedPool(
            LinkConnector(self.address, self.options.get("pool_idle_timeout", 0)),
            self.options.get("max_pool_size") or MAX_CONNECTIONS,
            self.timeout,
        )

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return a factory of surfaces: objects with the methods of ``pymemcache.Client``."""
        return Surfaces(options)

    @property
    def connection(self) -> PooledClient:
        """A plain pymemcache client of this host, with a pool of its own; the cluster does not use it."""
        with self._making:
            if self._client is None:
                self._client = PooledClient(
                    self.address.server,
                    connect_timeout=self.connect_timeout,
                    timeout=self.timeout,
                    **host_options.client_options(self.options),
                )
            return self._client

    def close(self) -> None:
        """Close all connections. A later command opens new ones."""
        self.pool.drop()
        self._close_client()

    def _close_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def probe(self) -> None:
        """Find out whether the host is up: ask for the server's version.

        Raises:
            Exception: The host is not up.
        """
        command = Plain("version", b"version", (), (), b"version\r\n")
        link = self.pool.open()  # not one that was open: a host may be up while its connections are dead
        try:
            link.send(command.request)
            self.value(command, command.read(link))
        except FAILURES as error:
            cause = link.why(error)
            if cause is error:
                raise
            raise cause from error
        finally:
            self.pool.shut(link)

    def flush(self) -> None:
        """Delete all items of the host."""
        self.call(Plain("flush_all", b"flush_all", (), (), b"flush_all\r\n"))

    def drop_idle(self) -> None:
        """Close the idle connections: the host was found down."""
        self.pool.drop_idle()

    def retire(self) -> None:
        """Close the idle connections now, and the ones in use when they are given back."""
        self.pool.retire()
        self._close_client()

    def call(self, command: Command) -> Any:
        """Do one command and return its value. See ``nydus_core.Engine.call``."""
        assert isinstance(command, MemcacheCommand)
        request = command.request
        if not request:
            return self.value(command, None)
        pool = self.pool
        try:
            link = pool.claim() or pool.take()
        except FAILURES as error:
            raise self.failed(HostDown, error, command) from error
        clean = False
        try:
            link.send(request)
            answer = command.read(link)
            if link.unsent:
                link.flush()
            clean = True
        except FAILURES as error:
            cause = link.why(error)
            sent = link.sent and not isinstance(cause, ServerFull)
            if not isinstance(cause, ServerFull):
                pool.drop_idle()  # they are as dead, if a firewall has forgotten them
            raise self.failed(MaybeApplied if sent else HostDown, cause, command) from cause
        finally:
            pool.give(link, clean=clean)
        return self.value(command, answer)

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare some commands to be sent together."""
        if any(
            issubclass(kind, MemcacheCommand) and kind.ends_link
            for kind in set(map(type, items_of(commands)))
        ):
            return SerialBatch(self, commands)
        return MemcacheBatch(self, self.pool, commands)
