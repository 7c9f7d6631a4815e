"""How values become bytes and back: ``bytes``, ``str`` and ``int`` as they are, and nothing else unless asked for.

The flags stored with a value are those of pymemcache's own serde (and of pylibmc and python-memcached), so that these
read what we write, and we what they write, but for pickles: loading a pickle runs whatever code its writer liked,
and anybody who reaches a memcached can write to it.
"""

from __future__ import annotations

from typing import Any, Protocol

from pymemcache.serde import FLAG_COMPRESSED, FLAG_INTEGER, FLAG_LONG, FLAG_PICKLE, FLAG_TEXT

from nydus_memcache.errors import IllegalArgument, UnreadableValue

__all__ = ["PlainSerde", "Serde"]


class Serde(Protocol):
    """What turns values into bytes and back: pymemcache's protocol. Threads share it."""

    def serialize(self, key: bytes, value: Any) -> tuple[Any, int]:
        """Return what to store for a value, and its flags."""
        ...

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return the value for what was stored."""
        ...


class PlainSerde:
    """The serde of hosts that name no other. ``bytes``, ``str`` and ``int`` come back as what they were."""

    def serialize(self, key: bytes, value: Any) -> tuple[bytes, int]:
        """Return what to store for a value, and its flags.

        Raises:
            IllegalArgument: It is of another type. Subclasses are, too, for they would not come back as such. Or it
                cannot be written down: text with half a character, a number of too many digits.
        """
        kind = type(value)
        if kind is bytes:
            return value, 0
        try:
            if kind is str:
                return value.encode(), FLAG_TEXT
            if kind is int:
                return b"%d" % value, FLAG_INTEGER
        except ValueError as error:  # half a character, or a number of too many digits
            raise IllegalArgument(
                f"the value for the key {key!r} cannot be written down: {error.args[-1]}. Nothing was sent"
            ) from None
        raise IllegalArgument(
            f"the value for the key {key!r} is of type {kind.__name__}; expected bytes, str or int. Convert it, or "
            "set the option 'serde', or 'pickle' where all who can write to the servers are trusted. Nothing was sent"
        )

    def deserialize(self, key: Any, value: bytes, flags: int) -> Any:
        """Return the value for what was stored. Flags that say nothing of its type leave it as bytes.

        Raises:
            UnreadableValue: It is a pickle, or compressed, or not what its flags say.
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
