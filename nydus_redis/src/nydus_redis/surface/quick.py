"""The commands that programs send most, without the work that redis-py does for options which a call does not have.

Each method sends the same words as redis-py's method of that name, and hands a call with any option to that method. For
``SET`` redis-py looks at fourteen options in each call, which takes longer than all that Nydus does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, TypeVar

import redis

__all__ = ["Quick"]

M = TypeVar("M", bound=Callable[..., Any])


def _instead_of(method: M) -> Callable[[Callable[..., Any]], M]:
    """Return a decorator: the function takes the place of a method of redis-py, whose signature and documentation it shows."""

    def decorate(function: Any) -> Any:
        return update_wrapper(function, method)

    return decorate


class Quick:
    """Mixed into clients of redis-py, of both sides, in front of redis-py's class."""

    execute_command: Callable[..., Any]

    @_instead_of(redis.Redis.get)
    def get(self, name: Any) -> Any:
        return self.execute_command("GET", name)

    @_instead_of(redis.Redis.set)
    def set(self, *args: Any, **options: Any) -> Any:
        if len(args) != 2 or options:
            redis_py: Any = super()
            return redis_py.set(*args, **options)
        return self.execute_command("SET", *args)
