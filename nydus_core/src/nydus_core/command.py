"""Commands: name, arguments and keys, how a command may be split, and how it can end.

Engines make commands, because they know the client library. Routers place the keys. The cluster delivers the
commands. Nothing here does I/O. The module is long on purpose: all that rooms say to each other about a command stands on
one page.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from nydus_core.errors import ConfigError, ForeignWordError, HostDown, HostError, NotResolved, RoutingError
from nydus_core.plain import plain

__all__ = [
    "Access",
    "Command",
    "Dispatch",
    "LateCommand",
    "Outcome",
    "Scope",
    "Split",
    "Word",
    "key_bytes",
    "mark_answer",
    "outcome_of",
    "tell_outcome",
]


X = TypeVar("X", bound=Exception)


class Access(enum.Enum):
    """The effect of a command on the data. It decides whether the command may be repeated."""

    #: changes nothing
    READ = "read"
    #: may change something
    WRITE = "write"


class Scope(enum.Enum):
    """The hosts that a command without a key goes to."""

    #: to all hosts, in parallel; the answer is a list in host order
    ALL = "all"
    #: to one host that the user has to name
    HOST = "host"
    #: to no host: the command concerns the connection that sends it, and connections are shared
    CONNECTION = "connection"
    #: to the host of its key and no other, even while that host is down: receivers wait there
    CHANNEL = "channel"
    #: not known: the arguments do not tell whether there is a key, so routers by key refuse the command
    UNKNOWN = "unknown"


class Outcome(enum.Enum):
    """The end of a command, as far as it is known. Each command has exactly one, and users can tell which."""

    #: the server answered
    VALUE = "value"
    #: the server answered with an error: not applied
    SERVER_ERROR = "server error"
    #: nothing reached the server
    NOT_SENT = "not sent"
    #: sent, or partly sent, and no answer came
    MAYBE_APPLIED = "maybe applied"


#: A command that is made when the call is awaited: the function that makes it, and its two arguments, the words of the call and the
#: options. An asynchronous cluster takes one in the place of a command.
LateCommand = tuple[Callable[[tuple[Any, ...], dict[str, Any]], "Command"], tuple[Any, ...], dict[str, Any]]


class Word(NamedTuple):
    """A word in a command that only the host that gave it understands, such as a cursor or a cas token.

    Attributes:
        kind: The name of its kind in errors, such as ``'cursor'``.
        host: The name of the host that gave it; None if the word does not tell, such as a plain number.
    """

    kind: str
    host: str | None


class Split(Protocol):
    """A way to cut a command over the keys of several hosts into one command for each, and to join the answers."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[Command]:
        """Cut a command.

        Parameters:
            command: The command with all its keys.
            groups: For each host, the positions in ``command.keys`` of the keys that live there.

        Returns:
            One command for each group, in the same order.
        """
        ...

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> Any:
        """Join the answers to the commands of ``cut``, as if one server had answered.

        Parameters:
            command: The command with all its keys.
            groups: The groups, as ``cut`` was given them.
            values: The answer to each command of ``cut``, in order.
        """
        ...


class Command:
    """One call, as an engine's surface made it.

    Attributes:
        name: The name that the user called, or the server's own name where the engine knows it.
        args: The positional arguments.
        kwargs: The keyword arguments, or the engine's options for reading the answer.
        keys: The keys, as the bytes that the server sees; empty if there are none.
        access: Whether the command only reads.
        split: The way to split the command over hosts; None if there is none.
        scope: The hosts that the command goes to if it has no key.
        call: The call as the user wrote it, ``(name, args, kwargs)``, for a router written for nydus 0.11; else None.
    """

    __slots__ = ("access", "args", "call", "keys", "kwargs", "name", "scope", "split")

    #: The user's remedy if the keys cannot be told.
    state_keys: ClassVar[str] = "give the key as the first argument, or as key=…"

    #: The user's remedy if the command concerns a connection.
    own_connection: ClassVar[str] = "use cluster.on(host)"

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
        """Whether the command, applied twice, leaves the same data as once. The second answer may differ.

        Asked after a failure.
        """
        return self.access is Access.READ

    #: Patterns of further keys that the command reads: the first ``*`` of each stands for any bytes. Such a command is
    #: sent only where all these keys live, together with ``keys``. A class whose commands have patterns overrides this.
    patterns: Sequence[bytes] = ()

    #: Seconds that the server may hold back the answer because the command asks for it.
    waits: float = 0.0

    #: The word in it that only the host that gave it understands; None if there is none. The command goes to that host.
    word: Word | None = None

    #: Whether its value holds such words. The engine then has them marked with the name of the host: see ``signed``.
    gives: bool = False

    @property
    def bound(self) -> str:
        """Why the command belongs to its host and no other, even while that host is down; empty if it may go elsewhere.

        Asked after a failure.
        """
        if self.word is not None:
            return f"only the host that gave the {self.word.kind} understands it"
        return "its receivers wait there" if self.scope is Scope.CHANNEL else ""

    def check_word(self, host: str) -> None:
        """Refuse the command for a host if another host gave the word in it.

        Parameters:
            host: The name of the host that it would go to.

        Raises:
            ForeignWordError: To that host the word would mean something else.
        """
        word = self.word
        if word is not None and word.host is not None and word.host != host:
            raise ForeignWordError(
                f"{self!r}: host {word.host!r} gave the {word.kind}, and this would go to host {host!r}, which does not "
                "understand it: begin anew. Nothing was sent"
            )

    def signed(self, value: Any, host: str) -> Any:
        """Return the value of a command that ``gives``, with each word in it marked as given by a host.

        Parameters:
            value: The value.
            host: The name of the host that answered.
        """
        return value

    @property
    def wire_form(self) -> bytes | None:
        """The bytes of the command on the wire, if the engine knows them beforehand; else None."""
        return None

    def question(self) -> Command | None:
        """Return a command to ask a host first, whose answer tells the keys of this command; None if there is none.

        Called only if the scope is ``UNKNOWN``, no keys are known, and the host depends on them.
        """
        return None

    def clarified(self, answer: Any) -> Command:
        """Return the same command, with the keys that the answer to its ``question()`` tells.

        Parameters:
            answer: The value of the question.

        Raises:
            RoutingError: The arguments do not fit the command.
        """
        return self

    def get_command(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return ``(name, args, kwargs)``, for pipelines written for nydus 0.11."""
        return self.name, self.args, self.kwargs

    def __repr__(self) -> str:
        """Return name and keys; never values, which may be secret."""
        shown = ", ".join(repr(key) for key in self.keys[:3])
        more = f" and {len(self.keys) - 3} more" if len(self.keys) > 3 else ""
        return f"{self.name} {shown}{more}".rstrip()


#: Takes a command from a surface: delivers it and returns the value, or queues it and returns a promise.
Dispatch = Callable[[Command], Any]


def key_bytes(key: object) -> bytes:
    """Return a key as bytes: text as UTF-8, bytes as they are, anything else by its ``str()``.

    ``'foo'`` and ``b'foo'`` are one key; ``1`` is ``b'1'``, and so is a member of an ``IntEnum`` that is 1.
    """
    if type(key) is str:
        return key.encode()
    if type(key) is bytes:
        return key
    if isinstance(key, bytearray | memoryview):
        return bytes(key)
    found = plain(key)
    return found if type(found) is bytes else str(found).encode()


def outcome_of(error: BaseException | None) -> Outcome:
    """Return the outcome of a command that ended in an error, or in a value if ``error`` is None.

    An error that does not tell, such as an ``OSError``, or an exception that a signal handler raised, leaves open how far the
    command came: ``MAYBE_APPLIED``. So does a ``CommandError`` as a whole, whose ``errors`` have an outcome each.
    """
    if error is None:
        return Outcome.VALUE
    for kind in type(error).__mro__:
        if kind in _OUTCOMES:
            return _OUTCOMES[kind]
    return Outcome.SERVER_ERROR if _ANSWERED in error.__dict__ else Outcome.MAYBE_APPLIED


#: The outcomes that classes of errors tell. The nearest class decides.
_OUTCOMES: dict[type[BaseException], Outcome] = {
    HostDown: Outcome.NOT_SENT,
    HostError: Outcome.MAYBE_APPLIED,
    RoutingError: Outcome.NOT_SENT,
    ConfigError: Outcome.NOT_SENT,
    NotResolved: Outcome.NOT_SENT,
}

#: The attribute of an error that a server answered, where its class does not tell.
_ANSWERED = "_nydus_answered"


def tell_outcome(outcome: Outcome, *kinds: type[BaseException]) -> None:
    """Tell what has become of a command that ended in an error of some classes, for ``outcome_of``.

    An engine tells this of the errors of its client library.

    Parameters:
        outcome: The outcome.
        kinds: The classes. Subclasses end in the same outcome.
    """
    _OUTCOMES.update(dict.fromkeys(kinds, outcome))


def mark_answer(error: X) -> X:
    """Note that an error is the answer of a server, for ``outcome_of``. Errors whose class tells their outcome stay as they are.

    Parameters:
        error: The error that an engine has returned, or raised, for a command.

    Returns:
        The same error.
    """
    if _OUTCOMES.keys().isdisjoint(type(error).__mro__):
        error.__dict__[_ANSWERED] = True
    return error
