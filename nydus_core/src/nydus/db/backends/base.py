"""What backends are made of, under its names in nydus 0.11. ``BaseConnection`` is ``nydus_core.BaseEngine``."""

from nydus_core.base_engine import BaseEngine as BaseConnection
from nydus_core.batches import BasePipeline

__all__ = ["BaseConnection", "BasePipeline"]
