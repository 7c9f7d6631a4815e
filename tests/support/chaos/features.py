"""The features of schedules: crowds, dead pools, small deadlines, signals, changes of the hosts, TLS, commands that wait, pipelines.

Pure, as ``schedule``. A feature adds to a basic schedule, or changes a part of it; several may be together.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator

from chaos.crowds import CROWDS
from chaos.schedule import Cancel, Change, Fault, Maker, Op, Schedule, Signal, basic_schedule, some_cancel

__all__ = ["FEATURES", "fits", "make_schedule"]

#: All features. A basic schedule has none of them.
FEATURES = (
    "crowd",
    "large values",
    "cancellations",
    "tls",
    "dead pools",
    "small deadlines",
    "membership",
    "blocking commands",
    "one host",
    "signals",
    "slow links",
    "lost connections",
)
#: Numbers of callers that features add.
_HANDLER, _WAITERS, _PIPERS = 50, 60, 70


def make_schedule(seed: int, side: str = "blocking", features: Iterable[str] | None = None) -> Schedule:
    """Make the schedule of a seed.

    Parameters:
        seed: The seed.
        side: Who calls.
        features: The features, as far as they fit; None for those of the seed, which may be none.
    """
    schedule = basic_schedule(seed, side)
    dice = random.Random(f"chaos features {seed} {side}")
    if features is None:
        fitting = [name for name in FEATURES if fits(name, schedule)]
        features = dice.sample(fitting, dice.choice((0, 1, 1, 1, 2, 3)))
    wanted = frozenset(name for name in features if fits(name, schedule))
    if not wanted.isdisjoint(CROWDS):
        wanted |= {"crowd"}
    schedule = dataclasses.replace(schedule, features=wanted, servers=schedule.hosts)
    for name in FEATURES:
        if name in wanted:
            schedule = _ADD[name](schedule, random.Random(f"chaos {name} {seed} {side}"))
    return schedule


def fits(feature: str, schedule: Schedule) -> bool:
    """Tell whether a schedule can have a feature.

    Memcached knows no pipelines, signals strike threads, and tasks of a loop share connections.
    """
    if feature in CROWDS:
        return schedule.side == "asyncio"
    if feature in ("blocking commands", "one host"):
        return schedule.engine == "redis"
    return feature != "signals" or schedule.side == "blocking"


def _tls(schedule: Schedule, dice: random.Random) -> Schedule:
    return dataclasses.replace(schedule, tls=True, tcp=True, timeout=dice.choice((0.15, 0.3)))


def _dead_pools(schedule: Schedule, dice: random.Random) -> Schedule:
    forgotten = [
        Fault("forget", dice.randrange(schedule.hosts), dice.uniform(0.03, 0.4), 0.0, 0.0, 1)
        for _ in range(dice.randint(1, 4))
    ]
    faults = [*forgotten, *schedule.faults[: dice.randint(0, 2)]]
    return dataclasses.replace(
        schedule,
        faults=tuple(sorted(faults, key=lambda fault: fault.start)),
        idle=dice.choice((4, 8, 16)),
        most=dice.choice((None, None, 20)),
    )


def _small_deadlines(schedule: Schedule, dice: random.Random) -> Schedule:
    def hurried(op: Op) -> Op:
        chance = dice.random()
        seconds = dice.uniform(0.001, 0.01) if chance < 0.35 else dice.uniform(0.01, 0.05)
        return dataclasses.replace(op, deadline=seconds) if chance < 0.8 else op

    return dataclasses.replace(
        schedule,
        threads=tuple(tuple(map(hurried, ops)) for ops in schedule.threads),
        deadline=dice.choice((schedule.deadline, 0.02, 0.05)),
    )


def _membership(schedule: Schedule, dice: random.Random) -> Schedule:
    """Add, remove and replace hosts, at least two of which are left: a cluster of one host answers plainly."""
    weighted = schedule.router not in ("none", "round-robin") and dice.random() < 0.7
    router, _, reroute = schedule.router.partition("+")
    if weighted:
        router = dice.choice(("consistent", "rendezvous", "redis-slots"))
    servers = schedule.hosts + dice.choice((1, 2))
    changes = _changes(dice, schedule.hosts, servers, weighted=weighted)
    return dataclasses.replace(
        schedule, router="+".join(filter(None, (router, reroute))), servers=servers, changes=tuple(changes)
    )


def _changes(dice: random.Random, hosts: int, servers: int, *, weighted: bool) -> Iterator[Change]:
    at = {number: number for number in range(hosts)}  # the server of each host
    for start in sorted(dice.uniform(0.02, 0.45) for _ in range(dice.randint(3, 10))):
        weight = dice.choice((1, 2, 3)) if weighted else 1
        free = sorted(set(range(servers)) - set(at.values()))
        gone = sorted(set(range(servers)) - set(at))
        kinds = ["weight"] * weighted + ["add"] * bool(free and gone) * 2
        kinds += ["remove", "replace"][: 1 + bool(free)] * (len(at) > 2)
        if not kinds:
            continue
        kind = dice.choice(kinds)
        host = dice.choice(gone if kind == "add" else sorted(at))
        server = dice.choice(free) if kind in ("add", "replace") else at[host]
        if kind == "remove":
            del at[host]
        else:
            at[host] = server
        yield Change(kind, host, start, weight, server)


def _signals(schedule: Schedule, dice: random.Random) -> Schedule:
    kinds = dice.choice((("call",), ("call",), ("interrupt",), ("call", "call", "interrupt")))
    times = sorted(dice.uniform(0.01, 0.5) for _ in range(dice.randint(30, 90)))
    return dataclasses.replace(
        schedule,
        signals=tuple(Signal(dice.choice(kinds), start) for start in times),
        handler=tuple(_made(schedule, dice, _HANDLER, 40)),
        deadline=dice.choice((schedule.deadline, 0.25, 0.25)),
    )


def _made(schedule: Schedule, dice: random.Random, number: int, count: int) -> Iterator[Op]:
    maker = Maker(dice, schedule.seed, schedule.engine, schedule.router, schedule.hosts)
    for op in maker.thread(number, count):
        yield dataclasses.replace(op, pause=0.0, deadline=None)


def _cancelled(schedule: Schedule, dice: random.Random) -> Cancel | None:
    return some_cancel(dice) if schedule.side == "asyncio" and dice.random() < 0.25 else None


def _blocking_commands(schedule: Schedule, dice: random.Random) -> Schedule:
    """More callers: some feed queues and streams, some wait for them."""
    more = []
    for number in range(_WAITERS, _WAITERS + dice.choice((2, 4))):
        maker = _Waiting(schedule, dice, number, feeds=number % 2 == 0)
        more.append(tuple(maker.call() for _ in range(dice.randint(15, 25))))
    return dataclasses.replace(schedule, threads=(*schedule.threads, *more))


class _Maker:
    """Makes calls of one caller, each with a token of its own."""

    def __init__(self, schedule: Schedule, dice: random.Random, number: int) -> None:
        self._schedule, self._dice, self._number = schedule, dice, number
        self._count = 0

    def _token(self) -> str:
        self._count += 1
        return f"<{self._number}.{self._count}>"

    def _key(self, kind: str, name: object) -> str:
        return f"c{self._schedule.seed}:{kind}:{name}"

    def _finished(self, op: Op) -> Op:
        dice = self._dice
        return dataclasses.replace(
            op,
            pause=min(0.05, dice.expovariate(90)),
            deadline=dice.choice((0.03, 0.1)) if dice.random() < 0.1 else None,
            cancel=_cancelled(self._schedule, dice),
        )


class _Waiting(_Maker):
    """Makes commands that wait, and the ones that they wait for."""

    def __init__(self, schedule: Schedule, dice: random.Random, number: int, *, feeds: bool) -> None:
        super().__init__(schedule, dice, number)
        self._feeds = feeds

    def call(self) -> Op:
        dice = self._dice
        kind = dice.choice(("queue", "queue", "line", "line", "stream"))
        host = dice.randrange(self._schedule.hosts) if kind == "line" or self._on_host else None
        key = self._key(kind, dice.randrange(2) if host is None else f"on{host}")
        if self._feeds == (dice.random() < 0.85):
            name = "enter" if kind == "stream" else "feed"
            return self._finished(Op(name, (key,), (self._token(),), host=host))
        wait = dice.choice((0.01, 0.03, 0.1))
        if kind == "line" and dice.random() < 0.6:
            token = self._token()
            name = dice.choice(("move", "rotate"))
            op = Op(name, (self._key("own", token), key), (token,), host=host, wait=wait)
        else:
            op = Op("follow" if kind == "stream" else "pop", (key,), host=host, wait=wait)
        return self._finished(op)

    @property
    def _on_host(self) -> bool:
        """Without a router a command goes to all hosts, and waits for all."""
        return self._schedule.router == "none"


def _one_host(schedule: Schedule, dice: random.Random) -> Schedule:
    """More callers, with pipelines and transactions of one host."""
    more = []
    for number in range(_PIPERS, _PIPERS + 2):
        maker = _Piping(schedule, dice, number)
        more.append(tuple(maker.call() for _ in range(dice.randint(15, 25))))
    return dataclasses.replace(schedule, threads=(*schedule.threads, *more))


class _Piping(_Maker):
    """Makes pipelines of one host, with and without watched keys."""

    def call(self) -> Op:
        dice, hosts = self._dice, self._schedule.hosts
        chance = dice.random()
        host: int | None = dice.randrange(hosts)
        if chance < 0.4:
            ops = tuple(self._command(host) for _ in range(dice.randint(1, 5)))
            made = Op("pipeline", host=host, ops=ops, transaction=dice.random() < 0.5)
        else:
            keyed = self._schedule.router not in ("none", "round-robin")
            name = "transact" if keyed and chance < 0.7 else "watched"
            # Of a key, where it lives: all that it writes has one key
            host = None if name == "transact" else host
            key = self._key("text", f"watch{dice.randrange(2)}")
            ops = tuple(Op("append", (key,), (self._token(),), host=host) for _ in range(2))
            if name == "watched":
                ops = (*ops, self._command(host))
            made = Op(name, (key,), host=host, ops=ops, transaction=True)
        return dataclasses.replace(self._finished(made), deadline=None)  # they know no deadlines

    def _command(self, host: int | None) -> Op:
        name = self._dice.choice(("incr", "set", "append", "get"))
        token = self._token()
        if name in ("append", "get"):
            key = self._key("text", self._dice.randrange(4))
            return Op(name, (key,), (token,) if name == "append" else (), host=host)
        return Op(name, (self._key("own", token),), (token,), host=host)


_ADD: dict[str, Callable[[Schedule, random.Random], Schedule]] = {
    "tls": _tls,
    "dead pools": _dead_pools,
    "small deadlines": _small_deadlines,
    "membership": _membership,
    "blocking commands": _blocking_commands,
    "one host": _one_host,
    "signals": _signals,
    **CROWDS,
}
