"""The hosts in the settings: every form that one may be given in, checked against the options of the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nydus_core import registry
from nydus_core.errors import ConfigError

__all__ = [
    "HostSettings",
    "in_order",
    "read_host",
    "read_hosts",
    "read_weight",
    "refuse_unknown",
    "without_secrets",
]


@dataclass(frozen=True, slots=True)
class HostSettings:
    """One host.

    Attributes:
        key: Its key in ``hosts``; its position where that is a list.
        options: What its engine is called with, defaults merged in.
        weight: Its share of the keys, relative to the others'.
        path: Where it stands in the settings.
    """

    key: Any
    options: Mapping[str, Any] = field(repr=False)  # may hold a password
    weight: float
    path: str
    args: tuple[Any, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """Its identity: its key, as text."""
        return str(self.key)


def read_hosts(settings: Mapping[str, Any], engine: type[Any]) -> tuple[HostSettings, ...]:
    """Check the hosts of a cluster, and their defaults.

    Parameters:
        settings: Those of the cluster.
        engine: The class that talks to a host.

    Returns:
        The hosts, in host order: by number where all keys are numbers, else as they were given.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
    defaults = settings.get("defaults") or {}
    if not isinstance(defaults, Mapping):
        raise ConfigError(f"found {_shown(defaults)}; expected a dict of options for every host", "defaults")
    _check_options(engine, defaults, "defaults")
    hosts = in_order(
        [read_host(engine, key, given, defaults) for key, given in _entries(settings.get("hosts"), engine)]
    )
    if len({host.name for host in hosts}) < len(hosts):
        raise ConfigError(f"two hosts have one name: {', '.join(host.name for host in hosts)}", "hosts")
    return hosts


def refuse_unknown(found: Mapping[str, Any], known: Sequence[str], path: str) -> None:
    """Refuse settings that are not known.

    Raises:
        ConfigError: One is not; the error names the nearest.
    """
    for name in found:
        if name not in known:
            where = f"{path}.{name}" if path else str(name)
            raise ConfigError(f"unknown setting{_instead(str(name), known)}", where)


def _instead(name: str, known: Sequence[str]) -> str:
    """What else there is: all of it, unless that is much and one is near."""
    near = registry.nearest(name, known)
    return near if near and len(known) > 12 else f"; known: {', '.join(sorted(known)) or 'none'}{near}"


def _entries(hosts: Any, engine: type[Any]) -> list[tuple[Any, Any]]:
    """The pairs of key and options, in host order."""
    if isinstance(hosts, int) and not isinstance(hosts, bool) and getattr(engine, "countable", False):
        hosts = [{}] * hosts
    if isinstance(hosts, Mapping):
        entries = list(hosts.items())
    elif isinstance(hosts, Sequence) and not isinstance(hosts, str | bytes):
        entries = list(enumerate(hosts))
    else:
        what = "missing" if hosts is None else f"found {_shown(hosts)}"
        number = ", or the number of hosts" if getattr(engine, "countable", False) else ""
        raise ConfigError(f"{what}; expected a dict of hosts by name, or a list{number}", "hosts")
    if not entries:
        raise ConfigError("found no hosts; expected one or more", "hosts")
    return entries


def in_order(hosts: Sequence[HostSettings]) -> tuple[HostSettings, ...]:
    """Return hosts in host order: by number where all keys are numbers, else as they come."""
    if all(host.name.isdecimal() for host in hosts):
        return tuple(sorted(hosts, key=lambda host: int(host.key)))
    return tuple(hosts)


def read_host(engine: type[Any], key: Any, given: Any, defaults: Mapping[str, Any]) -> HostSettings:
    """Check one host.

    Parameters:
        engine: The class that talks to it.
        key: Its key.
        given: Its settings.
        defaults: Options that it has unless it sets them itself.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "" or "://" in str(key):
        raise ConfigError(f"found the key {_shown(key)}; expected a name or a number for each host", "hosts")
    path = f"hosts[{key!r}]"
    options, args = _own_options(engine, given, path)
    _check_options(engine, options, path)
    merged = {**defaults, **options}
    return HostSettings(key, merged, read_weight(merged.pop("weight", 1), path), path, args)


def read_weight(weight: Any, path: str) -> float:
    """Check the weight of a host.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise ConfigError(f"found {_shown(weight)}; expected a number, 0 or more", f"{path}.weight")
    return weight


def _own_options(engine: type[Any], given: Any, path: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A host's own options: given as a dict, a URL, a list of positional arguments or the first of them."""
    if given is None:
        return {}, ()
    if isinstance(given, Mapping):
        return {str(name): value for name, value in given.items()}, ()
    if isinstance(given, str) and "://" in given:
        return _from_url(engine, given, path), ()
    args = tuple(given) if isinstance(given, Sequence) and not isinstance(given, str | bytes) else (given,)
    known = _option_types(engine)
    if known is None:
        return {}, args
    if isinstance(given, str) and {"host", "port"} <= known.keys() and re.fullmatch(r"[^:]+:\d+", given):
        host, _, port = given.partition(":")
        return {"host": host, "port": int(port)}, ()
    if len(args) > len(known):
        raise ConfigError(
            f"found {len(args)} arguments; expected at most {len(known)}: {', '.join(known)}", path
        )
    return dict(zip(known, args, strict=False)), ()


def _from_url(engine: type[Any], url: str, path: str) -> dict[str, Any]:
    scheme = url.partition("://")[0]
    schemes: Sequence[str] = getattr(engine, "url_schemes", ())
    if scheme not in schemes:
        takes = f"takes {', '.join(f'{known}://' for known in schemes)}" if schemes else "takes no URLs"
        raise ConfigError(
            f"found {_shown(url)}; engine {engine.__name__} {takes}{registry.nearest(scheme, schemes)}", path
        )
    try:
        options: dict[str, Any] = engine.from_url(url)
    except ValueError as error:
        # Not chained: the cause may show the URL, password and all.
        raise ConfigError(f"found {_shown(url)}: {without_secrets(str(error))}", path) from None
    return options


def _option_types(engine: type[Any]) -> Mapping[str, Any] | None:
    types: Mapping[str, Any] | None = engine.option_types() if hasattr(engine, "option_types") else None
    return types


def _check_options(engine: type[Any], options: Mapping[str, Any], path: str) -> None:
    known = _option_types(engine)
    if known is None:
        return
    refuse_unknown(options, [*known, "weight"], path)
    for name, value in options.items():
        if name == "host" and isinstance(value, str) and re.search("://|@", value):
            raise ConfigError(
                "found a URL or a user; expected a name or an address: a URL stands for a whole host",
                f"{path}.{name}",
            )
        expected = known.get(name)
        if expected is not None and not _fits(value, expected):
            raise ConfigError(f"found {_shown(value, name)}; expected {_names(expected)}", f"{path}.{name}")


def _fits(value: Any, expected: type | tuple[type, ...]) -> bool:
    types = expected if isinstance(expected, tuple) else (expected,)
    if isinstance(value, bool) and bool not in types:
        return False
    return isinstance(value, types) or (float in types and isinstance(value, int))


def _names(expected: type | tuple[type, ...]) -> str:
    types = expected if isinstance(expected, tuple) else (expected,)
    return " or ".join("None" if each is type(None) else each.__name__ for each in types)


def _shown(value: Any, name: str = "") -> str:
    """A value for an error: its kind too, and never a secret."""
    kind = type(value).__name__
    if re.search("pass|secret|credential|user", name) or not isinstance(value, str | int | float | None):
        return f"a value of type {kind}"
    if "://" in str(value):
        return f"{kind} '{str(value).partition('://')[0]}://***'"
    return f"{kind} {without_secrets(repr(value))}"


def without_secrets(text: str) -> str:
    """Return a text with only the schemes of URLs, and nothing of what looks like ``user:password@host``."""
    return re.sub(r"\S*:\S*@\S*", "***", re.sub(r"(\w+://).*", r"\1***", text, flags=re.DOTALL))
