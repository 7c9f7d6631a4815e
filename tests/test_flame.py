"""`make flame`: each sample belongs to a step, and the picture is as wide as the samples."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def flame(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    import flame

    yield flame
    for name in {path.stem for path in BENCHMARKS.glob("*.py")}:
        sys.modules.pop(name, None)


def test_each_step_is_on_the_way_of_a_work(flame: Any) -> None:
    """By all calls, not by samples. A module with another name would leave its step without any."""
    places: dict[str, set[Any]] = {}

    def called(frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            places[name].add(flame.place_of(frame.f_code))

    with flame.cluster_of_servers() as cluster:
        for name, work in flame.WORKS.items():
            places[name] = set()
            work(cluster)
            sys.setprofile(called)
            try:
                work(cluster)
            finally:
                sys.setprofile(None)
    steps = {name: {flame.step_of((place,)).name for place in found} for name, found in places.items()}
    queue, cut = flame.STEPS[7].name, flame.STEPS[1].name
    all_steps = {step.name for step in flame.STEPS}
    assert steps["map"] >= all_steps - {cut}
    assert steps["single"] >= all_steps - {cut, queue}
    assert steps["mget"] >= all_steps - {queue}


def test_a_stack_belongs_to_its_innermost_step(flame: Any) -> None:
    outer, inner = flame.Place("f", "nydus_core/delivery/plan.py"), flame.Place("g", "x/connection/link.py")
    unknown = flame.Place("h", "json/decoder.py")
    place, receive, program = (flame.STEPS[number] for number in (0, 5, -1))
    assert flame.step_of((outer, inner, unknown)) == receive
    assert flame.step_of((inner, outer, unknown)) == place
    assert flame.step_of((unknown,)) == program
    shares = flame.by_step({(outer,): 3, (inner,): 1})
    assert shares == {place.name: 3, receive.name: 1}
    rows = [row.split("|")[1:3] for row in flame.table({"map": shares}).splitlines()]
    assert [place.name, "75%"] in [[cell.strip() for cell in row] for row in rows]


def test_the_work_is_sampled_and_nothing_else(flame: Any) -> None:
    def burn() -> None:
        sum(range(200_000))

    stacks = flame.sampled(burn, 3)
    assert stacks.total() >= 3
    assert {stack[0].name.rpartition(".")[2] for stack in stacks} == {"burn"}


def test_a_picture_is_as_wide_as_the_samples(flame: Any) -> None:
    a, b, c = (flame.Place(f"<{name}>", "some.py") for name in "abc")
    stacks = Counter({(a,): 1, (a, b): 2, (a, b, c): 3, (a, c): 1, (b,): 1})
    assert [(box.depth, box.start, box.samples, box.stack) for box in flame.boxes(stacks)] == [
        (0, 0, 7, (a,)),
        (0, 7, 1, (b,)),
        (1, 1, 5, (a, b)),
        (1, 6, 1, (a, c)),
        (2, 3, 3, (a, b, c)),
    ]
    svg = "{http://www.w3.org/2000/svg}"
    groups = ElementTree.fromstring(flame.picture(stacks, "a & b")).findall(f"{svg}g")
    widths = [float(str(group[1].get("width"))) for group in groups]
    scale = (flame.WIDTH - 2 * flame.MARGIN) / 8
    assert widths == pytest.approx([7 * scale, scale, 5 * scale, scale, 3 * scale], abs=0.01)
    assert str(groups[0][0].text).startswith("some.py: <a>\n87.5%, 7 samples")
