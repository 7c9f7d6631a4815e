"""Where each part of each command goes, and how the answers to the parts become one. No I/O.

A plan has one *lane* a host: the parts that go there, in order, each with the slot that its outcome belongs in. The
first slots are the commands' own, by position; a command with several parts has further slots for them, and a *join*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.delivery.placement import Placement, Route
from nydus_core.errors import (
    DeadlineExceeded,
    HostError,
    MaybeApplied,
    NotAnsweredInTime,
    host_error,
)

__all__ = ["Lane", "Plan", "joined", "make_plan"]


@dataclass(slots=True)
class Lane:
    """What goes to one host: commands in order, and the slots that their outcomes belong in."""

    host: int
    commands: list[Command] = field(default_factory=list[Command])
    slots: list[int] = field(default_factory=list[int])


class Join(NamedTuple):
    """A command's parts: their slots, and what makes one value of their values."""

    command: Command
    slots: range
    join: Callable[[Sequence[Any]], Any] | None


@dataclass(slots=True)
class Plan:
    """Where a list of commands goes, and the names of all hosts.

    Attributes:
        commands: The commands, by position.
        lanes: What goes where, one lane a host.
        joins: By slot, those commands and parts that have parts themselves.
        slots: How many slots there are.
        names: The names of the hosts.
        moved: By slot, the host that a part went to in the end, if not to that of its lane.
        outcomes: By slot, what everything ended in, once it was delivered.
    """

    commands: Sequence[Command]
    lanes: list[Lane]
    joins: dict[int, Join]
    slots: int
    names: Sequence[str]
    moved: dict[int, int] = field(default_factory=dict[int, int])
    outcomes: list[Any] = field(default_factory=list[Any])

    def put(self, slot: int, command: Command, route: Route, lanes: dict[int, Lane]) -> None:
        """Put the parts of a command into the lanes of their hosts. Its own slot takes what they are joined to."""
        own = range(slot, slot + 1)
        if len(route.parts) != 1 or route.join is not None:
            own = range(self.slots, self.slots + len(route.parts))
            self.slots += len(route.parts)
            self.joins[slot] = Join(command, own, route.join)
        for host, part, place in zip(route.hosts, route.parts, own, strict=True):
            lane = lanes.get(host) or lanes.setdefault(host, Lane(host))
            lane.commands.append(part)
            lane.slots.append(place)

    def results(self, outcomes: list[Any]) -> list[Any]:
        """Return the outcome of each command, of the outcomes of all slots. Keeps those."""
        self.outcomes = outcomes
        if self.joins:
            host_of = self._host_of()
            for slot, join in reversed(self.joins.items()):  # parts of parts come later
                outcomes[slot] = joined(join, outcomes, [self._names(part, host_of) for part in join.slots])
        return outcomes[: len(self.commands)]

    def hosts(self, *, failed: bool = False) -> list[tuple[str, ...]]:
        """Return for each command, by position, the names of the hosts that it went to.

        Parameters:
            failed: Of a command with several parts, only the hosts that failed.
        """
        host_of = self._host_of()
        return [
            tuple(dict.fromkeys(self._names(position, host_of, failed)))
            for position in range(len(self.commands))
        ]

    def _host_of(self) -> dict[int, int]:
        return {slot: lane.host for lane in self.lanes for slot in lane.slots} | self.moved

    def _names(self, slot: int, host_of: Mapping[int, int], failed: bool = False) -> list[str]:
        join = self.joins.get(slot)
        if join is None:
            return [self.names[host_of[slot]]]
        parts = [part for part in join.slots if not failed or isinstance(self.outcomes[part], Exception)]
        return [name for part in parts for name in self._names(part, host_of, failed)]


def make_plan(commands: Sequence[Command], placement: Placement) -> Plan:
    """Plan some commands.

    Parameters:
        commands: The commands, by position. Those of one host keep their order.
        placement: Where keys live.

    Raises:
        RoutingError: One of the commands has no place. Nothing is to be sent then.
    """
    lanes: dict[int, Lane] = {}
    plan = Plan(commands, [], {}, len(commands), placement.names)
    single = placement.single
    for position, command in enumerate(commands):
        host = single(command)
        if host is None:
            plan.put(position, command, placement.route(command), lanes)
            continue
        lane = lanes.get(host) or lanes.setdefault(host, Lane(host))
        lane.commands.append(command)
        lane.slots.append(position)
    plan.lanes = list(lanes.values())
    return plan


def joined(join: Join, outcomes: Sequence[Any], hosts: Sequence[Sequence[str]]) -> Any:
    """Return the outcome of a command with several parts.

    Parameters:
        join: Its parts.
        outcomes: The outcomes of all slots of the plan.
        hosts: For each part the names of its hosts.

    Returns:
        The value, if all parts have one; else the gravest error, with a note of how the other hosts fared. Where a
        command that writes succeeded on some hosts, that is a ``MaybeApplied``: it must not be sent again.
    """
    found = outcomes[join.slots.start : join.slots.stop]
    errors = [outcome for outcome in found if isinstance(outcome, Exception)]
    if not errors:
        return found[0] if join.join is None else join.join(found)
    failed = [
        name
        for names, outcome in zip(hosts, found, strict=True)
        if isinstance(outcome, Exception)
        for name in names
    ]
    gravest = max(errors, key=lambda error: _GRAVITY[outcome_of(error)])
    if len(errors) < len(found) and join.command.access is Access.WRITE:
        gravest = _partly_applied(join.command, gravest, failed)
    if len(found) > 1:
        gravest.add_note(_how_all_fared([", ".join(dict.fromkeys(names)) for names in hosts], found))
    return gravest


def _partly_applied(command: Command, error: Exception, failed: Sequence[str]) -> Exception:
    """Some hosts have done it: whatever the others say, it must not pass for a command that was not applied."""
    if isinstance(error, MaybeApplied):
        return error
    kind = NotAnsweredInTime if isinstance(error, DeadlineExceeded) else MaybeApplied
    cause = error.__cause__ if isinstance(error, HostError) and error.__cause__ is not None else error
    reason = f"others have applied it: {error.reason if isinstance(error, HostError) else error}"
    host = error.host if isinstance(error, HostError) else ", ".join(map(repr, failed))
    partly = host_error(kind, cause, host=host, command=repr(command))
    partly.reason = reason
    partly.attempts = error.attempts if isinstance(error, HostError) else 1
    return partly


#: Which of several errors to show: the one that leaves the most open.
_GRAVITY = {Outcome.SERVER_ERROR: 0, Outcome.NOT_SENT: 1, Outcome.MAYBE_APPLIED: 2}


def _how_all_fared(names: Sequence[str], outcomes: Sequence[Any]) -> str:
    errors = [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]
    each = (f"{name!r}: {outcome_of(error).value}" for name, error in zip(names, errors, strict=True))
    return f"by host: {', '.join(each)}"
