"""The class of clusters and of the named connections, under their names in nydus 0.11."""

from nydus_core.cluster import Cluster as BaseCluster
from nydus_core.connections import LazyConnectionHandler

__all__ = ["BaseCluster", "LazyConnectionHandler"]
