"""Crowds: many tasks that share the connections to a host, and what makes that hard. Pure, as ``features``; asyncio only.

A crowd calls at the same moments, mostly one host. To a crowd may be added: large values among small ones, calls that are
cancelled at every stage of their way, slow links, and connections that are lost with many commands under way.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator

from chaos.schedule import Cancel, Fault, Maker, Op, Schedule, some_cancel

__all__ = ["CROWDS"]

#: The number of the first task of a crowd, as its keys and tokens have it.
_FIRST = 100
#: How many other callers there are.
_OTHERS = 4
#: Sizes of large values, in bytes, each with its weight. A memcached takes about a million.
_SIZES = {3_000: 6, 20_000: 4, 70_000: 3, 250_000: 1, 900_000: 1}


def _crowd(schedule: Schedule, dice: random.Random) -> Schedule:
    """Most callers are a crowd: 50 to 70 tasks that hardly pause, and two that begin 30 to 70 calls in one turn of the loop."""
    count, focus = dice.randint(50, 70), dice.randrange(schedule.hosts)
    more = []
    for number in range(_FIRST, _FIRST + count):
        # All of a task go to one host, so that its keys can be followed
        host = focus if dice.random() < 0.7 else None
        maker = _CrowdMaker(schedule, dice, number, count, host)
        more.append(tuple(maker.calls(dice.randint(3, 7))))
    for number in range(_FIRST + count, _FIRST + count + 2):
        maker = _CrowdMaker(schedule, dice, number, count, focus)
        more.append(tuple(maker.burst(dice.randint(30, 70)) for _ in range(2)))
    return dataclasses.replace(
        schedule,
        threads=(*schedule.threads[:_OTHERS], *more),
        crowd=len(more),
        focus=focus,
        most=dice.choice((8, 20, 50)),
        # A host is taken for down late, so that more commands are under way when something fails
        failures=dice.choice((10, 100, 100)),
        timeout=dice.choice((0.12, 0.3)),
        deadline=dice.choice((None, None, 0.25)),
        debug=False,
    )


class _CrowdMaker(Maker):
    """Makes the calls of a task in a crowd. Most answers tell of which command they are.

    Parameters:
        schedule: The schedule so far.
        dice: Decides.
        number: The number of the task.
        count: How many tasks the crowd has.
        host: The number of the host that it calls; None for those of its keys.
    """

    def __init__(
        self, schedule: Schedule, dice: random.Random, number: int, count: int, host: int | None
    ) -> None:
        super().__init__(dice, schedule.seed, schedule.engine, schedule.router, schedule.hosts)
        self._thread = number
        self._crowd = count
        self._host = host
        self._makers = [
            (5, lambda: self._own("count")),
            (3, lambda: self._shared("append", "text")),
            (2, lambda: self._shared("push", "list")),
            (1, lambda: self._own("set")),
            (4, self._renew),
            (6, self._read),
            (1, lambda: self._own("mset", dice.randint(2, 5))),
            (2, self._mget),
            (1, self._refused),
        ]

    def calls(self, count: int) -> Iterator[Op]:
        """Make some calls, one after the other."""
        for _ in range(count):
            pause = 0.0 if self._dice.random() < 0.5 else min(0.1, self._dice.expovariate(40))
            yield dataclasses.replace(self._some(), pause=pause)

    def burst(self, count: int) -> Op:
        """Make calls that begin in the same turn of the loop."""
        ops = tuple(self._at_host(self._command()) for _ in range(count))
        return Op("burst", ops=ops, pause=self._dice.uniform(0.0, 0.1))

    def _some(self) -> Op:
        chance = self._dice.random()
        if chance < 0.1:
            op = self._map()
        elif chance < 0.14:
            op = Op("map", ops=tuple(self._command() for _ in range(self._dice.randint(20, 60))))
        elif chance < 0.17:
            op = self._at_host(Op("where", (f"c{self._seed}:where",)))
        else:
            op = self._at_host(self._command())
        return op

    def _at_host(self, op: Op) -> Op:
        """Name the host; memcached has its commands of many keys for clusters only."""
        if self._host is None or (op.name in ("mget", "mset") and self._engine == "memcache"):
            return op
        return dataclasses.replace(op, host=self._host)

    def _any_key(self) -> str:
        number = self._thread
        if self._dice.random() < 0.4:
            number = _FIRST + self._dice.randrange(self._crowd)
        return self._mine(number) if self._dice.random() < 0.75 else f"c{self._seed}:text:{number % 4}"


def _each(schedule: Schedule, change: Callable[[Op], Op]) -> tuple[tuple[Op, ...], ...]:
    """The calls of all tasks, those of a crowd changed, also where they are part of a burst."""

    def changed(op: Op) -> Op:
        if op.name == "burst":
            return dataclasses.replace(op, ops=tuple(map(change, op.ops)))
        return change(op)

    return tuple(
        tuple(map(changed, ops)) if number >= len(schedule.threads) - schedule.crowd else ops
        for number, ops in enumerate(schedule.threads)
    )


def _large_values(schedule: Schedule, dice: random.Random) -> Schedule:
    """Some values of the crowd have up to 900,000 bytes, so their requests and replies are large ones among small ones."""
    left = 4_000_000

    def sized(op: Op) -> Op:
        nonlocal left
        (size,) = dice.choices(list(_SIZES), list(_SIZES.values()))
        if op.name not in ("set", "renew") or dice.random() < 0.8 or size > left:
            return op
        left -= size
        return dataclasses.replace(op, size=size)

    def change(op: Op) -> Op:
        if op.name in ("map", "pipeline"):
            return dataclasses.replace(op, ops=tuple(map(sized, op.ops)))
        return sized(op)

    return dataclasses.replace(schedule, threads=_each(schedule, change))


def _cancellations(schedule: Schedule, dice: random.Random) -> Schedule:
    """Cancel calls of the crowd while they are queued, when they are written, while their replies come; often many at once."""
    share = dice.choice((0.2, 0.4, 0.7))
    together = Cancel(dice.choice(("task", "timeout")), dice.choice((0.0, 0.002, 0.01, 0.05)))

    def change(op: Op) -> Op:
        if dice.random() >= share:
            return op
        chance = dice.random()
        if chance < 0.2:
            return dataclasses.replace(op, deadline=dice.choice((0.0005, 0.002, 0.01, 0.05)))
        if chance < 0.6:
            cancel = Cancel(dice.choice(("task", "twice")), turns=dice.randrange(6))
        else:
            cancel = together if chance < 0.75 else some_cancel(dice)
        return dataclasses.replace(op, cancel=cancel)

    # Where a plugin listens, the outcome of each cancelled command is known
    return dataclasses.replace(schedule, threads=_each(schedule, change), listens=dice.random() < 0.7)


def _slow_links(schedule: Schedule, dice: random.Random) -> Schedule:
    """Links that pass a few bytes at a time, and a loop that is busy with something else and does not read."""
    kinds = ("throttle", "throttle", "trickle", "delay", "busy")
    return _with_faults(schedule, dice, [dice.choice(kinds) for _ in range(dice.randint(2, 4))])


def _lost_connections(schedule: Schedule, dice: random.Random) -> Schedule:
    """Connections that end, and servers that are gone or stopped, while many commands are under way."""
    kinds = ["cut_requests", "cut_replies", "cut_large", "cut_large", "drop", "stop", "garble"]
    kinds += ["client_kill", "client_kill", "kill"] if schedule.engine == "redis" else []
    kinds += ["reset"] if schedule.tcp else []
    return _with_faults(schedule, dice, [dice.choice(kinds) for _ in range(dice.randint(3, 6))])


def _with_faults(schedule: Schedule, dice: random.Random, kinds: list[str]) -> Schedule:
    """Add faults of these kinds, while the crowd calls, mostly to the host that it calls."""
    faults = [
        Fault(
            kind,
            schedule.focus if dice.random() < 0.8 else dice.randrange(schedule.hosts),
            start=dice.uniform(0.0, 0.15),
            seconds=dice.choice((0.03, 0.1, 0.2)) * dice.uniform(0.5, 1.0),
            amount=dice.random(),
            times=dice.randint(1, 2),
        )
        for kind in kinds
    ]
    ordered = sorted((*schedule.faults, *faults), key=lambda fault: fault.start)
    return dataclasses.replace(schedule, faults=tuple(ordered))


#: By name, the features for many tasks. All but the first add to a crowd.
CROWDS: dict[str, Callable[[Schedule, random.Random], Schedule]] = {
    "crowd": _crowd,
    "large values": _large_values,
    "cancellations": _cancellations,
    "slow links": _slow_links,
    "lost connections": _lost_connections,
}
