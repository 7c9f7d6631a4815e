"""Clusters: ``create_cluster``, ``create_async_cluster`` and the named ``connections``."""

from typing import TYPE_CHECKING

from nydus_core.lazy import lazy

if TYPE_CHECKING:
    from nydus_core.aio import AsyncCluster
    from nydus_core.cluster import Cluster
    from nydus_core.connections import connections
    from nydus_core.create import create_async_cluster, create_cluster
else:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "nydus_core.aio": ["AsyncCluster"],
            "nydus_core.cluster": ["Cluster"],
            "nydus_core.connections": ["connections"],
            "nydus_core.create": ["create_async_cluster", "create_cluster"],
        },
    )

__all__ = ["AsyncCluster", "Cluster", "connections", "create_async_cluster", "create_cluster"]
