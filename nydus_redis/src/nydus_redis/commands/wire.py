"""Makes commands of the arguments that redis-py's methods put together: the keys, the bytes, and how the reply is read."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import redis
from redis.client import EMPTY_RESPONSE
from redis.connection import AbstractConnection
from redis.exceptions import DataError
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.cluster import EventualCommand
from nydus_core.command import Access, Scope, key_bytes
from nydus_redis.commands.arguments import PLAIN, TEXT, encoded, pack_at_once, sendable
from nydus_redis.commands.command import (
    BlockingCommand,
    CommandForm,
    Kind,
    ManyKeys,
    OneKeyForm,
    PatternCommand,
    RedisCommand,
)
from nydus_redis.commands.cursors import CursorCommand, word_of
from nydus_redis.commands.gate import Gate
from nydus_redis.commands.patterns import key_patterns
from nydus_redis.commands.splits import OF_NOTHING, SPLITS
from nydus_redis.commands.table import CommandSpec, is_container, is_whole, lookup
from nydus_redis.commands.told import specs_told
from nydus_redis.errors import RoutingError

__all__ = ["Wire"]

_Connection: Any = redis.Connection  # has no types

#: Options of a connection that greets nobody. For its greeting redis-py 8 reads its own version from the disk, which takes
#: longer than a command.
_SILENT: Mapping[str, Any] = (
    {"driver_info": None} if "driver_info" in inspect.signature(AbstractConnection).parameters else {}
)


class Wire:
    """Makes commands, as a redis-py client with these options would send them.

    Parameters:
        options: The options that ``wire_options`` returns.
        callbacks: redis-py's functions that parse replies, by command.

    Attributes:
        gate: Keeps commands off shared connections that leave a state there.
        forms: The forms of commands of one key, by name; None for other commands.
        one_key: The forms of the calls with one key of commands that may have many, by name and number of words.
    """

    def __init__(self, options: Mapping[str, Any], callbacks: dict[str, Callable[..., Any]]) -> None:
        connection = _Connection(**options, **_SILENT)  # never connected: only packs
        self._pack_command: Callable[..., Sequence[bytes]] = connection.pack_command
        self._pack_simple = pack_at_once or self.pack
        self._callbacks = callbacks
        self.forms = _Forms(self)
        self.one_key = {(name, 1 + split.stride): OneKeyForm(name, self) for name, split in SPLITS.items()}
        self._told: dict[str, CommandSpec] = {}
        self.gate = Gate(self.words, self.lookup)
        # hiredis packs text as UTF-8 whatever the options say
        self._encode: Callable[[Any], bytes] = key_bytes if HIREDIS_AVAILABLE else connection.encoder.encode

    def pack(self, args: tuple[Any, ...]) -> bytes:
        """Return the bytes of a command, as redis-py would send them.

        Raises:
            redis.DataError: redis-py does not send an argument of this type, or an integer cannot be written down.
        """
        return b"".join(self._pack_command(*sendable(args)))

    def describe(self, args: tuple[Any, ...], options: dict[str, Any]) -> RedisCommand:
        """Return the command of a call of ``execute_command``.

        Parameters:
            args: The name and the arguments, as redis-py puts them together.
            options: How the reply is read; ``keys`` states the keys of an unknown command.

        Raises:
            RoutingError: The arguments do not fit the command, so nobody can tell the keys.
            redis.DataError: redis-py does not send an argument of this type, or an integer cannot be written down.
        """
        stated = options.pop("keys", None) if options else None
        name = args[0]
        form = self.forms[name] if type(name) is str else None
        if form is None or len(args) < 2:
            many = self._describe_many(args, options) if HIREDIS_AVAILABLE else None
            return many or self._describe_other(args, options, stated)
        # One key, which comes first: nearly all calls.
        try:
            packed = self._pack_simple(args)
        except (TypeError, DataError):
            return self._describe_other(args, options, stated)
        key = args[1].encode() if HIREDIS_AVAILABLE and type(args[1]) is str else self.key(args[1])
        return RedisCommand(name, args[1:], options, (key,), form.kind, packed, self.callback(name), self)

    def _describe_many(self, args: tuple[Any, ...], options: dict[str, Any]) -> RedisCommand | None:
        """Return a command that may be cut over hosts, if its arguments are of plain types."""
        name, words = args[0], args[1:]
        split = SPLITS.get(name) if type(name) is str else None
        if split is None or not words or len(words) % split.stride:
            return None
        if not TEXT.issuperset(map(type, words)):
            words = sendable(words)
            if not PLAIN.issuperset(map(type, words)):
                return None
        sent = encoded(words)
        spec = lookup((name,))
        assert spec is not None
        keys, kind = sent[:: split.stride], _kind(spec)
        return ManyKeys(name, sent, options, keys, kind, None, self.callback(name), self)

    def callback(self, name: str) -> Callable[..., Any] | None:
        """Return redis-py's function that parses the replies to a command; None if there is none."""
        return dict.get(self._callbacks, name)  # its own get() looks at the case first, which takes time

    def lookup(self, words: Sequence[Any]) -> CommandSpec | None:
        """Find a command in the table, or among those that servers have described; None if it is unknown."""
        found = lookup(words)
        if found is None and self._told:
            name, second = (key_bytes(word).decode("latin-1").upper() for word in (*words[:2], "")[:2])
            found = self._told.get(f"{name} {second}") or self._told.get(name)
        return found

    def question(self, name: str) -> RedisCommand | None:
        """Return the command that asks a server about an unknown command; None if the name cannot be asked about."""
        if not name.isascii():
            return None
        kind = Access.READ, None, Scope.HOST
        packed = self.pack(("COMMAND", "INFO", name))
        return RedisCommand("COMMAND INFO", (name,), {}, (), kind, packed, None, self)

    def learn(self, name: str, answer: Any) -> None:
        """Keep a server's answer to the question about a command."""
        self._told.update(specs_told(name.upper(), answer))

    def _describe_other(
        self, args: tuple[Any, ...], options: dict[str, Any], stated: Sequence[Any] | None
    ) -> RedisCommand:
        if EventualCommand in map(type, args):
            args = tuple(arg.value if type(arg) is EventualCommand else arg for arg in args)
        given, args = args, sendable(args)  # keys are read from the words that are sent
        packed = b"".join(self._pack_command(*args))
        words = self.words(args)
        written: Any = args[0] if isinstance(args[0], str | bytes) else words[0]
        callback = self._callbacks.get(written)
        spec = self.lookup(words)
        if spec is None:
            # Of an unknown command only the first word is shown: the next may be a secret.
            name, keys, kind = key_bytes(words[0]).decode(errors="replace"), self._stated(stated), _UNKNOWN
        elif len(words) == 1 and (name := words[0]) in OF_NOTHING and not options:
            # delete() is refused by a server, and answered by redis-py's cluster
            options = {EMPTY_RESPONSE: OF_NOTHING[name]}
            name, keys, kind = spec.name, (b"",), _kind(spec)
        elif len(args) == 1 and EMPTY_RESPONSE in options:
            # mget([]) is refused by a server, and redis-py answers []: any host will do
            name, keys, kind = spec.name, (b"",), _kind(spec)
        else:
            name, keys, kind = spec.name, self._keys(spec, words), _kind(spec)
        arguments = words[len(name.split()) :]
        made: type[RedisCommand] = RedisCommand
        if spec is not None and spec.blocking:
            made = BlockingCommand
        if spec is not None and spec.cursor:
            asking = CursorCommand(name, arguments, options, keys, kind, packed, callback, self)
            asking.word = word_of(self.words(given), spec.cursor)
            return asking
        if spec is not None and spec.has_patterns and (patterns := key_patterns([*map(self.key, words)])):
            command = PatternCommand(name, arguments, options, keys, kind, packed, callback, self)
            command.patterns = patterns
            return command
        return made(name, arguments, options, keys, kind, packed, callback, self)

    def key(self, key: Any) -> bytes:
        """Return a key as it is sent. The key's own methods may give other bytes.

        Raises:
            redis.DataError: redis-py sends nothing of this type.
        """
        if type(key) in PLAIN:
            return self._encode(key)
        head, packed = b"*2\r\n$1\r\nK\r\n", self.pack(("K", key))
        return packed[packed.index(b"\r\n", len(head)) + 2 : -2]

    def words(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the words of a command. redis-py may put several into one argument, such as ``'CONFIG GET'``.

        The words that name the command are text or bytes: as they are sent, whatever the methods of the arguments say.
        """
        first = args[0]
        if type(first) is not str and type(first) is not bytes:
            args = (first := self.key(first), *args[1:])
        if len(args) > 1 and type(args[1]) not in PLAIN and is_container(first):
            args = (first, self.key(args[1]), *args[2:])
        words = first.split()
        return args if len(words) == 1 else (*words, *args[1:])

    def _stated(self, keys: Any) -> Sequence[bytes]:
        several = keys if isinstance(keys, list | tuple | set | frozenset) else [keys]
        return [] if keys is None else [self.key(key) for key in several]

    def _keys(self, spec: CommandSpec, words: Sequence[Any]) -> Sequence[bytes]:
        if spec.connection:
            return ()
        try:
            return [self.key(words[position]) for position in spec.positions(words)]
        except ValueError as error:
            raise RoutingError(f"cannot tell the keys of {spec.name}: {error}. Nothing was sent") from error


class _Forms(dict[str, CommandForm | None]):
    """The forms of commands by their names, made as they are asked for; None for a command that is not of a form.

    Parameters:
        wire: The maker of commands.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._wire = wire

    def __missing__(self, name: str) -> CommandForm | None:
        if not is_whole(name) or " " in name:  # not kept: users may write anything
            return None
        spec = lookup((name,))
        form = None
        if spec is not None and spec.first_only and not (spec.cursor or spec.blocking or spec.connection):
            form = CommandForm(name, _kind(spec), self._wire)
        self[name] = form
        return form


def _kind(spec: CommandSpec) -> Kind:
    if spec.connection:
        return spec.access, None, Scope.CONNECTION
    return spec.access, SPLITS.get(spec.name), spec.scope


_UNKNOWN: Kind = Access.WRITE, None, Scope.UNKNOWN
