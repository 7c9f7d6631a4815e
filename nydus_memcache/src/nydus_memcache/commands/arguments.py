"""Checks of the arguments of calls, which become the bytes that a server sees.

An argument that a server would refuse or misread is refused here, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from nydus_core.cluster import EventualCommand
from nydus_core.plain import plain, whole
from nydus_memcache.commands.command import Key
from nydus_memcache.errors import IllegalArgument, IllegalKey

__all__ = [
    "INT64",
    "LEGAL_KEY",
    "LONGEST_KEY",
    "UINT32",
    "count",
    "encoded",
    "expiry",
    "integer",
    "is_legal",
    "key_list",
    "legal",
    "legal_keys",
    "raw_bytes",
    "stats_word",
    "token",
]

#: A key that memcached takes, with the prefix: any bytes but white space and control characters.
LEGAL_KEY = re.compile(rb"[^\x00-\x20\x7f]{1,250}")
#: Tells by an object or None whether a server takes a key.
is_legal = LEGAL_KEY.fullmatch
_ILLEGAL = re.compile(rb"[\x00-\x20\x7f]")
#: Bytes of the longest key that memcached takes.
LONGEST_KEY = 250
_LEGAL_BYTES = bytes(byte for byte in range(256) if not _ILLEGAL.match(bytes([byte])))

UINT32 = range(2**32)
UINT64 = range(2**64)
INT64 = range(-(2**63), 2**63)
_MOST_DIGITS = 20  # of the largest cas token


def _plain(given: Any) -> Any:
    """Return a plain value; of a promise its value."""
    return plain(given.value if type(given) is EventualCommand else given)


def encoded(given: object, encoding: str) -> bytes:
    """Return a key, or a promise of one, as bytes, without the prefix.

    Raises:
        IllegalKey: It is neither text of this encoding nor bytes.
    """
    text = given if type(given) is str else _plain(given)
    if type(text) is bytes:
        return text
    if type(text) is not str:
        kind = type(given).__name__
        raise IllegalKey(f"{_named(given)} is of type {kind}; expected str or bytes. Nothing was sent")
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        raise IllegalKey(
            f"{_named(given)} is not {encoding}: encode it, or set the option 'allow_unicode_keys'. Nothing was sent"
        ) from error


def legal(wire_key: bytes, given: object) -> bytes:
    """Return a key as a server sees it, checked.

    Parameters:
        wire_key: The key, with the prefix.
        given: The key as the user gave it, for the error.

    Raises:
        IllegalKey: No server would take the key.
    """
    if not is_legal(wire_key):
        raise IllegalKey(f"{_named(given)} {_why_illegal(wire_key)}. Nothing was sent")
    return wire_key


def legal_keys(given: Sequence[object], encoding: str, prefix: bytes) -> list[bytes] | None:
    """Return many keys as bytes, without the prefix, if all of them are plain text, or all plain bytes, and legal.

    Then they are looked at together, as one text. Else None, and each has to be looked at by itself.

    Parameters:
        given: The keys as the user gave them.
        encoding: The encoding of text.
        prefix: The prefix, which counts for their length.
    """
    kinds = set(map(type, given))
    try:
        if kinds == {str}:
            text = "\n".join(cast("Sequence[str]", given)).encode(encoding)
        elif kinds == {bytes}:
            text = b"\n".join(cast("Sequence[bytes]", given))
        else:
            return None
    except UnicodeEncodeError:
        return None
    # The bytes that no key may have: here only those between two keys
    if text.translate(None, _LEGAL_BYTES) != b"\n" * (len(given) - 1):
        return None
    keys = text.split(b"\n")
    sizes = set(map(len, keys))
    if max(sizes) > LONGEST_KEY - len(prefix) or (0 in sizes and not prefix):
        return None
    return keys


def _named(given: object) -> str:
    return f"the key {_shown(given)}"


def _shown(given: object) -> str:
    try:
        shown = repr(_plain(given))
    except ValueError:  # a number that Python does not write in digits
        shown = f"a {type(given).__name__} that is too large to be shown"
    except Exception:  # whatever a method of the user's raises
        shown = f"a {type(given).__name__} that cannot be shown"
    return shown if len(shown) <= 80 else shown[:80] + "…"


def _number_shown(given: object) -> str:
    """Return the text for an argument that should be a number. Anything else may be a value in the wrong place."""
    found = _plain(given)
    return _shown(found) if type(found) in (int, float, bool) else f"of type {type(given).__name__}"


def raw_bytes(name: str, text: object, encoding: str) -> bytes:
    """Return text or bytes of the user's own as bytes. The error does not show them.

    Parameters:
        name: The name of the argument.
        text: The text or bytes.
        encoding: The encoding of text.

    Raises:
        IllegalArgument: It is neither text of this encoding nor bytes.
    """
    found = _plain(text)
    try:
        found = found.encode(encoding) if type(found) is str else found
    except UnicodeEncodeError:  # its text would show the command
        raise IllegalArgument(f"{name} is not {encoding}: encode it. Nothing was sent") from None
    if type(found) is not bytes:
        raise IllegalArgument(
            f"{name} is of type {type(text).__name__}; expected str or bytes. Nothing was sent"
        )
    return found


def _why_illegal(wire_key: bytes) -> str:
    if not wire_key:
        return "is empty"
    if len(wire_key) > LONGEST_KEY:
        return f"has {len(wire_key)} bytes with the prefix; memcached takes at most {LONGEST_KEY}"
    bad = _ILLEGAL.search(wire_key)
    assert bad is not None
    return f"contains {bad[0]!r}; memcached takes no white space and no control characters"


def key_list(name: str, given: Iterable[Key]) -> list[Key]:
    """Return the keys that a call was given.

    Raises:
        IllegalKey: It is one key, or nothing that yields keys.
    """
    if isinstance(given, str | bytes):
        raise IllegalKey(
            f"{name}: found the {type(given).__name__} {given!r}; expected a list of keys. Nothing was sent"
        )
    try:
        return list(given)
    except TypeError:
        kind = type(given).__name__
        raise IllegalKey(f"{name}: found {kind}; expected a list of keys. Nothing was sent") from None


def integer(name: str, value: Any, allowed: range) -> bytes:
    """Return a number as its digits.

    Parameters:
        name: The name of the argument.
        value: The number, or a promise of one.
        allowed: The numbers that a server takes.

    Raises:
        IllegalArgument: It is no such number.
    """
    # Checked before anything is sent: where a server refuses a line, client and server can lose step
    number = whole(_plain(value))
    if number is None or number not in allowed:
        raise IllegalArgument(
            f"{name} is {_number_shown(value)}; expected an integer from {allowed[0]} to {allowed[-1]}. Nothing was sent"
        )
    return b"%d" % number


def expiry(seconds: int) -> bytes:
    """Return ``expire`` as bytes of a command."""
    return b" " + integer("expire", seconds, INT64)


def count(name: str, value: int) -> bytes:
    """Return another number, 0 or more, as bytes of a command."""
    return b" " + integer(name, value, UINT64)


def token(cas: object) -> bytes:
    """Return a cas token as bytes of a command.

    Raises:
        IllegalArgument: It is no token that ``gets`` returns.
    """
    digits = _plain(cas)
    number = whole(digits)
    if number is not None:
        digits = b"%d" % number if number in UINT64 else b""
    elif type(digits) is str:
        digits = digits.encode("ascii", "replace")
    if (
        type(digits) is not bytes
        or not digits.isdigit()
        or len(digits) > _MOST_DIGITS
        or int(digits) not in UINT64
    ):
        raise IllegalArgument(
            f"cas is {_number_shown(cas)}; expected a token that gets() returned. Nothing was sent"
        )
    return b" " + digits


def stats_word(word: Key) -> bytes:
    """Return a word behind ``stats`` as bytes.

    Raises:
        IllegalKey: No server would take it.
    """
    return legal(encoded(word, "ascii"), word)
