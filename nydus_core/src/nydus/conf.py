"""The settings of the named clusters. See ``nydus_core.connections``."""

from nydus_core.connections import CONNECTIONS, configure

__all__ = ["CONNECTIONS", "configure"]
