"""How good the placement rules are, and what they cost; beside uhashring, pymemcache and redis-py in the same run.

    python benchmarks/placement.py             print the report
    python benchmarks/placement.py --write     put it into docs/placement.md too, and draw docs/placement.svg

Quality comes out the same each time. Times are processor time on this machine: the best of several turns, in which the rules and
their peers follow one another.
"""

from __future__ import annotations

import gc
import platform
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from nydus_core.routers import ConsistentHashingRouter, Node, PartitionRouter, profiles

DOCS = Path(__file__).resolve().parent.parent / "docs"
SIZES = (3, 10, 100)
KEYS = 100_000
TIMED_KEYS, TURNS = 1_000, 25
#: The bounds of ``slots`` that are compared, by the number of hosts; and the hosts that are added in turn.
NO_BOUND = 16384
BOUNDS = {
    3: (1, 1.05, NO_BOUND),
    10: (1, 1.02, 1.05, NO_BOUND),
    100: (1, 1.02, 1.05, 1.1, 1.25, NO_BOUND),
    1000: (1.05, NO_BOUND),
}
NEW_HOSTS = 10

#: A rule of each family, by the name that it has in the report.
RULES: dict[str, Callable[..., Any]] = {
    "slots": profiles.slots,
    "rendezvous": profiles.rendezvous,
    "uhashring": profiles.uhashring,
    "consistent": ConsistentHashingRouter,
    "uhashring-meta": profiles.uhashring_meta,
    "jump": profiles.jump,
    "maglev": profiles.maglev,
    "redis-slots": profiles.redis_slots,
    "partition": PartitionRouter,
}


class Quality(NamedTuple):
    """Of one rule over some hosts. All are shares of the keys, but the first two."""

    largest: float
    smallest: float
    added: float
    removed: float
    reweighted: float
    strays: float


def nodes(count: int, *, without: int = -1, heavy: int = -1) -> list[Node]:
    """That many hosts of weight 1: without one of them, or with one of weight 2."""
    return [
        Node(f"host-{number}", 1 + (number == heavy), identifier=f"redis://10.0.0.{number}:6379/0")
        for number in range(count)
        if number != without
    ]


def quality(rule: Callable[..., Any], count: int, keys: Sequence[bytes]) -> Quality:
    """Place the keys over hosts, and again after each change."""

    def places(hosts: list[Node]) -> list[str]:
        locate = rule(hosts).locate
        return [locate(key) for key in keys]

    def moved(after: list[str]) -> float:
        return sum(map(str.__ne__, before, after)) / len(keys)

    before, middle = places(nodes(count)), count // 2
    counts, fair = Counter(before), len(keys) / count
    added, removed = places(nodes(count + 1)), places(nodes(count, without=middle))
    reweighted = places(nodes(count, heavy=middle))
    touched = f"host-{middle}"
    strays = sum(
        old != new and touched not in (old, new) for old, new in zip(before, reweighted, strict=True)
    )
    return Quality(
        max(counts.values()) / fair,
        min(counts[node.name] for node in nodes(count)) / fair,
        moved(added),
        moved(removed),
        moved(reweighted),
        strays / len(keys),
    )


def ideal(count: int) -> Quality:
    """What no rule can do better."""
    return Quality(1, 1, 1 / (count + 1), 1 / count, 2 / (count + 1) - 1 / count, 0)


def slots_moved(before: Any, count: int, bound: float) -> float:
    """The slots that move when a host is added, times the share of the new host: the mean of some new hosts."""
    moves = 0
    for number in range(NEW_HOSTS):
        after = profiles.slots([*nodes(count), Node(f"new-{number}")], bound=bound)
        moves += sum(map(str.__ne__, before.table, after.table))
    return moves / NEW_HOSTS / (len(before.table) / (count + 1))


# Tables -----------------------------------------------------------------------------------------------------------


def quality_table(count: int, found: dict[str, Quality]) -> list[str]:
    """One number of hosts."""
    head = ["rule", "largest", "smallest", "add a host", "remove one", "weight 1 → 2", "of these astray"]
    rows = [[name, *shown(each)] for name, each in {"*ideal*": ideal(count), **found}.items()]
    return [f"**{count} hosts**", "", *table(head, rows)]


def shown(each: Quality) -> list[str]:
    """Ratios and shares."""
    shares = [f"{share:.1%}" for share in each[2:]]
    return [f"{each.largest:.3f}", f"{each.smallest:.3f}", *shares]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table of Markdown; all but the first column are numbers."""
    lines = [
        " | ".join(head),
        "|".join(["---", *["---:"] * (len(head) - 1)]),
        *(" | ".join(row) for row in rows),
    ]
    return [f"| {line} |" for line in lines]


def slots_table(keys: Sequence[bytes]) -> list[str]:
    """The rule ``slots``: bounds, and what they mean in slots and in keys."""
    head = ["hosts", "bound", "largest, slots", "largest, keys", "by chance, keys", "slots that move"]
    rows = []
    for count, bounds in BOUNDS.items():
        chance = Counter(map(profiles.rendezvous(nodes(count)).locate, keys))
        for bound in bounds:
            router = profiles.slots(nodes(count), bound=bound)
            largest = [
                f"{max(Counter(places).values()) / len(places) * count:.3f}"
                for places in (router.table, list(map(router.locate, keys)))
            ]
            by_chance = f"{max(chance.values()) / len(keys) * count:.3f}"
            moves = f"{slots_moved(router, count, bound):.2f}"
            rows.append([f"{count}", "none" if bound == NO_BOUND else f"{bound}", *largest, by_chance, moves])
    return table(head, rows)


def times(work: dict[str, Callable[[bytes], Any]], keys: Sequence[bytes]) -> dict[str, float]:
    """The best time of each, in microseconds a key; they take turns."""
    best = dict.fromkeys(work, float("inf"))
    for _ in range(TURNS):
        for name, locate in work.items():
            gc.disable()
            start = time.thread_time()
            for key in keys:
                locate(key)
            best[name] = min(best[name], (time.thread_time() - start) / len(keys) * 1e6)
            gc.enable()
    return best


def build_seconds(rule: Callable[..., Any], count: int) -> float:
    """The best time to make a rule over that many hosts."""
    best, hosts = float("inf"), nodes(count)
    for _ in range(3):
        start = time.thread_time()
        rule(hosts)
        best = min(best, time.thread_time() - start)
    return best


def cost_table(keys: Sequence[bytes]) -> list[str]:
    """The time of a look-up, and of building a router."""
    lookups = [
        times({name: rule(nodes(count)).locate for name, rule in RULES.items()}, keys) for count in SIZES
    ]
    head = [
        "rule",
        *(f"µs a key, {count}" for count in SIZES),
        *(f"build {count}, ms" for count in (10, 100, 1000)),
    ]
    rows = []
    for name, rule in RULES.items():
        built = [f"{build_seconds(rule, count) * 1e3:.1f}" for count in (10, 100, 1000)]
        rows.append([name, *(f"{found[name]:.2f}" for found in lookups), *built])
    return table(head, rows)


def peers_table(keys: Sequence[bytes]) -> list[str]:
    """Rules beside their peers, in µs a key. The peers get keys as text, as their users give them."""
    from pymemcache.client.rendezvous import RendezvousHash
    from redis.crc import key_slot
    from uhashring import HashRing

    names = [node.name for node in nodes(100)]
    text = {key: key.decode() for key in keys}
    ring, hrw = HashRing(names, hash_fn="ketama"), RendezvousHash(names[:10])
    for key in keys:  # the same placement, or it would not be the same work
        assert profiles_agree(key, ring, hrw, key_slot)
    heavy = [Node(f"host-{number}", 1 + number % 3) for number in range(10)]
    comparisons = [
        ("ring, 100 hosts; peer uhashring", profiles.uhashring(nodes(100)).locate, lambda key: ring.get_node(text[key]), "≤ 1.2 µs"),
        ("rendezvous, 10 hosts; peer pymemcache", profiles.rendezvous(nodes(10)).locate, lambda key: hrw.get_node(text[key]), "≤ 3 µs, 5 times as fast"),
        ("rendezvous, 10 hosts, 3 weights; peer pymemcache", profiles.rendezvous(heavy).locate, lambda key: hrw.get_node(text[key]), ""),
        ("slots, 100 hosts; peer redis-py's key_slot", profiles.slots(nodes(100)).locate, key_slot, "≤ 0.2 µs"),
        ("jump, 10 hosts", profiles.jump(nodes(10)).locate, None, "≤ 1.5 µs"),
        ("jump, 100 hosts", profiles.jump(nodes(100)).locate, None, "≤ 1.5 µs"),
    ]  # fmt: skip
    work: dict[str, Callable[[bytes], Any]] = {}
    for name, ours, peer, _ in comparisons:
        work[name] = ours
        if peer is not None:
            work[f"peer of {name}"] = peer
    found = times(work, keys)
    rows = []
    for name, _, peer, target in comparisons:
        theirs = found.get(f"peer of {name}") if peer is not None else None
        ratio = f"{theirs / found[name]:.1f}" if theirs else ""
        rows.append([name, f"{found[name]:.2f}", f"{theirs:.2f}" if theirs else "", ratio, target])
    seconds = build_seconds(profiles.uhashring, 1000)
    rows.append(["a ring of 1000 hosts built", f"{seconds:.2f} s", "", "", "< 1 s"])
    return table(["work", "nydus", "peer", "times as fast", "to be reached"], rows)


def PYMEMCACHE(hosts: list[Node]) -> Any:
    """pymemcache's rule, by name."""
    return profiles.pymemcache(hosts, label="name")


def profiles_agree(key: bytes, ring: Any, hrw: Any, key_slot: Any) -> bool:
    """Whether a key lives where the peers say."""
    from nydus_core.routers import slot_of

    text = key.decode()
    placed = (slot_of(key), _RING.locate(key), _HRW.locate(key))
    return bool(placed == (key_slot(key), ring.get_node(text), hrw.get_node(text)))


_RING, _HRW = profiles.uhashring(nodes(100)), PYMEMCACHE(nodes(10))


# The drawing ------------------------------------------------------------------------------------------------------

COLOURS = {3: "#9ecae1", 10: "#4292c6", 100: "#084594"}
WIDTH, LEFT, ROW, BAR = 860, 120, 46, 12


def svg(found: dict[int, dict[str, Quality]]) -> str:
    """Two panels: how full the fullest host is, and what share moves when a host is added, beside the ideal."""
    names = list(next(iter(found.values())))
    middle = (WIDTH + LEFT) // 2
    height = 90 + ROW * len(names)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        text(LEFT, 20, "fullest host, times its fair share", weight="bold"),
        text(middle + 10, 20, "keys that move to a host that is added", weight="bold"),
    ]
    for index, (size, colour) in enumerate(COLOURS.items()):
        x = LEFT + index * 90
        parts += [
            f'<rect x="{x}" y="30" width="12" height="12" fill="{colour}"/>',
            text(x + 17, 40, f"{size} hosts"),
        ]
    parts.append(text(middle + 10, 40, "the line is the ideal"))
    for row, name in enumerate(names):
        top = 60 + row * ROW
        parts.append(text(LEFT - 8, top + 22, name, anchor="end"))
        for index, size in enumerate(COLOURS):
            each, y = found[size][name], top + index * BAR
            over = min((each.largest - 1) / 0.5, 1)
            parts += bar(LEFT, y, over * (middle - LEFT - 60), COLOURS[size], f"{each.largest:.2f}")
            wide = WIDTH - middle - 60
            parts += bar(middle + 10, y, each.added * wide, COLOURS[size], f"{each.added:.1%}")
            at = middle + 10 + ideal(size).added * wide
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y}" y2="{y + BAR - 1}" stroke="black" stroke-width="1.5"/>'
            )
    return "\n".join([*parts, "</svg>", ""])


def bar(x: float, y: float, length: float, colour: str, label: str) -> list[str]:
    """One bar and its number."""
    rect = f'<rect x="{x}" y="{y}" width="{max(length, 1):.1f}" height="{BAR - 2}" fill="{colour}"/>'
    return [rect, text(x + max(length, 1) + 5, y + 9, label, size=10)]


def text(
    x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal", size: int = 12
) -> str:
    """Some words."""
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}">{escape(words)}</text>'


# The report -------------------------------------------------------------------------------------------------------

BEGIN, END = "<!-- report: made by benchmarks/placement.py -->\n", "<!-- end of report -->\n"


def report(found: dict[int, dict[str, Quality]], keys: Sequence[bytes]) -> str:
    """All tables."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("uhashring", "pymemcache", "redis"))
    lines = [f"## Balance, and moves\n\n{KEYS:,} keys."]
    lines += ["\n".join(quality_table(size, each)) for size, each in found.items()]
    lines += [f"## Slots and keys\n\nThe rule `slots`, {KEYS:,} keys.", "\n".join(slots_table(keys))]
    lines += ["## Costs\n", "\n".join(cost_table(keys[:TIMED_KEYS]))]
    lines += [
        f"## Beside others\n\nPython {platform.python_version()}, {packages}; µs a key.\n",
        "\n".join(peers_table(keys[:TIMED_KEYS])),
    ]
    return "\n\n".join(line.strip() for line in lines) + "\n"


def main() -> None:
    """Measure, print, and write if asked to."""
    keys = [b"user:%d" % number for number in range(KEYS)]
    found = {size: {name: quality(rule, size, keys) for name, rule in RULES.items()} for size in SIZES}
    made = report(found, keys)
    print(made)
    if "--write" in sys.argv:
        page = DOCS / "placement.md"
        whole = f"{re.escape(BEGIN)}.*?{re.escape(END)}"
        filled = re.sub(whole, lambda _: f"{BEGIN}\n{made}\n{END}", page.read_text("utf-8"), flags=re.DOTALL)
        page.write_text(filled, "utf-8")
        (DOCS / "placement.svg").write_text(svg(found), "utf-8")


if __name__ == "__main__":
    main()
