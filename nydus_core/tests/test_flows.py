"""The decisions of a delivery, driven by hand: no socket, no thread, no clock.

Each test says what the hosts answer; ``Run`` keeps what was sent where, round by round.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest

from nydus_core import (
    BaseEngine,
    DeadlineExceeded,
    HostDown,
    HostError,
    HostListExhausted,
    MaybeApplied,
)
from nydus_core.command import Access, Command, Outcome, mark_answer, outcome_of
from nydus_core.deadlines import Deadline
from nydus_core.delivery.flows import Pause, deliver
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import Lane, Plan, make_plan, plan_for
from nydus_core.delivery.retry import Retry
from nydus_core.delivery.rules import CallOptions, Rules
from nydus_core.errors import NotAnsweredInTime, NotSentInTime, is_own_want
from nydus_core.health.breaker import BreakerSettings
from nydus_core.health.monitor import Watch
from nydus_core.routers import Node, NodeRouter, RoundRobinRouter
from splitting import ByPosition

HOSTS = "abcd"


class Lost(Exception):
    """The client library's word for a lost connection."""


class Later(Exception):
    """The server's word for: try later."""


class Busy(Exception):
    """The client library's word for: all connections are in use."""


class FakeEngine(BaseEngine):
    def unavailable(self, why: str) -> Exception:
        return Lost(why)

    def late(self, why: str) -> Exception:
        return Lost(why)

    def is_outage(self, cause: BaseException) -> bool:
        return not isinstance(cause, Busy)

    def is_passing(self, answer: Exception, command: Command) -> bool:
        return isinstance(answer, Later)


class Next(NodeRouter):
    """A key lives on the host that it is named after; else on the one that its next letter names, and so on."""

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        names = self.candidates(avoid)
        return next((letter for letter in key.decode() if letter in names), names[0])


class Stubborn(Next):
    """Does not mind what is to be avoided."""

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        return super().locate(key)


class Each(ByPosition):
    """Cuts a command into one a host; joins lists by position."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> list[Command]:
        return [
            Command(
                command.name,
                (),
                None,
                [command.keys[p] for p in group],
                command.access,
                self if cut else None,
            )
            for group in groups
            for cut in [len(group) > 1]
        ]


def read(*keys: str, split: Any = None) -> Command:
    return Command("get", (), None, [key.encode() for key in keys], Access.READ, split)


def write(*keys: str, split: Any = None) -> Command:
    return Command("incr", (), None, [key.encode() for key in keys], Access.WRITE, split)


def mget(*keys: str) -> Command:
    return read(*keys, split=Each())


def mset(*keys: str) -> Command:
    return write(*keys, split=Each())


class Quiet:
    """A listener of a watch."""

    def host_down(self, host: str, cause: BaseException) -> None: ...

    def readmit(self, host: str, engine: Any) -> None: ...

    def host_up(self, host: str) -> None: ...


QUIET = Quiet()
Answer = Callable[[str, Command], Any]


class Run:
    """A delivery, driven to its end.

    Attributes:
        rounds: What was sent in each round: by host, the keys of its commands in order.
        pauses: The pauses.
        outcomes: By position, what the commands ended in.
    """

    def __init__(self, router: Any = Next, hosts: str = HOSTS, **rules: Any) -> None:
        self.engines = [FakeEngine(name) for name in hosts]
        health = {"backoff": 3600.0, "most": 3600.0, **rules.pop("health", {})}
        self.watches = [
            Watch(name, engine, BreakerSettings(**health), QUIET)
            for name, engine in zip(hosts, self.engines, strict=True)
        ]
        self.placement = Placement(tuple(hosts), router and router([Node(name) for name in hosts]))
        retry = rules.pop("retry", Retry(backoff=0.01, chance=lambda: 1.0))
        self.rules = Rules(self.watches, self.placement, retry, **rules)
        self.rounds: list[dict[str, list[str]]] = []
        self.pauses: list[float] = []
        self.outcomes: list[Any] = []
        self.plan: Plan

    def host(self, name: str) -> int:
        return self.placement.names.index(name)

    def take_down(self, *names: str) -> None:
        for name in names:
            self.watches[self.host(name)].take_out(Lost(f"{name} is gone"))

    def down(self) -> list[str]:
        return [watch.name for watch in self.watches if not watch.admits]

    def failure(self, kind: Any, host: str, command: Command, cause: Exception | None = None) -> Any:
        return self.engines[self.host(host)].failed(kind, cause or Lost(f"{host} is gone"), command)

    def __call__(
        self, answer: Answer, *commands: Command, plan: Plan | None = None, on_pause: Any = None, **how: Any
    ) -> list[Any]:
        options = CallOptions(**how)
        self.plan = plan or make_plan(commands, self.placement, transaction=options.transaction)
        flow = deliver(self.plan, self.rules, options)
        answers: Any = None
        try:
            while True:
                step = flow.send(answers)
                assert len(self.rounds) < 20, "it goes on for ever"
                if isinstance(step, Pause):
                    self.pauses.append(step.seconds)
                    answers = ()
                    if on_pause is not None:
                        on_pause()
                else:
                    answers = self._answers(step, answer)
        except StopIteration as end:
            self.outcomes = end.value
        return self.outcomes

    def _answers(self, lanes: Sequence[Lane], answer: Answer) -> list[list[Any]]:
        names = self.placement.names
        sent = {names[lane.host]: [b",".join(each.keys).decode() for each in lane.commands] for lane in lanes}
        assert len(sent) == len(lanes), "two lanes for one host"
        self.rounds.append(sent)
        return [[self._one(names[lane.host], command, answer) for command in lane.commands] for lane in lanes]

    def _one(self, host: str, command: Command, answer: Answer) -> Any:
        found = answer(host, command)
        if isinstance(found, type) and issubclass(found, Exception):
            return self.failure(found, host, command)
        return found

    @property
    def failed_hosts(self) -> list[tuple[str, ...]]:
        return self.plan.hosts(failed=True)


def echo(host: str, command: Command) -> Any:
    """The host and the keys: ``['a:k']``."""
    return [f"{host}:{key.decode()}" for key in command.keys]


def unless(**failing: Any) -> Answer:
    """``unless(a=HostDown)``: a fails so each time; ``unless(a=[HostDown])``: once, and then it answers."""
    left = {host: list(how) if isinstance(how, list) else None for host, how in failing.items()}

    def answer(host: str, command: Command) -> Any:
        if host not in failing:
            return echo(host, command)
        mine = left[host]
        if mine is None:
            return failing[host]
        return mine.pop(0) if mine else echo(host, command)

    return answer


# The everyday case ---------------------------------------------------------------------------------------------


def test_all_hosts_are_sent_to_in_one_round_and_nobody_waits() -> None:
    run = Run()
    assert run(echo, read("a1"), write("b1"), read("a2")) == [["a:a1"], ["b:b1"], ["a:a2"]]
    assert run.rounds == [{"a": ["a1", "a2"], "b": ["b1"]}]
    assert run.pauses == []


def test_no_commands_are_no_round() -> None:
    run = Run()
    flow = deliver(make_plan([], run.placement), run.rules)
    with pytest.raises(StopIteration) as end:
        next(flow)
    assert end.value.value == []


# Trying again --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [HostDown, Later("loading")])
@pytest.mark.parametrize("command", [read("a"), write("a")], ids=["read", "write"])
def test_what_was_not_applied_is_tried_again_after_a_pause(failure: Any, command: Command) -> None:
    run = Run()
    assert run(unless(a=[failure]), command) == [["a:a"]]
    assert run.rounds == [{"a": ["a"]}] * 2
    assert run.pauses == [0.01]


def test_a_read_that_may_have_been_done_is_tried_again() -> None:
    run = Run()
    assert run(unless(a=[MaybeApplied]), read("a")) == [["a:a"]]


def test_a_write_that_may_have_been_applied_is_not() -> None:
    run = Run()
    [error] = run(unless(a=[MaybeApplied]), write("a"))
    assert isinstance(error, MaybeApplied)
    assert error.attempts == 1
    assert len(run.rounds) == 1


def test_an_answer_is_never_tried_again_also_where_it_is_an_error() -> None:
    run = Run(retry=Retry(9, repeat="all"))
    answer = ValueError("WRONGTYPE")
    assert run(unless(a=answer), read("a"), write("a")) == [answer, answer]
    assert len(run.rounds) == 1


def test_it_ends_in_what_the_last_attempt_said_and_tells_their_number() -> None:
    run = Run(retry=Retry(4, backoff=0.01, most=0.02, chance=lambda: 1.0))
    [error] = run(unless(a=HostDown), read("a"))
    assert isinstance(error, HostDown)
    assert error.attempts == 4
    assert "after 4 attempts" in str(error)
    assert len(run.rounds) == 4
    assert run.pauses == [0.01, 0.02, 0.02]


def test_an_answer_to_try_later_that_stays_is_the_outcome() -> None:
    run, answer = Run(), Later("LOADING")
    assert run(unless(a=answer), write("a")) == [answer]
    assert len(run.rounds) == 2


def test_only_what_failed_is_tried_again_and_other_hosts_are_left_alone() -> None:
    run = Run()
    failing = unless(a=[["a1"], HostDown, ["a3"]])
    assert run(failing, read("a1"), read("a2"), read("a3"), read("b1")) == [
        ["a1"],
        ["a:a2"],
        ["a3"],
        ["b:b1"],
    ]
    assert run.rounds == [{"a": ["a1", "a2", "a3"], "b": ["b1"]}, {"a": ["a2"]}]


def test_what_would_overtake_a_later_command_on_its_key_is_not_tried_again() -> None:
    run = Run()
    failing = unless(a=[MaybeApplied, HostDown, ["done"]])
    first, second, third = run(failing, read("ax"), read("ay"), write("ax"))
    assert isinstance(first, MaybeApplied)
    assert first.attempts == 1
    assert (second, third) == (["a:ay"], ["done"])
    assert run.rounds[1:] == [{"a": ["ay"]}]


def test_the_first_attempt_may_have_been_made_already() -> None:
    run = Run()
    command = read("a")
    first_error = run.failure(HostDown, "a", command)
    assert run(echo, command, first_error=first_error) == [["a:a"]]
    assert run.rounds == [{"a": ["a"]}]
    assert run.pauses == [0.01]


def test_a_first_attempt_that_was_made_already_counts() -> None:
    run = Run()
    command = read("a")
    [error] = run(unless(a=HostDown), command, first_error=run.failure(HostDown, "a", command))
    assert error.attempts == 2
    assert len(run.rounds) == 1
    written = write("b")
    [error] = run(echo, written, first_error=run.failure(MaybeApplied, "b", written))
    assert isinstance(error, MaybeApplied)
    assert len(run.rounds) == 1


# An outcome never says less than what is known ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "then", [HostDown, NotSentInTime, Later("LOADING"), ValueError("WRONGTYPE")], ids=str
)
def test_a_write_that_may_have_been_applied_once_never_passes_for_one_that_was_not(then: Any) -> None:
    run = Run(retry=Retry(2, backoff=0, repeat="all"))
    [error] = run(unless(a=[MaybeApplied, then]), write("a"))
    assert isinstance(error, MaybeApplied)
    assert not isinstance(error, HostDown)
    assert isinstance(error, DeadlineExceeded) == (then is NotSentInTime)
    assert error.attempts == 2
    assert len(run.rounds) == 2


def test_nor_when_its_host_is_taken_for_down_before_the_next_attempt() -> None:
    run = Run(retry=Retry(2, backoff=0, repeat="all"), health={"failures": 1})
    [error] = run(unless(a=MaybeApplied), write("a"))
    assert isinstance(error, MaybeApplied)
    assert error.attempts == 1


@pytest.mark.parametrize("hosts", ["ab", "abc"])
def test_nor_when_other_hosts_did_not_take_it_either(hosts: str) -> None:
    run = Run(hosts=hosts, retry=Retry(2, backoff=0, repeat="all"), reroute=True)
    [error] = run(unless(a=MaybeApplied, b=HostDown, c=HostDown), write("abc"))
    assert isinstance(error, MaybeApplied)
    assert not isinstance(error, HostListExhausted)
    assert error.attempts == len(hosts)


def test_nor_when_its_parts_were_sent_elsewhere() -> None:
    run = Run(retry=Retry(2, backoff=0, repeat="all"), reroute=True, health={"failures": 1})
    [error] = run(unless(a=MaybeApplied, b=HostDown, c=HostDown, d=HostDown), mset("ab", "ac"))
    assert isinstance(error, MaybeApplied)


def test_a_write_that_was_answered_at_last_has_its_answer() -> None:
    run = Run(retry=Retry(3, backoff=0, repeat="all"))
    assert run(unless(a=[MaybeApplied, HostDown]), write("a")) == [["a:a"]]


def test_a_read_ends_in_what_was_said_last() -> None:
    run = Run()
    [error] = run(unless(a=[MaybeApplied, HostDown]), read("a"))
    assert isinstance(error, HostDown)  # it has changed nothing, in whichever attempt


# Hosts that are down ---------------------------------------------------------------------------------------------


def test_a_host_that_is_down_is_sent_nothing_and_the_others_are() -> None:
    run = Run()
    run.take_down("a")
    error, found = run(echo, write("a1"), write("b1"))
    assert isinstance(error, HostDown)
    assert isinstance(error, Lost)  # as the client library would say it
    assert error.attempts == 0
    assert "it is taken for down: Lost: a is gone" in str(error)
    assert found == ["b:b1"]
    assert run.rounds == [{"b": ["b1"]}]
    assert run.pauses == []


def test_when_all_are_down_nothing_is_sent_at_all() -> None:
    run = Run(hosts="ab")
    run.take_down("a", "b")
    outcomes = run(echo, write("a"), read("b"), mget("a", "b"))
    assert [outcome_of(each) for each in outcomes] == [Outcome.NOT_SENT] * 3
    assert run.rounds == []


def test_a_host_that_is_taken_for_down_meanwhile_is_not_tried_again() -> None:
    run = Run(health={"failures": 1})
    [error] = run(unless(a=HostDown), write("a"))
    assert isinstance(error, HostDown)
    assert error.attempts == 1
    assert len(run.rounds) == 1
    assert run.pauses == []


def test_failures_are_counted_once_a_host_and_round() -> None:
    run = Run(health={"failures": 3}, retry=Retry(2, backoff=0))
    run(unless(a=HostDown), *[write(f"a{number}") for number in range(50)])
    assert run.watches[0].report().failures == 2
    assert run.down() == []


def test_an_answer_speaks_for_a_host_whatever_it_says() -> None:
    run = Run(health={"failures": 2}, retry=Retry(1))
    for answer in (HostDown, ValueError("WRONGTYPE"), HostDown, Later("LOADING"), HostDown, ["value"]):
        run(unless(a=answer), write("a"))
    assert run.down() == []
    assert run.watches[0].report().failures == 0


def test_what_is_no_fault_of_a_host_does_not_speak_against_it() -> None:
    run = Run(health={"failures": 1})
    command = write("a")
    run(unless(a=run.failure(HostDown, "a", command, Busy("all connections are in use"))), command)
    assert run.down() == []


# Other hosts -----------------------------------------------------------------------------------------------------


def rerouting(**more: Any) -> Run:
    return Run(reroute=True, **more)


@pytest.mark.parametrize("command", [read("ab"), write("ab")], ids=["read", "write"])
def test_a_command_that_was_not_sent_goes_to_another_host_at_once(command: Command) -> None:
    run = rerouting()
    assert run(unless(a=HostDown), command) == [["b:ab"]]
    assert run.rounds == [{"a": ["ab"]}, {"b": ["ab"]}]
    assert run.pauses == []
    assert run.plan.hosts() == [("b",)]


def test_a_read_that_may_have_been_done_does_so_too_and_a_write_does_not() -> None:
    run = rerouting()
    found, error = run(unless(a=MaybeApplied), read("ab"), write("ac"))
    assert found == ["b:ab"]
    assert isinstance(error, MaybeApplied)
    assert run.rounds[1:] == [{"b": ["ab"]}]
    assert run.failed_hosts == [("b",), ("a",)]


def test_a_command_whose_host_is_down_goes_to_another_in_the_first_round() -> None:
    run = rerouting()
    run.take_down("a")
    assert run(echo, write("ab"), read("b1"), write("ac")) == [["b:ab"], ["b:b1"], ["c:ac"]]
    assert run.rounds == [{"b": ["b1", "ab"], "c": ["ac"]}]


def test_without_the_users_word_nothing_goes_elsewhere() -> None:
    run = Run()
    run.take_down("a")
    assert isinstance(run(echo, read("ab"))[0], HostDown)
    assert run.rounds == []


def test_each_host_is_tried_once_and_then_none_is_left() -> None:
    run = rerouting()
    [error] = run(unless(a=HostDown, b=HostDown, c=HostDown, d=HostDown), write("abcd"))
    assert isinstance(error, HostListExhausted)
    assert isinstance(error, Lost)
    assert outcome_of(error) is Outcome.NOT_SENT
    assert run.rounds == [{host: ["abcd"]} for host in HOSTS]
    assert error.attempts == 4
    assert "d is gone" in str(error)
    assert run.failed_hosts == [("d",)]


def test_hosts_that_are_down_are_passed_over_also_later_on() -> None:
    run = rerouting()
    run.take_down("b", "d")
    [error] = run(unless(a=HostDown, c=HostDown), write("abcd"))
    assert isinstance(error, HostListExhausted)
    assert run.rounds == [{"a": ["abcd"]}, {"c": ["abcd"]}]
    assert error.attempts == 2


def test_when_all_hosts_are_down_none_is_left_and_nothing_was_tried() -> None:
    run = rerouting()
    run.take_down(*HOSTS)
    [error] = run(echo, read("a"))
    assert isinstance(error, HostListExhausted)
    assert error.attempts == 0
    assert run.rounds == []


def test_a_read_that_may_have_been_done_somewhere_says_so_when_none_is_left() -> None:
    run = rerouting(hosts="ab")
    [error] = run(unless(a=MaybeApplied, b=MaybeApplied), read("ab"))
    assert isinstance(error, MaybeApplied)
    assert error.attempts == 2
    assert any("no other host is left" in note for note in error.__notes__)


def test_an_answer_to_try_later_is_waited_for_on_the_same_host() -> None:
    run = rerouting()
    assert run(unless(a=[Later("LOADING")]), write("ab")) == [["a:ab"]]
    assert run.pauses == [0.01]


def test_a_router_that_does_not_mind_what_is_to_be_avoided_is_asked_once() -> None:
    run = rerouting(router=Stubborn)
    [error] = run(unless(a=HostDown), write("a"))
    assert isinstance(error, HostDown)
    assert run.rounds == [{"a": ["a"]}]
    assert any("cannot go to other hosts" in note for note in error.__notes__)


def test_nor_does_such_a_router_send_anything_to_a_host_that_is_down() -> None:
    run = rerouting(router=Stubborn)
    run.take_down("a")
    assert isinstance(run(echo, write("a"))[0], HostDown)
    assert run.rounds == []


def test_round_robin_takes_the_next_host() -> None:
    run = rerouting(router=RoundRobinRouter)
    assert run(unless(a=HostDown, b=HostDown), write("k")) == [["c:k"]]
    assert run.plan.hosts() == [("c",)]


def test_a_broadcast_is_never_sent_elsewhere() -> None:
    run = rerouting(router=RoundRobinRouter, hosts="ab")
    command = Command("ping", access=Access.READ)
    [error] = run(unless(a=HostDown), command)
    assert isinstance(error, HostDown)
    assert run.rounds == [{"a": [""], "b": [""]}, {"a": [""]}]
    assert run.failed_hosts == [("a",)]


def test_a_command_for_a_host_that_the_user_named_is_never_sent_elsewhere() -> None:
    run = rerouting()
    command = read("ab")
    plan = plan_for(command, run.placement, 0)
    [error] = run(unless(a=HostDown), plan=plan, host=0)
    assert isinstance(error, HostDown)
    assert run.rounds == [{"a": ["ab"]}] * 2


def test_a_cluster_of_one_host_has_no_other() -> None:
    run = rerouting(hosts="a")
    [error] = run(unless(a=HostDown), write("a"))
    assert type(error).__name__ == "HostDown"
    assert len(run.rounds) == 2


# … and commands over several hosts ---------------------------------------------------------------------------------


def test_the_part_of_a_host_that_is_down_is_split_over_several_others() -> None:
    run = rerouting()
    run.take_down("a")
    assert run(echo, mget("ab", "b1", "ac", "ad")) == [["b:ab", "b:b1", "c:ac", "d:ad"]]
    assert run.rounds == [{"b": ["b1", "ab"], "c": ["ac"], "d": ["ad"]}]
    assert set(run.plan.hosts()[0]) == {"b", "c", "d"}


def test_parts_of_parts_are_split_again_and_put_together_by_position() -> None:
    run = rerouting()
    keys = ("abcd", "abdc", "acd", "ad", "b1")
    assert run(unless(a=HostDown, b=[["b:b1"], HostDown]), mget(*keys)) == [
        ["c:abcd", "d:abdc", "c:acd", "d:ad", "b:b1"]
    ]
    assert run.rounds == [
        {"a": ["abcd,abdc,acd,ad"], "b": ["b1"]},
        {"b": ["abcd,abdc"], "c": ["acd"], "d": ["ad"]},
        {"c": ["abcd"], "d": ["abdc"]},
    ]


def test_the_hosts_that_failed_in_the_end_are_named_and_no_others() -> None:
    run = rerouting(hosts="abc")
    run.take_down("c")
    [error] = run(unless(a=HostDown, b=HostDown), mget("ab", "ac"))
    assert isinstance(error, HostListExhausted)
    assert run.failed_hosts == [("b",)]


def test_a_write_of_which_some_parts_were_applied_may_have_been_applied() -> None:
    run = rerouting(hosts="abc")
    [error] = run(unless(a=HostDown, b=HostDown, c=[["c:ac"], HostDown]), mset("ab", "ac"))
    assert isinstance(error, MaybeApplied)
    assert error.attempts == 3
    assert "others have applied it" in str(error)


def test_a_part_that_cannot_be_split_ends_in_its_error_and_says_why() -> None:
    run = rerouting()
    run.take_down("a")
    [error] = run(echo, read("ab", "ac"))
    assert isinstance(error, HostDown)
    assert error.attempts == 0
    assert any("its keys live on several hosts" in note for note in error.__notes__)
    assert run.rounds == []


def test_the_outcome_of_a_split_command_tells_how_often_its_worst_part_was_tried() -> None:
    run = Run(retry=Retry(3, backoff=0))
    [error] = run(unless(b=HostDown), mset("a", "b"))
    assert isinstance(error, MaybeApplied)
    assert error.attempts == 3
    assert run.failed_hosts == [("b",)]


def test_a_split_write_that_was_too_late_on_some_hosts_is_too_late_as_a_whole() -> None:
    run = Run()
    [error] = run(unless(b=NotSentInTime), mset("a", "b"))
    assert isinstance(error, NotAnsweredInTime)
    assert not isinstance(error, HostDown)


# Data that grow stale ----------------------------------------------------------------------------------------------


def test_a_host_that_missed_a_write_is_taken_out_at_once() -> None:
    run = rerouting(stale=True)
    assert run(unless(a=[HostDown]), write("ab")) == [["b:ab"]]
    assert run.down() == ["a"]
    assert "a is gone" in run.watches[0].report().cause


def test_a_host_that_missed_a_read_is_not() -> None:
    run = rerouting(stale=True)
    run(unless(a=[HostDown]), read("ab"))
    assert run.down() == []


def test_nor_is_one_whose_data_are_kept() -> None:
    run = rerouting()
    run(unless(a=[HostDown]), write("ab"))
    assert run.down() == []


def test_nor_is_one_whose_write_found_no_other_host() -> None:
    run = rerouting(stale=True, hosts="ab")
    run.take_down("b")
    [error] = run(unless(a=HostDown), write("a"))
    assert isinstance(error, HostListExhausted)
    assert run.down() == ["b"]


# Transactions --------------------------------------------------------------------------------------------------------


def test_a_transaction_is_tried_again_as_a_whole() -> None:
    run = Run()
    failing = unless(a=[HostDown, HostDown])
    assert run(failing, write("a1"), read("a2"), transaction=True) == [["a:a1"], ["a:a2"]]
    assert run.rounds == [{"a": ["a1", "a2"]}] * 2


@pytest.mark.parametrize("first", [["done"], ValueError("EXECABORT"), MaybeApplied])
def test_or_not_at_all(first: Any) -> None:
    run = Run()
    outcomes = run(unless(a=[first, HostDown]), write("a1"), read("a2"), transaction=True)
    assert isinstance(outcomes[1], HostDown)
    assert len(run.rounds) == 1


def test_a_transaction_of_reads_may_be_tried_again_after_it_was_sent() -> None:
    run = Run()
    assert run(unless(a=[MaybeApplied] * 2), read("a1"), read("a2"), transaction=True) == [["a:a1"], ["a:a2"]]


def test_one_write_among_them_keeps_all_from_being_tried_again() -> None:
    run = Run()
    outcomes = run(unless(a=[MaybeApplied] * 2), read("a1"), write("a2"), transaction=True)
    assert [outcome_of(each) for each in outcomes] == [Outcome.MAYBE_APPLIED] * 2
    assert len(run.rounds) == 1


def test_a_transaction_is_never_sent_elsewhere() -> None:
    run = rerouting()
    outcomes = run(unless(a=HostDown), write("ab"), read("ac"), transaction=True)
    assert all(isinstance(each, HostDown) for each in outcomes)
    assert run.rounds == [{"a": ["ab", "ac"]}] * 2


# Deadlines -----------------------------------------------------------------------------------------------------------


def over() -> Deadline:
    deadline = Deadline(5)
    deadline.until -= 10
    return deadline


def test_after_its_deadline_nothing_is_sent() -> None:
    run = Run()
    error, other = run(echo, write("a"), read("b"), deadline=over())
    assert isinstance(error, NotSentInTime)
    assert isinstance(error, HostDown)
    assert isinstance(error, Lost)
    assert "the deadline of 5 seconds is over" in str(error)
    assert isinstance(other, NotSentInTime)
    assert run.rounds == []
    assert run.watches[0].report().failures == 0


def test_what_was_never_tried_on_any_host_has_no_attempts() -> None:
    run = Run()
    [error] = run(echo, write("a"), deadline=over())
    assert error.attempts == 0


def test_a_pause_that_would_outlast_the_deadline_is_not_begun() -> None:
    run = Run(retry=Retry(5, backoff=100, most=100, chance=lambda: 1.0))
    [error] = run(unless(a=HostDown), write("a"), deadline=Deadline(60))
    assert isinstance(error, HostDown)
    assert error.attempts == 1
    assert run.pauses == []


def test_when_the_deadline_ends_meanwhile_it_ends_in_what_was_said_last() -> None:
    deadline = Deadline(60)

    def end() -> None:
        deadline.until = 0.0

    run = Run()
    [error] = run(unless(a=HostDown), write("a"), deadline=deadline, on_pause=end)
    assert isinstance(error, HostDown)
    assert error.attempts == 1
    assert len(run.rounds) == 1


@pytest.mark.parametrize("kind", [NotSentInTime, NotAnsweredInTime])
def test_what_was_too_late_is_not_tried_again_nor_elsewhere(kind: Any) -> None:
    run = rerouting(retry=Retry(5, repeat="all"))
    [error] = run(unless(a=kind), read("ab"), deadline=Deadline(60))
    assert isinstance(error, kind)
    assert len(run.rounds) == 1


def test_what_could_not_go_elsewhere_in_time_names_the_host_that_it_was_sent_to() -> None:
    run = rerouting(retry=Retry(5, backoff=100, most=100, chance=lambda: 1.0))
    later = Later("LOADING")
    outcomes = run(
        unless(a=HostDown, c=later), mget("ab", "ad"), write("ab"), read("c"), deadline=Deadline(60)
    )
    assert isinstance(outcomes[0], HostDown)
    assert outcomes[2] is later
    assert len(run.rounds) == 1
    assert run.failed_hosts == [("a",), ("a",), ("c",)]


# At random -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("repeat", ["reads", "all"])
def test_whatever_hosts_say_it_ends_and_no_outcome_says_less_than_what_happened(
    seed: int, repeat: str
) -> None:
    dice = random.Random(seed)
    for _ in range(10):
        run = Run(
            reroute=dice.random() < 0.7,
            stale=dice.random() < 0.3,
            router=dice.choice([Next, Next, RoundRobinRouter]),
            retry=Retry(dice.randrange(1, 4), backoff=0, repeat=repeat),
            health={"failures": dice.choice([1, 2, 100])},
        )
        run.take_down(*dice.sample(HOSTS, dice.choice([0, 0, 1, 2, 4])))
        number = iter(range(1000))
        commands = [
            dice.choice([read, write, mget, mset])("".join(dice.sample(HOSTS, 2)) + str(next(number)))
            for _ in range(dice.randrange(1, 7))
        ] + [
            dice.choice([mget, mset])(
                *("".join(dice.sample(HOSTS, 3)) + str(next(number)) for _ in range(dice.randrange(2, 6)))
            )
        ]
        transaction = dice.random() < 0.2
        history: dict[bytes, list[Outcome]] = {key: [] for command in commands for key in command.keys}

        def answer(host: str, command: Command, dice: Any = dice, history: Any = history) -> Any:
            found = dice.choice(
                [None, None, HostDown, MaybeApplied, Later("LOADING"), ValueError("WRONGTYPE")]
            )
            outcome = Outcome.VALUE if found is None else None
            if outcome is None:
                outcome = outcome_of(mark_answer(found() if isinstance(found, type) else found))
            for key in command.keys:
                history[key].append(outcome)
            return echo(host, command) if found is None else found

        outcomes = run(answer, *commands, transaction=transaction)
        for command, outcome, hosts in zip(commands, outcomes, run.failed_hosts, strict=True):
            ends = [history[key] for key in command.keys]
            applied = [bool({Outcome.VALUE, Outcome.MAYBE_APPLIED} & set(end)) for end in ends]
            if command.access is Access.WRITE and repeat == "reads":
                for end in ends:  # at most once: nothing follows what may have been applied
                    assert not {Outcome.VALUE, Outcome.MAYBE_APPLIED} & set(end[:-1])
            if not isinstance(outcome, Exception):
                assert all(end[-1] is Outcome.VALUE for end in ends)
                assert [each.split(":")[1].encode() for each in outcome] == list(command.keys)
                continue
            assert hosts
            if command.access is Access.WRITE:
                assert (outcome_of(outcome) is Outcome.MAYBE_APPLIED) == any(applied)
            if isinstance(outcome, HostError) and len(command.keys) == 1:
                assert outcome.attempts == len(ends[0])


def test_what_is_no_fault_of_a_host_sends_nothing_elsewhere() -> None:
    run = Run(reroute=True, stale=True)
    command = write("a")
    full = run.failure(HostDown, "a", command, Busy("all connections are in use"))
    (error,) = run(unless(a=full), command)
    assert isinstance(error, HostDown)
    assert [list(sent) for sent in run.rounds] == [["a"], ["a"]]
    assert run.down() == []


def test_a_deadline_that_ends_a_wait_that_was_asked_for_blames_nobody() -> None:
    class Waiting(Command):
        waits = 5.0

    run = Run(health={"failures": 1})
    command = Waiting("blpop", ("a",), keys=[b"a"])
    run(unless(a=run.failure(NotAnsweredInTime, "a", command)), command)
    assert run.down() == []


def test_causes_that_go_in_a_circle_are_looked_at_once() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__context__ = second, first
    assert not is_own_want(first)
    second.__cause__ = MemoryError()
    assert is_own_want(first)
