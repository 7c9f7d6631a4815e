"""What a command in a ``map()`` returns. See ``nydus_core.promise``."""

from nydus_core.promise import EventualCommand

__all__ = ["EventualCommand"]
