"""Makes commands from the arguments of calls: puts the bytes together. ``arguments`` checks keys and numbers before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from nydus_core.cluster import EventualCommand
from nydus_core.command import Access, Word
from nydus_core.plain import plain
from nydus_memcache.commands.arguments import (
    INT64,
    LONGEST_KEY,
    UINT32,
    encoded,
    integer,
    is_legal,
    key_list,
    legal,
    legal_keys,
    raw_bytes,
    stats_word,
    token,
)
from nydus_memcache.commands.command import Add, Cas, Key, Plain, Raw, Stats
from nydus_memcache.commands.fetches import FetchMany, FetchOne
from nydus_memcache.commands.forms import FetchForm, KeyedForm, StoreForm
from nydus_memcache.commands.many import DeleteMany, StoreMany, stored_line, with_sizes
from nydus_memcache.commands.serde import Load, Serde
from nydus_memcache.commands.tokens import CasToken
from nydus_memcache.errors import IllegalArgument

__all__ = ["Wire"]


class Wire:
    """Makes commands, for hosts with these options. Routers see keys without the prefix, as in pymemcache's hash client.

    Parameters:
        serde: Turns values into bytes and back.
        key_prefix: Put before each key on its way to a server.
        allow_unicode_keys: Whether text of other than ASCII characters may be a key, as UTF-8.
        encoding: The encoding of text that a serde of the user's returns.

    Attributes:
        leaves_bytes: Whether the serde stores bytes as they are, with the flags 0, and so is not asked.
    """

    def __init__(self, serde: Serde, key_prefix: bytes, allow_unicode_keys: bool, encoding: str) -> None:
        self._serialize = serde.serialize
        self._load = Load(serde)
        self.leaves_bytes = self._load.leaves_bytes
        self._prefix = key_prefix
        self._most = LONGEST_KEY - len(key_prefix)
        self._key_encoding = "utf-8" if allow_unicode_keys else "ascii"
        self._encoding = encoding

    # Keys and values -------------------------------------------------------------------------------------------

    def key(self, given: Key) -> tuple[bytes, bytes]:
        """Return a key as routers see it, and as servers see it.

        Raises:
            IllegalKey: No server would take the key.
        """
        if type(given) is str and self.takes(given):  # nearly always
            key = given.encode()
            return key, self._prefix + key if self._prefix else key
        key = encoded(given, self._key_encoding)
        return key, legal(self._prefix + key, given)

    def takes(self, given: Any) -> bool:
        """Tell whether a key is plain text or plain bytes, and servers take it. Another key is left to ``key``."""
        if type(given) is str:
            return (
                given.isascii() and given.isprintable() and " " not in given and 0 < len(given) <= self._most
            )
        return type(given) is bytes and is_legal(self._prefix + given) is not None

    def keys(self, given: Sequence[Key]) -> tuple[list[bytes], list[bytes]]:
        """Return keys as routers see them, and as servers see them."""
        keys = legal_keys(given, self._key_encoding, self._prefix)
        if keys is None:
            pairs = [self.key(key) for key in given]
            keys = [key for key, _ in pairs]
        return keys, [self._prefix + key for key in keys] if self._prefix else keys

    def line(self, wire_key: bytes, value: Any, expire: Any, flags: Any) -> tuple[bytes, bytes]:
        """Return a value as the bytes to store, and the words between key and size, with blanks before them.

        Parameters:
            wire_key: The key, as the server sees it.
            value: The value, or a promise of one.
            expire: When the value expires.
            flags: The flags that the user gave; None for those of the serde.
        """
        expires = b"0" if type(expire) is int and not expire else integer("expire", expire, INT64)
        if flags is None and type(value) is bytes and self.leaves_bytes:  # nearly always
            return value, b" 0 %b" % expires
        data, shown = self._stored(wire_key, value, flags)
        return data, b" %b %b" % (shown, expires)

    def _stored(self, key: bytes, value: Any, flags: int | None) -> tuple[bytes, bytes]:
        """Return a value as the bytes to store, and its flags.

        Parameters:
            key: The key, as the server sees it.
            value: The value, or a promise of one.
            flags: The flags that the user gave; None for those of the serde.
        """
        if type(value) is EventualCommand:
            value = value.value
        data, own_flags = self._serialize(key, value)
        data = plain(data)
        if type(data) is not bytes:
            try:
                data = str(data).encode(self._encoding)
            except UnicodeEncodeError as error:  # which holds the value
                raise IllegalArgument(
                    f"the value for the key {key!r} is not {self._encoding}: {error.reason}, at position {error.start}. "
                    "Nothing was sent"
                ) from None
        given = own_flags if flags is None else flags
        return data, b"0" if type(given) is int and not given else integer("flags", given, UINT32)

    def _stored_many(
        self, keys: Sequence[bytes], values: Sequence[Any], flags: int | None
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """Return many values as the bytes to store, and their flags."""
        if self.leaves_bytes and flags is None and set(map(type, values)) == {bytes}:
            return values, [b"0"] * len(values)
        pairs = [self._stored(key, value, flags) for key, value in zip(keys, values, strict=True)]
        return [data for data, _ in pairs], [shown for _, shown in pairs]

    # Commands --------------------------------------------------------------------------------------------------

    @cached_property
    def forms(self) -> Mapping[str, FetchForm | KeyedForm | StoreForm]:
        """The forms of commands with one key, by their names."""
        prefix = self._prefix
        return {
            **{name: FetchForm(name, prefix, self._load) for name in ("get", "gets")},
            **{name: StoreForm(name, prefix, make) for name, (_, make) in _STORES.items() if name != "cas"},
            **{name: KeyedForm(name, prefix) for name in ("incr", "decr", "touch", "delete")},
        }

    def fetch(self, name: str, verb: bytes, given: Key, default: Any) -> FetchOne:
        """Make a command that reads one value."""
        key, wire_key = self.key(given)
        return FetchOne(name, verb, self._load, given, key, wire_key, default)

    def fetch_many(self, name: str, verb: bytes, given: Iterable[Key]) -> FetchMany:
        """Make a command that reads many values."""
        several = key_list(name, given)
        return FetchMany(name, verb, self._load, several, *self.keys(several))

    def store(
        self,
        name: str,
        given: Key,
        value: Any,
        expire: int,
        noreply: bool | None,
        flags: int | None,
        end: bytes = b"",
    ) -> Plain:
        """Make a command that writes one value."""
        key, wire_key = self.key(given)
        verb, make = _STORES[name]
        # Nearly always; without the calls of ``line`` and ``stored_line`` a set takes a twentieth less
        if (
            not (noreply or end)
            and flags is None
            and type(value) is bytes
            and type(expire) is int
            and not expire
            and self.leaves_bytes
        ):
            request = b"%b %b 0 0 %d\r\n%b\r\n" % (verb, wire_key, len(value), value)
            return make(name, verb, (given,), (key,), request)
        silent = bool(noreply)
        data, head = self.line(wire_key, value, expire, flags)
        if silent:
            end += b" noreply"
        return make(name, verb, (given,), (key,), stored_line(verb, wire_key, head, data, end), silent)

    def cas(
        self,
        given: Key,
        value: Any,
        cas: int | str | bytes,
        expire: int,
        noreply: bool | None,
        flags: int | None,
    ) -> Plain:
        """Make a command that replaces a value if nobody has changed it since the token was given."""
        command = self.store("cas", given, value, expire, noreply, flags, token(cas))
        assert isinstance(command, Cas)
        command.word = Word("token", cas.host if isinstance(cas, CasToken) else None)
        return command

    def store_many(
        self, values: Mapping[Key, Any], expire: int, noreply: bool | None, flags: int | None
    ) -> StoreMany:
        """Make a command that writes many values."""
        if not isinstance(values, Mapping):
            raise IllegalArgument(
                f"set_many: found {type(values).__name__}; expected a dict of values by key"
            )
        items = [(key, value) for key, value in values.items()]  # asked once: its methods are the user's
        given = [key for key, _ in items]
        keys, wire_keys = self.keys(given)
        expires, silent = integer("expire", expire, INT64), bool(noreply)
        stored, shown = self._stored_many(wire_keys, [value for _, value in items], flags)
        before = {flag: b" %b %b" % (flag, expires) for flag in set(shown)}
        heads = with_sizes([before[flag] for flag in shown], stored, _silence(silent))
        return StoreMany(given, keys, wire_keys, heads, stored, silent)

    def delete_many(self, given: Iterable[Key], noreply: bool | None) -> DeleteMany:
        """Make a command that deletes many keys."""
        several = key_list("delete_many", given)
        return DeleteMany("delete_many", several, *self.keys(several), bool(noreply))

    def keyed(self, name: str, given: Key, noreply: bool | None, number: bytes = b"") -> Plain:
        """Make another command of one key, and at most one number."""
        key, wire_key = self.key(given)
        verb, silent = name.encode(), bool(noreply)
        request = b"%b %b%b%b\r\n" % (verb, wire_key, number, _silence(silent))
        return Plain(name, verb, (given,), (key,), request, silent)

    def keyless(self, name: str, noreply: bool | None = None, number: bytes = b"") -> Plain:
        """Make a command without a key, for all hosts."""
        verb, silent = name.encode(), bool(noreply)
        line = b"%b%b%b\r\n" % (verb, number, _silence(silent))
        access = Access.READ if name == "version" else Access.WRITE
        return Plain(name, verb, (), (), line, silent, access)

    def stats(self, words: Sequence[Key]) -> Stats:
        """Make the command for a server's statistics."""
        line = b" ".join([b"stats", *(stats_word(each) for each in words)])
        return Stats("stats", b"stats", tuple(words), (), line + b"\r\n", access=Access.READ)

    def raw(self, command: Key, end_tokens: Key, key: Key | None) -> Raw:
        """Make a command of the user's own bytes."""
        line = raw_bytes("command", command, self._key_encoding)
        end = raw_bytes("end_tokens", end_tokens, self._key_encoding)
        if not end:
            raise IllegalArgument(
                "end_tokens is empty; expected the bytes that end the answer. Nothing was sent"
            )
        return Raw(line, end, () if key is None else (self.key(key)[0],))


#: The verbs and classes of commands that write one value.
_STORES: Mapping[str, tuple[bytes, type[Plain]]] = {
    **{name: (name.encode(), Plain) for name in ("set", "replace", "append", "prepend")},
    "add": (b"add", Add),
    "cas": (b"cas", Cas),
}


def _silence(silent: bool) -> bytes:
    return b" noreply" if silent else b""
