"""Each command, held against real servers in cluster mode: what they refuse for its keys, Nydus splits or refuses.

A server that has all slots for itself says nothing of other servers. It refuses a command whose keys are in several slots
(CROSSSLOT), and a command that might read or write keys elsewhere ("denied in cluster mode"). To be as strict, the placement
of these tests has a host for each slot. Nothing is sent there.
"""

from __future__ import annotations

import itertools
import random
import re
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from redis.connection import UnixDomainSocketConnection

from cluster_mode import started
from documented import Documented, Words
from module_servers import newer_server
from nydus_core import CrossHostError, RoutingError
from nydus_core.command import Access, Command, Scope
from nydus_core.delivery.placement import Placement
from nydus_core.routers import Node, NodeRouter, profiles, slot_of
from nydus_core.routers.slots import SLOTS
from nydus_redis.commands import CommandSpec, lookup
from nydus_redis.commands.splits import SPLITS
from nydus_redis.commands.table import _ROWS
from nydus_redis.embedded.server import _bundled_server, find_server
from nydus_redis.surface.clients import Surfaces
from spoiling import fuzz
from waiting import LONG, until

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

#: Calls of each command; ten times as many where these vary a lot.
CALLS = 12

Call = tuple[str, ...]

#: Commands that are not run, and why.
NOT_RUN = {
    **dict.fromkeys(("BGSAVE", "BGREWRITEAOF"), "starts a process; has no keys"),
    **dict.fromkeys(("SYNC", "PSYNC", "REPLCONF"), "turns its connection into a replication link"),
    "SCRIPT DEBUG": "turns its connection into a debugger session",
    "PFSELFTEST": "takes its time; has no keys",
}

#: Words for commands whose documented arguments are too free: they would stop the server, or make it wait.
BY_HAND: dict[str, Callable[[random.Random, Words], Words]] = {
    "CLIENT KILL": lambda pick, words: ["ID", "999999"],
    "CLIENT PAUSE": lambda pick, words: ["1"],
    "CLIENT REPLY": lambda pick, words: ["ON"],
    "DEBUG": lambda pick, words: ["HELP"],
    "HELLO": lambda pick, words: ["2"],
    "MIGRATE": lambda pick, words: ["127.0.0.1", "1", *migrated(pick)],
    "SHUTDOWN": lambda pick, words: ["ABORT"],
}


def migrated(pick: random.Random) -> Words:
    tags = ["{a}", "{b}"][: pick.randrange(1, 3)]
    keys = [f"{pick.choice(tags)}{number}" for number in range(pick.randrange(1, 4))]
    return ["", "0", "5", "KEYS", *keys] if pick.random() < 0.6 else [keys[0], "0", "5"]


# Nydus -------------------------------------------------------------------------------------------------------------


class HostOfSlot(NodeRouter):
    """A host for each slot."""

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        return str(slot_of(key))


PLACEMENT = Placement(range(SLOTS), HostOfSlot([Node(str(slot)) for slot in range(SLOTS)], hash_tags=True))

SURFACES = Surfaces([{}])
#: Of Nydus: to one host, cut over several, to all. Refused: for its keys, since it has none and is for one host, since it is
#: for one connection.
ONE, SPLIT, ALL = "one host", "split", "all hosts"
CROSSING, OF_HOST, OF_CONNECTION = "crossing", "of one host", "of one connection"


def of_nydus(call: Call) -> str:
    found: list[Command] = []
    try:
        SURFACES(found.append).execute_command(*call)  # type: ignore[no-untyped-call]
        route = PLACEMENT.route(found[0])
    except CrossHostError:
        return CROSSING
    except RoutingError:
        return OF_CONNECTION if found and found[0].scope is Scope.CONNECTION else OF_HOST
    if not found[0].keys:
        return ALL
    return ONE if len(route.hosts) == 1 else SPLIT


# The server --------------------------------------------------------------------------------------------------------

#: Of a server: it did it, or its error is about something else; CROSSSLOT; denied in cluster mode; too few words.
DONE, CROSSSLOT, DENIED, ILLEGAL = "done", "CROSSSLOT", "denied", "illegal"

_SAID = {
    CROSSSLOT: r"CROSSSLOT|same slot|non local key|not hash to",
    DENIED: r"(?i)cluster mode|DB index is out of range",
    ILLEGAL: r"wrong number of arguments|nvalid number of arguments|unknown (sub)?command",
}


_CONNECTION: Any = UnixDomainSocketConnection  # has no types


class InClusterMode:
    """A server in cluster mode that has all slots."""

    def __init__(self, executable: str) -> None:
        self.server = started(executable)
        client: Any = redis.Redis(unix_socket_path=self.server.path, protocol=3)
        with client:
            client.execute_command("CLUSTER ADDSLOTSRANGE", 0, SLOTS - 1)
            end = time.monotonic() + LONG
            while client.execute_command("CLUSTER INFO")["cluster_state"] != "ok":
                assert time.monotonic() < end
                time.sleep(0.02)  # it takes two seconds
            client.set_response_callback("COMMAND", list)  # redis-py's own leaves subcommands out
            docs = client.execute_command("COMMAND DOCS")
            self.documented = Documented(docs, client.execute_command("COMMAND"))
            info = client.info("server")
        #: Redis 7.0 denies each pattern with a star, and each GET.
        self.denies_all_patterns = "valkey_version" not in info and info["redis_version"] < "7.4"
        self._connection: Any = _CONNECTION(path=self.server.path, protocol=2, socket_timeout=LONG)

    def says(self, call: Call) -> str:
        """Send a call; return the verdict."""
        (verdict,) = self.says_of([call])
        return verdict

    def says_of(self, calls: Sequence[Call]) -> list[str]:
        """Send calls of one command, all at once if it leaves the connection as it was; return the verdicts."""
        if spec_of(calls[0]).connection:
            found = []
            for call in calls:
                self._connection.send_command(*call)
                found.append(self._verdict())
                self._connection.disconnect()  # whatever it has become
            return found
        self._connection.send_packed_command(self._connection.pack_commands(calls))
        return [self._verdict() for _ in calls]

    def _verdict(self) -> str:
        try:
            self._connection.read_response()
        except (redis.ResponseError, redis.AuthenticationError) as error:
            return next((verdict for verdict, words in _SAID.items() if re.search(words, str(error))), DONE)
        return DONE

    def stop(self) -> None:
        self._connection.disconnect()
        self.server.stop()


@pytest.fixture(
    scope="module",
    params=sorted({str(find_server()), str(_bundled_server()), *newer_server()}),
    ids=lambda path: path.rpartition("/")[2],
)
def server(request: pytest.FixtureRequest) -> Iterator[InClusterMode]:
    found = InClusterMode(request.param)
    yield found
    found.stop()


def calls_of(server: InClusterMode, name: str) -> list[Call]:
    pick = random.Random(name)
    found: list[Call] = []
    varied = known(name).has_patterns or not server.documented.tells_of(name)
    for _ in range(CALLS * 10 if varied else CALLS):
        words = server.documented.words(name, pick)
        found.append((*name.split(), *(BY_HAND[name](pick, words) if name in BY_HAND else words)))
    return list(dict.fromkeys(found))


def spec_of(call: Call) -> CommandSpec:
    spec = lookup(call)
    assert spec is not None, call
    return spec


def known(name: str) -> CommandSpec:
    return spec_of(tuple(name.split()))


def is_run(name: str) -> bool:
    administers = name.startswith("CLUSTER ") and known(name).access is Access.WRITE
    return name not in NOT_RUN and not administers


# Compared ----------------------------------------------------------------------------------------------------------

#: The verdicts of Nydus that agree with a verdict of the server.
AGREEMENT = {
    DONE: {ONE, ALL, OF_HOST, OF_CONNECTION},
    CROSSSLOT: {CROSSING, SPLIT, OF_CONNECTION},
    DENIED: {CROSSING, OF_HOST, OF_CONNECTION},
}


def reads_no_key_or_one_slot(call: Call) -> bool:
    """Whether each pattern of SORT has no star, or its hash tag before the star, though behind a mark of another language."""
    patterns = [word for option, word in itertools.pairwise(call[2:]) if option in ("BY", "GET")]
    return all("*" not in word or re.match(r"[^{}*]*\{[^{}*]+\}", word) for word in patterns)


#: Where the server and Nydus disagree: the commands, the two verdicts, the calls that may, and why.
DIFFERENCES: list[tuple[Collection[str], str, str, Callable[[Call], bool], str]] = [
    (
        ("MOVE", "COPY"),
        *(DENIED, ONE),
        lambda call: call[0] == "MOVE" or "DB" in call,
        "a server in cluster mode has one database; hosts of Nydus have several, and the key stays on its host",
    ),
    (
        ("SORT", "SORT_RO"),
        *(DENIED, ONE),
        reads_no_key_or_one_slot,
        "servers refuse GET without a star, though it reads no key, and take ?, [ and \\ for stars; Redis 7.0 refuses every "
        "GET, and every BY with a star",
    ),
    (
        ("MSETEX",),
        *(DONE, CROSSING),
        lambda call: True,
        "Valkey 9.1 sets keys of several slots: findings/valkey-msetex-slots.sh",
    ),
]


def why_not(call: Call, server: str, nydus: str) -> str | None:
    """Return why the verdicts on a call may differ; None if they must not."""
    name = spec_of(call).name
    return next(
        (
            reason
            for among, *verdicts, may, reason in DIFFERENCES
            if name in among and verdicts == [server, nydus] and may(call)
        ),
        None,
    )


_ONE_KEY = re.compile(r"-|\d")


def test_nydus_refuses_or_splits_exactly_where_a_server_in_cluster_mode_refuses(
    server: InClusterMode,
) -> None:
    wrong: list[tuple[Call, str, str]] = []
    seen: Counter[tuple[str, str]] = Counter()
    mute, apart = set(), set()
    for name in filter(is_run, server.documented.names):
        legal = 0
        calls = calls_of(server, name)
        for call, said in zip(calls, server.says_of(calls), strict=True):
            ours = of_nydus(call)
            if said == ILLEGAL:
                continue
            legal += 1
            seen[said, ours] += 1
            apart |= {name} if said == CROSSSLOT or ours == CROSSING else set()
            if ours not in AGREEMENT[said] and why_not(call, said, ours) is None:
                wrong.append((call, said, ours))
        mute |= set() if legal else {name}
    assert wrong == []
    assert mute == set(), "no call of these was legal"
    several = {
        name for name in filter(is_run, server.documented.names) if not _ONE_KEY.fullmatch(_ROWS[name][1])
    }
    assert several - apart == set(), "no call of these had keys in several slots"
    assert all(
        seen[both] > 5 for both in [(DONE, ONE), (DONE, ALL), (CROSSSLOT, CROSSING), (CROSSSLOT, SPLIT)]
    )
    assert seen[DENIED, CROSSING] > 20


def test_only_commands_with_a_split_are_split(server: InClusterMode) -> None:
    found = {
        name
        for name in filter(is_run, server.documented.names)
        if any(of_nydus(call) == SPLIT for call in calls_of(server, name))
    }
    assert found == set(SPLITS)


def test_keys_that_a_script_does_not_name_are_known_to_nobody_beforehand(server: InClusterMode) -> None:
    """The documentation says to pass all of them. A server refuses them when they are used, and only of new scripts."""
    script = "return redis.call('GET', '{b}1')"
    for text, said in ((script, DONE), (f"#!lua\n{script}", CROSSSLOT)):
        call = ("EVAL", text, "1", "{a}1")
        assert (server.says(call), of_nydus(call)) == (said, ONE)


PATTERNS = st.lists(
    st.sampled_from(["*", "{", "}", "{a}", "{b}", "->", "f", "a", "#"]), min_size=1, max_size=5
).map("".join)


@fuzz(300)
@given(pattern=PATTERNS, name=st.sampled_from(["SORT", "SORT_RO"]), option=st.sampled_from(["BY", "GET"]))
def test_of_any_pattern_no_more_is_sent_than_the_server_takes(
    server: InClusterMode, pattern: str, name: str, option: str
) -> None:
    call = (name, "{a}list", option, pattern)
    said, ours = server.says(call), of_nydus(call)
    if said == DENIED and ours == ONE:
        assert "*" not in pattern or server.denies_all_patterns
    else:
        assert ours in AGREEMENT[said], (call, said, ours)


# From shards to a Cluster -----------------------------------------------------------------------------------------


def test_nodes_with_the_slots_of_the_router_take_the_keys_of_their_shard_and_no_other() -> None:
    router = profiles.slots([Node("a"), Node("b")])
    with started(str(find_server())) as one, started(str(find_server())) as other:
        nodes = {
            name: redis.Redis(unix_socket_path=server.path) for name, server in (("a", one), ("b", other))
        }
        for name, node in nodes.items():
            slots = [slot for slot, owner in enumerate(router.table) if owner == name]
            node.config_set("cluster-require-full-coverage", "no")
            node.execute_command("CLUSTER ADDSLOTS", *slots)  # type: ignore[no-untyped-call]
            until(partial(is_ready, node))
        for key in [b"user:%d" % number for number in range(100)] + [
            b"{user:%d}.name" % 5,
            b"",
            b"{}x",
            b"\xff{",
        ]:
            home = router.locate(key)
            assert nodes[home].set(key, "x")
            with pytest.raises(redis.ResponseError, match=r"Hash slot not served|MOVED"):
                nodes["b" if home == "a" else "a"].get(key)
        for node in nodes.values():
            node.close()


def is_ready(node: redis.Redis) -> bool:
    found: Any = node.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
    return "ok" in str(found["cluster_state"])
