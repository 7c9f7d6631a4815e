"""Every command through a cluster of real servers: what it answers, where it goes, how it is split and joined."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from pymemcache.client.base import Client
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)
from pymemcache.serde import FLAG_COMPRESSED, FLAG_INTEGER, FLAG_TEXT

from memcached import MemcachedServer
from nydus_core import Cluster, CommandError, NydusError, RoutingError, create_cluster
from nydus_core.command import Outcome
from nydus_core.routers import BaseRouter
from nydus_core.testing import FaultProxy
from nydus_memcache import IllegalArgument, IllegalKey, Memcache, UnreadableValue

MakeCluster = Callable[..., Cluster]
Plain = Callable[[Any], Client]
KeysOn = Callable[[Cluster, int, int], list[str]]

MANY = [f"key{number}" for number in range(100)]

#: What one client does, and the next finds done.
STORY: list[Callable[[Any], Any]] = [
    lambda c: c.get("k"),
    lambda c: c.get("k", b"none"),
    lambda c: c.gets("k"),
    lambda c: c.gets("k", 1, 2),
    lambda c: c.set("k", b"v"),
    lambda c: c.get("k"),
    lambda c: c.get(b"k"),
    lambda c: c.add("k", b"other"),
    lambda c: c.add("new", "text"),
    lambda c: c.get("new"),
    lambda c: c.replace("k", b"w", 100),
    lambda c: c.replace("missing", b"w"),
    lambda c: c.append("k", b"x"),
    lambda c: c.prepend("k", b"y"),
    lambda c: c.append("missing", b"x"),
    lambda c: c.get("k"),
    lambda c: c.cas("k", b"cas", c.gets("k")[1]),
    lambda c: c.cas("k", b"cas", 1),
    lambda c: c.cas("missing", b"cas", 1),
    lambda c: c.set("n", 8),
    lambda c: c.incr("n", 4),
    lambda c: c.decr("n", 5),
    lambda c: c.decr("n", 50),
    lambda c: c.get("n"),
    lambda c: c.incr("missing", 1),
    lambda c: c.touch("n", 50),
    lambda c: c.touch("missing", 50),
    lambda c: c.delete("n"),
    lambda c: c.delete("n"),
    lambda c: c.set("gone", b"v", -1),
    lambda c: c.get("gone"),
    lambda c: c.set("empty", b""),
    lambda c: c.get("empty"),
    lambda c: c.set("lines", b"END\r\nVALUE x 0 1\r\n"),
    lambda c: c.get("lines"),
    lambda c: c.set_many({key: key.encode() for key in MANY}),
    lambda c: c.get_many([*MANY, "missing"]),
    lambda c: {key: value for key, (value, _) in c.gets_many(MANY).items()},
    lambda c: c.get_many([]),
    lambda c: c.gets_many([]),
    lambda c: c.set_many({}),
    lambda c: c.set_multi({"a": 1, "b": "two", "c": b"three"}, expire=100),
    lambda c: c.get_multi(["a", "b", "c"]),
    lambda c: c.delete_many(MANY[:50]),
    lambda c: sorted(c.get_many(MANY)),
    lambda c: c.delete_multi([]),
    lambda c: c.set("quiet", b"v", noreply=True),
    lambda c: c.get("quiet"),
    lambda c: c.set_many({"q1": b"1", "q2": b"2"}, noreply=True),
    lambda c: c.incr("q1", 5, noreply=True),
    lambda c: c.get_many(["q1", "q2"]),
    lambda c: c.delete("q1", noreply=True),
    lambda c: c.delete_many(["q2", "quiet"], noreply=True),
    lambda c: c.get_many(["q1", "q2", "quiet"]),
    lambda c: c.touch("k", noreply=True),
    lambda c: c.cas("k", b"v", 1, noreply=True),
    lambda c: c.set("flagged", b"12", flags=FLAG_INTEGER),
    lambda c: c.get("flagged"),
]


def test_every_command_answers_as_pymemcache_does(
    cluster: Cluster, plain: Plain, memcached_servers: Callable[..., list[MemcachedServer]]
) -> None:
    client = plain(memcached_servers(1)[0])
    for number, step in enumerate(STORY):
        theirs, ours = step(client), step(cluster)
        assert ours == theirs, number
        if isinstance(ours, dict):
            assert set(map(type, ours.values())) == set(map(type, theirs.values()))
        else:
            assert type(ours) is type(theirs), number


def test_incr_adds_one_unless_told_otherwise(cluster: Cluster) -> None:
    cluster.set("n", 5)
    assert (cluster.incr("n"), cluster.decr("n")) == (6, 5)


def test_a_key_given_twice_is_found_as_it_was_given(cluster: Cluster) -> None:
    cluster.set("k", b"v")
    assert cluster.get_many(iter(["k", b"k", "k"])) == {"k": b"v", b"k": b"v"}  # pymemcache: only the last


def test_many_values_come_in_the_order_of_the_keys(cluster: Cluster) -> None:
    cluster.set_many(dict.fromkeys(MANY, 1))
    assert list(cluster.get_many(MANY)) == MANY


# Where it goes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set("k", b"v"),
        lambda c: c.set(key="k", value=b"v"),
        lambda c: c.get(b"k"),
        lambda c: c.gets("k"),
        lambda c: c.incr("k", 1),
        lambda c: c.delete("k"),
        lambda c: c.touch("k"),
        lambda c: c.get_many(["k"]),
        lambda c: c.set_many({"k": b"v"}),
        lambda c: c.delete_many(keys=[b"k"]),
        lambda c: c.raw_command("mg k v", key="k"),
    ],
)
def test_a_command_goes_only_to_the_host_of_its_key(
    servers: list[MemcachedServer],
    proxy: Callable[..., FaultProxy],
    cluster_of: MakeCluster,
    host_of: Callable[[Cluster, str], int],
    call: Callable[[Any], Any],
) -> None:
    proxies = [proxy(server) for server in servers]
    cluster = cluster_of(*proxies)
    call(cluster)
    assert [host for host in range(3) if proxies[host].requests] == [host_of(cluster, "k")]


def test_each_host_gets_its_own_keys_of_a_command_over_many(
    cluster: Cluster, servers: list[MemcachedServer], plain: Plain, host_of: Callable[[Cluster, str], int]
) -> None:
    assert cluster.set_many({key: key for key in MANY}) == []
    for host, server in enumerate(servers):
        mine = [key for key in MANY if host_of(cluster, key) == host]
        assert list(plain(server).get_many(MANY)) == mine != []


def test_one_host_alone_is_asked_in_one_request(
    memcached_servers: Any, proxy: Callable[..., FaultProxy], cluster_of: MakeCluster
) -> None:
    front = proxy(memcached_servers(1)[0])
    cluster = cluster_of(front)
    cluster.get_many(MANY)
    assert front.requests == [b"get " + " ".join(MANY).encode() + b"\r\n"]


@pytest.mark.parametrize("router", ["PartitionRouter", "ConsistentHashingRouter"])
def test_routers_by_key_place_single_and_many_keys_alike(
    servers: list[MemcachedServer], cluster_of: MakeCluster, router: str
) -> None:
    cluster = cluster_of(*servers, router=f"nydus_core.routers.{router}")
    assert cluster.set_many({key: key for key in MANY}) == []
    assert [cluster.get(key) for key in MANY] == MANY
    with cluster.map() as conn:
        promises = [conn.get(key) for key in MANY]
    assert promises == MANY


def test_a_round_robin_asks_one_host_after_the_other(
    servers: list[MemcachedServer], cluster_of: MakeCluster, plain: Plain
) -> None:
    cluster = cluster_of(*servers, router="nydus_core.routers.RoundRobinRouter")
    for number, server in enumerate(servers):
        plain(server).set("k", number)
    assert sorted(cluster.get("k") for _ in servers) == [0, 1, 2]
    assert sorted(cluster.get_many(["k"])["k"] for _ in servers) == [0, 1, 2]


def test_without_a_router_every_host_is_asked(
    servers: list[MemcachedServer], cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(*servers, router=None)
    assert cluster.set("k", b"v") == [True] * 3
    assert cluster.get_many(["k"]) == [{"k": b"v"}] * 3
    assert cluster.delete("k") == [True] * 3


def test_a_router_of_nydus_0_11_sees_the_call(
    servers: list[MemcachedServer], cluster_of: MakeCluster
) -> None:
    class ByName(BaseRouter):
        calls: list[Any] = []  # noqa: RUF012

        def get_dbs(self, attr: str, args: Any, kwargs: Any, **fkwargs: Any) -> list[int]:
            self.calls.append((attr, args, kwargs))
            return [0 if attr == "get_multi" else 1]

    cluster = cluster_of(*servers, router=ByName)
    assert cluster.set("k", b"v", expire=9) is True
    assert cluster.get_multi(["k"]) == {}
    assert ByName.calls == [("set", ("k", b"v"), {"expire": 9}), ("get_multi", (["k"],), {})]


def test_commands_without_a_key_go_to_all_hosts(cluster: Cluster) -> None:
    cluster.set_many(dict.fromkeys(MANY, 1))
    assert len(set(cluster.version())) == 1
    assert len(cluster.version()) == 3
    stats = cluster.stats()
    assert len({each[b"pid"] for each in stats}) == 3
    assert isinstance(stats[0][b"rusage_user"], float)
    assert cluster.stats("reset") == [{}] * 3
    assert cluster.cache_memlimit(64) == [True] * 3
    assert cluster.flush_all() == [True] * 3
    assert cluster.get_many(MANY) == {}


def test_stats_are_those_of_pymemcache(
    cluster_of: MakeCluster, new_memcached_server: Callable[..., MemcachedServer], plain: Plain
) -> None:
    server = new_memcached_server()
    cluster, client = cluster_of(server, router=None), plain(server)
    cluster.set("k", b"v")
    for words in ((), ("settings",), ("items",), ("slabs",), ("cachedump", "1", "0")):
        ours, theirs = cluster.stats(*words), client.stats(*words)
        assert ours.keys() == theirs.keys()
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in theirs.items()
        }


def test_on_one_host_every_command_goes_there(
    cluster: Cluster, host_of: Callable[[Cluster, str], int], servers: list[MemcachedServer], plain: Plain
) -> None:
    other = (host_of(cluster, "k") + 1) % 3
    client = cluster.on(other)
    assert client.set("k", b"here") is True
    assert client.get_many(["k"]) == {"k": b"here"}
    assert client.raw_command("mg k v", b"here\r\n").startswith(b"VA 4")
    assert client.stats()[b"pid"] == plain(servers[other]).stats()[b"pid"]
    assert cluster.get("k") is None
    assert plain(servers[other]).get("k") == b"here"


def test_a_raw_command_without_a_key_is_refused_by_routers_by_key(cluster: Cluster) -> None:
    with pytest.raises(RoutingError):
        cluster.raw_command("mg k v")


@pytest.mark.parametrize("create", [create_cluster], indirect=True)
def test_an_engine_has_a_plain_client_of_its_host(cluster: Cluster) -> None:
    engine = cluster[0]
    assert isinstance(engine, Memcache)
    assert engine.connection.set("k", 5) is True
    assert cluster.on(0).get("k") == engine.connection.get("k") == 5


def test_quit_costs_a_connection_and_nothing_else(cluster: Cluster) -> None:
    cluster.set("k", b"v")
    assert cluster.quit() == [None] * 3
    assert cluster.get("k") == b"v"


def test_shutdown_ends_a_server_that_allows_it(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(new_memcached_server(["-A"]))
    assert cluster.shutdown() is None


def test_shutdown_of_a_server_that_does_not_allow_it_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(MemcacheError, match="shutdown"):
        cluster.on(0).shutdown()
    cluster.on(0).version()


# Values --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [b"", b"\x00\xff\r\n", "", "grüße\r\n", 0, -5, 10**40])
def test_bytes_text_and_numbers_come_back_as_what_they_were(cluster: Cluster, value: Any) -> None:
    cluster.set("k", value)
    found = cluster.get("k")
    assert found == value
    assert type(found) is type(value)


def test_a_value_of_a_megabyte_comes_back_whole(cluster: Cluster) -> None:
    value = bytes(range(256)) * 4000
    assert cluster.set("k", value) is True
    assert cluster.get("k") == value


def test_the_pickle_of_somebody_else_is_not_loaded(
    cluster: Cluster, servers: list[MemcachedServer], plain: Plain, host_of: Callable[[Cluster, str], int]
) -> None:
    writer = plain(servers[host_of(cluster, "k")])
    writer.set("k", ["a list"])
    reads: list[Callable[[], Any]] = [
        lambda: cluster.get("k"),
        lambda: cluster.gets("k"),
        lambda: cluster.get_many(["k"]),
    ]
    for read in reads:
        with pytest.raises(
            UnreadableValue, match=r"the value of the key 'k' is pickled \(flags 1\)"
        ) as caught:
            read()
        assert isinstance(caught.value, NydusError)
        assert isinstance(caught.value, MemcacheError)
    cluster.set("k", b"fine")
    assert cluster.get("k") == b"fine"


@pytest.mark.parametrize(
    ("value", "flags", "why"),
    [
        (b"x", FLAG_COMPRESSED, "is compressed"),
        (b"\xff", FLAG_TEXT, "is not what its flags"),
        (b"x", FLAG_INTEGER, "is not what its flags"),
    ],
)
def test_what_cannot_be_read_says_why(cluster: Cluster, value: bytes, flags: int, why: str) -> None:
    cluster.set("k", value, flags=flags)
    with pytest.raises(UnreadableValue, match=why):
        cluster.get("k")


def test_flags_that_say_nothing_of_a_type_leave_bytes(cluster: Cluster) -> None:
    cluster.set("k", b"5", flags=1 << 20)
    assert cluster.get("k") == b"5"


def test_pickles_are_written_and_read_where_they_are_asked_for(
    servers: list[MemcachedServer], cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(*servers, pickle=True)
    cluster.set("k", {"a": [1, None]})
    assert cluster.get("k") == {"a": [1, None]}


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (b"42", 1),  # an integer of PHP's memcached: not a pickle
        (b"", 1),
        (b"1.5", 2),  # a float of PHP's
        (b"a:0:{}", 4),
        (b"\xff", 16),
        (b"x", 8),  # compressed
        (b"x", 9),
    ],
)
@pytest.mark.parametrize("options", [{}, {"pickle": True}], ids=["plain", "pickle"])
def test_the_value_of_another_client_is_never_taken_for_missing(
    servers: list[MemcachedServer],
    cluster_of: MakeCluster,
    value: bytes,
    flags: int,
    options: dict[str, Any],
) -> None:
    cluster = cluster_of(*servers, **options)
    cluster.set("k", value, flags=flags)
    cluster.set("fine", b"fine")
    reads: list[Callable[[], Any]] = [
        lambda: cluster.get("k", "default"),
        lambda: cluster.gets("k"),
        lambda: cluster.get_many(["k", "fine"]),
        lambda: cluster.gets_many(["k", "fine"]),
    ]
    for read in reads:
        with pytest.raises(UnreadableValue, match=r"the value of the key 'k'.*flags") as caught:
            read()
        assert len(value) < 2 or value.decode("latin-1") not in str(caught.value)
    with cluster.map(fail_silently=True) as conn:
        bad, good = conn.get("k"), conn.get("fine")
    assert isinstance(bad.error, UnreadableValue)
    assert good == b"fine"


@pytest.mark.parametrize("value", [b"v", "grüße", 42, -1, 10**30, 1.5, None, [1], {"a": (1, True)}])
def test_pickle_reads_and_writes_as_pymemcaches_pickle_serde_does(
    servers: list[MemcachedServer],
    cluster_of: MakeCluster,
    plain: Plain,
    host_of: Callable[[Cluster, str], int],
    value: Any,
) -> None:
    cluster = cluster_of(*servers, pickle=True)
    client = plain(servers[host_of(cluster, "k")])
    client.set("k", value)
    assert cluster.get("k") == value
    cluster.set("k", value)
    found = client.get("k")
    assert (found, type(found)) == (value, type(value))


def test_a_value_that_cannot_be_pickled_is_refused_before_anything_is_sent(
    servers: list[MemcachedServer], cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(*servers, pickle=True)
    for value in (lambda: None, "\ud800"):
        with pytest.raises(IllegalArgument, match=r"the value for the key b'k' .*Nothing was sent"):
            cluster.set("k", value)
    assert cluster.get("k") is None


def test_a_serde_that_fails_leaves_a_connection_that_is_fine(
    servers: list[MemcachedServer], cluster_of: MakeCluster
) -> None:
    def fail(key: str, value: bytes, flags: int) -> bytes:
        if value == b"bad":
            raise ZeroDivisionError(key)
        return value

    cluster = cluster_of(*servers, deserializer=fail)
    cluster.set_many({"a": b"bad", "b": b"good"})
    with pytest.raises(ZeroDivisionError, match="a"):
        cluster.get_many(["a", "b"])
    with cluster.map(fail_silently=True) as conn:
        bad, good = conn.get("a"), conn.get("b")
    assert isinstance(bad.error, ZeroDivisionError)
    assert good == b"good"


# What a server answers -----------------------------------------------------------------------------------------

TOO_LARGE = b"x" * (1 << 20)


def test_an_oversized_value_is_an_error(
    cluster: Cluster, plain: Plain, servers: list[MemcachedServer]
) -> None:
    with pytest.raises(MemcacheServerError) as theirs:
        plain(servers[0]).set("k", TOO_LARGE)
    with pytest.raises(MemcacheServerError) as ours:
        cluster.set("k", TOO_LARGE)
    assert isinstance(ours.value, type(theirs.value))
    assert type(ours.value).__name__ == type(theirs.value).__name__
    assert ours.value.args == theirs.value.args == (b"object too large for cache",)


def test_the_others_of_a_set_many_are_stored(cluster: Cluster) -> None:
    with pytest.raises(MemcacheServerError) as caught:
        cluster.set_many({**dict.fromkeys(MANY, 1), "large": TOO_LARGE})
    assert any("answered for the key 'large'" in note for note in caught.value.__notes__)
    assert len(cluster.get_many(MANY)) == len(MANY)


def test_after_an_error_of_the_server_the_connection_goes_on(
    memcached_servers: Any, proxy: Callable[..., FaultProxy], cluster_of: MakeCluster
) -> None:
    front = proxy(memcached_servers(1)[0])
    cluster = cluster_of(front)
    cluster.set("text", b"abc")
    with pytest.raises(MemcacheClientError, match="cannot increment or decrement non-numeric value"):
        cluster.incr("text")
    with pytest.raises(MemcacheServerError):
        cluster.set("k", TOO_LARGE)
    assert cluster.get("text") == b"abc"
    assert front.connections == 1


def test_a_limit_of_memory_that_is_refused_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(MemcacheUnknownError, match="MEMLIMIT_TOO_SMALL") as caught:
        cluster.on(0).cache_memlimit(1)
    assert not isinstance(caught.value, NydusError)


def test_a_raw_command_that_is_refused_is_an_error(cluster: Cluster) -> None:
    with pytest.raises(MemcacheUnknownCommandError):
        cluster.on(0).raw_command("nonsense")
    assert cluster.on(0).raw_command("verbosity 0") == b"OK"


def test_the_error_of_a_raw_command_shows_no_value(cluster: Cluster) -> None:
    for command in (
        "nonsense k hunter2",
        "ms k wrong hunter2",
        "ms k 3 I hunter2\r\nhunter2",
        "set k x 0 hunter2",
    ):
        with pytest.raises(MemcacheError) as caught:
            cluster.on(0).raw_command(command)
        error = caught.value
        assert "hunter2" not in f"{error} {error!r} {error.args} {error.__dict__} {error.__cause__}"
        with pytest.raises(CommandError) as several, cluster.map() as conn:
            conn.raw_command(command, key="k")
        assert "hunter2" not in f"{several.value} {several.value.errors!r}"
        assert "hunter2" not in f"{cluster.explain('raw_command', command, key='k')}"
        assert "hunter2" not in repr(cluster.explain("raw_command", command, key="k"))
        assert "hunter2" not in f"{cluster.explain('raw_command', command)!r}"


# map() ---------------------------------------------------------------------------------------------------------


def test_a_map_answers_by_position_whatever_repeats(cluster: Cluster) -> None:
    with cluster.map() as conn:
        promises = [
            conn.set("k", b"1"),
            conn.set("k", b"2"),
            conn.get("k"),
            conn.get("k"),
            conn.get("missing"),
            conn.get("missing", 7),
            conn.gets("k"),
            conn.get_many(["k", "missing"]),
            conn.get_many([]),
            conn.delete("k"),
            conn.delete("k"),
            conn.get("k", b"gone"),
            conn.add("k", 5),
            conn.add("k", 6),
            conn.incr("k", 2),
            conn.get("k"),
            conn.set("quiet", b"v", noreply=True),
            conn.get("quiet"),
            conn.delete_many(["k", "quiet"]),
        ]
    values = [promise.value for promise in promises]
    token = values[6][1]
    assert values == [
        *[True, True, b"2", b"2", None, 7, (b"2", token), {"k": b"2"}, {}],
        *[True, False, b"gone", True, False, 7, 7, True, b"v", True],
    ]


def test_a_map_keeps_the_order_of_commands_on_a_key(cluster: Cluster) -> None:
    keys = MANY[:20]
    with cluster.map() as conn:
        found = []
        for step in range(5):
            found += [(conn.set(key, step), conn.get(key)) for key in keys]
    assert [(done.value, value.value) for done, value in found] == [
        (True, step) for step in range(5) for _ in keys
    ]


def test_gets_in_a_row_are_one_request(
    memcached_servers: Any, proxy: Callable[..., FaultProxy], cluster_of: MakeCluster
) -> None:
    front = proxy(memcached_servers(1)[0])
    cluster = cluster_of(front)
    with cluster.map() as conn:
        conn.get("a")
        conn.get_many(["b", "a"])
        conn.gets("a")
        conn.gets("b")
        conn.set("a", b"1")
        conn.get("a")
    assert b"".join(front.requests) == b"get a b a\r\ngets a b\r\nset a 0 0 1\r\n1\r\nget a\r\n"
    assert len(front.requests) == 1


def test_an_error_of_the_server_in_a_map_is_that_of_its_command_alone(
    memcached_servers: Any, proxy: Callable[..., FaultProxy], cluster_of: MakeCluster
) -> None:
    front = proxy(memcached_servers(1)[0])
    cluster = cluster_of(front)
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        promises = [conn.set("a", "abc"), conn.set("b", TOO_LARGE), conn.incr("a"), conn.set("c", b"1")]
    assert [failure.position for failure in caught.value.errors] == [1, 2]
    assert [promise.outcome for promise in promises] == [
        *[Outcome.VALUE, Outcome.SERVER_ERROR, Outcome.SERVER_ERROR, Outcome.VALUE]
    ]
    assert cluster.get_many(["a", "b", "c"]) == {"a": "abc", "c": b"1"}
    assert front.connections == 1


def test_an_illegal_key_in_a_map_sends_nothing(cluster: Cluster) -> None:
    with pytest.raises(IllegalKey), cluster.map() as conn:
        conn.set("fine", b"v")
        conn.set("not fine", b"v")
    assert cluster.get("fine") is None


@pytest.mark.filterwarnings("ignore::nydus_core.SettingsWarning")  # two hosts of one address
def test_a_map_of_nothing_to_send_answers_without_a_connection(
    new_memcached_server: Callable[..., MemcachedServer], cluster_of: MakeCluster
) -> None:
    server = new_memcached_server()
    cluster = cluster_of(server, server)
    server.stop()
    with cluster.map() as conn:
        promises = [conn.get_many([]), conn.set_many({}), conn.delete_many([])]
    assert promises == [{}, [], True]


def test_commands_that_end_their_connection_can_be_in_a_map(cluster: Cluster) -> None:
    with cluster.map() as conn:
        done = conn.set("k", b"v")
        raw = conn.raw_command("mg k v", b"v\r\n", key="k")
        conn.quit()
        found = conn.get("k")
    assert (done.value, raw.value[:4], found.value) == (True, b"VA 1", b"v")


def test_a_promise_of_an_earlier_map_can_be_a_key_or_a_value(cluster: Cluster) -> None:
    cluster.set_many({"name": "k", "value": b"v"})
    with cluster.map() as conn:
        name, value = conn.get("name"), conn.get("value")
    assert cluster.set(name, value) is True
    assert cluster.get("k") == b"v"


def test_transactions_are_refused(cluster: Cluster) -> None:
    with pytest.raises(RoutingError, match="no transactions"):
        cluster.map(transaction=True)


# Sent before anything is read, either of these hangs: a memcached whose answers are not read stops reading


def test_a_map_may_have_more_answers_than_any_buffer_holds(
    memcached_servers: Any, cluster_of: MakeCluster
) -> None:
    cluster = cluster_of(*memcached_servers(1))
    with cluster.map() as conn:
        done = [conn.set(f"key{number}", number) for number in range(10_500)]
    assert all(promise.value is True for promise in done)
    assert len(cluster.get_many([f"key{number}" for number in range(10_500)])) > 0


@pytest.mark.parametrize(("tcp", "count"), [(False, 8), (True, 40)])
def test_a_map_may_have_larger_values_than_any_buffer_holds(
    memcached_servers: Any, cluster_of: MakeCluster, tcp: bool, count: int
) -> None:
    cluster = cluster_of(*memcached_servers(1, tcp=tcp))
    value = b"v" * 500_000
    with cluster.map() as conn:
        found = [
            (conn.set(f"big{number % 4}", value), conn.get(f"big{number % 4}")) for number in range(count)
        ]
    assert all(promise.value == value for _, promise in found)


def test_threads_share_a_cluster(cluster: Cluster) -> None:
    failures: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for step in range(20):
                keys = [f"{name}-{step}-{number}" for number in range(5)]
                with cluster.map() as conn:
                    for key in keys:
                        conn.set(key, key)
                assert cluster.get_many(keys) == {key: key for key in keys}
                assert cluster.incr("shared") is not None
        except BaseException as error:
            failures.append(error)

    cluster.set("shared", 0)
    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert cluster.get("shared") == 160
