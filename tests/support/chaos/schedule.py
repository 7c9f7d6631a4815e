"""Schedules: which commands several callers call, and which faults strike meanwhile. Pure: same seed, same schedule.

The callers are threads, or tasks of an event loop, some of whose calls are cancelled. How they interleave is not part of
it, so a run with the same seed is alike, not equal.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = [
    "CANCELS",
    "FAULTS",
    "SIDES",
    "Cancel",
    "Change",
    "Fault",
    "Maker",
    "Op",
    "Schedule",
    "Signal",
    "basic_schedule",
    "some_cancel",
]


@dataclass(frozen=True)
class Cancel:
    """How a call is cancelled on its way.

    Attributes:
        kind: One of ``CANCELS``.
        seconds: When, after its beginning.
        turns: Or how many turns of the loop after its beginning.
    """

    kind: str
    seconds: float = 0.0
    turns: int | None = None


@dataclass(frozen=True)
class Op:
    """One call. Names are the same for both engines; ``calls`` says what they are there.

    Attributes:
        name: The call; ``map``, ``pipeline`` and ``burst`` have further ones in ``ops``.
        keys: Its keys.
        tokens: For a write, what it leaves at each of its keys: no other write in the schedule leaves the same.
        host: The number of the host, for a call by ``cluster.on(host)``.
        ops: The calls in a ``map`` or a ``pipeline``, or those at the same moment, each by a task of its own, in a ``burst``.
        transaction: Whether that is one.
        deadline: Seconds for a ``cluster.deadline`` block around it; None for no block.
        pause: Seconds that its caller waits before.
        cancel: How it is cancelled; None if it is not.
        wait: Seconds that a command asks the server to wait, at most.
        size: About how many bytes of a written value there are besides, which name its token, too.
    """

    name: str
    keys: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    host: int | None = None
    ops: tuple[Op, ...] = ()
    transaction: bool = False
    deadline: float | None = None
    pause: float = 0.0
    cancel: Cancel | None = None
    wait: float = 0.0
    size: int = 0


@dataclass(frozen=True)
class Change:
    """A change of the hosts while calls run.

    Attributes:
        kind: ``add``, ``remove``, ``replace`` (by another server, of the same name) or ``weight``.
        host: The number of the host.
        start: Seconds from the beginning.
        weight: The weight that it gets.
        server: The number of its server.
    """

    kind: str
    host: int
    start: float
    weight: int = 1
    server: int = 0


@dataclass(frozen=True)
class Signal:
    """A signal to the main thread, which calls.

    Attributes:
        kind: ``call``, whose handler calls the same cluster, or ``interrupt``, as Ctrl-C.
        start: Seconds from the beginning.
    """

    kind: str
    start: float


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one host.

    Attributes:
        kind: One of ``FAULTS``, or of those that a feature adds: see ``runs.actions``.
        host: The number of the host.
        start: Seconds from the beginning.
        seconds: How long it lasts, where it lasts.
        amount: What the kind needs: bytes, seconds, a choice; 0 to 1, scaled by the runner.
        times: How often it strikes, where it is counted.
    """

    kind: str
    host: int
    start: float
    seconds: float
    amount: float
    times: int


@dataclass(frozen=True)
class Schedule:
    """All of it. ``str()`` is for a human who looks for the reason of a violation.

    Attributes:
        repeat: The setting ``retry.repeat``.
        deadline: The setting ``deadline``.
        timeout: The option of each host.
        most: The most connections to a host; None for no limit.
        protocol: Of Redis, 2 or 3.
        tcp: Whether hosts are reached over TCP.
        readmit: The setting ``on_readmit``.
        failures: The setting ``health.failures``.
        threads: What each thread calls, or each task.
        side: One of ``SIDES``.
        listens: Whether a plugin is told how each call ended.
        debug: Whether the event loop is in debug mode.
        threaded: Whether the blocking engine does the commands, in worker threads.
        features: What it has besides: see ``features``.
        servers: How many servers there are; as many as hosts, or more, which changes bring in.
        changes: Changes of the hosts.
        signals: Signals to the first caller, which is the main thread then.
        handler: What the handlers of signals call, one after the other.
        idle: How many connections to each host are opened before the calls begin.
        tls: Whether hosts are reached over TLS.
        crowd: How many tasks at the end of ``threads`` belong to a crowd: see ``crowds``.
        focus: The number of the host that most of a crowd calls.
    """

    seed: int
    engine: str
    router: str
    hosts: int
    repeat: str
    attempts: int
    deadline: float | None
    timeout: float
    most: int | None
    protocol: int
    tcp: bool
    readmit: str
    failures: int
    faults: tuple[Fault, ...]
    threads: tuple[tuple[Op, ...], ...]
    side: str = "blocking"
    listens: bool = False
    debug: bool = False
    threaded: bool = False
    features: frozenset[str] = frozenset()
    servers: int = 0
    changes: tuple[Change, ...] = ()
    signals: tuple[Signal, ...] = ()
    handler: tuple[Op, ...] = ()
    idle: int = 0
    tls: bool = False
    crowd: int = 0
    focus: int = 0

    @property
    def reroutes(self) -> bool:
        """Whether a command may end up on another host than that of its key."""
        return self.router == "round-robin" or self.router.endswith("+reroute")

    @property
    def name(self) -> str:
        """The settings in a few words."""
        words = [
            self.side,
            self.engine,
            self.router,
            f"{self.hosts} hosts",
            f"repeat {self.repeat}",
            f"timeout {self.timeout:g}",
        ]
        words += [f"deadline {self.deadline:g}"] if self.deadline else []
        words += [f"at most {self.most} connections"] if self.most else []
        words += ["tcp" if self.tcp else "unix"]
        words += [f"RESP{self.protocol}"] if self.engine == "redis" else []
        words += ["flush on readmit"] if self.readmit == "flush" else []
        words += ["with a listener"] if self.listens else []
        words += ["threaded"] if self.threaded else []
        words += sorted(self.features)
        return ", ".join(words)

    def __str__(self) -> str:
        faults = "".join(
            f"\n  {fault.start:.3f} s, for {fault.seconds:.3f} s: {fault.kind} of host {fault.host}"
            f" (amount {fault.amount:.2f}, {fault.times} times)"
            for fault in self.faults
        )
        changes = "".join(
            f"\n  {change.start:.3f} s: {change.kind} host {change.host} (server {change.server}, weight {change.weight})"
            for change in self.changes
        )
        calls = sum(len(ops) for ops in self.threads)
        callers = "threads" if self.side == "blocking" else "tasks"
        return f"seed {self.seed}: {self.name}; {len(self.threads)} {callers}, {calls} calls{faults}{changes}"


#: Who calls: threads a ``Cluster``, or tasks of one event loop an ``AsyncCluster``.
SIDES = ("blocking", "asyncio")
#: What cancels a call: its task is cancelled, or twice; a timeout is over, or a sibling in its group of tasks fails.
CANCELS = ("task", "twice", "timeout", "group")
#: All faults. Some need TCP.
FAULTS = (
    "refuse",
    "blackhole",
    "hang_connects",
    "delay",
    "cut_requests",
    "cut_replies",
    "swallow",
    "reset",
    "drop",
    "trickle",
    "garble",
    "stop",
    "kill",
)
_NEED_TCP = ("hang_connects", "reset")
#: Replies come after their caller has given up: the hardest for who uses connections again, so more of it.
_LATE = ("delay", "stop", "blackhole")
ROUTERS = ("partition", "partition+reroute", "consistent+reroute", "consistent", "round-robin", "none")


def basic_schedule(seed: int, side: str = "blocking") -> Schedule:
    """Make the schedule of a seed, without features. That of the asyncio side has more callers, and cancels some of their calls."""
    dice = random.Random(f"chaos {seed}")
    engine = ("redis", "memcache")[seed % 2]  # so that any range of seeds has both
    hosts = dice.choice((2, 3, 3))
    router = dice.choice(ROUTERS)
    tcp = dice.random() < 0.6
    # A memcached that was flushed, or killed, tells less
    readmit = "flush" if engine == "redis" and router.endswith("+reroute") and dice.random() < 0.3 else "keep"
    faults = [_fault(dice, hosts, tcp, engine) for _ in range(dice.randint(3, 7))]
    maker = Maker(dice, seed, engine, router, hosts)
    count = dice.randint(2, 4)
    schedule = Schedule(
        seed=seed,
        engine=engine,
        router=router,
        hosts=hosts,
        repeat=dice.choice(("reads", "reads", "reads", "idempotent", "all")),
        attempts=dice.choice((1, 2, 2, 3)),
        deadline=dice.choice((None, None, None, 0.1, 0.25)),
        timeout=dice.choice((0.03, 0.06, 0.12)),
        most=dice.choice((None, None, 1, 2, 4)),
        protocol=dice.choice((2, 3)),
        tcp=tcp,
        readmit=readmit,
        failures=dice.choice((3, 10)),
        faults=tuple(sorted(faults, key=lambda fault: fault.start)),
        threads=tuple(tuple(maker.thread(number)) for number in range(count)),
    )
    return _with_tasks(schedule) if side == "asyncio" else schedule


def _with_tasks(schedule: Schedule) -> Schedule:
    """Have tasks make the calls of the threads, some of the maps as pipelines, and more tasks further ones; cancel some."""
    dice = random.Random(f"chaos asyncio {schedule.seed}")
    maker = Maker(dice, schedule.seed, schedule.engine, schedule.router, schedule.hosts)
    first = len(schedule.threads)
    more = [tuple(maker.thread(first + number)) for number in range(dice.choice((0, 2, 4, 8)))]
    share = dice.choice((0.15, 0.3, 0.6))

    def changed(op: Op) -> Op:
        if op.name == "map" and schedule.engine == "redis" and dice.random() < 0.4:
            host = dice.choice((None, dice.randrange(schedule.hosts)))
            ops = tuple(dataclasses.replace(each, host=host) for each in op.ops)
            op = dataclasses.replace(op, name="pipeline", ops=ops, host=host)
        return dataclasses.replace(op, cancel=some_cancel(dice)) if dice.random() < share else op

    return dataclasses.replace(
        schedule,
        threads=tuple(tuple(map(changed, ops)) for ops in (*schedule.threads, *more)),
        side="asyncio",
        listens=dice.random() < 0.5,
        debug=dice.random() < 0.2,
        threaded=schedule.engine == "memcache" and dice.random() < 0.5,
    )


def some_cancel(dice: random.Random) -> Cancel:
    """Between two turns of the loop, about when an answer comes, or while it waits in vain."""
    kind = dice.choice(CANCELS)
    if dice.random() < 0.4:
        return Cancel(kind, turns=int(dice.expovariate(1 / 12)))
    return Cancel(kind, dice.choice((dice.expovariate(1000), dice.expovariate(150), dice.uniform(0, 0.15))))


def _fault(dice: random.Random, hosts: int, tcp: bool, engine: str) -> Fault:
    kinds = [kind for kind in FAULTS if tcp or kind not in _NEED_TCP]
    if engine == "memcache":  # it forgets, and then few counts can be told
        kinds = [kind for kind in kinds if kind != "kill" or dice.random() < 0.3]
    return Fault(
        kind=dice.choice([*kinds, *_LATE, *_LATE]),
        host=dice.randrange(hosts),
        start=dice.uniform(0.02, 0.4),
        seconds=dice.choice((0.03, 0.1, 0.2, 0.4)) * dice.uniform(0.5, 1.0),
        amount=dice.random(),
        times=dice.randint(1, 4),
    )


class Maker:
    """Makes the calls of threads. Keys and tokens are used by one write only, so that each can be counted."""

    def __init__(self, dice: random.Random, seed: int, engine: str, router: str, hosts: int) -> None:
        self._dice = dice
        self._seed = seed
        self._engine = engine
        self._router = router
        self._hosts = hosts
        self._count = 0
        self._thread = 0
        self._makers: list[tuple[int, Callable[[], Op]]] = [
            (4, lambda: self._own("incr")),
            (3, lambda: self._shared("append", "text")),
            (3, lambda: self._shared("push", "list")),
            (2, lambda: self._own("set")),
            (3, self._renew),
            (5, self._read),
            (2, lambda: self._own("mset", dice.randint(2, 5))),
            (3, self._mget),
            (1, self._refused),
        ]

    def thread(self, number: int, count: int = 0) -> Iterator[Op]:
        """Make all calls of a thread, ``count`` or some."""
        self._thread = number
        for _ in range(count or self._dice.randint(25, 45)):
            yield dataclasses.replace(
                self._call(),
                pause=min(0.08, self._dice.expovariate(90)),
                deadline=self._dice.choice((0.03, 0.1, 0.3)) if self._dice.random() < 0.12 else None,
            )

    def _call(self) -> Op:
        chance = self._dice.random()
        if chance < 0.25:
            return self._map()
        if chance < 0.31:
            return Op("everyone")
        if chance < 0.35:
            return Op("where", (f"c{self._seed}:where",))
        op = self._command()
        if chance < 0.45 and op.name not in ("mget", "mset"):
            return dataclasses.replace(op, host=self._dice.randrange(self._hosts))
        return op

    def _map(self) -> Op:
        transaction = self._engine == "redis" and self._dice.random() < 0.25
        ops = [self._command() for _ in range(self._dice.randint(1, 6))]
        if self._dice.random() < 0.5:  # several to one key, whose order can be seen
            name, kind = self._dice.choice((("append", "text"), ("push", "list")))
            first = self._shared(name, kind)
            more = [self._shared(name, kind) for _ in range(self._dice.randint(1, 4))]
            ops += [first, *(dataclasses.replace(op, keys=first.keys) for op in more)]
        return Op("map", ops=tuple(ops), transaction=transaction)

    def _command(self) -> Op:
        weights, makers = zip(*self._makers, strict=True)
        made: Op = self._dice.choices(makers, weights)[0]()
        return made

    def _token(self) -> str:
        self._count += 1
        return f"<{self._thread}.{self._count}>"

    def _own(self, name: str, count: int = 1) -> Op:
        tokens = [self._token() for _ in range(count)]
        return Op(name, tuple(f"c{self._seed}:own:{token}" for token in tokens), tuple(tokens))

    def _shared(self, name: str, kind: str) -> Op:
        return Op(name, (f"c{self._seed}:{kind}:{self._dice.randrange(4)}",), (self._token(),))

    def _mine(self, thread: int) -> str:
        return f"c{self._seed}:mine:{thread}.{self._dice.randrange(3)}"

    def _renew(self) -> Op:
        return Op("renew", (self._mine(self._thread),), (self._token(),))

    def _any_key(self) -> str:
        chance = self._dice.random()
        if chance < 0.5:
            return self._mine(self._thread)
        if chance < 0.75:
            return self._mine(self._dice.randrange(4))
        return f"c{self._seed}:text:{self._dice.randrange(4)}"

    def _read(self) -> Op:
        return Op("get", (self._any_key(),))

    def _mget(self) -> Op:
        keys = dict.fromkeys(self._any_key() for _ in range(self._dice.randint(2, 6)))
        return Op("mget", tuple(keys))

    def _refused(self) -> Op:
        return Op("refused", (f"c{self._seed}:wrong:{self._dice.randrange(2)}",), (self._token(),))
