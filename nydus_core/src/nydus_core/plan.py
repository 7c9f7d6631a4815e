"""Where each part of each command goes, and how the answers to the parts become one. No I/O.

A plan has one *lane* a host: the parts that go there, in order, each with the slot that its outcome belongs in. The
first slots are the commands' own, by position; a command with several parts has further slots for them, and a *join*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from nydus_core.command import Access, Command, Outcome, Scope, outcome_of
from nydus_core.errors import CrossHostError, HostError, MaybeApplied, RoutingError, host_error
from nydus_core.routers.legacy import BaseRouter
from nydus_core.routers.protocol import Router, Spread

__all__ = ["Lane", "Placement", "Plan", "joined", "make_plan"]


class Route(NamedTuple):
    """Where one command goes: its parts, their hosts, and what makes one value of the parts' values."""

    hosts: Sequence[int]
    parts: Sequence[Command]
    join: Callable[[Sequence[Any]], Any] | None


class Placement:
    """A router, and the hosts that it speaks of.

    Parameters:
        keys: The keys of the hosts in the settings, in host order.
        router: What decides; None sends every command to all hosts, or to the only one.
    """

    def __init__(self, keys: Sequence[Any], router: Router | BaseRouter | None) -> None:
        self.names = tuple(str(key) for key in keys)
        self._by_name = {name: index for index, name in enumerate(self.names)}
        self._keys = list(keys)
        self._everywhere = range(len(self.names))
        self._router = cast(Router, router)
        self.sole = router is None and len(self.names) == 1
        self.by_call = isinstance(router, BaseRouter)
        self._by_keys = not self.by_call and router is not None and self._router.spread is Spread.KEY
        self._any = not self.by_call and router is not None and self._router.spread is Spread.ANY
        #: Returns the index of the host of a command with one key or one host, the everyday case; else None.
        self.single: Callable[[Command], int | None] = self._single_by_key() if self._by_keys else self._only

    def _single_by_key(self) -> Callable[[Command], int | None]:
        locate, by_name = self._router.locate, self._by_name  # no look-ups on the way of every command

        def single(command: Command) -> int | None:
            keys = command.keys
            if len(keys) != 1:
                return None
            name = locate(keys[0])
            try:
                return by_name[name]
            except KeyError:
                raise self._no_such_host(name, command) from None

        return single

    def _only(self, command: Command) -> int | None:
        return 0 if self.sole and command.scope is not Scope.CONNECTION else None

    def route(self, command: Command) -> Route:
        """Return where a command goes.

        Raises:
            CrossHostError: Its keys live on several hosts, and it cannot be split.
            RoutingError: It has no place: it belongs to a connection, or its keys cannot be told.
            HostListExhausted: The router has no host left.
        """
        if command.scope is Scope.CONNECTION:
            raise RoutingError(
                f"{command.name} only has a meaning on a connection of one host: {self._on_host()}"
            )
        if command.scope is Scope.HOST and not command.keys and not self.sole:
            raise RoutingError(f"{command.name} is for one host, which has to be named: {self._on_host()}")
        if self.by_call:
            return self._several(command, self._called(command))
        if self._by_keys and command.keys:
            return self._keyed(command)
        if self.sole or (self._any and (command.keys or command.scope is Scope.UNKNOWN)):
            return Route((self._next(command),), (command,), None)
        if self._by_keys and command.scope is Scope.UNKNOWN:
            raise RoutingError(f"cannot tell the keys of {command.name}: {command.state_keys}")
        return self._several(command, self._everywhere, always_list=True)

    def _on_host(self) -> str:
        return f"use cluster.on(host), with host one of {', '.join(self.names)}"

    def _next(self, command: Command) -> int:
        key = command.keys[0] if command.keys else b""
        return 0 if self.sole else self._index(self._router.locate(key), command)

    def _index(self, name: str, command: Command) -> int:
        if name not in self._by_name:
            raise self._no_such_host(name, command)
        return self._by_name[name]

    def _no_such_host(self, host: Any, command: Command) -> RoutingError:
        return RoutingError(
            f"{type(self._router).__name__} gave host {host!r} for {command!r}; the hosts are {self._keys}"
        )

    def _several(self, command: Command, hosts: Sequence[int], always_list: bool = False) -> Route:
        join = list if always_list or len(hosts) > 1 else None
        return Route(hosts, (command,) * len(hosts), join)

    def _keyed(self, command: Command) -> Route:
        locate = self._router.locate
        groups: dict[str, list[int]] = {}
        for position, key in enumerate(command.keys):
            groups.setdefault(locate(key), []).append(position)
        hosts = [self._index(name, command) for name in groups]
        if len(hosts) == 1:
            return Route(hosts, (command,), None)
        split = command.split
        if split is None:
            raise self._crossing(command, groups)
        positions = list(groups.values())
        parts = split.cut(command, positions)
        return Route(hosts, parts, lambda values: split.join(command, positions, values))

    def _crossing(self, command: Command, groups: Mapping[str, Sequence[int]]) -> CrossHostError:
        places = {name: [command.keys[position] for position in found] for name, found in groups.items()}
        tagged = (
            "Keys with one hash tag, such as {user:1}.a and {user:1}.b, live together"
            if self._router.hash_tags
            else "With a router that honours hash tags (option hash_tags), keys such as {user:1}.a and {user:1}.b "
            "live together"
        )
        return CrossHostError(command.name, places, f"Nothing was sent. {tagged}.")

    def _called(self, command: Command) -> list[int]:
        attr, args, kwargs = command.call or (command.name, command.args, command.kwargs)
        router = cast(BaseRouter, self._router)
        keys = list(router.get_dbs(attr=attr, args=args, kwargs=kwargs))
        if not keys:
            raise RoutingError(f"{type(router).__name__} gave no host for {command!r}")
        for key in keys:
            if str(key) not in self._by_name:
                raise self._no_such_host(key, command)
        return list(dict.fromkeys(self._by_name[str(key)] for key in keys))  # named twice, applied once


@dataclass(slots=True)
class Lane:
    """What goes to one host: commands in order, and the slots that their outcomes belong in."""

    host: int
    commands: list[Command] = field(default_factory=list[Command])
    slots: list[int] = field(default_factory=list[int])


@dataclass(slots=True)
class Join:
    """A command's parts: their slots and hosts, what makes one value of their values, and who failed."""

    command: Command
    slots: range
    hosts: Sequence[int]
    join: Callable[[Sequence[Any]], Any] | None
    failed: Sequence[int] = ()


@dataclass(slots=True)
class Plan:
    """Where a list of commands goes, and the names of all hosts."""

    commands: Sequence[Command]
    lanes: list[Lane]
    joins: dict[int, Join]
    slots: int
    names: Sequence[str]

    def hosts(self, *, failed: bool = False) -> list[tuple[str, ...]]:
        """Return for each command, by position, the names of the hosts that it goes to.

        Parameters:
            failed: Of a command with several parts, only the hosts that failed.
        """
        single = {slot: (self.names[lane.host],) for lane in self.lanes for slot in lane.slots}
        several = {
            position: tuple(self.names[host] for host in (join.failed if failed else join.hosts))
            for position, join in self.joins.items()
        }
        return [
            several[position] if position in several else single[position]
            for position in range(len(self.commands))
        ]


def make_plan(commands: Sequence[Command], placement: Placement) -> Plan:
    """Plan some commands.

    Parameters:
        commands: The commands, by position. Those of one host keep their order.
        placement: Where keys live.

    Raises:
        RoutingError: One of the commands has no place. Nothing is to be sent then.
    """
    lanes: dict[int, Lane] = {}
    joins: dict[int, Join] = {}
    slots = len(commands)
    single = placement.single
    for position, command in enumerate(commands):
        host = single(command)
        if host is not None:
            lane = lanes.get(host) or lanes.setdefault(host, Lane(host))
            lane.commands.append(command)
            lane.slots.append(position)
            continue
        hosts, parts, join = placement.route(command)
        own = range(slots, slots + len(parts))
        slots += len(parts)
        joins[position] = Join(command, own, hosts, join)
        for target, part, slot in zip(hosts, parts, own, strict=True):
            lane = lanes.setdefault(target, Lane(target))
            lane.commands.append(part)
            lane.slots.append(slot)
    return Plan(commands, list(lanes.values()), joins, slots, placement.names)


def joined(join: Join, outcomes: Sequence[Any], names: Sequence[str]) -> Any:
    """Return the outcome of a command with several parts.

    Parameters:
        join: Its parts.
        outcomes: The outcomes of all slots of the plan.
        names: The names of the hosts.

    Returns:
        The value, if all parts have one; else the gravest error, with a note of how the other hosts fared. Where a
        command that writes succeeded on some hosts, that is a ``MaybeApplied``: it must not be sent again.
    """
    found = outcomes[join.slots.start : join.slots.stop]
    errors = [outcome for outcome in found if isinstance(outcome, Exception)]
    if not errors:
        return found[0] if join.join is None else join.join(found)
    join.failed = [
        host for host, outcome in zip(join.hosts, found, strict=True) if isinstance(outcome, Exception)
    ]
    gravest = max(errors, key=lambda error: _GRAVITY[outcome_of(error)])
    if len(errors) < len(found) and join.command.access is Access.WRITE:
        gravest = _partly_applied(join.command, gravest, [names[host] for host in join.failed])
    if len(found) > 1:
        gravest.add_note(_how_all_fared([names[host] for host in join.hosts], found))
    return gravest


def _partly_applied(command: Command, error: Exception, failed: Sequence[str]) -> Exception:
    """Some hosts have done it: whatever the others say, it must not pass for a command that was not applied."""
    if isinstance(error, MaybeApplied):
        return error
    cause = error.__cause__ if isinstance(error, HostError) and error.__cause__ is not None else error
    reason = f"others have applied it: {error.reason if isinstance(error, HostError) else error}"
    host = error.host if isinstance(error, HostError) else ", ".join(map(repr, failed))
    partly = host_error(MaybeApplied, cause, host=host, command=repr(command))
    partly.reason = reason
    return partly


#: Which of several errors to show: the one that leaves the most open.
_GRAVITY = {Outcome.SERVER_ERROR: 0, Outcome.NOT_SENT: 1, Outcome.MAYBE_APPLIED: 2}


def _how_all_fared(names: Sequence[str], outcomes: Sequence[Any]) -> str:
    errors = [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]
    each = (f"{name!r}: {outcome_of(error).value}" for name, error in zip(names, errors, strict=True))
    return f"by host: {', '.join(each)}"
