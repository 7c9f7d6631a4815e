"""The embedded engine for asyncio: each host is a private, real server that ends with the process. No loop is blocked."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, ClassVar

from nydus_core.aio import in_worker
from nydus_core.threads import in_thread
from nydus_redis.connection import waiting
from nydus_redis.embedded.blocking import EmbeddedHost
from nydus_redis.engine import AsyncRedis

__all__ = ["AsyncEmbedded"]


class AsyncEmbedded(EmbeddedHost, AsyncRedis):
    """A private Redis or Valkey server and a host on it, for asyncio. See ``Embedded``.

    Parameters:
        num: The key of the host in the settings.
        db: The number of the database.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        config: Settings of redis.conf, such as ``{'maxmemory': '64mb'}``.
        identifier: The name of the host for the ``consistent`` router; by default ``embedded://num/db``.
        options: Further options of ``redis.asyncio.Redis``.

    Raises:
        ConfigError: No server was found, or an option or setting makes no sense.
    """

    sync_side: ClassVar[type[Any] | str | None] = "nydus_redis.embedded.Embedded"

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        connection_options = super()._prepare(options)
        self._leaving = threading.RLock()  # a finalizer may come in between
        self._template.connection_class = waiting(self._template.connection_class, self._wait)
        return connection_options

    async def _wait(self) -> None:
        """Wait until the server answers, in a thread."""
        served = self._served
        if not served.answers:
            served.need()
            await in_worker(served.wait)

    async def probe(self) -> None:
        """Find out whether the server is up."""
        self._served.answers = False
        await super().probe()

    async def aclose(self) -> None:
        """Close the connections and stop the server. Its data are gone, and later commands fail."""
        await super().aclose()
        self._served.answers, self._served.ended = False, True
        await in_worker(self._served.end)

    def retire(self) -> None:
        """Stop the server as soon as no connection is in use, in any event loop."""
        self._retired = True
        self._loops_in_use = len(self._own)
        if self._loops_in_use:
            self._own.in_each(lambda own: own.retire(self._leave))
        else:
            self._stop()

    def _leave(self) -> None:
        """Note that no connection is in use in an event loop. Each loop may have a thread of its own."""
        with self._leaving:
            self._loops_in_use -= 1
            last = not self._loops_in_use
        if last:
            self._stop()

    def _stop(self) -> None:
        if in_thread(self.server.stop) is None:
            self.server.stop()
