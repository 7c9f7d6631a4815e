"""Clusters: ``create_cluster`` and the named ``connections``."""

from nydus_core.cluster import Cluster
from nydus_core.connections import connections
from nydus_core.create import create_cluster

__all__ = ["Cluster", "connections", "create_cluster"]
