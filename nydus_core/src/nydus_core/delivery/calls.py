"""Whole calls of a cluster, as flows without I/O: clarify, plan, deliver, tell the plugins.

A driver runs them, the blocking one or that of asyncio; so both kinds of clusters decide and tell the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Generic

from nydus_core.command import Command
from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Flow, Interrupted
from nydus_core.delivery.plan import Plan
from nydus_core.delivery.snapshot import Delivery
from nydus_core.engines import E
from nydus_core.plugins import hooks

__all__ = ["MapCall", "single_call"]


def single_call(
    cluster: Any,
    delivery: Delivery[Any],
    command: Command,
    deadline: Deadline | None,
    host: int | None = None,
    begun: Exception | None = None,
) -> Flow[Any]:
    """Deliver one command.

    Parameters:
        cluster: What plugins are told that it was made on.
        delivery: The hosts, the router and the rules.
        command: The command.
        deadline: When it has to be over.
        host: The index of its host, if the user named it.
        begun: What its first attempt ended in, if there was one already.

    Returns:
        Its value.

    Raises:
        Exception: What it ended in.
        Interrupted: By a driver that was.
    """
    start = time.perf_counter()
    if host is None:
        (command,) = yield from delivery.clarified([command], deadline)
        plan = delivery.plan([command])
    else:
        plan = delivery.plan_for(host, command)
    try:
        outcome = (yield from delivery.deliver(plan, deadline=deadline, begun=begun, bound=host is not None))[
            0
        ]
    except Interrupted:
        _tell_of_command(cluster, plan, start)
        raise
    _tell_of_command(cluster, plan, start)
    if not isinstance(outcome, Exception):
        return outcome
    try:
        raise outcome
    finally:
        del outcome, begun  # it knows this frame, which would keep it alive


def _tell_of_command(cluster: Any, plan: Plan, start: float) -> None:
    if hooks.listens("nydus_command_done"):
        outcome = plan.outcomes[0]
        hooks.call(
            "nydus_command_done",
            cluster=cluster,
            command=plan.commands[0],
            hosts=plan.hosts()[0],
            error=outcome if isinstance(outcome, Exception) else None,
            seconds=time.perf_counter() - start,
        )


class MapCall(Generic[E]):
    """The commands of a ``map()`` on their way.

    Parameters:
        cluster: What plugins are told that it was made on.
        delivery: The hosts, the router and the rules.
        deadline: When it has to be over.
        transaction: Whether each host applies all of its commands or none.
    """

    def __init__(
        self, cluster: Any, delivery: Delivery[E], deadline: Deadline | None, transaction: bool
    ) -> None:
        self._cluster = cluster
        self._delivery = delivery
        self.deadline = deadline
        self.transaction = transaction

    @property
    def engines(self) -> Sequence[E]:
        """The hosts, in host order."""
        return self._delivery.engines

    def plan(self, commands: Sequence[Command]) -> Flow[Plan]:
        """Plan the commands.

        Raises:
            RoutingError: One of them has no place. Nothing is to be sent then.
        """
        return self._delivery.plan((yield from self._delivery.clarified(commands, self.deadline)))

    def deliver(self, plan: Plan) -> Flow[list[Any]]:
        """Deliver the plan.

        Returns:
            For each command its value, or the exception that it ended in.

        Raises:
            Interrupted: By a driver that was. What everything ended in is in the plan then, too.
        """
        start = time.perf_counter()
        try:
            outcomes = yield from self._delivery.deliver(
                plan, together=self.transaction, deadline=self.deadline
            )
        except Interrupted:
            self._tell(plan, start)
            raise
        self._tell(plan, start)
        return outcomes

    def _tell(self, plan: Plan, start: float) -> None:
        if hooks.listens("nydus_batch_done"):
            hooks.call(
                "nydus_batch_done",
                cluster=self._cluster,
                commands=plan.commands,
                hosts=plan.hosts(),
                outcomes=tuple(plan.outcomes[: len(plan.commands)]),
                seconds=time.perf_counter() - start,
            )
