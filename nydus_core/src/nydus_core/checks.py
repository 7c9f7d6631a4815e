"""Checks of all that a user writes: settings of a cluster, options of hosts and of routers. One place for all rooms.

Each check raises ``ConfigError``, which names the value found, its place, and the values expected. It shows no secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import plain
from nydus_core.redaction import looks_secret

__all__ = [
    "AT_MOST",
    "COUNT",
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
    "nearest",
    "one_of",
    "refuse",
    "refuse_uncalled",
    "refuse_unknown",
    "shown",
    "whole_number",
    "without_secrets",
    "written",
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
COUNT: Check = (lambda value: type(value) is int and value >= 1, "a whole number, 1 or more")
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
AT_MOST: Check = (lambda most: most is None or most > 0, "1 or more, or None")


def check(value: Any, fits: Check, path: str) -> None:
    """Check one value.

    Parameters:
        value: The value. The error shows it, so it must be no secret.
        fits: The check.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value does not fit.
    """
    is_right, expected = fits
    if not is_right(value):
        raise ConfigError(f"found {value!r}; expected {expected}", path)


def check_each(options: Mapping[str, Any], checks: Mapping[str, Check], path: str = "") -> None:
    """Check all options that are set and have a check.

    Parameters:
        options: The options, by name. The error shows a value, so none with a check must be a secret.
        checks: The checks, by the name of the option.
        path: The place of the options in the settings.

    Raises:
        ConfigError: A value does not fit.
    """
    for name, fits in checks.items():
        if name in options:
            check(options[name], fits, f"{path}.{name}" if path else name)


def check_type(value: Any, expected: type | tuple[type, ...], path: str) -> None:
    """Check the type of a value. A whole number will do for a float; a bool is no number.

    Parameters:
        value: The value. The error shows it as ``shown`` does.
        expected: The type, or the types to choose from.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value is of another type.
    """
    types = expected if isinstance(expected, tuple) else (expected,)
    fits = isinstance(value, types) or (float in types and isinstance(value, int))
    if not fits or (isinstance(value, bool) and bool not in types):
        names = " or ".join("None" if each is type(None) else each.__name__ for each in types)
        raise ConfigError(f"found {shown(value, path.rpartition('.')[2])}; expected {names}", path)


def whole_number(given: Any, least: int, most: int, path: str) -> int:
    """Return a value that has to be a whole number in a range.

    Parameters:
        given: The value.
        least: The least number allowed.
        most: The greatest number allowed.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value is no whole number, or out of range.
    """
    if not isinstance(given, int) or isinstance(given, bool) or not least <= given <= most:
        raise ConfigError(f"found {given!r}; expected a whole number, {least} to {most}", path)
    return given


def choose(known: Mapping[str, Any], given: Any, path: str) -> Any:
    """Return the value that goes by a name.

    Parameters:
        known: The values, by name.
        given: The name.
        path: The place of the name in the settings.

    Raises:
        ConfigError: There is no value of that name; the error lists the names and suggests the nearest.
    """
    if not isinstance(given, str) or given not in known:
        near = nearest(str(given), known)
        raise ConfigError(f"found {given!r}; expected one of {', '.join(known)}{near}", path)
    return known[given]


def one_of(value: Any, known: Sequence[str], path: str) -> None:
    """Check that a value is a known word.

    Parameters:
        value: The value.
        known: The words.
        path: The place of the value in the settings.

    Raises:
        ConfigError: The value is no known word; the error lists the words and suggests the nearest.
    """
    if value not in known:
        near = nearest(value, known) if isinstance(value, str) else ""
        raise ConfigError(f"found {value!r}; expected one of {', '.join(map(repr, known))}{near}", path)


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
            near = nearest(str(name), known)
            instead = near
            if not near or len(known) <= 12:
                instead = f"; known: {', '.join(sorted(known)) or 'none'}{near}"
            raise ConfigError(f"unknown setting{instead}", f"{path}.{name}" if path else str(name))


def refuse(options: Mapping[str, Any], refused: Mapping[str, str]) -> None:
    """Refuse options of a host that would break a guarantee of the cluster.

    Parameters:
        options: The options of a host.
        refused: The reasons, by the name of the option. An option that is off or None does no harm.

    Raises:
        ConfigError: A refused option is set.
    """
    for name, why in refused.items():
        if options.get(name):
            raise ConfigError(f"{name!r} is not for a host of a cluster: {why}", name)


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
            if first.get(name) != other.get(name):
                raise ConfigError(
                    f"found {first.get(name)!r} and {other.get(name)!r}; all hosts of a cluster must have one "
                    f"{name}: set it in 'defaults'",
                    "hosts",
                )
    return first


# Words for errors ------------------------------------------------------------------------------------------------


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty text if no name is near."""
    close: Sequence[str] = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def written(value: Any) -> str:
    """Return the text for a value in an error: its ``repr``, cut where it is long. Never raises.

    Parameters:
        value: The value, which must be no secret.
    """
    value = plain(value)
    try:
        text = repr(value)
    except ValueError:  # a number that Python does not write in digits
        return f"a number of {value.bit_length()} bits" if type(value) is int else _unknown(value)
    except Exception:  # whatever a method of the user's raises
        return _unknown(value)
    return text if len(text) <= _MOST_WRITTEN else f"{text[:_MOST_WRITTEN]}…"


_MOST_WRITTEN = 200


def _unknown(value: Any) -> str:
    return f"a value of type {type(value).__name__}"


def shown(value: Any, name: str = "") -> str:
    """Return the text for a value in an error: type and value, but never a secret.

    Parameters:
        value: The value.
        name: The name of the option. For names such as ``password`` the text has the type only.
    """
    kind, value = type(value).__name__, plain(value)
    if looks_secret(name) or not (value is None or type(value) in (str, int, float, bool)):
        return f"a value of type {kind}"
    if type(value) is str and "://" in value:
        return f"{kind} '{value.partition('://')[0]}://***'"
    return f"{kind} {without_secrets(written(value))}"


def without_secrets(text: str) -> str:
    """Return a text without secrets: URLs are cut to their schemes, ``user:password@host`` and ``user@host`` to ``***``."""
    return re.sub(r"\S*@\S*", "***", re.sub(r"(\w+://).*", r"\1***", text, flags=re.DOTALL))


def refuse_uncalled(kind: type[Any], path: str, instead: str = "") -> None:
    """Refuse a class that defines what its parent had in nydus 0.11, and nobody looks at any more.

    The names are in the attribute ``uncalled`` of the parent, each with the remedy.

    Parameters:
        kind: The class.
        path: The place of its name in the settings.
        instead: The method in whose place these are no longer called. A class with its own is written for today.

    Raises:
        ConfigError: The class defines such a name.
    """
    uncalled: Mapping[str, str] = getattr(kind, "uncalled", {})
    for parent in kind.__mro__:
        if "uncalled" in vars(parent) or instead in vars(parent):
            return
        for name, remedy in uncalled.items():
            if name in vars(parent):
                shown = f"{name}()" if callable(getattr(kind, name)) else name
                raise ConfigError(
                    f"{parent.__qualname__} defines {shown}, which nydus 0.11 used and nobody uses any more: {remedy}",
                    path,
                )
