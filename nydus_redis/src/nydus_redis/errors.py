"""Errors of the engine itself, raised before anything is sent."""

from __future__ import annotations

from redis.exceptions import RedisError

from nydus_core import errors

__all__ = ["RoutingError"]


class RoutingError(errors.RoutingError, RedisError):
    """There is no host for a command of Redis. Nothing was sent."""
