"""The hosts in the settings, in every form that is accepted, checked against the options of the engine."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from nydus_core.addresses import UnreadableUrl, check_host, check_url, read_address
from nydus_core.checks import (
    check_type,
    nearest,
    read_dict,
    read_items,
    read_list,
    refuse,
    refuse_unknown,
    shown,
    without_secrets,
    written,
)
from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain, whole
from nydus_core.redaction import Redactor
from nydus_core.settings.texts import from_text

__all__ = ["HostSettings", "in_order", "read_defaults", "read_host", "read_hosts", "read_weight"]


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One host.

    Attributes:
        key: The key of the host in ``hosts``; if ``hosts`` is a list, the position.
        options: The options that the engine is called with, defaults merged in.
        weight: The share of the keys, relative to other hosts.
        path: The place of the host in the settings.
        args: The positional arguments that the engine is called with.
    """

    key: Any
    options: Mapping[str, Any] = field(repr=False)  # may hold a password
    weight: float
    path: str
    args: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The identity of the host: the key, as text."""
        return str(self.key)


def read_hosts(settings: Mapping[str, Any], engine: type[Any]) -> tuple[HostSettings, ...]:
    """Check the hosts of a cluster, and their defaults.

    Parameters:
        settings: The settings of the cluster.
        engine: The class that talks to a host.

    Returns:
        The hosts, in host order: by number where all keys are numbers, else as they were given.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
    defaults = read_defaults(settings, engine)
    hosts = in_order(
        [read_host(engine, key, given, defaults) for key, given in _entries(settings.get("hosts"), engine)]
    )
    by_name: dict[str, Any] = {}
    for host in hosts:
        if host.name in by_name:
            raise ConfigError(
                f"found the hosts {by_name[host.name]!r} and {host.key!r}; expected another name for one of them: the name "
                f"of a host is its key as text, {host.name!r}",
                "hosts",
            )
        by_name[host.name] = host.key
    return hosts


def read_defaults(settings: Mapping[str, Any], engine: type[Any]) -> dict[str, Any]:
    """Check the options for every host.

    Parameters:
        settings: The settings of the cluster.
        engine: The class that talks to a host.

    Raises:
        ConfigError: Something is unknown or wrong.
    """
    given = settings.get("defaults")
    if given is None:
        return {}
    defaults = _check_options(
        engine, read_dict(given, "defaults", "a dict of options for every host"), "defaults"
    )
    if "weight" in defaults:
        defaults["weight"] = read_weight(defaults["weight"], "defaults")
    return defaults


def _entries(hosts: Any, engine: type[Any]) -> list[tuple[Any, Any]]:
    """Return each host's key and settings, as they were given."""
    countable = getattr(engine, "countable", False)
    count = whole(hosts) if countable else None
    if count is not None:
        if not 1 <= count <= _MOST_HOSTS:
            raise ConfigError(
                f"found {written(count)}; expected the number of hosts, 1 or more, up to {_MOST_HOSTS:,}",
                "hosts",
            )
        hosts = [{}] * count
    expected = f"a dict of hosts by name, or a list{', or the number of hosts' if countable else ''}"
    if hosts is None:
        raise ConfigError(f"missing; expected {expected}", "hosts")
    if is_a(hosts, Mapping):
        entries = read_items(hosts, "hosts", expected)
    else:
        entries = list(enumerate(read_list(hosts, "hosts", expected)))
    if not entries:
        raise ConfigError("found no hosts; expected one or more", "hosts")
    return entries


_MOST_HOSTS = 10_000


def in_order(hosts: Sequence[HostSettings]) -> tuple[HostSettings, ...]:
    """Return hosts in host order: by number where all keys are numbers, else as they come."""
    if all(host.name.isdecimal() for host in hosts):
        return tuple(sorted(hosts, key=lambda host: int(host.name)))
    return tuple(hosts)


def read_host(engine: type[Any], key: Any, given: Any, defaults: Mapping[str, Any]) -> HostSettings:
    """Check one host.

    Parameters:
        engine: The class that talks to the host.
        key: The key of the host.
        given: The settings of the host, in any form that is accepted.
        defaults: Options that the host has unless it sets them itself.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
    key = _checked_key(key)
    path = f"hosts[{key!r}]"
    options, args = _own_options(engine, given, path)
    merged = {**defaults, **_check_options(engine, options, path)}
    return HostSettings(key, merged, read_weight(merged.pop("weight", 1), path), path, args)


def _checked_key(given: Any) -> str | int:
    """Return the key of a host as plain text, or as a plain number."""
    key: Any = plain(given)
    if type(key) is not str and (number := whole(key)) is not None:
        key = number
    if type(key) is int and -_MOST_NUMBER < key < _MOST_NUMBER:
        return key
    if type(key) is not str or not key or "://" in key:
        raise ConfigError(f"found the key {shown(key)}; expected a name or a number for each host", "hosts")
    if len(key) > _MOST_LETTERS or not _is_unicode(key):
        raise ConfigError(
            f"found the key {shown(key)}; expected a name of at most {_MOST_LETTERS} characters that can be written as UTF-8",
            "hosts",
        )
    return key


_MOST_NUMBER = 10**18
_MOST_LETTERS = 1000


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True


def read_weight(weight: Any, path: str) -> float:
    """Check the weight of a host.

    Raises:
        ConfigError: It is not a number, 0 or more.
    """
    number = whole(weight)
    found: Any = plain(weight) if number is None else number
    if type(found) not in (int, float) or not (found == 0 or _LEAST_WEIGHT <= found <= _MOST_WEIGHT):
        raise ConfigError(f"found {shown(weight)}; expected a number, 0 or more", f"{path}.weight")
    share: float = found
    return share


#: Routers calculate with weights. Outside of these, shares would be lost in the last digits of a number.
_LEAST_WEIGHT, _MOST_WEIGHT = 1e-9, 1e15


def _own_options(engine: type[Any], given: Any, path: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the options and the positional arguments that a host's settings give.

    The settings are a dict, a URL, a list of positional arguments, or the first positional argument alone.
    """
    given = plain(given)
    if given is None:
        return {}, ()
    if is_a(given, Mapping):
        return read_dict(given, path, "a dict of options"), ()
    if type(given) is str and "://" in given:
        return _from_url(engine, given, path), ()
    is_list = is_a(given, Sequence) and not is_a(given, str, bytes)
    args = tuple(read_list(given, path, "a list of options")) if is_list else (given,)
    known = _option_types(engine)
    if known is None:
        return {}, args
    if type(given) is str and _is_address(given, known):
        return _from_address(given, known, path), ()
    if len(args) > len(known):
        raise ConfigError(
            f"found {len(args)} arguments; expected at most {len(known)}: {', '.join(known)}", path
        )
    return dict(zip(known, args, strict=False)), ()


def _is_address(text: str, known: Mapping[str, Any]) -> bool:
    """Tell whether a text for a host is an address: by its looks, or as the first option of the engine is the host."""
    return "host" in known and (next(iter(known)) == "host" or re.fullmatch(r"[^:]+:\d+", text) is not None)


def _from_address(text: str, known: Mapping[str, Any], path: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = dict(read_address(text))
    except ValueError as error:
        raise ConfigError(f"found {shown(text)}: {error}", path) from None
    for name in options:
        if name not in known:
            raise ConfigError(f"found {shown(text)}; this engine has no option {name!r}", path)
    return options


def _from_url(engine: type[Any], url: str, path: str) -> dict[str, Any]:
    scheme = url.partition("://")[0].lower()
    schemes: Sequence[str] = getattr(engine, "url_schemes", ())
    if scheme not in schemes:
        takes = f"takes {', '.join(f'{known}://' for known in schemes)}" if schemes else "takes no URLs"
        raise ConfigError(
            f"found {shown(url)}; engine {engine.__name__} {takes}{nearest(scheme, schemes)}", path
        )
    try:
        _, _, behind = check_url(url)
        options: dict[str, Any] = dict(engine.from_url(url))
    except UnreadableUrl as error:
        raise ConfigError(f"found {shown(url)}: {error}", path) from None
    except ConfigError as error:
        raise Redactor({"url": url}).clean(error).under(path) from None
    except Exception as error:
        # Not chained: the cause may show the URL, password and all. A URL in its text goes, whatever it is.
        why = without_secrets(Redactor({"url": url}).text(_text_of(error).replace(url, f"{scheme}://***")))
        raise ConfigError(f"found {shown(url)}: {why}", path) from None
    texts = dict(parse_qsl(behind.partition("?")[2], keep_blank_values=True))
    return {
        name: _converted(engine, name, value, path) if texts.get(name) == value else value
        for name, value in options.items()
    }


def _text_of(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return type(error).__name__


def _converted(engine: type[Any], name: str, text: str, path: str) -> Any:
    """Return the value that the text of an option in a URL stands for, as far as the engine tells the type of the option."""
    known = _option_types(engine) or {}
    kinds = (float, int) if name == "weight" else known.get(name) or _parameter_types(engine, name)
    return from_text(text, kinds if isinstance(kinds, tuple) else (kinds,), f"{path}.{name}")


def _parameter_types(engine: type[Any], name: str) -> tuple[type, ...]:
    """Return the types that the constructor of an engine has for an option: by its default value or its annotation."""
    parameter = inspect.signature(engine).parameters.get(name)
    if parameter is None:
        return (str,)
    if isinstance(parameter.default, bool | int | float):
        return (type(parameter.default),)
    words = set(re.findall(r"\w+", str(parameter.annotation)))
    found: tuple[type, ...] = tuple(kind for kind in (bool, int, float, str) if kind.__name__ in words)
    return found or (str,)


def _option_types(engine: type[Any]) -> Mapping[str, Any] | None:
    types: Mapping[str, Any] | None = engine.option_types() if hasattr(engine, "option_types") else None
    return types


def _check_options(engine: type[Any], options: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Check the options of a host. Return them, those whose types the engine tells as plain values."""
    known = _option_types(engine)
    if known is None:
        return dict(options)
    refused: Mapping[str, str] = getattr(engine, "refused_options", {})
    useful = [name for name in known if name not in refused]
    refuse_unknown({name: None for name in options if name not in refused}, [*useful, "weight"], path)
    try:
        refuse({name: name not in known or value for name, value in options.items()}, refused)
    except ConfigError as error:
        raise error.under(path) from None
    found: dict[str, Any] = {}
    for name, value in options.items():
        expected = known.get(name)
        found[name] = value if expected is None else check_type(value, expected, f"{path}.{name}")
        if name == "host" and is_a(value, str):
            check_host(plain(value), f"{path}.{name}")
    return found
