"""Routers: where a key belongs. One module a family of placement rules."""

from nydus_core.routers.keyless import BroadcastRouter, RoundRobinRouter
from nydus_core.routers.legacy import BaseRouter, routing_params
from nydus_core.routers.modulo import PartitionRouter
from nydus_core.routers.protocol import Node, NodeRouter, Router, Spread, hash_tag
from nydus_core.routers.ring import ConsistentHashingRouter

__all__ = [
    "BaseRouter",
    "BroadcastRouter",
    "ConsistentHashingRouter",
    "Node",
    "NodeRouter",
    "PartitionRouter",
    "RoundRobinRouter",
    "Router",
    "Spread",
    "hash_tag",
    "routing_params",
]
