"""Plans: where each part of each command goes, and how its answers become one. Nothing here does I/O."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest

from clusters import ByName
from nydus_core import (
    CommandError,
    ConfigError,
    CrossHostError,
    DeadlineExceeded,
    HostDown,
    HostListExhausted,
    MaybeApplied,
    PluginError,
    RoutingError,
)
from nydus_core.command import Access, Command, Outcome, Scope, key_bytes, mark_answer, outcome_of
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import Plan, make_plan
from nydus_core.engines import BaseEngine
from nydus_core.errors import (
    ForeignWordError,
    NotAnsweredInTime,
    NotResolved,
    NotSentInTime,
    blend_routing_error,
)
from nydus_core.routers import (
    BroadcastRouter,
    ConsistentHashingRouter,
    Node,
    NodeRouter,
    PartitionRouter,
    RoundRobinRouter,
)
from splitting import ByPosition

HOSTS = ("a", "b", "c")


class Each(ByPosition):
    """Cuts ``(name, *keys)`` into a command a host; joins lists by position."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> list[Command]:
        return [keyed(*(command.keys[position].decode() for position in group)) for group in groups]


def keyed(*keys: str, split: Any = None, scope: Scope = Scope.ALL) -> Command:
    return Command("get", keys, keys=[key.encode() for key in keys], split=split, scope=scope)


def placed(router: Any = ByName, hosts: Sequence[Any] = HOSTS) -> Placement:
    return Placement(hosts, router and router([Node(str(host), identifier=f"host-{host}") for host in hosts]))


def lanes(plan: Plan) -> dict[str, list[tuple[Any, ...]]]:
    """What goes to each host: the arguments of its commands, in order."""
    return {plan.names[lane.host]: [command.args for command in lane.commands] for lane in plan.lanes}


def delivered(plan: Plan, answer: Any) -> list[Any]:
    """The outcomes of a plan whose parts end in ``answer(host, command)``."""
    outcomes: list[Any] = [None] * plan.size
    for lane in plan.lanes:
        for command, position in zip(lane.commands, lane.positions, strict=True):
            outcome = answer(plan.names[lane.host], command)
            outcomes[position] = mark_answer(outcome) if isinstance(outcome, Exception) else outcome
    return plan.merge(outcomes)


def echo(host: str, command: Command) -> Any:
    return [f"{key}@{host}" for key in command.args]


# Lanes ------------------------------------------------------------------------------------------------------------


def test_each_host_gets_its_commands_in_order() -> None:
    plan = make_plan([keyed("b:1"), keyed("a:1"), keyed("b:2"), keyed("b:1")], placed())
    assert lanes(plan) == {"b": [("b:1",), ("b:2",), ("b:1",)], "a": [("a:1",)]}


def test_outcomes_are_in_the_order_of_the_commands() -> None:
    plan = make_plan([keyed("b:1"), keyed("a:1"), keyed("b:2"), keyed("b:1")], placed())
    assert delivered(plan, echo) == [["b:1@b"], ["a:1@a"], ["b:2@b"], ["b:1@b"]]


def test_a_plan_tells_which_hosts_of_a_command_failed_once_it_was_delivered() -> None:
    plan = make_plan([Command("ping"), keyed("b:1"), keyed("c:1", "a:1", split=Each())], placed())
    delivered(plan, lambda host, command: LookupError() if host in "ab" else echo(host, command))
    assert plan.hosts(failed=True) == [("a", "b"), ("b",), ("a",)]
    assert plan.hosts() == [HOSTS, ("b",), ("c", "a")]


def test_no_commands_need_no_host() -> None:
    plan = make_plan([], placed())
    assert lanes(plan) == {}
    assert delivered(plan, echo) == []


def test_a_plan_names_the_hosts_of_every_command() -> None:
    commands = [keyed("b:1"), Command("ping"), keyed("c:1", "a:1", split=Each())]
    assert make_plan(commands, placed()).hosts() == [("b",), ("a", "b", "c"), ("c", "a")]


# Without a key ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "router", [None, ByName, PartitionRouter, ConsistentHashingRouter, RoundRobinRouter, BroadcastRouter]
)
def test_a_command_without_a_key_goes_to_all_hosts_and_answers_a_list_in_host_order(router: Any) -> None:
    plan = make_plan([Command("ping")], placed(router))
    assert plan.hosts() == [HOSTS]
    assert delivered(plan, lambda host, command: host) == [["a", "b", "c"]]


@pytest.mark.parametrize("router", [None, BroadcastRouter])
def test_without_a_rule_by_key_every_command_goes_to_all_hosts(router: Any) -> None:
    plan = make_plan([keyed("b:1"), keyed("a:1", "b:2")], placed(router))
    assert plan.hosts() == [HOSTS, HOSTS]


@pytest.mark.parametrize("router", [None, ByName, PartitionRouter, RoundRobinRouter, BroadcastRouter])
def test_one_host_answers_plainly_whatever_the_router(router: Any) -> None:
    commands = [
        Command("ping"),
        keyed("x"),
        keyed("x", "y"),
        Command("odd", scope=Scope.UNKNOWN),
        Command("scan", scope=Scope.HOST),
    ]
    plan = make_plan(commands, placed(router, ["a"]))
    assert plan.hosts() == [("a",)] * len(commands)
    assert delivered(plan, lambda host, command: command.name) == ["ping", "get", "get", "odd", "scan"]


@pytest.mark.parametrize("router", [None, ByName, RoundRobinRouter, BroadcastRouter])
@pytest.mark.parametrize("hosts", [["a"], HOSTS])
def test_a_command_of_one_connection_is_refused_and_says_how_to_send_it(router: Any, hosts: Any) -> None:
    with pytest.raises(
        RoutingError, match=rf"multi only .* use cluster.on\(host\), .* one of {', '.join(hosts)}"
    ):
        make_plan([Command("multi", scope=Scope.CONNECTION)], placed(router, hosts))


@pytest.mark.parametrize("router", [None, ByName, RoundRobinRouter, BroadcastRouter])
def test_a_command_of_one_host_is_refused_where_there_are_several(router: Any) -> None:
    with pytest.raises(RoutingError, match=r"scan is for one host, .* use cluster.on\(host\)"):
        make_plan([Command("scan", scope=Scope.HOST)], placed(router))


def test_a_command_of_one_host_goes_to_the_only_one() -> None:
    assert make_plan([Command("scan", scope=Scope.HOST)], placed(None, ["a"])).hosts() == [("a",)]


@pytest.mark.parametrize("keys", [("b:1",), ("b:1", "b:2")])
def test_a_command_of_one_host_that_has_keys_goes_to_theirs(keys: tuple[str, ...]) -> None:
    assert make_plan([keyed(*keys, scope=Scope.HOST)], placed()).hosts() == [("b",)]


class Stating(Command):
    """A command of an engine that has another way to state keys."""

    state_keys = "say keys=[…]"


@pytest.mark.parametrize(
    ("kind", "how"), [(Command, "give the key as the first argument, or as key=…"), (Stating, "say keys=[…]")]
)
def test_a_command_whose_keys_cannot_be_told_is_refused_by_a_router_by_key(
    kind: type[Command], how: str
) -> None:
    with pytest.raises(RoutingError) as caught:
        make_plan([kind("get", (), {"name": "x"}, scope=Scope.UNKNOWN)], placed())
    assert str(caught.value) == f"cannot tell the keys of get: {how}"


@pytest.mark.parametrize(("router", "count"), [(None, 3), (BroadcastRouter, 3), (RoundRobinRouter, 1)])
def test_a_command_whose_keys_cannot_be_told_is_no_matter_to_routers_that_ask_no_key(
    router: Any, count: int
) -> None:
    (hosts,) = make_plan([BaseEngine.describe("get", (), {"name": "x"})], placed(router)).hosts()
    assert len(hosts) == count


def test_round_robin_gives_each_command_the_next_host_whatever_its_keys() -> None:
    commands = [keyed("x"), keyed("x", "y"), Command("odd", scope=Scope.UNKNOWN), keyed("x")]
    assert make_plan(commands, placed(RoundRobinRouter)).hosts() == [("a",), ("b",), ("c",), ("a",)]


# Several keys -----------------------------------------------------------------------------------------------------


def test_a_command_whose_keys_live_on_one_host_goes_there_whole() -> None:
    plan = make_plan([keyed("b:2", "b:1"), keyed("b:1", "b:2", split=Each())], placed())
    assert lanes(plan) == {"b": [("b:2", "b:1"), ("b:1", "b:2")]}
    assert delivered(plan, echo) == [["b:2@b", "b:1@b"], ["b:1@b", "b:2@b"]]


def test_a_command_that_can_be_split_is_cut_by_host_and_its_answers_joined_by_position() -> None:
    plan = make_plan([keyed("c:1", "a:1", "c:2", "a:1", split=Each())], placed())
    assert lanes(plan) == {"c": [("c:1", "c:2")], "a": [("a:1", "a:1")]}
    assert delivered(plan, echo) == [["c:1@c", "a:1@a", "c:2@c", "a:1@a"]]


def test_the_parts_of_a_split_command_keep_their_place_among_others() -> None:
    plan = make_plan([keyed("a:0"), keyed("a:1", "b:1", split=Each()), keyed("a:2"), keyed("b:2")], placed())
    assert lanes(plan) == {"a": [("a:0",), ("a:1",), ("a:2",)], "b": [("b:1",), ("b:2",)]}
    assert delivered(plan, echo)[1] == ["a:1@a", "b:1@b"]


def test_a_command_that_cannot_be_split_is_refused_and_names_keys_and_hosts() -> None:
    with pytest.raises(CrossHostError) as caught:
        make_plan([keyed("b:1", "a:1", "b:2")], placed())
    assert caught.value.command == "get"
    assert caught.value.hosts == {"b": [b"b:1", b"b:2"], "a": [b"a:1"]}
    assert str(caught.value) == (
        "get: its keys live on several hosts (host 'b': b'b:1', b'b:2'; host 'a': b'a:1'). Nothing was sent. "
        "With a router that honours hash tags (option hash_tags), keys such as {user:1}.a and {user:1}.b live together."
    )


def test_the_hint_fits_a_router_that_honours_hash_tags() -> None:
    hosts = [Node(name) for name in HOSTS]
    with pytest.raises(
        CrossHostError, match=r"Nothing was sent\. Keys with one hash tag, such as \{user:1\}\.a and"
    ):
        make_plan([keyed("b:1", "a:1")], Placement(HOSTS, ByName(hosts, hash_tags=True)))


def test_of_many_keys_only_some_are_shown() -> None:
    with pytest.raises(
        CrossHostError, match=r"'a': b'a:0', b'a:1', b'a:2', b'a:3', b'a:4' and 95 more; host 'b'"
    ):
        make_plan([keyed(*(f"a:{n}" for n in range(100)), "b:1")], placed())


def test_one_command_without_a_place_spoils_the_whole_plan() -> None:
    with pytest.raises(CrossHostError):
        make_plan([keyed("a:1"), keyed("b:1", "a:1")], placed())


def test_when_the_router_has_no_host_left_there_is_no_plan() -> None:
    class Empty(NodeRouter):
        def locate(self, key: bytes, avoid: Any = ()) -> str:
            self.candidates(self.names)
            raise AssertionError

    with pytest.raises(HostListExhausted, match="all 3 hosts"):
        make_plan([keyed("a:1")], placed(Empty))


@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
def test_a_router_that_gives_an_unknown_host_is_named(keys: tuple[str, ...]) -> None:
    class Lost(NodeRouter):
        def locate(self, key: bytes, avoid: Any = ()) -> str:
            return "nowhere"

    with pytest.raises(RoutingError, match="Lost gave host 'nowhere'"):
        make_plan([keyed(*keys)], placed(Lost))


# Outcomes of several parts ----------------------------------------------------------------------------------------

REFUSED, DOWN, LOST = LookupError, HostDown, MaybeApplied


@pytest.mark.parametrize(
    ("errors", "gravest"),
    [
        ({"a": REFUSED}, "a"),
        ({"b": DOWN}, "b"),
        ({"a": REFUSED, "b": DOWN}, "b"),
        ({"a": LOST, "b": DOWN, "c": REFUSED}, "a"),
        ({"a": DOWN, "b": REFUSED, "c": LOST}, "c"),
        ({"a": DOWN, "b": DOWN}, "a"),
    ],
)
def test_of_several_errors_the_one_that_leaves_most_open_is_raised(
    errors: dict[str, type[Exception]], gravest: str
) -> None:
    made = {host: kind(f"failed on {host}") for host, kind in errors.items()}
    ping = Command("ping", access=Access.READ)
    (outcome,) = delivered(make_plan([ping], placed()), lambda host, _: made.get(host, "pong"))
    assert outcome is made[gravest]


@pytest.mark.parametrize("kind", [REFUSED, DOWN])
def test_a_write_that_some_hosts_have_done_never_passes_for_one_that_was_not_applied(
    kind: type[Exception],
) -> None:
    refused = kind("no")
    refused.__cause__ = ConnectionRefusedError("no")
    outcomes = {"a": 1, "b": refused, "c": 1}
    (error,) = delivered(make_plan([Command("incr")], placed()), lambda host, _: outcomes[host])
    assert outcome_of(error) is Outcome.MAYBE_APPLIED
    assert not isinstance(error, HostDown)
    assert isinstance(error, LookupError if kind is REFUSED else ConnectionRefusedError)
    assert "others have applied it" in str(error)
    assert error.__notes__[0].startswith("by host: 'a': value, 'b': ")


def test_a_write_that_no_host_has_done_may_be_sent_again() -> None:
    (error,) = delivered(make_plan([Command("incr")], placed()), lambda *_: HostDown("refused"))
    assert outcome_of(error) is Outcome.NOT_SENT


def test_an_error_of_several_hosts_has_a_note_of_how_each_fared() -> None:
    outcomes = {"a": LookupError("no"), "b": HostDown("refused"), "c": 1}
    (error,) = delivered(make_plan([Command("ping")], placed()), lambda host, _: outcomes[host])
    assert error.__notes__ == ["by host: 'a': server error, 'b': not sent, 'c': value"]


@pytest.mark.parametrize("keys", [("a:1",), ("a:1", "a:2")])
def test_an_error_of_one_host_has_no_note(keys: tuple[str, ...]) -> None:
    (error,) = delivered(make_plan([keyed(*keys)], placed()), lambda *_: LookupError("no"))
    assert not hasattr(error, "__notes__")


def test_a_failed_part_fails_its_own_command_only() -> None:
    plan = make_plan([keyed("a:1"), keyed("a:2", "b:1", split=Each()), keyed("b:2")], placed())
    first, split, last = delivered(
        plan, lambda host, c: LookupError() if c.args == ("b:1",) else echo(host, c)
    )
    assert (first, last) == (["a:1@a"], ["b:2@b"])
    assert isinstance(split, LookupError)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, Outcome.VALUE),
        (mark_answer(LookupError()), Outcome.SERVER_ERROR),
        (LookupError(), Outcome.MAYBE_APPLIED),
        (OSError(24, "no descriptors left"), Outcome.MAYBE_APPLIED),
        (MemoryError(), Outcome.MAYBE_APPLIED),
        (KeyboardInterrupt(), Outcome.MAYBE_APPLIED),
        (CommandError([]), Outcome.MAYBE_APPLIED),
        (DeadlineExceeded(), Outcome.MAYBE_APPLIED),
        (RoutingError(), Outcome.NOT_SENT),
        (CrossHostError("get", {}, ""), Outcome.NOT_SENT),
        (ForeignWordError(), Outcome.NOT_SENT),
        (blend_routing_error(RoutingError("no place"), LookupError), Outcome.NOT_SENT),
        (ConfigError("no host"), Outcome.NOT_SENT),
        (PluginError("no engine"), Outcome.NOT_SENT),
        (NotResolved(), Outcome.NOT_SENT),
        (HostListExhausted(), Outcome.NOT_SENT),
        (NotSentInTime(), Outcome.NOT_SENT),
        (NotAnsweredInTime(), Outcome.MAYBE_APPLIED),
        (mark_answer(HostDown()), Outcome.NOT_SENT),
        (HostDown(), Outcome.NOT_SENT),
        (MaybeApplied(), Outcome.MAYBE_APPLIED),
    ],
)
def test_an_error_tells_what_is_known_of_its_command(error: BaseException | None, outcome: Outcome) -> None:
    assert outcome_of(error) is outcome


# Any plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attempt", range(5))
@pytest.mark.parametrize("rule", [PartitionRouter, ConsistentHashingRouter, ByName])
def test_every_part_goes_to_the_host_of_its_keys_in_order_and_every_command_has_one_outcome(
    rule: Any, attempt: int
) -> None:
    seed = random.randrange(10**6) + attempt  # pytest-randomly seeds random itself, and tells its seed
    print("seed", seed)
    chance = random.Random(seed)
    hosts = "abcdefgh"[: chance.randint(1, 8)]
    router = rule([Node(name, identifier=f"host-{name}") for name in hosts])

    def some_command(number: int) -> Command:
        keys = [
            f"{chance.choice('abcdefghxyz')}:{number}:{n}" for n in range(chance.choice([0, 1, 1, 1, 2, 9]))
        ]
        return keyed(*keys, split=Each()) if keys else Command("ping", (number,))

    commands = [some_command(number) for number in range(chance.randint(0, 200))]
    plan = make_plan(commands, Placement(hosts, router))

    for lane in plan.lanes:
        host = plan.names[lane.host]
        assert all(router.locate(key) == host for command in lane.commands for key in command.keys)
        numbers = [number_of(command) for command in lane.commands]
        assert numbers == sorted(numbers)
    positions = [position for lane in plan.lanes for position in lane.positions]
    assert len(positions) == len(set(positions))

    outcomes = delivered(plan, lambda host, c: echo(host, c) if c.keys else (host, c.args[0]))
    assert outcomes == [
        [f"{key.decode()}@{router.locate(key)}" for key in command.keys]
        if command.keys
        else [(host, command.args[0]) for host in hosts]
        if len(hosts) > 1
        else (hosts[0], command.args[0])
        for command in commands
    ]


def number_of(command: Command) -> int:
    return int(command.keys[0].split(b":")[1]) if command.keys else int(command.args[0])


# Commands ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "as_bytes"),
    [
        ("foo", b"foo"),
        (b"foo", b"foo"),
        (bytearray(b"foo"), b"foo"),
        (memoryview(b"foo"), b"foo"),
        ("schlüssel", b"schl\xc3\xbcssel"),
        (1, b"1"),
        (-(2**70), b"-1180591620717411303424"),
        (1.5, b"1.5"),
        (True, b"True"),
        (None, b"None"),
        (("a", 1), b"('a', 1)"),
        ("", b""),
    ],
)
def test_a_key_is_the_bytes_that_a_client_would_send(key: object, as_bytes: bytes) -> None:
    assert key_bytes(key) == as_bytes


@pytest.mark.parametrize(
    ("args", "kwargs", "keys", "scope"),
    [
        (("k", "v"), {}, (b"k",), Scope.ALL),
        ((), {"key": "k"}, (b"k",), Scope.ALL),
        (("v",), {"key": "k"}, (b"k",), Scope.ALL),
        ((1,), {"x": 2}, (b"1",), Scope.ALL),
        ((), {}, (), Scope.ALL),
        ((), {"name": "k"}, (), Scope.UNKNOWN),
    ],
)
def test_the_key_of_a_plain_command_is_named_key_or_its_first_argument(
    args: Any, kwargs: Any, keys: Any, scope: Scope
) -> None:
    command = BaseEngine.describe("get", args, kwargs)
    assert (command.keys, command.scope) == (keys, scope)
    assert command.get_command() == ("get", args, kwargs)
    assert command.access is Access.WRITE


def test_a_command_shows_its_keys_and_never_its_values() -> None:
    assert repr(Command("set", ("k", "s3cret"), {"x": "s3cret"}, keys=[b"k"])) == "set b'k'"
    assert repr(keyed("a", "b", "c", "d", "e")) == "get b'a', b'b', b'c' and 2 more"
    assert repr(Command("ping")) == "ping"


# Many keys at once -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(), ("a",), ("a", "b", "a")])
def test_a_router_that_gives_too_few_or_too_many_hosts_is_refused(names: Sequence[str]) -> None:
    class Wrong(ByName):
        def locate_all(self, keys: Sequence[bytes]) -> Sequence[str]:
            return names

    with pytest.raises(RoutingError, match=rf"locate_all\(\) gave {len(names)} hosts for 2 keys"):
        make_plan([keyed("a:1", "b:1", split=Each())], placed(Wrong))
    assert placed(Wrong).groups([b"a:1", b"b:1"]) is None


def test_keys_are_grouped_by_host_in_the_order_in_which_hosts_come_up() -> None:
    groups = placed().groups([b"b:1", b"a:1", b"b:2", b"c:1"])
    assert groups is not None
    assert [*groups.items()] == [(1, [0, 2]), (0, [1]), (2, [3])]
    assert placed(RoundRobinRouter).groups([b"a"]) is None
