"""What may be tried again, after how long, and in which order: nothing here sends anything."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from nydus_core import HostDown, MaybeApplied
from nydus_core.command import Access, Command, Outcome
from nydus_core.delivery.retry import Repeat, Retry, RetryPolicy, in_order

NOT_SENT, MAYBE, REFUSED = Outcome.NOT_SENT, Outcome.MAYBE_APPLIED, Outcome.SERVER_ERROR


class Settable(Command):
    """A write that leaves the same data when it is applied twice."""

    @property
    def idempotent(self) -> bool:
        return True


def read(*keys: str) -> Command:
    return Command("get", keys=[key.encode() for key in keys], access=Access.READ)


def write(*keys: str) -> Command:
    return Command("incr", keys=[key.encode() for key in keys])


SET = Settable("set", keys=[b"a"])


# What may be tried again ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("repeat", ["reads", "idempotent", "all"])
@pytest.mark.parametrize("command", [read("a"), write("a"), SET], ids=["read", "write", "idempotent write"])
@pytest.mark.parametrize("outcome", [NOT_SENT, REFUSED])
def test_what_was_not_applied_may_always_be_tried_again(
    outcome: Outcome, command: Command, repeat: str
) -> None:
    assert Retry(repeat=repeat).repeats(command, outcome, 1)


@pytest.mark.parametrize(
    ("repeat", "reads", "idempotent", "others"),
    [("reads", True, False, False), ("idempotent", True, True, False), ("all", True, True, True)],
)
def test_what_may_have_been_applied_is_tried_again_only_as_far_as_the_user_says(
    repeat: str, reads: bool, idempotent: bool, others: bool
) -> None:
    policy = Retry(repeat=repeat)
    assert policy.repeats(read("a"), MAYBE, 1) is reads
    assert policy.repeats(SET, MAYBE, 1) is idempotent
    assert policy.repeats(write("a"), MAYBE, 1) is others


def test_by_default_only_reads_are_tried_again_after_they_may_have_been_applied() -> None:
    assert Retry().repeat is Repeat.READS
    assert not Retry().repeats(SET, MAYBE, 1)


def test_a_host_is_tried_twice_by_default() -> None:
    assert Retry().repeats(read("a"), NOT_SENT, 1)
    assert not Retry().repeats(read("a"), NOT_SENT, 2)


@pytest.mark.parametrize("attempts", [1, 2, 5])
@pytest.mark.parametrize("outcome", [NOT_SENT, MAYBE, REFUSED])
def test_a_host_is_tried_as_often_as_the_settings_say_and_no_more(attempts: int, outcome: Outcome) -> None:
    policy = Retry(attempts)
    assert [policy.repeats(read("a"), outcome, attempt) for attempt in range(1, 8)] == [
        attempt < attempts for attempt in range(1, 8)
    ]


def test_a_mode_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="sometimes"):
        Retry(repeat="sometimes")


def test_anything_with_the_two_methods_is_a_policy() -> None:
    class Never:
        def repeats(self, command: Command, outcome: Outcome, attempt: int) -> bool:
            return False

        def backoff(self, attempt: int) -> float:
            return 0.0

    assert isinstance(Never(), RetryPolicy)
    assert isinstance(Retry(), RetryPolicy)
    assert not isinstance(object(), RetryPolicy)


def test_a_policy_shows_what_it_does() -> None:
    assert repr(Retry(3, 0.02, 1.0, "all")) == "<Retry 3 attempts, 0.02 to 1 s apart, all>"


# After how long ------------------------------------------------------------------------------------------------


def test_waits_are_doubled_up_to_a_limit() -> None:
    policy = Retry(backoff=0.1, most=1.0, chance=lambda: 1.0)
    assert [policy.backoff(attempt) for attempt in range(1, 7)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_waits_are_random_from_none_to_all_of_it() -> None:
    dice = iter([0.0, 0.25, 1.0])
    policy = Retry(backoff=0.4, chance=lambda: next(dice))
    assert [policy.backoff(1) for _ in range(3)] == [0.0, 0.1, 0.4]


def test_waits_differ_from_client_to_client() -> None:
    waits = {Retry(backoff=0.1).backoff(1) for _ in range(20)}
    assert len(waits) > 10
    assert all(0 <= wait <= 0.1 for wait in waits)


def test_any_number_of_attempts_has_a_wait() -> None:
    assert Retry(chance=lambda: 1.0).backoff(10_000) == 1.0


def test_a_limit_below_the_first_wait_holds_for_it_too() -> None:
    assert Retry(backoff=1.0, most=0.25, chance=lambda: 1.0).backoff(1) == 0.25


def test_without_a_backoff_nobody_waits() -> None:
    assert [Retry(backoff=0).backoff(attempt) for attempt in (1, 2, 50)] == [0, 0, 0]


# In which order ------------------------------------------------------------------------------------------------

OK: Any = "OK"
LOST, DOWN = MaybeApplied(), HostDown()


def again(*steps: tuple[Command, Any, bool]) -> list[int]:
    """Each step is a command, what it ended in, and whether it is to be tried again."""
    commands, outcomes, wants = zip(*steps, strict=True)
    return in_order(commands, outcomes, [position for position, want in enumerate(wants) if want])


def test_a_command_is_not_tried_again_behind_a_later_write_on_its_key() -> None:
    assert again((read("a"), DOWN, True), (write("a"), OK, False)) == []
    assert again((write("a"), DOWN, True), (write("a"), LOST, False)) == []


def test_a_write_is_not_tried_again_behind_a_later_read_on_its_key() -> None:
    assert again((write("a"), DOWN, True), (read("a"), OK, False)) == []


def test_two_reads_may_swap() -> None:
    assert again((read("a"), LOST, True), (read("a"), OK, False)) == [0]


def test_commands_on_other_keys_are_no_hindrance() -> None:
    assert again((write("a"), DOWN, True), (write("b"), OK, False)) == [0]


def test_earlier_commands_are_no_hindrance() -> None:
    assert again((write("a"), OK, False), (write("a"), DOWN, True)) == [1]


def test_what_is_tried_again_together_keeps_its_order() -> None:
    assert again((write("a"), DOWN, True), (read("a"), DOWN, True), (write("a"), DOWN, True)) == [0, 1, 2]


def test_a_later_command_that_was_never_sent_overtakes_nothing() -> None:
    assert again((write("a"), DOWN, True), (write("a"), DOWN, False)) == [0]


def test_a_command_that_stays_back_keeps_earlier_ones_from_overtaking_it() -> None:
    steps = [(read("a"), LOST, True), (read("a", "b"), LOST, True), (write("b"), OK, False)]
    assert again(*steps) == [0]  # two reads of a may swap
    steps[0] = (Settable("set", keys=[b"a"]), LOST, True)
    assert again(*steps) == []  # the read of a and b may have been done, and this write was before it


@pytest.mark.parametrize("keys", [(), ("a",)])
def test_a_command_without_keys_concerns_all_keys(keys: tuple[str, ...]) -> None:
    assert again((write(*keys), DOWN, True), (write(), OK, False)) == []
    assert again((write(), DOWN, True), (write(*keys), OK, False)) == []


def test_nothing_wanted_is_nothing_again() -> None:
    assert in_order([], [], []) == []
    assert again((write("a"), DOWN, False)) == []


def _conflict(one: Command, other: Command) -> bool:
    if one.access is Access.READ and other.access is Access.READ:
        return False
    return not one.keys or not other.keys or bool(set(one.keys) & set(other.keys))


def _overtakes(commands: Sequence[Command], outcomes: Sequence[Any], chosen: set[int]) -> bool:
    """Whether a chosen command would come after a later one that may have been applied, and is not repeated."""
    return any(
        early in chosen
        and late not in chosen
        and not isinstance(outcomes[late], HostDown)
        and _conflict(commands[early], commands[late])
        for early, late in itertools.combinations(range(len(commands)), 2)
    )


@pytest.mark.parametrize("seed", range(40))
def test_none_ever_overtakes_and_no_more_are_left_out_than_have_to_be(seed: int) -> None:
    dice = random.Random(seed)
    for _ in range(25):
        count = dice.randrange(1, 7)
        commands = [
            dice.choice([read, write])(*dice.sample("abc", dice.choice([0, 1, 1, 1, 2])))
            for _ in range(count)
        ]
        outcomes = [dice.choice([OK, DOWN, LOST, ValueError("WRONGTYPE")]) for _ in range(count)]
        wanted = [p for p in range(count) if isinstance(outcomes[p], Exception) and dice.random() < 0.7]
        chosen = in_order(commands, outcomes, wanted)
        assert chosen == sorted(chosen)
        assert set(chosen) <= set(wanted)
        assert not _overtakes(commands, outcomes, set(chosen))
        possible = [
            set(some)
            for size in range(len(wanted) + 1)
            for some in itertools.combinations(wanted, size)
            if not _overtakes(commands, outcomes, set(some))
        ]
        assert len(chosen) == max(map(len, possible))
