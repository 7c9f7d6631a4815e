"""Clusters: ``create_cluster``, ``create_async_cluster`` and the named ``connections``."""

from nydus_core.aio import AsyncCluster
from nydus_core.cluster import Cluster
from nydus_core.connections import connections
from nydus_core.create import create_async_cluster, create_cluster

__all__ = ["AsyncCluster", "Cluster", "connections", "create_async_cluster", "create_cluster"]
