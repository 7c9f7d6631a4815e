"""The cluster: one object over many hosts, its ``map()`` block, its promises, and explanations of calls."""

from nydus_core.cluster.base import ClusterBase
from nydus_core.cluster.blocking import Cluster
from nydus_core.cluster.explain import Explanation, KeyPlace, Part
from nydus_core.cluster.mapping import Map, MapBlock, MapConnection
from nydus_core.cluster.promise import EventualCommand

__all__ = [
    "Cluster",
    "ClusterBase",
    "EventualCommand",
    "Explanation",
    "KeyPlace",
    "Map",
    "MapBlock",
    "MapConnection",
    "Part",
]
