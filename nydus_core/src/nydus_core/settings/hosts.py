"""The hosts in the settings: their keys, their weights, the options of each with the defaults merged in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain, whole
from nydus_core.readers import read_dict, read_items, read_list
from nydus_core.settings.options import check_options, own_options
from nydus_core.wording import shown, written

__all__ = ["HostSettings", "in_order", "read_defaults", "read_host", "read_hosts", "read_weight"]


class HostSettings(NamedTuple):
    """One host.

    Attributes:
        key: The key of the host in ``hosts``; if ``hosts`` is a list, the position.
        options: The options that the engine is called with, defaults merged in.
        weight: The share of the keys, relative to other hosts.
        path: The place of the host in the settings.
        args: The positional arguments that the engine is called with.
    """

    key: Any
    options: Mapping[str, Any]
    weight: float
    path: str
    args: tuple[Any, ...]

    def __repr__(self) -> str:  # options may hold secrets
        return f"<HostSettings of {self.path}>"

    @property
    def name(self) -> str:
        """The identity of the host: the key, as text."""
        return str(self.key)


def read_hosts(
    settings: Mapping[str, Any], engine: type[Any], defaults: Mapping[str, Any]
) -> tuple[HostSettings, ...]:
    """Check the hosts of a cluster.

    Parameters:
        settings: The settings of the cluster.
        engine: The class that talks to a host.
        defaults: Options that a host has unless it sets them itself, as ``read_defaults`` returns them.

    Returns:
        The hosts, in host order: by number where all keys are numbers, else as they were given.

    Raises:
        ConfigError: Something is unknown, missing or wrong.
    """
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
    defaults = check_options(
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
    options, args = own_options(engine, given, path)
    merged = {**defaults, **check_options(engine, options, path)}
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
