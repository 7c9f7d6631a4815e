"""The hosts and the router of a cluster, and how they change while it is in use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic

from nydus_core.checks import SettingsWarning
from nydus_core.delivery import DeliverySettings, Snapshot, chooses_hosts
from nydus_core.engines import E, SurfaceFactory
from nydus_core.errors import ConfigError
from nydus_core.health import AnnouncerBase, WatchBase
from nydus_core.plugins import refuse_uncalled
from nydus_core.routers import fingerprint_of, guard
from nydus_core.settings import Blueprint
from nydus_core.threads import Lock

__all__ = ["Membership"]


class Membership(Generic[E]):
    """The hosts of a cluster, by their keys, and its router.

    A change makes another snapshot, in a single step: a call uses the old hosts and router, or the new.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        settings: The settings about hosts that fail.
    """

    #: The class that tells plugins of hosts that fail, and readmits hosts; and the class that watches over a host.
    _announcer_class: type[AnnouncerBase]
    _watch_class: type[WatchBase[Any]]

    def __init__(self, hosts: Mapping[Any, E], surface: SurfaceFactory, settings: DeliverySettings) -> None:
        self._settings = settings
        self._announcer = self._announcer_class(self, surface, settings.on_readmit)
        self._changing = Lock("the hosts of this cluster are being changed")
        self._blueprint: Blueprint | None = None
        self._snapshot: Snapshot[E] = Snapshot(self._watched(hosts), None, settings)

    def _watched(self, hosts: Mapping[Any, E]) -> dict[Any, WatchBase[E]]:
        make, health, announcer = self._watch_class, self._settings.health, self._announcer
        return {key: make(str(key), engine, health, announcer) for key, engine in hosts.items()}

    @property
    def hosts(self) -> Mapping[Any, E]:
        """The hosts by their keys in the settings, in host order."""
        return self._snapshot.hosts

    @property
    def router(self) -> Any:
        """The router, which decides where a key belongs; None sends every command to all hosts."""
        return self._snapshot.router

    def install_router(self, router: Any, blueprint: Blueprint | None = None) -> None:
        """Set the router, which decides where a key belongs, or None to send every command to all hosts.

        Parameters:
            router: The router.
            blueprint: The settings that it was made of; without them, hosts cannot be added or removed any more.

        Raises:
            ConfigError: It is a class; or it chooses no hosts, and the settings want another one where a host is down.
        """
        if isinstance(router, type):
            raise ConfigError(f"found the class {router.__name__}; expected a router", "router")
        refuse_uncalled(type(router), "router", instead="locate")
        if self._settings.on_host_down == "reroute" and not chooses_hosts(router):
            raise ConfigError(
                f"found 'reroute' with {'no router' if router is None else f'router {type(router).__name__}'}; expected "
                "'raise', or a router that chooses the host of a command: no other can choose another host",
                "on_host_down",
            )
        with self._changing.alone():
            self._snapshot = self._snapshot.over(self._snapshot.by_key, router)
            self._blueprint = blueprint

    @property
    def fingerprint(self) -> str:
        """A short text that stands for where keys live: the same one in all processes that place keys alike.

        Raises:
            ConfigError: The router has none.
        """
        return fingerprint_of(self.router, self._snapshot.placement.names)

    def guard(self, expected: str | Mapping[str, Any]) -> None:
        """Refuse to go on if keys do not live where they are expected to.

        Parameters:
            expected: A ``fingerprint``; or a ``router.rule()``, which tells more where they differ.

        Raises:
            ConfigError: They differ, or the router has no fingerprint.
        """
        guard(self.router, self._snapshot.placement.names, expected)

    # Membership -----------------------------------------------------------------------------------------------------

    def add_host(self, name: Any, settings: Any) -> None:
        """Add a host. Commands go there as if it had been among the hosts from the start.

        A call that is under way ends as it began. No data are moved: keys that the new host takes over from the others are
        not there yet. A cluster of one host answers plainly; its second host makes lists of answers that come from all.

        Parameters:
            name: Its key, as in the setting ``hosts``.
            settings: Its options, in any form that ``hosts`` takes; a ``weight`` among them.

        Raises:
            ConfigError: There is one of that name, its settings are wrong, or the router was installed by hand.
        """
        self._change(lambda blueprint: blueprint.with_host(name, settings))

    def remove_host(self, name: Any) -> None:
        """Remove a host. Its connections are closed when the calls that use them have ended.

        Parameters:
            name: Its key, or that as text.

        Raises:
            ConfigError: There is no such host, or no other; or the router was installed by hand.
        """
        self._change(lambda blueprint: blueprint.without(name))

    def set_weight(self, name: Any, weight: float) -> None:
        """Give a host another share of the keys.

        Parameters:
            name: Its key, or that as text.
            weight: Its share, relative to the others'.

        Raises:
            ConfigError: There is no such host, that is no weight, the router knows none, or was installed by hand.
        """
        self._change(lambda blueprint: blueprint.with_weight(name, weight))

    def _change(self, change: Callable[[Blueprint], Blueprint]) -> None:
        with self._changing.alone():
            if self._blueprint is None:
                raise ConfigError(
                    "the router was installed by hand; install one for other hosts likewise", "router"
                )
            blueprint = change(self._blueprint)
            before = self._snapshot.by_key
            blueprint.surface()  # a new host must agree with the others
            new = self._watched({key: blueprint.engine(key) for key in blueprint.hosts if key not in before})
            watches = {key: before[key] if key in before else new[key] for key in blueprint.hosts}
            engines = {key: watch.engine for key, watch in watches.items()}
            router = blueprint.router(self, engines)
            doubts = set(blueprint.doubts(engines)) - set(self._blueprint.doubts(self.hosts))
            self._snapshot = self._snapshot.over(watches, router)  # one step: a call sees the old, or the new
            self._blueprint = blueprint
        for doubt in sorted(doubts):
            warnings.warn(doubt, SettingsWarning, stacklevel=3)
        for key, watch in before.items():
            if key not in watches:
                watch.retire()

    def retire(self) -> None:
        """Close the connections as they fall out of use, and probe no host any more: nobody is to use it from now on."""
        for watch in self._snapshot.watches:
            watch.retire()

    # As a container ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of hosts."""
        return len(self.hosts)

    def __iter__(self) -> Iterator[Any]:
        """The keys of the hosts, in host order."""
        return iter(self.hosts)

    def __getitem__(self, host: Any) -> E:
        """The engine of a host, by its key. Values are another matter: ``cluster.get(key)``.

        Raises:
            KeyError: There is no such host.
        """
        try:
            return self.hosts[host]
        except (KeyError, TypeError):
            known = ", ".join(map(repr, self.hosts))
            raise KeyError(
                f"there is no host {host!r}; the hosts are {known}. For the value of a key use cluster.get(key)"
            ) from None

    def __contains__(self, key: object) -> bool:
        """Refuse: ``in`` could mean a key as well as a host.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "'in' could mean a key or a host: for a key use a command such as cluster.exists(key) or cluster.get(key), and "
            "'in cluster.hosts' for a host"
        )

    def __setitem__(self, key: object, value: object) -> None:
        """Refuse: values are set by commands.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a cluster is no dict of values: use cluster.set(key, value)")

    def __delitem__(self, key: object) -> None:
        """Refuse: keys are deleted by a command.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "a cluster is no dict of values: use cluster.delete(key), or cluster.remove_host(name) for a host"
        )
