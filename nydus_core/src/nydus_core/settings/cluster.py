"""Settings in, checked and frozen settings out. Every error says where: ``hosts[2].port``.

Accepted are the settings of nydus 0.11 (a dict, ``hosts`` as a dict or a list, ``engine`` or ``backend``),
and also hosts as URLs or positional arguments, names for everything, and TOML files with several named clusters.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nydus_core.checks import refuse_unknown
from nydus_core.delivery import DeliverySettings
from nydus_core.errors import ConfigError
from nydus_core.plain import is_a, plain
from nydus_core.plugins import ENGINES, ROUTERS, find_class, refuse_uncalled
from nydus_core.readers import read_dict
from nydus_core.routers import BaseRouter
from nydus_core.settings.hosts import HostSettings, read_defaults, read_hosts
from nydus_core.settings.resilience import RESILIENCE, read_resilience
from nydus_core.wording import nearest, written

__all__ = ["ClusterSettings", "read_settings", "read_toml"]

_KNOWN = ("engine", "backend", "router", "hosts", "defaults", "cluster", "fingerprint", *RESILIENCE)


class ClusterSettings(NamedTuple):
    """One cluster.

    Attributes:
        engine: The class that talks to a host.
        hosts: The hosts, in host order: by number where all keys are numbers, else as they were given.
        router: The class that decides where a key belongs; None sends every command to all hosts.
        router_options: The arguments of the router, besides the hosts.
        cluster: The class of the cluster; None for the usual class.
        delivery: The settings about hosts that fail.
        defaults: Options for every host that does not set them itself.
        fingerprint: The fingerprint that the cluster must have, or the rule that the router must follow; None for any.
    """

    engine: type[Any]
    hosts: tuple[HostSettings, ...]
    router: type[Any] | None
    router_options: Mapping[str, Any]
    cluster: type[Any] | None
    delivery: DeliverySettings
    defaults: Mapping[str, Any]
    fingerprint: str | Mapping[str, Any] | None

    def __repr__(self) -> str:  # the options of hosts and of routers may hold secrets
        return f"<ClusterSettings of {len(self.hosts)} hosts>"


def read_settings(settings: Mapping[str, Any], *, asynchronous: bool = False) -> ClusterSettings:
    """Check settings and find the classes that they name.

    Parameters:
        settings: The settings, as for ``create_cluster``. They are not changed.
        asynchronous: Whether to use the engine's side for asyncio.

    Raises:
        ConfigError: Something is unknown, missing or wrong; ``PluginError`` if a name leads nowhere.
    """
    if not is_a(settings, Mapping):
        raise ConfigError(
            f"found {type(settings).__name__}; expected a dict of settings, such as "
            "{'engine': 'redis', 'hosts': ['redis://localhost:6379/0']}"
        )
    settings = read_dict(settings, "", "a dict of settings")
    refuse_unknown(settings, _KNOWN, "")
    engine = _engine(settings, "async" if asynchronous else "sync")
    router, options = _router(settings.get("router"))
    defaults = read_defaults(settings, engine)
    hosts = read_hosts(settings, engine, defaults)
    cluster = settings.get("cluster")
    return ClusterSettings(
        engine,
        hosts,
        router,
        options,
        None if cluster is None else find_class("", cluster, "cluster"),
        read_resilience(settings, engine),
        defaults,
        _fingerprint(settings.get("fingerprint")),
    )


def _fingerprint(given: Any) -> str | Mapping[str, Any] | None:
    found: str | Mapping[str, Any] | None = plain(given)
    if is_a(found, Mapping):
        return read_dict(found, "fingerprint", "the router.rule() of a cluster")
    if found is not None and type(found) is not str:
        raise ConfigError(
            f"found {type(given).__name__}; expected a cluster's fingerprint, or its router.rule()",
            "fingerprint",
        )
    return found


def read_toml(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Read a TOML file with a table for each named cluster.

    Parameters:
        path: The file.

    Returns:
        The settings of each cluster, by name.

    Raises:
        ConfigError: There is no such file, or it is not TOML, or holds anything but tables.
    """
    import tomllib

    place = str(path) if str(path) and len(str(path)) <= _MOST_LETTERS else written(path)
    try:
        with Path(path).open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise ConfigError(f"cannot read settings: {error.strerror}", place) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"is not TOML: {error}", place) from error
    except RecursionError:
        raise ConfigError("cannot read settings: they are nested too deeply", place) from None
    except (ValueError, TypeError) as error:  # no path: text with a NUL in it
        raise ConfigError(f"cannot read settings: {error}", place) from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigError(
                f"found {type(table).__name__}; expected a table of settings for each cluster",
                f"{place}: {name}",
            )
    return tables


#: Letters of a path that an error shows.
_MOST_LETTERS = 1000

#: The attributes that engines of each side must have.
_ENGINE_HAS = {
    "sync": ("surface", "call", "batch", "close", "probe", "failed", "is_outage", "is_passing"),
    "async": ("surface", "call", "exchange", "aclose", "probe", "failed", "is_outage", "is_passing"),
}


def _engine(settings: Mapping[str, Any], side: str) -> type[Any]:
    if "engine" in settings and "backend" in settings:
        raise ConfigError("found both 'engine' and 'backend'; they are one setting: keep 'engine'", "backend")
    path = "backend" if "backend" in settings else "engine"
    if settings.get(path) is None:
        raise ConfigError("missing; expected an engine, such as 'redis'", path)
    named = find_class(ENGINES, settings[path], path)
    return _side_of(named, side, settings[path], path)


def _checked(engine: type[Any], path: str) -> str:
    """Return the side of an engine."""
    side = "async" if getattr(engine, "is_async", False) else "sync"
    missing = [name for name in _ENGINE_HAS[side] if not hasattr(engine, name)]
    if missing:
        raise ConfigError(f"{engine.__qualname__} is not an engine: it has no {', '.join(missing)}", path)
    refuse_uncalled(engine, path)
    return side


def _side_of(engine: type[Any], side: str, named: Any, path: str) -> type[Any]:
    """Return the class of an engine for one side: the named class, or the class that it names as its other side."""
    offered = _checked(engine, path)
    if side == offered:
        return engine
    other = vars(engine).get(f"{side}_side")  # not inherited: a parent's other side does not fit
    if other is None:
        shown = written(named) if is_a(named, str) else repr(engine.__qualname__)
        error = ConfigError(f"engine {shown} has no {side} side (it offers: {offered})", path)
        error.add_note(_remedy(engine, side))
        raise error
    found = find_class("", other, path)
    if _checked(found, path) != side:
        raise ConfigError(
            f"{found.__qualname__}, the {side} side of {engine.__qualname__}, is {offered} too", path
        )
    return found


def _remedy(engine: type[Any], side: str) -> str:
    for parent in engine.__mro__[1:]:
        if vars(parent).get(f"{side}_side") is not None:
            return f"{parent.__qualname__}, its parent, has one, which is not inherited: set {side}_side in {engine.__qualname__}, too"
    if side == "async":
        return "use create_cluster; or set async_side in the class, such as to a ThreadedEngine, which does the commands in threads"
    return "use create_async_cluster"


def _router(setting: Any) -> tuple[type[Any] | None, dict[str, Any]]:
    if setting is None:
        return None, {}
    if not is_a(setting, Mapping):
        return _router_class(setting, "router"), {}
    options = read_dict(setting, "router", "a dict with the name of a router and its options")
    if "name" not in options:
        near = next((nearest(name, ["name"]) for name in options if nearest(name, ["name"])), "")
        found = f"found {', '.join(map(written, options)) or 'nothing'} and no 'name'"
        raise ConfigError(f"{found}; expected {{'name': a router, **its options}}{near}", "router.name")
    router = _router_class(options.pop("name"), "router.name")
    parameters = list(inspect.signature(router).parameters.values())[1:]
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        refuse_unknown(options, [parameter.name for parameter in parameters], "router")
    return router, options


_ROUTER_HAS = {"locate": "locate(key, avoid)", "spread": "spread"}


def _router_class(reference: Any, path: str) -> type[Any]:
    router = find_class(ROUTERS, reference, path)
    if issubclass(router, BaseRouter):
        return router
    refuse_uncalled(router, path, instead="locate")
    missing = [shown for name, shown in _ROUTER_HAS.items() if not hasattr(router, name)]
    if missing:
        raise ConfigError(
            f"{router.__qualname__} is not a router: it has no {' and no '.join(missing)}; start from "
            "nydus_core.routers.NodeRouter, or from BaseRouter for one that wants to see calls",
            path,
        )
    return router
