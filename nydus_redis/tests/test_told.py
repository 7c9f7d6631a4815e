"""Commands that the table lacks: a server is asked once where their keys are.

Real servers have no commands that the table lacks, so that the table is made to lack some that they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import redis

from clusters import cluster_of
from nydus_core import Cluster, CrossHostError, HostDown, RoutingError, create_cluster
from nydus_core.command import Access, Command, Scope
from nydus_core.testing import FaultProxy
from nydus_redis import Redis
from nydus_redis.commands import table as commands
from nydus_redis.commands import wire
from nydus_redis.commands.told import UNKNOWN, read_entry, specs_told
from nydus_redis.embedded.server import PrivateServer, _bundled_server, find_server

Servers = Callable[..., list[PrivateServer]]
Proxies = Callable[..., FaultProxy]

LACKING = {"APPEND", "ZUNIONSTORE", "XGROUP CREATE", "DBSIZE", "LASTSAVE", "SORT", "STRLEN"}


@pytest.fixture(autouse=True)
def a_table_that_lacks_some(monkeypatch: pytest.MonkeyPatch) -> None:
    def lookup(words: Any) -> Any:
        found = commands.lookup(words)
        return None if found is not None and found.name in LACKING else found

    monkeypatch.setattr(wire, "lookup", lookup)


@pytest.fixture
def proxies(redis_servers: Servers, proxy: Proxies) -> list[FaultProxy]:
    return [proxy(server) for server in redis_servers(2)]


@pytest.fixture
def cluster(proxies: list[FaultProxy]) -> Iterator[Cluster]:
    with cluster_of(*proxies) as cluster:
        yield cluster


def asked(proxies: list[FaultProxy]) -> int:
    """How often a server was asked about a command."""
    return b"".join(chunk for each in proxies for chunk in each.requests).count(b"COMMAND\r\n$4\r\nINFO")


def test_a_host_is_asked_once_where_the_keys_are(cluster: Cluster, proxies: list[FaultProxy]) -> None:
    for number in range(20):
        assert cluster.append(f"key{number}", "value") == 5
        assert cluster.on(cluster.router.locate(b"key%d" % number)).get(f"key{number}") == b"value"
    assert asked(proxies) == 1
    with cluster.map() as conn:
        found = conn.append("key1", "!"), conn.execute_command("append", "key2", "!")
    assert found == (6, 6)
    assert asked(proxies) == 1


def test_a_map_asks_when_it_ends_and_before_anything_is_sent(
    cluster: Cluster, proxies: list[FaultProxy]
) -> None:
    with cluster.map() as conn:
        found = [conn.append(f"key{number}", "value") for number in range(9)]
        found += [conn.get("key3"), conn.execute_command("ZUNIONSTORE", "{a}to", 1, "{a}x")]
        found += [conn.execute_command("strlen", "key3")]
        assert asked(proxies) == 0
    assert found == [5] * 9 + [b"value", 0, 5]
    assert asked(proxies) == 3  # by execute_command, for redis-py's methods may state keys themselves
    with pytest.raises(RoutingError, match=r"cannot tell the keys of NO\.SUCH"), cluster.map() as conn:
        conn.set("never", 1)
        conn.execute_command("NO.SUCH", "k")
    assert not cluster.exists("never")


def test_keys_on_several_hosts_are_refused(cluster: Cluster) -> None:
    with pytest.raises(CrossHostError, match="ZUNIONSTORE"):
        cluster.execute_command("ZUNIONSTORE", "to", 9, *(f"key{number}" for number in range(9)))
    assert cluster.execute_command("ZUNIONSTORE", "{a}to", 2, "{a}x", "{a}y") == 0


def test_subcommands_and_commands_without_keys(cluster: Cluster) -> None:
    assert cluster.xgroup_create("stream", "readers", mkstream=True) is True
    assert cluster.on(cluster.router.locate(b"stream")).exists("stream")
    assert sorted(cluster.dbsize()) == [0, 1]
    with pytest.raises(RoutingError, match="LASTSAVE is for one host"):
        cluster.lastsave()


@pytest.mark.parametrize("words", [("NO.SUCH", "k"), ("SORT", "k"), ("nö", "k")], ids=lambda words: words[0])
def test_where_the_server_does_not_tell_the_error_says_how_to_state_the_keys(
    cluster: Cluster, words: tuple[str, ...]
) -> None:
    for _ in range(2):
        with pytest.raises(RoutingError, match=r"cluster\.execute_command\('X.Y', 'k', keys=\['k'\]\)"):
            cluster.execute_command(*words)


def test_stated_keys_are_not_asked_for(cluster: Cluster, proxies: list[FaultProxy]) -> None:
    assert cluster.execute_command("APPEND", "k", "v", keys=["k"]) == 1
    assert cluster.on(0).append("mine", "v") == 1  # nor where the host is named
    assert asked(proxies) == 0


def test_arguments_that_are_not_the_commands_are_refused(cluster: Cluster) -> None:
    with pytest.raises(
        RoutingError, match=r"cannot tell the keys of ZUNIONSTORE: .*numkeys that is too large"
    ):
        cluster.execute_command("ZUNIONSTORE", "to", 9, "a")


def test_a_host_that_is_down_is_passed_over(cluster: Cluster, proxies: list[FaultProxy]) -> None:
    key = next(key for key in map(str, range(99)) if cluster.router.locate(key.encode()) == "1")
    proxies[0].refuse()
    assert cluster.append(key, "value") == 5
    assert asked(proxies[1:]) == 1


def test_if_no_host_answers_the_command_is_refused(proxies: list[FaultProxy]) -> None:
    with cluster_of(*proxies, retry={"attempts": 1}) as cluster:
        for each in proxies:
            each.refuse()
        with pytest.raises(RoutingError, match="cannot tell the keys of APPEND"):
            cluster.append("k", "v")
        with pytest.raises(HostDown):
            cluster.execute_command("APPEND", "k", "v", keys=["k"])


def test_a_user_who_may_not_ask_has_to_state_the_keys(new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with redis.Redis(unix_socket_path=server.path) as admin:
        admin.acl_setuser("u", enabled=True, nopass=True, commands=["+append", "+select"], keys=["*"])
    host = {"unix_socket_path": server.path, "username": "u", "password": "any"}
    with create_cluster(
        {"engine": Redis, "router": "rendezvous", "hosts": [host, {**host, "db": 1}]}
    ) as cluster:
        with pytest.raises(RoutingError, match=r"keys=\['k'\]"):
            cluster.append("k", "v")
        assert cluster.execute_command("APPEND", "k", "v", keys=["k"]) == 1


def test_asking_takes_of_the_time_of_the_call(proxies: list[FaultProxy]) -> None:
    with cluster_of(*proxies) as cluster:
        cluster.ping()
        for each in proxies:
            each.blackhole = True
        with pytest.raises(RoutingError, match="cannot tell the keys"), cluster.deadline(0.2):
            cluster.append("k", "v")


# What servers say ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("executable", sorted({find_server(), _bundled_server()}), ids=lambda path: path.name)
def test_what_a_server_says_is_what_the_table_says(executable: Any, protocol: int, decode: bool) -> None:
    """Of those commands, at least, about which the table is told nothing by hand."""
    with (
        PrivateServer(executable=executable) as server,
        redis.Redis(unix_socket_path=server.path, protocol=protocol, decode_responses=decode) as client,
    ):
        client.response_callbacks.clear()
        entries = client.execute_command("COMMAND")
    told = [read_entry(leaf) for info in entries for leaf in (info[9] or [info])]
    told = [entry for entry in told if not any(fnmatch(entry.name, line) for line in by_hand())]
    assert [entry for entry in told if commands._ROWS[entry.name][:2] != [entry.access, entry.keys]] == []
    assert len(told) > 150


def by_hand() -> set[str]:
    """Names, and patterns of names, about which a line by hand says something else than the servers."""
    lines = Path(commands.__file__).with_name("commands_by_hand.tsv").read_text().splitlines()
    return {line.split("\t")[0] for line in lines if not line.startswith("#")}


@pytest.mark.parametrize("answer", [None, [], [None], [[]], [["x"]], "x", 5, [[b"x", 1, [], 1]], {"x": []}])
def test_an_answer_that_makes_no_sense_tells_nothing(answer: Any) -> None:
    assert specs_told("X.Y", answer) == {}


@pytest.mark.parametrize(
    ("first", "last", "step", "flags", "keys"),
    [(1, 1, 1, [], "1"), (1, -1, 2, [], "1..-1/2"), (0, 0, 0, [], "-"), (1, 1, 1, ["movablekeys"], UNKNOWN)],
)
def test_servers_older_than_7_say_less(first: int, last: int, step: int, flags: list[str], keys: str) -> None:
    assert read_entry(["x.y", -2, flags, first, last, step, []]).keys == keys


def test_of_a_renamed_command_the_name_is_the_one_that_was_asked_for() -> None:
    (spec,) = specs_told("MINE", [[b"get", 2, [b"readonly"], 1, 1, 1]]).values()
    assert (spec.name, spec.access, spec.scope) == ("MINE", Access.READ, Scope.HOST)
    assert Command("x").question() is None
    assert Command("x").clarified(None).name == "x"


def test_a_server_is_not_believed_that_the_name_of_an_index_is_a_key() -> None:
    """RediSearch says so of its commands: an index would be made on one host alone. See test_modules for a real server."""
    answer = [[b"ft.new", -2, [b"write"], 1, 1, 1]]
    assert specs_told("FT.NEW", answer) == specs_told("_FT.NEW", answer) == {}
    assert specs_told("FTX.NEW", answer) != {}
