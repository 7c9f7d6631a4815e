"""What a ``map()`` raises. The whole tree of errors is in ``nydus_core.errors``."""

from nydus_core.errors import CommandError

__all__ = ["CommandError"]
