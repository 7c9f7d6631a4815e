"""Errors of the engine itself, raised before anything is sent, or after the whole answer was read.

A host that fails raises ``HostDown`` or ``MaybeApplied`` of the core. An error that a server answers is raised as
pymemcache would: ``MemcacheServerError``, ``MemcacheClientError``.
"""

from __future__ import annotations

from pymemcache.exceptions import MemcacheError, MemcacheIllegalInputError

from nydus_core.errors import STUMBLES, NydusError, RoutingError

__all__ = ["FAILURES", "IllegalArgument", "IllegalKey", "UnreadableValue"]

#: Raised when a host fails or its answer makes no sense: by the pool (RuntimeError: exhausted), by reading, by writing.
FAILURES: tuple[type[Exception], ...] = (MemcacheError, RuntimeError, *STUMBLES)


class IllegalKey(RoutingError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A key that no memcached server takes. Nothing was sent."""


class IllegalArgument(NydusError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A value, or another argument, that cannot be sent as it is. Nothing was sent."""


class UnreadableValue(NydusError, MemcacheError):  # type: ignore[misc]  # pymemcache ships no types
    """The server has a value for this key that the serde cannot read, or refuses to read."""
