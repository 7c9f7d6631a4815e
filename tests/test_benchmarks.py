"""The rows of `make bench`: both sides do the same work, and what is aimed at is what was promised."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis
from pymemcache.client.base import Client
from redis.utils import HIREDIS_AVAILABLE

from cluster_mode import redis_cluster
from given import MemcachedServers, RedisServers
from memcached import MemcachedServer
from nydus_redis.embedded.server import PrivateServer

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
#: Commands of a task: fewer than where they are measured.
EACH = 1


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


@pytest.mark.parametrize(("side", "arguments"), [("redis_rows", []), ("asyncio_rows", [EACH])])
def test_both_sides_of_a_row_do_the_same_work(
    side: str, arguments: list[int], bench: Any, redis_servers: RedisServers
) -> None:
    servers = redis_servers(4, tcp=True)
    counted = Counted(servers)
    with ExitStack() as stack:
        stack.callback(counted.close)
        for row in getattr(bench, side)(stack, servers, *arguments):
            counted()
            row.ours()
            ours = counted()
            row.peer()
            assert ours == counted(), row.name
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


def same_work(row: Any, servers: list[MemcachedServer]) -> None:
    """Both sides of a row ask memcached servers for as many keys as the row has units."""

    def asked() -> Counter[str]:
        clients = [Client(("127.0.0.1", server.port)) for server in servers]
        stats = [client.stats() for client in clients]
        for client in clients:
            client.close()
        return Counter({each: sum(stat[each.encode()] for stat in stats) for each in ("cmd_get", "cmd_set")})

    before = asked()
    row.ours()
    ours = asked()
    row.peer()
    assert ours - before == asked() - ours
    assert (ours - before).total() == row.units


@pytest.mark.parametrize(
    "name", ["get_many", "set_many", "map() of 10000 get", "map() of 10000 set", "get,", "set,"]
)
def test_both_sides_of_a_row_of_memcached_do_the_same_work(
    name: str, bench: Any, memcached_servers: MemcachedServers
) -> None:
    servers = memcached_servers(4, tcp=True)
    with ExitStack() as stack:
        rows = [
            row
            for row in bench.memcache_rows(stack, servers)
            if row.name.startswith(f"memcached {name}") and row.target
        ]
        assert rows
        for row in rows:
            same_work(row, servers)


def test_with_asyncio_both_sides_of_a_row_of_memcached_do_the_same_work(
    bench: Any, memcached_servers: MemcachedServers
) -> None:
    pytest.importorskip("aiomcache", reason="only `make bench` installs aiomcache")
    servers = memcached_servers(4, tcp=True)
    with ExitStack() as stack:
        rows = bench.asyncio_memcache_rows(stack, servers, EACH)
        for row in rows:
            same_work(row, servers)
    assert [row.target for row in rows] == [0.3, 0.9, 0.8, 0.8]


def test_targets_of_asyncio(bench: Any, redis_servers: RedisServers) -> None:
    with ExitStack() as stack:
        rows = bench.asyncio_rows(stack, redis_servers(4, tcp=True))
    targets = {row.name.removeprefix("asyncio: "): row.target for row in rows if "GLIDE" not in row.name}
    assert targets == {
        "GET, 200 tasks; peer redis.asyncio": 0.12,
        "SET, 200 tasks; peer redis.asyncio": 0.12,
        "GET, 200 tasks; peer batching off": 0.2,
        "SET, 200 tasks; peer batching off": 0.2,
        "GET, 1000 tasks; peer 200 tasks": 1.0,
        "GET, 5000 tasks; peer 200 tasks": 1.0,
        "GET, one task; peer redis.asyncio": 0.6,
        "SET, one task; peer redis.asyncio": 0.6,
        "map() of 10000 GET; peer pipeline": 0.3,
        "map() of 10000 SET; peer pipeline": 0.3,
        "map() of 10000 INCR; peer pipeline": 0.3,
    }
    of_glide = [row.target for row in rows if "GLIDE" in row.name]
    assert of_glide == ([0.25] * 2 + [1.0] * 2 if find_spec("glide") else [])


def test_the_latency_of_each_command_is_measured_and_shown_in_two_rows(
    bench: Any, redis_servers: RedisServers, capsys: pytest.CaptureFixture[str]
) -> None:
    with ExitStack() as stack:
        beside = bench.latencies(stack, redis_servers(4, tcp=True), EACH)
        for latency in beside:
            for work in (latency.ours, latency.theirs):
                assert [len(took) for took in work()] == [EACH] * 200
        capsys.readouterr()
        bench.measure_latency(beside[0], turns=2)
    shown = capsys.readouterr().out.splitlines()
    assert [line[2:52].rstrip() for line in shown] == [
        "asyncio: median, 200 tasks; peer redis.asyncio",
        "asyncio: p99, 200 tasks; peer redis.asyncio",
    ]
    assert [line.split("|")[-2].strip() for line in shown] == ["", "0.30"]


def test_the_median_and_the_slowest_hundredth(bench: Any) -> None:
    found = sys.modules["asyncio_latency"].percentiles(lambda: [[number / 1000] for number in range(1, 200)])
    assert (found.median, found.p99) == pytest.approx((0.100, 0.198))


def test_connections_are_counted_while_tasks_use_them(
    bench: Any,
    redis_servers: RedisServers,
    memcached_servers: MemcachedServers,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not find_spec("aiomcache"):
        monkeypatch.setattr(sys.modules["asyncio_clients"].Loop, "aiomcache", lambda self, server: None)
    counted = bench.connections(redis_servers(4, tcp=True), memcached_servers(4, tcp=True), EACH)
    found = {about.client: about.each for about in counted}
    assert found["redis.asyncio, one host"] == [200, 0, 0, 0]
    assert found.get("GLIDE, one host", [1, 0, 0, 0]) == [1, 0, 0, 0]
    first, *others = found.get("memcached, aiomcache, one host", [1, 0, 0, 0])
    assert first >= 1
    assert others == [0, 0, 0]
    for ours in ("Nydus", "Nydus, batching off", "memcached, Nydus"):
        assert all(1 <= count <= 100 for count in found[ours]), ours


@pytest.mark.parametrize(("only", "measured"), [("", 5), ("asyncio", 2), ("asyncio: GET", 1), ("no", 0)])
def test_rows_are_chosen_by_the_beginning_of_their_names(
    only: str, measured: int, bench: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["asyncio: GET", "asyncio: SET", "GET", "SET", "memcached get"]
    bench.measure_some([bench.Row(name, int, int, 1, None, 2) for name in names], only, 1.0)
    shown = [line[2:52].rstrip() for line in capsys.readouterr().out.splitlines()]
    assert shown == [name for name in names if name.startswith(only)]
    assert len(shown) == measured


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
