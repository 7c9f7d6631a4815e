"""The settings about hosts that fail: what they take, and what is said of what they do not."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from engines import MemoryEngine
from nydus_core import ConfigError, PluginError, create_cluster
from nydus_core.command import Command, Outcome
from nydus_core.delivery.retry import Repeat, Retry
from nydus_core.delivery.rules import DeliverySettings
from nydus_core.health.breaker import BreakerSettings
from nydus_core.settings.resilience import RESILIENCE, read_resilience
from nydus_redis import Redis


class Never:
    """A policy of the user's own."""

    def repeats(self, command: Command, outcome: Outcome, attempt: int) -> bool:
        return False

    def backoff(self, attempt: int) -> float:
        return 0.0


class Demanding(Never):
    def __init__(self, attempts: int) -> None:
        self.attempts = attempts


class Flushable(MemoryEngine):
    supports_flush = True


async def warm_up_later(host: str, client: Any) -> None:
    """One for clusters that await it."""


def warm_up(host: str, client: Any) -> None:
    """An ``on_readmit`` of the user's own."""


@pytest.fixture
def policies(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that dotted paths lead to."""
    module = ModuleType("policies")
    module.Never, module.Demanding, module.never = Never, Demanding, Never()  # type: ignore[attr-defined]
    module.warm_up, module.number = warm_up, 5  # type: ignore[attr-defined]
    module.warm_up_later = warm_up_later  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "policies", module)


def settings(given: dict[str, Any], engine: Any = Flushable) -> DeliverySettings:
    return read_resilience(given, engine)


def test_without_a_word_on_it_these_hold() -> None:
    found = settings({})
    assert isinstance(found.retry, Retry)
    assert (found.retry.attempts, found.retry.repeat) == (2, Repeat.READS)
    assert found.health == BreakerSettings(
        failures=5, rate=0.5, calls=20, window=10.0, backoff=0.2, most=10.0
    )
    assert (found.on_host_down, found.on_readmit, found.deadline) == (None, "keep", None)


@pytest.mark.parametrize("name", RESILIENCE)
def test_none_is_as_good_as_not_given(name: str) -> None:
    found, without = settings({name: None}), settings({})
    assert found.retry.__dict__.keys() == without.retry.__dict__.keys()
    for each in ("health", "on_host_down", "on_readmit", "deadline"):
        assert getattr(found, each) == getattr(without, each)


# Right ---------------------------------------------------------------------------------------------------------


def test_all_options_of_retry_reach_the_policy() -> None:
    policy = settings({"retry": {"attempts": 4, "backoff": 0.5, "most": 2, "repeat": "all"}}).retry
    assert isinstance(policy, Retry)
    assert (policy.attempts, policy.first, policy.most, policy.repeat) == (4, 0.5, 2, Repeat.ALL)


@pytest.mark.parametrize("repeat", ["reads", "idempotent", "all"])
def test_every_mode_of_repeat_is_known(repeat: str) -> None:
    policy = settings({"retry": {"repeat": repeat}}).retry
    assert isinstance(policy, Retry)
    assert policy.repeat.value == repeat


@pytest.mark.parametrize("wait", [0, 0.0, 1, 0.25])
def test_a_wait_between_attempts_may_be_none(wait: float) -> None:
    policy = settings({"retry": {"backoff": wait, "most": wait}}).retry
    assert isinstance(policy, Retry)
    assert policy.first == policy.most == wait


@pytest.mark.parametrize(
    ("given", "kind"), [(Never, Never), (Retry, Retry), ("policies.Never", Never), (Never(), Never)]
)
def test_a_policy_may_be_a_class_a_dotted_path_or_an_instance(policies: None, given: Any, kind: Any) -> None:
    assert isinstance(settings({"retry": given}).retry, kind)


def test_a_policy_that_is_given_is_used_as_it_is() -> None:
    policy = Retry(7)
    assert settings({"retry": policy}).retry is policy


def test_all_options_of_health_reach_the_breakers() -> None:
    options: dict[str, Any] = {
        "failures": 1,
        "rate": 1,
        "calls": 2,
        "window": 3.5,
        "backoff": 0.1,
        "most": 60,
    }
    assert settings({"health": options}).health == BreakerSettings(**options)


@pytest.mark.parametrize("what", ["raise", "reroute"])
def test_what_is_done_when_a_host_is_down_can_be_said(what: str) -> None:
    assert settings({"on_host_down": what}).on_host_down == what


def test_a_word_may_be_a_member_of_an_enum_of_the_users_own() -> None:
    class Word(str, Enum):  # noqa: UP042  # the str() of a StrEnum is the word itself
        REROUTE = "reroute"
        FLUSH = "flush"

    given = {"on_host_down": Word.REROUTE, "on_readmit": Word.FLUSH}
    cluster = create_cluster(
        {"engine": Flushable, "hosts": {"a": {}, "b": {}}, "router": "consistent", **given}
    )
    assert cluster._snapshot.rules.reroute
    assert settings(given).on_readmit == "flush"


@pytest.mark.parametrize("router", ["partition", "consistent", "round-robin"])
@pytest.mark.parametrize("what", ["raise", "reroute"])
def test_it_can_be_said_for_every_router_that_chooses_a_host(router: str, what: str) -> None:
    cluster = create_cluster(
        {"engine": MemoryEngine, "hosts": {"a": {}, "b": {}}, "router": router, "on_host_down": what}
    )
    assert cluster._snapshot.rules.reroute is (what == "reroute")


@pytest.mark.parametrize(
    ("router", "reroutes"),
    [("partition", False), ("consistent", True), ("round-robin", True), ("broadcast", False), (None, False)],
)
def test_by_default_it_is_as_the_router_has_it(router: str | None, reroutes: bool) -> None:
    cluster = create_cluster({"engine": MemoryEngine, "hosts": {"a": {}, "b": {}}, "router": router})
    assert cluster._snapshot.rules.reroute is reroutes


@pytest.mark.parametrize(("given", "found"), [("keep", "keep"), ("flush", "flush"), (warm_up, warm_up)])
def test_what_is_done_with_a_host_that_is_up_again_can_be_said(given: Any, found: Any) -> None:
    assert settings({"on_readmit": given}).on_readmit == found


def test_a_function_may_be_given_by_its_dotted_path(policies: None) -> None:
    assert settings({"on_readmit": "policies.warm_up"}).on_readmit is warm_up


def test_a_deadline_can_be_said() -> None:
    assert settings({"deadline": 0.2}).deadline == 0.2


def test_they_can_be_said_in_toml(tmp_path: Path) -> None:
    file = tmp_path / "clusters.toml"
    file.write_text(
        """
        [cache]
        engine = "redis"
        router = "consistent"
        hosts = ["redis://127.0.0.1:1", "redis://127.0.0.1:2"]
        on_host_down = "raise"
        on_readmit = "flush"
        deadline = 0.5
        retry = { attempts = 3, repeat = "idempotent" }
        health = { failures = 2 }
        """
    )
    cluster: Any = create_cluster(file, "cache")
    assert repr(cluster._settings.retry) == "<Retry 3 attempts, 0.02 to 1 s apart, idempotent>"
    assert cluster._settings.health.failures == 2
    assert (cluster._settings.on_readmit, cluster._settings.deadline) == ("flush", 0.5)


# Wrong ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "path", "said"),
    [
        ({"retry": {"attempts": 0}}, "retry.attempts", "found 0; expected a whole number, 1 or more"),
        ({"retry": {"attempts": 2.0}}, "retry.attempts", "expected a whole number"),
        ({"retry": {"attempts": True}}, "retry.attempts", "expected a whole number"),
        ({"retry": {"backoff": -0.1}}, "retry.backoff", "found -0.1; expected seconds, 0 or more"),
        ({"retry": {"backoff": "0.1"}}, "retry.backoff", "expected seconds, 0 or more"),
        ({"retry": {"backoff": False}}, "retry.backoff", "found False; expected seconds"),
        ({"retry": {"most": None}}, "retry.most", "found None; expected seconds, 0 or more"),
        (
            {"retry": {"repeat": "read"}},
            "retry.repeat",
            "one of 'reads', 'idempotent', 'all'; did you mean 'reads'?",
        ),
        ({"retry": {"repeat": None}}, "retry.repeat", "found None; expected one of"),
        ({"retry": {"repeat": 5}}, "retry.repeat", "found 5; expected one of"),
        (
            {"retry": {"atempts": 3}},
            "retry.atempts",
            "unknown setting; known: attempts, backoff, most, repeat; did you mean 'attempts'?",
        ),
        ({"retry": 3}, "retry", "expected a dict of options, or a policy"),
        ({"retry": False}, "retry", "expected a dict of options, or a policy"),
        ({"retry": [2]}, "retry", "expected a dict of options, or a policy"),
        ({"retry": object}, "retry", "expected a dict of options, or a policy"),
        ({"retry": Demanding}, "retry", "Demanding cannot be made without arguments"),
        ({"retry": "policies.Demanding"}, "retry", "Demanding cannot be made without arguments"),
        ({"retry": "policies.Nobody"}, "retry", "Nobody"),
        ({"retry": "policies.never"}, "retry", "never"),
        ({"retry": "nowhere.Policy"}, "retry", "nowhere"),
        ({"health": {"failures": 0}}, "health.failures", "expected a whole number, 1 or more"),
        ({"health": {"calls": 1.5}}, "health.calls", "expected a whole number, 1 or more"),
        ({"health": {"rate": 0}}, "health.rate", "expected a share, more than 0 and at most 1"),
        ({"health": {"rate": 1.1}}, "health.rate", "expected a share, more than 0 and at most 1"),
        ({"health": {"window": 0}}, "health.window", "expected seconds, more than 0"),
        ({"health": {"backoff": 0}}, "health.backoff", "expected seconds, more than 0"),
        ({"health": {"most": float("nan")}}, "health.most", "expected seconds, more than 0"),
        ({"health": {"failure": 1}}, "health.failure", "did you mean 'failures'?"),
        ({"health": True}, "health", "found True; expected a dict of options: failures, rate"),
        ({"on_host_down": "rerout"}, "on_host_down", "one of 'raise', 'reroute'; did you mean 'reroute'?"),
        ({"on_host_down": True}, "on_host_down", "found True; expected one of 'raise', 'reroute'"),
        ({"on_readmit": "flsh"}, "on_readmit", "one of 'keep', 'flush'; did you mean 'flush'?"),
        ({"on_readmit": 5}, "on_readmit", "found 5; expected one of 'keep', 'flush'"),
        ({"on_readmit": "policies.warm_up_later"}, "on_readmit", "found a coroutine function"),
        ({"on_readmit": "policies.number"}, "on_readmit", "found 5; expected one of 'keep', 'flush'"),
        ({"on_readmit": "nowhere.warm_up"}, "on_readmit", "nowhere"),
        ({"deadline": 0}, "deadline", "found 0; expected seconds, more than 0"),
        ({"deadline": "1s"}, "deadline", "found '1s'; expected seconds, more than 0"),
        ({"deadline": True}, "deadline", "found True; expected seconds, more than 0"),
        ({"deadline": {}}, "deadline", "expected seconds, more than 0"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_with_its_place(
    policies: None, given: dict[str, Any], path: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        create_cluster({"engine": Flushable, "hosts": {"a": {}}, **given})
    assert caught.value.path.startswith(path)
    assert said in str(caught.value)


def test_a_policy_that_leads_nowhere_is_a_name_that_leads_nowhere() -> None:
    with pytest.raises(PluginError):
        settings({"retry": "nowhere.Policy"})


def test_an_engine_that_cannot_flush_is_told_before_a_host_is_down() -> None:
    with pytest.raises(ConfigError, match="MemoryEngine does not know how to delete all data") as caught:
        settings({"on_readmit": "flush"}, MemoryEngine)
    assert caught.value.path == "on_readmit"
    assert "give a function instead" in str(caught.value)


def test_the_engine_of_redis_can_flush() -> None:
    assert settings({"on_readmit": "flush"}, Redis).on_readmit == "flush"


@pytest.mark.parametrize("router", [None, "broadcast"])
def test_without_a_router_that_chooses_a_host_there_is_no_other_to_choose(router: str | None) -> None:
    given = {"engine": MemoryEngine, "hosts": {"a": {}, "b": {}}, "router": router, "on_host_down": "reroute"}
    with pytest.raises(
        ConfigError, match=r"found 'reroute' with (no router|router BroadcastRouter); expected 'raise'"
    ) as caught:
        create_cluster(given)
    assert caught.value.path == "on_host_down"


def test_nobody_can_change_them_later() -> None:
    with pytest.raises(AttributeError):
        settings({}).deadline = 5  # type: ignore[misc]
