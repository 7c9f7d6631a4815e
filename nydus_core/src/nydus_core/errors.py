"""Everything that Nydus raises, and what each of it says about the command.

::

    NydusError
    ├── ConfigError            the settings are wrong: nothing was built
    │   └── PluginError        a name in them leads to no engine, router or cluster
    ├── RoutingError           no host for this command: nothing was sent
    │   └── CrossHostError     its keys live on several hosts, and it cannot be split
    ├── HostError              one host could not do it; has .host, .command, .attempts
    │   ├── HostDown           not sent: the command never reached the server
    │   │   └── HostListExhausted  not sent: no host is left that it could go to
    │   └── MaybeApplied       sent, or partly sent, and no answer came
    ├── DeadlineExceeded       the time given for the call is over
    │   ├── NotSentInTime      also a HostDown
    │   └── NotAnsweredInTime  also a MaybeApplied
    ├── CommandError           some commands of a map() failed; has .errors
    └── NotResolved            a promise was used before its map() block ended

A ``HostError`` is also an instance of what the client library raised: ``HostDown`` of the Redis engine is a
``redis.exceptions.ConnectionError`` or ``TimeoutError`` too, so code written for the plain client keeps working.
An error that the server itself answered (``WRONGTYPE``, ``OOM``) is not in this tree: it passes through unchanged.
Backends add their own, below ``NydusError``: an embedded server that does not start is a ``ServerError`` of nydus_redis.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = [
    "CANCELLED",
    "LATE",
    "STUMBLES",
    "CommandError",
    "CommandFailure",
    "ConfigError",
    "CrossHostError",
    "DeadlineExceeded",
    "HostDown",
    "HostError",
    "HostListExhausted",
    "MaybeApplied",
    "NotAnsweredInTime",
    "NotResolved",
    "NotSentInTime",
    "NydusError",
    "PluginError",
    "RoutingError",
    "host_error",
    "is_own_want",
]


class NydusError(Exception):
    """The root of all errors that Nydus itself raises."""


class ConfigError(NydusError):
    """The settings are wrong.

    Parameters:
        message: What was found, what was expected and what to do.
        path: Where in the settings, such as ``hosts[2].port``; empty if it concerns them as a whole.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def under(self, path: str) -> Self:
        """Return the same error, its path counted from further up."""
        return type(self)(self.message, f"{path}.{self.path}" if self.path else path)


class PluginError(ConfigError):
    """A name of an engine, a router or a cluster class leads nowhere.

    The message tells an unknown name, one that is not installed, one that is broken, and one that two
    distributions claim apart.
    """


class RoutingError(NydusError):
    """A command has no host that it could go to. Nothing was sent."""


class CrossHostError(RoutingError):
    """The keys of one command live on several hosts, and it cannot be split. Nothing was sent.

    Parameters:
        command: The name of the command.
        hosts: For each host, by name, the keys that live there.
        hint: What the user can do about it.
    """

    def __init__(self, command: str, hosts: dict[str, list[bytes]], hint: str) -> None:
        super().__init__(command, hosts, hint)
        self.command = command
        self.hosts = hosts
        self.hint = hint

    def __str__(self) -> str:
        places = "; ".join(f"host {name!r}: {_short(keys)}" for name, keys in self.hosts.items())
        return f"{self.command}: its keys live on several hosts ({places}). {self.hint}"


def _short(keys: Sequence[bytes], most: int = 5) -> str:
    shown = ", ".join(repr(key) for key in keys[:most])
    return f"{shown} and {len(keys) - most} more" if len(keys) > most else shown


class HostError(NydusError):
    """One host could not do a command.

    Attributes:
        host: The name of the host and its address, without any password.
        command: The name of the command and its keys; never its values.
        attempts: How often it was tried on a host; 0 if it was refused since the host is known to be down.
    """

    #: What to say of the command, by kind of error.
    said = "failed"

    def __init__(self, reason: str = "", *, host: str = "", command: str = "", attempts: int = 1) -> None:
        # Not super().__init__: the next class may be a client library's, with a signature of its own.
        Exception.__init__(self, reason)
        self.reason = reason
        self.host = host
        self.command = command
        self.attempts = attempts

    def __str__(self) -> str:
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.command or 'command'} {self.said} by host {self.host}{tries}: {self.reason}"

    def __reduce__(self) -> tuple[Any, ...]:
        kind, cause = getattr(type(self), "_blend", (type(self), None))
        system = (self.errno, self.strerror) if isinstance(self, OSError) else None
        return _revive, (kind, cause, self.args, self.__dict__, system)


class HostDown(HostError):
    """Not sent: the command did not reach the server, so it was not applied, and may be sent again."""

    said = "was not taken"


class MaybeApplied(HostError):
    """Sent, or partly sent, and no answer came: the command may have been applied, or not."""

    said = "may have been applied"


class HostListExhausted(HostDown):
    """No host is left that a command could go to: all are down, or have been tried. It was not applied."""

    def __str__(self) -> str:
        return f"{self.command}: {self.reason}" if self.command else self.reason


class DeadlineExceeded(NydusError):
    """The time given for a call, over all its attempts and hosts, is over.

    A command raises one of the two below, which is also the client library's own error for a timeout.
    """


class NotSentInTime(HostDown, DeadlineExceeded):
    """Not sent before the deadline was over, and it will not be."""


class NotAnsweredInTime(MaybeApplied, DeadlineExceeded):
    """Sent, or partly sent, and no answer came before the deadline was over."""


#: Why nobody waited for a command any more, where the task that made it was cancelled.
CANCELLED = "its task was cancelled"

#: What a failure is, when it is the deadline's.
LATE: dict[type[HostError], type[HostError]] = {HostDown: NotSentInTime, MaybeApplied: NotAnsweredInTime}


class NotResolved(NydusError):
    """A promise was used before the ``map()`` block that it belongs to has ended."""


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """One failed command of a ``map()``. Unpacks as the pair ``(name, error)``.

    Attributes:
        name: The name of the command.
        error: What it ended in.
        position: Its position in the ``map()`` block, from 0.
        hosts: The names of the hosts that failed.
    """

    name: str
    error: Exception
    position: int
    hosts: tuple[str, ...]

    def __iter__(self) -> Iterator[str | Exception]:
        yield self.name
        yield self.error

    def __str__(self) -> str:
        return f"#{self.position} {self.name} on {', '.join(self.hosts)}: {self.error}"


class CommandError(NydusError):
    """Some commands of a ``map()`` failed; the others succeeded, and their promises hold their values.

    Attributes:
        errors: A ``CommandFailure`` for every failed command, by position.
    """

    def __init__(self, errors: Sequence[CommandFailure]) -> None:
        super().__init__(errors)
        self.errors = list(errors)

    def __str__(self) -> str:
        listed = "".join(f"\n  {failure}" for failure in self.errors)
        return f"{len(self.errors)} command(s) failed:{listed}"


#: What a client library stumbles with when a connection fails or a reply makes no sense, besides errors of its own. An
#: engine takes these for failures of the host. Anything else, such as the time limit of a job that a signal handler
#: raises, is not the host's, and passes.
STUMBLES: tuple[type[Exception], ...] = (
    NydusError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    MemoryError,
)


def is_own_want(error: BaseException | None) -> bool:
    """Tell whether an error, or what caused it, is that this process or machine has run out of something."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # "raise error from error" is a circle
        seen.add(id(error))
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OWN_WANTS):
            return True
        error = error.__cause__ or error.__context__
    return False


#: No more files, memory or local ports.
_OWN_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def host_error(kind: type[HostError], cause: BaseException, *, host: str, command: str) -> HostError:
    """Make a ``HostDown`` or ``MaybeApplied`` that is also of the type of its cause.

    Parameters:
        kind: ``HostDown`` or ``MaybeApplied``.
        cause: What the client library raised.
        host: Name and address of the host, without any password.
        command: Name and keys of the command.

    Returns:
        The error, caused by ``cause``. It carries its attributes.
    """
    error = _made(kind, type(cause), (str(cause),))
    error.host, error.command = host, command
    for name, value in cause.__dict__.items():
        error.__dict__.setdefault(name, value)
    if isinstance(error, OSError) and isinstance(cause, OSError):
        error.errno, error.strerror = cause.errno, cause.strerror
    error.__cause__ = cause
    return error


def _made(kind: type[HostError], cause: type[BaseException] | None, args: tuple[Any, ...]) -> HostError:
    if cause is not None:
        try:
            error = _blended(kind, cause)(*args)
            error.host = error.command = ""
            return error
        except (TypeError, AttributeError):  # its class makes or fills instances in a way of its own
            pass
    return kind(*args)


_blends: dict[tuple[type[HostError], type[BaseException]], type[HostError]] = {}


def _blended(kind: type[HostError], cause: type[BaseException]) -> type[HostError]:
    if (kind, cause) not in _blends:
        _blends[kind, cause] = _blend(kind, cause)
    return _blends[kind, cause]


def _blend(kind: type[HostError], cause: type[BaseException]) -> type[HostError]:
    if issubclass(kind, cause) or not issubclass(cause, Exception):
        return kind
    body = {"__module__": kind.__module__, "__doc__": kind.__doc__, "_blend": (kind, cause)}
    try:
        return type(kind.__name__, (kind, cause), body)
    except TypeError:  # two layouts that C cannot join: then our own class has to do
        return kind


def _revive(
    kind: type[HostError],
    cause: type[BaseException] | None,
    args: tuple[Any, ...],
    attributes: dict[str, Any],
    system: tuple[int | None, str | None] | None,
) -> HostError:
    error = _made(kind, cause, args)
    error.__dict__.update(attributes)
    if system is not None and isinstance(error, OSError):
        error.errno, error.strerror = system
    return error
