"""Scripts and locks over many hosts: where their keys are, and known there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import redis
from redis.exceptions import LockError, LockNotOwnedError, NoScriptError
from redis.lock import Lock

import clusters
from clusters import keys_of
from nydus_core import Cluster, CrossHostError, HostDown, RoutingError
from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from waiting import LONG

Servers = Callable[..., list[PrivateServer]]
ADD = "return redis.call('incrby', KEYS[1], ARGV[1])"


cluster_of = partial(clusters.cluster_of, names="abc")


def knowing(cluster: Cluster, sha: str) -> list[bool]:
    return [cluster.on(host).script_exists(sha)[0] for host in cluster]


@pytest.fixture
def cluster(redis_servers: Servers) -> Iterator[Cluster]:
    with cluster_of(*redis_servers(3)) as cluster:
        cluster.script_flush()
        yield cluster


# Scripts ---------------------------------------------------------------------------------------------------------


def test_a_script_is_loaded_on_the_host_of_its_keys_alone(cluster: Cluster) -> None:
    add = cluster.register_script(ADD)
    assert knowing(cluster, add.sha) == [False, False, False]
    for number, key in enumerate(keys_of(cluster)):
        assert add(keys=[key], args=[5]) == 5
        assert knowing(cluster, add.sha) == [host <= number for host in range(3)]


def test_a_host_that_has_forgotten_it_is_told_again(cluster: Cluster) -> None:
    add = cluster.register_script(ADD.encode())
    for key in keys_of(cluster):
        add(keys=[key], args=[5])
    cluster.on("b").script_flush()
    assert [add(keys=[key], args=[5]) for key in keys_of(cluster)] == [10, 10, 10]


def test_keys_on_two_hosts_or_no_keys_are_refused(cluster: Cluster) -> None:
    add = cluster.register_script(ADD)
    with pytest.raises(CrossHostError):
        add(keys=keys_of(cluster)[:2], args=[1])
    with pytest.raises(RoutingError, match=r"use cluster\.on\(host\)"):
        add(args=[1])
    assert cluster.on("b").register_script("return 7")() == 7


def test_a_script_in_a_map_needs_not_be_known_there(cluster: Cluster) -> None:
    add = cluster.register_script(ADD)
    with cluster.map() as conn:
        results = [add(keys=[key], args=[number], client=conn) for number, key in enumerate(keys_of(cluster))]
    assert results == [0, 1, 2]


def test_a_script_of_another_client_works_here(cluster: Cluster, redis_servers: Servers) -> None:
    with redis.Redis(unix_socket_path=redis_servers(1)[0].path) as plain:
        add = plain.register_script(ADD)
        assert [add(keys=[key], args=[2], client=cluster.on_key(key)) for key in keys_of(cluster)] == [
            2,
            2,
            2,
        ]
        assert knowing(cluster, add.sha) == [True, True, True]


def test_a_raw_script_load_answers_by_host_and_the_method_one_name(cluster: Cluster) -> None:
    names = cluster.execute_command("SCRIPT LOAD", ADD)
    assert len(names) == 3
    assert cluster.script_load(ADD) == names[0]
    assert cluster.script_exists(names[0]) == [[True], [True], [True]]
    assert cluster.evalsha(names[0], 1, "k", 3) == 3


def test_an_unknown_name_is_the_servers_error(cluster: Cluster) -> None:
    with pytest.raises(NoScriptError):
        cluster.evalsha("0" * 40, 1, "k")


def test_where_all_hosts_run_it_none_runs_it_twice(redis_servers: Servers) -> None:
    with cluster_of(*redis_servers(2), router=None) as cluster:
        add = cluster.register_script(ADD)
        assert add(keys=["n"], args=[1]) == [1, 1]
        cluster.on("a").script_flush()
        assert add(keys=["n"], args=[1]) == [2, 2]
        # Not registered here: redis-py's own script runs it again where it finds that it is not known.
        with redis.Redis(unix_socket_path="/nowhere") as plain:
            foreign = plain.register_script(ADD + " ")
        cluster.on("b").script_load(ADD + " ")
        with pytest.raises(Exception, match="may have been applied") as caught:
            foreign(keys=["n"], args=[1], client=cluster)
        assert not isinstance(caught.value, NoScriptError)
        assert cluster.get("n") == [b"2", b"3"]


def test_a_script_whose_answer_is_lost_is_not_run_again(
    redis_servers: Servers, proxy: Callable[..., FaultProxy]
) -> None:
    relay = proxy(redis_servers(1)[0])
    with cluster_of(relay) as cluster:
        add = cluster.register_script(ADD)
        assert add(keys=["n"], args=[1]) == 1
        relay.cut_replies(times=1)
        with pytest.raises(redis.ConnectionError, match="may have been applied"):
            add(keys=["n"], args=[1])
        assert cluster.get("n") == b"2"


# Locks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks share their scripts by class: here nobody has registered any."""
    for name in ("lua_release", "lua_extend", "lua_reacquire"):
        monkeypatch.setattr(Lock, name, None)


@pytest.mark.usefixtures("no_scripts")
@pytest.mark.parametrize("decode", [False, True])
def test_a_lock_lives_on_the_host_of_its_name(redis_servers: Servers, decode: bool) -> None:
    with cluster_of(*redis_servers(3), decode_responses=decode) as cluster:
        cluster.script_flush()
        for position, name in enumerate(keys_of(cluster)):
            lock = cluster.lock(name, timeout=100)
            assert lock.acquire()
            assert cluster.dbsize() == [int(host == position) for host in range(3)]
            assert lock.owned()
            assert lock.locked()
            assert not cluster.lock(name).acquire(blocking=False)
            assert lock.extend(100)
            assert cluster.pttl(name) > 101_000
            assert lock.reacquire()
            assert cluster.pttl(name) <= 100_000
            lock.release()
            assert cluster.dbsize() == [0, 0, 0]


def test_a_lock_is_waited_for_no_longer_than_asked(cluster: Cluster) -> None:
    with cluster.lock("l", timeout=100):
        assert not cluster.lock("l", blocking_timeout=0.05, sleep=0.02).acquire()
        with pytest.raises(LockError), cluster.lock("l", blocking_timeout=0.05, sleep=0.02):
            pass
    with cluster.lock("l", blocking_timeout=LONG):
        pass


def test_a_lock_is_its_threads_own(cluster: Cluster) -> None:
    lock = cluster.lock("l", timeout=100)
    lock.acquire()
    found: list[Any] = []

    def work() -> None:
        try:
            lock.release()
        except (LockError, AttributeError) as error:  # redis-py has no token there at all
            found.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(found) == 1
    assert lock.owned()
    lock.release()


def test_a_lock_that_was_lost_says_so(cluster: Cluster) -> None:
    lock = cluster.lock("l", timeout=100)
    lock.acquire()
    cluster.set("l", "somebody else's")
    for step in (lambda: lock.extend(1), lock.reacquire, lock.release):
        with pytest.raises(LockNotOwnedError):
            step()


def test_a_lock_on_a_host_that_is_down_says_so(
    redis_servers: Servers, new_redis_server: Callable[..., PrivateServer]
) -> None:
    down = new_redis_server()
    with cluster_of(down, *redis_servers(1)) as cluster:
        mine, other = keys_of(cluster)
        lock = cluster.lock(mine, timeout=100)
        lock.acquire()
        down.stop()
        with pytest.raises(HostDown):
            lock.release()
        with pytest.raises(HostDown):
            cluster.lock(mine).acquire()
        with cluster.lock(other):
            pass
