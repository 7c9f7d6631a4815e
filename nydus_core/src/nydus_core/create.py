"""Start reading here: settings in, cluster out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from nydus_core.cluster import Cluster
from nydus_core.errors import ConfigError
from nydus_core.hosts import HostSettings, without_secrets
from nydus_core.plugins import hooks
from nydus_core.registry import nearest
from nydus_core.routers.legacy import BaseRouter
from nydus_core.routers.protocol import Node
from nydus_core.settings import ClusterSettings, read_settings, read_toml

__all__ = ["create_cluster"]


def create_cluster(settings: Mapping[str, Any] | str | os.PathLike[str], name: str | None = None) -> Cluster:
    """Build a cluster. No host is connected to before the first command.

    Parameters:
        settings: A dict with these keys; it is not changed. Or the path of a TOML file with named clusters.

            - ``engine`` (or ``backend``): what talks to a host: a name (``'redis'``), a dotted path or a class.
            - ``hosts``: a dict of hosts by name, or a list. A host is a dict of options, a list of positional
              arguments, or a URL. A ``weight`` among the options is its share of the keys, by default 1.
            - ``router``: where a key belongs: a name (``'consistent'``), a dotted path, a class, or
              ``{'name': …, **options}``. Without one every command goes to all hosts.
            - ``defaults``: options for every host that does not set them itself.
            - ``cluster``: a subclass of ``Cluster``, or its dotted path.
        name: Which cluster of a TOML file.

    Returns:
        The cluster.

    Raises:
        ConfigError: Something in the settings is unknown, missing or wrong. The error says where.
    """
    where = ""
    if isinstance(settings, str | os.PathLike):
        settings, where = _named(settings, name)
    elif name is not None:
        raise ConfigError(f"found the name {name!r} beside a dict of settings; names are for TOML files")
    hooks.load()
    given = settings
    if hooks.listens("nydus_configure"):
        given = _copied(settings)
        hooks.call("nydus_configure", settings=given)
    try:
        cluster = _build(read_settings(given))
    except ConfigError as error:
        if where:
            raise error.under(where) from error
        raise
    hooks.call("nydus_cluster_created", cluster=cluster)
    return cluster


def _named(path: str | os.PathLike[str], name: str | None) -> tuple[dict[str, Any], str]:
    if "://" in str(path):
        raise ConfigError("found a URL; expected a dict of settings, or the path of a TOML file")
    tables = read_toml(path)
    if name is None or name not in tables:
        what = "no name was given" if name is None else f"it has no cluster {name!r}"
        raise ConfigError(
            f"{what}; it has: {', '.join(tables) or 'none'}{nearest(name or '', tables)}", str(path)
        )
    return tables[name], f"{os.fspath(path)}: {name}"


def _build(settings: ClusterSettings) -> Cluster:
    engines = {host.key: _connect(settings.engine, host) for host in settings.hosts}
    cluster_class = settings.cluster or Cluster
    if not issubclass(cluster_class, Cluster):
        raise ConfigError(f"{cluster_class.__qualname__} is not a Cluster; expected a subclass", "cluster")
    surface = settings.engine.surface([host.options for host in settings.hosts])
    cluster: Cluster = cluster_class(engines, surface)
    cluster.install_router(_router(settings, engines, cluster))
    return cluster


def _copied(value: Any) -> Any:
    """Copy dicts and lists, however deep; what they hold (pools, classes) is the user's and stays itself."""
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return [_copied(each) for each in value] if isinstance(value, list) else value


def _connect(engine: type[Any], host: HostSettings) -> Any:
    try:
        return engine(host.key, *host.args, **host.options)
    except ConfigError as error:
        raise error.under(host.path) from error
    except (TypeError, ValueError) as error:
        # Not chained: the cause may show an option, password and all.
        why = without_secrets(str(error))
        raise ConfigError(f"{engine.__name__} refused these options: {why}", host.path) from None


def _router(settings: ClusterSettings, engines: Mapping[Any, Any], cluster: Cluster) -> Any:
    if settings.router is None:
        return None
    first: Any = cluster
    if not issubclass(settings.router, BaseRouter):
        first = [_node(host, engines[host.key]) for host in settings.hosts]
    try:
        return settings.router(first, **settings.router_options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{settings.router.__name__} refused these options: {error}", "router") from error


def _node(host: HostSettings, engine: Any) -> Node:
    """What the router sees of a host."""
    path, name, port = (_own(engine, option) for option in ("unix_socket_path", "host", "port"))
    address = path or (f"{name}:{port}" if name and port else "")
    db = _own(engine, "db")
    return Node(host.name, host.weight, engine.identifier, str(address), db if isinstance(db, int) else 0)


def _own(engine: Any, attribute: str) -> Any:
    """What an engine itself has of that name; what its client has is not asked, for that would connect."""
    has = attribute in getattr(engine, "__dict__", ()) or hasattr(type(engine), attribute)
    return getattr(engine, attribute) if has else None
