"""From what redis-py's own methods put together to a command: its keys, its bytes, and how its reply is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE
from redis.exceptions import DataError, InvalidResponse
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.command import Access, Command, Scope, Split, key_bytes
from nydus_core.errors import RoutingError
from nydus_core.promise import EventualCommand
from nydus_redis.commands import CommandSpec, lookup
from nydus_redis.splits import SPLITS

__all__ = ["RedisCommand", "UnreadableReply", "Wire"]

_Connection: Any = redis.Connection  # has no types

#: Options that say how a reply is read, and are not for the function that makes sense of it.
_READING = frozenset({NEVER_DECODE, EMPTY_RESPONSE})

#: Access, split and scope: what all calls of a command have in common.
Kind = tuple[Access, Split | None, Scope]


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
        args: tuple[Any, ...],
        options: dict[str, Any],
        keys: Sequence[bytes],
        kind: Kind,
        packed: bytes,
        callback: Callable[..., Any] | None,
        wire: Wire,
    ) -> None:
        self.name = args[0]
        self.args = args[1:]
        self.kwargs = options
        self.keys = keys
        self.access, self.split, self.scope = kind
        self.call = None
        self.packed = packed
        self.callback = callback
        self.wire = wire

    def remade(self, args: Sequence[Any]) -> RedisCommand:
        """Return the same command with other arguments."""
        return self.wire.describe((self.name, *args), self.kwargs)

    def parsed(self, reply: Any) -> Any:
        """Return redis-py's value of the server's reply.

        Raises:
            UnreadableReply: redis-py cannot make sense of it.
        """
        if self.callback is None:
            return reply
        options = self.kwargs
        if options:
            options = {name: value for name, value in options.items() if name not in _READING}
        try:
            return self.callback(reply, **options)
        except Exception as error:
            raise UnreadableReply(f"redis-py cannot make sense of the reply: {error!r}") from error


class UnreadableReply(InvalidResponse):
    """The server answered, and redis-py cannot make sense of the answer. The connection is fine."""


class Wire:
    """Makes commands, as a redis-py client with these options would send them.

    Parameters:
        options: Those of ``options.wire_options``.
        callbacks: redis-py's functions that make sense of replies, by command.
    """

    def __init__(self, options: Mapping[str, Any], callbacks: dict[str, Callable[..., Any]]) -> None:
        connection = _Connection(**options)  # never connected: only packs
        self.pack = _packer(connection.pack_command)
        self._callbacks = callbacks
        # hiredis packs text as UTF-8 whatever the options say
        self._key: Callable[[Any], bytes] = key_bytes
        if not HIREDIS_AVAILABLE and options.get("encoding", "utf-8").lower() not in ("utf-8", "utf8"):
            self._key = lambda key: bytes(connection.encoder.encode(key))

    def describe(self, args: tuple[Any, ...], options: dict[str, Any]) -> RedisCommand:
        """Say what a call of ``execute_command`` means.

        Parameters:
            args: The command and its arguments, as redis-py puts them together.
            options: How its reply is to be read; ``keys`` states the keys of a command that is not known.

        Raises:
            RoutingError: The arguments are not those of the command, so its keys cannot be told.
            redis.DataError: An argument is of a type that redis-py does not send.
        """
        try:
            packed = self.pack(args)
        except DataError:
            args = tuple(arg.value if type(arg) is EventualCommand else arg for arg in args)
            packed = self.pack(args)
        stated = options.pop("keys", None)
        spec = lookup(args)
        if spec is None:
            keys: Sequence[bytes] = [self._key(key) for key in stated or ()]
            kind = _UNKNOWN
        else:
            keys = self._keys(spec, args)
            kind = _kinds.get(spec) or _kind(spec)
        name = args[0]
        # redis-py's dict ignores case, at a price; its keys are in capitals, as nearly all names are
        callback = dict.get(self._callbacks, name)
        if callback is None and not name.isupper():
            callback = self._callbacks.get(name)
        return RedisCommand(args, options, keys, kind, packed, callback, self)

    def _keys(self, spec: CommandSpec, args: tuple[Any, ...]) -> Sequence[bytes]:
        if spec.connection:
            return ()
        try:
            if spec.first_only:
                return (self._key(args[1]),)
            return [self._key(args[position]) for position in spec.positions(args)]
        except (ValueError, IndexError) as error:
            why = "it has no key" if isinstance(error, IndexError) else str(error)
            raise RoutingError(f"cannot tell the keys of {spec.name}: {why}. Nothing was sent") from error


_UNKNOWN: Kind = Access.WRITE, None, Scope.UNKNOWN
_kinds: dict[CommandSpec, Kind] = {}


def _kind(spec: CommandSpec) -> Kind:
    kind = _kinds[spec] = spec.access, SPLITS.get(spec.name), spec.scope
    return kind


def _packer(pack_command: Callable[..., Sequence[bytes]]) -> Callable[[tuple[Any, ...]], bytes]:
    """Return what makes the bytes of a command, just as redis-py would send them."""

    def pack(args: tuple[Any, ...]) -> bytes:
        return b"".join(pack_command(*args))

    if not HIREDIS_AVAILABLE:
        return pack
    import hiredis

    at_once: Callable[[tuple[Any, ...]], bytes] = hiredis.pack_command

    def pack_at_once(args: tuple[Any, ...]) -> bytes:
        try:
            if " " not in args[0]:
                return at_once(args)
        except TypeError:  # a name or an argument that redis-py converts first
            pass
        return pack(args)

    return pack_at_once
