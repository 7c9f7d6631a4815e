"""Turns values into bytes and back: ``bytes``, ``str`` and ``int``. Other types need a serde that the user chooses.

The flags stored with a value are the flags of pymemcache's own serde (and of pylibmc and python-memcached). So these
clients read our values, and we read theirs, except pickles: loading a pickle can run code that its writer chose, and
anybody who reaches a memcached server can write to it.
"""

from __future__ import annotations

from typing import Any, Protocol

from pymemcache.serde import FLAG_COMPRESSED, FLAG_INTEGER, FLAG_LONG, FLAG_PICKLE, FLAG_TEXT

from nydus_memcache.errors import IllegalArgument, UnreadableValue

__all__ = ["PlainSerde", "Serde"]


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
        try:
            if flags & FLAG_TEXT:
                return value.decode()
            if flags & (FLAG_INTEGER | FLAG_LONG):
                return int(value)
        except ValueError as error:
            raise UnreadableValue(
                f"the value of the key {key!r} is not what its flags ({flags}) say: {error}"
            ) from error
        return value
