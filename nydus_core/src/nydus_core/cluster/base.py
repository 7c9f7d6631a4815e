"""A cluster, on either side: all of it but waiting.

The objects with the client library's methods, the call that delivers a command, and where a command would go. Hosts and
router, and how these change, are in ``membership``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import TYPE_CHECKING, Any

from nydus_core.cluster.membership import Membership
from nydus_core.command import Command, key_bytes
from nydus_core.deadlines import Deadline, DeadlineBlock, any_deadline, deadline_of
from nydus_core.delivery import Call, CallOptions, DeliverySettings, KeyDispatch, Snapshot
from nydus_core.engines import E, SurfaceFactory, remember_call
from nydus_core.errors import RoutingError, blend_routing_error
from nydus_core.health import HostHealth, WatchBase
from nydus_core.plugins import hooks
from nydus_core.routers import has_fingerprint
from nydus_core.settings import Blueprint

if TYPE_CHECKING:
    from nydus_core.cluster.explain import Explanation

__all__ = ["ClusterBase"]


class ClusterBase(Membership[E]):
    """A cluster without I/O. ``Cluster`` and ``AsyncCluster`` deliver.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        surface: Makes the object with the client library's methods.
        delivery: The settings about hosts that fail.
    """

    def __init__(
        self,
        hosts: Mapping[Any, E],
        surface: SurfaceFactory,
        delivery: DeliverySettings | None = None,
    ) -> None:
        self._make_surface = surface
        of_cluster = getattr(surface, "of_cluster", None)
        self._surface = of_cluster(self, self._deliver) if of_cluster else surface(self._deliver)
        super().__init__(hosts, surface, delivery or DeliverySettings())

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
            raise self._routing_error(f"engine {type(engines[0]).__name__} has no transactions")
        return lambda: self._call(self._snapshot, transaction=transaction)

    def _routing_error(self, text: str) -> RoutingError:
        return blend_routing_error(RoutingError(text), self._snapshot.placement.client_error)

    # Commands ---------------------------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        found = getattr(self._surface, name)
        snapshot = self._snapshot
        if snapshot.placement.by_call:
            return self._remember(name, found)
        if type(found) is MethodType:
            self.__dict__[name] = found  # the next call finds it at once
            # Another thread may just have installed a router that wants to see calls
            if self._snapshot is not snapshot:
                self.__dict__.pop(name, None)
        return found

    def install_router(self, router: Any, blueprint: Blueprint | None = None) -> None:
        """Set the router. See ``Membership.install_router``."""
        super().install_router(router, blueprint)
        for name, found in [
            *vars(self).items()
        ]:  # kept by ``__getattr__``: another router may want to see calls
            if type(found) is MethodType and found.__self__ is self._surface:
                self.__dict__.pop(name, None)

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
            hosts = ", ".join(map(repr, self.hosts))
            raise self._routing_error(f"there is no host {host!r}; the hosts are {hosts}")
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
        from nydus_core.cluster.explain import explain

        return explain(self._make_surface, self._snapshot.placement, name, args, kwargs)

    def on_key(self, key: Any) -> Any:
        """Return the client of the host that a key belongs to: for work in several steps there, such as a transaction.

        Like ``on(host)``, but a command with a key that lives elsewhere is refused. While the host is down its commands
        are not rerouted.

        Parameters:
            key: The key: text, bytes, or anything that the client library makes a key of.

        Raises:
            RoutingError: The router gives no key a host of its own; or, by a command, its keys live elsewhere.
            Exception: This is no key: the error of the client library.
        """
        snapshot = self._snapshot
        key_of: Callable[[Any], bytes] = getattr(self._make_surface, "key_of", key_bytes)
        index = snapshot.placement.home(key_of(key))
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

    def health(self) -> dict[Any, HostHealth]:
        """Return the health of the hosts as far as it is known, by their keys. They are not asked."""
        return {key: watch.report() for key, watch in self._snapshot.by_key.items()}

    def __repr__(self) -> str:
        hosts = ", ".join(
            f"{key!r}: {watch.redactor.address(watch.engine.identifier)}"
            for key, watch in self._snapshot.by_key.items()
        )
        count = "1 host" if len(self) == 1 else f"{len(self)} hosts"
        placed = f", placement {self.fingerprint}" if has_fingerprint(self.router) else ""
        return f"<{type(self).__name__} of {count} {{{hosts}}}, router {self.router!r}{placed}>"
