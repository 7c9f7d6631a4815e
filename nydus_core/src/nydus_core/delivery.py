"""Delivery: commands on their way through plan, flow and driver, with what a cluster knows of its hosts.

A ``Delivery`` is a snapshot: the hosts, the router and the rules that belong together. A cluster whose hosts or router
change gets another one, and a call uses one of the two, never half of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.command import Command
from nydus_core.deadlines import Deadline
from nydus_core.drivers import run
from nydus_core.engine import Engine
from nydus_core.flows import Rules, deliver
from nydus_core.monitor import Monitor
from nydus_core.plan import Lane, Placement, Plan, make_plan
from nydus_core.resilience import DeliverySettings
from nydus_core.routers.protocol import Spread

__all__ = ["Delivery", "chooses_hosts"]


class Delivery:
    """Delivers commands to the hosts of a cluster.

    Parameters:
        hosts: The engines by the keys of the hosts, in host order.
        router: What decides where a key belongs; None sends every command to all hosts.
        settings: What to do about hosts that fail.
        monitor: What knows which hosts are up.

    Attributes:
        engines: The hosts, in host order.
        placement: Where keys live.
        monitor: What knows which hosts are up.
    """

    def __init__(
        self, hosts: Mapping[Any, Engine], router: Any, settings: DeliverySettings, monitor: Monitor
    ) -> None:
        self.engines: Sequence[Engine] = tuple(hosts.values())
        self.placement = Placement(tuple(hosts), router)
        self.monitor = monitor
        self._rules = Rules(
            self.engines,
            self.placement,
            monitor,
            settings.retry,
            reroute=_reroutes(settings.on_host_down, router),
            stale=settings.on_readmit != "keep",
        )

    def plan(self, commands: Sequence[Command]) -> Plan:
        """Plan some commands.

        Raises:
            RoutingError: One of them has no place. Nothing is to be sent then.
        """
        return make_plan(commands, self.placement)

    def plan_for(self, host: int, command: Command) -> Plan:
        """Plan a command for one host, wherever its keys belong."""
        return Plan([command], [Lane(host, [command], [0])], {}, 1, self.placement.names)

    def run(
        self,
        plan: Plan,
        *,
        transaction: bool = False,
        deadline: Deadline | None = None,
        begun: Exception | None = None,
        bound: bool = False,
    ) -> list[Any]:
        """Deliver a plan.

        Parameters:
            plan: What goes where.
            transaction: Whether each host applies all of its commands or none.
            deadline: When it has to be over.
            begun: What the first attempt of the only command ended in, if there was one already.
            bound: Whether the hosts were named by the user, so that no other will do.

        Returns:
            For each command its value, or the exception that it ended in.
        """
        flow = deliver(plan, self._rules, together=transaction, bound=bound, deadline=deadline, begun=begun)
        return run(flow, self.engines, transaction=transaction, deadline=deadline)


def chooses_hosts(router: Any) -> bool:
    """Tell whether a router chooses the host of a command, so that it can be asked for another one."""
    return getattr(router, "spread", Spread.ALL) is not Spread.ALL


def _reroutes(on_host_down: str | None, router: Any) -> bool:
    if on_host_down is None:
        on_host_down = getattr(router, "on_host_down", "raise")
    return on_host_down == "reroute" and chooses_hosts(router)
