"""How long each command takes while many tasks send commands: the median, and the slowest hundredth."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, NamedTuple

from asyncio_clients import EACH, TASKS, Loop, tasks
from side_by_side import Times, show, take_turns

from nydus_redis.embedded.server import PrivateServer


class Latency(NamedTuple):
    """One comparison: two works that return how long each command took, in seconds, a list for each task."""

    peer: str
    ours: Callable[[], list[list[float]]]
    theirs: Callable[[], list[list[float]]]
    #: The target of the 99th percentile.
    target: float | None


class Percentiles(NamedTuple):
    """How long commands took in one turn, in seconds, and for how long this process was at work."""

    median: float
    p99: float
    cpu: float


def latencies(stack: ExitStack, servers: list[PrivateServer], each: int = EACH) -> list[Latency]:
    """The comparisons, all in one event loop.

    Parameters:
        stack: At its end all clients are closed.
        servers: One for each host of the cluster. The peers use the first of them.
        each: How many commands a task sends.
    """
    loop = Loop(stack)
    ours, plain, glide = (
        None if client is None else loop.work(tasks, client, timed_gets, TASKS, each)
        for client in (loop.cluster("redis", servers), loop.redis_py(servers[0]), loop.glide(servers[0]))
    )
    assert ours is not None
    peers = [("redis.asyncio", plain, 0.3), ("GLIDE", glide, None)]
    return [Latency(name, ours, peer, target) for name, peer, target in peers if peer is not None]


async def timed_gets(client: Any, keys: Sequence[str]) -> list[float]:
    """GET, one at a time, and how long each of them took."""
    clock = time.perf_counter
    took = []
    for key in keys:
        start = clock()
        await client.get(key)
        took.append(clock() - start)
    return took


def measure_latency(latency: Latency, turns: int = 15) -> None:
    """Let both sides take turns, and print a row for the median and one for the slowest hundredth, in ms."""
    ours, peer = take_turns(latency.ours, latency.theirs, turns, percentiles)
    for name, target in (("median", None), ("p99", latency.target)):
        mine, theirs = ([Times(getattr(turn, name), turn.cpu) for turn in side] for side in (ours, peer))
        show(f"asyncio: {name}, {TASKS} tasks; peer {latency.peer}", mine, theirs, 1e-3, target)


def percentiles(work: Callable[[], list[list[float]]]) -> Percentiles:
    """Measure the commands of some work."""
    gc.collect()
    cpu = time.process_time()
    took = work()
    cpu = time.process_time() - cpu
    cuts = statistics.quantiles(chain.from_iterable(took), n=100)
    return Percentiles(cuts[49], cuts[98], cpu)
