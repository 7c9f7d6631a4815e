"""The promise that a command in a ``map()`` block returns. See ``nydus_core.cluster``."""

from nydus_core.cluster import EventualCommand

__all__ = ["EventualCommand"]
