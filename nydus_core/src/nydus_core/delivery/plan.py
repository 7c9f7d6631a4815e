"""A plan: where each part of each command goes, and which outcomes belong to which command. No I/O.

A plan has one *lane* a host: the parts that go there, in order. Every outcome has a *position*. The first positions
belong to the commands; a command that is cut into parts has further positions for the parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nydus_core.command import Command
from nydus_core.delivery.merging import Parts, merged
from nydus_core.delivery.placement import Placement, Route
from nydus_core.drafts import Commands, Draft, keys_of
from nydus_core.pieces import Pace, Work, done, slices

__all__ = ["Lane", "Plan", "make_plan", "plan_for", "planning"]


class Lane:
    """The commands for one host, in order, and the positions of their outcomes.

    Attributes:
        host: The index of the host.
        commands: The commands.
        positions: The positions of their outcomes.
        transaction: Whether the host must apply all of them or none.
    """

    __slots__ = ("commands", "host", "positions", "transaction")

    def __init__(
        self,
        host: int,
        commands: list[Command] | None = None,
        positions: list[int] | None = None,
        transaction: bool = False,
    ) -> None:
        self.host = host
        self.commands: list[Command] | Commands = [] if commands is None else commands
        self.positions: list[int] = [] if positions is None else positions
        self.transaction = transaction

    def add(self, command: Command, position: int) -> None:
        """Add a command."""
        self.commands.append(command)
        self.positions.append(position)

    def take(self, drafts: list[Draft], positions: list[int]) -> None:
        """Add drafts."""
        if not isinstance(self.commands, Commands):
            self.commands = Commands(self.commands)
        self.commands.items += drafts
        self.positions += positions


class Plan:
    """Where a list of commands goes.

    Attributes:
        commands: The commands, by position.
        names: The names of all hosts, in host order.
        size: The number of positions.
        lanes: The lanes, one a host.
        parts: The parts of each command, and of each part, that was cut; by position.
        moved: The index of the host that a command went to in the end, where that is not the host of its lane; by
            position.
        outcomes: The outcomes of the commands and of all parts, once they are delivered; by position.
    """

    __slots__ = ("commands", "lanes", "moved", "names", "outcomes", "parts", "size")

    def __init__(self, commands: Sequence[Command], names: Sequence[str], size: int) -> None:
        self.commands = commands
        self.names = names
        self.size = size
        self.lanes: list[Lane] = []
        self.parts: dict[int, Parts] = {}
        self.moved: dict[int, int] = {}
        self.outcomes: list[Any] = []

    def put(self, position: int, command: Command, route: Route, lanes: dict[int, Lane]) -> range:
        """Put a command, or the parts that its route cuts it into, into the lanes of their hosts.

        Parameters:
            position: The position of the command.
            command: The command.
            route: Where it goes.
            lanes: The lanes, by host; lacking ones are added.

        Returns:
            The positions of the parts: further ones where the command was cut, else its own.
        """
        own = range(position, position + 1)
        if len(route.parts) != 1 or route.join is not None:
            own = range(self.size, self.size + len(route.parts))
            self.size += len(route.parts)
            self.parts[position] = Parts(command, own, route.join)
        for host, part, place in zip(route.hosts, route.parts, own, strict=True):
            (lanes.get(host) or lanes.setdefault(host, Lane(host))).add(part, place)
        return own

    def merge(self, outcomes: list[Any]) -> list[Any]:
        """Return the outcome of each command, given the outcomes of all positions. Keeps them in ``outcomes``."""
        if not self.parts:
            self.outcomes = outcomes
            return outcomes[: len(self.commands)]
        return done(self.merging(outcomes))

    def merging(self, outcomes: list[Any]) -> Work[list[Any]]:
        """Do the same as ``merge``, in pieces."""
        self.outcomes = outcomes
        pace, host_of = Pace(), (yield from self._host_of())
        for position, parts in reversed(self.parts.items()):  # parts of parts come later
            names = [self._names(part, host_of) for part in parts.positions]
            outcomes[position] = merged(parts, outcomes, names)
            if pace.is_used_up(len(names)):
                yield
        return outcomes[: len(self.commands)]

    def hosts(self, *, failed: bool = False) -> list[tuple[str, ...]]:
        """Return for each command, by position, the names of the hosts that it went to.

        Parameters:
            failed: Of a command with several parts, only the hosts that failed.
        """
        return done(self.naming(failed=failed))

    def naming(self, *, failed: bool = False) -> Work[list[tuple[str, ...]]]:
        """Do the same as ``hosts``, in pieces."""
        host_of = yield from self._host_of()
        named: list[tuple[str, ...]] = []
        for piece in slices(len(self.commands)):
            named += [
                tuple(dict.fromkeys(self._names(position, host_of, failed)))
                for position in range(piece.start, piece.stop)
            ]
            if piece.stop < len(self.commands):
                yield
        return named

    def _host_of(self) -> Work[dict[int, int]]:
        host_of: dict[int, int] = {}
        for lane in self.lanes:
            for piece in slices(len(lane.positions), _QUICK):
                host_of.update(dict.fromkeys(lane.positions[piece], lane.host))
                if piece.stop < len(lane.positions):
                    yield
        host_of.update(self.moved)
        return host_of

    def _names(self, position: int, host_of: Mapping[int, int], failed: bool = False) -> list[str]:
        parts = self.parts.get(position)
        if parts is None:
            return [self.names[host_of[position]]]
        chosen = [
            part for part in parts.positions if not failed or isinstance(self.outcomes[part], Exception)
        ]
        return [name for part in chosen for name in self._names(part, host_of, failed)]


def plan_for(command: Command, placement: Placement, host: int) -> Plan:
    """Plan one command whose host is known.

    Parameters:
        command: The command.
        placement: Where keys live.
        host: The index of its host.
    """
    plan = Plan([command], placement.names, 1)
    plan.lanes = [Lane(host, [command], [0])]
    return plan


def make_plan(commands: Sequence[Command], placement: Placement, *, transaction: bool = False) -> Plan:
    """Plan some commands.

    Parameters:
        commands: The commands, by position. The commands of one host keep their order.
        placement: Where keys live.
        transaction: Whether each host must apply all of its commands or none.

    Raises:
        RoutingError: A command has no place. Nothing is to be sent then.
    """
    return done(planning(commands, placement, transaction=transaction))


def planning(commands: Sequence[Command], placement: Placement, *, transaction: bool = False) -> Work[Plan]:
    """Do the same as ``make_plan``, in pieces."""
    lanes: dict[int, Lane] = {}
    plan = Plan(commands, placement.names, len(commands))
    drafts = commands.items if isinstance(commands, Commands) else ()
    pace = Pace()
    for piece in slices(len(commands)):
        if not (drafts and _plan_drafts(drafts[piece], piece.start, placement, lanes)):
            yield from _plan_commands(plan, commands[piece], piece.start, placement, lanes, pace)
        if pace.is_used_up(piece.stop - piece.start) and piece.stop < len(commands):
            yield
    plan.lanes = list(lanes.values())
    if transaction:
        for lane in plan.lanes:
            lane.transaction = True
    return plan


def _plan_commands(
    plan: Plan,
    commands: Sequence[Command],
    start: int,
    placement: Placement,
    lanes: dict[int, Lane],
    pace: Pace,
) -> Work[None]:
    """Put commands into the lanes of their hosts, in order. The first one has the position ``start``."""
    single = placement.single
    for position, command in enumerate(commands, start):
        index = single(command)
        if index is None:
            plan.put(position, command, placement.route(command), lanes)
            if pace.is_used_up(1, _CUT):
                yield
            continue
        (lanes.get(index) or lanes.setdefault(index, Lane(index))).add(command, position)


def _plan_drafts(items: list[Any], start: int, placement: Placement, lanes: dict[int, Lane]) -> bool:
    """Do the same with drafts; return False if some are none, or if one has no place."""
    keys = keys_of(items)
    groups = None if keys is None else placement.groups(keys)
    if groups is None:
        return False
    for host, positions in groups.items():
        lane = lanes.get(host) or lanes.setdefault(host, Lane(host))
        lane.take(
            [items[position] for position in positions],
            [start + position for position in positions] if start else positions,
        )
    return True


#: How many commands that may have to be cut are planned at once, and how many positions are looked at.
_CUT, _QUICK = 200, 20_000
