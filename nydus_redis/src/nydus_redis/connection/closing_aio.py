"""The pool of ``closing.py`` for clients of ``redis.asyncio``."""

from __future__ import annotations

from typing import Any

from nydus_redis.connection.closing import Closing
from nydus_redis.connection.streams_aio import abort

__all__ = ["AsyncClosingPool"]


class AsyncClosingPool(Closing):
    """The same for a pool of ``redis.asyncio``."""

    async def release(self, connection: Any) -> None:
        """Close a connection at once, since a task may be cancelled here, and give it back."""
        abort(connection)
        await self._pool.release(connection)
