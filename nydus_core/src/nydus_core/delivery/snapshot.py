"""A snapshot of a cluster: hosts, router and rules that belong together.

A cluster whose hosts or router change gets another snapshot, and a call uses one of the two, never half of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic

from nydus_core.command import Command, Dispatch
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.rules import DeliverySettings, Rules
from nydus_core.engines import E, mark_if_answer
from nydus_core.errors import HostError, RoutingError, blend_routing_error
from nydus_core.health import WatchBase
from nydus_core.routers import Spread

__all__ = ["KeyDispatch", "Snapshot", "chooses_hosts"]


class KeyDispatch:
    """The dispatch of the client of a key's host. Commands with keys that live elsewhere are refused.

    Parameters:
        deliver: Delivers a command to that host.
        admit: Raises ``RoutingError`` if the keys of a command live elsewhere. An engine asks it about commands that it
            sends itself, such as a pipeline of the client library's own.
    """

    __slots__ = ("_deliver", "admit")

    def __init__(self, deliver: Dispatch, admit: Callable[[Command], None]) -> None:
        self._deliver = deliver
        self.admit = admit

    def __call__(self, command: Command) -> Any:
        self.admit(command)
        return self._deliver(command)


class Snapshot(Generic[E]):
    """The hosts of a cluster, its router and its rules.

    Parameters:
        watches: The watches of the hosts, by their keys, in host order.
        router: Decides where a key belongs; None sends every command to all hosts.
        settings: The settings about hosts that fail.

    Attributes:
        hosts: The engines by the keys of the hosts, in host order.
        router: The router.
        by_key: The watches, by key.
        watches: The watches, in host order.
        engines: The engines, in host order.
        placement: Where keys live.
        rules: The rules of a delivery.
    """

    def __init__(self, watches: Mapping[Any, WatchBase[E]], router: Any, settings: DeliverySettings) -> None:
        self.hosts: Mapping[Any, E] = MappingProxyType({key: watch.engine for key, watch in watches.items()})
        self.router = router
        self.by_key = watches
        self.watches: Sequence[WatchBase[E]] = tuple(watches.values())
        self.engines: Sequence[E] = tuple(self.hosts.values())
        self.placement = Placement(tuple(watches), router, _client_error(self.engines))
        self._settings = settings
        self.rules = Rules(
            self.watches,
            self.placement,
            settings.retry,
            reroute=_reroutes(settings.on_host_down, router),
            stale=settings.on_readmit != "keep",
        )

    def over(self, watches: Mapping[Any, WatchBase[E]], router: Any) -> Snapshot[E]:
        """Return a snapshot of other hosts or another router, with the same settings."""
        return Snapshot(watches, router, self._settings)

    def index_of(self, watch: WatchBase[E], command: Command) -> int:
        """Return the index of a host that the user has named for a command.

        Raises:
            RoutingError: It has left the cluster; the error names the command.
            ForeignWordError: The command holds a word that another host gave.
        """
        if watch not in self.watches:
            gone = RoutingError(f"{command!r}: host {watch.name!r} has left the cluster. Nothing was sent")
            raise blend_routing_error(gone, self.placement.client_error)
        self.placement.check_word(command, watch.name)
        return self.watches.index(watch)

    def is_answer(self, error: Exception, host: int, command: Command) -> bool:
        """Tell whether an error is the server's own answer, and final: there is nothing to be tried again."""
        engine = self.engines[host]
        if isinstance(error, HostError):
            return False
        mark_if_answer(engine, error)
        return not engine.is_passing(error, command)


def chooses_hosts(router: Any) -> bool:
    """Tell whether a router chooses the host of a command, so that it can be asked for another one."""
    return getattr(router, "spread", Spread.ALL) is not Spread.ALL


def _client_error(engines: Sequence[Any]) -> type[Exception] | None:
    found: type[Exception] | None = getattr(engines[0], "client_error", None) if engines else None
    return found


def _reroutes(on_host_down: str | None, router: Any) -> bool:
    if on_host_down is None:
        on_host_down = getattr(router, "on_host_down", "raise")
    return on_host_down == "reroute" and chooses_hosts(router)
