"""What runs of both sides have in common: callers that call, faults that strike, and afterwards the look at what is left.

Afterwards all faults are healed. Then commands must work again on every host, no connection may be in use, and, once the
cluster is closed, no file and no thread may be left, and the servers must have no connection of ours.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import re
import shlex
import ssl
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any, TypeVar

from chaos.calls import normal
from chaos.fronts import TlsFronts, can_speak_tls, certificate
from chaos.judge import judge
from chaos.members import Members
from chaos.record import Record, Rules, Truth, Violation
from chaos.schedule import Fault, Op, Schedule
from chaos.servers import Fleet, Preset
from nydus_core.command import Outcome, outcome_of
from nydus_core.errors import NotResolved
from nydus_core.testing import FaultProxy

__all__ = [
    "CLOSED",
    "NO_DEADLINE",
    "SLACK",
    "WATCHDOG",
    "Actions",
    "Entry",
    "Found",
    "Result",
    "Run",
    "actions",
    "stack_of",
    "until",
]

T = TypeVar("T")

#: Seconds that a call may take beyond its deadline: a slow machine with one thread too many.
SLACK = 1.5
#: Seconds that a call without a deadline may take: each wait has its own limit, and there are several.
NO_DEADLINE = 10.0
#: How many calls of a kind there may be afterwards.
_AFTERWARDS = 80
#: How many calls there may be until a host with dead connections is well again.
_TRIES = 1000
#: How many calls may wait for their timeout in vain until then.
DEAD = 3
#: Calls that no deadline ends: they are redis-py's.
_WITHOUT_DEADLINES = ("watched", "transact")
#: Seconds until no connection may be in use any more.
AT_REST = 5.0
#: Seconds until the servers have no connection of ours any more.
CLOSED = 8.0
#: Seconds until all callers have to be done.
WATCHDOG = 40.0


@dataclass
class Result:
    """What came of a schedule."""

    schedule: Schedule
    records: list[Record] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    applied: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    #: Why it was not run: the engine has no such side.
    skipped: str = ""
    #: The longest that the event loop has not come round.
    longest_turn: float = 0.0
    #: What the judge was given; not for other processes.
    evidence: tuple[list[Record], Truth, Rules] | None = None

    def __str__(self) -> str:
        found = "".join(f"\n{violation}" for violation in self.violations[:8])
        found += "\n…" if len(self.violations) > 8 else ""
        return (
            f"{self.schedule}\n{len(self.violations)} violations:{found}\n"
            f"again: make chaos SEED={self.schedule.seed} SCHEDULES=1 SIDE={self.schedule.side}"
            f" FEATURES={shlex.quote(','.join(sorted(self.schedule.features)) or 'none')}"
        )


#: The outcomes of the commands of a call, each with its value and its error. None is no outcome.
Found = list[tuple[Op, Outcome | None, Any, BaseException | None]]


@dataclass
class Entry:
    """What a call of a schedule came to, until it is booked as records."""

    found: Found = field(default_factory=list)
    cancelled: str = ""
    #: Seconds from its beginning to the cancellation.
    until: float | None = None
    #: What a transaction has seen at its key before it wrote.
    seen: str | None = None


class Run:
    """A run of a schedule. A subclass calls.

    Parameters:
        schedule: The schedule.
        fleet: Where the servers are taken from.
        result: Filled with what it came to.
    """

    #: That of the cluster.
    _cluster: Any

    def __init__(self, schedule: Schedule, fleet: Fleet, result: Result) -> None:
        self._schedule = schedule
        self._fleet = fleet
        self._result = result
        #: What stands for each server in effects. At first, the names of the hosts, too: see ``members``.
        self._hosts = [f"h{number}" for number in range(schedule.servers)]
        self._servers = fleet.take(schedule.engine, schedule.servers)
        router = schedule.router.partition("+")[0]
        keyed = router not in ("none", "round-robin")
        self._members = Members(self._hosts, schedule.hosts, self._host, router if keyed else "")
        self._calls = itertools.count(1)
        self._tokens_afterwards = iter(range(_TRIES))
        self._struck: list[tuple[float, float, str]] = []

    # What a side does -----------------------------------------------------------------------------------------------

    def _open(self, stack: ExitStack, settings: dict[str, Any]) -> None:
        """Make the cluster."""
        raise NotImplementedError

    def _begin_calls(self) -> None:
        """Let all callers begin."""
        raise NotImplementedError

    def _hanging(self, until: float) -> list[str]:
        """Wait for the callers; return what tells of those that are not done by then."""
        raise NotImplementedError

    def _do(self, thread: int, op: Op) -> list[Record]:
        """Do one call."""
        raise NotImplementedError

    def _look(self, look: Callable[[], T]) -> T:
        """Call something where pools can be looked at."""
        raise NotImplementedError

    def _close(self) -> None:
        """Close the cluster."""
        raise NotImplementedError

    # All of it ------------------------------------------------------------------------------------------------------

    def all(self) -> None:
        """Run it and judge it."""
        if self._schedule.tls and not can_speak_tls():
            self._result.skipped = "there is no openssl on PATH, which makes the certificate"
            return
        for server, host in zip(self._servers, self._hosts, strict=True):
            server.prepare(_preset(self._schedule, host))
        self._connections = [server.connections() for server in self._servers]
        files, threads = _files(), _threads()
        with ExitStack() as stack:
            self._proxies = self._fronts(stack)
            self._open(stack, self._settings())
            if self._result.skipped:
                return
            self._members.begin(self._cluster)
            self._start = time.monotonic()
            self._fill_pools()
            if not self._traffic():
                return
            self._heal()
            self._works_again()
            self._recovers_from_dead_pools()
            self._nothing_in_use()
            self._nothing_of_removed_hosts()
            self._close()
            self._quiet()
            truth = self._fleet.truth(self._servers, self._hosts, self._tokens())
        self._nothing_left(files, threads)
        self._result.applied = {token: len(effects) for token, effects in truth.applied.items()}
        self._result.evidence = (self._result.records, truth, self._rules())
        self._result.violations += judge(*self._result.evidence)

    def _fail(self, kind: str, text: str) -> None:
        self._result.violations.append(Violation(kind, text))

    def _fronts(self, stack: ExitStack) -> list[FaultProxy]:
        """Put a proxy in front of each server; with TLS, in front of what speaks it there."""
        targets: list[Any] = [server.path for server in self._servers]
        if self._schedule.tls:
            fronts = stack.enter_context(TlsFronts(targets))
            targets = [("127.0.0.1", port) for port in fronts.ports]
        return [stack.enter_context(FaultProxy(target, tcp=self._schedule.tcp)) for target in targets]

    # The cluster --------------------------------------------------------------------------------------------------

    def _settings(self) -> dict[str, Any]:
        schedule = self._schedule
        router, _, reroute = schedule.router.partition("+")
        most = {"redis": "max_connections", "memcache": "max_pool_size"}[schedule.engine]
        defaults: dict[str, Any] = {"timeout": schedule.timeout, most: schedule.most}
        if schedule.engine == "redis":
            defaults["protocol"] = schedule.protocol
        if schedule.tls:
            defaults |= _tls_options(schedule.engine)
        settings: dict[str, Any] = {
            "engine": schedule.engine,
            "hosts": self._members.hosts(),
            "defaults": defaults,
            "retry": {
                "attempts": schedule.attempts,
                "backoff": 0.005,
                "most": 0.05,
                "repeat": schedule.repeat,
            },
            "health": {"failures": schedule.failures, "backoff": 0.03, "most": 0.2, "window": 1.0},
            "on_readmit": schedule.readmit,
        }
        if schedule.deadline:
            settings["deadline"] = schedule.deadline
        if router != "none":
            settings["router"] = router
        if router not in ("none", "round-robin"):
            settings["on_host_down"] = reroute or "raise"
        return settings

    def _host(self, name: str, server: int) -> dict[str, Any]:
        proxy = self._proxies[server]
        address = (
            {"host": proxy.host, "port": proxy.port}
            if self._schedule.tcp
            else {"unix_socket_path": proxy.path}
        )
        return {**address, "identifier": f"chaos://{name}"}  # so that keys live where they did the last time

    def _rules(self) -> Rules:
        schedule = self._schedule
        return Rules(
            self._hosts,
            everywhere=schedule.router == "none",
            reroutes=schedule.reroutes,
            repeat=schedule.repeat,
            most=schedule.attempts,
            epochs=self._members.epochs,
        )

    # Traffic ------------------------------------------------------------------------------------------------------

    def _traffic(self) -> bool:
        """Let all call while faults strike; False if one of them hangs."""
        self._start_of_faults = time.monotonic()
        self._begin_calls()
        self._strike_all()
        hanging = self._hanging(time.monotonic() + WATCHDOG)
        for text in hanging:
            self._fail("hang", text)
        return not hanging

    def _strike_all(self) -> None:
        """Do what the schedule says, each at its time."""
        for at, _, strike in sorted(self._strikes(), key=lambda strike: strike[:2]):
            time.sleep(max(0.0, self._start_of_faults + at - time.monotonic()))
            strike()

    @contextmanager
    def _booked(self, thread: int, op: Op) -> Iterator[tuple[Entry, list[Record]]]:
        """Book a call: what is put into the entry meanwhile becomes records afterwards."""
        seconds = None if op.name in _WITHOUT_DEADLINES else op.deadline or self._schedule.deadline
        if op.name == "pipeline" and op.host is not None:
            seconds = None
        # asyncio's debug mode takes its time, and so does a crowd, whose turns of the loop are long
        slack = SLACK * (4 if self._schedule.crowd else 3 if self._schedule.debug else 1)
        limit = NO_DEADLINE * (2 if self._schedule.crowd else 1) if seconds is None else seconds + slack
        entry, records = Entry(), list[Record]()
        number = next(self._calls)
        started = time.monotonic()
        yield entry, records
        ended = time.monotonic()
        if entry.cancelled and entry.until is not None:
            limit = min(limit, entry.until + slack)
        records += [
            Record(
                call=number,
                thread=thread,
                name=each.name,
                keys=each.keys,
                tokens=each.tokens,
                outcome=outcome,
                value=value,
                error="" if error is None else f"{type(error).__name__}: {error}",
                position=position if op.ops else -1,
                host=None if each.host is None else self._hosts[each.host],
                started=started - self._start,
                ended=ended - self._start,
                limit=limit,
                transaction=op.transaction,
                faults=self._at_work(started, ended),
                cancelled=entry.cancelled,
                seen=entry.seen if position == 0 else None,
            )
            for position, (each, outcome, value, error) in enumerate(entry.found)
        ]
        self._result.records += records
        for record, (_, _, _, error) in zip(records, entry.found, strict=True):
            self._check_error(record, error)

    def _client(self, op: Op) -> Any:
        return self._cluster if op.host is None else self._cluster.on(self._hosts[op.host])

    def _value(self, op: Op, value: Any) -> Any:
        return normal(op, value, several=self._everywhere and op.host is None)

    def _ended(self, op: Op, value: Any) -> tuple[Op, Outcome, Any, BaseException | None]:
        """What a command of a pipeline ended in."""
        if isinstance(value, Exception):
            return op, outcome_of(value), None, value
        return op, Outcome.VALUE, self._value(op, value), None

    def _kept_by(self, op: Op, promises: Sequence[Any], unresolved: Outcome | None = None) -> Found:
        """Return the outcomes of the promises of a ``map()``.

        Parameters:
            op: The ``map()``.
            promises: Its promises, as far as they were made.
            unresolved: The outcome that stands for a missing one; None if each promise should have its own.
        """
        found: Found = []
        missing = op.ops[len(promises) :]  # not even called: the block was interrupted before
        found += [(each, Outcome.NOT_SENT, None, None) for each in missing]
        for each, promise in zip(op.ops, promises, strict=False):
            outcome = _outcome_of(promise, unresolved)
            value = promise.value if outcome is Outcome.VALUE else None
            found.append((each, outcome, self._value(each, value), _error_of(promise)))
        return found

    @property
    def _everywhere(self) -> bool:
        return self._schedule.router == "none"

    def _check_error(self, record: Record, error: BaseException | None) -> None:
        """An answer of the server is one that it gives: anything else is an error that nobody has made sense of."""
        if record.outcome is not Outcome.SERVER_ERROR:
            return
        expected = ["WRONGTYPE", "cannot increment or decrement non-numeric value", "is loading the dataset"]
        if record.transaction:
            expected += [
                "Watched variable changed",
                "Transaction aborted",
                "which closed the connection that watched keys",
            ]
        if self._schedule.changes:
            expected += ["there is no host", "lives on host"]
        if not any(words in record.error for words in expected):
            where = "" if error is None else "".join(traceback.format_exception(error))
            self._fail("strange error", f"{record}\n{where}")

    # Faults -------------------------------------------------------------------------------------------------------

    def _strikes(self) -> Iterator[tuple[float, int, Callable[[], object]]]:
        for number, fault in enumerate(self._schedule.faults):
            proxy, server = self._proxies[fault.host], self._servers[fault.host]
            strike, end = self._actions(fault, proxy, server)
            lasts = fault.seconds if end is not None else WATCHDOG
            yield (
                fault.start,
                number,
                partial(self._strike, strike, fault, lasts),
            )
            if end is not None:
                yield fault.start + fault.seconds, number, end
        for number, change in enumerate(self._schedule.changes, len(self._schedule.faults)):
            yield change.start, number, partial(self._members.change, change, self._start, self._look)

    def _actions(self, fault: Fault, proxy: FaultProxy, server: Any) -> Actions:
        return actions(fault, proxy, server, self._schedule.timeout)

    def _strike(self, strike: Callable[[], object], fault: Fault, lasts: float) -> None:
        now = time.monotonic()
        self._struck.append((now, now + lasts, fault.kind))
        strike()

    def _at_work(self, started: float, ended: float) -> frozenset[str]:
        return frozenset(
            kind for begin, end, kind in self._struck if begin <= ended and started <= end + 0.05
        )

    def _heal(self) -> None:
        for server in self._servers:
            server.wake()
            server.start()
        for proxy in self._proxies:
            proxy.heal()
        self._struck.clear()

    # Afterwards ---------------------------------------------------------------------------------------------------

    def _works_again(self) -> None:
        """Every host answers again, and then everything works, on all connections."""
        where = f"c{self._schedule.seed}:where"
        for host in self._members.servers:
            for _ in until(8.0):
                if (
                    self._do(99, self._unhurried(Op("where", (where,), host=_number(host))))[0].outcome
                    is Outcome.VALUE
                ):
                    break
            else:
                self._fail(
                    "not well again", f"{host}: {self._cluster.health()[host]}; {self._result.records[-1]}"
                )
                return
        # Again if need be: with a timeout of 30 ms a busy machine is a fault of its own
        for first in range(0, _AFTERWARDS, 8):
            failed = [record for record in self._all_kinds(first) if record.outcome is not Outcome.VALUE]
            if not failed:
                return
        for record in failed:
            self._fail("not well again", str(record))

    def _all_kinds(self, first: int) -> list[Record]:
        """Call this and that, on all hosts, often enough to use every connection that is open."""
        seed = self._schedule.seed
        ops = [Op("everyone")]
        for number in range(first, first + 8):
            ops += [Op("where", (f"c{seed}:where",), host=host) for host in self._numbers()]
            own = Op("incr", (f"c{seed}:own:<99.{number}>",), (f"<99.{number}>",))
            text = Op("append", (f"c{seed}:text:{number % 4}",), (f"<98.{number}>",))
            ops.append(Op("map", ops=(own, text)))
        return [record for op in ops for record in self._do(99, self._unhurried(op))]

    def _unhurried(self, op: Op) -> Op:
        """Give a call that has to succeed more time than the cluster gives: a busy machine is a fault of its own."""
        return dataclasses.replace(op, deadline=2.0) if self._schedule.deadline else op

    def _numbers(self) -> list[int]:
        """The numbers of the hosts that there are now."""
        return [_number(host) for host in self._members.servers]

    def _fill_pools(self) -> None:
        """Open so many connections to each host that are idle afterwards."""
        for host in self._numbers() if self._schedule.idle else ():
            proxy = self._proxies[self._members.servers[f"h{host}"]]
            proxy.delay = 0.02
            self._crowd(Op("where", (f"c{self._schedule.seed}:where",), host=host), self._schedule.idle)
            proxy.delay = 0.0

    def _crowd(self, op: Op, count: int) -> None:
        """Do a call so many times at once."""
        raise NotImplementedError

    def _recovers_from_dead_pools(self) -> None:
        """A host whose idle connections are dead is well again after one timeout, whatever the pool holds.

        It is counted how many of them are used, for calls and probes: one. A pool that is used up one by one uses all.
        """
        for host in self._numbers() if self._schedule.idle else ():
            proxy = self._proxies[self._members.servers[f"h{host}"]]
            proxy.delay = 0.02
            self._crowd(Op("where", (f"c{self._schedule.seed}:where",), host=host), self._schedule.idle)
            proxy.delay = 0.0
            for _ in until(AT_REST):  # calls whose deadline is over may still be connecting
                if not self._look(lambda host=host: _in_use(self._cluster.hosts[f"h{host}"])):  # type: ignore[misc]
                    break
            held = self._look(lambda host=host: _idle(self._cluster.hosts[f"h{host}"]))  # type: ignore[misc]
            proxy.forget()
            for _ in until(8.0):
                token = f"<97.{next(self._tokens_afterwards)}>"
                op = Op("incr", (f"c{self._schedule.seed}:own:{token}",), (token,), host=host)
                if self._do(99, self._unhurried(op))[0].outcome is Outcome.VALUE:
                    break
                time.sleep(0.02)  # the breaker may be open
            used = proxy.used_in_vain
            proxy.heal()
            if used > DEAD:
                self._fail("dead pool", f"h{host} held {held} dead connections, and {used} were used")

    def _nothing_of_removed_hosts(self) -> None:
        """The connections of a host that was removed are closed when the calls that used them have ended."""
        gone = set(range(len(self._servers))) - set(self._members.servers.values())
        for server in gone:
            for _ in until(AT_REST):
                if not self._proxies[server].open_connections:
                    break
            else:
                self._fail("connections of a removed host", f"to server {server}")

    def _may_be_lost(self) -> int:
        """How many connections an interrupt may have taken out of the pool: one that strikes while it changes hands."""
        return 0

    def _nothing_in_use(self) -> None:
        """What deadlines left behind may take its own timeout to end."""
        for _ in until(AT_REST):
            used = self._look(lambda: {host: _in_use(engine) for host, engine in self._cluster.hosts.items()})
            if sum(used.values()) <= self._may_be_lost():
                break
        else:
            self._fail("connections in use", str(used))
        most = self._schedule.most
        if most is not None and "blocking commands" in self._schedule.features:
            most *= 2  # commands that wait have connections of their own
        idle = self._look(lambda: {host: _idle(engine) for host, engine in self._cluster.hosts.items()})
        for host, count in idle.items():
            if most is not None and count > most:
                self._fail("connections", f"{host} has {count} open, at most {most} were to be")

    def _quiet(self) -> None:
        """Wait until the servers have read all that was sent, and closed: from now on nothing more is applied."""
        for _ in until(CLOSED):
            left = [proxy.open_connections for proxy in self._proxies]
            extra = [
                server.connections() - before
                for server, before in zip(self._servers, self._connections, strict=True)
                if not server.blind
            ]
            if not any(left) and not any(count > 0 for count in extra):
                return
        self._fail("connections left", f"clients of the proxies: {left}, of the servers: {extra}")

    def _nothing_left(self, files: int, threads: int) -> None:
        for _ in until(3.0):
            if _files() <= files and _threads() <= threads and not _busy():
                return
        if _files() > files:
            self._fail("files left", f"{files} open before, {_files()} after")
        if _threads() > threads:
            self._fail(
                "threads left", f"{threads} before, now {[thread.name for thread in threading.enumerate()]}"
            )
        for thread in _busy():
            self._fail("threads left", stack_of(thread))

    def _tokens(self) -> dict[str, tuple[str, str]]:
        return {
            token: (key, record.name)
            for record in self._result.records
            for key, token in zip(record.keys, record.tokens, strict=False)
        }


def _preset(schedule: Schedule, host: str) -> Preset:
    seed = schedule.seed
    ops = [each for ops in (*schedule.threads, schedule.handler) for op in ops for each in (op, *op.ops)]
    values = {f"c{seed}:where": host, **{f"c{seed}:wrong:{number}": "text" for number in range(2)}}
    counters = [op.keys[0] for op in ops if op.name in ("incr", "count")] + [
        f"c{seed}:own:<99.{number}>" for number in range(_AFTERWARDS)
    ]
    counters += [f"c{seed}:own:<97.{number}>" for number in range(_TRIES * bool(schedule.idle))]
    texts = [f"c{seed}:{kind}:{number}" for kind in ("text", "list") for number in range(4)]
    return Preset(values, counters, texts)


#: The functions that make a fault strike, and end it; None if it ends by itself, or with the schedule.
Actions = tuple[Callable[[], object], Callable[[], object] | None]


def actions(fault: Fault, proxy: FaultProxy, server: Any, timeout: float) -> Actions:
    """Return what makes a fault strike, and what ends it."""
    after = 0 if fault.amount < 0.25 else int(fault.amount**2 * 150)
    garbage = (b"@#!\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00\xff\r\n")[int(fault.amount * 2.99)]

    def set_to(name: str, value: Any, *more: Callable[[], object]) -> Callable[[], None]:
        def act() -> None:
            setattr(proxy, name, value)
            for action in more:
                action()

        return act

    lost = (proxy.drop,) if fault.amount < 0.3 else ()  # what was held is discarded, or goes through late

    def end_blackhole() -> None:
        for action in lost:
            action()
        proxy.blackhole = False

    def end_swallow() -> None:
        proxy.drop()  # no network loses some replies of a connection and brings the ones behind them
        proxy.swallow = False

    table: dict[str, Actions] = {
        "refuse": (proxy.refuse, proxy.accept),
        "blackhole": (set_to("blackhole", True), end_blackhole),
        "hang_connects": (proxy.hang_connects, proxy.accept),
        "delay": (set_to("delay", timeout * (0.6 + fault.amount)), set_to("delay", 0.0)),
        "cut_requests": (lambda: proxy.cut_requests(after, fault.times), None),
        "cut_replies": (lambda: proxy.cut_replies(after, fault.times), None),
        "swallow": (set_to("swallow", True), end_swallow),
        "reset": (proxy.reset, None),
        "forget": (proxy.forget, None),
        "drop": (proxy.drop, None),
        "trickle": (set_to("trickle", 0.001 + fault.amount * 0.01), set_to("trickle", 0.0)),
        "garble": (lambda: proxy.garble(garbage, fault.times), None),
        "stop": (server.stop, server.wake),
        "kill": (server.kill, server.start),
        "cut_large": (lambda: proxy.cut_replies(int(fault.amount**2 * 300_000), fault.times), None),
        "throttle": (set_to("throttle", 1000 * 1000**fault.amount), set_to("throttle", 0.0)),
        "client_kill": (server.kill_clients, None),
    }
    return table[fault.kind]


def _tls_options(engine: str) -> dict[str, Any]:
    if engine == "redis":
        return {"ssl": True, "ssl_ca_certs": str(certificate()), "ssl_check_hostname": False}
    context = ssl.create_default_context(cafile=str(certificate()))
    context.check_hostname = False
    return {"tls_context": context}


def _number(host: str) -> int:
    return int(host.removeprefix("h"))


def until(seconds: float) -> Iterator[None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
        time.sleep(0.01)


def _files() -> int:
    return len(os.listdir("/proc/self/fd"))


#: The threads that Nydus keeps: of its pool, and the timer.
_KEPT = re.compile(r"nydus[-_](\d+|timer)")


def _threads() -> int:
    """All but those that the process keeps for itself: the pool's and the timer."""
    return sum(_KEPT.fullmatch(thread.name) is None for thread in threading.enumerate())


def _busy() -> list[threading.Thread]:
    """Threads of the pool that are not waiting for work."""
    frames = sys._current_frames()
    return [
        thread
        for thread in threading.enumerate()
        if _KEPT.fullmatch(thread.name)
        and thread.name != "nydus-timer"
        and thread.ident in frames
        and not _waits_for_work(frames[thread.ident])
    ]


def _waits_for_work(frame: FrameType | None) -> bool:
    """Whether a thread is in the pool's own code and not in a job."""
    while frame is not None and frame.f_code.co_name != "_run":
        if not frame.f_globals["__name__"].startswith("nydus_core.threads"):
            return False
        frame = frame.f_back
    return True


def stack_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return f"{thread.name}:\n{''.join(traceback.format_stack(frame)) if frame else ''}"


def _in_use(engine: Any) -> int:
    if hasattr(engine, "most_threads"):  # in worker threads
        return _in_use(engine.engine) + int(engine.most_threads - engine._turns.get().free)
    pool = engine.pool
    if hasattr(
        pool, "_turns"
    ):  # that of the asyncio side: a turn that was not given back is as good as in use
        shared = sum(map(len, getattr(engine, "shared", ())))
        return shared + int(max(len(pool._used), pool._busy, pool._size - pool._turns.free))
    if hasattr(engine, "connections"):
        return int(engine.connections.commands.busy + engine.connections.blocking.busy)
    return int(pool.busy)


def _idle(engine: Any) -> int:
    pool = getattr(engine, "engine", engine).pool
    return len(pool._available_connections if hasattr(pool, "_available_connections") else pool._idle)


def _outcome_of(promise: Any, unresolved: Outcome | None) -> Outcome | None:
    try:
        outcome: Outcome = promise.outcome
    except NotResolved:
        return unresolved
    return outcome


def _error_of(promise: Any) -> BaseException | None:
    try:
        error: BaseException | None = promise.error
    except NotResolved as unresolved:
        return unresolved
    return error
