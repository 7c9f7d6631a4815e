"""Readers of memcached's answers, line by line: values, refusals, and lines that make no sense.

A refusal is an answer, and is returned. A line that is no answer to the command raises an error: client and server have
lost step, the connection cannot be used again, and nobody knows whether the command was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from pymemcache.client.base import STAT_TYPES
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from nydus_memcache.commands.source import Source
from nydus_memcache.errors import Refusal, refusal_of

__all__ = ["ANSWERS", "Items", "read_answer", "read_items", "read_stats", "refusal"]

#: The values found, by key as the server sees it: flags and bytes, after ``gets`` also the cas token.
Items = dict[bytes, tuple[Any, ...]]

_STORED = {b"STORED": True, b"NOT_STORED": False}
_DONE = {b"OK": True}


def _number(line: bytes) -> int | None:
    if line == b"NOT_FOUND":
        return None
    if not line.isdigit():  # int() also accepts signs, blanks and underscores
        raise ValueError(line)
    return int(line)


def _version(line: bytes) -> bytes:
    word, _, version = line.partition(b" ")
    if word != b"VERSION":
        raise ValueError(line)
    return version


#: By verb: the meaning of an answer. KeyError and ValueError: the line is no answer to this command.
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
        The meaning of the line, or the error that the server answered.

    Raises:
        MemcacheUnknownError: The line is no answer to this command.
        Exception: No line came.
    """
    line = source.line()
    try:
        return ANSWERS[verb](line)
    except (KeyError, ValueError):
        return _refused(line, verb)


#: How many words come with an item: key, flags and size, after ``gets`` also the cas token.
_PARTS = {b"get": 3, b"gets": 4}


def read_items(source: Source, verb: bytes, keys: Collection[bytes]) -> Items | Refusal:
    """Read the values that answer a ``get`` or ``gets``.

    Parameters:
        source: The connection.
        verb: The command.
        keys: The keys that the command asked for, as the server sees them.

    Returns:
        The values found, or the error that the server answered.

    Raises:
        MemcacheUnknownError: A line is no answer to this command.
        Exception: The answer did not come, or not all of it.
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


def read_stats(source: Source) -> dict[bytes, Any] | Refusal:
    """Read the answer to ``stats``: a dict of values by name. Values are converted where pymemcache knows how."""
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
    except Exception:  # a value of another kind, as servers may have: it stays as it came
        return value


def refusal(line: bytes, verb: bytes) -> Refusal | None:
    """Return the error that a line stands for, as pymemcache would raise it; None if the line is no error."""
    word, _, reason = line.partition(b" ")
    if word == b"SERVER_ERROR":
        return refusal_of(MemcacheServerError, (reason,), _shown(reason))
    if word == b"CLIENT_ERROR":
        return refusal_of(MemcacheClientError, (reason,), _shown(reason))
    if word.startswith(b"MEMLIMIT_"):
        return refusal_of(MemcacheUnknownError, (line[:32],), _shown(line))
    if word in (b"ERROR", b"ERROR:"):  # memcached: "ERROR: shutdown not enabled"
        said = _shown(reason) or "the server does not know this command (ERROR)"
        return refusal_of(MemcacheUnknownCommandError, (verb,), said)
    return None


#: Characters of a server's words that an error shows.
_MOST_SHOWN = 200


def _shown(words: bytes) -> str:
    """Return a server's words as text. Bytes that are not ASCII, and control characters, are escaped."""
    text = words[:_MOST_SHOWN].decode("ascii", "backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)


def _refused(line: bytes, verb: bytes) -> Refusal:
    error = refusal(line, verb)
    if error is None:
        raise MemcacheUnknownError(line[:32])
    return error
