"""Delivery: commands on their way through plan and flow, with what a cluster knows of its hosts. No I/O.

A ``Delivery`` is a snapshot: the hosts, the router and the rules that belong together. A cluster whose hosts or router
change gets another one, and a call uses one of the two, never half of each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Generic

from nydus_core.command import Command, Dispatch, Scope
from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Flow, deliver
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import Lane, Plan, make_plan
from nydus_core.delivery.rules import DeliverySettings, Rules
from nydus_core.engines import E
from nydus_core.health import Watch
from nydus_core.routers import Spread

__all__ = ["Delivery", "KeyDispatch", "chooses_hosts"]

#: In C, since it is asked of each command of a map().
_scope_of = attrgetter("scope")


class KeyDispatch:
    """What the commands of the client of a key's host end in. Those with keys that live elsewhere are refused.

    Parameters:
        deliver: Delivers a command to that host.
        admit: Raises ``RoutingError`` if the keys of a command live elsewhere. An engine asks it about what it sends
            itself, such as a pipeline of the client library's own.
    """

    __slots__ = ("_deliver", "admit")

    def __init__(self, deliver: Dispatch, admit: Callable[[Command], None]) -> None:
        self._deliver = deliver
        self.admit = admit

    def __call__(self, command: Command) -> Any:
        self.admit(command)
        return self._deliver(command)


class Delivery(Generic[E]):
    """Delivers commands to the hosts of a cluster.

    Parameters:
        watches: The hosts by their keys, in host order.
        router: What decides where a key belongs; None sends every command to all hosts.
        settings: What to do about hosts that fail.

    Attributes:
        hosts: The engines by the keys of the hosts, in host order.
        router: What decides where a key belongs.
        by_key: What watches over them, by key.
        watches: The same, in host order.
        engines: The hosts, in host order.
        placement: Where keys live.
    """

    def __init__(self, watches: Mapping[Any, Watch[E]], router: Any, settings: DeliverySettings) -> None:
        self.hosts: Mapping[Any, E] = MappingProxyType({key: watch.engine for key, watch in watches.items()})
        self.router = router
        self.by_key = watches
        self.watches: Sequence[Watch[E]] = tuple(watches.values())
        self.engines: Sequence[E] = tuple(self.hosts.values())
        self.placement = Placement(tuple(watches), router)
        self._settings = settings
        self._rules = Rules(
            self.watches,
            self.placement,
            settings.retry,
            reroute=_reroutes(settings.on_host_down, router),
            stale=settings.on_readmit != "keep",
        )

    def over(self, watches: Mapping[Any, Watch[E]], router: Any) -> Delivery[E]:
        """Return one for other hosts or another router, with the same settings."""
        return Delivery(watches, router, self._settings)

    def plan(self, commands: Sequence[Command]) -> Plan:
        """Plan some commands.

        Raises:
            RoutingError: One of them has no place. Nothing is to be sent then.
        """
        return make_plan(commands, self.placement)

    def clarified(self, commands: Sequence[Command], deadline: Deadline | None) -> Flow[Sequence[Command]]:
        """Return the commands, those whose keys nobody could tell replaced by what a host says of them.

        Parameters:
            commands: The commands, by position.
            deadline: When it has to be over.

        Raises:
            RoutingError: The arguments of one are not those of the command.
        """
        if not self.placement.by_keys or Scope.UNKNOWN not in map(_scope_of, commands):
            return commands
        asked: dict[Any, Any] = {}
        clear: list[Command] = []
        for command in commands:
            unclear = command.scope is Scope.UNKNOWN and not command.keys
            clear.append((yield from self._clarified(command, asked, deadline)) if unclear else command)
        return clear

    def _clarified(self, command: Command, asked: dict[Any, Any], deadline: Deadline | None) -> Flow[Command]:
        question = command.question()
        if question is None:
            return command
        about = question.name, question.args
        if about not in asked:
            asked[about] = yield from self._answer(question, deadline)
        answer = asked[about]
        return command if isinstance(answer, Exception) else command.told(answer)

    def _answer(self, question: Command, deadline: Deadline | None) -> Flow[Any]:
        """Ask the hosts, one after the other, until one answers; return its value, or the last error."""
        answer: Any = None
        for host in range(len(self.engines)):
            (answer,) = yield from self.deliver(self.plan_for(host, question), deadline=deadline, bound=True)
            if not isinstance(answer, Exception):
                break
        return answer

    def plan_for(self, host: int, command: Command) -> Plan:
        """Plan a command for one host, wherever its keys belong."""
        return Plan([command], [Lane(host, [command], [0])], {}, 1, self.placement.names)

    def deliver(
        self,
        plan: Plan,
        *,
        together: bool = False,
        deadline: Deadline | None = None,
        begun: Exception | None = None,
        bound: bool = False,
    ) -> Flow[list[Any]]:
        """Deliver a plan.

        Parameters:
            plan: What goes where.
            together: Whether each host applies all of its commands or none.
            deadline: When it has to be over.
            begun: What the first attempt of the only command ended in, if there was one already.
            bound: Whether the hosts were named by the user, so that no other will do.

        Returns:
            For each command its value, or the exception that it ended in.
        """
        return deliver(plan, self._rules, together=together, bound=bound, deadline=deadline, begun=begun)


def chooses_hosts(router: Any) -> bool:
    """Tell whether a router chooses the host of a command, so that it can be asked for another one."""
    return getattr(router, "spread", Spread.ALL) is not Spread.ALL


def _reroutes(on_host_down: str | None, router: Any) -> bool:
    if on_host_down is None:
        on_host_down = getattr(router, "on_host_down", "raise")
    return on_host_down == "reroute" and chooses_hosts(router)
