"""Surfaces: the objects that users call. ``PlainSurface``, on which any attribute is a command, is the default.

An engine with a surface of its own may send another command than the user called (``decr`` goes over the wire as
``DECRBY``). Routers written for nydus 0.11 need the call itself; ``remember_call`` keeps it for them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from nydus_core.command import Command, Dispatch

__all__ = [
    "Call",
    "Describe",
    "PlainSurface",
    "current_call",
    "named_as_called",
    "remember_awaited_call",
    "remember_call",
]

T = TypeVar("T")

#: Makes a command of a call: its name, positional and keyword arguments.
Describe = Callable[[str, tuple[Any, ...], dict[str, Any]], Command]


class PlainSurface:
    """An object on which any public attribute can be called, and each call ends in ``dispatch``.

    Parameters:
        dispatch: Takes each command.
        describe: Makes the command of a call.
    """

    def __init__(self, dispatch: Dispatch, describe: Describe) -> None:
        self._dispatch = dispatch
        self._describe = describe

    def __getattr__(self, name: str) -> _Call:
        if name.startswith("_"):
            raise AttributeError(
                f"{name!r} is not a command: names of commands do not start with an underscore"
            )
        return _Call(self._dispatch, self._describe, name)


class _Call:
    """The name of a command, still to be called or to be extended by an attribute."""

    def __init__(self, dispatch: Dispatch, describe: Describe, name: str) -> None:
        self._dispatch = dispatch
        self._describe = describe
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._dispatch(self._describe(self._name, args, kwargs))

    def __getattr__(self, name: str) -> _Call:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Call(self._dispatch, self._describe, f"{self._name}.{name}")

    def __repr__(self) -> str:
        return f"<command {self._name}>"


def named_as_called(surface: type[T]) -> type[T]:
    """Have Python name the methods of a surface as users call them: ``set() got an unexpected keyword argument``.

    A decorator of classes. Users know a cluster, and no class of its surface. A call takes no longer.
    """
    for name, method in vars(surface).items():
        if inspect.isfunction(method) and not name.startswith("_") and method.__name__ == name:
            method.__qualname__ = name
    return surface


#: A call as the user wrote it: its name, positional and keyword arguments.
Call = tuple[str, tuple[Any, ...], dict[str, Any]]

_current: ContextVar[Call | None] = ContextVar("nydus_call", default=None)


def current_call() -> Call | None:
    """Return the user's call that the current command comes from; None if the command is the call itself."""
    return _current.get()


def remember_call(name: str, function: Any) -> Any:
    """Wrap a method of a surface so that ``current_call`` tells how it was called.

    Parameters:
        name: The name of the method.
        function: The attribute of the surface. A command of ``PlainSurface``, which is the call itself, is returned
            unchanged, as is anything that cannot be called.
    """
    if isinstance(function, _Call) or not callable(function):
        return function

    @functools.wraps(function)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        with _remembered((name, args, kwargs)):
            return function(*args, **kwargs)

    return remembering


def remember_awaited_call(name: str, function: Any) -> Any:
    """Wrap a method of an asynchronous surface as ``remember_call`` does: ``current_call`` tells how it was called."""
    if isinstance(function, _Call) or not callable(function):
        return function

    @functools.wraps(function)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        call = name, args, kwargs
        with _remembered(call):
            found = function(*args, **kwargs)
        return _awaited(call, found) if inspect.iscoroutine(found) else found

    return remembering


async def _awaited(call: Call, found: Coroutine[Any, Any, Any]) -> Any:
    with _remembered(call):
        return await found


@contextmanager
def _remembered(call: Call) -> Generator[None]:
    token = _current.set(call)
    try:
        yield
    finally:
        _current.reset(token)
