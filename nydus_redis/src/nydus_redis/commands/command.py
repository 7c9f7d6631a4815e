"""A command as it goes over the wire: the bytes, and how the reply is read. ``wire`` makes such commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import InvalidResponse

from nydus_core.command import Access, Command, Scope, Split, key_bytes
from nydus_redis.commands.arguments import encoded
from nydus_redis.commands.blocking import longest_wait
from nydus_redis.commands.conditions import conditions_of
from nydus_redis.commands.packing import pack_one
from nydus_redis.commands.table import CommandSpec

__all__ = [
    "OWN_CONNECTION",
    "READING",
    "BlockingCommand",
    "CommandForm",
    "Kind",
    "Maker",
    "ManyKeys",
    "OneKeyForm",
    "PatternCommand",
    "RedisCommand",
    "UnreadableReply",
]

#: Options that say how a reply is read. The callback, which parses the reply, does not get them.
READING = frozenset({NEVER_DECODE, EMPTY_RESPONSE})

#: The way for commands that leave a state on their connection.
OWN_CONNECTION = "use cluster.on(host).client(), which has a connection of its own and closes it at its end"

#: Access, split and scope: alike in all calls of a command.
Kind = tuple[Access, Split | None, Scope]


class Maker(Protocol):
    """The maker of commands, which is asked about them later. See ``Wire``."""

    def describe(self, args: tuple[Any, ...], options: dict[str, Any]) -> RedisCommand:
        """Return the command of a call of ``execute_command``."""
        ...

    def pack(self, args: tuple[Any, ...]) -> bytes:
        """Return the bytes of a command."""
        ...

    def callback(self, name: str) -> Callable[..., Any] | None:
        """Return redis-py's function that parses the replies to a command; None if there is none."""
        ...

    def lookup(self, words: Sequence[Any]) -> CommandSpec | None:
        """Find a command in the table, or among those that servers have described."""
        ...

    def question(self, name: str) -> RedisCommand | None:
        """Return the command that asks a server about an unknown command."""
        ...

    def learn(self, name: str, answer: Any) -> None:
        """Keep a server's answer to such a question."""
        ...


class RedisCommand(Command):
    """A command as it goes over the wire.

    Attributes:
        packed: The bytes of the command.
        callback: redis-py's function that makes a value of the reply; None if the reply is the value.
        wire: The maker of the command.
    """

    __slots__ = ("callback", "packed", "wire")

    state_keys: ClassVar[str] = "state them: cluster.execute_command('X.Y', 'k', keys=['k'])"
    own_connection: ClassVar[str] = OWN_CONNECTION

    def __init__(
        self,
        name: str,
        args: Sequence[Any],
        options: dict[str, Any],
        keys: Sequence[bytes],
        kind: Kind,
        packed: bytes | None,
        callback: Callable[..., Any] | None,
        wire: Maker,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.kwargs = options
        self.keys = keys
        self.access, self.split, self.scope = kind
        self.call = None
        if packed is not None:  # see ``PackedLater``
            self.packed = packed
        self.callback = callback
        self.wire = wire

    @property
    def wire_form(self) -> bytes:
        """The bytes of the command."""
        return self.packed

    @property
    def idempotent(self) -> bool:
        """Whether applying it twice leaves the same data as once. With a condition the second answer would mislead."""
        spec = self.wire.lookup((*self.name.split(), *self.args))
        if spec is None or not spec.idempotent:
            return False
        return self.access is Access.READ or not conditions_of(self.name, self.args)

    @property
    def bound(self) -> str:
        """Why it belongs to its host and no other, even while that host is down; empty if it may go elsewhere."""
        spec = self.wire.lookup((*self.name.split(), *self.args))
        if spec is None:
            return super().bound
        said_nx = spec.bound_by_nx and b"NX" in conditions_of(self.name, self.args)
        return super().bound or spec.bound or (spec.bound_by_nx if said_nx else "")

    def remade(self, args: Sequence[Any]) -> RedisCommand:
        """Return the same command with other arguments."""
        return self.wire.describe((*self.name.split(), *args), self.kwargs)

    def question(self) -> RedisCommand | None:
        """Return the ``COMMAND INFO`` that asks where the keys are, for a command that the table lacks."""
        return self.wire.question(self.name)

    def clarified(self, answer: Any) -> RedisCommand:
        """Return the same command with keys, as the answer to its ``question`` gives them. The answer is kept.

        Raises:
            RoutingError: The arguments do not fit the command.
        """
        self.wire.learn(self.name, answer)
        clear = self.remade(self.args)
        clear.callback = self.callback  # redis-py finds callbacks by the name as the user wrote it
        return clear

    def parsed(self, reply: Any) -> Any:
        """Return the value that redis-py makes of the server's reply.

        Raises:
            UnreadableReply: redis-py cannot parse the reply.
        """
        if self.callback is None:
            return reply
        options = self.kwargs
        if options:
            options = {name: value for name, value in options.items() if name not in READING}
        try:
            return self.callback(reply, **options)
        except Exception as error:
            kind = type(error).__name__  # without its text, which may show the reply
            raise UnreadableReply(f"redis-py cannot make sense of the reply: {kind}") from error


class PackedLater(RedisCommand):
    """A command whose bytes are made when they are asked for. Its arguments are text, bytes, integers and floats.

    Nobody asks for the bytes of a command that is cut over hosts, or that was made of a draft to tell how it ended.
    """

    __slots__ = ()

    @property
    def packed(self) -> bytes:  # type: ignore[override]  # others have their bytes
        """The bytes of the command."""
        return pack_one(self.name, encoded(self.args))


class ManyKeys(PackedLater):
    """A command of many keys that may be cut over hosts. Its arguments are bytes, as they are sent."""

    __slots__ = ()

    def part(self, group: Sequence[int], stride: int) -> ManyKeys:
        """Return the same command with some of its keys.

        Parameters:
            group: The positions of the keys.
            stride: How many arguments belong to one key, the key included.
        """
        chosen: list[bytes] = [b""] * (len(group) * stride)
        for offset in range(stride):
            column = self.args[offset::stride]
            chosen[offset::stride] = [column[position] for position in group]
        kind = self.access, self.split, self.scope
        keys = chosen[::stride]
        return ManyKeys(self.name, chosen, self.kwargs, keys, kind, None, self.callback, self.wire)


class OneKeyForm:
    """The common part of the calls of one command with one key, the first argument. See ``nydus_core.drafts.Form``.

    Parameters:
        name: The name, as redis-py's methods write it.
        wire: The maker of the commands.
    """

    __slots__ = ("name", "wire")

    def __init__(self, name: str, wire: Maker) -> None:
        self.name = name
        self.wire = wire

    @property
    def callback(self) -> Callable[..., Any] | None:
        """redis-py's function that makes a value of the reply, as it is now; None if the reply is the value."""
        return self.wire.callback(self.name)

    def command(self, words: tuple[Any, ...]) -> RedisCommand:
        """Return the command of a call."""
        return self.wire.describe(words, {})


class CommandForm(OneKeyForm):
    """The form of a command that never has more than one key.

    Parameters:
        kind: Its access, split and scope.
    """

    __slots__ = ("kind",)

    def __init__(self, name: str, kind: Kind, wire: Maker) -> None:
        super().__init__(name, wire)
        self.kind = kind

    def command(self, words: tuple[Any, ...]) -> RedisCommand:
        """Return the command of a call."""
        keys = (key_bytes(words[1]),)
        return PackedLater(self.name, words[1:], {}, keys, self.kind, None, self.callback, self.wire)


class BlockingCommand(RedisCommand):
    """A command that asks the server to hold back its answer until something happens."""

    __slots__ = ()

    @property
    def waits(self) -> float:  # type: ignore[override]  # other commands do not wait
        """Seconds that the server may hold back the answer."""
        return longest_wait(self.name, self.args)


class PatternCommand(RedisCommand):
    """A command that also reads keys whose names the server makes of patterns."""

    __slots__ = ("patterns",)


class UnreadableReply(InvalidResponse):
    """The server answered, but redis-py cannot parse the answer. The connection is fine."""
