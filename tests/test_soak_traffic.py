"""The judges of ``make soak-traffic``: they see a counter that is not true, and a process that holds more and more.

The long run itself: ``tests/support/chaos/soak.py``.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from chaos.leaking import LEAKS, leak
from chaos.ledger import Book, Marks, untrue
from chaos.samples import Sample, grown, table
from chaos.soak import ALLOWANCES
from nydus_core.command import Outcome

pytestmark = pytest.mark.slow_env


def book(*outcomes: Outcome) -> Book:
    made = Book()
    for outcome in outcomes:
        made.note("incr", outcome, "n")
    return made


TOLD = (Outcome.VALUE, Outcome.VALUE, Outcome.MAYBE_APPLIED, Outcome.NOT_SENT, Outcome.SERVER_ERROR)


@pytest.mark.parametrize(("value", "true"), [(1, False), (2, True), (3, True), (4, False)])
def test_a_counter_is_as_high_as_callers_were_told_and_perhaps_a_little_higher(
    value: int, true: bool
) -> None:
    assert (untrue([book(*TOLD)], {"n": value}) == []) is true


def test_all_callers_count_and_a_server_that_forgets_may_have_less() -> None:
    books = [book(Outcome.VALUE), book(Outcome.VALUE)]
    assert untrue(books, {"n": 2}) == []
    assert untrue(books, {"n": 1}) == ["n is 1, expected 2 to 2"]
    assert untrue(books, {"n": 1}, forgotten=["n"]) == []
    assert untrue(books, {"n": 3}, forgotten=["n"]) != []
    assert untrue(books, {"n": 2, "other": 1}) == ["other is 1, expected 0 to 0"]


def test_what_comes_twice_is_seen() -> None:
    marks = Marks(10)
    assert [marks.add(number) for number in (3, 4, 3)] == [True, True, False]


# Growth --------------------------------------------------------------------------------------------------------------


def flat(**more: float) -> Sample:
    held = dict.fromkeys(ALLOWANCES, 100.0)
    return Sample(0.0, {**held, **more}, Counter())


@pytest.mark.parametrize("name", ALLOWANCES)
def test_each_amount_may_be_as_high_as_is_allowed_and_no_higher(name: str) -> None:
    most = ALLOWANCES[name].most(100.0)
    assert grown(flat(), flat(**{name: most}), ALLOWANCES) == []
    (text,) = grown(flat(), flat(**{name: most + 1}), ALLOWANCES)
    assert text.startswith(f"{name}: 100 after")


@pytest.fixture(scope="module")
def other_process() -> Iterator[ProcessPoolExecutor]:
    """A process that does nothing else: memory, files and threads are those of a whole process."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield process


@pytest.mark.parametrize("name", LEAKS)
def test_a_real_leak_shows_in_real_samples_and_nothing_else_does(
    other_process: ProcessPoolExecutor, name: str
) -> None:
    found, types = other_process.submit(leak, name).result()
    assert [text.partition(":")[0] for text in found if name != "objects" or "memory" not in text] == [name]
    if name == "objects":
        assert "+100000 Left" in types


def test_samples_are_a_table_with_a_line_each() -> None:
    lines = table([flat(), flat(files=12.0)]).splitlines()
    assert [line.split()[-1] for line in lines] == ["connections", "100", "100"]
    assert "12" in lines[2]
