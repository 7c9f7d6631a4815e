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
        load: Makes a value of a stored item.
        wire_keys: The keys, as the server sees them.
    """

    __slots__ = ("load", "verb", "wire_keys")

    def __init__(
        self,
        name: str,
        verb: bytes,
        load: Load,
        args: tuple[Any, ...],
        keys: Sequence[bytes],
        wire_keys: Sequence[bytes],
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs = {}
        self.keys = keys
        self.access = Access.READ
        self.split = None
        self.scope = Scope.ALL
        self.call = None
        self.verb = verb
        self.load = load
        self.wire_keys = wire_keys

    @property
    def gives(self) -> bool:  # type: ignore[override]  # other commands give none
        """Whether the value holds tokens for ``cas``."""
        return self.verb == b"gets"

    @property
    def bound(self) -> str:
        return "only the host that gives the token understands it" if self.gives else ""

    @property
    def gathers(self) -> bytes:
        """The verb: neighbours with the same verb are sent as one request."""
        return self.verb

    @property
    def request(self) -> bytes:
        return request_for(self.verb, self.wire_keys)

    def read(self, source: Source) -> Items | Refusal:
        return read_items(source, self.verb, self.wire_keys)


class FetchOne(Fetch):
    """``get`` and ``gets``.

    Attributes:
        default: The value for a key that is not there.
    """

    __slots__ = ("default",)

    def __init__(
        self, name: str, verb: bytes, load: Load, given: Key, key: bytes, wire_key: bytes, default: Any
    ) -> None:
        super().__init__(name, verb, load, (given,), (key,), (wire_key,))
        self.default = default

    def value(self, answer: Items | Refusal) -> Any:
        if isinstance(answer, Refusal):
            raise answer.about(repr(self))
        item = answer.get(self.wire_keys[0])
        return self.default if item is None else self.load(self.args[0], item)

    def signed(self, value: Any, host: str) -> Any:
        return value if value is self.default else _signed(value, host)


class FetchMany(Fetch):
    """``get_many`` and ``gets_many``.

    Attributes:
        given: The keys, as the user gave them.
    """

    __slots__ = ("given",)

    def __init__(
        self,
        name: str,
        verb: bytes,
        load: Load,
        given: Sequence[Key],
        keys: Sequence[bytes],
        wire_keys: Sequence[bytes],
    ) -> None:
        # Without any key nothing is sent. Yet a command without a key would go to all hosts, and answer a list
        super().__init__(name, verb, load, (given,), keys or (b"",), wire_keys)
        self.split = _BY_KEY
        self.given = given

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
