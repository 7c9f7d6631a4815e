"""The arguments of commands: which can be sent, in what form, and how one command is packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from redis.exceptions import DataError
from redis.utils import HIREDIS_AVAILABLE

from nydus_core.cluster import EventualCommand
from nydus_core.plain import plain

__all__ = ["LARGE", "PLAIN", "TEXT", "encoded", "pack_at_once", "sendable"]

#: Smaller integers are packed at once. For larger ones Python is asked first whether it writes them down.
LARGE = 10**640

#: Types that are sent as they are: text as UTF-8.
TEXT = frozenset({str, bytes})

#: Types that are sent as their text or bytes. A subclass is made plain first.
PLAIN = frozenset({str, bytes, int, float})


#: How arguments are sent that redis-py and hiredis do not send well.
_CONVERTED: dict[type[Any], Callable[[Any], Any]] = {
    memoryview: bytes,
    EventualCommand: lambda promise: promise.value,
}


if HIREDIS_AVAILABLE:  # without it redis-py refuses it
    _CONVERTED[bytearray] = bytes  # as it is now, whatever becomes of it until it is sent


def sendable(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments that can be packed.

    A memoryview becomes its bytes: redis-py and hiredis send other bytes if it has gaps, or items of several bytes. A promise
    becomes its value: without hiredis redis-py would send its repr.

    A value of a subclass, such as a member of an ``IntEnum``, becomes the plain text, bytes or number that it holds. redis-py
    refuses it or sends its repr, by whether hiredis is installed, and its own methods could give other bytes than announced.

    An integer that cannot be written down is refused here: a client library does not survive it.

    Raises:
        redis.DataError: An integer cannot be written down.
    """
    if not PLAIN.issuperset(map(type, args)):
        args = tuple(plain(_CONVERTED[type(arg)](arg) if type(arg) in _CONVERTED else arg) for arg in args)
    for arg in args:
        if type(arg) is int and not -LARGE < arg < LARGE:
            try:
                str(arg)
            except ValueError as error:
                raise DataError(f"an integer of {arg.bit_length()} bits cannot be sent: {error}") from error
    return args


def encoded(column: Sequence[Any]) -> Sequence[bytes]:
    """Return words as they are sent: text as UTF-8, and the text of numbers.

    Parameters:
        column: Text, bytes, integers and floats.
    """
    kinds = set(map(type, column))
    if kinds == {bytes}:
        return column
    if kinds == {str}:
        return [*map(str.encode, column)]
    if kinds == {int}:
        return [*map(str.encode, map(int.__repr__, column))]
    return [
        word if type(word) is bytes else word.encode() if type(word) is str else repr(word).encode()
        for word in column
    ]


#: Packs as redis-py does where hiredis is installed, but without its search for arguments to convert; None without hiredis.
pack_at_once: Callable[[tuple[Any, ...]], bytes] | None = None
if HIREDIS_AVAILABLE:
    import hiredis

    def _pack_safely(args: tuple[Any, ...]) -> bytes:
        for arg in args:
            kind = type(arg)
            if kind is not str and kind is not bytes and not (kind is int and -LARGE < arg < LARGE):
                args = sendable(args)
                break
        packed: bytes = hiredis.pack_command(args)
        return packed

    pack_at_once = _pack_safely
