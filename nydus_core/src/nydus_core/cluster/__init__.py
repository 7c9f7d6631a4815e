"""The cluster: one object over many hosts, its ``map()`` block, its promises, and explanations of calls."""

from typing import TYPE_CHECKING

from nydus_core.cluster.base import ClusterBase
from nydus_core.cluster.blocking import Cluster
from nydus_core.cluster.mapping import Map, MapBlock, MapConnection
from nydus_core.cluster.promise import EventualCommand
from nydus_core.lazy import lazy

if TYPE_CHECKING:
    from nydus_core.cluster.explain import Explanation, KeyPlace, Part
else:
    __getattr__, __dir__ = lazy(__name__, {"nydus_core.cluster.explain": ["Explanation", "KeyPlace", "Part"]})

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
