"""Lost connections of the pipelines of ``redis.asyncio``. See ``losses.py``."""

from __future__ import annotations

from typing import Any

from nydus_redis.connection.streams_aio import abort

__all__ = ["AsyncPlainLosses"]


class AsyncPlainLosses:
    """Mixed into the pipeline of ``redis.asyncio``: the error of a lost connection stays as it is."""

    reset: Any

    async def _disconnect_raise_on_watching(self, conn: Any, *args: Any, **kwargs: Any) -> None:
        abort(conn)
        self.watching = False

    async def _disconnect_reset_raise_on_watching(self, conn: Any, *args: Any, **kwargs: Any) -> None:
        await self._disconnect_raise_on_watching(conn)
        await self.reset()
