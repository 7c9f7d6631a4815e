"""The check that a cluster has the engine that its type says, and a type that only type checkers see."""

from __future__ import annotations

from typing import Any

from nydus_core.cluster import ClusterBase
from nydus_core.errors import ConfigError

__all__ = ["NoSuchCommand", "expect"]


class NoSuchCommand:
    """A method that the engine does not have. A type checker refuses to call it."""


def expect(cluster: ClusterBase[Any], kind: type[object]) -> None:
    """Refuse a cluster that has another engine.

    Raises:
        ConfigError: A host is of another engine.
    """
    for engine in cluster.hosts.values():
        if not isinstance(engine, kind):
            raise ConfigError(f"found {type(engine).__name__}; expected 'memcache'", "engine")
