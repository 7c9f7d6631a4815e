"""Secrets in the options of a host: which options hold some, and the forms in which texts show them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from nydus_core.plain import is_a, plain

__all__ = ["forms_of", "looks_secret", "options_of", "secrets_in", "texts_of"]

_SECRET = re.compile(
    "pass(?!ive)|pwd|secret|credential|token|auth(?!or)|user|login|private|signature|dsn|cookie"
    "|(access|account|api|shared|signing|encryption)_?key",
    re.IGNORECASE,
)
#: Options whose names look like a secret's, but which hold paths and switches.
_HARMLESS = re.compile("(file|path|_timeout|_ttl|_class|user_?agent)$", re.IGNORECASE)
_NAMES_A_USER = re.compile("user(?!info)|login", re.IGNORECASE)
#: How deep secrets are looked for in lists and dicts.
_DEEPEST = 4


def looks_secret(name: str) -> bool:
    """Tell whether an option of this name holds a secret, such as ``password``, ``token`` or ``api_key``."""
    return _SECRET.search(name) is not None and _HARMLESS.search(name) is None


def options_of(kind: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name. An argument without a name gets its position for one.

    Parameters:
        kind: The class, or another callable.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
    """
    if not args:
        return dict(kwargs)
    try:
        parameters = inspect.signature(kind).parameters.values()
    except (TypeError, ValueError):
        names: list[str] = []
    else:
        names = [
            each.name
            for each in parameters
            if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]
    names += map(str, range(len(names), len(args)))
    return {**dict(zip(names, args, strict=False)), **kwargs}


def secrets_in(options: Mapping[Any, Any], depth: int = 0) -> Iterator[tuple[str, bool]]:
    """Yield the secrets in options, each with whether it is the name of a user."""
    for name, value in options.items():
        name = plain(name)
        if type(name) is str and looks_secret(name):
            is_user = _NAMES_A_USER.search(name) is not None and re.search("pass|pwd|token", name) is None
            for text in texts_of(value):
                yield from _secrets_of_url(text) if "://" in text else [(text, is_user)]
        if depth < _DEEPEST:
            yield from _secrets_inside(value, depth + 1)


def _secrets_inside(value: Any, depth: int) -> Iterator[tuple[str, bool]]:
    value = plain(value)
    if type(value) in (str, bytes):
        for text in texts_of(value):
            if "://" in text:
                yield from _secrets_of_url(text)
    elif is_a(value, Mapping):
        yield from secrets_in(_read(value), depth)
    elif type(value) in (list, tuple) and depth < _DEEPEST:
        for each in value:
            yield from _secrets_inside(each, depth + 1)


def _secrets_of_url(url: str) -> Iterator[tuple[str, bool]]:
    """Yield the secrets in a URL, as it is written and unquoted, however badly it is written."""
    rest = url.partition("://")[2]
    userinfo, at, _ = rest.rpartition("@")
    if at:
        user, colon, password = userinfo.partition(":")
        yield from ((each, False) for each in _unquoted(password if colon else user))
        if colon:
            yield from ((each, True) for each in _unquoted(user))
    for name, value in re.findall(r"[?&;]([\w.-]+)=([^&;#]*)", rest):
        if looks_secret(name):
            yield from ((each, False) for each in _unquoted(value))


def _unquoted(text: str) -> Iterator[str]:
    yield from {text, unquote(text)} - {""}


def texts_of(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield a secret as text. An object, such as a provider of credentials, is looked at for attributes that look secret.

    Parameters:
        value: The secret.
        depth: How deep it stands in lists and dicts. They may be circles, so there is an end.
    """
    value = plain(value)
    if type(value) is str:
        yield value
    elif is_a(value, bytes, bytearray):
        yield bytes(value).decode("utf-8", "backslashreplace")
    elif type(value) is int:
        with suppress(ValueError):  # a number that Python does not write in digits: no text shows it
            yield str(value)
    elif depth > _DEEPEST:
        return
    elif is_a(value, list, tuple, set, frozenset):
        with suppress(Exception):  # methods of the user's
            for each in value:
                yield from texts_of(each, depth + 1)
    elif is_a(value, Mapping):
        for each in _read(value).values():
            yield from texts_of(each, depth + 1)
    elif not is_a(value, type) and not callable(value):
        for name, each in _attributes(value).items():
            if is_a(name, str) and looks_secret(name) and is_a(each, str, bytes):
                yield from texts_of(each, depth + 1)


def _read(mapping: Any) -> dict[Any, Any]:
    try:
        return dict(dict.items(mapping) if is_a(mapping, dict) else mapping.items())
    except Exception:  # methods of the user's
        return {}


def _attributes(value: Any) -> dict[str, Any]:
    try:
        return dict(vars(value))
    except Exception:  # it has none, or its own methods raise
        return {}


def forms_of(secret: str) -> Iterator[str]:
    """Yield a secret in the forms in which texts show it."""
    found = {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}
    found |= {re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), form) for form in found}
    found |= {repr(secret)[1:-1], repr(secret.encode("utf-8", "surrogatepass"))[2:-1], ascii(secret)[1:-1]}
    found |= {json.dumps(secret)[1:-1], re.sub("[\r\n]", " ", secret)}
    yield from found - {""}
