"""What backends are made of, under its names in nydus 0.11. ``BaseConnection`` is ``nydus_core.BaseEngine``."""

from nydus_core.engines import BaseEngine as BaseConnection
from nydus_core.engines import BasePipeline

__all__ = ["BaseConnection", "BasePipeline"]
