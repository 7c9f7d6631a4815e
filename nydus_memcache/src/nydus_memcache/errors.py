"""What this engine itself raises: all of it before anything is sent, or after all of the answer was read.

What a host fails to do is a ``HostDown`` or a ``MaybeApplied`` of the core, and what a server answers is raised as
pymemcache would: ``MemcacheServerError``, ``MemcacheClientError``.
"""

from __future__ import annotations

from pymemcache.exceptions import MemcacheError, MemcacheIllegalInputError

from nydus_core.errors import STUMBLES, NydusError, RoutingError

__all__ = ["FAILURES", "IllegalArgument", "IllegalKey", "UnreadableValue"]

#: What the pool (RuntimeError: exhausted), reading and writing raise when a host fails or its answer makes no sense.
FAILURES: tuple[type[Exception], ...] = (MemcacheError, RuntimeError, *STUMBLES)


class IllegalKey(RoutingError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A key that no memcached server takes. Nothing was sent."""


class IllegalArgument(NydusError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A value, or another argument, that cannot be sent as it is. Nothing was sent."""


class UnreadableValue(NydusError, MemcacheError):  # type: ignore[misc]  # pymemcache ships no types
    """The server has a value for this key that this client will not, or cannot, make sense of."""
