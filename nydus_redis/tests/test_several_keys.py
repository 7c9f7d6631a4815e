"""Commands with several keys: split where that keeps their meaning, else refused, and never sent to the first one's host.

Every command of the table is tried, with each of its keys on a host of its own. Nothing here needs a server, but the
last tests.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from importlib_metadata import entry_points

from nydus_core import Cluster, CrossHostError, RoutingError, create_cluster
from nydus_core.command import Access, Command, Scope
from nydus_core.delivery.placement import Placement
from nydus_core.delivery.plan import make_plan
from nydus_core.routers import Node, NodeRouter, profiles, slot_of
from nydus_redis import Redis
from nydus_redis.commands.splits import SPLITS
from nydus_redis.commands.table import _ROWS
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.surface.clients import Surfaces
from odd import lying
from spoiling import fuzz

Servers = Callable[..., list[PrivateServer]]

HOSTS = ("a", "b", "c")


class ByFirstLetter(NodeRouter):
    """A key lives on the host that it begins with; all others on the first one."""

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        letter = key[:1].decode("latin-1")
        return letter if letter in self.names else self.names[0]


def calls_with_keys(keys: list[str]) -> Iterator[tuple[str, list[Any]]]:
    """Yield for each command that may have so many keys a call with them."""
    for name, (_, rule, _, _) in _ROWS.items():
        words = words_for(rule, keys, len(name.split()) - 1)
        if words is not None:
            yield name, [*name.split(), *words]


def words_for(rule: str, keys: Sequence[str], behind_name: int) -> list[Any] | None:
    """Words with just these keys where a rule looks for them; None if it takes another number."""
    if rule in BY_NAME:
        return BY_NAME[rule](keys)
    words: list[Any] = []
    left = list(keys)
    for part in rule.split():
        found = re.fullmatch(r"(#?)(\d+)(?:\.\.(-?\d+)\??)?(?:/(\d+))?", part)
        if found is None:
            return None
        counted, first, last, step = found.groups(default="")
        words += ["x"] * (int(first) - 1 - behind_name - len(words))
        if not counted and not last.startswith("-"):
            taken, left = (
                left[: int(last or first) - int(first) + 1],
                left[int(last or first) - int(first) + 1 :],
            )
            if len(taken) != int(last or first) - int(first) + 1:
                return None
        else:
            taken, left = left, []
            words += [len(taken)] if counted else []
        words += [word for key in taken for word in (key, *["x"] * (int(step or 1) - 1))]
        words += ["x"] * (-int(last) - 1 if last.startswith("-") else 0)
    return None if left else words


BY_NAME: dict[str, Callable[[Sequence[str]], list[Any] | None]] = {
    "sort": lambda keys: [keys[0], "BY", "b*", "STORE", keys[1]] if len(keys) == 2 else None,
    "georadius": lambda keys: [keys[0], 1, 2, 3, "km", "STORE", keys[1]] if len(keys) == 2 else None,
    "migrate": lambda keys: ["host", 1, "", 0, 5, "KEYS", *keys],
    "streams": lambda keys: ["STREAMS", *keys, *["0"] * len(keys)],
    "stralgo": lambda keys: ["LCS", "KEYS", *keys] if len(keys) == 2 else None,
}

PLACEMENT = Placement(HOSTS, ByFirstLetter([Node(name) for name in HOSTS]))
TWO, THREE = ["b:1", "c:1"], ["b:1", "a:1", "b:2"]


def commands_of(*words: Any) -> Command:
    found: list[Command] = []
    Surfaces([{}])(found.append).execute_command(*words)  # type: ignore[no-untyped-call]
    return found[0]


@pytest.mark.parametrize("keys", [TWO, THREE], ids=["two keys", "three keys"])
def test_no_command_with_keys_on_several_hosts_is_sent_to_one_of_them(keys: list[str]) -> None:
    tried = set()
    for name, words in calls_with_keys(keys):
        command = commands_of(*words)
        tried.add(name)
        if command.scope is Scope.CONNECTION:
            with pytest.raises(RoutingError, match=r"cluster\.on\(host\)"):
                make_plan([command], PLACEMENT)
            continue
        assert command.keys == [key.encode() for key in keys], name
        if name in SPLITS:
            lanes = make_plan([command], PLACEMENT).lanes
            assert {HOSTS[lane.host]: [*lane.commands[0].keys] for lane in lanes} == by_host(keys)
        else:
            with pytest.raises(CrossHostError) as caught:
                make_plan([command], PLACEMENT)
            assert (caught.value.command, caught.value.hosts) == (name, by_host(keys))
    assert tried >= MANY_KEYS, MANY_KEYS - tried
    if keys == TWO:
        assert tried >= TWO_KEYS, TWO_KEYS - tried


def by_host(keys: list[str]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for key in keys:
        found.setdefault(key[0], []).append(key.encode())
    return found


MANY_KEYS = {
    *("MGET", "MSET", "DEL", "UNLINK", "EXISTS", "TOUCH", "MSETNX", "MSETEX", "PFCOUNT", "PFMERGE", "BITOP"),
    *("SUNION", "SINTER", "SDIFF", "SUNIONSTORE", "SINTERSTORE", "SDIFFSTORE", "SINTERCARD", "SDIFFCARD"),
    *("ZUNION", "ZINTER", "ZDIFF", "ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE", "ZINTERCARD"),
    *("BLPOP", "BRPOP", "BZPOPMIN", "BZPOPMAX", "LMPOP", "ZMPOP", "BLMPOP", "BZMPOP", "XREAD", "XREADGROUP"),
    *("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO", "WATCH", "MIGRATE", "SSUBSCRIBE"),
    *("JSON.MGET", "JSON.MSET", "TS.MADD", "TS.NRANGE", "CMS.MERGE", "TDIGEST.MERGE", "FT.MGET"),
}
TWO_KEYS = {
    *("RENAME", "RENAMENX", "COPY", "SMOVE", "LMOVE", "BLMOVE", "LMOVEM", "RPOPLPUSH", "BRPOPLPUSH", "LCS"),
    *("GEOSEARCHSTORE", "ZRANGESTORE", "SORT", "GEORADIUS", "GEORADIUSBYMEMBER", "STRALGO", "TS.CREATERULE"),
}


def test_every_command_that_may_have_two_keys_was_tried() -> None:
    """A rule that was not understood here would have left its commands out."""
    tried = {name for keys in (TWO, THREE) for name, _ in calls_with_keys(keys)}
    several = {name for name, (_, rule, _, _) in _ROWS.items() if not re.fullmatch(r"-|\d+", rule)}
    assert several - tried == set()


# Odd keys --------------------------------------------------------------------------------------------------------


class OddFloat(float):
    def __str__(self) -> str:
        return "text"

    def __repr__(self) -> str:
        return "repr"


class OddText(str):
    def encode(self, *args: Any) -> bytes:
        return b"encoded"


class OddBytes(bytes):
    def __bytes__(self) -> bytes:
        return b"other"


class Number(enum.IntEnum):
    ONE = 1


class Name(enum.StrEnum):
    X = "x"


ODD: list[Any] = [
    *(
        OddFloat(1.5),
        OddText("k"),
        OddBytes(b"k"),
        Number.ONE,
        Name.X,
        1e22,
        -0.0,
        10**20,
        "é\x00\r\n",
        b"\xff",
    ),
    *(memoryview(b"abcdef")[::2], memoryview(bytearray(b"abcd")).cast("I"), bytearray(b"k")),
]


@pytest.mark.parametrize("options", [{}, {"encoding": "latin-1"}], ids=["utf-8", "latin-1"])
@pytest.mark.parametrize("odd", ODD, ids=lambda odd: type(odd).__name__)
def test_a_key_is_routed_by_the_bytes_that_are_sent(odd: Any, options: dict[str, Any]) -> None:
    found: list[Any] = []
    surface = Surfaces([options])(found.append)
    for _ in range(2):  # the second time there is a short cut
        for words in (("APPEND", odd, "v"), ("MGET", odd, "v")):
            try:
                surface.execute_command(*words)  # type: ignore[no-untyped-call]
            except redis.DataError:
                continue  # redis-py does not send it, or not without hiredis
            command = found.pop()
            size = b"$%d\r\n" % len(command.keys[0])
            assert command.packed.split(b"\r\n", 3)[3].startswith(size + command.keys[0] + b"\r\n")


@pytest.mark.parametrize(
    ("odd", "sent"),
    [
        *(
            (OddFloat(1.5), b"1.5"),
            (OddText("k"), b"k"),
            (OddBytes(b"k"), b"k"),
            (Number.ONE, b"1"),
            (Name.X, b"x"),
        ),
        *(
            (lying(int)(7), b"7"),
            (lying(str)("k"), b"k"),
            (lying(bytes)(b"k"), b"k"),
            (lying(float)(2.5), b"2.5"),
        ),
        (lying(int)(10**700), b"1" + 700 * b"0"),
    ],
    ids=lambda odd: type(odd).__name__,
)
def test_subclasses_are_sent_as_the_plain_value(odd: Any, sent: bytes) -> None:
    found: list[Any] = []
    surface = Surfaces([{}])(found.append)
    for _ in range(2):
        for words in (("APPEND", odd, odd), ("MGET", odd, "v"), ("EVAL", "return 1", lying(str)("1"), odd)):
            surface.execute_command(*words)  # type: ignore[no-untyped-call]
            command = found.pop()
            assert command.keys[0] == sent
            assert b"\r\n%b\r\n" % sent in command.packed


def test_a_number_of_a_subclass_that_cannot_be_written_down_is_refused() -> None:
    with pytest.raises(redis.DataError, match="bits cannot be sent"):
        commands_of("SET", "k", lying(int)(10**5000))


def test_a_name_is_the_command_that_is_sent() -> None:
    class Get(str):
        def __hash__(self) -> int:
            return hash("GET")

        def __eq__(self, other: object) -> bool:
            return other == "GET"

    found: list[Any] = []
    surface = Surfaces([{}])(found.append)
    surface.get("k")
    surface.execute_command(Get("INCR"), "k")  # type: ignore[no-untyped-call]
    read, write = found
    assert (read.access, write.access) == (Access.READ, Access.WRITE)


# Repeating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeatable", "words"),
    [
        *((True, ("SET", "k", "v")), (True, ("set", "k", "v", "EX", 5)), (False, ("SET", "k", "v", "nx"))),
        *(
            (False, ("SET", "k", "v", "GET")),
            (True, ("GET", "k")),
            (False, ("INCR", "k")),
            (False, ("SETNX", "k", 1)),
        ),
        *(
            (True, ("ZADD", "k", 1, "a")),
            (False, ("ZADD", "k", "INCR", 1, "a")),
            (False, ("ZREMRANGEBYRANK", "k", 0, 1)),
        ),
        *((True, ("XTRIM", "k", "MAXLEN", 5)), (False, ("XTRIM", "k", "MAXLEN", "~", 5))),
        *((False, ("SUNIONSTORE", "a", "a", "b")), (False, ("LPUSH", "k", 1)), (False, ("X.Y", "k"))),
    ],
)
def test_only_what_leaves_the_same_data_twice_may_be_repeated(
    repeatable: bool, words: tuple[Any, ...]
) -> None:
    assert commands_of(*words).idempotent is repeatable


# On real servers -------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    hosts = {
        name: {"unix_socket_path": server.path} for name, server in zip(HOSTS, redis_servers(3), strict=True)
    }
    with create_cluster({"engine": Redis, "hosts": hosts, "router": ByFirstLetter}) as cluster:
        yield cluster


def test_mget_keeps_order_duplicates_and_missing_keys(cluster: Cluster) -> None:
    cluster.mset({"a": 1, "b": 2, "c": 3})
    assert cluster.mget("c", "b:none", "a", "c") == [b"3", None, b"1", b"3"]
    assert cluster.mget(["a", b"a", "b"]) == [b"1", b"1", b"2"]
    with cluster.map() as conn:
        found = conn.mget("c", "a:none", "b", "c"), conn.mget("a", "a"), conn.mget([])
    assert found == ([b"3", None, b"2", b"3"], [b"1", b"1"], [])


def test_commands_of_one_key_have_their_values_in_a_block(cluster: Cluster) -> None:
    keys = [f"k{number}" for number in range(20)]
    with cluster.map() as conn:
        for key in keys:
            conn.mset({key: "v"})
            conn.exists(key)
            conn.touch(key)
            conn.mget(key)
            conn.delete(key)
            conn.unlink(key)
            conn.execute_command("DEL", key)
            conn.exists(key, key)
    assert conn.get_results() == [True, 1, 1, [b"v"], 1, 0, 0, 0] * len(keys)


def test_without_any_key_it_is_as_redis_py_has_it(cluster: Cluster) -> None:
    assert cluster.mget([]) == []
    for call in (cluster.delete, cluster.exists, cluster.unlink, cluster.touch):
        assert call() == 0  # as its client of a Redis Cluster
    with pytest.raises(RoutingError, match="found no key in 1 args"):
        cluster.mset({})


def test_duplicates_count_as_often_as_on_one_server(cluster: Cluster) -> None:
    cluster.mset({"a": 1, "b": 2})
    assert cluster.exists("a", "b", "a", "b", "c") == 4
    assert cluster.touch("a", "b", "a") == 3
    assert cluster.delete("a", "b", "a") == 2


def test_raw_commands_are_split_and_refused_like_methods(cluster: Cluster) -> None:
    assert cluster.execute_command("mset", "a", 1, "b", 2) is True
    assert cluster.execute_command(b"MGET", "b", "a") == [b"2", b"1"]
    for words in (
        ("PFCOUNT", "a", "b"),
        ("sunion", "a", "b"),
        (b"RENAME", "a", "b"),
        ("EVAL", "x", "2", "a", "b"),
    ):
        with pytest.raises(
            CrossHostError, match=r"host 'a': b'a'; host 'b': b'b'.*Nothing was sent.*hash_tags"
        ):
            cluster.execute_command(*words)


def test_one_refused_command_keeps_the_whole_map_from_being_sent(cluster: Cluster) -> None:
    with pytest.raises(CrossHostError), cluster.map() as conn:
        conn.set("a", 1)
        conn.rename("a", "b")
    assert cluster.dbsize() == [0, 0, 0]


# Hash tags -------------------------------------------------------------------------------------------------------

KEYS = st.lists(st.sampled_from([b"{", b"}", b"user", b":", b"1", b"\xff"]), max_size=8).map(b"".join)


@pytest.fixture(scope="module")
def a_cluster_node() -> Iterator[redis.Redis]:
    """A node of Redis Cluster; it has no slots, but tells those of keys."""
    with (
        PrivateServer({"cluster-enabled": "yes"}) as server,
        redis.Redis(unix_socket_path=server.path) as client,
    ):
        yield client


SLOTS = profiles.slots([Node(name) for name in "abc"])


@fuzz(100)
@given(key=KEYS)
def test_a_key_has_the_slot_that_redis_cluster_gives_it(a_cluster_node: redis.Redis, key: bytes) -> None:
    found: Any = a_cluster_node.execute_command("CLUSTER KEYSLOT", key)  # type: ignore[no-untyped-call]
    assert found == slot_of(key) == SLOTS.hash_of(key)
    assert SLOTS.locate(key) == SLOTS.table[found]


#: Routers whose tags are others, or that do not place keys.
OTHERS = {"mcrouter-ch3", "mcrouter-crc32", "broadcast", "round-robin"}
ROUTERS = sorted(point.name for point in entry_points(group="nydus.routers") if point.name not in OTHERS)


@pytest.mark.parametrize("name", ROUTERS)
def test_keys_of_one_tag_live_together(name: str) -> None:
    tags = {"hash_tag": "{}"} if name.startswith("twemproxy") else {"hash_tags": True}
    hosts = [{"host": host, "port": 1} for host in HOSTS]
    cluster = create_cluster({"engine": Redis, "hosts": hosts, "router": {"name": name, **tags}})
    users = [f"{{{user**7}:user}}" for user in range(50)]  # FNV hardly tells words apart that end otherwise
    homes = [(home(cluster, f"{tag}.a"), home(cluster, f"{tag}.b")) for tag in users]
    assert cluster.router.hash_tags
    assert all(one == other for one, other in homes)
    assert len(set(homes)) > 1


def home(cluster: Cluster, key: str) -> str:
    found: str = cluster.router.locate(key.encode())
    return found
