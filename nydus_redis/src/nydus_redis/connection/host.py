"""The engine of one host as surfaces and subscriptions see it: a source of connections, and of errors."""

from __future__ import annotations

from typing import Protocol

import redis

from nydus_core.engines import AnyEngine
from nydus_core.errors import HostError
from nydus_redis.connection.pool import Connections

__all__ = ["AnyHost", "BlockingHost"]


class AnyHost(AnyEngine, Protocol):
    """The engine of one host, of either side."""

    def kind_of(self, cause: Exception) -> type[HostError]:
        """Return the outcome of a command that got no answer: maybe applied, unless the server has read nothing."""
        ...


class BlockingHost(AnyHost, Protocol):
    """The engine of one host, with blocking calls."""

    @property
    def connections(self) -> Connections:
        """The connections of the host."""
        ...

    @property
    def pool(self) -> redis.ConnectionPool:
        """redis-py's pool of the same connections."""
        ...
