"""The connections of one host in one event loop, shared by all tasks: how they are opened, and the meaning of their failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nydus_core.aio import Asked
from nydus_core.errors import CANCELLED, HostDown, MaybeApplied
from nydus_memcache.connection import MemcacheConnector, MemcacheLine
from nydus_memcache.errors import ServerFull

if TYPE_CHECKING:
    from nydus_memcache.engine.host import MemcacheHost

__all__ = ["SharedConnector"]


class SharedConnector:
    """Opens shared connections. See ``nydus_core.aio.LineConnector``.

    Parameters:
        engine: The engine of the host.
        connector: Opens connections.
    """

    def __init__(self, engine: MemcacheHost, connector: MemcacheConnector) -> None:
        self._engine, self._connector = engine, connector

    async def open_line(self) -> MemcacheLine:
        """Open a connection."""
        return await self._connector.open()

    def unsent(self, cause: Exception, asked: Asked) -> Exception:
        """Make the error for a command that was not sent."""
        return self._failed(HostDown, cause, asked)

    def unanswered(self, cause: Exception, asked: Asked, *, answered: bool) -> Exception:
        """Make the error for a command that was written and got no answer."""
        return self._failed(HostDown if isinstance(cause, ServerFull) else MaybeApplied, cause, asked)

    def _failed(self, kind: type[HostDown | MaybeApplied], cause: Exception, asked: Asked) -> Exception:
        error = self._engine.failed(kind, cause, asked[1])
        error.__cause__ = cause
        return error

    def line_lost(self) -> None:
        """Do nothing: a ``MemcacheLine`` tells of its end, and of the reason."""

    def cancelled(self) -> Exception:
        """Make the error for a connection that nobody opens any more."""
        return self._engine.unavailable(CANCELLED)
