"""The errors that Nydus raises. The class of an error tells how far the command came.

::

    NydusError
    ├── ConfigError            the settings are wrong: nothing was built
    │   └── PluginError        a name in them leads to no engine, router or cluster
    ├── RoutingError           no host for this command: nothing was sent
    │   ├── CrossHostError     its keys live on several hosts, and it cannot be split
    │   └── ForeignWordError   it holds a cursor or a token that another host gave
    ├── HostError              one host could not do it; has .host, .command, .attempts
    │   ├── HostDown           not sent: the command never reached the server
    │   │   └── HostListExhausted  not sent: no host is left that it could go to
    │   └── MaybeApplied       sent, or partly sent, and no answer came
    ├── DeadlineExceeded       the time given for the call is over
    │   ├── NotSentInTime      also a HostDown
    │   └── NotAnsweredInTime  also a MaybeApplied
    ├── CommandError           some commands of a map() failed; has .errors
    ├── NotResolved            a promise was used before its map() block ended
    ├── NoEventLoop            an asynchronous cluster where no event loop of asyncio runs; also a RuntimeError
    └── ReentrantCall          a signal handler or finalizer needs what its own thread is using

A ``HostError`` is also an instance of the client library's own error: a ``HostDown`` of the Redis engine is a
``redis.exceptions.ConnectionError`` or ``TimeoutError`` too, so code written for the plain client keeps working.
An error that the server answered (``WRONGTYPE``, ``OOM``) is not in this tree: it passes through unchanged.
Backends add errors below ``NydusError``: nydus_redis raises ``ServerError`` if an embedded server does not start.

The module is long on purpose: the whole tree of errors, and how errors are blended, stand on one page.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, ClassVar, Self

__all__ = [
    "CANCELLED",
    "LATE",
    "STUMBLES",
    "CommandError",
    "CommandFailure",
    "ConfigError",
    "CrossHostError",
    "DeadlineExceeded",
    "ForeignWordError",
    "HostDown",
    "HostError",
    "HostListExhausted",
    "MaybeApplied",
    "NoEventLoop",
    "NotAnsweredInTime",
    "NotResolved",
    "NotSentInTime",
    "NydusError",
    "PluginError",
    "ReentrantCall",
    "RoutingError",
    "blend_routing_error",
    "host_error",
    "is_own_want",
]


class NydusError(Exception):
    """The root of all errors that Nydus itself raises."""

    # An error is also of a class of the client library, whose own repr may leave out the text
    __repr__ = Exception.__repr__


class ReentrantCall(NydusError):
    """A signal handler or finalizer needs what the thread that it interrupts is using: it would wait for ever."""


class ConfigError(NydusError):
    """The settings are wrong.

    Parameters:
        message: The value found, the values expected, and the remedy.
        path: The place in the settings, such as ``hosts[2].port``; empty for the settings as a whole.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message, path)
        self.message = message
        self.path = path

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message

    def under(self, path: str) -> Self:
        """Return the same error with ``path`` put before its own path."""
        return type(self)(self.message, f"{path}.{self.path}" if self.path else path)


class PluginError(ConfigError):
    """A name of an engine, a router or a cluster class leads nowhere.

    The message tells why: the name is unknown, is not installed, is broken, or is claimed by two distributions.
    """


class RoutingError(NydusError):
    """There is no host for a command. Nothing was sent.

    In a cluster whose client library has a root of all its errors, such as ``redis.RedisError``, it is also an instance of that.
    """

    #: See ``HostError.own_words``.
    own_words: ClassVar[tuple[str, ...]] = ("args", "command", "hosts", "hint", "patterns")

    def __reduce__(self) -> tuple[Any, ...]:
        kind, root = getattr(type(self), "_blend", (type(self), None))
        return _revive_routing, (kind, root, self.args, self.__dict__)


class CrossHostError(RoutingError):
    """The keys of one command live on several hosts, and the command cannot be split. Nothing was sent.

    Parameters:
        command: The name of the command.
        hosts: For each host, by name, the keys that live there, and the patterns all of whose keys live there.
        hint: The remedy, for the user.
        patterns: The patterns whose keys may live on any host.
    """

    def __init__(
        self, command: str, hosts: dict[str, list[bytes]], hint: str, patterns: Sequence[bytes] = ()
    ) -> None:
        super().__init__(command, hosts, hint, patterns)
        self.command = command
        self.hosts = hosts
        self.hint = hint
        self.patterns = patterns

    def __str__(self) -> str:
        places = [f"host {name!r}: {_short(keys)}" for name, keys in self.hosts.items()]
        if self.patterns:
            places.append(f"any host: {_short(self.patterns)}")
        return f"{self.command}: its keys live on several hosts ({'; '.join(places)}). {self.hint}"


class ForeignWordError(RoutingError):
    """A command holds a word, such as a cursor or a cas token, and would go to another host than the one that gave it.

    Only that host understands the word. Begin anew: the iteration with its first page, the ``cas`` with ``gets``. Nothing
    was sent.
    """


def _short(keys: Sequence[bytes], most: int = 5) -> str:
    shown = ", ".join(repr(key) for key in keys[:most])
    return f"{shown} and {len(keys) - most} more" if len(keys) > most else shown


class HostError(NydusError):
    """One host could not do a command.

    Attributes:
        host: The name of the host and its address, without any password.
        command: The name of the command and its keys; never its values.
        attempts: The number of attempts; 0 if the command was refused because the host is known to be down.
        why: The reason, as text.
        reason: The client library's own ``reason``, where its error has one, as ``ssl.SSLError`` has; else ``why``.
    """

    #: The end of the command, in the words of the message.
    said = "failed"
    #: Attributes that hold words of our own, which a ``Redactor`` leaves as they are.
    own_words: ClassVar[tuple[str, ...]] = ("host", "command")

    def __init__(self, reason: str = "", *, host: str = "", command: str = "", attempts: int = 1) -> None:
        # Not super().__init__: the next class may be a client library's, with a signature of its own.
        Exception.__init__(self, reason)
        self.why = reason
        self.host = host
        self.command = command
        self.attempts = attempts

    @property
    def reason(self) -> Any:
        return self.__dict__.get("reason", self.why)

    def __str__(self) -> str:
        tries = f" after {self.attempts} attempts" if self.attempts > 1 else ""
        return f"{self.command or 'command'} {self.said} by host {self.host}{tries}: {self.why}"

    def __reduce__(self) -> tuple[Any, ...]:
        kind, cause = getattr(type(self), "_blend", (type(self), None))
        members = {name: value for name, value in _members(self) if isinstance(value, _SIMPLE)}
        attributes = {name: value for name, value in self.__dict__.items() if _is_plain(value)}
        return _revive, (kind, cause, self.args, attributes, members)


class HostDown(HostError):
    """Not sent: the command did not reach the server, so it was not applied, and may be sent again."""

    said = "was not taken"


class MaybeApplied(HostError):
    """Sent, or partly sent, and no answer came: the command may have been applied, or not."""

    said = "may have been applied"


class HostListExhausted(HostDown):
    """No host is left for a command: all are down, or have been tried. The command was not applied."""

    def __str__(self) -> str:
        return f"{self.command}: {self.why}" if self.command else self.why


class DeadlineExceeded(NydusError):
    """The time given for a call, over all its attempts and hosts, is over.

    A command raises ``NotSentInTime`` or ``NotAnsweredInTime``. Both are also the client library's own timeout error.
    """


class NotSentInTime(HostDown, DeadlineExceeded):
    """Not sent before the deadline was over: the command will not be sent."""


class NotAnsweredInTime(MaybeApplied, DeadlineExceeded):
    """Sent, or partly sent, and no answer came before the deadline was over."""


#: The reason in the error of a command whose task was cancelled.
CANCELLED = "its task was cancelled"

#: The class of an error, and the class to raise instead if the deadline was the cause.
LATE: dict[type[HostError], type[HostError]] = {HostDown: NotSentInTime, MaybeApplied: NotAnsweredInTime}


class NoEventLoop(NydusError, RuntimeError):
    """An asynchronous cluster was used where no event loop of asyncio runs. Nothing was sent."""


class NotResolved(NydusError):
    """A promise was used before the end of its ``map()`` block."""


@dataclass(frozen=True, slots=True)
class CommandFailure:
    """One failed command of a ``map()``. Unpacks as the pair ``(name, error)``.

    Attributes:
        name: The name of the command.
        error: The exception that the command ended in.
        position: The position of the command in the ``map()`` block, from 0.
        hosts: The names of the hosts that failed.
    """

    name: str
    error: Exception
    position: int
    hosts: tuple[str, ...]

    def __iter__(self) -> Iterator[str | Exception]:
        yield self.name
        yield self.error

    def __getitem__(self, index: int) -> str | Exception:
        """Return the name for index 0, the error for index 1, as in nydus 0.11."""
        return (self.name, self.error)[index]

    def __len__(self) -> int:
        return 2

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


#: The exceptions that a client library raises, besides its own, when a connection fails or a reply makes no
#: sense. An engine takes them for failures of the host. Any other exception passes: a job's time limit,
#: raised by a signal handler, is no failure of the host.
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
    """Tell whether an error, or one of its causes, means that this process or machine ran out of a resource."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:  # "raise error from error" is a circle
        seen.add(id(error))
        if isinstance(error, MemoryError | ReentrantCall) or (
            isinstance(error, OSError) and error.errno in _OWN_WANTS
        ):
            return True
        if isinstance(error, RuntimeError) and "new thread" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


#: No more files, memory or local ports. A want of threads is a ``RuntimeError``.
_OWN_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


def host_error(kind: type[HostError], cause: BaseException, *, host: str, command: str) -> HostError:
    """Make a ``HostDown`` or ``MaybeApplied`` that is also of the type of its cause.

    Parameters:
        kind: ``HostDown`` or ``MaybeApplied``.
        cause: The exception of the client library.
        host: Name and address of the host, without any password.
        command: Name and keys of the command.

    Returns:
        The error, with the attributes of ``cause``, and ``cause`` as its ``__cause__``.
    """
    error = _made(kind, type(cause), (str(cause),))
    error.host, error.command = host, command
    for name, value in cause.__dict__.items():
        error.__dict__.setdefault(name, value)
    _set_members(error, dict(_members(cause)))
    error.__cause__ = cause
    return error


#: Values of members that are pickled: others may be anything, such as the object of an ``AttributeError``.
_SIMPLE = (str, bytes, int, type(None))


def _members(error: BaseException) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that an error keeps beside its ``__dict__``: ``errno`` of an OSError, ``start`` of a UnicodeError."""
    for name, member in _member_descriptors(type(error)).items():
        with suppress(AttributeError, TypeError):  # it has no value
            yield name, member.__get__(error)


def _set_members(error: HostError, members: Mapping[str, Any]) -> None:
    found = _member_descriptors(type(error))
    for name in members.keys() & found.keys():
        with suppress(AttributeError, TypeError):  # it cannot be set
            found[name].__set__(error, members[name])
    if "reason" in members:  # the property of ours hides it
        error.__dict__["reason"] = members["reason"]


def _member_descriptors(kind: type[BaseException]) -> dict[str, Any]:
    return {
        name: member
        for each in kind.__mro__
        if not issubclass(Exception, each)
        for name, member in vars(each).items()
        if isinstance(member, MemberDescriptorType | GetSetDescriptorType) and not name.startswith("__")
    }


def _made(kind: type[HostError], cause: type[BaseException] | None, args: tuple[Any, ...]) -> HostError:
    if cause is not None:
        try:
            error = _blended(kind, cause)(*args)
            error.host = error.command = ""
            return error
        except (TypeError, AttributeError):  # its class makes or fills instances in its own way
            pass
    return kind(*args)


def blend_routing_error(error: RoutingError, root: type[Exception] | None) -> RoutingError:
    """Make a ``RoutingError`` an instance of the root of a client library's errors, too. The error stays the same object.

    Parameters:
        error: The error.
        root: The class that the client library's errors have in common; None if there is none.

    Returns:
        The same error.
    """
    if root is None or isinstance(error, root):
        return error
    kind = type(error)
    body = {
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "_blend": (kind, root),
    }
    if (kind, root) not in _routing_blends:
        _routing_blends[kind, root] = type(kind.__name__, (kind, root), body)
    with suppress(TypeError):  # the layouts of the two classes differ: our own class has to do
        error.__class__ = _routing_blends[kind, root]
    with suppress(Exception):  # its constructor wants other arguments
        for name, value in vars(root(str(error))).items():  # its methods may need them
            error.__dict__.setdefault(name, value)
    return error


_routing_blends: dict[tuple[type[RoutingError], type[Exception]], type[RoutingError]] = {}


def _revive_routing(
    kind: type[RoutingError], root: type[Exception] | None, args: tuple[Any, ...], attributes: dict[str, Any]
) -> RoutingError:
    error = kind(*args)
    error.__dict__.update(attributes)
    return blend_routing_error(error, root)


def _is_plain(value: Any, depth: int = 0) -> bool:
    """Tell whether a value is plain data. Other attributes, which a client library gave its error, are not pickled.

    Such an object may belong to this process, or hold secrets that no text shows.
    """
    if value is None or isinstance(value, str | bytes | int | float | Enum | BaseException):
        return True
    if depth > 3:
        return False
    if isinstance(value, dict):
        return all(_is_plain(each, depth + 1) for each in value.values())
    return isinstance(value, tuple | list | set | frozenset) and all(
        _is_plain(each, depth + 1) for each in value
    )


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
    except TypeError:  # C cannot join the layouts of the two classes: our own class has to do
        return kind


def _revive(
    kind: type[HostError],
    cause: type[BaseException] | None,
    args: tuple[Any, ...],
    attributes: dict[str, Any],
    members: Mapping[str, Any],
) -> HostError:
    error = _made(kind, cause, args)
    error.__dict__.update(attributes)
    _set_members(error, members)
    return error
