"""Promises: a command that is queued in a ``map()`` returns a stand-in for its value, filled when the block ends."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Generator
from typing import Any, Self

from nydus_core.command import Command, Outcome, outcome_of
from nydus_core.errors import NotResolved

__all__ = ["EventualCommand", "abandon", "settle"]

_QUEUED, _SETTLED, _ABANDONED, _INTERRUPTED = range(4)


class EventualCommand:
    """A promise. Once its ``map()`` block has ended it behaves as its value, in nearly every way.

    It compares, iterates, indexes, counts, formats, hashes, copies and pickles as its value, and is an instance of
    its class. Only its ``repr`` says that it is a promise. Code that asks for the exact type (``type(x) is int``,
    ``x is None``, ``json.dumps``) needs ``.value``.
    Using one whose command failed raises the error. Using one before its block has ended raises ``NotResolved``.

    Attributes of its own, before the value's of the same name: ``value``, ``error``, ``outcome``.
    """

    __slots__ = ("__weakref__", "_nydus_command", "_nydus_error", "_nydus_state", "_nydus_value")

    _nydus_error: Exception | None
    _nydus_value: Any

    def __init__(self, command: Command) -> None:
        self._nydus_command = command
        self._nydus_state = _QUEUED

    @property
    def value(self) -> Any:
        """The value itself.

        Raises:
            NotResolved: The ``map()`` block has not ended, or it raised, so that nothing was sent.
            Exception: The command ended in it.
        """
        if self._nydus_state is not _SETTLED:
            raise NotResolved(self._nydus_why())
        if self._nydus_error is not None:
            raise self._nydus_error.with_traceback(None)
        return self._nydus_value

    @property
    def error(self) -> Exception | None:
        """The exception that the command ended in, or None if the server answered with a value."""
        if self._nydus_state is not _SETTLED:
            raise NotResolved(self._nydus_why())
        return self._nydus_error

    @property
    def outcome(self) -> Outcome:
        """The outcome of the command. A command of a block that raised was not sent."""
        if self._nydus_state is _INTERRUPTED:
            return Outcome.MAYBE_APPLIED
        return Outcome.NOT_SENT if self._nydus_state is _ABANDONED else outcome_of(self.error)

    def _nydus_why(self) -> str:
        if self._nydus_state is _ABANDONED:
            return f"{self._nydus_command!r} was never sent: its map() block raised"
        if self._nydus_state is _INTERRUPTED:
            return (
                f"{self._nydus_command!r} may have been applied: its map() block was interrupted on its way"
            )
        return f"{self._nydus_command!r} has no value yet: commands are sent when their map() block ends"

    @property
    def __class__(self) -> Any:
        return type(self.value)

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a promise has the class of its value")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value, name)

    def __repr__(self) -> str:
        if self._nydus_state is not _SETTLED:
            return f"<EventualCommand: {self._nydus_why()}>"
        if self._nydus_error is not None:
            return f"<EventualCommand {self._nydus_command!r}: failed with {self._nydus_error!r}>"
        return f"<EventualCommand {self._nydus_command!r}: {self._nydus_value!r}>"

    def __dir__(self) -> list[str]:
        return dir(self.value) if self._nydus_state is _SETTLED and self._nydus_error is None else []

    def __copy__(self) -> Any:
        return copy.copy(self.value)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return copy.deepcopy(self.value, memo)

    def __await__(self) -> Generator[Any, None, Self]:
        """Return the promise itself, at once: in an asynchronous block commands are only queued, too."""
        yield from ()
        return self

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _itself, (self.value,)

    def _nydus_settle(self, outcome: Any) -> None:
        """Fill a promise with its outcome: a value, or the exception that the command ended in."""
        if isinstance(outcome, Exception):
            self._nydus_error = outcome
        else:
            self._nydus_error = None
            self._nydus_value = outcome
        self._nydus_state = _SETTLED

    def _nydus_abandon(self, *, sent: bool) -> None:
        """Mark a promise that will never be filled: its command was not sent, or perhaps was."""
        self._nydus_state = _INTERRUPTED if sent else _ABANDONED


def _itself(value: Any) -> Any:
    return value


def _forwarded(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: EventualCommand, *args: Any) -> Any:
        return function(self.value, *args)

    return method


def _reflected(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: EventualCommand, other: Any) -> Any:
        return function(other, self.value)

    return method


_BINARY: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "matmul": operator.matmul,
    "truediv": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "divmod": divmod,
    "pow": pow,
    "lshift": operator.lshift,
    "rshift": operator.rshift,
    "and": operator.and_,
    "or": operator.or_,
    "xor": operator.xor,
}
_OTHERS: dict[str, Callable[..., Any]] = {
    **{name: getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{name: getattr(operator, name) for name in ("neg", "pos", "abs", "invert", "index")},
    **{name: getattr(operator, name) for name in ("contains", "getitem", "setitem", "delitem")},
    **{each.__name__: each for each in (bool, int, float, complex, str, bytes, hash, format, round)},
    **{each.__name__: each for each in (len, iter, next, reversed, math.trunc, math.floor, math.ceil)},
}

# Functions, since every public name of a promise belongs to its value
settle = EventualCommand._nydus_settle  # pyright: ignore[reportPrivateUsage]
abandon = EventualCommand._nydus_abandon  # pyright: ignore[reportPrivateUsage]

for _name, _function in _BINARY.items():
    setattr(EventualCommand, f"__{_name}__", _forwarded(_function))
    setattr(EventualCommand, f"__r{_name}__", _reflected(_function))
for _name, _function in _OTHERS.items():
    setattr(EventualCommand, f"__{_name}__", _forwarded(_function))
