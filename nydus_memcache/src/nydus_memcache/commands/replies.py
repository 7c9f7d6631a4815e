"""Readers of memcached's answers, line by line: values, refusals, and lines that make no sense.

A refusal is an answer, and is returned. A line that is no answer to the command raises an error: client and server have
lost step, the connection cannot be used again, and nobody knows whether the command was applied.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import takewhile
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

__all__ = ["ANSWERS", "WITH_DATA", "read_answer", "read_answers", "read_stats", "refusal", "refused"]

_STORED = {b"STORED": True, b"NOT_STORED": False}
_DONE = {b"OK": True}
#: By verb: the lines that answer it, of verbs whose answers are always the same words.
_WORDS: Mapping[bytes, Mapping[bytes, Any]] = {
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend"), _STORED),
    b"cas": {b"STORED": True, b"EXISTS": False, b"NOT_FOUND": None},
    b"delete": {b"DELETED": True, b"NOT_FOUND": False},
    b"touch": {b"TOUCHED": True, b"NOT_FOUND": False},
    b"flush_all": _DONE,
    b"cache_memlimit": _DONE,
}
#: Bytes of the longest of these lines, with its end.
_LONGEST = len(b"NOT_STORED\r\n")
#: The verbs that are followed by a value.
WITH_DATA = frozenset({b"set", b"add", b"replace", b"append", b"prepend", b"cas"})


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
    **{verb: words.__getitem__ for verb, words in _WORDS.items()},
    b"incr": _number,
    b"decr": _number,
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
        answer = ANSWERS[verb](line)
    except (KeyError, ValueError):
        answer = refused(line, verb)
        if verb in WITH_DATA and isinstance(answer, MemcacheClientError):
            # Where a server refuses the line, it is open how it reads the bytes of the value
            source.close()
    return answer


def read_answers(source: Source, verb: bytes, count: int, answers: list[Any]) -> None:
    """Read the lines that answer commands of one verb, sent together.

    Parameters:
        source: The connection.
        verb: The verb of the commands.
        count: How many they are.
        answers: Takes the answers, each as ``read_answer`` returns it. It may hold the first of them already.

    Raises:
        MemcacheUnknownError: A line is no answer to this command.
        Exception: No line came.
    """
    words = _WORDS.get(verb)
    while len(answers) < count:
        if words is None:  # a number, or the like
            answers.append(read_answer(source, verb))
            continue
        at = source.at
        wanted = count - len(answers)
        *lines, _ = source.received[at : at + _LONGEST * wanted].split(b"\r\n", wanted)
        known = list(takewhile(words.__contains__, lines))
        if not known:
            answers.append(read_answer(source, verb))
            continue
        source.at = at + sum(map(len, known)) + 2 * len(known)
        answers += map(words.__getitem__, known)


def read_stats(source: Source) -> dict[bytes, Any] | Refusal:
    """Read the answer to ``stats``: a dict of values by name. Values are converted where pymemcache knows how."""
    found: dict[bytes, Any] = source.begun(dict)
    line = source.line()
    while line not in (b"END", b"OK", b"RESET"):
        word, *parts = line.split() or [b""]
        if not parts or word not in (b"STAT", b"ITEM"):
            return refused(line, b"stats")
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


def refused(line: bytes, verb: bytes) -> Refusal:
    """Return the error that a line stands for.

    Raises:
        MemcacheUnknownError: The line is no answer to a command of this verb.
    """
    error = refusal(line, verb)
    if error is None:
        raise MemcacheUnknownError(line[:32])
    return error
