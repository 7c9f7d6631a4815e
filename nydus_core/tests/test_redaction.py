"""Redactors: a host's secrets are taken out of texts and errors, in every form in which texts show them."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nydus_core import create_cluster
from nydus_core.command import Command
from nydus_core.engines import BaseEngine
from nydus_core.errors import CrossHostError, HostDown
from nydus_core.redaction import NO_SECRETS, Redactor, looks_secret, options_of, redactor_of


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "passwd",
        "pwd",
        "ssl_password",
        "username",
        "user",
        "secret",
        "client_secret",
        "credential_provider",
        "token",
        "auth_token",
        "api_key",
        "apikey",
        "access_key",
        "account_key",
        "private_key",
        "dsn",
        "login",
        "cookie",
        "sas_signature",
    ],
)
def test_an_option_of_this_name_is_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "host",
        "port",
        "db",
        "timeout",
        "key_prefix",
        "ssl_keyfile",
        "ssl_certfile",
        "passive",
        "author",
        "token_ttl",
        "user_agent",
        "key",
        "password_file",
    ],
)
def test_an_option_of_this_name_is_not(name: str) -> None:
    assert not looks_secret(name)


SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30)


@given(SECRETS, st.sampled_from(["{}", "a{}b", "'{}' {}", "\n{}"]))
def test_no_form_of_a_secret_is_left_in_a_text(secret: str, frame: str) -> None:
    assume("*" not in secret and secret not in frame and secret.strip() == secret)
    redactor = Redactor({"password": secret})
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        repr(secret)[1:-1],
        repr(secret.encode())[2:-1],
        json.dumps(secret)[1:-1],
    ]
    for form in forms:
        assert form not in redactor.text(frame.replace("{}", form))


@given(SECRETS)
def test_an_error_loses_its_secrets_whatever_it_keeps_them_in(secret: str) -> None:
    assume("*" not in secret and re.search(r"\w", secret))
    error = OSError(5, secret, secret)
    error.__cause__ = KeyError(secret, [secret, {"x": (secret.encode(),)}])
    error.__cause__.__context__ = UnicodeDecodeError("utf-8", secret.encode(), 0, 1, secret)
    error.more = {"x": [secret]}  # type: ignore[attr-defined]
    error.add_note(secret)
    assert Redactor({"password": secret}).clean(error) is error
    shown = [error.args, error.strerror, error.filename, vars(error), error.__cause__.args]
    shown += [error.__cause__.__context__.reason, error.__cause__.__context__.object]
    for text in (repr(shown), *map(str, [error, error.__cause__, error.__cause__.__context__])):
        assert secret not in text
        assert repr(secret)[1:-1] not in text


@pytest.mark.parametrize(
    ("options", "text", "left"),
    [
        ({"password": "sesame"}, "no sesame here", "no *** here"),
        ({"password": b"sesame"}, "no sesame here", "no *** here"),
        ({"password": "a"}, "a cat, 'a'", "*** cat, '***'"),
        ({"username": "app"}, "user app of app-1 at apple", "user *** of ***-1 at apple"),
        ({"username": "default"}, "user default", "user default"),
        ({"username": "default", "password": "default"}, "by default", "by ***"),
        ({"password": ""}, "nothing", "nothing"),
        ({"password": None, "token": True}, "None True", "None True"),
        ({"token": 123456789}, "token 123456789", "token ***"),
        ({"password": "abcdefghijklmnop"}, "'abcdefghij' was cut", "'***' was cut"),
        ({"url": "x://bob:sesame@h"}, "bob, sesame", "***, ***"),
        ({"url": "x://only-a-token@h"}, "only-a-token", "***"),
        ({"url": "x://:a%2Fbcdef@h"}, "a/bcdef a%2Fbcdef a%2fbcdef", "*** *** ***"),
        ({"url": "x://:open/sesame#1@h"}, "open/sesame#1", "***"),
        ({"nested": [{"auth": "sesame"}]}, "sesame", "***"),
        ({"credentials": {"name": "sesame", "more": [b"open it"]}}, "sesame, open it", "***, ***"),
        ({}, "redis://bob:pw@h:1/0 and more", "redis://***@h:1/0 and more"),
        ({}, "redis://:p@w@h:1/0", "redis://***@h:1/0"),
        ({}, "redis://h:1/0, mail bob@h", "redis://h:1/0, mail bob@h"),
    ],
)
def test_a_text_is_left_without_secrets(options: dict[str, Any], text: str, left: str) -> None:
    assert Redactor(options).text(text) == left


def test_secrets_that_change_are_learned_and_the_oldest_forgotten() -> None:
    redactor = Redactor({"password": "first-password"})
    for number in range(40):
        redactor.learn(f"{number:03}-a-token")
        assert redactor.text(f"with {number:03}-a-token.") == "with ***."
    assert redactor.text("first-password, 001-a-token!") == "***, 001-a-token!"


class Weaver(Exception):
    """Weaves its text out of an object that holds a secret."""

    def __init__(self, held: Any) -> None:
        super().__init__("woven")
        self.held = held

    def __str__(self) -> str:
        return f"with {self.held.password}"


class Held:
    password = "open sesame"


def test_an_error_that_weaves_its_text_is_given_another_and_stays_of_its_class() -> None:
    error = Redactor({"password": "open sesame"}).clean(Weaver(Held()))
    assert str(error) == "with ***"
    assert isinstance(error, Weaver)
    assert type(error).__name__ == "Weaver"
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, Weaver)
    assert str(again) == "with ***"
    assert b"sesame" not in pickle.dumps(error)


def test_an_error_without_secrets_is_left_as_it_is() -> None:
    error = OSError(1, "x")
    error.things = things = [1, {"a": "b"}]  # type: ignore[attr-defined]
    args = error.args
    Redactor({"password": "sesame"}).clean(error)
    assert error.args is args
    assert error.things is things  # type: ignore[attr-defined]


def test_a_circle_of_causes_ends() -> None:
    one, two = OSError("sesame"), OSError("sesame")
    one.__cause__, two.__cause__ = two, one
    Redactor({"password": "sesame"}).clean(one)
    assert "sesame" not in f"{one} {two}"


def test_our_own_words_are_left() -> None:
    """The name of a user may be a word in the key, and the user has to know the key."""
    error = HostDown("refused for app", host="'app' (redis://app:1)", command="GET b'app:1'")
    assert str(Redactor({"username": "app"}).clean(error)) == (
        "GET b'app:1' was not taken by host 'app' (redis://app:1): refused for ***"
    )
    crossing = CrossHostError("MGET", {"a": [b"app"]}, "app")
    assert "***" not in str(Redactor({"username": "app"}).clean(crossing))


class Store(BaseEngine):
    def __init__(self, num: Any, host: str, password: str = "", *more: Any, **options: Any) -> None:
        super().__init__(num)


@pytest.mark.parametrize(
    "engine",
    [
        Store(0, "h", "open sesame"),
        Store(0, "h", password="open sesame"),
        Store(0, "h", token="open sesame"),
        Store(0, "h", "", "x://u:open%20sesame@h"),
    ],
)
def test_an_engine_knows_its_secrets_whatever_its_constructor_does_with_them(engine: Store) -> None:
    cause = OSError("with open sesame")
    error = engine.failed(HostDown, cause, Command("get", keys=[b"a"]))
    assert "sesame" not in "".join(traceback.format_exception(error))
    assert redactor_of(engine).text("open sesame") == "***"


def test_what_is_no_engine_of_ours_has_no_secrets_to_know() -> None:
    assert redactor_of(object()) is NO_SECRETS


def test_arguments_have_names() -> None:
    assert options_of(Store, (0, "h", "pw", 4), {"x": 5}) == {
        "num": 0,
        "host": "h",
        "password": "pw",
        "3": 4,
        "x": 5,
    }


class Slippery(Exception):
    """An error of a plugin, one of whose attributes cannot be read."""

    @property
    def reason(self) -> str:
        raise KeyError("reason")


def test_an_error_with_an_attribute_that_raises_is_cleaned() -> None:
    error = Slippery("found hunter2hunter2")
    assert Redactor({"password": "hunter2hunter2"}).clean(error) is error
    assert str(error) == "found ***"


@pytest.mark.parametrize("part", ["a://", "a.", "a://b/", "://", "a://b@c/"])
def test_a_long_text_takes_no_longer_than_its_length(part: str) -> None:
    # With a look at the rest of the text for each part of it, these would take hours
    assert NO_SECRETS.text(f"@ a:// {part * 200_000}").startswith("@ a:// ")


def test_the_beginnings_of_a_secret_are_found_in_a_long_text() -> None:
    redactor = Redactor({"password": "correct-horse"})
    assert redactor.text("correct-, " * 200_000) == "***, " * 200_000


def test_a_secret_learnt_while_another_thread_looks_for_secrets_is_taken_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    redactor = Redactor({"password": "hunter2hunter2"})
    compile_pattern = re.compile

    def learning(*args: Any) -> re.Pattern[str]:
        redactor.learn("a-token-of-today")  # as another thread would, between two lines
        return compile_pattern(*args)

    with monkeypatch.context() as patch:
        patch.setattr("nydus_core.redaction.texts.re.compile", learning)
        redactor.text("first")
    assert redactor.text("found a-token-of-today") == "found ***"


class Shown(Exception):
    """An error of a program, with a text of its own."""

    def __str__(self) -> str:
        return "no entry for ann"


@pytest.mark.parametrize("error", [KeyError("ann"), Shown("ann")])
def test_an_error_that_the_program_handles_stays_as_it_is(error: Exception) -> None:
    class Refusing(BaseEngine):
        def connect(self) -> Any:
            return self

        def get(self, key: str) -> Any:
            try:
                raise ValueError("inner ann")
            except ValueError:
                raise OSError("outer ann")  # noqa: B904  # its context is looked at

    kind, args = type(error), error.args
    cluster = create_cluster({"engine": Refusing, "hosts": [{"username": "ann"}]})
    try:
        raise error
    except Exception:
        with pytest.raises(OSError, match=r"^outer \*\*\*") as caught:
            cluster.get("k")
    inner = caught.value.__context__
    while inner is not None and not isinstance(inner, ValueError):
        inner = inner.__context__
    assert str(inner) == "inner ***"
    assert (type(error), error.args) == (kind, args)
