"""The forms of commands with one key, as a ``map()`` block queues them: see ``nydus_core.drafts``.

A draft holds the words of its call: the name and the key, as the user gave them, then all that goes into the line. The lines of
many drafts are put together in columns, which is nearly all done in C.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from operator import itemgetter
from typing import Any

from nydus_core.command import key_bytes
from nydus_core.drafts import keys_of_words
from nydus_memcache.commands.command import Plain
from nydus_memcache.commands.fetches import FetchOne
from nydus_memcache.commands.many import lines, stored_line, with_sizes
from nydus_memcache.commands.serde import Load

__all__ = ["FetchForm", "KeyedForm", "LineForm", "StoreForm"]


class _OneKey:
    """The common part of the calls of one command with one key. See ``nydus_core.drafts.Form``.

    Parameters:
        name: The name, which is also the first word of the line.
        prefix: Put before each key on its way to a server.
    """

    __slots__ = ("name", "prefix", "verb")

    def __init__(self, name: str, prefix: bytes) -> None:
        self.name = name
        self.verb = name.encode()
        self.prefix = prefix

    def wire_keys(self, rows: Sequence[tuple[Any, ...]]) -> list[bytes]:
        """Return the keys of some calls, as the server sees them, given their words."""
        keys = keys_of_words(rows)
        return [self.prefix + key for key in keys] if self.prefix else keys


class FetchForm(_OneKey):
    """The form of ``get`` and ``gets``. The words are name, key and the value for a key that is not there.

    Parameters:
        name: The name.
        prefix: Put before each key on its way to a server.
        load: Makes a value of a stored item.
    """

    __slots__ = ("load",)

    def __init__(self, name: str, prefix: bytes, load: Load) -> None:
        super().__init__(name, prefix)
        self.load = load

    def command(self, words: tuple[Any, ...]) -> FetchOne:
        """Return the command of a call."""
        name, given, default = words
        key = key_bytes(given)
        return FetchOne(name, self.verb, self.load, given, key, self.prefix + key, default)


class LineForm(_OneKey):
    """The form of a command that is answered by a line.

    Parameters:
        name: The name.
        prefix: Put before each key on its way to a server.
        make: The class of its commands.
    """

    __slots__ = ("_make",)

    def __init__(self, name: str, prefix: bytes, make: type[Plain] = Plain) -> None:
        super().__init__(name, prefix)
        self._make = make

    def command(self, words: tuple[Any, ...]) -> Plain:
        """Return the command of a call. Its bytes are made when somebody asks for them."""
        name, given, *_ = words
        key = key_bytes(given)
        request = partial(self._line, self.prefix + key, *words[2:])
        return self._make(name, self.verb, (given,), (key,), request)

    def _line(self, wire_key: bytes, *words: bytes) -> bytes:
        """Return the bytes of a call, given its key, as the server sees it, and the words behind the key."""
        raise NotImplementedError

    def request(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        """Return the bytes of some calls, one or more, given their words."""
        raise NotImplementedError


class KeyedForm(LineForm):
    """The form of ``incr``, ``decr``, ``touch`` and ``delete``. The words are name, key and the rest of the line."""

    __slots__ = ()

    def _line(self, wire_key: bytes, *words: bytes) -> bytes:
        return b"%b %b%b\r\n" % (self.verb, wire_key, *words)

    def request(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        return lines(self.verb, self.wire_keys(rows), [*map(_third, rows)])


class StoreForm(LineForm):
    """The form of ``set`` and its like. The words are name, key, the bytes of the value, and the line between key and size."""

    __slots__ = ()

    def _line(self, wire_key: bytes, *words: bytes) -> bytes:
        value, head = words
        return stored_line(self.verb, wire_key, head, value)

    def request(self, rows: Sequence[tuple[Any, ...]]) -> bytes:
        values = [*map(_third, rows)]
        return lines(self.verb, self.wire_keys(rows), with_sizes([*map(_fourth, rows)], values), values)


_third, _fourth = map(itemgetter, (2, 3))
