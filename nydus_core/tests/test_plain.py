"""Values of subclasses are made plain before anything is decided by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from nydus_core.checks import is_time
from nydus_core.command import key_bytes
from nydus_core.plain import plain, whole
from nydus_core.wording import shown, written
from odd import Index, Level, Word, lying

LYING: list[tuple[Any, Any]] = [
    (lying(int)(7), 7),
    (lying(str)("text"), "text"),
    (lying(bytes)(b"bytes"), b"bytes"),
    (lying(float)(1.5), 1.5),
]


@pytest.mark.parametrize(
    ("value", "expected"), [(Level.LOW, 1), (Word.RED, "red"), *LYING], ids=lambda each: type(each).__name__
)
def test_a_subclass_becomes_its_base(value: Any, expected: Any) -> None:
    found = plain(value)
    assert type(found) is type(expected)
    assert found == expected


@pytest.mark.parametrize("value", [True, None, 5, "text", b"bytes", 1.5, [1], object()])
def test_other_values_stay_as_they_are(value: Any) -> None:
    assert plain(value) is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((5, 5), (Level.LOW, 1), (lying(int)(7), 7), (Index(9), 9), (Index(Level.LOW), 1)),
        *((True, None), (1.0, None), ("1", None), (Index("9"), None), (Index(True), None), (None, None)),
        *((10**5000, 10**5000),),
    ],
    ids=lambda each: type(each).__name__,
)
def test_whole_numbers(value: Any, expected: int | None) -> None:
    found = whole(value)
    assert type(found) is type(expected)
    assert found == expected


def test_a_number_whose_index_raises_is_none() -> None:
    assert whole(lying(object)()) is None


@pytest.mark.parametrize("make", [written, shown])
@pytest.mark.parametrize(
    "value",
    [*(value for value, _ in LYING), 10**5000, -(10**5000), lying(object)(), "x" * 999],
    ids=lambda each: type(each).__name__,
)
def test_any_value_can_be_shown(make: Callable[[Any], str], value: Any) -> None:
    assert 0 < len(make(value)) < 300


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, True), (0.5, True), (Level.LOW, True), (lying(float)(1.5), True), (lying(int)(7), True)]
    + [(value, False) for value in (True, 0, -1, float("nan"), float("inf"), 10**400, "5", None, Index(5))],
    ids=lambda each: type(each).__name__,
)
def test_a_time_is_told_by_the_plain_number(value: Any, expected: bool) -> None:
    assert is_time(value) is expected


def test_keys_are_the_bytes_that_a_value_holds() -> None:
    assert [
        key_bytes(each)
        for each in (lying(str)("text"), lying(bytes)(b"bytes"), Level.LOW, Word.RED, lying(int)(7))
    ] == [
        b"text",
        b"bytes",
        b"1",
        b"red",
        b"7",
    ]
