"""The rows of `make bench`: both sides do the same work, and what is aimed at is what was promised."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import redis
from pymemcache.client.base import Client
from redis.utils import HIREDIS_AVAILABLE

from cluster_mode import redis_cluster
from given import MemcachedServers, RedisServers
from nydus_redis.embedded.server import PrivateServer

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("bench_run", BENCHMARKS / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in {path.stem for path in BENCHMARKS.glob("*.py")}:
        sys.modules.pop(name, None)


class Counted:
    """What servers were asked to do since the last look: how often which command."""

    def __init__(self, servers: list[PrivateServer]) -> None:
        self._clients = [redis.Redis(port=server.port) for server in servers]
        self._before: Counter[str] = Counter()

    def __call__(self) -> Counter[str]:
        now: Counter[str] = Counter()
        for client in self._clients:
            for name, about in client.info("commandstats").items():
                command = name.removeprefix("cmdstat_")
                if command.partition("|")[0] not in ("info", "hello", "client", "cluster", "command"):
                    now[command] += about["calls"]
        found = now - self._before
        self._before = now
        return found

    def close(self) -> None:
        for client in self._clients:
            client.close()


@pytest.mark.parametrize("side", ["redis_rows", "asyncio_rows"])
def test_both_sides_of_a_row_do_the_same_work(side: str, bench: Any, redis_servers: RedisServers) -> None:
    servers = redis_servers(4, tcp=True)
    counted = Counted(servers)
    with ExitStack() as stack:
        stack.callback(counted.close)
        for row in getattr(bench, side)(stack, servers):
            counted()
            row.ours()
            ours = counted()
            row.peer()
            assert ours == counted()
            assert ours.total() == row.units


def test_a_peer_does_the_same_work_also_over_the_nodes_of_a_redis_cluster(
    bench: Any, redis_servers: RedisServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = redis_servers(4, tcp=True)
    with redis_cluster(3) as nodes, ExitStack() as stack:
        monkeypatch.setattr(sys.modules["redis_peers"], "redis_cluster", lambda count: nullcontext(nodes))
        counted = Counted(servers + nodes)
        stack.callback(counted.close)
        rows = bench.other_redis_rows(stack, servers)
        for row in rows:
            row.peer()  # some ask a server about itself when they connect
            counted()
            row.ours()
            ours = counted()
            row.peer()
            assert ours == counted(), row.name
            assert ours.total() == row.units
        peers = Counter(row.name.partition("; peer ")[2] for row in rows)
    assert peers["RedisCluster"] == 3
    assert peers["bare socket"] == (3 if HIREDIS_AVAILABLE else 0)


def test_over_far_hosts_each_call_is_for_all_of_them_and_the_peer_asks_one(
    bench: Any, redis_servers: RedisServers
) -> None:
    servers = redis_servers(3, tcp=True)
    with ExitStack() as stack:
        counted = Counted(servers)
        stack.callback(counted.close)
        rows = bench.parallel_rows(stack, servers)
        asked = []
        for row in rows:
            counted()
            row.peer()
            assert counted() == {"get": 1}
            row.ours()
            asked.append((row.name.partition(";")[0], dict(counted())))
    for name, found in asked[:5]:
        assert found in ({"get": 80}, {"mget": 3}, {"ping": 3}), name
    slow = asked[4][1]["get"] - asked[5][1]["get"]  # the keys of the slow host
    assert 0 < slow < 80
    assert asked[6][1]["get"] >= asked[5][1]["get"]
    assert {row.target for row in rows} == {1.3}


def test_both_sides_of_a_row_of_many_keys_have_the_same_answer(
    bench: Any, redis_servers: RedisServers
) -> None:
    with ExitStack() as stack:
        rows = bench.many_keys_rows(stack, redis_servers(4, tcp=True))
        for row in rows:
            assert row.ours() == row.peer()
        assert [row.name.partition(" ")[0] for row in rows] == ["MSET", "MGET", "MSET,"]


@pytest.mark.parametrize(
    "name", ["get_many", "set_many", "map() of 10000 get", "map() of 10000 set", "get,", "set,"]
)
def test_both_sides_of_a_row_of_memcached_do_the_same_work(
    name: str, bench: Any, memcached_servers: MemcachedServers
) -> None:
    servers = memcached_servers(4, tcp=True)

    def asked() -> Counter[str]:
        clients = [Client(("127.0.0.1", server.port)) for server in servers]
        stats = [client.stats() for client in clients]
        for client in clients:
            client.close()
        return Counter({each: sum(stat[each.encode()] for stat in stats) for each in ("cmd_get", "cmd_set")})

    with ExitStack() as stack:
        rows = [
            row
            for row in bench.memcache_rows(stack, servers)
            if row.name.startswith(f"memcached {name}") and row.target
        ]
        assert rows
        for row in rows:
            before = asked()
            row.ours()
            ours = asked()
            row.peer()
            assert ours - before == asked() - ours
            assert (ours - before).total() == row.units


def test_what_is_aimed_at(bench: Any, redis_servers: RedisServers) -> None:
    with ExitStack() as stack:
        rows = bench.asyncio_rows(stack, redis_servers(4, tcp=True))
    assert {row.name.partition(";")[0]: round(1 / row.target, 4) for row in rows} == {
        "asyncio: GET, single": round(1 / 1.15, 4),
        "asyncio: INCR, single": round(1 / 1.15, 4),
        "asyncio: map() of 10000": round(1 / 0.8, 4),
        "asyncio: GET, 200 tasks": 0.95,
        "asyncio: the same, both on one host": 0.95,
    }


def test_the_programs_of_starts_run_and_are_a_row_each(
    bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for start in bench.STARTS:
        bench.measure_start(start, turns=2)
        assert capsys.readouterr().out.startswith(f"| {start.name} ")
    assert [start.target for start in bench.STARTS] == [0.35, 1.15]


def test_a_program_that_fails_is_no_row(bench: Any) -> None:
    broken = bench.STARTS[0]._replace(ours="import sys; sys.exit(1)")
    with pytest.raises(RuntimeError, match="this program failed: import sys"):
        bench.measure_start(broken)
