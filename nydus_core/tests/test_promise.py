"""Promises: what a command in a ``map()`` block returns behaves as its value, once there is one."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from nydus_core import EventualCommand, HostDown, MaybeApplied
from nydus_core.cluster.promise import abandon, settle
from nydus_core.command import Command, Outcome, mark_answer
from nydus_core.errors import NotResolved


def queued() -> Any:
    return EventualCommand(Command("get", ("key", "s3cret"), keys=(b"key",)))


def promise(outcome: Any) -> Any:
    made = queued()
    settle([made], [outcome])
    return made


def abandoned(*, sent: bool = False) -> Any:
    made = queued()
    abandon([made], sent=sent)
    return made


class Point:
    """A value with attributes, operators of its own, and no order."""

    def __init__(self, x: int) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x

    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: Any) -> str:
        return f"{self.x} @ {other}"

    def __rmatmul__(self, other: Any) -> str:
        return f"{other} @ {self.x}"

    def __round__(self, digits: int = 0) -> str:
        return f"round {digits}"

    def __trunc__(self) -> str:
        return "trunc"

    def __floor__(self) -> str:
        return "floor"

    def __ceil__(self) -> str:
        return "ceil"

    def __bytes__(self) -> bytes:
        return b"point"


#: A value, and something that is done to it.
OPERATIONS: list[tuple[Any, str, Callable[[Any], Any]]] = [
    # arithmetic, from both sides
    (7, "x + 1", lambda x: x + 1),
    (7, "1 + x", lambda x: 1 + x),
    (7, "x - 1", lambda x: x - 1),
    (7, "1 - x", lambda x: 1 - x),
    (7, "x * 3", lambda x: x * 3),
    (7, "3 * x", lambda x: 3 * x),
    (7, "x / 2", lambda x: x / 2),
    (7, "2 / x", lambda x: 2 / x),
    (7, "x // 2", lambda x: x // 2),
    (7, "50 // x", lambda x: 50 // x),
    (7, "x % 4", lambda x: x % 4),
    (7, "50 % x", lambda x: 50 % x),
    (7, "divmod(x, 2)", lambda x: divmod(x, 2)),
    (7, "divmod(50, x)", lambda x: divmod(50, x)),
    (7, "x ** 2", lambda x: x**2),
    (7, "2 ** x", lambda x: 2**x),
    (7, "pow(x, 2, 5)", lambda x: pow(x, 2, 5)),
    (7, "x << 2", lambda x: x << 2),
    (7, "1 << x", lambda x: 1 << x),
    (7, "x >> 1", lambda x: x >> 1),
    (7, "999 >> x", lambda x: 999 >> x),
    (7, "x & 2", lambda x: x & 2),
    (7, "2 & x", lambda x: 2 & x),
    (7, "x | 8", lambda x: x | 8),
    (7, "8 | x", lambda x: 8 | x),
    (7, "x ^ 1", lambda x: x ^ 1),
    (7, "1 ^ x", lambda x: 1 ^ x),
    (7, "-x", lambda x: -x),
    (7, "+x", lambda x: +x),
    (7, "~x", lambda x: ~x),
    (-7, "abs(x)", abs),
    (Point(1), "x @ 2", lambda x: x @ 2),
    (Point(1), "2 @ x", lambda x: 2 @ x),
    (7, "x += 1", lambda x: operator.iadd(x, 1)),  # type: ignore[no-untyped-call]
    # comparison, from both sides
    (7, "x == 7", lambda x: x == 7),
    (7, "7 == x", lambda x: 7 == x),  # noqa: SIM300
    (7, "x != 7", lambda x: x != 7),
    (7, "x < 8", lambda x: x < 8),
    (7, "8 < x", lambda x: 8 < x),  # noqa: SIM300
    (7, "x <= 7", lambda x: x <= 7),
    (7, "x > 7", lambda x: x > 7),
    (7, "x >= 7", lambda x: x >= 7),
    (7, "sorted", lambda x: sorted([9, x, 1]) == [1, 7, 9]),
    (7, "7 in [x]", lambda x: 7 in [x]),
    (None, "x == None", lambda x: x == None),  # noqa: E711
    # conversion
    (7, "bool", bool),
    (0, "bool of 0", bool),
    ([], "bool of []", bool),
    (None, "bool of None", bool),
    (7, "x or 0", lambda x: (x or 0) == 7),
    (None, "x or 0 of None", lambda x: x or 0),
    (7, "not x", operator.not_),
    ("12", "int", int),
    ("1.5", "float", float),
    ("1j", "complex", complex),
    (7, "str", str),
    (b"7", "bytes", bytes),
    (Point(1), "bytes of an object", bytes),
    (7, "format", lambda x: f"{x:>05}"),
    (7, "format without a spec", lambda x: f"{x}"),
    (7, "%d", lambda x: "%d" % x),  # noqa: UP031
    (b"7", "%s", lambda x: b"%s" % x),
    (7.567, "round", round),
    (7.567, "round to digits", lambda x: round(x, 2)),
    (Point(1), "round of an object", lambda x: round(x, 3)),
    (Point(1), "trunc", math.trunc),
    (Point(1), "floor", math.floor),
    (Point(1), "ceil", math.ceil),
    (7.5, "trunc of a float", math.trunc),
    # as an index, a key, an argument
    (2, "index", operator.index),
    (2, "as an index", lambda x: "abcd"[x]),
    (2, "in a slice", lambda x: "abcd"[x:]),
    (2, "range", lambda x: list(range(x))),
    (2, "text * x", lambda x: "ab" * x),
    ("a", "text + x", lambda x: "b" + x),
    ([1], "list + x", lambda x: [0] + x),  # noqa: RUF005
    ("k", "as a key", lambda x: {"k": 1}[x]),
    ("k", "in a set", lambda x: x in {"k"}),
    ("k", "hash", hash),
    (7, "sum", lambda x: sum([x, x, 1])),
    # containers
    ([1, 2, 3], "len", len),
    ([1, 2, 3], "iter", list),
    ([1, 2, 3], "unpacking", lambda x: [*x, 4]),
    ([1, 2, 3], "reversed", lambda x: list(reversed(x))),
    ([1, 2, 3], "contains", lambda x: 2 in x),
    ([1, 2, 3], "index 1", lambda x: x[1]),
    ([1, 2, 3], "slice", lambda x: x[1:]),
    ([1, 2, 3], "max", max),
    ([1, 2, 3], "method", lambda x: x.count(2)),
    ({"a": 1}, "item", lambda x: x["a"]),
    ({"a": 1}, "dict", dict),
    ({"a": 1}, "**", lambda x: dict(**x)),
    ({"a": 1}, "x | {}", lambda x: x | {"b": 2}),
    (b"a,b", "method of bytes", lambda x: x.split(b",")),
    # what it is
    (7, "isinstance", lambda x: isinstance(x, int)),
    (7, "isinstance of another", lambda x: isinstance(x, str)),
    (None, "isinstance of None", lambda x: isinstance(x, type(None))),
    (7, "__class__", lambda x: x.__class__),
    (Point(3), "attribute", lambda x: x.x),
    (Point(3), "getattr", lambda x: getattr(x, "y", "none")),
    (7, "dir", dir),
    # copies
    ([1, [2]], "copy", copy.copy),
    ([1, [2]], "deepcopy", copy.deepcopy),
    ({"a": 7}, "json", lambda x: json.dumps(getattr(x, "value", x))),
]


@pytest.mark.parametrize(
    ("value", "operation"), [(v, o) for v, _, o in OPERATIONS], ids=[n for _, n, _ in OPERATIONS]
)
def test_a_promise_behaves_as_its_value(value: Any, operation: Callable[[Any], Any]) -> None:
    expected, found = operation(copy.deepcopy(value)), operation(promise(value))
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "operation", "error"),
    [
        (7, len, TypeError),
        (7, iter, TypeError),
        (7, lambda x: x.nothing, AttributeError),
        (7, lambda x: x + "a", TypeError),
        (7, lambda x: "a" + x, TypeError),
        (7, lambda x: x < "a", TypeError),
        (7, lambda x: x[0], TypeError),
        (None, int, TypeError),
        (None, lambda x: x[0], TypeError),
        ([], lambda x: x[0], IndexError),
        ([], hash, TypeError),
        ({}, lambda x: x["a"], KeyError),
        ("a", int, ValueError),
        (1.5, operator.index, TypeError),
        (1, lambda x: x / 0, ZeroDivisionError),
        (Point(1), lambda x: x < x, TypeError),
    ],
)
def test_what_the_value_cannot_do_its_promise_cannot(
    value: Any, operation: Callable[[Any], Any], error: type[Exception]
) -> None:
    for each in (value, promise(value)):
        with pytest.raises(error):
            operation(each)


@pytest.mark.parametrize(
    ("one", "other"), [(1, 2), (2, 2), ("a", "b"), ([1], [1, 2]), (b"", b""), ((1, "a"), (1, "b"))]
)
@pytest.mark.parametrize(
    "compare", [getattr(operator, name) for name in ("eq", "ne", "lt", "le", "gt", "ge")]
)
def test_two_promises_compare_as_their_values(
    one: Any, other: Any, compare: Callable[[Any, Any], bool]
) -> None:
    assert compare(promise(one), promise(other)) is compare(one, other)


def test_two_promises_calculate_as_their_values() -> None:
    assert promise(3) + promise(4) == 7
    assert promise([1]) + promise([2]) == [1, 2]
    assert promise({"a": promise(1)}) == {"a": 1}
    assert promise([10, 20])[promise(1)] == 20


def test_a_value_can_be_changed_through_its_promise() -> None:
    value: list[Any] = [1, 2, 3]
    made = promise(value)
    made[0] = "a"
    del made[1]
    made.append("b")
    assert value == ["a", 3, "b"]


def test_a_promised_iterator_is_advanced() -> None:
    made = promise(iter("ab"))
    assert (next(made), next(made)) == ("a", "b")


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_of_a_promise_is_a_copy_of_its_value(duplicate: Callable[[Any], Any]) -> None:
    made = promise([1])
    copied = duplicate(made)
    copied.append(2)
    assert type(copied) is list
    assert made == [1]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [None, 7, "text", b"\xff", [1, {"a": (2,)}]])
def test_a_pickled_promise_is_its_value(protocol: int, value: Any) -> None:
    found = pickle.loads(pickle.dumps({"in": [promise(value)]}, protocol))
    assert found == {"in": [value]}
    assert type(found["in"][0]) is type(value)


@pytest.mark.parametrize("value", [None, 7, b"text", [1]])
def test_value_is_the_value_itself(value: Any) -> None:
    made = promise(value)
    assert made.value is value
    assert made.error is None
    assert made.outcome is Outcome.VALUE


def test_the_class_of_a_promise_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="has the class of its value"):
        promise(7).__class__ = str


# Without a value --------------------------------------------------------------------------------------------------

#: Every operation that needs a value. Not dir, which serves completion.
USES = {name: operation for _, name, operation in OPERATIONS if not name.startswith("dir")}

every_use = pytest.mark.parametrize("use", USES.values(), ids=list(USES))


@every_use
def test_a_promise_of_a_failed_command_raises_its_error(use: Callable[[Any], Any]) -> None:
    error = LookupError("WRONGTYPE")
    made = promise(error)
    for _ in range(2):
        with pytest.raises(LookupError, match="WRONGTYPE") as caught:
            use(made)
        assert caught.value is error


def test_a_promise_of_a_failed_command_still_tells_what_happened() -> None:
    error = LookupError("WRONGTYPE")
    made = promise(error)
    assert made.error is error
    assert repr(made) == "<EventualCommand get b'key': failed with LookupError('WRONGTYPE')>"
    assert dir(made) == []


def test_the_traceback_of_an_error_does_not_grow_with_each_use() -> None:
    made = promise(LookupError("WRONGTYPE"))
    lengths = []
    for _ in range(3):
        with pytest.raises(LookupError) as caught:
            made + 1
        lengths.append(len(caught.traceback))
    assert len(set(lengths)) == 1


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (mark_answer(LookupError("WRONGTYPE")), Outcome.SERVER_ERROR),
        (HostDown("refused"), Outcome.NOT_SENT),
        (MaybeApplied("lost"), Outcome.MAYBE_APPLIED),
    ],
)
def test_a_promise_knows_its_outcome(error: Exception, outcome: Outcome) -> None:
    assert promise(error).outcome is outcome


@every_use
def test_a_promise_cannot_be_used_before_its_block_has_ended(use: Callable[[Any], Any]) -> None:
    with pytest.raises(NotResolved, match=r"get b'key' has no value yet: .* when their map\(\) block ends"):
        use(queued())


@pytest.mark.parametrize("name", ["value", "error", "outcome"])
def test_nothing_is_known_of_a_promise_before_its_block_has_ended(name: str) -> None:
    with pytest.raises(NotResolved, match="has no value yet"):
        getattr(queued(), name)


@every_use
@pytest.mark.parametrize(("sent", "why"), [(False, "was never sent"), (True, "may have been applied")])
def test_a_promise_that_was_abandoned_cannot_be_used(use: Callable[[Any], Any], sent: bool, why: str) -> None:
    with pytest.raises(NotResolved, match=f"get b'key' {why}"):
        use(abandoned(sent=sent))


@pytest.mark.parametrize(("sent", "outcome"), [(False, Outcome.NOT_SENT), (True, Outcome.MAYBE_APPLIED)])
def test_a_promise_that_was_abandoned_knows_whether_its_command_was_on_its_way(
    sent: bool, outcome: Outcome
) -> None:
    assert abandoned(sent=sent).outcome is outcome


@pytest.mark.parametrize(
    ("make", "shown"),
    [
        (
            queued,
            "<EventualCommand: get b'key' has no value yet: commands are sent when their map() block ends>",
        ),
        (abandoned, "<EventualCommand: get b'key' was never sent: its map() block raised>"),
        (lambda: promise(7), "<EventualCommand get b'key': 7>"),
        (lambda: promise("text"), "<EventualCommand get b'key': 'text'>"),
    ],
)
def test_a_promise_always_has_a_repr_and_it_shows_no_arguments(make: Callable[[], Any], shown: str) -> None:
    assert repr(make()) == shown
