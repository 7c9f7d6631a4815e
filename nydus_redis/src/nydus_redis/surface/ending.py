"""``shutdown()``: redis-py takes any lost connection for the end of the server, so it hides that nothing was sent."""

from __future__ import annotations

import copy
from typing import Any

import redis

from nydus_core.errors import HostDown

__all__ = ["Ending"]

_Redis: Any = redis.Redis


class Ending:
    """Ends servers, with blocking calls."""

    execute_command: Any

    def shutdown(self, *args: Any, **options: Any) -> None:
        """Have the server end. See redis-py.

        Raises:
            HostDown: Nothing was sent: the host cannot be reached.
        """
        unsent: list[HostDown] = []

        def execute_command(*words: Any, **kwargs: Any) -> Any:
            try:
                return self.execute_command(*words, **kwargs)
            except HostDown as error:
                unsent.append(error)
                raise

        asking = copy.copy(self)
        asking.execute_command = execute_command
        _Redis.shutdown(asking, *args, **options)
        if unsent:
            raise unsent.pop()
