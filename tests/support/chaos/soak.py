"""Mixed traffic for minutes, on both sides and both engines, while servers are killed and networks fail: is all true, and flat?

    make soak-traffic DURATION=600 SEED=1
    python -m chaos.soak --seconds 30

Threads call clusters, tasks call asynchronous ones: single commands, ``map()``, pipelines, watched transactions, commands that
wait, scans, subscriptions, broadcasts, deadlines of a few milliseconds. Servers are killed and started again, stopped (SIGSTOP),
and all faults of the proxy strike; hosts come and go. Five times the traffic rests, and faults with it: then memory, objects,
files, threads, tasks and the connections that the servers see are compared with the first rests. At the end each counter has to
be what callers were told: as many as have a value, and at most as many more as may have been applied. Exit status 1 if not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from chaos.callers import COUNTERS, NAMES, Caller, Subscriber, drive
from chaos.ledger import Book, Marks, untrue
from chaos.runs import actions, stack_of, until
from chaos.samples import Allowance, Sample, grown, growth_by_type, highest, sample, table
from chaos.schedule import FAULTS, SIDES, Fault
from chaos.servers import MemcachedHost, Preset, RedisHost
from nydus.db import create_cluster
from nydus_core import create_async_cluster
from nydus_core.testing import FaultProxy

__all__ = ["ALLOWANCES", "LEAKS", "Soak", "main"]

#: How often traffic rests. The first two are what the last is compared with.
RESTS = 5
#: Servers of an engine, and how many of them are hosts at first. One of memcached is a cluster of its own, for it forgets.
SERVERS, HOSTS = 4, 3
TIMEOUT = 0.25
#: Seconds that a caller waits after a failure: hosts that are down refuse at once.
_REST = 0.005
#: How many threads call a cluster, and how many tasks.
_CALLERS = {"redis": (6, 16), "memcache": (3, 8), "frail": (1, 2)}
#: Seconds that a thread or a task may be in one call.
_LONGEST = 30.0

#: What may be more at the last rest: pools hold as many connections as were in use at once, which is chance.
ALLOWANCES = {
    "memory, MB": Allowance(0.10, 10),
    "objects": Allowance(0.05, 20_000),
    "files": Allowance(0.0, 50),
    "threads": Allowance(0.0, 16),
    "tasks": Allowance(0.0, 2),
    "connections": Allowance(0.0, 50),
}

#: Mistakes to be made on purpose, so that one can see that they are found. Each is called often.
LEAKS: dict[str, Callable[[Soak], object]] = {
    "memory, MB": lambda soak: soak.kept.append(os.urandom(1_000_000)),
    "objects": lambda soak: soak.kept.append([[] for _ in range(3000)]),
    "files": lambda soak: soak.kept.extend(Path("/dev/null").open() for _ in range(5)),  # noqa: SIM115
    "threads": lambda soak: threading.Thread(target=soak.over.wait, daemon=True).start(),
    "tasks": lambda soak: soak.loop.call_soon_threadsafe(soak.leave_task),
    "connections": lambda soak: soak.kept.extend(soak.leave_connection() for _ in range(5)),
    "counts": lambda soak: soak.callers[0].book.acknowledged.update([f"{soak.callers[0].name}:0"]),
}


class Soak:
    """A run.

    Parameters:
        seconds: How long, without the rests.
        seed: Decides about faults and calls.
        leak: One of ``LEAKS``; empty for none.

    Attributes:
        callers: All who call.
        loop: The event loop of the tasks.
        over: Set at the end.
        kept: What is leaked on purpose.
    """

    def __init__(self, seconds: float, seed: int, leak: str = "") -> None:
        self._seconds = seconds
        self._seed = seed
        self._leak = leak
        self._dice = random.Random(f"soak {seed}")
        self._go = threading.Event()
        self._faults: Counter[str] = Counter()
        self._changes = 0
        self._failed: list[str] = []
        self._books: list[Book] = []
        self._kills = False
        self.callers: list[Any] = []
        self.over: threading.Event = threading.Event()
        self.loop: asyncio.AbstractEventLoop
        self.kept: list[Any] = []
        self.samples: list[Sample] = []

    def run(self) -> list[str]:
        """Run it; return what was wrong."""
        with ExitStack() as stack:
            self._start_servers(stack)
            stack.enter_context(self._loop_running())
            self._start_clusters()
            self._start_callers()
            try:
                self._rounds()
            finally:
                self._end_callers()
            self._judge()
        return self._failed

    # Servers and clusters ----------------------------------------------------------------------------------------------

    def _start_servers(self, stack: ExitStack) -> None:
        self._servers: dict[str, list[Any]] = {}
        self._proxies: dict[str, list[FaultProxy]] = {}
        kinds: dict[str, Callable[[], Any]] = {"redis": RedisHost, "memcache": MemcachedHost}
        for engine, kind in kinds.items():
            servers = [kind() for _ in range(SERVERS)]
            for server in servers:
                stack.callback(server.end)
                server.prepare(_preset())
                if engine == "memcache":
                    server.unwatch()
            self._servers[engine] = servers
            self._proxies[engine] = [
                stack.enter_context(FaultProxy(server.path, tcp=number % 2 == 1))
                for number, server in enumerate(servers)
            ]

    def _host(self, engine: str, number: int) -> dict[str, Any]:
        proxy = self._proxies[engine][number]
        where = {"host": proxy.host, "port": proxy.port} if proxy.host else {"unix_socket_path": proxy.path}
        return {**where, "identifier": f"soak://{number}"}

    def _settings(self, engine: str, numbers: Sequence[int]) -> dict[str, Any]:
        return {
            "engine": engine,
            "router": "rendezvous",
            "hosts": {f"h{number}": self._host(engine, number) for number in numbers},
            "defaults": {"timeout": TIMEOUT},
            "health": {"failures": 5, "backoff": 0.05, "most": 0.5},
            "retry": {"attempts": 2, "backoff": 0.005, "most": 0.05},
        }

    def _start_clusters(self) -> None:
        #: By side and name. The last server of memcached is killed, so it is in no cluster whose counts are told.
        self._clusters: dict[tuple[str, str], Any] = {}
        for name, engine, numbers in (
            ("redis", "redis", range(HOSTS)),
            ("memcache", "memcache", range(HOSTS - 1)),
            ("frail", "memcache", [SERVERS - 1]),
        ):
            settings = self._settings(engine, numbers)
            self._clusters["blocking", name] = create_cluster(settings)
            self._clusters["asyncio", name] = self._in_loop(partial(create_async_cluster, settings))

    def _in_loop(self, job: Callable[[], Any]) -> Any:
        async def done() -> Any:
            return job()

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(60)

    @contextlib.contextmanager
    def _loop_running(self) -> Iterator[None]:
        ready = threading.Event()

        async def live() -> None:
            self.loop, self._loop_over = asyncio.get_running_loop(), asyncio.Event()
            self._may_go = asyncio.Event()
            ready.set()
            await self._loop_over.wait()

        thread = threading.Thread(target=lambda: asyncio.run(live()), name="soak-loop", daemon=True)
        thread.start()
        ready.wait()
        try:
            yield
        finally:
            self.loop.call_soon_threadsafe(self._loop_over.set)
            thread.join(30)

    # Callers -----------------------------------------------------------------------------------------------------------

    def _start_callers(self) -> None:
        numbers = iter(range(100))
        self._threads, self._tasks = [], []
        taken = Marks()
        for (side, name), cluster in self._clusters.items():
            engine = "redis" if name == "redis" else "memcache"
            made: list[Any] = [
                Caller(caller, cluster, engine, next(numbers), taken) for caller in _names(name, side)
            ]
            made += [Subscriber(cluster)] if name == "redis" else []
            self.callers += made
            if side == "asyncio":
                self._tasks += [
                    asyncio.run_coroutine_threadsafe(self._task(each), self.loop) for each in made
                ]
            else:
                self._threads += [
                    threading.Thread(target=self._thread, args=(each,), name=f"soak-{name}", daemon=True)
                    for each in made
                ]
        for thread in self._threads:
            thread.start()

    def _thread(self, caller: Any) -> None:
        while not self.over.is_set():
            if not self._go.is_set():
                caller.parked = True
                self._go.wait()
                caller.parked = False
                continue
            before = caller.book.failures
            drive(caller.step())
            if caller.book.failures > before:
                time.sleep(_REST)
        if isinstance(caller, Subscriber):
            drive(caller.close())

    async def _task(self, caller: Any) -> None:
        while not self.over.is_set():
            if not self._may_go.is_set():
                caller.parked = True
                await self._may_go.wait()
                caller.parked = False
                continue
            before = caller.book.failures
            await caller.step()
            # A call that is refused at once does not wait for anything; the other tasks are to have their turn
            await asyncio.sleep(_REST if caller.book.failures > before else 0)
        if isinstance(caller, Subscriber):
            await caller.close()

    def _let_go(self) -> None:
        self._go.set()
        self.loop.call_soon_threadsafe(self._may_go.set)

    def _park(self) -> None:
        """Have all callers rest, at the end of their calls."""
        self._go.clear()
        self.loop.call_soon_threadsafe(self._may_go.clear)
        for _ in until(_LONGEST):
            if all(caller.parked for caller in self.callers):
                return
        hang = [stack_of(thread) for thread in self._threads if thread.is_alive()]
        self._failed.append("hang: callers do not come to an end\n" + "\n".join(hang))
        raise TimeoutError(self._failed[-1])

    def _end_callers(self) -> None:
        self.over.set()
        self._let_go()
        for thread in self._threads:
            thread.join(_LONGEST)
        for task in self._tasks:
            with contextlib.suppress(TimeoutError):
                task.result(_LONGEST)

    # Rounds ------------------------------------------------------------------------------------------------------------

    def _rounds(self) -> None:
        self._start = time.monotonic()
        for number in range(RESTS):
            self._let_go()
            self._strike_for(self._seconds / RESTS)
            self._heal()
            self._warm_up()
            self._park()
            self._settle()
            self.samples.append(self._sampled())
            print(f"{number + 1} of {RESTS} rests, {self._calls()} commands", file=sys.stderr, flush=True)
        self._trace_growth()

    def _strike_for(self, seconds: float) -> None:
        """Let faults strike, and hosts come and go, until the time is over."""
        end = time.monotonic() + seconds
        hosts = {name: list(range(HOSTS - (name == "memcache"))) for name in ("redis", "memcache")}
        next_leak = 0.0
        while time.monotonic() < end:
            engine = self._dice.choice(("redis", "redis", "memcache"))
            if self._dice.random() < 0.4:
                self._change(engine, hosts[engine])
            self._strike(engine)
            for proxies in self._proxies.values():
                for proxy in proxies:
                    proxy.requests.clear()
            if self._leak and time.monotonic() > next_leak:
                next_leak = time.monotonic() + self._seconds / 500
                LEAKS[self._leak](self)
        for name, numbers in hosts.items():  # as in the beginning
            for number in set(range(HOSTS - (name == "memcache"))) - set(numbers):
                self._add(name, number)
            for number in set(numbers) - set(range(HOSTS - (name == "memcache"))):
                self._remove(name, number)

    def _strike(self, engine: str) -> None:
        number = self._dice.randrange(SERVERS)
        kinds = [*FAULTS, "forget", "forget"]
        proxy, server = self._proxies[engine][number], self._servers[engine][number]
        if proxy.path:
            kinds = [kind for kind in kinds if kind not in ("hang_connects", "reset")]
        if engine == "memcache" and number != SERVERS - 1:
            kinds.remove("kill")
        fault = Fault(
            self._dice.choice(kinds), number, 0.0, 0.0, self._dice.random(), self._dice.randint(1, 3)
        )
        strike, end = actions(fault, proxy, server, TIMEOUT)
        self._faults[fault.kind] += 1
        strike()
        time.sleep(self._dice.choice((0.05, 0.2, 0.5)))
        if end is not None:
            end()
        if fault.kind == "kill" and engine == "memcache":
            server.refill()

    def _change(self, name: str, numbers: list[int]) -> None:
        """Add or remove a host. All servers but those of clusters of their own are there to be hosts."""
        most = SERVERS - (name == "memcache")
        free = [number for number in range(most) if number not in numbers]
        if free and (len(numbers) <= 2 or self._dice.random() < 0.5):
            self._add(name, self._dice.choice(free))
            numbers.append(free[0] if len(free) == 1 else self._added)
        else:
            gone = self._dice.choice(numbers)
            self._remove(name, gone)
            numbers.remove(gone)

    def _add(self, name: str, number: int) -> None:
        self._added = number
        self._change_both(name, lambda cluster: cluster.add_host(f"h{number}", self._host(name, number)))

    def _remove(self, name: str, number: int) -> None:
        self._change_both(name, lambda cluster: cluster.remove_host(f"h{number}"))

    def _change_both(self, name: str, change: Callable[[Any], None]) -> None:
        self._changes += 1
        change(self._clusters["blocking", name])
        self._in_loop(lambda: change(self._clusters["asyncio", name]))

    def _heal(self) -> None:
        for engine, servers in self._servers.items():
            for server, proxy in zip(servers, self._proxies[engine], strict=True):
                server.wake()
                server.start()
                proxy.heal()

    def _warm_up(self) -> None:
        """Traffic without faults, until every host has opened what it needs."""
        time.sleep(min(3.0, max(1.0, self._seconds / 100)))

    def _settle(self) -> None:
        """Wait until what calls have left behind is gone: threads that end when nobody needs them, connections that are shut."""
        before = threading.active_count()
        for _ in until(min(12.0, self._seconds / 20)):
            time.sleep(0.5)
            if threading.active_count() > before:
                before = threading.active_count()

    def _sampled(self) -> Sample:
        tasks = self._in_loop(lambda: len(asyncio.all_tasks()))
        return sample(time.monotonic() - self._start, self._connections(), tasks)

    def _connections(self) -> int:
        return sum(server.connections() for servers in self._servers.values() for server in servers)

    def _calls(self) -> int:
        return sum(caller.book.outcomes.total() for caller in self.callers)

    def _trace_growth(self) -> None:
        """Where memory has grown, go on for a while, and tell where it was taken."""
        if not any(name in text for text in self.growth() for name in ("memory", "objects")):
            return
        tracemalloc.start()
        before = tracemalloc.take_snapshot()
        self._let_go()
        self._strike_for(min(60.0, self._seconds / 5))
        self._heal()
        self._park()
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
        self.traced = [str(each) for each in after.compare_to(before, "lineno")[:12]]

    # The end -----------------------------------------------------------------------------------------------------------

    traced: Sequence[str] = ()

    def growth(self) -> list[str]:
        """Tell what has grown between the first rests and the last. Pools take more than one turn to fill."""
        early = self.samples[: max(1, len(self.samples) // 2)]
        return grown(highest(early), self.samples[-1], ALLOWANCES)

    def _judge(self) -> None:
        for cluster in self._clusters.values():
            if hasattr(type(cluster), "aclose"):
                asyncio.run_coroutine_threadsafe(cluster.aclose(), self.loop).result(60)
            else:
                cluster.close()
        # From now on nothing more is applied
        for engine, proxies in self._proxies.items():
            for proxy, server in zip(proxies, self._servers[engine], strict=True):
                for _ in until(8.0):
                    if not proxy.open_connections:
                        break
                else:
                    self._failed.append(f"connections left: {proxy.open_connections} to {server.path}")
        books = [caller.book for caller in self.callers]
        self._failed += [text for book in books for text in book.wrong]
        self._failed += untrue(books, self._counted(), forgotten=["soak:frail"])
        self._failed += [f"it grew: {text}" for text in self.growth()]

    def _counted(self) -> Mapping[str, int]:
        """What the servers say: each counter; and how many elements were put into queues, and taken."""
        counted: Counter[str] = Counter()
        keys = [
            f"{caller.name}:{number}"
            for caller in self.callers
            if isinstance(caller, Caller)
            for number in range(COUNTERS)
        ]
        for servers in self._servers.values():
            for server in servers:
                for key in keys:
                    counted[key] += server.number(key)
        left = sum(server.length(f"queue:{number}") for server in self._servers["redis"] for number in (0, 1))
        # Of these only the difference is known. What was fed for certain was taken, or is left
        books = [caller.book for caller in self.callers]
        fed, may_be_fed = _told(books, "fed")
        taken, may_be_taken = _told(books, "taken")
        if not taken + left <= fed + may_be_fed or not fed <= taken + may_be_taken + left:
            self._failed.append(
                f"queues: {fed} to {fed + may_be_fed} fed, {taken} to {taken + may_be_taken} taken, {left} left"
            )
        counted["fed"], counted["taken"] = fed, taken
        return counted

    def __str__(self) -> str:
        books = [caller.book for caller in self.callers]
        outcomes: Counter[tuple[str, str]] = Counter()
        for book in books:
            outcomes.update(book.outcomes)
        kinds = sorted({kind for kind, _ in outcomes})
        columns = ("value", "server error", "not sent", "maybe applied")
        lines = [f"{'':22}" + "".join(f"{column:>15}" for column in columns)]
        lines += [
            f"{kind:22}" + "".join(f"{outcomes[kind, column]:15}" for column in columns) for kind in kinds
        ]
        counters = sum(len(book.acknowledged.keys() | book.perhaps.keys()) for book in books)
        faults = ", ".join(f"{count} {kind}" for kind, count in sorted(self._faults.items()))
        grew = (
            [f"grew by type: {', '.join(growth_by_type(self.samples[0], self.samples[-1]))}"]
            if self.growth()
            else []
        )
        found = [f"VIOLATION {text}" for text in self._failed]
        verdict = f"{self._calls()} commands, {counters} counters, {len(self._failed)} violations"
        return "\n".join(
            [
                "\n".join(lines),
                f"\nfaults: {faults}; {self._changes} changes of hosts",
                "\nAt rest, with faults healed",
                table(self.samples) if self.samples else "none",
                *grew,
                *self.traced,
                *found,
                verdict,
            ]
        )

    # Leaks on purpose --------------------------------------------------------------------------------------------------

    def leave_task(self) -> None:
        """Leave a task that waits for ever."""
        self.kept.append(self.loop.create_task(self._loop_over.wait()))

    def leave_connection(self) -> Any:
        """Leave a connection of another cluster."""
        cluster = create_cluster(self._settings("redis", [0]))
        with contextlib.suppress(Exception):
            cluster.ping()
        return cluster


def _names(cluster: str, side: str) -> list[str]:
    """The names of the callers of a cluster."""
    return [f"soak:{cluster}:{side}:{number}" for number in range(_CALLERS[cluster][side == "asyncio"])]


def _preset() -> Preset:
    """All that every server has in the beginning; memcached counts only what is there."""
    callers = [name for cluster in _CALLERS for side in SIDES for name in _names(cluster, side)]
    return Preset(
        {name: name for name in NAMES}, [f"{name}:{key}" for name in callers for key in range(COUNTERS)], ()
    )


def _told(books: Sequence[Book], key: str) -> tuple[int, int]:
    return sum(book.acknowledged[key] for book in books), sum(book.perhaps[key] for book in books)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="chaos.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long, without the rests")
    parser.add_argument("--seed", type=int, default=1, help="decides about faults and calls")
    parser.add_argument(
        "--leak", choices=LEAKS, default="", help="make a mistake on purpose, to see it found"
    )
    options = parser.parse_args(arguments)
    logging.getLogger("nydus").setLevel(logging.CRITICAL)
    soak = Soak(options.seconds, options.seed, options.leak)
    try:
        soak.run()
    finally:
        print(soak, flush=True)
    return 1 if soak._failed else 0


if __name__ == "__main__":
    sys.exit(main())
