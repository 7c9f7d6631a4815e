"""A cluster, on either side: all of it but waiting.

Hosts and router, and how these change; where a command would go; the objects with the client library's methods; the call
that delivers a command.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Generic

from nydus_core.cluster.explain import Explanation, explain
from nydus_core.command import Command, key_bytes
from nydus_core.deadlines import Deadline, DeadlineBlock, any_deadline, deadline_of
from nydus_core.delivery import Call, CallOptions, DeliverySettings, KeyDispatch, Snapshot, chooses_hosts
from nydus_core.engines import E, SurfaceFactory, remember_call
from nydus_core.errors import ConfigError, RoutingError
from nydus_core.health import AnnouncerBase, HostHealth, WatchBase
from nydus_core.plugins import hooks
from nydus_core.routers import fingerprint_of, guard, has_fingerprint
from nydus_core.settings import Blueprint

__all__ = ["ClusterBase"]


class ClusterBase(Generic[E]):
    """A cluster without I/O. ``Cluster`` and ``AsyncCluster`` deliver.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: The settings about hosts that fail.
    """

    #: The class that tells plugins of hosts that fail, and readmits hosts; and the class that watches over a host.
    _announcer_class: type[AnnouncerBase]
    _watch_class: type[WatchBase[Any]]

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
        self._snapshot: Snapshot[E] = Snapshot(self._watched(hosts), None, self._settings)

    def _watched(self, hosts: Mapping[Any, E]) -> dict[Any, WatchBase[E]]:
        make, health, announcer = self._watch_class, self._settings.health, self._announcer
        return {key: make(str(key), engine, health, announcer) for key, engine in hosts.items()}

    # Delivery -------------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command, pinned: WatchBase[E] | None = None) -> Any:
        """Deliver one command and return its value, or something to be awaited.

        Parameters:
            command: The command.
            pinned: The watch of the host that the user named, if so.
        """
        raise NotImplementedError

    def _direct(self, watch: WatchBase[E]) -> Callable[[Command], Any] | None:
        """Return the engine's ``call`` if a single command may go straight to a host.

        None if its breaker is not closed, there is a deadline, or a plugin listens to ``nydus_command_done``: then the
        command takes the road of a ``map()``.
        """
        call = watch.call
        if call is None or self._settings.deadline or any_deadline() or hooks.listens("nydus_command_done"):
            return None
        return call

    def _call(
        self,
        snapshot: Snapshot[E],
        *,
        transaction: bool = False,
        host: int | None = None,
        first_error: Exception | None = None,
    ) -> Call[E]:
        """Begin a call. Its deadline counts from now. For the parameters see ``CallOptions``."""
        seconds = self._settings.deadline
        deadline = deadline_of(self) or (None if seconds is None else Deadline(seconds))
        return Call(self, snapshot, CallOptions(deadline, transaction, host, first_error))

    def _begin_map(self, transaction: bool) -> Callable[[], Call[E]]:
        engines = self._snapshot.engines
        if transaction and not all(getattr(engine, "supports_transactions", False) for engine in engines):
            raise RoutingError(f"engine {type(engines[0]).__name__} has no transactions")
        return lambda: self._call(self._snapshot, transaction=transaction)

    # Hosts and router -----------------------------------------------------------------------------------------------

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
        if self._settings.on_host_down == "reroute" and not chooses_hosts(router):
            raise ConfigError(
                "only a router that tells the host of a key can tell another one", "on_host_down"
            )
        with self._changing:
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
        not there yet.

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
            before = self._snapshot.by_key
            blueprint.surface()  # a new host must agree with the others
            new = self._watched({key: blueprint.engine(key) for key in blueprint.hosts if key not in before})
            watches = {key: before[key] if key in before else new[key] for key in blueprint.hosts}
            router = blueprint.router(self, {key: watch.engine for key, watch in watches.items()})
            self._snapshot = self._snapshot.over(watches, router)  # one step: a call sees the old, or the new
            self._blueprint = blueprint
        for key, watch in before.items():
            if key not in watches:
                watch.retire()

    def retire(self) -> None:
        """Close the connections as they fall out of use, and probe no host any more: nobody is to use it from now on."""
        for watch in self._snapshot.watches:
            watch.retire()

    # Commands ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        return self._remember(name, found) if self._snapshot.placement.by_call else found

    _remember = staticmethod(remember_call)

    def on(self, host: Any) -> Any:
        """Return an object with the client library's methods, on which every command goes to one host.

        Parameters:
            host: The key of the host in the settings, or its name, which is the key as text.

        Raises:
            RoutingError: There is no such host.
        """
        snapshot = self._snapshot
        names = snapshot.placement.names
        if str(host) not in names:
            raise RoutingError(f"there is no host {host!r}; the hosts are {', '.join(map(repr, self.hosts))}")
        index = names.index(str(host))
        dispatch = partial(self._deliver, pinned=snapshot.watches[index])
        return snapshot.engines[index].client(self._make_surface, dispatch)

    def explain(self, name: str, /, *args: Any, **kwargs: Any) -> Explanation:
        """Tell where a command would go, and why, without sending it.

        ::

            print(cluster.explain("mget", "a", "b"))

        Parameters:
            name: The name of the method, such as ``'mget'``.
            args: Its positional arguments.
            kwargs: Its keyword arguments.
        """
        return explain(self._make_surface, self._snapshot.placement, name, args, kwargs)

    def on_key(self, key: Any) -> Any:
        """Return the client of the host that a key belongs to: for work in several steps there, such as a transaction.

        Like ``on(host)``, but a command with a key that lives elsewhere is refused. While the host is down its commands
        are not rerouted.

        Parameters:
            key: The key: text, bytes, or anything that the client library makes a key of.

        Raises:
            RoutingError: The router gives no key a host of its own; or, by a command, its keys live elsewhere.
        """
        snapshot = self._snapshot
        index = snapshot.placement.home(key_bytes(key))
        dispatch = KeyDispatch(
            partial(self._deliver, pinned=snapshot.watches[index]),
            partial(self._admit, snapshot.placement.names[index], key),
        )
        return snapshot.engines[index].client(self._make_surface, dispatch)

    def _admit(self, host: str, key: Any, command: Command) -> None:
        self._snapshot.placement.admit(command, host, key)

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
        """Return the health of the hosts as far as it is known, by their keys. They are not asked."""
        return {key: watch.report() for key, watch in self._snapshot.by_key.items()}

    def __repr__(self) -> str:
        hosts = ", ".join(f"{key!r}: {engine.identifier}" for key, engine in self.hosts.items())
        count = "1 host" if len(self) == 1 else f"{len(self)} hosts"
        placed = f", placement {self.fingerprint}" if has_fingerprint(self.router) else ""
        return f"<{type(self).__name__} of {count} {{{hosts}}}, router {self.router!r}{placed}>"
