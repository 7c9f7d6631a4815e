"""The commands that programs send most, without the work that redis-py does for options which a call does not have.

Each method sends the same words as redis-py's method of that name, and hands a call with any option to that method. For
``SET`` redis-py looks at fourteen options in each call, which takes longer than all that Nydus does.
"""

from __future__ import annotations

from functools import update_wrapper
from typing import TYPE_CHECKING, Any

import redis

__all__ = ["Quick"]


class Quick:
    """Mixed into clients of redis-py, of both sides, in front of redis-py's class. Type checkers see redis-py's methods."""

    if not TYPE_CHECKING:

        def get(self, name: Any) -> Any:
            return self.execute_command("GET", name)

        def set(self, *args: Any, **options: Any) -> Any:
            if len(args) != 2 or options:
                return super().set(*args, **options)
            return self.execute_command("SET", *args)

        for _method in (get, set):  # shown with the documentation and the signature of redis-py's
            update_wrapper(_method, getattr(redis.Redis, _method.__name__))
        del _method
