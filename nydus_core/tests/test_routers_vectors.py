"""Profiles place keys as the implementations do that they are named after: by what those answered, file by file.

``test_routers_nydus.py`` has the four files of nydus 0.11. What a profile does otherwise on purpose is counted, and
says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from nydus_core import ConfigError
from nydus_core.command import key_bytes
from nydus_core.routers import ConsistentHashingRouter, Node, Slots, profiles, slot_of
from nydus_core.routers.hashes import HASHES
from vectors import FOLDER, cases, mapping


def compare(
    file: str,
    make: Callable[[dict[str, Any]], Any],
    *,
    answer: Callable[[str, dict[str, Any]], Any] = lambda name, case: name,
    differs: Callable[[Any, Any, dict[str, Any]], str] = lambda key, theirs, case: "",
    which: Callable[[dict[str, Any]], bool] = lambda case: bool(case.get("mapping")),
) -> Counter[str]:
    """Compare each mapping of a file with the router that ``make`` builds for its case, and count.

    Parameters:
        file: Which one.
        make: Builds the router of a case.
        answer: What the implementation calls a host of ours.
        differs: Why we place a key otherwise on purpose; empty if it must live where theirs does.
        which: Which cases.
    """
    found: Counter[str] = Counter()
    for case in filter(which, cases(file)):
        router = make(case)
        for key, theirs in mapping(case):
            ours = answer(router.locate(key_bytes(key)), case)
            why = differs(key, theirs, case)
            assert why or ours == theirs, (case["hosts"], case["options"], key)
            found[why or "equal"] += 1
        assert sum(router.points.values()) == case["points"] if "points" in case else True
        assert router.points == case["distribution"] if "distribution" in case else True
    return found


def nodes(weights: Mapping[Any, float] | Iterable[Any]) -> list[Node]:
    """Hosts of these names; each is its own address too."""
    given = weights if isinstance(weights, Mapping) else dict.fromkeys(weights, 1)
    return [Node(str(name), weight, address=str(name)) for name, weight in given.items()]


def weighted(hosts: Sequence[dict[str, Any]]) -> list[Node]:
    return nodes({host["name"]: host["weight"] for host in hosts})


def settled(case: dict[str, Any], weights: Mapping[str, float] | None) -> dict[str, float]:
    """The nodes of a case and their weights, when its operations have been applied."""
    found: dict[str, float] = {name: (weights or {}).get(name, 1) for name in case["hosts"]}
    for operation, name, *weight in case["options"].get("ops", ()):
        if operation == "remove":
            del found[name]
        else:
            found[name] = weight[0] if weight else 1
    return found


def decodes(key: bytes) -> bool:
    try:
        return bool(key.decode()) or not key
    except UnicodeDecodeError:
        return False


def test_the_hashes_of_libmemcached() -> None:
    equal = 0
    for case in cases("libmemcached_hashes"):
        router = profiles.libmemcached_modula(nodes("a"), hash=case["options"]["hash"])
        function = HASHES[router.parameters()["hash"]].function
        for key, theirs in mapping(case):
            assert function(key_bytes(key)) == theirs, (case["options"], key)
            equal += 1
    assert equal == 2_109


# rb, hash_ring, uhashring -----------------------------------------------------------------------------------------


def test_rb_partition() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.rb_partition(nodes(range(len(case["hosts"]))))

    assert compare("rb_partition", make, answer=lambda name, _: int(name)) == {"equal": 1_782}


def test_rb_partition_takes_bytes_and_booleans_as_rb_did() -> None:
    """What rb raised for, None and floats, is hashed as its text, as everywhere in Nydus."""
    (literals,) = (case["literals"] for case in cases("rb_partition") if "literals" in case)
    router = profiles.rb_partition(nodes(range(5)))
    assert int(router.locate(key_bytes(True))) == literals["True"]
    assert int(router.locate(b"foo")) == literals["bytearray(b'foo')"]
    assert len(literals) == 4


def test_rb_partition_may_have_gaps_which_rb_refused() -> None:
    (case,) = (case for case in cases("rb_partition") if case.get("result") == {"error": "BadHostSetup"})
    assert profiles.rb_partition(nodes(case["hosts"])).locate(b"foo") in ("0", "2")


def test_the_ring_of_rb() -> None:
    """Over names; ``consistent`` with names for labels is that ring."""

    def make(case: dict[str, Any]) -> Any:
        return ConsistentHashingRouter(nodes(settled(case, case["options"]["weights"])), label="name")

    assert compare("rb_ketama", make) == {"equal": 2_208}


def test_rb_ketama() -> None:
    def make(case: dict[str, Any]) -> Any:
        hosts = [
            Node(
                number,
                address=f"{host.get('host', 'localhost')}:{host['port']}",
                db=host.get("db", 0),
            )
            for number, host in case["options"]["host_config"].items()
        ]
        hosts.sort(key=lambda node: int(node.name))
        router = profiles.rb_ketama(hosts)
        if "note" not in case["options"]:
            assert list(router.labels) == case["hosts"]
            return router
        assert list(router.labels) != case["hosts"]  # a password is never hashed, unless a label is pinned
        return profiles.rb_ketama(hosts, labels={str(n): label for n, label in enumerate(case["hosts"])})

    assert compare("rb_consistent_hashing", make, answer=lambda name, _: int(name)) == {"equal": 1_392}


def test_hash_ring() -> None:
    def differs(key: Any, theirs: Any, case: dict[str, Any]) -> str:
        return "numbers, which hash_ring refused" if theirs == {"error": "TypeError"} else ""

    def make(case: dict[str, Any]) -> Any:
        router = profiles.hash_ring(nodes(settled(case, case["options"]["weights"])))
        if len(set(case["hosts"])) < len(case["hosts"]):
            assert case["points"] == 480  # it has all points of the host twice, which moves nothing
            router.points["node-a"] *= 2
        return router

    assert compare("hash_ring", make, differs=differs) == {
        "equal": 1_450,
        "numbers, which hash_ring refused": 120,
    }


BYTES = "bytes that are text, which Python 3 writes b'...'"


def of_text(key: Any, theirs: Any, case: dict[str, Any]) -> str:
    return BYTES if isinstance(key, bytes) and decodes(key) else ""


@pytest.mark.parametrize(
    ("file", "equal"), [("uhashring_ketama", 2_944), ("uhashring_meta", 2_944)], ids=["ketama", "meta"]
)
def test_uhashring(file: str, equal: int) -> None:
    def make(case: dict[str, Any]) -> Any:
        options = case["options"]
        config = options["nodes_config"] or {}
        given = {name: each if isinstance(each, dict) else {"weight": each} for name, each in config.items()}
        own = {name: each["vnodes"] for name, each in given.items() if "vnodes" in each}
        chosen = {
            "vnodes": own or options.get("vnodes"),
            "points": options.get("replicas"),
            "hash": options.get("named_fn"),
        }
        profile = profiles.uhashring if file == "uhashring_ketama" else profiles.uhashring_meta
        return profile(
            nodes(settled(case, {name: each["weight"] for name, each in given.items()})),
            **{name: value for name, value in chosen.items() if value is not None},
        )

    found = compare(file, make, differs=of_text, which=lambda case: bool(case["hosts"]))
    assert found == {"equal": equal, BYTES: 48}


def test_a_ring_without_hosts_cannot_be_built() -> None:
    """uhashring answers None."""
    with pytest.raises(ConfigError):
        profiles.uhashring([])


# libketama, libmemcached, pylibmc, twemproxy ----------------------------------------------------------------------


def test_libketama() -> None:
    assert compare("libketama", lambda case: profiles.libketama(weighted(case["hosts"]))) == {"equal": 1_872}


def memcached(hosts: Sequence[dict[str, Any]], *, weights: bool = True) -> list[Node]:
    return nodes({f"{host['host']}:{host['port']}": host["weight"] if weights else 1 for host in hosts})


def libmemcached(case: dict[str, Any]) -> Any:
    """The profile and its options that stand for a sequence of behaviours."""
    behaviours = dict(case["options"]["behaviors_in_order"])
    order = list(behaviours)
    options: dict[str, Any] = {"hash": behaviours.get("HASH", "default")}
    reported = case["options"]["reported"]
    spy = behaviours.get("DISTRIBUTION") == "consistent_ketama_spy"
    if behaviours.get("HASH_WITH_PREFIX_KEY"):
        options["prefix"] = case["options"]["namespace"]
    if reported["KETAMA_WEIGHTED"]:
        if "KETAMA_WEIGHTED" in order and (
            "HASH" not in order or order.index("HASH") < order.index("KETAMA_WEIGHTED")
        ):
            options["hash"] = "md5"
        profile = profiles.libmemcached_spy_weighted if spy else profiles.libmemcached_ketama_weighted
        return profile(memcached(case["hosts"]), **options)
    if reported["KETAMA"]:
        if order[-1] == "HASH":  # the ring was built before
            options["ring_hash"] = "default"
        profile = profiles.libmemcached_spy if spy else profiles.libmemcached_ketama
        return profile(memcached(case["hosts"], weights=False), **options)
    hosts = memcached(case["hosts"], weights=False)
    if "SORT_HOSTS" in order:
        hosts.sort(key=lambda node: node.name)
    return profiles.libmemcached_modula(hosts, **options)


@pytest.mark.parametrize(
    ("file", "equal"),
    [
        ("libmemcached_modula", 2_970),
        ("libmemcached_ketama", 3_877),
        ("libmemcached_ketama_weighted", 4_379),
    ],
)
def test_libmemcached(file: str, equal: int) -> None:
    assert compare(file, libmemcached) == {"equal": equal}


def test_weights_that_libmemcached_would_ignore_are_refused() -> None:
    ignored = [
        case
        for file in ("libmemcached_modula", "libmemcached_ketama")
        for case in cases(file)
        if any(host["weight"] != 1 for host in case["hosts"])
        and not case["options"]["reported"]["KETAMA_WEIGHTED"]
    ]
    assert len(ignored) == 2
    for case in ignored:
        for profile in (profiles.libmemcached_modula, profiles.libmemcached_ketama):
            with pytest.raises(ConfigError, match="knows no weights"):
                profile(memcached(case["hosts"]))


def test_pylibmc() -> None:
    def make(case: dict[str, Any]) -> Any:
        behaviours, reported = case["options"]["behaviors"], case["options"]["reported"]
        hosts = {}
        for server in case["hosts"]:
            host, port, *weight = server.split(":")
            if not (reported["auto_eject"] and port == "44991"):  # which refuses connections, and is left out
                hosts[f"{host}:{port}"] = int(*weight) if weight else 1
        if reported["ketama_weighted"]:
            hash_of_keys = "md5" if "ketama_weighted" in behaviours else behaviours["hash"]
            return profiles.libmemcached_ketama_weighted(nodes(hosts), hash=hash_of_keys)
        profile = profiles.libmemcached_ketama if reported["ketama"] else profiles.libmemcached_modula
        return profile(nodes(hosts), hash=reported["hash"])

    assert compare("pylibmc", make) == {"equal": 4_639}


@pytest.mark.parametrize(
    ("file", "equal"), [("twemproxy_ketama", 4_790), ("twemproxy_modula", 3_960)], ids=["ketama", "modula"]
)
def test_twemproxy(file: str, equal: int) -> None:
    def make(case: dict[str, Any]) -> Any:
        options = case["options"]
        profile = profiles.twemproxy_ketama if file == "twemproxy_ketama" else profiles.twemproxy_modula
        hosts = [host for host in case["hosts"] if host["name"] != options.get("ejected")]
        given = {name: options[name] for name in ("hash", "hash_tag") if name in options}
        return profile(weighted(hosts), **given)

    assert compare(file, make) == {"equal": equal}


def test_a_twemproxy_without_server_names_hashes_their_addresses() -> None:
    (case,) = (case for case in cases("twemproxy_ketama") if "no server name" in case.get("note", ""))
    addresses = [server.rpartition(":")[0] for server in case["options"]["servers_config"]]
    hosts = [Node(str(number), address=address) for number, address in enumerate(addresses)]
    router = profiles.twemproxy_ketama(hosts, label="short-address", hash=case["options"]["hash"])
    assert any(address.endswith(":11211") for address in addresses)
    assert list(router.labels) == [host["name"] for host in case["hosts"]]


# Rendezvous: pymemcache, go-redis ---------------------------------------------------------------------------------

REFUSED = "keys that pymemcache refuses"


def test_pymemcache() -> None:
    def make(case: dict[str, Any]) -> Any:
        removed = case["options"].get("removed", ())
        if set(removed) == set(case["hosts"]):
            removed = ()
        return profiles.pymemcache(nodes(name for name in case["hosts"] if name not in removed))

    def differs(key: Any, theirs: Any, case: dict[str, Any]) -> str:
        if isinstance(theirs, dict):
            return REFUSED
        return "all hosts are gone" if theirs is None else of_text(key, theirs, case)

    found = compare("pymemcache_hashclient", make, differs=differs)
    assert found == {"equal": 1_762, REFUSED: 313, BYTES: 18, "all hosts are gone": 4}


def test_the_rendezvous_of_pymemcache(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(case: dict[str, Any]) -> Any:
        if "seed" in case["options"]:
            return profiles.pymemcache(nodes(case["hosts"]), label="name", seed=case["options"]["seed"])
        # A hash with ties: the length of the text, modulo 3.
        monkeypatch.setattr("nydus_core.routers.scores.murmur3", lambda data, seed: len(data) % 3)
        return profiles.pymemcache(nodes(case["hosts"]))

    found = compare(
        "pymemcache_rendezvous", make, differs=of_text, which=lambda case: "seed" in case["options"]
    )
    found += compare(
        "pymemcache_rendezvous", make, differs=of_text, which=lambda case: "seed" not in case["options"]
    )
    assert found == {"equal": 1_085, BYTES: 16}


def test_go_redis() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.go_redis(nodes(name for name in case["hosts"] if name not in case["options"]["down"]))

    assert compare("go_redis_ring", make) == {"equal": 2_508}


def test_go_redis_moves_the_keys_of_a_shard_that_is_down_as_go_redis_does() -> None:
    for case in cases("go_redis_ring"):
        router, down = profiles.go_redis(nodes(case["hosts"])), set(case["options"]["down"])
        assert all(router.locate(key_bytes(key), down) == theirs for key, theirs in mapping(case))


# Jedis ------------------------------------------------------------------------------------------------------------


def test_jedis() -> None:
    def make(case: dict[str, Any]) -> Any:
        named = all(host["name"] for host in case["hosts"])
        profile = profiles.jedis if named else profiles.jedis_unnamed
        hosts = {number: host["weight"] for number, host in enumerate(case["hosts"])}
        if named:
            hosts = {host["name"]: host["weight"] for host in case["hosts"]}
        tags = case["options"]["key_tag_pattern"] is not None
        return profile(nodes(hosts), hash=case["options"]["algo"], hash_tags=tags)

    def answer(name: str, case: dict[str, Any]) -> int:
        names = [host["name"] for host in case["hosts"]]
        return names.index(name) if name in names else int(name)

    assert compare("jedis_sharded", make, answer=answer) == {"equal": 2_700}


# Slots, jump, maglev ----------------------------------------------------------------------------------------------


def test_redis_slots() -> None:
    ranges = {"a": [[0, 99], [200, 9_999]], "b": [[100, 199], 10_000], "c": [[10_001, 16_383]]}
    router = profiles.redis_slots(nodes("abc"), slots=ranges)
    equal = 0
    for case in cases("redis_cluster_slots"):
        for key, slot in mapping(case):
            assert slot_of(key_bytes(key)) == slot, key
            owner = "b" if 100 <= slot <= 199 or slot == 10_000 else "a" if slot < 10_000 else "c"
            assert router.locate(key_bytes(key)) == owner
            equal += 1
    assert equal == 589


def test_jump() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.jump(nodes(range(case["hosts"])), hash="decimal")

    assert compare("jump_consistent_hash", make, answer=lambda name, _: int(name)) == {"equal": 2_281}


def test_maglev() -> None:
    def make(case: dict[str, Any]) -> Any:
        dead = {case["hosts"][index] for index in case["options"]["dead_indices"]}
        alive = {name: 0 if name in dead else 1 for name in case["hosts"]}
        return profiles.maglev(nodes(alive), hash="decimal", table=case["options"]["M"])

    def answer(name: str, case: dict[str, Any]) -> int:
        return int(case["hosts"].index(name))

    assert compare("maglev_go", make, answer=answer) == {"equal": 2_057}


def test_the_ranges_of_redis_slots_are_those_that_redis_cli_deals() -> None:
    for case in cases("redis_cli_slots"):
        dealt_to = Slots(nodes(range(case["hosts"]))).placement()[0]
        for host, (first, last) in mapping(case):
            assert {slot for slot, name in enumerate(dealt_to) if name == str(host)} == set(
                range(first, last + 1)
            )


# Made by tools/placement_vectors.py -------------------------------------------------------------------------------


def test_rendezvous() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.rendezvous(weighted(case["hosts"]), **case["options"])

    assert compare("rendezvous", make) == {"equal": 8_960}


def test_django_redis() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.django_redis([Node(url, identifier=url) for url in case["hosts"]])

    assert compare("django_redis", make) == {"equal": 2_130}


def test_python_memcached() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.python_memcached(weighted(case["hosts"]), hash=case["options"]["hash"])

    assert compare("python_memcached", make) == {"equal": 3_608}


def test_mcrouter() -> None:
    def make(case: dict[str, Any]) -> Any:
        profile = {"ch3": profiles.mcrouter_ch3, "crc32": profiles.mcrouter_crc32}[case["options"]["hash"]]
        return profile(nodes(range(case["hosts"])))

    assert compare("mcrouter", make, answer=lambda name, _: int(name)) == {"equal": 6_848}


def test_phpredis() -> None:
    def make(case: dict[str, Any]) -> Any:
        return profiles.phpredis(nodes(range(case["hosts"])))

    assert compare("phpredis", make, answer=lambda name, _: int(name)) == {"equal": 2_820}


def test_every_answer_is_compared() -> None:
    files = [path.stem for path in FOLDER.glob("*.json")]
    made_here = {
        "slots",
        "rendezvous",
        "django_redis",
        "python_memcached",
        "redis_cli_slots",
        "mcrouter",
        "phpredis",
    }
    answers = {file: sum(len(list(mapping(case))) for case in cases(file)) for file in files}
    assert answers.pop("other_clients") == 97_136
    assert sum(count for file, count in answers.items() if file not in made_here) == 63_903
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_routers_*.py"))
    assert [file for file in files if f'"{file}"' not in tests] == []
