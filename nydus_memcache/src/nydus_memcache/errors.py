"""Errors of the engine itself, raised before anything is sent, or after the whole answer was read.

A host that fails raises ``HostDown`` or ``MaybeApplied`` of the core. An error that a server answers is raised as
pymemcache would: ``MemcacheServerError``, ``MemcacheClientError``. Its text also names the command, the size of the value and
the host.
"""

from __future__ import annotations

from typing import Any

from pymemcache.exceptions import MemcacheError, MemcacheIllegalInputError, MemcacheServerError

from nydus_core.errors import STUMBLES, NydusError, RoutingError

__all__ = [
    "FAILURES",
    "IllegalArgument",
    "IllegalKey",
    "Refusal",
    "ServerFull",
    "UnreadableValue",
    "refusal_of",
]

#: Raised when a host fails or its answer makes no sense: by the pool (RuntimeError: exhausted), by reading, by writing.
FAILURES: tuple[type[Exception], ...] = (MemcacheError, RuntimeError, *STUMBLES)


class IllegalKey(RoutingError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A key that no memcached server takes. Nothing was sent."""


class IllegalArgument(NydusError, MemcacheIllegalInputError):  # type: ignore[misc]  # pymemcache ships no types
    """A value, or another argument, that cannot be sent as it is. Nothing was sent."""


class UnreadableValue(NydusError, MemcacheError):  # type: ignore[misc]  # pymemcache ships no types
    """The server has a value for this key that the serde cannot read, or refuses to read."""


class ServerFull(MemcacheServerError, ConnectionError):  # type: ignore[misc]  # pymemcache ships no types
    """The server has reached its limit of connections: it has turned this one away, and read nothing from it."""


class Refusal(MemcacheError):  # type: ignore[misc]  # pymemcache ships no types
    """An error that a server answered. It is also of the class, and has the arguments, that pymemcache gives it.

    Attributes:
        reason: The server's own words.
        command: The command with its keys, and the size of the value in bytes; never the value.
        host: The name and the address of the host.
    """

    reason = command = host = ""

    def about(self, command: str) -> Refusal:
        """Return the same error for a command. Commands that were sent as one have an error each."""
        return refusal_of(getattr(type(self), "_kind", MemcacheError), self.args, self.reason, command)

    def __str__(self) -> str:
        where = f" by host {self.host}" if self.host else ""
        return f"{self.reason}: {self.command} was refused{where}" if self.command else self.reason

    def __reduce__(self) -> tuple[Any, ...]:
        kind = getattr(type(self), "_kind", MemcacheError)
        return refusal_of, (kind, self.args, self.reason, self.command, self.host)


_classes: dict[type[Exception], type[Refusal]] = {}


def refusal_of(
    kind: type[Exception], args: tuple[Any, ...], reason: str, command: str = "", host: str = ""
) -> Refusal:
    """Make the error for the answer of a server.

    Parameters:
        kind: pymemcache's class of the error.
        args: The arguments that pymemcache gives the error.
        reason: The server's own words.
        command: The command, as the text names it.
        host: The host, as the text names it.
    """
    if kind not in _classes:
        body = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_kind": kind}
        _classes[kind] = type(kind.__name__, (Refusal, kind), body)
    error = _classes[kind](*args)
    error.reason, error.command, error.host = reason, command, host
    return error
