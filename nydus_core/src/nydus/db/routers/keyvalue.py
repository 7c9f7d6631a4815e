"""Routers by key, under their names in nydus 0.11. See ``nydus_core.routers``."""

from nydus_core.routers import ConsistentHashingRouter, PartitionRouter

__all__ = ["ConsistentHashingRouter", "PartitionRouter"]
