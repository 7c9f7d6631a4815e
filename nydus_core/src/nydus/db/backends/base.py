"""What backends are made of, under its names in nydus 0.11. ``BaseConnection`` is ``nydus_core.BaseEngine``."""

from nydus_core.batches import BasePipeline
from nydus_core.engine import BaseEngine as BaseConnection

__all__ = ["BaseConnection", "BasePipeline"]
