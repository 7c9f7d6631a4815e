"""Checks of all that a user writes: settings of a cluster, options of hosts and of routers. One place for all rooms.

Each check raises ``ConfigError``, which names the value found, its place, and the values expected. It shows no secret.
"""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain, whole
from nydus_core.redaction import looks_secret

__all__ = [
    "AT_MOST",
    "COUNT",
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
    "nearest",
    "one_of",
    "read_dict",
    "read_items",
    "read_list",
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


def read_dict(given: Any, path: str, expected: str) -> dict[str, Any]:
    """Read a dict of the settings, once. Its own methods are the user's, and may raise.

    Parameters:
        given: The dict, or another mapping.
        path: The place of the dict in the settings.
        expected: Words for what is expected in this place.

    Returns:
        A plain dict. Its keys are plain text.

    Raises:
        ConfigError: It is no mapping, or cannot be read, or a key is no text.
    """
    found: dict[str, Any] = {}
    for key, value in read_items(given, path, expected):
        if type(key) is not str:
            raise ConfigError("expected text for the name of a setting", f"{path}[{written(key)}]")
        found[key] = value
    return found


def read_items(given: Any, path: str, expected: str) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping in the settings, with plain keys. See ``read_dict``.

    Raises:
        ConfigError: It is no mapping, or cannot be read.
    """
    if not is_a(given, Mapping):
        raise ConfigError(f"found {shown(given)}; expected {expected}", path)
    try:
        pairs = dict.items(given) if is_a(given, dict) else [(key, given[key]) for key in given]
        return [(plain(key), value) for key, value in pairs]
    except Exception as error:
        raise ConfigError(
            f"the {type(given).__name__} cannot be read: {type(error).__name__}", path
        ) from error


def read_list(given: Any, path: str, expected: str) -> list[Any]:
    """Read a list of the settings, once.

    Parameters:
        given: The list, or another sequence; text and bytes are none.
        path: The place of the list in the settings.
        expected: Words for what is expected in this place.

    Raises:
        ConfigError: It is no sequence, or cannot be read.
    """
    if not is_a(given, Sequence) or is_a(given, str, bytes, bytearray, memoryview):
        raise ConfigError(f"found {shown(given)}; expected {expected}", path)
    try:
        if is_a(given, list):
            return list(list.__iter__(given))
        return list(tuple.__iter__(given)) if is_a(given, tuple) else list(given)
    except Exception as error:
        raise ConfigError(
            f"the {type(given).__name__} cannot be read: {type(error).__name__}", path
        ) from error


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
            named = name if len(name) <= _MOST_WRITTEN and name.isprintable() and name else written(name)
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


# Words for errors ------------------------------------------------------------------------------------------------


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, or an empty text if no name is near."""
    if len(name) > _MOST_WRITTEN:
        return ""
    words = [word for word in known if is_a(word, str)]
    close: Sequence[str] = difflib.get_close_matches(name, words, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def written(value: Any) -> str:
    """Return the text for a value in an error: its ``repr``, cut where it is long. Never raises.

    Parameters:
        value: The value, which must be no secret.
    """
    value = plain(value)
    if (
        type(value) is int and value.bit_length() > _MOST_BITS
    ):  # of some lengths Python does not write the digits
        return f"a number of {value.bit_length()} bits"
    try:
        text = repr(value)
    except Exception:  # whatever a method of the user's raises
        return _unknown(value)
    return text if len(text) <= _MOST_WRITTEN else f"{text[:_MOST_WRITTEN]}…"


_MOST_WRITTEN = 200
_MOST_BITS = 128


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
        return f"{kind} '{value.partition('://')[0][:_MOST_WRITTEN]}://***'"
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
