"""``shutdown()`` with asyncio. See ``ending.py``."""

from __future__ import annotations

import copy
from typing import Any

import redis.asyncio

from nydus_core.errors import HostDown

__all__ = ["AsyncEnding"]

_AsyncRedis: Any = redis.asyncio.Redis


class AsyncEnding:
    """Ends servers, with asyncio."""

    execute_command: Any

    async def shutdown(self, *args: Any, **options: Any) -> None:
        """Have the server end. See ``Ending.shutdown``."""
        unsent: list[HostDown] = []

        async def execute_command(*words: Any, **kwargs: Any) -> Any:
            try:
                return await self.execute_command(*words, **kwargs)
            except HostDown as error:
                unsent.append(error)
                raise

        asking = copy.copy(self)
        asking.execute_command = execute_command
        await _AsyncRedis.shutdown(asking, *args, **options)
        if unsent:
            raise unsent.pop()
