"""Checks of what a user writes: for each check values that pass, and values that are refused, with the whole error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from nydus_core import ConfigError
from nydus_core.checks import (
    AT_MOST,
    COUNT,
    HOST,
    PORT,
    SECONDS,
    SECONDS_OR_NONE,
    SECONDS_OR_ZERO,
    SHARE,
    Check,
    agreed,
    check,
    check_each,
    check_type,
    choose,
    is_time,
    one_of,
    refuse,
    refuse_unknown,
    whole_number,
)
from nydus_core.wording import nearest, shown, without_secrets


def refusal(checked: Callable[[], object]) -> str:
    """The error of a check, place and all."""
    with pytest.raises(ConfigError) as caught:
        checked()
    return str(caught.value)


@pytest.mark.parametrize(
    ("fits", "value"),
    [
        (HOST, "localhost"),
        (PORT, 1),
        (PORT, 65535),
        (SECONDS, 1),
        (SECONDS, 0.001),
        (SECONDS_OR_NONE, None),
        (SECONDS_OR_NONE, 1_000_000),
        (SECONDS_OR_ZERO, 0),
        (SECONDS_OR_ZERO, 0.0),
        (SECONDS_OR_ZERO, 2.5),
        (AT_MOST, None),
        (AT_MOST, 1),
        (COUNT, 1),
        (SHARE, 1),
        (SHARE, 0.25),
    ],
)
def test_a_value_that_fits_passes(fits: Check, value: object) -> None:
    check(value, fits, "somewhere")


@pytest.mark.parametrize(
    ("fits", "value", "error"),
    [
        (HOST, "", "found ''; expected a name or an address"),
        (PORT, 0, "found 0; expected a port, 1 to 65535"),
        (PORT, 65536, "found 65536; expected a port, 1 to 65535"),
        (SECONDS, 0, "found 0; expected seconds, more than 0"),
        (SECONDS, True, "found True; expected seconds, more than 0"),
        (SECONDS, "5", "found '5'; expected seconds, more than 0"),
        (SECONDS, math.inf, "found inf; expected seconds, more than 0"),
        (SECONDS_OR_NONE, 0, "found 0; expected seconds, more than 0, or None for no limit"),
        (SECONDS_OR_NONE, 1_000_001, "found 1000001; expected seconds, more than 0, or None for no limit"),
        (SECONDS_OR_ZERO, -1, "found -1; expected seconds, 0 or more"),
        (SECONDS_OR_ZERO, False, "found False; expected seconds, 0 or more"),
        (SECONDS_OR_ZERO, None, "found None; expected seconds, 0 or more"),
        (AT_MOST, 0, "found 0; expected 1 or more, or None"),
        (COUNT, 0, "found 0; expected a whole number, 1 or more"),
        (COUNT, 1.0, "found 1.0; expected a whole number, 1 or more"),
        (COUNT, True, "found True; expected a whole number, 1 or more"),
        (SHARE, 0, "found 0; expected a share, more than 0 and at most 1"),
        (SHARE, 1.1, "found 1.1; expected a share, more than 0 and at most 1"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(fits: Check, value: object, error: str) -> None:
    assert refusal(lambda: check(value, fits, "hosts['a'].x")) == f"hosts['a'].x: {error}"


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (1e-9, True),
        (999_999_999, True),
        (1e9, False),
        (0, False),
        (-1, False),
        (math.nan, False),
        (None, False),
    ],
)
def test_a_time_is_a_number_of_seconds_that_a_deadline_can_have(value: object, is_one: bool) -> None:
    assert is_time(value) is is_one


def test_options_that_are_not_set_are_not_checked() -> None:
    check_each({"a": 1, "other": "as it likes"}, {"a": COUNT, "b": COUNT})


@pytest.mark.parametrize(("path", "place"), [("", "b"), ("retry", "retry.b")])
def test_an_option_is_refused_under_its_name(path: str, place: str) -> None:
    error = refusal(lambda: check_each({"b": 0}, {"a": COUNT, "b": COUNT}, path))
    assert error == f"{place}: found 0; expected a whole number, 1 or more"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("a", str), (1, int), (1, float), (1.5, float), (True, bool), (None, (int, type(None)))],
)
def test_a_value_of_the_type_passes(value: object, expected: type | tuple[type, ...]) -> None:
    check_type(value, expected, "hosts[0].x")


@pytest.mark.parametrize(
    ("value", "expected", "name", "error"),
    [
        ("1", int, "port", "found str '1'; expected int"),
        (1.5, int, "port", "found float 1.5; expected int"),
        (True, int, "port", "found bool True; expected int"),
        (False, float, "timeout", "found bool False; expected float"),
        ("x", (int, float, type(None)), "timeout", "found str 'x'; expected int or float or None"),
        ([1], str, "host", "found a value of type list; expected str"),
        (12345, str, "password", "found a value of type int; expected str"),
        ("secret://x", int, "port", "found str 'secret://***'; expected int"),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, expected: Any, name: str, error: str) -> None:
    assert refusal(lambda: check_type(value, expected, f"hosts[0].{name}")) == f"hosts[0].{name}: {error}"


def test_a_whole_number_in_range_is_returned() -> None:
    assert [whole_number(number, 1, 4, "router.points") for number in (1, 4)] == [1, 4]


@pytest.mark.parametrize(("given", "said"), [(0, "0"), (5, "5"), (2.0, "2.0"), (True, "True"), ("2", "'2'")])
def test_a_number_that_is_not_whole_or_not_in_range_is_refused(given: object, said: str) -> None:
    error = refusal(lambda: whole_number(given, 1, 4, "router.points"))
    assert error == f"router.points: found {said}; expected a whole number, 1 to 4"


def test_a_value_is_chosen_by_its_name() -> None:
    assert choose({"md5": 1, "crc32": 2}, "crc32", "router.hash") == 2


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("crc23", "found 'crc23'; expected one of md5, crc32; did you mean 'crc32'?"),
        ("zzz", "found 'zzz'; expected one of md5, crc32"),
        (5, "found 5; expected one of md5, crc32"),
        (["md5"], "found ['md5']; expected one of md5, crc32; did you mean 'md5'?"),
    ],
)
def test_a_name_that_is_not_known_is_refused(given: object, error: str) -> None:
    assert refusal(lambda: choose({"md5": 1, "crc32": 2}, given, "router.hash")) == f"router.hash: {error}"


def test_a_known_word_passes() -> None:
    one_of("raise", ("raise", "reroute"), "on_host_down")


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("raises", "found 'raises'; expected one of 'raise', 'reroute'; did you mean 'raise'?"),
        ("zzz", "found 'zzz'; expected one of 'raise', 'reroute'"),
        (None, "found None; expected one of 'raise', 'reroute'"),
        ({}, "found {}; expected one of 'raise', 'reroute'"),
    ],
)
def test_a_word_that_is_not_known_is_refused(given: object, error: str) -> None:
    assert refusal(lambda: one_of(given, ("raise", "reroute"), "on_host_down")) == f"on_host_down: {error}"


MANY = [f"option{number}" for number in range(12)]


@pytest.mark.parametrize(
    ("known", "path", "error"),
    [
        (
            ["port", "host"],
            "hosts[0]",
            "hosts[0].hots: unknown setting; known: host, port; did you mean 'host'?",
        ),
        (["port"], "", "hots: unknown setting; known: port"),
        ([], "", "hots: unknown setting; known: none"),
        (["host", *MANY], "", "hots: unknown setting; did you mean 'host'?"),
        (["port", *MANY], "", f"hots: unknown setting; known: {', '.join(sorted(['port', *MANY]))}"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_known_ones_unless_they_are_many(
    known: list[str], path: str, error: str
) -> None:
    assert refusal(lambda: refuse_unknown({"hots": 1}, known, path)) == error


def test_known_settings_pass() -> None:
    refuse_unknown({"host": 1}, ["host", "port"], "")


def test_an_option_that_would_break_a_guarantee_is_refused_with_the_reason() -> None:
    refused = {"retry": "the cluster repeats commands"}
    refuse({"retry": False, "other": True}, refused)
    assert refusal(lambda: refuse({"retry": True}, refused)) == (
        "retry: 'retry' is not for a host of a cluster: the cluster repeats commands"
    )


def test_hosts_must_agree() -> None:
    assert agreed([{"db": 1}, {"db": 1}]) == {"db": 1}
    assert refusal(lambda: agreed([{"db": 1}, {"db": 1}, {}])) == (
        "hosts: found 1 and None; all hosts of a cluster must have one db: set it in 'defaults'"
    )


def test_the_nearest_name_is_suggested_if_one_is_near() -> None:
    assert nearest("prot", ["host", "port"]) == "; did you mean 'port'?"
    assert nearest("zzz", ["host", "port"]) == nearest("", []) == ""


@pytest.mark.parametrize(
    ("value", "name", "text"),
    [
        ("a", "", "str 'a'"),
        (5, "port", "int 5"),
        (None, "", "NoneType None"),
        ({"a": 1}, "", "a value of type dict"),
        (b"abc", "", "a value of type bytes"),
        ("hunter2", "password", "a value of type str"),
        ("bob", "username", "a value of type str"),
        ("s3", "ssl_secret", "a value of type str"),
        ("redis://bob:hunter2@db/0", "", "str 'redis://***'"),
        ("bob:hunter2@db", "", "str ***"),
    ],
)
def test_a_value_is_shown_without_secrets(value: object, name: str, text: str) -> None:
    assert shown(value, name) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("nothing to hide: 5", "nothing to hide: 5"),
        ("cannot read redis://bob:hunter2@db\nor more", "cannot read redis://***"),
        ("no host bob:hunter2@db here", "no host *** here"),
    ],
)
def test_a_text_loses_its_secrets(text: str, left: str) -> None:
    assert without_secrets(text) == left
