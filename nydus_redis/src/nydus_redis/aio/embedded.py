"""The embedded engine for asyncio: each host is a private, real server, gone with the process. Nothing here blocks a loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from nydus_core.aio.workers import in_worker
from nydus_core.command import Command
from nydus_core.errors import HostDown
from nydus_core.threads import in_thread
from nydus_redis.aio.engine import AsyncRedis
from nydus_redis.embedded import EmbeddedHost
from nydus_redis.replies import FAILURES

__all__ = ["AsyncEmbedded"]


class AsyncEmbedded(EmbeddedHost, AsyncRedis):
    """A private Redis or Valkey server and a host on it, for asyncio. See ``Embedded``.

    Parameters:
        num: The key of the host in the settings.
        db: The number of its database.
        timeout: Seconds that connecting, waiting for an answer, and waiting for a connection may take, each; None for no
            limit.
        config: Settings of redis.conf, such as ``{'maxmemory': '64mb'}``.
        identifier: What the ``consistent`` router knows it by; by default ``embedded://num/db``.
        options: Further options of ``redis.asyncio.Redis``.

    Raises:
        ConfigError: No server was found, or an option or setting makes no sense.
    """

    sync_side: ClassVar[type[Any] | str | None] = "nydus_redis.embedded.Embedded"

    async def _wait(self) -> None:
        """Wait until the server answers, in a thread."""
        await in_worker(self.server.wait)
        self._answers = True

    async def hold(self) -> Any:
        """Open a connection that is held for long, once the server answers."""
        if not self._answers:
            await self._wait()
        return await super().hold()

    async def acquire(self) -> Any:
        """Take a connection, once the server answers."""
        if not self._answers:
            await self._wait()
        return await super().acquire()

    async def call(self, command: Command) -> Any:
        """Do one command, once the server answers."""
        if not self._answers:
            try:
                await self._wait()
            except FAILURES as error:
                raise self.failed(HostDown, error, command) from error
        return await super().call(command)

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands as one pipeline, once the server answers."""
        if not self._answers:
            try:
                await self._wait()
            except FAILURES as error:
                return [self.failed(HostDown, error, command) for command in commands]
        return await super().exchange(commands, transaction=transaction)

    async def probe(self) -> None:
        """Find out whether the server is up."""
        await self._wait()
        await super().probe()

    async def aclose(self) -> None:
        """Close the connections and stop the server; its data are gone, and no later command can be done."""
        await super().aclose()
        self._answers = False
        await in_worker(self.server.stop)

    def retire(self) -> None:
        """Stop the server as soon as no connection is in use, in any event loop."""
        self._retired = True
        self._in_use = len(self._own)
        if self._in_use:
            self._own.in_each(lambda own: own.commands.retire(self._leave))
        else:
            self._stop()

    def _leave(self) -> None:
        self._in_use -= 1
        if not self._in_use:
            self._stop()

    def _stop(self) -> None:
        if in_thread(self.server.stop) is None:
            self.server.stop()
