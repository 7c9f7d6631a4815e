"""The calls of a schedule, as each engine's own commands, and their values in one form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from chaos.record import amount_of
from chaos.schedule import Op

__all__ = ["call", "normal"]


def _pairs(op: Op) -> dict[str, str]:
    return {key: f"{key}={token}" for key, token in zip(op.keys, op.tokens, strict=True)}


def _value(op: Op) -> str:
    """A value that names its key and token, and in a large one does so with each byte."""
    head = f"{op.keys[0]}={op.tokens[0]}"
    return f"{head}|{op.size}|{_filler(op.tokens[0], op.size)}" if op.size else head


def _filler(token: str, size: int) -> str:
    name = f"{token.strip('<>')};"
    return (name * (size // len(name) + 1))[:size]


def _since(op: Op) -> str:
    """The entries that a command waits for: new ones, or if it waits for long, any."""
    return "$" if op.wait < 0.1 else "0"


_REDIS: dict[str, Callable[[Any, Op], Any]] = {
    "incr": lambda client, op: client.incr(op.keys[0]),
    "count": lambda client, op: client.incr(op.keys[0], amount_of(op.tokens[0])),
    "append": lambda client, op: client.append(op.keys[0], op.tokens[0]),
    "push": lambda client, op: client.lpush(op.keys[0], op.tokens[0]),
    "set": lambda client, op: client.set(op.keys[0], _value(op)),
    "mset": lambda client, op: client.mset(_pairs(op)),
    "get": lambda client, op: client.get(op.keys[0]),
    "mget": lambda client, op: client.mget(list(op.keys)),
    "refused": lambda client, op: client.lpush(op.keys[0], op.tokens[0]),
    "everyone": lambda client, op: client.ping(),
    "feed": lambda client, op: client.rpush(op.keys[0], op.tokens[0]),
    "enter": lambda client, op: client.xadd(op.keys[0], {"token": op.tokens[0]}),
    "pop": lambda client, op: client.blpop([op.keys[0]], timeout=op.wait),
    "move": lambda client, op: client.blmove(op.keys[1], op.keys[0], op.wait, "LEFT", "RIGHT"),
    "rotate": lambda client, op: client.brpoplpush(op.keys[1], op.keys[0], timeout=op.wait),
    "follow": lambda client, op: client.xread({op.keys[0]: _since(op)}, block=round(op.wait * 1000)),
}
_MEMCACHE: dict[str, Callable[[Any, Op], Any]] = {
    "incr": lambda client, op: client.incr(op.keys[0], 1),
    "count": lambda client, op: client.incr(op.keys[0], amount_of(op.tokens[0])),
    "append": lambda client, op: client.append(op.keys[0], op.tokens[0]),
    "push": lambda client, op: client.prepend(op.keys[0], op.tokens[0]),
    "set": lambda client, op: client.set(op.keys[0], _value(op)),
    "mset": lambda client, op: client.set_many(_pairs(op)),
    "get": lambda client, op: client.get(op.keys[0]),
    "mget": lambda client, op: client.get_many(list(op.keys)),
    "refused": lambda client, op: client.incr(op.keys[0], 1),
    "everyone": lambda client, op: client.version(),
}
_CALLS = {"redis": _REDIS, "memcache": _MEMCACHE}
_SAME = {"renew": "set", "where": "get"}


def call(engine: str, client: Any, op: Op) -> Any:
    """Do a call; return its value, or in a ``map()`` its promise."""
    return _CALLS[engine][_SAME.get(op.name, op.name)](client, op)


def normal(op: Op, value: Any, *, several: bool) -> Any:
    """Return a value as the judge wants it: text, True for a write that has no other answer, a list for ``mget``.

    Parameters:
        op: What was called.
        value: What it returned.
        several: Whether that is a list of the values of all hosts.
    """
    if op.name == "everyone":
        return (
            [each is True or isinstance(each, bytes) for each in value] if isinstance(value, list) else value
        )
    if several and isinstance(value, list):
        return [_normal(op, each) for each in value]
    return _normal(op, value)


def _normal(op: Op, value: Any) -> Any:
    if op.name == "pop" and isinstance(value, (tuple, list)) and len(value) == 2:
        key, element = map(_text, value)
        return element if key == op.keys[0] else f"{element} of {key}"
    if op.name == "follow":
        return list(_tokens(value))
    if op.name == "mset" and value == []:  # the keys that memcached refused
        return True
    if isinstance(value, dict):
        return [_text(value.get(key)) for key in op.keys]
    return _text(value)


def _tokens(value: Any) -> Iterator[str]:
    """The tokens anywhere in an answer, whose form the protocol decides."""
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple)):
        for each in value:
            yield from _tokens(each)
    elif value is not None and (text := str(_text(value))).startswith("<"):
        yield text


def _whole(text: str) -> str:
    """The head of a large value, if all of it is there and nothing else; any other text as it is."""
    head, bar, rest = text.partition("|")
    if not bar:
        return text
    size, _, filler = rest.partition("|")
    whole = size.isdecimal() and filler == _filler(head.partition("=")[2], int(size))
    return head if whole else f"{text[:80]}… of {len(text)} bytes, spoiled"


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode(errors="backslashreplace")
    if isinstance(value, str):
        return _whole(value)
    if isinstance(value, Sequence):
        return [_text(each) for each in value]
    return value
