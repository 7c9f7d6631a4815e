"""The error of a ``map()`` block. The whole tree of errors is in ``nydus_core.errors``."""

from nydus_core.errors import CommandError

__all__ = ["CommandError"]
