"""One table of scenarios, on real servers, for both sides: what happens with ``Cluster`` happens with ``AsyncCluster``.

Each scenario is written once, and asserts what both sides have to do; what it returns has to be the same on both. Hosts are
called by the first letters of their keys: ``a1`` lives on host ``a``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
import redis

from clusters import ByName
from given import NewRedisServer, Proxies, RedisServers
from nydus.db.routers.base import BaseRouter
from nydus_core import (
    CommandError,
    ConfigError,
    CrossHostError,
    DeadlineExceeded,
    HostDown,
    HostListExhausted,
    MaybeApplied,
    Outcome,
    RoutingError,
    errors,
    hookimpl,
)
from nydus_core.command import outcome_of
from nydus_core.errors import NotResolved
from nydus_core.health.breaker import State
from nydus_core.plugins.manager import hooks
from nydus_core.testing import FaultProxy
from nydus_redis.commands import table as commands
from nydus_redis.commands import wire
from nydus_redis.embedded.server import PrivateServer
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Scenario, Side
from waiting import TooShort, long_enough

QUICK = {"failures": 2, "backoff": 0.02, "most": 0.05}
ONCE = {"attempts": 1}


class World:
    """Three real servers, ``a``, ``b`` and ``c``, each behind a proxy that can fail.

    Parameters:
        servers: The servers.
        fronts: The proxies.

    Attributes:
        short: A deadline in seconds. A scenario raises ``TooShort`` if it is over before it should be.
    """

    short = 0.05

    def __init__(self, servers: list[PrivateServer], fronts: list[FaultProxy]) -> None:
        self._begun: dict[str, int] = {}
        self.fronts = dict(zip("abc", fronts, strict=True))
        self._direct = {
            name: redis.Redis(unix_socket_path=server.path)
            for name, server in zip("abc", servers, strict=True)
        }

    def settings(self, names: str = "abc", **settings: Any) -> dict[str, Any]:
        hosts = {name: {"unix_socket_path": self.fronts[name].path} for name in names}
        return {"engine": "redis", "router": ByName, "hosts": hosts, **settings}

    def on(self, host: str) -> Any:
        """A plain client of a server, past its proxy."""
        return self._direct[host]

    def requests(self) -> int:
        """How many chunks were sent to all hosts."""
        return sum(len(front.requests) for front in self.fronts.values())

    def sent(self, host: str, *words: bytes) -> int:
        """How often a host was sent something that contains all words."""
        chunks = self.fronts[host].requests[self._begun[host] :]
        return sum(all(word in chunk for word in words) for chunk in chunks)

    def begin(self) -> None:
        """Undo what a scenario has done."""
        for front in self.fronts.values():
            front.heal()
            front.drop()
        for client in self._direct.values():
            client.flushall()
        self._begun = {name: len(front.requests) for name, front in self.fronts.items()}


@pytest.fixture
def world(redis_servers: RedisServers, proxy: Proxies) -> Iterator[World]:
    servers = redis_servers(3)
    world = World(servers, [proxy(server) for server in servers])
    yield world
    for client in world._direct.values():
        client.close()


SCENARIOS: list[Scenario] = []


def scenario(function: Scenario) -> Scenario:
    """Put a scenario into the table."""
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("function", SCENARIOS, ids=lambda function: function.__name__)
def test_both_sides_do_the_same(function: Scenario, world: World) -> None:
    @long_enough
    def on_both_sides(seconds: float) -> None:
        world.short = seconds
        found = []
        for side in (BlockingSide(), AsyncSide(), AsyncOwnSide()):
            world.begin()
            found.append(side.run(function, world))
        assert found == [found[0]] * 3


def known(error: BaseException) -> tuple[str, Any, Any]:
    """What both sides say of a host that fails; what their client libraries say may differ."""
    kinds = [each.__name__ for each in type(error).__mro__ if each.__module__ == "nydus_core.errors"]
    kind = next((name for name in kinds if name in vars(errors)), type(error).__name__)
    return kind, outcome_of(error), getattr(error, "attempts", None)


async def failed(side: Side, call: Callable[[], Any]) -> Any:
    """Return the error of a call that fails."""
    try:
        value = await side(call())
    except Exception as error:
        return error
    raise AssertionError(f"it did not fail, but answered {value!r}")


# One command ------------------------------------------------------------------------------------------------------------


@scenario
async def one_key(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    assert await side(cluster.set("a1", "value")) is True
    assert await side(cluster.get("a1")) == b"value"
    assert await side(cluster.decr("b1", 2)) == -2
    assert await side(cluster.get("c1")) is None
    assert [world.on(name).dbsize() for name in "abc"] == [1, 1, 0]
    error = await failed(side, lambda: cluster.incr("a1"))
    assert type(error) is redis.ResponseError
    wrong = await failed(side, lambda: cluster.lpush("a1", 1))
    assert "WRONGTYPE" in str(wrong)
    missing = await failed(side, lambda: cluster.gett("a1"))
    assert isinstance(missing, AttributeError)
    return str(error), str(wrong), str(missing)


@scenario
async def split(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    keys = ["c1", "a1", "b1", "a2"]
    assert await side(cluster.mset(dict(zip(keys, "wxyz", strict=True)))) is True
    assert await side(cluster.mget("a2", "b1", "none", "c1", "a2")) == [b"z", b"y", None, b"w", b"z"]
    assert await side(cluster.exists(*keys, "a1", "b2")) == 5
    assert await side(cluster.delete("a1", "b1", "b2")) == 2
    assert await side(cluster.unlink("a2", "c1")) == 2
    assert [world.on(name).dbsize() for name in "abc"] == [0, 0, 0]


@scenario
async def split_with_a_host_down(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(retry=ONCE))
    await side(cluster.mset({"a1": 1, "b1": 1}))
    world.fronts["b"].refuse()
    error = await failed(side, lambda: cluster.mget("a1", "b1"))
    assert isinstance(error, HostDown)
    some = await failed(side, lambda: cluster.delete("a1", "b1"))
    assert isinstance(some, MaybeApplied)  # on the other host it was
    assert world.on("a").dbsize() == 0
    return known(error), known(some)


@scenario
async def across_hosts(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    before = world.requests()
    error = await failed(side, lambda: cluster.rename("a1", "b1"))
    assert isinstance(error, CrossHostError)
    assert error.hosts == {"a": [b"a1"], "b": [b"b1"]}
    with pytest.raises(CrossHostError) as caught:
        async with side.map(cluster) as conn:
            never = conn.set("a1", 1)
            conn.sinter("a1", "b1")
    assert never.outcome is Outcome.NOT_SENT
    assert world.requests() == before
    return str(error), str(caught.value)


@scenario
async def broadcast(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    world.on("b").set("b1", 1)
    assert await side(cluster.ping()) == [True] * 3
    assert await side(cluster.dbsize()) == [0, 1, 0]
    assert await side(cluster.flushdb()) == [True] * 3
    refused = [await failed(side, cluster.monitor), await failed(side, cluster.client)]
    assert all(isinstance(error, RoutingError) for error in refused)
    return list(map(str, refused))


@scenario
async def no_router(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(router=None))
    assert await side(cluster.set("key", 1)) == [True] * 3
    world.on("c").delete("key")
    assert await side(cluster.get("key")) == [b"1", b"1", None]
    assert await side(cluster.mget("key", "none")) == [[b"1", None], [b"1", None], [None, None]]


@scenario
async def one_host_answers_plainly(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings("a", router=None))
    assert await side(cluster.ping()) is True
    assert await side(cluster.mset({"x": 1, "y": 2})) is True
    async with side.map(cluster) as conn:
        promises = [conn.get("x"), conn.dbsize()]
    assert promises == [b"1", 2]


@scenario
async def round_robin(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(router="round-robin"))
    assert [await side(cluster.incr("n")) for _ in range(6)] == [1, 1, 1, 2, 2, 2]
    world.fronts["b"].refuse()
    assert sorted([await side(cluster.incr("n")) for _ in range(3)]) in ([3, 3, 4], [3, 4, 4])
    assert world.on("b").get("n") == b"2"


# map() ------------------------------------------------------------------------------------------------------------------


@scenario
async def map_with_an_error_in_the_middle(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    await side(cluster.set("b1", "text"))
    with pytest.raises(CommandError) as caught:
        async with side.map(cluster) as conn:
            promises = [
                conn.incr("a1"),
                conn.lpush("b1", 1),
                conn.incr("c1"),
                conn.incr("b2"),
                conn.incr("a1"),
            ]
            assert len(conn) == 5
            with pytest.raises(NotResolved):
                int(promises[0])
    assert [promise.outcome for promise in promises] == [
        Outcome.VALUE,
        Outcome.SERVER_ERROR,
        *[Outcome.VALUE] * 3,
    ]
    assert [promises[0], promises[2], promises[3], promises[4]] == [1, 1, 1, 2]
    (failure,) = caught.value.errors
    assert (failure.name, failure.position, failure.hosts) == ("LPUSH", 1, ("b",))
    assert "WRONGTYPE" in str(failure.error)
    return str(caught.value), repr(promises)


@scenario
async def map_whose_body_raises(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    before = world.requests()
    with pytest.raises(ZeroDivisionError):
        async with side.map(cluster) as conn:
            promise = conn.set("a1", 1)
            1 / 0  # noqa: B018
    assert promise.outcome is Outcome.NOT_SENT
    with pytest.raises(NotResolved) as caught:
        conn.get_results()
    assert world.requests() == before
    return str(caught.value), repr(promise)


@scenario
async def map_that_fails_silently(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(retry=ONCE))
    world.fronts["c"].refuse()
    async with side.map(cluster, fail_silently=True) as conn:
        promises = [conn.set("a1", 1), conn.set("c1", 1), conn.mget("a1", "c1", "b1"), conn.get("b1")]
    assert [failure.position for failure in conn.get_errors()] == [1, 2]
    assert [failure.hosts for failure in conn.get_errors()] == [("c",), ("c",)]
    first, second, *_ = conn.get_results()
    assert first is True, "a plain value"
    assert second is promises[1], "which raises the error"
    return [known(failure.error) for failure in conn.get_errors()], [p.outcome for p in promises]


@scenario
async def map_as_a_transaction(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    async with side.map(cluster, transaction=True) as conn:
        promises = [conn.incr("a1"), conn.incr("b1"), conn.incr("a1")]
    assert promises == [1, 1, 2]
    assert (world.sent("a", b"MULTI", b"EXEC"), world.sent("b", b"MULTI"), world.sent("c", b"MULTI")) == (
        1,
        1,
        0,
    )
    with pytest.raises(CommandError) as caught:
        async with side.map(cluster, transaction=True) as conn:
            conn.incr("a1")
            conn.execute_command("INCR", "a1", "one too many")
            there = conn.incr("b1")
    assert there == 2
    assert world.on("a").get("a1") == b"2"  # none of its commands was applied
    return [(failure.position, failure.hosts, outcome_of(failure.error)) for failure in caught.value.errors]


@scenario
async def map_of_large_values(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    large = b"x" * 300_000
    async with side.map(cluster) as conn:
        promises = [conn.set(f"{name}{number}", large) for number in range(5) for name in "abc"]
    assert promises == [True] * 15
    async with side.map(cluster) as conn:
        found = [conn.get(f"{name}{number}") for number in range(5) for name in "abc"]
    assert found == [large] * 15


# Where commands go ---------------------------------------------------------------------------------------------------------


@scenario
async def explain(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(on_host_down="reroute"))
    before = world.requests()
    told = [
        cluster.explain("mget", "a1", "b1"),
        cluster.explain("rename", "a1", "b1"),
        cluster.explain("ping"),
    ]
    told += [cluster.explain("decr", "c1"), cluster.explain("evalsha", "0" * 40, 1, "a1")]
    assert told[0].split
    assert told[1].refused
    assert world.requests() == before
    return [(str(each), each.to_dict()) for each in told]


@scenario
async def on_a_host(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    client = cluster.on("b")
    assert await side(client.set("a1", "elsewhere")) is True
    assert await side(client.mget("a1", "b1")) == [b"elsewhere", None]
    assert world.on("b").get("a1") == b"elsewhere"
    with pytest.raises(RoutingError) as caught:
        cluster.on("d")
    cluster.remove_host("b")
    left = await failed(side, lambda: client.get("a1"))
    assert isinstance(left, RoutingError)
    return str(caught.value), str(left)


@scenario
async def on_a_key(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    client = cluster.on_key("a1")
    assert await side(client.set("a2", 5)) is True
    assert await side(client.incr("a2")) == 6
    before = world.requests()
    refused = [
        await failed(side, lambda: client.get("b1")),
        await failed(side, lambda: client.mget("a1", "b1")),
    ]
    assert all(isinstance(error, RoutingError) for error in refused)
    assert world.requests() == before
    return [str(error) for error in refused]


class Seeing(BaseRouter):
    """A router of nydus 0.11: it sees the call. Keys live where their first letters say."""

    seen: ClassVar[list[Any]] = []

    def _route(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[Any]:
        Seeing.seen.append((attr, args, kwargs))
        return [str(args[2] if attr == "evalsha" else args[0])[:1]]


@scenario
async def routers_of_old_see_the_call(side: Side, world: World) -> Any:
    Seeing.seen.clear()
    cluster = side.cluster(world.settings(router=Seeing))
    assert await side(cluster.decr("a1")) == -1
    assert await side(cluster.decr("a1", amount=2)) == -3
    assert await side(cluster.set("b1", "v", ex=100)) is True
    script = "return redis.call('GET', KEYS[1])"
    registered = cluster.register_script(script)
    # which is written as a coroutine function with asyncio
    assert await side(cluster.evalsha(registered.sha, 1, "b1")) == b"v"
    async with side.map(cluster) as conn:
        promises = [conn.decr("a1"), conn.get("b1")]
    assert promises == [-4, b"v"]
    assert cluster.explain("decr", "c1").parts[0].host == "c"
    assert Seeing.seen[:3] == [
        ("decr", ("a1",), {}),
        ("decr", ("a1",), {"amount": 2}),
        ("set", ("b1", "v"), {"ex": 100}),
    ]
    assert {each[0] for each in Seeing.seen} == {"decr", "set", "evalsha", "get"}
    return list(Seeing.seen)


@scenario
async def unknown_commands_are_asked_about_once(side: Side, world: World) -> Any:
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # there is no command that the table lacks: it is made to lack one
        patch.setattr(wire, "lookup", lambda words: None if words[0] == "APPEND" else commands.lookup(words))
        cluster = side.cluster(world.settings())
        for name in "abcabc":
            await side(cluster.append(f"{name}1", "xy"))
        async with side.map(cluster) as conn:
            promises = [conn.append("a1", "z"), conn.append("b2", "z")]
        assert promises == [5, 1]
        error = await failed(side, lambda: cluster.execute_command("NO.SUCH", "a1"))
        assert isinstance(error, RoutingError)
        asked = sum(world.sent(name, b"COMMAND\r\n$4\r\nINFO", b"APPEND") for name in "abc")
        assert asked == 1
    return str(error)


@scenario
async def in_a_transaction_only_its_commands_are_sent_as_one(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings())
    with pytest.raises(RoutingError) as refused:
        async with side.map(cluster, transaction=True) as conn:
            conn.execute_command("NO.SUCH", "a1")
    assert sum(world.sent(name, b"INFO", b"NO.SUCH") for name in "abc") == 1
    assert sum(world.sent(name, b"MULTI") for name in "abc") == 0
    return str(refused.value)


# Membership --------------------------------------------------------------------------------------------------------------


@scenario
async def hosts_come_and_go(side: Side, world: World) -> Any:
    settings = world.settings("ab", router="rendezvous")
    cluster = side.cluster(settings)
    told = [cluster.fingerprint, repr(cluster), len(cluster), list(cluster)]
    await side(cluster.set("key", 1))
    cluster.add_host("c", {"unix_socket_path": world.fronts["c"].path, "weight": 2})
    told += [cluster.fingerprint, [cluster.router.locate(b"%d" % number) for number in range(30)]]
    async with side.map(cluster) as conn:
        for number in range(30):
            conn.set(number, number)
    assert world.on("c").dbsize() > 0
    cluster.set_weight("c", 0)
    told += [cluster.fingerprint, [cluster.router.locate(b"%d" % number) for number in range(30)]]
    cluster.remove_host("c")
    assert cluster.fingerprint == told[0]
    assert await side(cluster.ping()) == [True, True]
    wrongs: list[Callable[[], Any]] = [
        lambda: cluster.add_host("a", {}),
        lambda: cluster.remove_host("d"),
        lambda: cluster["d"],
    ]
    for wrong in wrongs:
        with pytest.raises((ConfigError, KeyError)) as caught:
            wrong()
        told.append(str(caught.value))
    told[1] = told[1].replace("AsyncCluster", "Cluster")
    return told


@scenario
async def guard(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(router="rendezvous"))
    cluster.guard(cluster.fingerprint)
    cluster.guard(cluster.router.rule())
    told = []
    for expected in ("rendezvous:0000000000000000", {**cluster.router.rule(), "hosts": []}):
        with pytest.raises(ConfigError) as caught:
            cluster.guard(expected)
        told.append(str(caught.value))
        with pytest.raises(ConfigError, match="fingerprint"):
            side.cluster(world.settings(router="rendezvous", fingerprint=expected))
    return told


# Time, and trying again --------------------------------------------------------------------------------------------------


@scenario
async def deadlines(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(retry={"attempts": 9, "repeat": "all"}))
    assert await side(cluster.ping()) == [True] * 3
    world.fronts["a"].blackhole = True
    with cluster.deadline(world.short):
        block = await failed(side, lambda: cluster.incr("a1"))
        over = await failed(side, lambda: cluster.incr("b1"))  # no time is left: not even sent
    with cluster.deadline(2 * world.short), pytest.raises(CommandError) as caught:
        async with side.map(cluster) as conn:
            conn.incr("a2")
            there = conn.incr("c1")
    if isinstance(block, HostDown) or len(caught.value.errors) == 2:
        raise TooShort
    assert there == 1
    (failure,) = caught.value.errors
    # the connection that all tasks share is still open; any other was closed, and a new one is not greeted
    assert isinstance(failure.error, MaybeApplied if side.shares else HostDown)
    for error in (block, over, failure.error):
        assert isinstance(error, DeadlineExceeded)
        assert isinstance(error, redis.TimeoutError)
    assert isinstance(block, MaybeApplied)
    assert isinstance(over, HostDown)
    assert await side(cluster.incr("c1")) == 2  # the block is over
    assert world.on("b").get("b1") is None
    return [known(error) for error in (block, over)], str(block).rpartition(": ")[2]


@scenario
async def a_host_that_hangs_is_taken_out_by_short_deadlines_too(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(health={"backoff": 0.05, "most": 0.1}, retry=ONCE))
    assert await side(cluster.ping()) == [True] * 3
    world.fronts["a"].blackhole = True
    calls, error = 0, None
    while cluster.health()["a"].state is State.CLOSED:
        calls += 1
        assert calls < 2000
        with cluster.deadline(0.01):
            error = await failed(side, lambda: cluster.incr("a1"))
    assert isinstance(error, DeadlineExceeded)
    assert calls > 5  # a single one says little
    assert cluster.health()["b"].failures == cluster.health()["c"].failures == 0
    world.fronts["a"].heal()
    await side.until(lambda: cluster.health()["a"].state is State.CLOSED)
    assert await side(cluster.set("a2", 1)) is True
    return None


@scenario
async def deadline_of_the_settings(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(deadline=0.1, health={"failures": 99}))
    world.fronts["a"].blackhole = True
    found = []
    for _ in range(2):  # each call has it for itself
        error = await failed(side, lambda: cluster.incr("a1"))
        assert isinstance(error, DeadlineExceeded)
        found.append(str(error).rpartition(": ")[2])
    assert found == ["the deadline of 0.1 seconds is over"] * 2
    return found


@scenario
async def what_is_tried_again(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(retry={"attempts": 3, "backoff": 0}, health={"failures": 99}))
    repeating = side.cluster(
        world.settings(retry={"attempts": 3, "backoff": 0, "repeat": "all"}, health={"failures": 99})
    )
    for each in (cluster, repeating):
        await side(each.set("a1", 0))
    cut = world.fronts["a"].cut_replies
    cut(times=2)
    assert await side(cluster.get("a1")) == b"0"  # a read, at the third attempt
    cut(times=1)
    error = await failed(side, lambda: cluster.incr("a1"))
    assert isinstance(error, MaybeApplied)
    assert world.on("a").get("a1") == b"1"
    cut(times=1)
    assert await side(repeating.incr("a1")) == 3  # twice
    cut(times=1)
    async with side.map(cluster, fail_silently=True) as conn:
        promises = [conn.get("a1"), conn.incr("a1"), conn.get("a1")]
    world.fronts["a"].refuse()
    down = await failed(side, lambda: cluster.incr("a1"))
    assert down.attempts == 3
    return known(error), known(down), [promise.outcome for promise in promises]


@scenario
async def a_first_attempt_that_fails_is_one_of_the_attempts(side: Side, world: World) -> Any:
    settings = world.settings(retry={"attempts": 3, "backoff": 0}, health={"failures": 99})
    cut = world.fronts["a"].cut_replies
    writing, reading = side.cluster(settings), side.cluster(settings)
    for each in (writing, reading):
        await side(each.ping())  # connected, and well: its first command takes the short cut
    cut(times=1)
    write = await failed(side, lambda: writing.incr("a1"))
    assert isinstance(write, MaybeApplied)
    assert world.on("a").get("a1") == b"1"
    cut(times=3)
    read = await failed(side, lambda: reading.get("a1"))
    assert (write.attempts, read.attempts) == (1, 3)
    return known(write), known(read)


@scenario
async def a_first_attempt_on_a_named_host_is_not_rerouted(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(on_host_down="reroute", retry=ONCE, health={"failures": 99}))
    world.fronts["b"].refuse()
    for client in (cluster.on("b"), cluster.on_key("b1")):
        assert isinstance(await failed(side, partial(client.set, "b1", 1)), HostDown)
    assert world.on("a").get("b1") is None
    assert await side(cluster.set("b1", 1)) is True
    assert world.on("a").get("b1") == b"1"


# Hosts that fail ----------------------------------------------------------------------------------------------------------


@scenario
async def rerouted(side: Side, world: World) -> Any:
    cluster = side.cluster(
        world.settings(on_host_down="reroute", retry=ONCE, health={**QUICK, "backoff": 60})
    )
    await side(cluster.set("b1", "first"))
    world.fronts["b"].refuse()
    assert await side(cluster.set("b1", "second")) is True
    assert world.on("a").get("b1") == b"second"
    assert await side(cluster.mget("b1", "c1")) == [b"second", None]
    async with side.map(cluster) as conn:
        promises = [conn.get("b1"), conn.incr("c1")]
    assert promises == [b"second", 1]
    pinned = await failed(side, lambda: cluster.on("b").get("b1"))
    assert isinstance(pinned, HostDown)
    for name in "ac":
        world.fronts[name].refuse()
    error = await failed(side, lambda: cluster.get("b1"))
    assert isinstance(error, HostListExhausted)
    return known(pinned)[:2], known(error)[:2]


class Recorder:
    """What all hooks were told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def words(self, kind: str) -> list[Any]:
        return [each[1:] for each in self.told if each[0] == kind]

    @hookimpl
    def nydus_configure(self, settings: Any) -> None:
        self.told.append(("configure", sorted(settings)))
        settings["retry"] = ONCE

    @hookimpl
    def nydus_cluster_created(self, cluster: Any) -> None:
        self.told.append(("created", len(cluster)))

    @hookimpl
    def nydus_command_done(self, cluster: Any, command: Any, hosts: Any, error: Any, seconds: float) -> None:
        assert seconds > 0
        self.told.append(("command", repr(command), hosts, error and known(error)))

    @hookimpl
    def nydus_batch_done(self, commands: Any, hosts: Any, outcomes: Any, seconds: float) -> None:
        assert seconds > 0
        found = [known(each) if isinstance(each, Exception) else each for each in outcomes]
        self.told.append(("batch", list(map(repr, commands)), list(hosts), found))

    @hookimpl
    def nydus_host_down(self, cluster: Any, host: str, cause: BaseException) -> None:
        assert isinstance(cause, redis.ConnectionError)
        self.told.append(("down", host))

    @hookimpl
    def nydus_host_up(self, cluster: Any, host: str) -> None:
        self.told.append(("up", host))


def health_of(cluster: Any, host: str = "a") -> Any:
    return cluster.health()[host]


async def _down_and_up(side: Side, world: World, cluster: Any) -> Any:
    """Have host ``a`` taken for down, and readmitted."""
    world.fronts["a"].refuse()
    for _ in range(2):
        assert isinstance(await failed(side, lambda: cluster.incr("a1")), HostDown)
    await side.until(lambda: health_of(cluster).failures > 2)  # a probe has failed
    refused = await failed(side, lambda: cluster.incr("a1"))
    assert refused.attempts == 0
    assert await side(cluster.incr("b1")) == 1
    world.fronts["a"].accept()
    await side.until(lambda: health_of(cluster).state is State.CLOSED)
    assert health_of(cluster).failures == 0
    return known(refused)


@scenario
async def breaker_with_its_hooks(side: Side, world: World) -> Any:
    recorder = Recorder()
    hooks.register(recorder, None)
    try:
        cluster = side.cluster(world.settings(health=QUICK))
        await side(cluster.set("a1", 5))
        await _down_and_up(side, world, cluster)
        assert await side(cluster.get("a1")) == b"5"
        await side(cluster.ping())
        await failed(side, lambda: cluster.lpush("a1", 1))
        async with side.map(cluster, fail_silently=True) as conn:
            conn.incr("a1")
            conn.lpush("a1", "x")
            conn.mget("b1", "c1")
    finally:
        hooks.unregister(recorder)
    assert recorder.words("configure") == [(sorted(world.settings(health=QUICK)),)]
    assert recorder.words("created") == [(3,)]
    assert recorder.words("down") == [("a",)]
    assert recorder.words("up") == [("a",)]
    assert ("get b'a1'", ("a",), None) in [
        (command.lower(), hosts, error) for command, hosts, error in recorder.words("command")
    ]
    assert len(recorder.words("batch")) == 1
    return recorder.told


@scenario
async def readmitted(side: Side, world: World) -> Any:
    told: list[Any] = []

    def plain(host: str, client: Any) -> None:
        told.append((host, type(client).__name__))

    async def awaited(host: str, client: Any) -> None:
        told.append((host, await client.get("a2")))

    def blocking(host: str, client: Any) -> None:
        told.append((host, client.get("a2")))

    using_it = awaited if isinstance(side, AsyncSide) else blocking
    kept = []
    for on_readmit in ("keep", "flush", plain, using_it):
        world.begin()
        world.on("a").set("a2", "old")
        cluster = side.cluster(world.settings(on_readmit=on_readmit, retry=ONCE, health=QUICK))
        await _down_and_up(side, world, cluster)
        kept.append(await side(cluster.get("a2")))
        await side(cluster.close())
    assert kept == [b"old", None, b"old", b"old"]
    assert told == [("a", "_HostClient"), ("a", b"old")]
    return kept


@scenario
async def closed_and_used_again(side: Side, world: World) -> Any:
    cluster = side.cluster(world.settings(retry=ONCE, health={**QUICK, "backoff": 60}))
    await side(cluster.incr("a1"))
    world.fronts["a"].refuse()
    for _ in range(2):
        await failed(side, lambda: cluster.incr("a1"))
    assert health_of(cluster).state is State.OPEN
    world.fronts["a"].accept()
    await side(cluster.disconnect())
    assert health_of(cluster).state is State.CLOSED
    await side.until(lambda: sum(front.open_connections for front in world.fronts.values()) == 0)
    assert await side(cluster.incr("a1")) == 2


# Hosts that are killed -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
def test_a_host_that_is_killed_fails_alone_and_is_back_when_it_is_back(
    side: type[Side], new_redis_server: NewRedisServer
) -> None:
    servers = {name: new_redis_server() for name in "ab"}

    async def killed(side: Side) -> None:
        hosts = {name: {"unix_socket_path": server.path} for name, server in servers.items()}
        settings = {"engine": "redis", "router": ByName, "hosts": hosts, "health": QUICK}
        cluster = side.cluster(settings)
        counted = {"a": 0, "b": 0}
        for turn in range(30):
            if turn == 10:
                servers["a"].kill()
            if turn == 20:
                servers["a"].restart(keep_data=False)
                await side.until(lambda: health_of(cluster).state is State.CLOSED)
            async with side.map(cluster, fail_silently=True) as conn:
                promises = {name: conn.incr(f"{name}1") for name in "ab"}
            assert promises["b"] == turn + 1
            if 10 <= turn < 20:
                assert promises["a"].outcome in (Outcome.NOT_SENT, Outcome.MAYBE_APPLIED)
            else:
                counted["a"] += 1
                assert promises["a"] == (turn + 1 if turn < 10 else turn - 19)
        assert counted["a"] == 20

    side().run(killed)
