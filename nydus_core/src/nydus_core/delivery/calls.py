"""A call of a cluster, as a flow without I/O: clarify the commands, plan, deliver, tell the plugins.

A driver runs it, blocking or with asyncio; so both kinds of clusters decide and tell the same.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, Generic

from nydus_core.command import Command, Scope
from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Flow, deliver
from nydus_core.delivery.plan import Plan, plan_for, planning
from nydus_core.delivery.rules import CallOptions
from nydus_core.delivery.snapshot import Snapshot
from nydus_core.delivery.steps import TURN, Interrupted, in_turns
from nydus_core.drafts import Commands
from nydus_core.engines import E
from nydus_core.pieces import PIECE, Work, done
from nydus_core.plugins import hooks

__all__ = ["Call"]

#: In C, since it is asked of each command of a map().
_scope_of = attrgetter("scope")


class Call(Generic[E]):
    """The commands of one call on their way: a single command, or all commands of a ``map()``.

    Parameters:
        cluster: The cluster that plugins are told of.
        snapshot: Its hosts, router and rules.
        options: The options of the call.

    Attributes:
        engines: The engines, in host order.
        deadline: The time by which the call has to end.
    """

    def __init__(self, cluster: Any, snapshot: Snapshot[E], options: CallOptions) -> None:
        self._cluster = cluster
        self._snapshot = snapshot
        self._options = options
        self.engines: Sequence[E] = snapshot.engines
        self.deadline: Deadline | None = options.deadline

    def single(self, command: Command, index: int | None) -> Flow[Any]:
        """Deliver one command, and return its value.

        Parameters:
            command: The command.
            index: The index of its host, if that is known already.

        Raises:
            Exception: The command ended in this exception.
            Interrupted: The caller wants no more of it.
        """
        start = time.perf_counter()
        if index is None:
            plan = yield from self.plan([command])
        else:
            plan = plan_for(command, self._snapshot.placement, index)
        try:
            (outcome,) = yield from deliver(plan, self._snapshot.rules, self._options)
        except Interrupted:
            self._tell_of_command(plan, start)
            raise
        self._tell_of_command(plan, start)
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # it knows this frame, which would keep it alive

    def plan(self, commands: Sequence[Command]) -> Flow[Plan]:
        """Plan the commands.

        Raises:
            RoutingError: One of them has no place. Nothing is to be sent then.
        """
        snapshot, options = self._snapshot, self._options
        placement = snapshot.placement
        whole = commands.whole() if isinstance(commands, Commands) else commands
        if placement.by_keys and not placement.sole and Scope.UNKNOWN in map(_scope_of, whole):
            commands = yield from self._clarified(commands)
        work = planning(commands, placement, transaction=options.transaction)
        return (yield from in_turns(work, to_its_end=False))

    def deliver(self, plan: Plan) -> Flow[list[Any]]:
        """Deliver the plan of a ``map()``.

        Returns:
            For each command its value, or the exception that it ended in.

        Raises:
            Interrupted: The caller wants no more of it. The outcomes known by then are in the plan.
        """
        start = time.perf_counter()
        try:
            outcomes = yield from deliver(plan, self._snapshot.rules, self._options)
        except Interrupted:
            done(self._tell_of_batch(plan, start))
            raise
        yield from in_turns(self._tell_of_batch(plan, start))
        return outcomes

    # Commands whose keys nobody can tell ------------------------------------------------------------------------------

    def _clarified(self, commands: Sequence[Command]) -> Flow[Sequence[Command]]:
        """Return the commands. Where the keys of a command cannot be told, a host is asked about it."""
        answers: dict[Any, Any] = {}
        clear: list[Command] = []
        for number, command in enumerate(commands, 1):
            if not number % PIECE:
                yield TURN
            unclear = command.scope is Scope.UNKNOWN and not command.keys
            question = command.question() if unclear else None
            if question is not None:
                about = question.name, question.args
                if about not in answers:
                    answers[about] = yield from self._answer(question)
                if not isinstance(answers[about], Exception):
                    command = command.clarified(answers[about])
            clear.append(command)
        return clear

    def _answer(self, question: Command) -> Flow[Any]:
        """Ask the hosts, one after the other, until one answers; return its value, or the last error."""
        answer: Any = None
        for host in range(len(self._snapshot.engines)):
            plan = plan_for(question, self._snapshot.placement, host)
            options = CallOptions(self._options.deadline, host=host)
            (answer,) = yield from deliver(plan, self._snapshot.rules, options)
            if not isinstance(answer, Exception):
                break
        return answer

    # Plugins ----------------------------------------------------------------------------------------------------------

    def _tell_of_command(self, plan: Plan, start: float) -> None:
        if hooks.listens("nydus_command_done"):
            outcome = plan.outcomes[0]
            hooks.call(
                "nydus_command_done",
                cluster=self._cluster,
                command=plan.commands[0],
                hosts=plan.hosts()[0],
                error=outcome if isinstance(outcome, Exception) else None,
                seconds=time.perf_counter() - start,
            )

    def _tell_of_batch(self, plan: Plan, start: float) -> Work[None]:
        if hooks.listens("nydus_batch_done"):
            seconds = time.perf_counter() - start
            hosts = yield from plan.naming()
            hooks.call(
                "nydus_batch_done",
                cluster=self._cluster,
                commands=tuple(plan.commands),
                hosts=hosts,
                outcomes=tuple(plan.outcomes[: len(plan.commands)]),
                seconds=seconds,
            )
