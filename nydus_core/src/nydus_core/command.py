"""What a command is: its name, arguments and keys, how it may be split, and how it can end.

Engines make commands (they know the client library), routers are asked about their keys, and the cluster
delivers them. Nothing here does I/O.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from nydus_core.errors import HostDown, HostError

__all__ = ["Access", "Command", "Dispatch", "Outcome", "Scope", "Split", "key_bytes", "outcome_of"]


class Access(enum.Enum):
    """What a command does to the data: decides whether it may be repeated."""

    #: it changes nothing
    READ = "read"
    #: it may change something
    WRITE = "write"


class Scope(enum.Enum):
    """Where a command without a key goes."""

    #: to all hosts, in parallel; the answer is a list in host order
    ALL = "all"
    #: to one host that the user has to name
    HOST = "host"
    #: nowhere: it only has a meaning on the connection that sends it, and connections are shared
    CONNECTION = "connection"
    #: to the host of its key, and to no other even while that is down: those who wait for it wait there
    CHANNEL = "channel"
    #: it may have a key that cannot be told from its arguments: refused by routers by key
    UNKNOWN = "unknown"


class Outcome(enum.Enum):
    """What is known about a command. Exactly one of these holds for each, and the user can always tell which."""

    #: the server answered
    VALUE = "value"
    #: the server answered with an error: not applied
    SERVER_ERROR = "server error"
    #: nothing reached the server
    NOT_SENT = "not sent"
    #: sent, or partly sent, and no answer came
    MAYBE_APPLIED = "maybe applied"


class Split(Protocol):
    """How a command over the keys of several hosts is cut into one command a host, and its answers joined."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[Command]:
        """Cut a command.

        Parameters:
            command: The command with all its keys.
            groups: For each host, the positions in ``command.keys`` of the keys that live there.

        Returns:
            One command a group, in the same order.
        """
        ...

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> Any:
        """Put the answers to the commands of ``cut`` together as if one server had answered."""
        ...


class Command:
    """One call, as an engine's surface made it.

    Attributes:
        name: Its name: as the user called it, or the server's own where an engine knows that.
        args: Its positional arguments.
        kwargs: Its keyword arguments, or the engine's options for reading the answer.
        keys: Its keys, each as the bytes that the server will see. Empty: it has none.
        access: Whether it only reads.
        split: How it can be split over hosts; None if it cannot.
        scope: Where it goes when it has no key.
        call: The call as the user wrote it, ``(name, args, kwargs)``, where an old-style router wants to see it.
    """

    __slots__ = ("access", "args", "call", "keys", "kwargs", "name", "scope", "split")

    #: What a user can do where its keys cannot be told.
    state_keys: ClassVar[str] = "give the key as the first argument, or as key=…"

    def __init__(
        self,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        keys: Sequence[bytes] = (),
        access: Access = Access.WRITE,
        split: Split | None = None,
        scope: Scope = Scope.ALL,
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs: dict[str, Any] = {} if kwargs is None else kwargs
        self.keys = keys
        self.access = access
        self.split = split
        self.scope = scope
        self.call: tuple[str, tuple[Any, ...], dict[str, Any]] | None = None

    @property
    def idempotent(self) -> bool:
        """Whether applying it twice leaves the same data as once; its second answer may differ. Asked after a failure."""
        return self.access is Access.READ

    #: Seconds that the server may hold back its answer, because the command asks it to.
    waits: float = 0.0

    @property
    def wire_form(self) -> bytes | None:
        """Its bytes as they go over the wire, where the engine knows them beforehand."""
        return None

    def question(self) -> Command | None:
        """Return what one host is to be asked, so that the keys of this command can be told; None if nothing helps.

        Only asked of a command of scope ``UNKNOWN`` without keys, whose host depends on them.
        """
        return None

    def told(self, answer: Any) -> Command:
        """Return the same command as it is with the answer to its question.

        Parameters:
            answer: The value of the question.

        Raises:
            RoutingError: The arguments are not those of the command.
        """
        return self

    def get_command(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return ``(name, args, kwargs)``, for pipelines written for nydus 0.11."""
        return self.name, self.args, self.kwargs

    def __repr__(self) -> str:
        """Name and keys; never values, which may be secret."""
        shown = ", ".join(repr(key) for key in self.keys[:3])
        more = f" and {len(self.keys) - 3} more" if len(self.keys) > 3 else ""
        return f"{self.name} {shown}{more}".rstrip()


#: What a surface ends in: it delivers a command and returns its value, or queues it and returns a promise.
Dispatch = Callable[[Command], Any]


def key_bytes(key: object) -> bytes:
    """Return a key as bytes: text as UTF-8, bytes as they are, anything else by its ``str()``.

    ``'foo'`` and ``b'foo'`` are one key; ``1`` is ``b'1'``.
    """
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return key
    if isinstance(key, bytearray | memoryview):
        return bytes(key)
    return str(key).encode()


def outcome_of(error: BaseException | None) -> Outcome:
    """Tell what is known about a command that ended in this error, or in a value if there is none."""
    if error is None:
        return Outcome.VALUE
    if isinstance(error, HostDown):
        return Outcome.NOT_SENT
    if isinstance(error, HostError):
        return Outcome.MAYBE_APPLIED
    return Outcome.SERVER_ERROR
