"""Promises: a command that is queued in a ``map()`` returns a stand-in for its value, filled when the block ends."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable, Generator, Sequence
from enum import Enum
from typing import Any, Self

from nydus_core.command import Command, Outcome, outcome_of
from nydus_core.drafts import Draft, Form, command_of
from nydus_core.errors import NotResolved

__all__ = ["EventualCommand", "abandon", "settle"]


class _Unsettled(Enum):
    """Why a promise has no outcome. It stands in the place of the outcome."""

    QUEUED = "has no value yet: commands are sent when their map() block ends"
    ABANDONED = "was never sent: its map() block raised"
    INTERRUPTED = "may have been applied: its map() block was interrupted on its way"


_QUEUED = _Unsettled.QUEUED


class EventualCommand(Draft):
    """A promise. Once its ``map()`` block has ended it behaves as its value, in nearly every way.

    It compares, iterates, indexes, counts, formats, hashes, copies and pickles as its value, and is an instance of
    its class. Only its ``repr`` says that it is a promise. Code that asks for the exact type (``type(x) is int``,
    ``x is None``, ``json.dumps``) needs ``.value``.
    Using one whose command failed raises the error. Using one before its block has ended raises ``NotResolved``.

    Attributes of its own, before the value's of the same name: ``value``, ``error``, ``outcome``.
    """

    __slots__ = ()

    def __init__(self, words: Command | tuple[Any, ...], form: Form | None = None) -> None:
        self._nydus_words = words
        self._nydus_form = form
        self._nydus_outcome = _QUEUED

    @property
    def value(self) -> Any:
        """The value itself.

        Raises:
            NotResolved: The ``map()`` block has not ended, or it raised, so that nothing was sent.
            Exception: The command ended in it.
        """
        outcome = self._nydus_outcome
        if isinstance(outcome, Exception):
            raise outcome.with_traceback(None)
        if type(outcome) is _Unsettled:
            raise NotResolved(self._nydus_why(outcome))
        return outcome

    @property
    def error(self) -> Exception | None:
        """The exception that the command ended in, or None if the server answered with a value."""
        outcome = self._nydus_outcome
        if type(outcome) is _Unsettled:
            raise NotResolved(self._nydus_why(outcome))
        return outcome if isinstance(outcome, Exception) else None

    @property
    def outcome(self) -> Outcome:
        """The outcome of the command. A command of a block that raised was not sent."""
        if self._nydus_outcome is _Unsettled.INTERRUPTED:
            return Outcome.MAYBE_APPLIED
        return Outcome.NOT_SENT if self._nydus_outcome is _Unsettled.ABANDONED else outcome_of(self.error)

    def _nydus_why(self, state: _Unsettled) -> str:
        return f"{command_of(self)!r} {state.value}"

    @property
    def __class__(self) -> Any:
        return type(self.value)

    @__class__.setter
    def __class__(self, value: Any) -> None:
        raise TypeError("a promise has the class of its value")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.value, name)

    def __repr__(self) -> str:
        outcome = self._nydus_outcome
        if type(outcome) is _Unsettled:
            return f"<EventualCommand: {self._nydus_why(outcome)}>"
        ended = f"failed with {outcome!r}" if isinstance(outcome, Exception) else repr(outcome)
        return f"<EventualCommand {command_of(self)!r}: {ended}>"

    def __dir__(self) -> list[str]:
        outcome = self._nydus_outcome
        return [] if type(outcome) is _Unsettled or isinstance(outcome, Exception) else dir(outcome)

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


def settle(promises: Sequence[EventualCommand], outcomes: Sequence[Any]) -> None:
    """Fill promises with their outcomes, each a value, or the exception that a command ended in."""
    for promise, outcome in zip(promises, outcomes, strict=True):
        promise._nydus_outcome = outcome  # pyright: ignore[reportPrivateUsage]


def abandon(promises: Sequence[EventualCommand], *, sent: bool) -> None:
    """Mark promises that will never be filled: their commands were not sent, or perhaps were."""
    settle(promises, [_Unsettled.INTERRUPTED if sent else _Unsettled.ABANDONED] * len(promises))


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

for _name, _function in _BINARY.items():
    setattr(EventualCommand, f"__{_name}__", _forwarded(_function))
    setattr(EventualCommand, f"__r{_name}__", _reflected(_function))
for _name, _function in _OTHERS.items():
    setattr(EventualCommand, f"__{_name}__", _forwarded(_function))
