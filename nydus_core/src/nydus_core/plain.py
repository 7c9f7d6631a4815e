"""Plain values: text, bytes and numbers that have no methods of their own.

A subclass of ``int`` or ``str``, such as a member of an ``IntEnum``, may compare, hash, or show itself as it likes. Python then
does unexpected things: ``value in range(2**64)`` counts up to the end, and nobody can interrupt it. So a value that comes from
a program is made plain before anything is decided by it. Its own methods are not called for that.
"""

from __future__ import annotations

from typing import Any

__all__ = ["is_a", "plain", "whole"]


def plain(value: Any) -> Any:
    """Return the text, bytes or number that a value of a subclass holds, as a value of the base class.

    Parameters:
        value: Any value. A value of another type is returned as it is, and so is a bool.
    """
    kind = type(value)
    if kind in _EXACT:
        return value
    # Not isinstance(): an object may pretend to be of another class
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, bytes):
        return bytes.__bytes__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    return value


_EXACT = frozenset({str, int, bytes, float, bool, type(None)})


def is_a(value: object, *kinds: type) -> bool:
    """Tell whether a value is of one of some classes. The value is not asked, so it can neither pretend nor raise.

    Parameters:
        value: Any value.
        kinds: The classes.
    """
    return issubclass(type(value), kinds)


def whole(value: Any) -> int | None:
    """Return a whole number as a plain int; None if the value is none.

    A value that is no int, but stands for one by ``__index__``, as numbers of numpy do, is a whole number. A bool is none.

    Parameters:
        value: Any value.
    """
    kind = type(value)
    if kind is int:
        number: int = value
        return number
    if kind is bool:
        return None
    if issubclass(kind, int):
        return int.__int__(value)
    if not hasattr(kind, "__index__"):
        return None
    try:
        found = kind.__index__(value)
    except Exception:  # whatever a method of the user's raises
        return None
    return int.__int__(found) if issubclass(type(found), int) and type(found) is not bool else None
