"""The base classes of backends, under their names in nydus 0.11. ``BaseConnection`` is ``nydus_core.BaseEngine``."""

from nydus_core.engines import BaseEngine as BaseConnection
from nydus_core.engines import BasePipeline

__all__ = ["BaseConnection", "BasePipeline"]
