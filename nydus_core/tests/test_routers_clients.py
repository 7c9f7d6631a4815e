"""The page *Coming from another client* is true: each row of its table is run against the answers of that client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from nydus_core import BaseEngine, create_cluster
from nydus_core.command import key_bytes
from nydus_core.errors import ConfigError
from nydus_core.plugins.registry import CLIENTS
from nydus_core.routers import PROFILES, Node, NodeRouter, profiles
from vectors import FOLDER, cases, mapping

PAGE = (FOLDER.parent.parent / "docs" / "from-other-clients.md").read_text("utf-8")


class Row(NamedTuple):
    """A row of the table: the client, the router as JSON, the label of a host, and the words for what moves keys."""

    client: str
    router: str
    label: str
    moves: str


def table(columns: int) -> list[list[str]]:
    """The rows of the table of the page that has that many columns, without its head."""
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line[:1] == "|"
    ]
    return [
        cells for cells in lines if len(cells) == columns and cells[0] != "client" and cells[0][:3] != "---"
    ]


ROWS = [Row(client, router[1:-1], label[1:-1], moves) for client, router, label, moves in table(4)]
NOT_REPRODUCED = [client for client, _ in table(2)]

Options = Mapping[str, Any]


def old(file: str, **options: Any) -> tuple[str, Options]:
    """A file of a client's own, and the options of the cases that count; an option that is empty there may be absent."""
    return file, options


def pylibmc(*, ketama: int, weighted: int, asked: bool = False) -> tuple[str, Options]:
    """Answers of pylibmc by these rules, with all servers up; ``asked`` whether weights were asked for, or only given."""
    reported = {"ketama": ketama, "ketama_weighted": weighted, "auto_eject": 0}
    return old("pylibmc", reported=reported, behaviors={"ketama_weighted": asked})


#: Clients whose answers have files of their own.
OLDER = {
    "django-redis 7.0.0, ShardClient": old("django_redis"),
    "go-redis 9.22.0, Ring": old("go_redis_ring", down=[]),
    "Jedis 3.9.0, Sharded, shards with names": old("jedis_sharded", algo="murmur", key_tag_pattern=None),
    "Jedis 3.9.0, Sharded, shards without names": old("jedis_sharded", algo="murmur", key_tag_pattern=None),
    "jump-consistent-hash 3.6.0": old("jump_consistent_hash"),
    "libketama 18cf9a77": old("libketama"),
    "mcrouter, Ch3HashFunc": old("mcrouter", hash="ch3"),
    "mcrouter, Crc32HashFunc": old("mcrouter", hash="crc32"),
    "phpredis 5.3.7, RedisArray": old("phpredis"),
    "pylibmc 1.6.3, hash HASH": pylibmc(ketama=0, weighted=0),
    "pylibmc 1.6.3, ketama, hash HASH": pylibmc(ketama=1, weighted=0),
    "pylibmc 1.6.3, ketama, hash HASH, weights above 1": pylibmc(ketama=1, weighted=1),
    "pylibmc 1.6.3, ketama_weighted": pylibmc(ketama=1, weighted=1, asked=True),
    "python-memcached 1.59": old("python_memcached", version="1.59"),
    "python-memcached 1.62": old("python_memcached", version="1.62"),
    "twemproxy 0.5.0, distribution ketama, hash HASH": old("twemproxy_ketama", hash_tag="", ejected=""),
    "twemproxy 0.5.0, distribution modula, hash HASH": old("twemproxy_modula", hash_tag="", ejected=""),
    "uhashring 2.5, HashRing(hash_fn='ketama')": old(
        "uhashring_ketama", ops=[], nodes_config={}, vnodes=0, replicas=0
    ),
}


def counts(options: Options, wanted: Options) -> bool:
    """Whether a case has the options that are wanted."""
    return all(
        counts(options[name], value)
        if isinstance(value, dict) and value
        else (options.get(name) or None) == (value or None)
        for name, value in wanted.items()
    )


class Run(NamedTuple):
    """Answers of a client: its hosts as it was given them, the words in capitals, and the answers by key."""

    hosts: list[tuple[str, float]]
    words: Options
    answers: dict[bytes, Any]


def runs(client: str) -> Iterator[Run]:
    """The answers of a client for text and numbers, as far as it had some."""
    file, wanted = OLDER.get(client, ("other_clients", {}))
    for case in cases(file):
        options = case.get("options") or {}
        if case.get("client", client) != client or not counts(options, wanted):
            continue
        hosts = [host_of(host) for host in listed(case["hosts"])]
        if "Jedis" in client and ("without" in client) != (hosts[0][0] == "None"):
            continue
        answers = {
            key_bytes(key): answer
            for key, answer in mapping(case)
            if not isinstance(key, bytes) and not isinstance(answer, dict)
        }
        if answers and hosts:
            words = {word: value for word, value in options.items() if word.isupper()}
            hash_of_keys = options.get("reported", options).get("hash")
            yield Run(hosts, {"HASH": hash_of_keys, **words}, answers)


def listed(hosts: Any) -> Sequence[Any]:
    return [str(number) for number in range(hosts)] if isinstance(hosts, int) else hosts


def host_of(given: Any) -> tuple[str, float]:
    """The name and the weight of a host in a file."""
    if isinstance(given, dict):
        return str(given["name"]), given["weight"]
    found = re.fullmatch(r"([^:/]+:\d+):(\d+)", given)
    return (found[1], int(found[2])) if found else (given, 1)


def filled(text: str, words: Options, name: str) -> str:
    """A text of the page, with the words in capitals replaced, for one host."""
    host, _, port = name.rpartition(":")
    own = {"ADDRESS": name, "IP": host, "PORT": port, **words}
    for word, value in own.items():
        found = value.get(name) if isinstance(value, Mapping) else value
        text = re.sub(rf"(?<![A-Za-z]){word}(?![A-Za-z])", str(found), text)
    return text


def router_of(row: Row, run: Run, hosts: Sequence[tuple[str, float]]) -> NodeRouter:
    """The router that a user has who copies the row."""
    read = json.loads(filled(row.router, run.words, ""))
    options = dict(read) if isinstance(read, dict) else {"name": read}
    profile = getattr(profiles, options.pop("name").replace("-", "_"))
    given = [name for name, _ in hosts]
    named = "name" in words_of(row) and not row.label
    names = given if named else [f"{number}" for number in range(len(given))]
    if row.label:
        options["labels"] = {
            name: filled(row.label, run.words, its) for name, its in zip(names, given, strict=True)
        }
    ignored = "weights do not count" in row.moves
    nodes = [
        Node(name, 1 if ignored else weight, identifier=its, address=its)
        for name, (its, weight) in zip(names, hosts, strict=True)
    ]
    router: NodeRouter = profile(nodes, **options)
    return router


def words_of(row: Row) -> set[str]:
    """The words that say what moves keys."""
    return set(row.moves.partition(";")[0].split(", "))


def places(router: NodeRouter, keys: Iterable[bytes]) -> dict[bytes, int]:
    """The position of the host of each key."""
    return {key: router.names.index(router.locate(key)) for key in keys}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.client)
def test_a_row_places_keys_as_its_client_did(row: Row) -> None:
    compared = 0
    for run in runs(row.client):
        names = [name for name, _ in run.hosts]
        theirs = {
            key: names.index(answer) if isinstance(answer, str) else answer
            for key, answer in run.answers.items()
        }
        assert places(router_of(row, run, run.hosts), run.answers) == theirs
        compared += len(theirs)
    assert compared > 100


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.client)
def test_a_row_says_what_moves_keys(row: Row) -> None:
    words = words_of(row)
    assert words <= {"order", "address", "name", "identifier", "user", "password"}
    run = max(runs(row.client), key=lambda run: len(run.hosts))
    last = len(run.hosts) - 1
    router, turned = router_of(row, run, run.hosts), router_of(row, run, run.hosts[::-1])
    keys = [*run.answers, *(b"%d" % number for number in range(500))]
    here, there = places(router, keys), places(turned, keys)
    assert ("order" in words) == any(here[key] != last - there[key] for key in keys)
    assert router.by_address == (bool({"address", "identifier"} & words) and not row.label)
    if row.label:
        upper = set(re.findall("[A-Z]+", row.label))
        assert {"user" if "USER" in upper else "", "name" if "NAME" in upper else ""} - {""} <= words


def test_every_client_that_was_run_is_on_the_page_once() -> None:
    run = {case["client"] for case in cases("other_clients")} | set(OLDER)
    on_page = [row.client for row in ROWS] + NOT_REPRODUCED
    assert sorted(on_page) == sorted(run)
    assert [row.client.lower() for row in ROWS] == sorted(row.client.lower() for row in ROWS)


@pytest.mark.parametrize("client", NOT_REPRODUCED)
def test_no_profile_places_as_a_client_that_is_not_reproduced(client: str) -> None:
    found = list(runs(client))
    assert found
    for name in PROFILES.keys() - {"rb-ketama"}:  # whose hosts are numbers
        for run in found:
            nodes = [Node(host, weight, host, host) for host, weight in run.hosts]
            try:
                router = getattr(profiles, name.replace("-", "_"))(nodes)
            except ConfigError:
                continue  # it knows no weights
            assert [run.hosts[place][0] for place in places(router, run.answers).values()] != [
                run.hosts[place][0] for place in run.answers.values()
            ]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_is_named_for_a_router_is_told_its_routers(client: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_cluster({"engine": BaseEngine, "router": client, "hosts": 2})
    routers = " or ".join(map(repr, CLIENTS[client]))
    assert str(caught.value).startswith(
        f"router: no router is called {client!r}: it places keys as {routers}; the page"
    )
    assert set(CLIENTS[client]) <= set(PROFILES)
    on_page = {
        router for row in ROWS if re.match(f"{client}[ ,]", row.client) for router in row.router.split('"')
    }
    assert (
        set(CLIENTS[client]) == on_page & set(PROFILES) or client == "libmemcached"
    )  # which pylibmc stands for
