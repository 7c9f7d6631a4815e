"""A retry policy, or a router, that is at fault in the midst of a call never hides the outcome of a command."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn

import pytest

from clusters import ByName, async_memory_cluster, memory_cluster
from nydus_core import CommandError, HostDown, Outcome
from nydus_core.command import Command, outcome_of
from nydus_core.delivery.retry import Retry


class Policy:
    """Wants every command tried again, after some time."""

    def __init__(self, pause: Any) -> None:
        self._pause = pause

    def repeats(self, command: Command, outcome: Outcome, attempt: int) -> bool:
        return attempt < 3

    def backoff(self, attempt: int) -> Any:
        return self._pause


class Raising(Policy):
    def backoff(self, attempt: int) -> NoReturn:
        raise ZeroDivisionError("no time")


class Unsure(Policy):
    def repeats(self, command: Command, outcome: Outcome, attempt: int) -> NoReturn:
        raise LookupError("no idea")


FAULTY: list[Any] = [
    *(Policy(pause) for pause in (-1, -0.5, float("nan"), float("inf"), 10**400, None, "1", True, 1j)),
    *(Raising(0), Unsure(0), Retry(backoff=-1.0), Retry(attempts="many")),  # type: ignore[arg-type]
]


def check(error: BaseException | None) -> None:
    """The outcome stands, and the fault of the policy is told beside it, once."""
    assert isinstance(error, HostDown)
    assert outcome_of(error) is Outcome.NOT_SENT
    told = [note for note in error.__notes__ if "the retry policy" in note]
    assert len(told) == 1
    assert told[0].startswith("not tried again: the retry policy ")


@pytest.mark.parametrize("deadline", [None, 60.0])
@pytest.mark.parametrize("policy", FAULTY, ids=lambda each: type(each).__name__)
def test_the_outcome_stands(policy: Any, deadline: float | None) -> None:
    with memory_cluster(down=True, retry=policy, deadline=deadline) as cluster:
        with pytest.raises(HostDown) as caught:
            cluster.get("a")
        check(caught.value)
        with pytest.raises(CommandError) as several, cluster.map() as conn:
            promises = [conn.get("a"), conn.set("b", 1)]
        for promise in promises:
            check(promise.error)
        assert len(several.value.errors) == 2
        with pytest.raises(HostDown) as pinned:
            cluster.on("a").get("a")
        check(pinned.value)


@pytest.mark.parametrize("deadline", [None, 60.0])
@pytest.mark.parametrize("policy", FAULTY, ids=lambda each: type(each).__name__)
def test_the_outcome_stands_with_asyncio(policy: Any, deadline: float | None) -> None:
    async def main() -> None:
        async with async_memory_cluster(down=True, retry=policy, deadline=deadline) as cluster:
            with pytest.raises(HostDown) as caught:
                await cluster.get("a")
            check(caught.value)
            with pytest.raises(CommandError):
                async with cluster.map() as conn:
                    promises = [conn.get("a"), conn.set("b", 1)]
            for promise in promises:
                check(promise.error)

    asyncio.run(main())


@pytest.mark.parametrize("pause", [0, 0.0, 0.001])
def test_a_policy_may_want_no_wait(pause: float) -> None:
    with memory_cluster(down=True, retry=Policy(pause)) as cluster, pytest.raises(HostDown) as caught:
        cluster.get("a")
    assert caught.value.attempts == 3


class Lost(ByName):
    """A router that has no idea of a host instead of another."""

    on_host_down = "reroute"

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        if avoid:
            raise ZeroDivisionError("no host instead")
        return super().locate(key)


def test_a_router_that_raises_while_it_is_asked_for_another_host() -> None:
    with memory_cluster(down=True, router=Lost) as cluster, pytest.raises(HostDown) as caught:
        cluster.get("a")
    assert any("ZeroDivisionError" in note for note in caught.value.__notes__)
