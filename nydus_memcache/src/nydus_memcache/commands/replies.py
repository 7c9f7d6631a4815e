"""What memcached answers, line by line: told apart into values, refusals, and what nobody understands.

A refusal is an answer, and is returned. What is no answer to the command is raised: then client and server have lost
step, the connection is of no more use, and whether the command was applied is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pymemcache.client.base import STAT_TYPES
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from nydus_memcache.commands.source import Source

__all__ = ["ANSWERS", "Items", "read_answer", "read_items", "read_stats", "refusal"]

#: The values found, by key as the server sees it: flags and bytes, after ``gets`` also the cas token.
Items = dict[bytes, tuple[Any, ...]]

_STORED = {b"STORED": True, b"NOT_STORED": False}
_DONE = {b"OK": True}


def _number(line: bytes) -> int | None:
    if line == b"NOT_FOUND":
        return None
    if not line.isdigit():  # int() takes more for a number than a server says
        raise ValueError(line)
    return int(line)


def _version(line: bytes) -> bytes:
    word, _, version = line.partition(b" ")
    if word != b"VERSION":
        raise ValueError(line)
    return version


#: By command: what a line that answers it means. KeyError and ValueError: it is no answer to it.
ANSWERS: Mapping[bytes, Callable[[bytes], Any]] = {
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend"), _STORED.__getitem__),
    b"cas": {b"STORED": True, b"EXISTS": False, b"NOT_FOUND": None}.__getitem__,
    b"delete": {b"DELETED": True, b"NOT_FOUND": False}.__getitem__,
    b"touch": {b"TOUCHED": True, b"NOT_FOUND": False}.__getitem__,
    b"incr": _number,
    b"decr": _number,
    b"flush_all": _DONE.__getitem__,
    b"cache_memlimit": _DONE.__getitem__,
    b"version": _version,
}


def read_answer(source: Source, verb: bytes) -> Any:
    """Read the line that answers a command.

    Parameters:
        source: The connection.
        verb: The command.

    Returns:
        What it means, or the error that the server answered.

    Raises:
        MemcacheUnknownError: It is no answer to this command.
        Exception: None came.
    """
    line = source.line()
    try:
        return ANSWERS[verb](line)
    except (KeyError, ValueError):
        return _refused(line, verb)


#: Of an item: its key, flags and size, after ``gets`` also its cas token.
_PARTS = {b"get": 3, b"gets": 4}


def read_items(source: Source, verb: bytes, keys: Collection[bytes]) -> Items | MemcacheError:
    """Read the values that answer a ``get`` or ``gets``.

    Parameters:
        source: The connection.
        verb: The command.
        keys: The keys that it asked for, as the server sees them.

    Returns:
        The values found, or the error that the server answered.

    Raises:
        MemcacheUnknownError: It is no answer to this command.
        Exception: None came.
    """
    found: Items = source.begun(dict)
    line = source.line()
    while line != b"END":
        word, *parts = line.split(b" ")
        if word != b"VALUE":
            return _refused(line, verb)
        if len(parts) != _PARTS[verb] or not all(number.isdigit() for number in parts[1:]):
            raise MemcacheUnknownError(line[:32])
        key, flags, size, *cas = parts
        found[key] = (int(flags), source.block(int(size)), *cas)
        line = source.line()
    if not found.keys() <= set(keys):
        raise MemcacheUnknownError("an answer with keys that were not asked for")
    return found


def read_stats(source: Source) -> dict[bytes, Any] | MemcacheError:
    """Read the answer to ``stats``: names and values, these as numbers and the like where pymemcache knows how."""
    found: dict[bytes, Any] = source.begun(dict)
    line = source.line()
    while line not in (b"END", b"OK", b"RESET"):
        word, *parts = line.split() or [b""]
        if not parts or word not in (b"STAT", b"ITEM"):
            return _refused(line, b"stats")
        name, *values = parts
        found[name] = _converted(name, b" ".join(values if word == b"ITEM" else values[:1]))
        line = source.line()
    return found


def _converted(name: bytes, value: bytes) -> Any:
    try:
        return STAT_TYPES.get(name, int)(value)
    except Exception:  # whatever a server's author thought of: it stays as it came
        return value


def refusal(line: bytes, verb: bytes) -> MemcacheError | None:
    """Return the error that a line says, as pymemcache would raise it; None if it says none."""
    word, _, reason = line.partition(b" ")
    if word == b"SERVER_ERROR":
        return MemcacheServerError(reason)
    if word == b"CLIENT_ERROR":
        return MemcacheClientError(reason)
    if word.startswith(b"MEMLIMIT_"):
        return MemcacheUnknownError(line[:32])
    return MemcacheUnknownCommandError(verb) if word == b"ERROR" else None


def _refused(line: bytes, verb: bytes) -> MemcacheError:
    error = refusal(line, verb)
    if error is None:
        raise MemcacheUnknownError(line[:32])
    return error
