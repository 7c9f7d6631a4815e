"""The hosts in the settings, in every form that is accepted, checked against the options of the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nydus_core.checks import check_type, nearest, refuse_unknown, shown, without_secrets
from nydus_core.errors import ConfigError

__all__ = ["HostSettings", "in_order", "read_host", "read_hosts", "read_weight"]


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
    defaults = settings.get("defaults") or {}
    if not isinstance(defaults, Mapping):
        raise ConfigError(f"found {shown(defaults)}; expected a dict of options for every host", "defaults")
    _check_options(engine, defaults, "defaults")
    hosts = in_order(
        [read_host(engine, key, given, defaults) for key, given in _entries(settings.get("hosts"), engine)]
    )
    if len({host.name for host in hosts}) < len(hosts):
        raise ConfigError(f"two hosts have one name: {', '.join(host.name for host in hosts)}", "hosts")
    return hosts


def _entries(hosts: Any, engine: type[Any]) -> list[tuple[Any, Any]]:
    """Return each host's key and settings, as they were given."""
    if isinstance(hosts, int) and not isinstance(hosts, bool) and getattr(engine, "countable", False):
        hosts = [{}] * hosts
    if isinstance(hosts, Mapping):
        entries = list(hosts.items())
    elif isinstance(hosts, Sequence) and not isinstance(hosts, str | bytes):
        entries = list(enumerate(hosts))
    else:
        problem = "missing" if hosts is None else f"found {shown(hosts)}"
        number = ", or the number of hosts" if getattr(engine, "countable", False) else ""
        raise ConfigError(f"{problem}; expected a dict of hosts by name, or a list{number}", "hosts")
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
        engine: The class that talks to the host.
        key: The key of the host.
        given: The settings of the host, in any form that is accepted.
        defaults: Options that the host has unless it sets them itself.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
    if not isinstance(key, str | int) or isinstance(key, bool) or key == "" or "://" in str(key):
        raise ConfigError(f"found the key {shown(key)}; expected a name or a number for each host", "hosts")
    path = f"hosts[{key!r}]"
    options, args = _own_options(engine, given, path)
    _check_options(engine, options, path)
    merged = {**defaults, **options}
    return HostSettings(key, merged, read_weight(merged.pop("weight", 1), path), path, args)


def read_weight(weight: Any, path: str) -> float:
    """Check the weight of a host.

    Raises:
        ConfigError: It is not a number, 0 or more.
    """
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise ConfigError(f"found {shown(weight)}; expected a number, 0 or more", f"{path}.weight")
    return weight


def _own_options(engine: type[Any], given: Any, path: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Return the options and the positional arguments that a host's settings give.

    The settings are a dict, a URL, a list of positional arguments, or the first positional argument alone.
    """
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
            f"found {shown(url)}; engine {engine.__name__} {takes}{nearest(scheme, schemes)}", path
        )
    try:
        options: dict[str, Any] = engine.from_url(url)
    except ValueError as error:
        # Not chained: the cause may show the URL, password and all.
        raise ConfigError(f"found {shown(url)}: {without_secrets(str(error))}", path) from None
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
        if expected is not None:
            check_type(value, expected, f"{path}.{name}")
