"""Checks of all that a user writes: settings of a cluster, options of hosts and of routers. One place for all rooms.

Each check raises ``ConfigError``, which names the value found, its place, and the values expected. It shows no secret.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain, whole
from nydus_core.wording import MOST_WRITTEN, nearest, shown, written

__all__ = [
    "AT_MOST",
    "BATCHING",
    "COUNT",
    "DEPTH",
    "ENCODING",
    "ENCODING_ERRORS",
    "HOST",
    "PORT",
    "SECONDS",
    "SECONDS_OR_NONE",
    "SECONDS_OR_ZERO",
    "SHARE",
    "Check",
    "SettingsWarning",
    "agreed",
    "check",
    "check_each",
    "check_type",
    "choose",
    "is_time",
    "one_of",
    "refuse",
    "refuse_unknown",
    "whole_number",
]

#: A test of a value, and a description of the values that pass.
Check = tuple[Callable[[Any], bool], str]


class SettingsWarning(UserWarning):
    """Something in the settings of a cluster has no effect, or is hardly meant so. The cluster is made all the same."""


def is_time(value: object) -> bool:
    """Tell whether a value is a number of seconds for a deadline: more than 0, less than 1e9 (31 years)."""
    number = plain(value)
    return type(number) in (int, float) and 0 < number < 1e9


# Checks of settings, which look at the type, too
COUNT: Check = (
    lambda value: type(value) is int and 1 <= value <= 10**12,
    "a whole number, 1 or more",
)
SECONDS: Check = (is_time, "seconds, more than 0")
SECONDS_OR_ZERO: Check = (
    lambda value: is_time(value) or (type(value) in (int, float) and value == 0),
    "seconds, 0 or more",
)
SHARE: Check = (lambda value: is_time(value) and value <= 1, "a share, more than 0 and at most 1")

# Checks of options of hosts, whose types ``check_type`` has checked before, by the engine's ``option_types``
HOST: Check = (bool, "a name or an address")
PORT: Check = (lambda port: 0 < port < 65536, "a port, 1 to 65535")
SECONDS_OR_NONE: Check = (
    lambda seconds: seconds is None or 0 < seconds <= 1_000_000,
    "seconds, more than 0, or None for no limit",
)
AT_MOST: Check = (lambda most: most is None or 0 < most <= _LARGE, "1 or more, or None")

_LARGE = 1_000_000

BATCHING: Check = (
    lambda lines: lines is True or 0 <= lines <= 1000,
    "true, false, or a number of connections",
)
DEPTH: Check = (lambda depth: 1 <= depth <= _LARGE, "a number of commands, 1 or more")


def _is_codec(name: str) -> bool:
    try:
        "".encode(name)  # refuses codecs that are not for text
    except (LookupError, ValueError):
        return False
    return True


def _is_handler(name: str) -> bool:
    try:
        codecs.lookup_error(name)
    except (LookupError, ValueError):
        return False
    return True


ENCODING: Check = (_is_codec, "the name of an encoding of text, such as 'utf-8'")
ENCODING_ERRORS: Check = (_is_handler, "'strict', 'replace', 'ignore', or another handler of decoding errors")


def check(value: Any, fits: Check, path: str) -> Any:
    """Check one value. Return it as a plain value: see ``plain``.

    Parameters:
        value: The value. The error shows it, so it must be no secret.
        fits: The check.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value does not fit.
    """
    (is_right, expected), value = fits, plain(value)
    try:
        right = is_right(value)
    except (TypeError, ValueError):  # of another type
        right = False
    if not right:
        raise ConfigError(f"found {written(value)}; expected {expected}", path)
    return value


def check_each(options: Mapping[str, Any], checks: Mapping[str, Check], path: str = "") -> dict[str, Any]:
    """Check all options that are set and have a check. Return the options, those that have a check as plain values.

    Parameters:
        options: The options, by name. The error shows a value, so none with a check must be a secret.
        checks: The checks, by the name of the option.
        path: The place of the options in the settings.

    Raises:
        ConfigError: A value does not fit.
    """
    checked = {
        name: check(options[name], fits, f"{path}.{name}" if path else name)
        for name, fits in checks.items()
        if name in options
    }
    return {**options, **checked}


def check_type(value: Any, expected: type | tuple[type, ...], path: str) -> Any:
    """Check the type of a value. A whole number will do for a float; a bool is no number.

    Parameters:
        value: The value. The error shows it as ``shown`` does.
        expected: The type, or the types to choose from.
        path: The place of the value in the settings.

    Returns:
        The value. A value of a subclass of text, bytes or a number is made plain.

    Raises:
        ConfigError: The value is of another type.
    """
    types, value = expected if isinstance(expected, tuple) else (expected,), plain(value)
    if int in types and float not in types and (number := whole(value)) is not None:
        value = number
    fits = is_a(value, *types) or (float in types and type(value) is int)
    if not fits or (type(value) is bool and bool not in types):
        names = " or ".join("None" if each is type(None) else each.__name__ for each in types)
        raise ConfigError(f"found {shown(value, path.rpartition('.')[2])}; expected {names}", path)
    return value


def whole_number(given: Any, least: int, most: int, path: str) -> int:
    """Return a value that has to be a whole number in a range, as a plain int.

    Parameters:
        given: The value.
        least: The least number allowed.
        most: The greatest number allowed.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value is no whole number, or out of range.
    """
    number = whole(given)
    if number is None or not least <= number <= most:
        raise ConfigError(f"found {written(given)}; expected a whole number, {least} to {most}", path)
    return number


def choose(known: Mapping[str, Any], given: Any, path: str) -> Any:
    """Return the value that goes by a name.

    Parameters:
        known: The values, by name.
        given: The name.
        path: The place of the name in the settings.

    Raises:
        ConfigError: There is no value of that name; the error lists the names and suggests the nearest.
    """
    name = plain(given)
    if type(name) is not str or name not in known:
        near = nearest(name if type(name) is str else written(name), known)
        raise ConfigError(f"found {written(name)}; expected one of {', '.join(known)}{near}", path)
    return known[name]


def one_of(value: Any, known: Sequence[str], path: str) -> str:
    """Check that a value is a known word. Return it as plain text.

    Parameters:
        value: The value.
        known: The words.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value is no known word; the error lists the words and suggests the nearest.
    """
    word = plain(value)
    if type(word) is not str or word not in known:
        near = nearest(word, known) if type(word) is str else ""
        raise ConfigError(f"found {written(word)}; expected one of {', '.join(map(repr, known))}{near}", path)
    return word


def refuse_unknown(found: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    """Refuse settings that are not known.

    Parameters:
        found: The settings, by name.
        known: The names that are known.
        path: The place of the settings; empty for the settings of the cluster itself.

    Raises:
        ConfigError: A setting is unknown. The error suggests the nearest name, and lists all names unless they are many.
    """
    for name in found:
        if name not in known:
            near = nearest(name, known)
            instead = near
            if not near or len(known) <= 12:
                instead = f"; known: {', '.join(sorted(known)) or 'none'}{near}"
            named = name if len(name) <= MOST_WRITTEN and name.isprintable() and name else written(name)
            raise ConfigError(f"unknown setting{instead}", f"{path}.{named}" if path else named)


def refuse(options: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse options of a host that would break a guarantee of the cluster.

    Parameters:
        options: The options of a host.
        refused: The reasons, by the name of the option. An option that is off or None does no harm.

    Raises:
        ConfigError: A refused option is set.
    """
    for name, why in refused.items():
        if _is_set(options.get(name)):
            raise ConfigError(f"{name!r} is not for a host of a cluster: {why}", name)


def _is_set(value: Any) -> bool:
    try:
        return bool(value)
    except Exception:  # an object that cannot tell
        return True


def agreed(options: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the options that all hosts have in common, since one surface serves them all.

    Parameters:
        options: For each host, the options that decide how commands and answers look.

    Raises:
        ConfigError: The hosts do not agree.
    """
    first, *others = options
    for other in others:
        for name in (*first, *other):
            if not _are_alike(first.get(name), other.get(name)):
                raise ConfigError(
                    f"found {written(first.get(name))} and {written(other.get(name))}; all hosts of a cluster must have one "
                    f"{name}: set it in 'defaults'",
                    "hosts",
                )
    return first


def _are_alike(one: Any, other: Any) -> bool:
    try:
        return one is other or bool(one == other)
    except Exception:  # objects that cannot tell
        return False
