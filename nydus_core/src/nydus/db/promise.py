"""What a command in a ``map()`` returns. See ``nydus_core.cluster``."""

from nydus_core.cluster import EventualCommand

__all__ = ["EventualCommand"]
