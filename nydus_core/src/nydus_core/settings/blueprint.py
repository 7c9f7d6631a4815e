"""Blueprints of clusters: checked settings, which make engines and a router, also when the hosts change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import plain
from nydus_core.redaction import Redactor, options_of
from nydus_core.routers import BaseRouter, Node
from nydus_core.settings.cluster import ClusterSettings
from nydus_core.settings.hosts import HostSettings, in_order, read_host, read_weight
from nydus_core.wording import MOST_TOLD, nearest, text_of, without_secrets, written

__all__ = ["Blueprint"]


class Blueprint:
    """The checked settings of a cluster. A blueprint never changes: a change makes another blueprint.

    Parameters:
        settings: The settings.
    """

    def __init__(self, settings: ClusterSettings) -> None:
        self.settings = settings
        self.hosts: Mapping[Any, HostSettings] = {host.key: host for host in settings.hosts}

    def engine(self, key: Any) -> Any:
        """Make the engine of a host.

        Raises:
            ConfigError: The engine refuses the host's options.
        """
        host, kind = self.hosts[key], self.settings.engine
        redactor = Redactor(options_of(kind, (key, *host.args), host.options))
        try:
            with redactor.cleaning():
                engine = kind(host.key, *host.args, **host.options)
        except ConfigError as error:
            raise error.under(host.path) from error
        except Exception as error:
            # Not chained: the cause may show an option, password and all.
            raise ConfigError(f"{kind.__name__} refused these options: {_why(error)}", host.path) from None
        return engine

    def doubts(self, engines: Mapping[Any, Any]) -> list[str]:
        """Return what is hardly meant so: weights that do not count, and hosts that are one database.

        Parameters:
            engines: The engines, by the keys of their hosts.
        """
        found: list[str] = []
        kind = self.settings.router
        if kind is None or issubclass(kind, BaseRouter):
            why = "without a router" if kind is None else f"with {kind.__name__}, a router of nydus 0.11,"
            found += [
                f"{host.path}.weight: found {host.weight}; {why} no weight counts: leave it out, or choose a router "
                "such as 'slots'"
                for host in self.hosts.values()
                if host.weight != 1
            ]
        known: dict[tuple[str, int], str] = {}
        for key, host in self.hosts.items():
            node = _node(host, engines[key])
            other = known.setdefault((node.address, node.db), host.path) if node.address else host.path
            if other != host.path:
                found.append(
                    f"{host.path}: the same address as {other}: {node.address}, database {node.db}. Commands to all hosts "
                    "are done twice there: name each server once"
                )
        return found

    def surface(self) -> Any:
        """Return the factory of the cluster's surfaces.

        Raises:
            ConfigError: The hosts do not agree on how commands and replies look.
        """
        kind = self.settings.engine
        try:
            return kind.surface([host.options for host in self.hosts.values()])
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{kind.__name__} refused these options: {_why(error)}", "hosts") from None

    def router(self, cluster: Any, engines: Mapping[Any, Any]) -> Any:
        """Make the router; return None if the settings name none.

        Parameters:
            cluster: The cluster, for a router written for nydus 0.11.
            engines: The engines, by the keys of their hosts.

        Raises:
            ConfigError: The router refuses these hosts, or its options.
        """
        kind = self.settings.router
        if kind is None:
            return None
        first: Any = cluster
        redactor = Redactor(self.settings.router_options)
        if not issubclass(kind, BaseRouter):
            first = [_node(host, engines[key]) for key, host in self.hosts.items()]
        try:
            with redactor.cleaning():
                return kind(first, **self.settings.router_options)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(f"{kind.__name__} refused these options: {_why(error)}", "router") from error

    # Changes ---------------------------------------------------------------------------------------------------------

    def with_host(self, key: Any, given: Any) -> Blueprint:
        """Return a blueprint with a further host.

        Parameters:
            key: The key of the host.
            given: The settings of the host, as in ``hosts``.

        Raises:
            ConfigError: There is a host of that name, or the settings are wrong.
        """
        host = read_host(self.settings.engine, key, given, self.settings.defaults)
        if host.name in {each.name for each in self.hosts.values()}:
            raise ConfigError(f"there is a host {host.name!r} already", host.path)
        return self._with([*self.hosts.values(), host])

    def without(self, key: Any) -> Blueprint:
        """Return a blueprint without a host.

        Raises:
            ConfigError: There is no such host, or no other host.
        """
        gone = self._named(key)
        if len(self.hosts) == 1:
            raise ConfigError("it is the only host; expected another one to stay", gone.path)
        return self._with([host for host in self.hosts.values() if host is not gone])

    def with_weight(self, key: Any, weight: float) -> Blueprint:
        """Return a blueprint in which a host has another weight.

        Raises:
            ConfigError: There is no such host, or ``weight`` is not a number, 0 or more, or no weight counts.
        """
        host = self._named(key)
        if self.settings.router is None:
            raise ConfigError(
                "without a router no weight counts: choose a router, such as 'slots'",
                f"{host.path}.weight",
            )
        changed = host._replace(weight=read_weight(weight, host.path))
        return self._with([changed if each is host else each for each in self.hosts.values()])

    def _named(self, key: Any) -> HostSettings:
        by_name = {host.name: host for host in self.hosts.values()}
        given = plain(key)
        name = written(given) if type(given) is not str else given
        if name not in by_name:
            known = ", ".join(map(repr, self.hosts))
            raise ConfigError(
                f"there is no host {written(given)}; known: {known}{nearest(name, by_name)}", "hosts"
            )
        return by_name[name]

    def _with(self, hosts: list[HostSettings]) -> Blueprint:
        return Blueprint(self.settings._replace(hosts=in_order(hosts)))


def _node(host: HostSettings, engine: Any) -> Node:
    """Return a host as the router sees it."""
    try:
        path, name, port = (_own(engine, option) for option in ("unix_socket_path", "host", "port"))
        address = path or (f"{name}:{port}" if name and port else "")
        db = _own(engine, "db")
        return Node(host.name, host.weight, engine.identifier, str(address), db if isinstance(db, int) else 0)
    except Exception as error:  # of an engine of a third party
        kind = type(engine).__name__
        raise ConfigError(f"{kind} cannot tell the address of this host: {_why(error)}", host.path) from None


def _why(error: Exception) -> str:
    return without_secrets(text_of(error))[:MOST_TOLD]


def _own(engine: Any, attribute: str) -> Any:
    """Return an attribute of the engine itself. The client's attributes are not asked, for that would connect."""
    has = attribute in getattr(engine, "__dict__", ()) or hasattr(type(engine), attribute)
    return getattr(engine, attribute) if has else None
