"""`make flame`: where the time of a single GET, of a map() of GET and of an MGET goes.

The program interrupts itself (SIGPROF) each time that it has used some more CPU time, user and system, and looks at its own
stack. So time in which it waits for a server, or for a core that others use, does not count; a profiler in another process sees a
program on a machine of two cores mostly where it waits. A flame graph of each work is written, and a table of the steps printed.

Python tells of a signal between two steps of its own, so time in C may count for the function that is called next. The
steps are coarse enough for that to make no difference.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple
from xml.sax.saxutils import escape, quoteattr

from redis_rows import ROUTER, gets, mapped, queue_gets
from side_by_side import BATCH, HOSTS, KEYS

from nydus.db import create_cluster
from nydus_redis.embedded.server import PrivateServer

FOLDER = Path(__file__).resolve().parent.parent / ".flame"
#: Samples of each work, and seconds after which fewer have to do.
SAMPLES, AT_MOST = 2000, 120.0
#: Seconds of CPU time between two samples. A system may take them less often.
PAUSE = 0.001

WORKS: dict[str, Callable[[Any], Any]] = {
    "single": gets,
    "map": lambda cluster: mapped(cluster, queue_gets),
    "mget": lambda cluster: cluster.mget(KEYS),
}
TITLES = {"single": "GET, single", "map": f"map() of {BATCH} GET", "mget": f"MGET of {BATCH} keys"}


class Place(NamedTuple):
    """A function, as a stack shows it."""

    name: str
    file: str

    def __str__(self) -> str:
        return f"{self.file}: {self.name}"


Stack = tuple[Place, ...]


class Step(NamedTuple):
    """A part of the way of a command.

    Attributes:
        name: Its name.
        places: A pattern of the functions that begin it. The innermost function that begins a step counts.
        colour: Its colour in the pictures.
    """

    name: str
    places: str
    colour: str


STEPS = (
    Step(
        "place: hash, look up, group by host",
        "delivery/(plan|placement)|/routers/|drafts.py: keys_of",
        "#7fb3d5",
    ),
    Step("cut into parts, join the answers", "commands/splits", "#a9cce3"),
    Step("pack", "commands/packing|engine/outcomes.py: request_of|: _pack_safely", "#f5b041"),
    Step(
        "connection: take it, is it alive, give it back",
        r"engines/(pool|loan)|connection/(pool|connector|sockets|moves)|: Link.has_bytes",
        "#c39bd3",
    ),
    Step("send", "connection/writing|: Link.ask|nydus_core/sockets", "#ec7063"),
    Step("receive and parse", "connection/link", "#f1948a"),
    Step(
        "note and settle outcomes",
        r"engine/outcomes|delivery/ledger|cluster/promise.py: settle|: _Queue.settle|: RedisCommand.parsed",
        "#7dcea0",
    ),
    Step("queue", "commands/drafting|: _Queue.commands|: EventualCommand.__init__", "#f7dc6f"),
    Step("describe: redis-py's method, keys, words", "commands/wire|surface/|^redis/commands/", "#f9e79f"),
    Step("between the steps", "nydus_core/(cluster|delivery)/|nydus_redis/engine/", "#d5d8dc"),
    Step("the program", "", "#eaeded"),
)


def main() -> None:
    """Measure each work, write its picture, and print the table."""
    FOLDER.mkdir(exist_ok=True)
    shares: dict[str, Counter[str]] = {}
    with cluster_of_servers() as cluster:
        for name, work in WORKS.items():
            stacks = sampled(lambda work=work: work(cluster))  # type: ignore[misc]
            path = FOLDER / f"{name}.svg"
            path.write_text(picture(stacks, TITLES[name]), "utf-8")
            print(f"{TITLES[name]}: {stacks.total()} samples, {path}", flush=True)
            shares[name] = by_step(stacks)
    print("\n" + table(shares))


@contextmanager
def cluster_of_servers() -> Iterator[Any]:
    """A cluster of as many hosts as in the other benchmarks, in which all keys are set."""
    with ExitStack() as stack:
        servers = [PrivateServer(tcp=True) for _ in range(HOSTS)]
        for server in servers:
            stack.enter_context(server)
        hosts = [f"redis://127.0.0.1:{server.port}" for server in servers]
        cluster = stack.enter_context(create_cluster({"engine": "redis", "router": ROUTER, "hosts": hosts}))
        cluster.mset(dict.fromkeys(KEYS, "value"))
        yield cluster


def sampled(work: Callable[[], Any], samples: int = SAMPLES) -> Counter[Stack]:
    """Do some work again and again; return how often which stack was seen in it.

    Parameters:
        work: The work.
        samples: How many to take.
    """
    seen: Counter[tuple[CodeType, ...]] = Counter()
    taken = 0

    def look(number: int, frame: FrameType | None) -> None:
        nonlocal taken
        found: list[CodeType] = []
        while frame is not None and frame.f_code is not sampled.__code__:
            found.append(frame.f_code)
            frame = frame.f_back
        if found:
            seen[tuple(reversed(found))] += 1
            taken += 1

    work()  # connect, and warm up
    before = signal.signal(signal.SIGPROF, look)
    signal.setitimer(signal.ITIMER_PROF, PAUSE, PAUSE)
    until = time.monotonic() + AT_MOST
    try:
        while taken < samples and time.monotonic() < until:
            work()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
    stacks: Counter[Stack] = Counter()
    for codes, count in seen.items():
        stacks[tuple(map(place_of, codes))] += count
    return stacks


def place_of(code: CodeType) -> Place:
    """Return a function under the path of its module, from the name of its package on."""
    path = Path(code.co_filename)
    package = next((place for place, part in enumerate(path.parts) if part == "site-packages"), None)
    shown = path.parts[-1:] if package is None else path.parts[package + 1 :]
    return Place(code.co_qualname, "/".join(shown))


def step_of(stack: Stack) -> Step:
    """Return the step that the end of a stack belongs to."""
    for place in reversed(stack):
        for step in STEPS[:-1]:
            if re.search(step.places, str(place)):
                return step
    return STEPS[-1]


def by_step(stacks: Mapping[Stack, int]) -> Counter[str]:
    """Return how many samples each step has."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[step_of(stack).name] += count
    return found


def table(shares: Mapping[str, Counter[str]]) -> str:
    """Return the steps and their shares as a table, a column for each work."""
    rows = [["step", *(TITLES[name] for name in shares)]]
    for step in STEPS:
        counts = [found[step.name] / found.total() for found in shares.values()]
        rows.append([step.name, *(f"{share:.0%}" if share else "" for share in counts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"| {' | '.join(cell.rjust(width) if at else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, widths, strict=True)))} |"
        for row in rows
    ]
    rule = "|".join(f"{'-' * (width + 1)}{':' if at else '-'}" for at, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


# The picture ------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, MARGIN, LEGEND = 1400, 17, 10, 20
#: Steps in a row of the legend.
IN_ROW = 5


class Box(NamedTuple):
    """A function in the picture: how deep it is, where it begins, how many samples wide it is, and the stack up to it."""

    depth: int
    start: int
    samples: int
    stack: Stack


def boxes(stacks: Mapping[Stack, int]) -> list[Box]:
    """Return the boxes of a flame graph. Functions that were called from one place stand beside each other, by their names."""
    found: list[Box] = []
    start = 0
    open_boxes: list[tuple[Place, int]] = []
    ordered: list[tuple[Stack, int]] = [*sorted(stacks.items()), ((), 0)]
    before: Stack = ()
    for stack, count in ordered:
        common = next(
            (at for at, pair in enumerate(zip(before, stack, strict=False)) if pair[0] != pair[1]),
            min(len(before), len(stack)),
        )
        while len(open_boxes) > common:
            _, began = open_boxes.pop()
            found.append(Box(len(open_boxes), began, start - began, before[: len(open_boxes) + 1]))
        open_boxes += [(place, start) for place in stack[common:]]
        before, start = stack, start + count
    return sorted(found)


def picture(stacks: Mapping[Stack, int], title: str) -> str:
    """Return a flame graph as SVG, with a colour for each step.

    Parameters:
        stacks: How often which stack was seen.
        title: Stands above it.
    """
    drawn, total = boxes(stacks), sum(stacks.values())
    shares = by_step(stacks)
    shown = [step for step in STEPS if shares[step.name]]
    top = MARGIN + LEGEND * (2 + (len(shown) - 1) // IN_ROW) + LEGEND // 2
    height = top + HEIGHT * (max(box.depth for box in drawn) + 1) + MARGIN
    scale = (WIDTH - 2 * MARGIN) / total
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-size="15">{escape(title)}: {total} samples of CPU time</text>',
    ]
    for number, step in enumerate(shown):
        x = MARGIN + number % IN_ROW * (WIDTH - 2 * MARGIN) // IN_ROW
        y = MARGIN + LEGEND * (1 + number // IN_ROW)
        lines += [
            f'<rect x="{x}" y="{y}" width="12" height="12" fill="{step.colour}"/>',
            f'<text x="{x + 16}" y="{y + 10}">{escape(f"{step.name}: {shares[step.name] / total:.0%}")}</text>',
        ]
    for box in drawn:
        left, width, y = MARGIN + box.start * scale, box.samples * scale, top + HEIGHT * box.depth
        about = (
            f"{box.stack[-1]}\n{box.samples / total:.1%}, {box.samples} samples. {step_of(box.stack).name}"
        )
        name = box.stack[-1].name.replace(".<locals>", "")
        words = name if len(name) * 6 < width else name[: max(int(width / 6) - 2, 0)]
        lines += [
            f'<g><title>{escape(about)}</title><rect x="{left:.2f}" y="{y}" width="{width:.2f}" height="{HEIGHT - 1}" '
            f"fill={quoteattr(step_of(box.stack).colour)}/>",
            f'<text x="{left + 3:.2f}" y="{y + 12}">{escape(words)}</text></g>',
        ]
    return "\n".join([*lines, "</svg>\n"])


if __name__ == "__main__":
    if not hasattr(signal, "SIGPROF"):
        sys.exit("this system has no SIGPROF, so a program cannot measure its own CPU time")
    main()
