"""A command as it goes over the wire: its bytes, and how its reply is read. ``wire`` makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol

from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import InvalidResponse

from nydus_core.command import Access, Command, Scope, Split, key_bytes
from nydus_redis.commands.blocking import longest_wait
from nydus_redis.commands.table import CommandSpec

__all__ = ["READING", "BlockingCommand", "Kind", "Maker", "RedisCommand", "UnreadableReply"]

#: Options that say how a reply is read, and are not for the function that makes sense of it.
READING = frozenset({NEVER_DECODE, EMPTY_RESPONSE})

#: Access, split and scope: what all calls of a command have in common.
Kind = tuple[Access, Split | None, Scope]


class Maker(Protocol):
    """The maker of a command, which is asked about it later. See ``Wire``."""

    def describe(self, args: tuple[Any, ...], options: dict[str, Any]) -> RedisCommand:
        """Say what a call of ``execute_command`` means."""
        ...

    def pack(self, args: tuple[Any, ...]) -> bytes:
        """Return the bytes of a command."""
        ...

    def lookup(self, words: Sequence[Any]) -> CommandSpec | None:
        """Find a command in the table, or in what servers have told."""
        ...

    def question(self, name: str) -> RedisCommand | None:
        """Return what a server is asked about a command that is not known."""
        ...

    def learn(self, name: str, answer: Any) -> None:
        """Keep what a server has answered to the question about a command."""
        ...


class RedisCommand(Command):
    """A command as it goes over the wire.

    Attributes:
        packed: Its bytes.
        callback: What makes redis-py's value of the server's reply; None if the reply is the value.
        wire: What made it.
    """

    __slots__ = ("callback", "packed", "wire")

    state_keys: ClassVar[str] = "state them: cluster.execute_command('X.Y', 'k', keys=['k'])"

    def __init__(
        self,
        name: str,
        args: Sequence[Any],
        options: dict[str, Any],
        keys: Sequence[bytes],
        kind: Kind,
        packed: bytes,
        callback: Callable[..., Any] | None,
        wire: Maker,
    ) -> None:
        self.name = name
        self.args = tuple(args)
        self.kwargs = options
        self.keys = keys
        self.access, self.split, self.scope = kind
        self.call = None
        self.packed = packed
        self.callback = callback
        self.wire = wire

    @property
    def wire_form(self) -> bytes:
        """Its bytes."""
        return self.packed

    @property
    def idempotent(self) -> bool:
        """Whether applying it twice leaves the same data as once. With a condition its second answer would mislead."""
        spec = self.wire.lookup((*self.name.split(), *self.args))
        if spec is None or not spec.idempotent:
            return False
        said = {key_bytes(word).upper() for word in self.args[1:]}
        return self.access is Access.READ or said.isdisjoint(_CONDITIONS)

    def remade(self, args: Sequence[Any]) -> RedisCommand:
        """Return the same command with other arguments."""
        return self.wire.describe((*self.name.split(), *args), self.kwargs)

    def question(self) -> RedisCommand | None:
        """Return the ``COMMAND INFO`` that tells where the keys are of a command that the table lacks."""
        return self.wire.question(self.name)

    def told(self, answer: Any) -> RedisCommand:
        """Return the same command, its keys told by the answer to its question, which is kept.

        Raises:
            RoutingError: The arguments are not those of the command.
        """
        self.wire.learn(self.name, answer)
        clear = self.remade(self.args)
        clear.callback = self.callback  # redis-py knows it by the name as it was written
        return clear

    def parsed(self, reply: Any) -> Any:
        """Return redis-py's value of the server's reply.

        Raises:
            UnreadableReply: redis-py cannot make sense of it.
        """
        if self.callback is None:
            return reply
        options = self.kwargs
        if options:
            options = {name: value for name, value in options.items() if name not in READING}
        try:
            return self.callback(reply, **options)
        except Exception as error:
            raise UnreadableReply(f"redis-py cannot make sense of the reply: {error!r}") from error


class BlockingCommand(RedisCommand):
    """A command that asks the server to hold back its answer until something happens."""

    __slots__ = ()

    @property
    def waits(self) -> float:  # type: ignore[override]  # of all others it is none
        """Seconds that it may take."""
        return longest_wait(self.name, self.args)


#: Words that make a command depend on what is there, or answer with it, or count, or do a part of its work (XTRIM with
#: ``~`` or LIMIT): also where they are but values.
_CONDITIONS = frozenset(b"NX XX FNX FXX GT LT GET INCR IFEQ IFNE IFDEQ IFDNE ~ LIMIT".split())


class UnreadableReply(InvalidResponse):
    """The server answered, and redis-py cannot make sense of the answer. The connection is fine."""
