"""Every example of the document that the project was created from, as it stands there, on a real server.

Its text is ``seed.txt``. It slips in places: three examples end in ``)}`` for ``})``; ``results`` of the pipeline
example is a list, so ``results['a']`` means ``results[0]``; and over the wire a GET answers bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import nydus_core
from given import RedisServers
from nydus.db import create_cluster
from nydus_core import plugins
from nydus_redis.embedded.server import PrivateServer

SEED = Path(__file__).with_name("seed.txt").read_text()


def examples() -> list[str]:
    """The blocks of ``>>>`` lines, mended where they slip."""
    blocks = re.findall(r"(?:^    >>>.*\n)+", SEED, re.MULTILINE)
    mended = [re.sub(r"^    >>> ?", "", block, flags=re.MULTILINE) for block in blocks]
    return [
        text.replace("\n)}\n", "\n})\n")
        .replace("results['a'] == 2", "assert results[0] == b'2'")
        .replace("results['b'] == None", "assert results[1] == None")
        for text in mended
    ]


class OnOneServer:
    """A plugin that gives every host the address of one real server, where the examples mean localhost."""

    def __init__(self, server: PrivateServer) -> None:
        self.server = server

    @nydus_core.hookimpl
    def nydus_configure(self, settings: dict[str, Any]) -> None:
        settings["defaults"] = {"unix_socket_path": self.server.path, "identifier": None}


@pytest.fixture
def server(redis_servers: RedisServers) -> Iterator[PrivateServer]:
    (server,) = redis_servers(1)
    plugin = OnOneServer(server)
    plugins.register(plugin)
    yield server
    plugins.unregister(plugin)


def run(example: str, **names: Any) -> dict[str, Any]:
    names = {"create_cluster": create_cluster, **names}
    exec(compile(example, "seed.txt", "exec"), names)
    return names


def test_the_seed_has_eight_examples() -> None:
    assert len(examples()) == 8


@pytest.mark.parametrize("number", [0, 1, 3, 5, 6, 7])
def test_an_example_that_stands_alone_runs(number: int, server: PrivateServer) -> None:
    names = run(examples()[number])
    names["redis"].close()


def test_without_a_router_each_host_did_the_query(server: PrivateServer) -> None:
    names = run(examples()[1])
    assert names["res"] == [1, 1, 1]
    names["redis"].close()


def test_many_queries_are_mapped_over_the_hosts(server: PrivateServer) -> None:
    keys = [f"key:{i}" for i in range(20)]
    redis = run(examples()[0])["redis"]
    names = run(examples()[2], redis=redis, keys=keys)
    assert names["results"] == [1] * 20
    assert all(promise == 1 for promise in names["results"])
    redis.close()


def test_a_map_without_a_router_answers_a_list_for_each_command(server: PrivateServer) -> None:
    redis = run(examples()[1])["redis"]
    names = run(examples()[2], redis=redis, keys=["a", "b"])
    assert names["results"] == [[1, 1, 1], [1, 1, 1]]
    redis.close()


def test_the_pipeline_example_hits_its_host_once(server: PrivateServer, proxy: Callable[..., Any]) -> None:
    counted = proxy(server)
    redis = create_cluster({"engine": "nydus.db.backends.redis.Redis", "hosts": {0: {"db": 0}}})
    redis.close()
    redis = create_cluster(
        {
            "engine": "nydus.db.backends.redis.Redis",
            "hosts": {0: {"db": 0, "unix_socket_path": counted.path}},
        }
    )
    redis.ping()
    before = len(counted.requests)
    run(examples()[4], redis=redis)
    assert len(counted.requests) == before + 1
    redis.close()


@pytest.mark.parametrize("number", [5, 6, 7])
def test_each_router_of_the_seed_routes_over_three_hosts(number: int, server: PrivateServer) -> None:
    example = examples()[number].replace("0: {'db': 0},", "0: {'db': 0}, 1: {'db': 1}, 2: {'db': 2},")
    redis = run(example)["redis"]
    assert [redis.incr("foo") for _ in range(3)] == ([1, 1, 1] if number == 7 else [1, 2, 3])
    with redis.map() as conn:
        results = [conn.incr(f"key:{i}") for i in range(30)]
    assert results == [1] * 30
    assert sum(redis.dbsize()) == (33 if number == 7 else 31)
    redis.close()
