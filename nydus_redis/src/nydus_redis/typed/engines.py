"""The check that a cluster has the engine that its type says."""

from __future__ import annotations

from typing import Any

from nydus_core.cluster import ClusterBase
from nydus_core.errors import ConfigError

__all__ = ["expect"]


def expect(cluster: ClusterBase[Any], kind: type[Any]) -> None:
    """Refuse a cluster that has another engine.

    Raises:
        ConfigError: A host is of another engine.
    """
    for engine in cluster.hosts.values():
        if not isinstance(engine, kind):
            raise ConfigError(f"found {type(engine).__name__}; expected 'redis' or 'embedded'", "engine")
