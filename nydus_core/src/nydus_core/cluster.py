"""The cluster: one object over many hosts. Plans each command, delivers it and puts the answers together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Any, Self

from nydus_core.command import Command
from nydus_core.drivers import run
from nydus_core.engine import Engine, SurfaceFactory
from nydus_core.errors import ConfigError, RoutingError
from nydus_core.flows import deliver
from nydus_core.mapping import Map
from nydus_core.plan import Placement, Plan, make_plan
from nydus_core.plugins import hooks
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
    """

    def __init__(self, hosts: Mapping[Any, Engine], surface: SurfaceFactory) -> None:
        #: The hosts by their keys in the settings, in host order.
        self.hosts: Mapping[Any, Engine] = MappingProxyType(dict(hosts))
        self._engines: Sequence[Engine] = tuple(hosts.values())
        self._make_surface = surface
        self._surface = surface(self._deliver)
        self.install_router(None)

    def install_router(self, router: Any) -> None:
        """Set what decides where a key belongs: a router, or None to send every command to all hosts.

        Raises:
            ConfigError: It is a class.
        """
        if isinstance(router, type):
            raise ConfigError(f"found the class {router.__name__}; expected a router", "router")
        #: What decides where a key belongs.
        self.router = router
        self._placement = Placement(tuple(self.hosts), router)

    # Commands ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        return remember_call(name, found) if self._placement.by_call else found

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
        if transaction and not all(getattr(host, "supports_transactions", False) for host in self._engines):
            raise RoutingError(f"engine {type(self._engines[0]).__name__} has no transactions")
        return Map(
            self._make_surface,
            self._placement.by_call,
            self._plan,
            partial(self._deliver_map, transaction=transaction),
            fail_silently,
        )

    def on(self, host: Any) -> Any:
        """Return an object with the client library's methods, on which every command goes to one host.

        Parameters:
            host: The key of the host in the settings, or its name, which is the key as text.

        Raises:
            RoutingError: There is no such host.
        """
        if str(host) not in self._placement.names:
            raise RoutingError(f"there is no host {host!r}; the hosts are {', '.join(map(repr, self.hosts))}")
        return self._engines[self._placement.names.index(str(host))].client(self._make_surface)

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

    def close(self) -> None:
        """Close the connections to all hosts. A later command opens new ones."""
        with ExitStack() as stack:  # one that cannot be closed does not keep the others open
            for engine in reversed(self._engines):
                stack.callback(engine.close)

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
        return f"<{type(self).__name__} of {count} {{{hosts}}}, router {self.router!r}>"

    # Delivery ---------------------------------------------------------------------------------------------------

    def _deliver(self, command: Command) -> Any:
        """Deliver one command and return its value. The everyday case, one key, takes the short cut."""
        host = self._placement.single(command)
        if host is None or hooks.listens("nydus_command_done"):
            return self._deliver_planned(command)
        return self._engines[host].call(command)

    def _deliver_planned(self, command: Command) -> Any:
        if self._placement.by_call:
            command.call = current_call()
        plan = self._plan([command])
        start = time.perf_counter()
        outcome = self._run(plan)[0]
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
        if error is not None:
            raise error
        return outcome

    def _deliver_map(self, plan: Plan, transaction: bool) -> list[Any]:
        start = time.perf_counter()
        outcomes = self._run(plan, transaction)
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

    def _plan(self, commands: Sequence[Command]) -> Plan:
        return make_plan(commands, self._placement)

    def _run(self, plan: Plan, transaction: bool = False) -> list[Any]:
        return run(deliver(plan), self._engines, transaction=transaction)
