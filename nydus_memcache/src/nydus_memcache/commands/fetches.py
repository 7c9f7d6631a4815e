"""The commands that get values: ``get``, ``gets``, ``get_many`` and ``gets_many``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nydus_core.command import Access, Command, Scope
from nydus_memcache.commands.command import Key, MemcacheCommand
from nydus_memcache.commands.items import Items, read_items
from nydus_memcache.commands.many import chosen
from nydus_memcache.commands.serde import Load
from nydus_memcache.commands.source import Source
from nydus_memcache.commands.tokens import CasToken
from nydus_memcache.errors import Refusal

__all__ = ["Fetch", "FetchMany", "FetchOne", "request_for"]


def request_for(verb: bytes, keys: Sequence[bytes]) -> bytes:
    """Return the bytes of a ``get`` or ``gets`` of some keys; none if there are no keys."""
    return b"%b %b\r\n" % (verb, b" ".join(keys)) if keys else b""


class Fetch(MemcacheCommand):
    """A command that gets values.

    Attributes:
        verb: The first word of the command.
        gives: Whether the value holds tokens for ``cas``.
        load: Makes a value of a stored item.
    """

    __slots__ = ("gives", "load", "verb")
    access = Access.READ
    scope = Scope.ALL
    verb: bytes
    load: Load

    def asked(self) -> Sequence[bytes]:
        """Return the keys, as the server sees them."""
        raise NotImplementedError

    @property
    def bound(self) -> str:
        return "only the host that gives the token understands it" if self.gives else ""

    @property
    def gathers(self) -> bytes:
        return self.verb

    @property
    def request(self) -> bytes:
        return request_for(self.verb, self.asked())

    def read(self, source: Source) -> Items | Refusal:
        return read_items(source, self.verb, self.asked())


class FetchOne(Fetch):
    """``get`` and ``gets``.

    Attributes:
        given: The key, as the user gave it.
        wire_key: The key, as the server sees it.
        default: The value for a key that is not there.
    """

    __slots__ = ("default", "given", "wire_key")
    split = None

    def __init__(
        self, name: str, verb: bytes, load: Load, given: Key, key: bytes, wire_key: bytes, default: Any
    ) -> None:
        self.name = name
        self.keys = (key,)
        self.call = None
        self.verb = verb
        self.gives = verb == b"gets"
        self.load = load
        self.given = given
        self.wire_key = wire_key
        self.default = default

    @property
    def args(self) -> tuple[Any, ...]:  # type: ignore[override]  # made only where it is asked for
        """The positional arguments."""
        return (self.given,)

    def asked(self) -> Sequence[bytes]:
        return (self.wire_key,)

    @property
    def request(self) -> bytes:
        return b"%b %b\r\n" % (self.verb, self.wire_key)

    def read(self, source: Source) -> Items | Refusal:
        # The everyday answers, which have come whole; all others are left to ``read_items``
        if source.at == len(source.received):
            source.more(1)
        received, at = source.received, source.at
        end = received.find(b"\r\n", at)
        line = received[at:end].split(b" ")
        if self.gives or source.is_begun:
            pass
        elif len(line) == 4:
            word, key, flags, size = line
            if word == b"VALUE" and key == self.wire_key and flags.isdigit() and size.isdigit():
                start = end + 2
                end = start + int(size)
                if received.startswith(b"\r\nEND\r\n", end):
                    source.at = end + 7
                    value = received[start:end]
                    return {key: value if flags == b"0" else (int(flags), value)}
        elif line == [b"END"] and end > 0:
            source.at = end + 2
            return {}
        return read_items(source, self.verb, (self.wire_key,))

    def value(self, answer: Items | Refusal) -> Any:
        if isinstance(answer, Refusal):
            raise answer.about(repr(self))
        item = answer.get(self.wire_key)
        if item is None:
            return self.default
        load = self.load
        return item if load.leaves_bytes and type(item) is bytes else load(self.given, item)

    def signed(self, value: Any, host: str) -> Any:
        return value if value is self.default else _signed(value, host)


class FetchMany(Fetch):
    """``get_many`` and ``gets_many``.

    Attributes:
        given: The keys, as the user gave them.
        wire_keys: The keys, as the server sees them.
    """

    __slots__ = ("given", "wire_keys")

    def __init__(
        self,
        name: str,
        verb: bytes,
        load: Load,
        given: Sequence[Key],
        keys: Sequence[bytes],
        wire_keys: Sequence[bytes],
    ) -> None:
        self.name = name
        self.args = (given,)
        # Without any key nothing is sent. Yet a command without a key would go to all hosts, and answer a list
        self.keys = keys or (b"",)
        self.split = _BY_KEY
        self.call = None
        self.verb = verb
        self.gives = verb == b"gets"
        self.load = load
        self.given = given
        self.wire_keys = wire_keys

    @property
    def is_void(self) -> bool:  # type: ignore[override]
        return not self.wire_keys

    def asked(self) -> Sequence[bytes]:
        return self.wire_keys

    def part(self, positions: Sequence[int]) -> FetchMany:
        """Return the same command for some of its keys."""
        wire_keys = chosen(self.wire_keys, positions)
        keys = wire_keys if self.keys is self.wire_keys else chosen(self.keys, positions)
        return FetchMany(self.name, self.verb, self.load, chosen(self.given, positions), keys, wire_keys)

    def value(self, answer: Items | Refusal | None) -> dict[Key, Any]:
        if isinstance(answer, Refusal):
            raise answer.about(repr(self))
        found = answer or {}
        given, keys = self.given, self.wire_keys
        if len(found) != len(keys) or list(found) != keys:  # some are missing, or stand there twice
            present = [position for position, key in enumerate(keys) if key in found]
            given, keys = chosen(given, present), chosen(keys, present)
            items = list(map(found.__getitem__, keys))
        else:
            items = list(found.values())
        return dict(zip(given, self.load.many(given, items), strict=True))

    def signed(self, value: dict[Key, Any], host: str) -> dict[Key, Any]:
        return {given: _signed(pair, host) for given, pair in value.items()}


def _signed(pair: tuple[Any, bytes], host: str) -> tuple[Any, CasToken]:
    value, token = pair
    return value, CasToken(token, host)


class _ByKey:
    """Splits a command over many keys into one for each host, and joins the dicts in the order of the keys."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[FetchMany]:
        assert isinstance(command, FetchMany)
        return [command.part(group) for group in groups]

    def join(
        self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]
    ) -> dict[Key, Any]:
        assert isinstance(command, FetchMany)
        found: dict[Key, Any] = {}
        for value in values:
            found.update(value)
        given = command.given
        if len(found) == len(given):  # each was found, and none stands there twice
            return dict(zip(given, map(found.__getitem__, given), strict=True))
        return {key: found[key] for key in given if key in found}


_BY_KEY = _ByKey()
