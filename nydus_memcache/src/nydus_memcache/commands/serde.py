"""Turns values into bytes and back: ``bytes``, ``str`` and ``int``; with ``PickleSerde`` values of any type.

The flags stored with a value are the flags of pymemcache's own serde (and of pylibmc and python-memcached). So these
clients read our values, and we read theirs, except pickles: loading a pickle can run code that its writer chose, and
anybody who reaches a memcached server can write to it.

Clients of other languages give the same flags another meaning. A value that does not fit its flags is an error, never None
as if it were missing.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, Protocol

from pymemcache.serde import FLAG_COMPRESSED, FLAG_INTEGER, FLAG_LONG, FLAG_PICKLE, FLAG_TEXT, pickle_serde

from nydus_memcache.errors import IllegalArgument, UnreadableValue

__all__ = ["Load", "PickleSerde", "PlainSerde", "Serde"]


class Serde(Protocol):
    """Turns values into bytes and back: pymemcache's protocol. Threads share a serde."""

    def serialize(self, key: bytes, value: Any) -> tuple[Any, int]:
        """Return the bytes (or text) to store for a value, and the flags."""
        ...

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return the value for stored bytes."""
        ...


class PlainSerde:
    """The serde of hosts that name no other. ``bytes``, ``str`` and ``int`` come back with the same type."""

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        """Return the bytes to store for a value, and the flags.

        Raises:
            IllegalArgument: The value is of another type; a subclass is refused, too, because it would come back as its
                base. Or the value cannot be written as bytes, such as text with half a character.
        """
        kind = type(value)
        if kind is bytes:
            return value, 0
        try:
            if kind is str:
                return value.encode(), FLAG_TEXT
            if kind is int:
                return b"%d" % value, FLAG_INTEGER
        except ValueError as error:  # half a character, or a number that Python does not write in digits
            raise IllegalArgument(
                f"the value for the key {key!r} cannot be written down: {error.args[-1]}. Nothing was sent"
            ) from None
        raise IllegalArgument(
            f"the value for the key {key!r} is of type {kind.__name__}; expected bytes, str or int. Convert it, or "
            "set the option 'serde', or 'pickle' where all who can write to the servers are trusted. Nothing was sent"
        )

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return the value for stored bytes. Flags that do not name a type leave bytes.

        Raises:
            UnreadableValue: The value is a pickle, or compressed, or does not fit its flags.
        """
        if flags == 0:
            return value
        if flags & (FLAG_PICKLE | FLAG_COMPRESSED):
            kind = "pickled" if flags & FLAG_PICKLE else "compressed"
            raise UnreadableValue(
                f"the value of the key {key!r} is {kind} (flags {flags}) by another client, and was left alone: set "
                "the option 'serde', or 'pickle' where all who can write to the servers are trusted"
            )
        return _typed(key, value, flags)


class PickleSerde(PlainSerde):
    """The serde of hosts with the option ``pickle``: values of other types are pickled, as pymemcache's ``pickle_serde`` does.

    pymemcache's own serde returns None for a value that it cannot unpickle, as if the key were missing, and the bytes of a
    value that was compressed.
    """

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        """Return the bytes to store for a value, and the flags.

        Raises:
            IllegalArgument: The value cannot be pickled.
        """
        if type(value) in _PLAIN_TYPES:
            return super().serialize(key, value)
        try:
            data, flags = pickle_serde.serialize(key, value)
        except Exception as error:  # whatever a class of the user's raises
            raise IllegalArgument(
                f"the value for the key {key!r} is of type {type(value).__name__} and cannot be pickled: "
                f"{type(error).__name__}. Nothing was sent"
            ) from error
        return data, flags

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return the value for stored bytes. Flags that do not name a type leave bytes.

        Raises:
            UnreadableValue: The value is compressed, does not fit its flags, or is no pickle that can be loaded here.
        """
        if flags & FLAG_COMPRESSED or not flags & FLAG_PICKLE:
            return super().deserialize(key, value, flags)
        if flags & (FLAG_TEXT | FLAG_INTEGER | FLAG_LONG):
            return _typed(key, value, flags)  # these flags come first in pymemcache
        try:
            return pickle.loads(value)
        except Exception as error:  # whatever a pickle raises, or a class that is not there any more
            raise UnreadableValue(
                f"the value of the key {key!r} has the flags of a pickle ({flags}) and cannot be loaded: {type(error).__name__}. "
                f"{_OTHERS}"
            ) from error


class Load:
    """Makes values of items that a server has stored.

    Parameters:
        serde: Turns stored bytes into values.

    Attributes:
        leaves_bytes: Whether the serde returns the bytes of a value with the flags 0 as they are. Then it is not asked.
    """

    __slots__ = ("_deserialize", "leaves_bytes")

    def __init__(self, serde: Serde) -> None:
        self._deserialize = serde.deserialize
        self.leaves_bytes = type(serde) in (PlainSerde, PickleSerde)

    def __call__(self, given: Any, item: Any) -> Any:
        """Return the value of an item; of an item with a cas token, the pair of value and token.

        Parameters:
            given: The key, as the user gave it.
            item: The item, as ``read_items`` returns it.
        """
        if type(item) is bytes:
            return item if self.leaves_bytes else self._deserialize(given, item, 0)
        value = self._deserialize(given, item[1], item[0])
        return (value, item[2]) if len(item) > 2 else value

    def many(self, given: Sequence[Any], items: Sequence[Any]) -> Sequence[Any]:
        """Return the values of some items, by position."""
        if self.leaves_bytes and set(map(type, items)) == {bytes}:
            return items
        return list(map(self, given, items))


_PLAIN_TYPES = frozenset({bytes, str, int})
_OTHERS = "Another client may give these flags another meaning: read the value with a 'serde' that knows it"


def _typed(key: Any, value: bytes, flags: int) -> Any:
    """Return the text or number that the flags of a value name; bytes if they name neither.

    Raises:
        UnreadableValue: The value does not fit its flags.
    """
    kind = "UTF-8 text" if flags & FLAG_TEXT else "a number"
    try:
        if flags & FLAG_TEXT:
            return value.decode()
        if flags & (FLAG_INTEGER | FLAG_LONG):
            return int(value)
    except ValueError:  # its text would show the value
        raise UnreadableValue(
            f"the value of the key {key!r} is not what its flags ({flags}) say: {kind}. {_OTHERS}"
        ) from None
    return value
