"""Calls of redis-py's methods as data: written down as one would make them, made later on any client.

``call.zadd("z", {"a": 1}, nx=True)`` is such a call, and ``call.json().set("j", "$", 1)`` one of a module.
``volatile`` marks those whose answers differ from server to server, or from moment to moment: of them only the shape
can be compared.
"""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["DATA", "Call", "call", "is_volatile", "made", "made_and_awaited", "name_of", "shape", "volatile"]

#: What the samples find, as commands. All keys have one hash tag, so they live on one host.
DATA: list[tuple[Any, ...]] = [
    ("MSET", "{k}s", "Hello", "{k}s2", "World", "{k}n", 5, "{k}w1", 3, "{k}w2", 2, "{k}w3", 1),
    ("RPUSH", "{k}l", "a", "b", "c", "a"),
    ("RPUSH", "{k}l2", "x"),
    ("RPUSH", "{k}nums", 3, 1, 2),
    ("HSET", "{k}h", "f", 1, "g", "two"),
    ("SADD", "{k}m", "a", "b", "c"),
    ("SADD", "{k}m2", "b", "c", "d"),
    ("ZADD", "{k}z", 1, "a", 2.5, "b", 3, "c"),
    ("ZADD", "{k}z2", 10, "b", 20, "d"),
    ("GEOADD", "{k}g", 13.361389, 38.115556, "Palermo", 15.087269, 37.502669, "Catania"),
    ("XADD", "{k}x", "1-1", "f", "v"),
    ("XADD", "{k}x", "2-1", "f", "w"),
    ("XGROUP", "CREATE", "{k}x", "readers", "0"),
    ("XREADGROUP", "GROUP", "readers", "ada", "COUNT", 1, "STREAMS", "{k}x", ">"),
    ("PFADD", "{k}p", "a", "b"),
    ("PFADD", "{k}p2", "b", "c"),
]

Step = tuple[str, tuple[Any, ...] | None, dict[str, Any]]


class Call:
    """A call that is still to be made: attributes and calls, one after the other."""

    def __init__(self, steps: tuple[Step, ...] = (), *, volatile: bool = False) -> None:
        self._steps = steps
        self._volatile = volatile

    def __getattr__(self, name: str) -> Call:
        if name.startswith("_"):
            raise AttributeError(name)
        return Call((*self._steps, (name, None, {})))

    def __call__(self, *args: Any, **kwargs: Any) -> Call:
        *before, (name, _, _) = self._steps
        return Call((*before, (name, args, kwargs)))

    def __repr__(self) -> str:
        return ".".join(f"{name}{args}{kwargs or ''}" for name, args, kwargs in self._steps)


#: Where a sample begins.
call: Any = Call()


def volatile(sample: Call) -> Call:
    """Mark a call whose answers are never the same."""
    return Call(sample._steps, volatile=True)


def is_volatile(sample: Call) -> bool:
    """Tell whether only the shape of its answers can be compared."""
    return sample._volatile


def name_of(sample: Call) -> str:
    """Return the method that is called, with the module that it is of: ``zadd``, ``json.set``."""
    return ".".join(name for name, _, _ in sample._steps)


def made(sample: Call, client: Any) -> Any:
    """Make a call; return what it returns."""
    target = client
    for name, args, kwargs in sample._steps:
        target = getattr(target, name)
        if args is not None:
            target = target(*args, **kwargs)
    return target


async def made_and_awaited(sample: Call, client: Any) -> Any:
    """Make a call on an asynchronous client; return what it returns once that was awaited, if it can be."""
    value = made(sample, client)
    return await value if inspect.isawaitable(value) else value


def shape(value: Any) -> Any:
    """Return the types of a value and of what is in it."""
    if isinstance(value, dict):
        return dict, {type(key) for key in value}
    if isinstance(value, list | tuple | set):
        return type(value), {repr(shape(each)) for each in value}
    return type(value)
