"""Values whose classes are subclasses of plain types, with methods of their own that raise or lie."""

from __future__ import annotations

import enum
from typing import Any, NoReturn

__all__ = ["Index", "Level", "Word", "lying"]


class Level(enum.IntEnum):
    """A number with a name."""

    LOW = 1
    MINUTE = 60


class Word(enum.StrEnum):
    """A text with a name."""

    RED = "red"


class Index:
    """A number as those of numpy are: no int, and stands for one.

    Parameters:
        number: The number.
    """

    def __init__(self, number: Any) -> None:
        self._number = number

    def __index__(self) -> Any:
        return self._number


def _raises(*_: object) -> NoReturn:
    raise RuntimeError("a method of the user's")


_METHODS = (
    *("__eq__", "__hash__", "__lt__", "__gt__", "__le__", "__ge__", "__str__", "__repr__", "__format__"),
    *("__len__", "__int__", "__index__", "__float__", "__bytes__", "__bool__", "__contains__", "__iter__"),
    *("encode", "partition", "isdigit", "startswith", "__getitem__", "__mod__", "__add__", "__radd__"),
)


def lying(kind: type[Any]) -> type[Any]:
    """Make a subclass of a type. All of its methods raise.

    Parameters:
        kind: ``str``, ``bytes``, ``int``, ``float``, ``dict`` or ``list``.
    """
    return type(f"Lying{kind.__name__}", (kind,), dict.fromkeys(_METHODS, _raises))
