"""Commands that read keys of a pattern: they go where all these keys live, or nowhere. Nothing here does I/O."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters import ByName, memory_cluster
from nydus_core import CrossHostError, HostDown, RoutingError
from nydus_core.cluster.explain import explain
from nydus_core.command import Access, Command
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import make_plan
from nydus_core.delivery.retry import in_order
from nydus_core.engines import SurfaceFactory
from nydus_core.routers import (
    BaseRouter,
    BroadcastRouter,
    KeyRouter,
    Node,
    NodeRouter,
    Rendezvous,
    Ring,
    RoundRobinRouter,
    Slots,
    hash_tag,
    stand_in,
)
from spoiling import fuzz

NAMES = ("a", "b", "c")
NODES = [Node(name, identifier=name, address=f"{name}:1") for name in NAMES]


class Sort(Command):
    """Reads its key, and the keys of its patterns."""

    __slots__ = ("patterns",)

    def __init__(self, *keys: bytes, patterns: Sequence[bytes] = (), access: Access = Access.READ) -> None:
        super().__init__("sort", keys, keys=keys, access=access)
        self.patterns = patterns


def tagged() -> Placement:
    return Placement(NAMES, Rendezvous(NODES, hash_tags=True))


def elsewhere(placement: Placement, key: bytes) -> bytes:
    """A hash tag whose keys live on another host than a key."""
    home = placement.home(key)
    return next(tag for tag in (b"{%d}" % number for number in range(100)) if placement.home(tag) != home)


# Where the keys of a pattern live -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", [b"{t}*", b"w_{t}_*", b"{t}", b"{t}*{u}", b"x}{t}*", b"{{t}*", b"{t}{*}"])
def test_a_pattern_with_its_hash_tag_before_the_star_has_one_place(pattern: bytes) -> None:
    router = Slots(NODES, hash_tags=True)
    key = stand_in(router, pattern)
    assert key is not None
    assert hash_tag(key) in (b"t", b"{t")


@pytest.mark.parametrize(
    "pattern", [b"w_*", b"*", b"*{t}", b"{*}", b"{t*}", b"{*t}", b"{}*", b"{}{t}*", b"{}t}*", b"{t*", b"t}*"]
)
def test_a_pattern_whose_place_depends_on_the_star_has_none(pattern: bytes) -> None:
    assert stand_in(Slots(NODES, hash_tags=True), pattern) is None


def test_without_hash_tags_no_pattern_has_a_place() -> None:
    for router in (Slots(NODES), Rendezvous(NODES), ByName(NODES)):
        assert stand_in(router, b"{t}*") is None


class Tagged(NodeRouter):
    """A router of somebody else, which honours tags and says nothing more."""

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        names = self.candidates(avoid)
        return names[sum(hash_tag(key)) % len(names)]


class ByPrefix(NodeRouter):
    """A router of somebody else, which tells the part of a key that counts."""

    def part_of(self, key: bytes) -> bytes:
        return key.partition(b":")[0]

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        names = self.candidates(avoid)
        return names[sum(self.part_of(key)) % len(names)]


class Liar(ByName):
    """A router whose places depend on more than it says."""

    def part_of(self, key: bytes) -> bytes:
        return hash_tag(key)

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        return self.candidates(avoid)[sum(key) % len(NAMES)]


def test_routers_of_others_are_taken_at_their_word_but_not_blindly() -> None:
    assert stand_in(Tagged(NODES, hash_tags=True), b"{t}*") == b"{t}"
    assert stand_in(Tagged(NODES, hash_tags=True), b"t:*") is None
    assert stand_in(ByPrefix(NODES), b"t:*") == b"t:"
    assert stand_in(ByPrefix(NODES), b"*:t") is None
    assert stand_in(Liar(NODES), b"{t}*") is None


KEY_ROUTERS: list[KeyRouter] = [
    *(Slots(NODES, hash_tags=True, tags=tags) for tags in ("redis", "jedis", "django-redis", "phpredis")),
    *(Slots(NODES, hash_tag=marks) for marks in ("{}", "<>", "||", "\n\xff"[:1] + "}")),
    Slots(NODES, hash_tags=True, prefix="p{"),
    Slots(NODES, hash_tags=True, keys="text"),
    Slots(NODES, keys="mcrouter"),
    Ring(NODES, hash_tags=True),
]
PIECES = st.lists(
    st.sampled_from([b"{", b"}", b"<", b">", b"|", b"|#|", b"/", b"t", b"u", b"\n", b"\0", b"\xff", b"->"]),
    max_size=6,
).map(b"".join)


@fuzz(300)
@given(router=st.sampled_from(KEY_ROUTERS), before=PIECES, behind=PIECES, fill=PIECES | st.binary(max_size=8))
def test_every_key_of_a_pattern_lives_where_its_stand_in_lives(
    router: KeyRouter, before: bytes, behind: bytes, fill: bytes
) -> None:
    key = stand_in(router, before + b"*" + behind)
    if key is not None:
        assert router.part_of(before + fill + behind) == router.part_of(key)
        assert router.locate(before + fill + behind) == router.locate(key)


def test_some_patterns_have_a_place_with_each_kind_of_hash_tag() -> None:
    """But for two kinds: to Jedis a key that is no UTF-8 has no tag, and django-redis takes the last braces."""
    fits = [b"{t}*", b"<t>*", b"|t|*", b"t|#|*"]
    without = [router for router in KEY_ROUTERS if not any(stand_in(router, pattern) for pattern in fits)]
    assert [router._key_rule["tags"] for router in without] == ["jedis", "django-redis", "\n}"]


# Placement ---------------------------------------------------------------------------------------------------------


def test_a_command_with_patterns_goes_to_the_host_of_all_their_keys() -> None:
    placement = tagged()
    command = Sort(b"{t}ids", patterns=[b"{t}w_*", b"{t}o_*"])
    (lane,) = make_plan([command], placement).lanes
    assert lane.host == placement.home(b"{t}ids")
    assert lane.commands == [command]


def test_a_pattern_whose_keys_may_live_anywhere_is_refused() -> None:
    with pytest.raises(CrossHostError) as refusal:
        make_plan([Sort(b"{t}ids", patterns=[b"w_*", b"{t}o_*"])], tagged())
    home = NAMES[tagged().home(b"{t}ids")]
    assert refusal.value.hosts == {home: [b"{t}ids", b"{t}o_*"]}
    assert refusal.value.patterns == [b"w_*"]
    assert str(refusal.value) == (
        f"sort: its keys live on several hosts (host {home!r}: b'{{t}}ids', b'{{t}}o_*'; any host: b'w_*'). Nothing was "
        "sent. Keys with one hash tag, such as {user:1}.ids and all of {user:1}.weight_*, live together. "
        f"cluster.on({home!r}) reads what that host holds, and nothing else."
    )
    again = pickle.loads(pickle.dumps(refusal.value))
    assert (str(again), again.patterns) == (str(refusal.value), [b"w_*"])


def test_a_pattern_whose_keys_all_live_on_another_host_is_refused() -> None:
    placement = tagged()
    pattern = elsewhere(placement, b"{t}ids") + b"w_*"
    with pytest.raises(CrossHostError) as refusal:
        make_plan([Sort(b"{t}ids", patterns=[pattern])], placement)
    assert refusal.value.patterns == []
    assert sorted(map(repr, refusal.value.hosts.values())) == sorted([repr([b"{t}ids"]), repr([pattern])])


def test_the_way_out_is_one_that_the_router_has() -> None:
    for router in (Rendezvous(NODES), Rendezvous(NODES, hash_tags=True, tags="jedis"), ByName(NODES)):
        with pytest.raises(CrossHostError, match="With a router that honours hash tags"):
            make_plan([Sort(b"a", patterns=[b"w_*"])], Placement(NAMES, router))


@pytest.mark.parametrize("router", [None, Rendezvous, RoundRobinRouter, BroadcastRouter, ByName])
def test_over_one_host_nothing_is_refused(router: Any) -> None:
    placement = Placement(("a",), router and router(NODES[:1]))
    command = Sort(b"ids", patterns=[b"w_*"])
    assert [lane.commands for lane in make_plan([command], placement).lanes] == [[command]]


class ToB(BaseRouter):
    def _route(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[Any]:
        return ["b"]


def test_routers_that_do_not_go_by_keys_send_it_where_they_send_any_command() -> None:
    """Every host is told to have all data (round-robin), or asked for its own (broadcast), or the router sees the call."""
    command = Sort(b"ids", patterns=[b"w_*"])
    for router, hosts in [
        (RoundRobinRouter(NODES), ["a"]),
        (BroadcastRouter(NODES), ["a", "b", "c"]),
        (None, ["a", "b", "c"]),
        (ToB(), ["b"]),
    ]:
        plan = make_plan([command], Placement(NAMES, router))
        assert [NAMES[lane.host] for lane in plan.lanes] == hosts, router


def test_the_client_of_a_key_refuses_a_pattern_that_leads_away_from_its_host() -> None:
    placement = tagged()
    home = NAMES[placement.home(b"{t}ids")]
    placement.admit(Sort(b"{t}ids", patterns=[b"{t}w_*"]), home, "{t}")
    for pattern in (b"w_*", elsewhere(placement, b"{t}") + b"*"):
        with pytest.raises(RoutingError) as refusal:
            placement.admit(Sort(b"{t}ids", patterns=[pattern]), home, "{t}")
        assert str(refusal.value) == (
            f"sort: keys of the pattern {pattern!r} may live on other hosts than {home!r}, that of '{{t}}'. Nothing was "
            "sent. Keys with one hash tag, such as {user:1}.ids and all of {user:1}.weight_*, live together. "
            f"cluster.on({home!r}) reads what that host holds, and nothing else"
        )
    Placement(("a",), Rendezvous(NODES[:1])).admit(Sort(b"ids", patterns=[b"w_*"]), "a", "ids")


@given(avoid=st.sets(st.sampled_from(range(3)), max_size=2), number=st.integers(0, 50))
def test_a_command_that_is_rerouted_takes_its_patterns_along(avoid: set[int], number: int) -> None:
    placement = tagged()
    tag = b"{%d}" % number
    route = placement.elsewhere(Sort(tag + b"ids", patterns=[tag + b"w_*"]), avoid)
    assert [*route.hosts] == [*placement.elsewhere(Sort(tag + b"w_1"), avoid).hosts]
    assert not avoid.intersection(route.hosts)


def test_a_command_whose_patterns_would_part_from_its_keys_stays_where_it_is() -> None:
    """Two hash tags live together by chance, and part when their host is down."""
    placement = tagged()
    tags = [b"{%d}" % number for number in range(100)]
    together = [tag for tag in tags if placement.home(tag) == 0]
    others = {tag: placement.elsewhere(Sort(tag), {0}).hosts[0] for tag in together}
    mine = together[0]
    parting = next(tag for tag in together if others[tag] != others[mine])
    command = Sort(mine + b"ids", patterns=[parting + b"w_*"])
    assert [*placement.route(command).hosts] == [0]
    with pytest.raises(CrossHostError):
        placement.elsewhere(command, {0})


# Order -------------------------------------------------------------------------------------------------------------


def test_a_command_with_patterns_may_concern_any_key() -> None:
    write = Command("set", (), keys=[b"{t}w_1"], access=Access.WRITE)
    lost = HostDown("lost")
    assert in_order([write, Sort(b"ids", patterns=[b"{t}w_*"])], [lost, 1], [0]) == []
    assert in_order([write, Sort(b"ids")], [lost, 1], [0]) == [0]
    assert in_order([Sort(b"ids", patterns=[b"{t}w_*"]), write], [lost, 1], [0]) == []
    assert in_order(
        [Sort(b"ids", patterns=[b"{t}w_*"]), Command("get", keys=[b"k"], access=Access.READ)], [lost, 1], [0]
    ) == [0]


# Explained ----------------------------------------------------------------------------------------------------------


def sorting(dispatch: Any) -> Any:
    """A surface with one method."""

    class Surface:
        def sort(self, key: str, *patterns: str) -> Any:
            return dispatch(Sort(key.encode(), patterns=[pattern.encode() for pattern in patterns]))

    return Surface()


def test_explain_tells_of_patterns() -> None:
    factory: SurfaceFactory = sorting
    found = explain(factory, tagged(), "sort", ("{t}ids", "{t}w_*"), {})
    (place,) = found.patterns
    home = NAMES[tagged().home(b"{t}ids")]
    assert (place.key, place.part, place.host) == (b"{t}w_*", b"t", home)
    assert str(found).endswith(f"\n  keys of the pattern b'{{t}}w_*' live on {home}, by b't'\n  to {home}")
    refused = explain(factory, tagged(), "sort", ("{t}ids", "w_*"), {})
    assert [place.host for place in refused.patterns] == [""]
    assert "\n  keys of the pattern b'w_*' may live on any host\n  refused: sort: its keys live on" in str(
        refused
    )
    assert refused.to_dict()["patterns"][0]["key"] == "w_*"
    for router in (None, RoundRobinRouter(NODES), BroadcastRouter(NODES)):
        assert "\n  keys of the pattern b'w_*'\n" in str(
            explain(factory, Placement(NAMES, router), "sort", ("k", "w_*"), {})
        )
    single = explain(factory, Placement(("a",), None), "sort", ("ids", "w_*"), {})
    assert str(single).endswith("keys of the pattern b'w_*' live on a\n  to a")


def test_commands_of_engines_have_no_patterns_unless_they_say_so() -> None:
    with memory_cluster() as cluster:
        assert cluster.explain("get", "a").patterns == ()
