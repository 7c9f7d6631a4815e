"""The report on placement, without its times: what it says of a rule is so, and its drawing is one."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from nydus_core.routers import PartitionRouter, profiles

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

ROOT = Path(__file__).resolve().parent.parent
KEYS = [b"user:%d" % number for number in range(3_000)]


@pytest.fixture(scope="module")
def report() -> Any:
    spec = importlib.util.spec_from_file_location("placement_report", ROOT / "benchmarks/placement.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_good_rule_is_near_the_ideal_and_moves_nothing_astray(report: Any) -> None:
    found, ideal = report.quality(profiles.rendezvous, 10, KEYS), report.ideal(10)
    assert found == pytest.approx(ideal, abs=0.2)
    assert found.strays == 0
    assert found[2:] == pytest.approx(ideal[2:], abs=0.02)


def test_a_rule_without_memory_is_seen_to_move_nearly_all(report: Any) -> None:
    found = report.quality(PartitionRouter, 10, KEYS)
    assert found.added > 0.85
    assert found.strays > 0.5


def test_the_drawing_shows_every_rule(report: Any) -> None:
    found = {size: {name: report.ideal(size) for name in report.RULES} for size in report.SIZES}
    drawing = ElementTree.fromstring(report.svg(found))
    words = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert set(report.RULES) <= words


def test_the_page_has_the_report_of_every_rule(report: Any) -> None:
    page = (ROOT / "docs/placement.md").read_text()
    assert all(page.count(f"| {name} |") == len(report.SIZES) + 1 for name in report.RULES)
    ElementTree.parse(ROOT / "docs/placement.svg")
