"""What blocking and asynchronous clusters have in common: all but delivery, which is I/O.

Their hosts and router, and how these change; where a command would go; the objects with the client library's methods.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic

from nydus_core.cluster.explain import Explanation, explain
from nydus_core.command import Command, key_bytes
from nydus_core.deadlines import Deadline, DeadlineBlock, any_deadline, deadline_of
from nydus_core.delivery import Delivery, DeliverySettings, KeyDispatch, MapCall, chooses_hosts
from nydus_core.engines import E, SurfaceFactory, remember_call
from nydus_core.errors import ConfigError, RoutingError
from nydus_core.health import Announcer, HostHealth, Watch
from nydus_core.plugins import hooks
from nydus_core.routers import fingerprint_of, guard, has_fingerprint
from nydus_core.settings import Blueprint

__all__ = ["ClusterBase"]


class ClusterBase(Generic[E]):
    """The part of a cluster that does no I/O. ``Cluster`` and ``AsyncCluster`` deliver.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: What to do about hosts that fail.
    """

    #: What tells plugins of hosts that fail, and readmits them; and what watches over one.
    _announcer_class: type[Announcer] = Announcer
    _watch_class: type[Watch[Any]] = Watch

    def __init__(
        self,
        hosts: Mapping[Any, E],
        surface: SurfaceFactory,
        delivery: DeliverySettings | None = None,
    ) -> None:
        self._settings = delivery or DeliverySettings()
        self._make_surface = surface
        of_cluster = getattr(surface, "of_cluster", None)
        self._surface = of_cluster(self, self._deliver) if of_cluster else surface(self._deliver)
        self._announcer = self._announcer_class(self, surface, self._settings.on_readmit)
        self._changing = threading.Lock()
        self._blueprint: Blueprint | None = None
        self._delivery = Delivery(self._watched(hosts), None, self._settings)

    def _watched(self, hosts: Mapping[Any, E]) -> dict[Any, Watch[E]]:
        make, health, announcer = self._watch_class, self._settings.health, self._announcer
        return {key: make(str(key), engine, health, announcer) for key, engine in hosts.items()}

    # What delivers ----------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command) -> Any:
        raise NotImplementedError

    def _deliver_on(self, watch: Watch[E], command: Command) -> Any:
        raise NotImplementedError

    @property
    def hosts(self) -> Mapping[Any, E]:
        """The hosts by their keys in the settings, in host order."""
        return self._delivery.hosts

    @property
    def router(self) -> Any:
        """What decides where a key belongs; None sends every command to all hosts."""
        return self._delivery.router

    def install_router(self, router: Any, blueprint: Blueprint | None = None) -> None:
        """Set what decides where a key belongs: a router, or None to send every command to all hosts.

        Parameters:
            router: The router.
            blueprint: What it was made of; without, hosts cannot be added or removed any more.

        Raises:
            ConfigError: It is a class; or it chooses no hosts, and the settings want another one where a host is down.
        """
        if isinstance(router, type):
            raise ConfigError(f"found the class {router.__name__}; expected a router", "router")
        if self._settings.on_host_down == "reroute" and not chooses_hosts(router):
            raise ConfigError(
                "only a router that tells the host of a key can tell another one", "on_host_down"
            )
        with self._changing:
            self._delivery = self._delivery.over(self._delivery.by_key, router)
            self._blueprint = blueprint

    @property
    def fingerprint(self) -> str:
        """A short text that stands for where keys live: the same one in all processes that place keys alike.

        Raises:
            ConfigError: The router has none.
        """
        return fingerprint_of(self.router, self._delivery.placement.names)

    def guard(self, expected: str | Mapping[str, Any]) -> None:
        """Refuse to go on if keys do not live where they are expected to.

        Parameters:
            expected: A ``fingerprint``; or a ``router.rule()``, which tells more where they differ.

        Raises:
            ConfigError: They differ, or the router has no fingerprint.
        """
        guard(self.router, self._delivery.placement.names, expected)

    # Membership -----------------------------------------------------------------------------------------------------

    def add_host(self, name: Any, settings: Any) -> None:
        """Add a host. Commands go there as if it had been among the hosts from the start.

        A call that is under way ends as it began. No data are moved: what the new host takes over from the others is not
        there yet.

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
        with self._changing:
            if self._blueprint is None:
                raise ConfigError(
                    "the router was installed by hand; install one for other hosts likewise", "router"
                )
            blueprint = change(self._blueprint)
            before = self._delivery.by_key
            blueprint.surface()  # a new host must agree with the others
            new = self._watched({key: blueprint.engine(key) for key in blueprint.hosts if key not in before})
            watches = {key: before[key] if key in before else new[key] for key in blueprint.hosts}
            router = blueprint.router(self, {key: watch.engine for key, watch in watches.items()})
            self._delivery = self._delivery.over(watches, router)  # one step: a call sees the old, or the new
            self._blueprint = blueprint
        for key, watch in before.items():
            if key not in watches:
                watch.retire()

    def _retire(self) -> None:
        """Close the connections as they fall out of use, and probe no host any more: nobody is to use it from now on."""
        for watch in self._delivery.watches:
            watch.retire()

    # Commands ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        return self._remember(name, found) if self._delivery.placement.by_call else found

    _remember = staticmethod(remember_call)

    def _map_call(self, transaction: bool) -> Callable[[], MapCall[E]]:
        delivery = self._delivery
        if transaction and not all(
            getattr(host, "supports_transactions", False) for host in delivery.engines
        ):
            raise RoutingError(f"engine {type(delivery.engines[0]).__name__} has no transactions")
        return lambda: MapCall(self, self._delivery, self._deadline(), transaction)

    def on(self, host: Any) -> Any:
        """Return an object with the client library's methods, on which every command goes to one host.

        Parameters:
            host: The key of the host in the settings, or its name, which is the key as text.

        Raises:
            RoutingError: There is no such host.
        """
        delivery = self._delivery
        names = delivery.placement.names
        if str(host) not in names:
            raise RoutingError(f"there is no host {host!r}; the hosts are {', '.join(map(repr, self.hosts))}")
        index = names.index(str(host))
        dispatch = partial(self._deliver_on, delivery.watches[index])
        return delivery.engines[index].client(self._make_surface, dispatch)

    def explain(self, name: str, /, *args: Any, **kwargs: Any) -> Explanation:
        """Tell where a command would go, and why, without sending it.

        ::

            print(cluster.explain("mget", "a", "b"))

        Parameters:
            name: The name of the method, such as ``'mget'``.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        return explain(self._make_surface, self._delivery.placement, name, args, kwargs)

    def on_key(self, key: Any) -> Any:
        """Return the client of the host that a key belongs to: for what takes several steps there, such as a transaction.

        Like ``on(host)``, but a command with a key that lives elsewhere is refused. While the host is down its commands
        are not rerouted.

        Parameters:
            key: The key: text, bytes, or what the client library makes a key of.

        Raises:
            RoutingError: The router gives no key a host of its own; or, by a command, its keys live elsewhere.
        """
        delivery = self._delivery
        index = delivery.placement.home(key_bytes(key))
        dispatch = KeyDispatch(
            partial(self._deliver_on, delivery.watches[index]),
            partial(self._admit, delivery.placement.names[index], key),
        )
        return delivery.engines[index].client(self._make_surface, dispatch)

    def _admit(self, host: str, key: Any, command: Command) -> None:
        self._delivery.placement.admit(command, host, key)

    def deadline(self, seconds: float) -> DeadlineBlock:
        """Limit how long calls may take, over all their attempts and hosts and the waits for a connection.

        ::

            with cluster.deadline(0.2):
                cluster.get("a")
                cluster.get("b")

        All calls in the block share the time; blocks may be nested, and the earliest end counts. It holds for this
        thread or task alone, and instead of the ``deadline`` of the settings, which each call has for itself.

        Parameters:
            seconds: How long the block may take.

        Raises:
            ValueError: That is no time.
            DeadlineExceeded: In the block, by a call that took too long. It is also a ``HostDown`` if the command was
                not sent, or a ``MaybeApplied`` if it was.
        """
        return DeadlineBlock(self, seconds)

    # Hosts ------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """The number of hosts."""
        return len(self.hosts)

    def __iter__(self) -> Iterator[Any]:
        """The keys of the hosts, in host order."""
        return iter(self.hosts)

    def __getitem__(self, host: Any) -> E:
        """The engine of a host, by its key. Values are another matter: ``cluster.get(key)``."""
        if host not in self.hosts:
            raise KeyError(f"there is no host {host!r}; the hosts are {', '.join(map(repr, self.hosts))}")
        return self.hosts[host]

    def health(self) -> dict[Any, HostHealth]:
        """Return what is known of the health of the hosts, by their keys, without asking them."""
        return {key: watch.report() for key, watch in self._delivery.by_key.items()}

    def __repr__(self) -> str:
        hosts = ", ".join(f"{key!r}: {engine.identifier}" for key, engine in self.hosts.items())
        count = "1 host" if len(self) == 1 else f"{len(self)} hosts"
        placed = f", placement {self.fingerprint}" if has_fingerprint(self.router) else ""
        return f"<{type(self).__name__} of {count} {{{hosts}}}, router {self.router!r}{placed}>"

    def _host_of(self, delivery: Delivery[E], watch: Watch[E], command: Command) -> int:
        if watch not in delivery.watches:
            raise RoutingError(f"{command!r}: host {watch.name!r} has left the cluster. Nothing was sent")
        return delivery.watches.index(watch)

    def _short_cut(self, watch: Watch[E]) -> Callable[[Command], Any] | None:
        """What does a single command on a host at once; None if there is more to be done about it."""
        call = watch.call
        if call is None or self._settings.deadline or any_deadline() or hooks.listens("nydus_command_done"):
            return None
        return call

    def _deadline(self) -> Deadline | None:
        seconds = self._settings.deadline
        return deadline_of(self) or (None if seconds is None else Deadline(seconds))
