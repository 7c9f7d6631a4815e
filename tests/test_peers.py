"""The page about redis-py's own tests, which ``make peers`` writes: its numbers add up, and its reasons are those of the tool."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

ROOT = Path(__file__).resolve().parent.parent


def rows() -> list[list[str]]:
    """The cells of all rows of the tables of the page, without their heads."""
    page = (ROOT / "docs" / "compatibility.md").read_text("utf-8")
    table = page.partition("<!-- table")[2].partition("<!-- end of the table -->")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"\|", line)[1:-1]] for line in lines if line[-2:] != "-|"]


def test_the_tests_of_each_file_add_up_and_each_that_fails_has_a_reason() -> None:
    files = [[int(cell) for cell in row[1:]] for row in rows() if len(row) == 4 and row[1].isdigit()]
    *each, all_of_them = files
    assert [sum(column) for column in zip(*each, strict=True)] == all_of_them
    reasons = [[int(cell) for cell in row[1:]] for row in rows() if len(row) == 3 and row[1].isdigit()]
    bare, one, three = all_of_them
    assert [sum(column) for column in zip(*reasons, strict=True)] == [bare - one, bare - three]


def test_its_reasons_are_those_of_the_tool() -> None:
    known = tomllib.loads((ROOT / "tools" / "peer_tests.toml").read_text("utf-8"))["reason"]
    mark = " *(a fault of ours)*"
    assert [row[0] for row in rows() if len(row) == 3 and row[1].isdigit()] == [
        reason["why"] + ("" if reason["kind"] == "design" else mark) for reason in known
    ]


def test_few_faults_are_known_and_open() -> None:
    ours = [int(row[1]) for row in rows() if len(row) == 3 and row[0].endswith("*(a fault of ours)*")]
    assert sum(ours) <= 15
