"""The cluster: one object over many hosts. Plans each command, delivers it and puts the answers together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

from nydus_core.announcer import Announcer
from nydus_core.blueprint import Blueprint
from nydus_core.command import Command, key_bytes
from nydus_core.deadlines import Deadline, DeadlineBlock, any_deadline, deadline_of
from nydus_core.delivery import Delivery, KeyDispatch, chooses_hosts
from nydus_core.engine import Engine, SurfaceFactory
from nydus_core.errors import ConfigError, HostError, RoutingError
from nydus_core.explain import Explanation, explain
from nydus_core.guard import fingerprint_of, guard, has_fingerprint
from nydus_core.health import HostHealth
from nydus_core.mapping import Map
from nydus_core.monitor import Watch
from nydus_core.plan import Plan
from nydus_core.plugins import hooks
from nydus_core.resilience import DeliverySettings
from nydus_core.surface import current_call, remember_call

__all__ = ["Cluster"]


class Cluster:
    """One object over many hosts; made by ``create_cluster``.

    Every command of the client library is a method: ``cluster.incr('foo')``. A command whose keys live on one host
    goes there. One that can be split over the hosts of its keys is. One without a key goes to all hosts, in
    parallel, and answers a list in host order; without a router every command does. A cluster of one host and no
    router answers as the host does.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: What to do about hosts that fail.
    """

    def __init__(
        self,
        hosts: Mapping[Any, Engine],
        surface: SurfaceFactory,
        delivery: DeliverySettings | None = None,
    ) -> None:
        self._settings = delivery or DeliverySettings()
        self._make_surface = surface
        of_cluster = getattr(surface, "of_cluster", None)
        self._surface = of_cluster(self, self._deliver) if of_cluster else surface(self._deliver)
        self._announcer = Announcer(self, surface, self._settings.on_readmit)
        self._changing = threading.Lock()
        self._blueprint: Blueprint | None = None
        self._delivery = Delivery(self._watched(hosts), None, self._settings)

    def _watched(self, hosts: Mapping[Any, Engine]) -> dict[Any, Watch]:
        health, announcer = self._settings.health, self._announcer
        return {key: Watch(str(key), engine, health, announcer) for key, engine in hosts.items()}

    @property
    def hosts(self) -> Mapping[Any, Engine]:
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

    # Commands ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        return remember_call(name, found) if self._delivery.placement.by_call else found

    def map(
        self, workers: int | None = None, *, fail_silently: bool = False, transaction: bool = False
    ) -> Map:
        """Queue commands in a ``with`` block, and send them when it ends: one batch a host, all in parallel.

        ::

            with cluster.map() as conn:
                results = [conn.incr(key) for key in keys]

        Each call returns a promise, filled when the block ends. A block that raises sends nothing.

        Parameters:
            workers: Has no effect; nydus 0.11 took a number of threads.
            fail_silently: Do not raise ``CommandError``; failures are found in ``conn.get_errors()`` and in the
                promises.
            transaction: Each host applies all of its commands or none of them. Not across hosts.

        Raises:
            CommandError: At the end of the block, if any command failed. The others have their values.
            RoutingError: At the end of the block, if a command has no place. Nothing was sent then.
        """
        delivery = self._delivery
        if transaction and not all(
            getattr(host, "supports_transactions", False) for host in delivery.engines
        ):
            raise RoutingError(f"engine {type(delivery.engines[0]).__name__} has no transactions")
        return Map(
            self._make_surface,
            self._delivery.placement.by_call,
            partial(self._begin_map, transaction),
            fail_silently,
        )

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

    def __getitem__(self, host: Any) -> Engine:
        """The engine of a host, by its key. Values are another matter: ``cluster.get(key)``."""
        if host not in self.hosts:
            raise KeyError(f"there is no host {host!r}; the hosts are {', '.join(map(repr, self.hosts))}")
        return self.hosts[host]

    def health(self) -> dict[Any, HostHealth]:
        """Return what is known of the health of the hosts, by their keys, without asking them."""
        return {key: watch.report() for key, watch in self._delivery.by_key.items()}

    def close(self) -> None:
        """Close the connections to all hosts, and forget which are down. A later command opens new ones."""
        with ExitStack() as stack:  # one that cannot be closed does not keep the others open
            for watch in reversed(self._delivery.watches):
                stack.callback(watch.engine.close)
                watch.reset()

    disconnect = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        hosts = ", ".join(f"{key!r}: {engine.identifier}" for key, engine in self.hosts.items())
        count = "1 host" if len(self) == 1 else f"{len(self)} hosts"
        placed = f", placement {self.fingerprint}" if has_fingerprint(self.router) else ""
        return f"<{type(self).__name__} of {count} {{{hosts}}}, router {self.router!r}{placed}>"

    # Delivery ---------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command) -> Any:
        """Deliver one command and return its value. The everyday case, one key, takes the short cut."""
        delivery = self._delivery
        host = delivery.placement.single(command)
        if host is None:
            return self._deliver_planned(delivery, command)
        return self._deliver_to(delivery, host, command, False)

    def _deliver_on(self, watch: Watch, command: Command) -> Any:
        delivery = self._delivery
        if watch not in delivery.watches:
            raise RoutingError(f"{command!r}: host {watch.name!r} has left the cluster. Nothing was sent")
        return self._deliver_to(delivery, delivery.watches.index(watch), command)

    def _deliver_to(self, delivery: Delivery, host: int, command: Command, bound: bool = True) -> Any:
        call = delivery.watches[host].call
        if call is None or self._settings.deadline or any_deadline() or hooks.listens("nydus_command_done"):
            return self._deliver_planned(delivery, command, host if bound else None)
        try:
            return call(command)
        except Exception as error:
            if not isinstance(error, HostError) and not delivery.engines[host].is_passing(error, command):
                raise
            begun = error
        try:
            return self._deliver_planned(delivery, command, host if bound else None, begun)
        finally:
            del begun  # it knows this frame

    def _deliver_planned(
        self, delivery: Delivery, command: Command, host: int | None = None, begun: Exception | None = None
    ) -> Any:
        if delivery.placement.by_call:
            command.call = current_call()
        deadline = self._deadline()
        start = time.perf_counter()
        if host is None:
            (command,) = delivery.clarified([command], deadline)
            plan = delivery.plan([command])
        else:
            plan = delivery.plan_for(host, command)
        outcome = delivery.run(plan, deadline=deadline, begun=begun, bound=host is not None)[0]
        error = outcome if isinstance(outcome, Exception) else None
        if hooks.listens("nydus_command_done"):
            hooks.call(
                "nydus_command_done",
                cluster=self,
                command=command,
                hosts=plan.hosts()[0],
                error=error,
                seconds=time.perf_counter() - start,
            )
        if error is None:
            return outcome
        try:
            raise error
        finally:
            del error, outcome, begun  # it knows this frame, which would keep it alive

    def _begin_map(
        self, transaction: bool, commands: Sequence[Command]
    ) -> tuple[Plan, Callable[[], Sequence[Any]]]:
        delivery = self._delivery
        deadline = self._deadline()
        plan = delivery.plan(delivery.clarified(commands, deadline))
        return plan, partial(self._deliver_map, delivery, plan, transaction, deadline)

    def _deliver_map(
        self, delivery: Delivery, plan: Plan, transaction: bool, deadline: Deadline | None
    ) -> list[Any]:
        start = time.perf_counter()
        outcomes = delivery.run(plan, transaction=transaction, deadline=deadline)
        if hooks.listens("nydus_batch_done"):
            hooks.call(
                "nydus_batch_done",
                cluster=self,
                commands=plan.commands,
                hosts=plan.hosts(),
                outcomes=tuple(outcomes),
                seconds=time.perf_counter() - start,
            )
        return outcomes

    def _deadline(self) -> Deadline | None:
        seconds = self._settings.deadline
        return deadline_of(self) or (None if seconds is None else Deadline(seconds))
