"""The tests' own parts: pools, memcached and the proxy do what other tests rely on."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from address import Listening, address_of, ask
from memcached import MemcachedServer
from nydus_core.testing import FaultProxy
from nydus_redis.server import PrivateServer, ServerError

RedisServers = Callable[..., list[PrivateServer]]
MemcachedServers = Callable[..., list[MemcachedServer]]
Proxies = Callable[..., FaultProxy]


def connect(target: Listening) -> socket.socket:
    address = address_of(target)
    client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    client.settimeout(5.0)
    client.connect(address)
    return client


def ping(target: Listening) -> bytes:
    return ask(target, b"PING\r\n", b"\r\n")


def soon(condition: Callable[[], bool]) -> bool:
    for _ in range(1000):
        if condition():
            return True
        time.sleep(0.005)
    return False


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("round_", [1, 2])
def test_pooled_redis_servers_are_running_distinct_and_empty(
    redis_servers: RedisServers, tcp: bool, round_: int
) -> None:
    servers = redis_servers(3, tcp=tcp) + redis_servers(1, tcp=tcp)
    assert len({server.pid for server in servers}) == 4
    assert all(bool(server.port) is tcp for server in servers)
    for server in servers:
        assert ask(server, b"DBSIZE\r\n", b"\r\n") == b":0\r\n"
        assert ask(server, b"SET key value\r\n", b"\r\n") == b"+OK\r\n"


@pytest.mark.parametrize("damage", ["kill", "password", "none"])
def test_a_server_that_a_test_damaged_is_replaced(redis_servers: RedisServers, damage: str) -> None:
    (server,) = redis_servers(1)
    assert ping(server) == b"+PONG\r\n"
    if damage == "kill":
        os.kill(server.pid, signal.SIGKILL)
    if damage == "password":
        ask(server, b"CONFIG SET requirepass x\r\n", b"\r\n")


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("round_", [1, 2])
def test_pooled_memcached_servers_are_running_distinct_and_empty(
    memcached_servers: MemcachedServers, tcp: bool, round_: int
) -> None:
    servers = memcached_servers(3, tcp=tcp)
    assert len({server.pid for server in servers}) == 3
    assert all(bool(server.port) is tcp and bool(server.path) is not tcp for server in servers)
    for server in servers:
        assert f"STAT pid {server.pid}\r\n".encode() in ask(server, b"stats\r\n", b"END\r\n")
        assert ask(server, b"get key\r\n", b"END\r\n") == b"END\r\n"
        assert ask(server, b"set key 0 0 5\r\nvalue\r\n", b"\r\n") == b"STORED\r\n"
        assert ask(server, b"get key\r\n", b"END\r\n").startswith(b"VALUE")


def test_a_memcached_of_the_test_alone_may_be_killed(
    new_memcached_server: Callable[..., MemcachedServer],
) -> None:
    server = new_memcached_server(["-m", "8"])
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(ServerError, match="ended"):
        server.wait()
    directory = Path(server.path).parent
    server.stop()
    assert not directory.exists()


def test_a_memcached_that_does_not_start_says_why() -> None:
    with pytest.raises(ServerError, match="nonsense"), MemcachedServer(["--nonsense"]):
        pass


def test_without_memcached_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match="apt-get install memcached"):
        MemcachedServer()


@pytest.mark.parametrize("tcp", [False, True])
def test_a_proxy_forwards_and_counts(redis_servers: RedisServers, proxy: Proxies, tcp: bool) -> None:
    between = proxy(redis_servers(1)[0], tcp=tcp)
    assert ping(between) == b"+PONG\r\n"
    with connect(between) as client:
        client.sendall(b"*2\r\n$4\r\nECHO\r\n$1000000\r\n" + b"v" * 1_000_000 + b"\r\n")
        reply = b""
        while not reply.endswith(b"v\r\n"):
            reply += client.recv(65536)
        assert reply == b"$1000000\r\n" + b"v" * 1_000_000 + b"\r\n"
        assert between.open_connections == 1
    assert soon(lambda: between.open_connections == 0)
    assert between.connections == 2
    assert between.requests[0] == b"PING\r\n"
    assert sum(map(len, between.requests[1:])) > 1_000_000


def test_delays_of_different_connections_overlap(redis_servers: RedisServers, proxy: Proxies) -> None:
    proxies = [proxy(server, delay=0.3) for server in redis_servers(2)]
    targets = [proxies[0], proxies[1]] * 4
    start = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ping, targets)) == [b"+PONG\r\n"] * 8
    assert 0.3 <= time.monotonic() - start < 8 * 0.3 / 2


def test_replies_are_cut_once_after_so_many_bytes(redis_servers: RedisServers, proxy: Proxies) -> None:
    (server,) = redis_servers(1)
    between = proxy(server)
    between.cut_replies(after=9)
    with connect(between) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
        client.sendall(b"INCR key\r\n")
        received = b""
        while chunk := client.recv(100):
            received += chunk
        assert received == b":1"
    assert ask(between, b"GET key\r\n", b"1\r\n")


def test_several_replies_are_lost_completely(redis_servers: RedisServers, proxy: Proxies) -> None:
    (server,) = redis_servers(1)
    between = proxy(server)
    between.cut_replies(times=2)
    for _ in range(2):
        with pytest.raises(ConnectionResetError, match="after b''"):
            ask(between, b"INCR key\r\n", b"\r\n")
    assert ask(between, b"INCR key\r\n", b"\r\n") == b":3\r\n"


def test_replies_are_swallowed(redis_servers: RedisServers, proxy: Proxies) -> None:
    (server,) = redis_servers(1)
    between = proxy(server)
    between.swallow = True
    with pytest.raises(TimeoutError):
        ask(between, b"INCR key\r\n", b"\r\n", timeout=0.1)
    assert ask(server, b"GET key\r\n", b"1\r\n")
    between.swallow = False
    assert ping(between) == b"+PONG\r\n"


@pytest.mark.parametrize("tcp", [False, True])
def test_a_proxy_goes_down_and_comes_up_again_at_its_address(
    redis_servers: RedisServers, proxy: Proxies, tcp: bool
) -> None:
    between = proxy(redis_servers(1)[0], tcp=tcp)
    address = address_of(between)
    with connect(between) as client:
        between.refuse()
        with pytest.raises(OSError, match=r"refused|No such file"):
            ping(between)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
    between.accept()
    assert address_of(between) == address
    assert ping(between) == b"+PONG\r\n"


def test_connections_are_dropped(redis_servers: RedisServers, proxy: Proxies) -> None:
    between = proxy(redis_servers(1)[0])
    with connect(between) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(100) == b"+PONG\r\n"
        between.drop()
        assert client.recv(1) == b""
    assert ping(between) == b"+PONG\r\n"


def test_a_proxy_may_get_another_server(redis_servers: RedisServers, proxy: Proxies) -> None:
    first, second = redis_servers(2)
    between = proxy(first)
    ask(between, b"SET name first\r\n", b"\r\n")
    between.target = second.path
    assert ask(between, b"GET name\r\n", b"\r\n") == b"$-1\r\n"


def test_a_proxy_without_its_server_closes_connections(proxy: Proxies) -> None:
    between = proxy("/nowhere/redis.sock")
    with connect(between) as client:
        assert client.recv(1) == b""


def test_nothing_is_left_of_a_proxy_even_in_the_midst_of_work(redis_servers: RedisServers) -> None:
    threads, files = threading.active_count(), len(os.listdir("/dev/fd"))
    (server,) = redis_servers(1)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        for tcp in (False, True):
            between = FaultProxy(server, tcp=tcp, delay=10.0)
            with connect(between) as client, connect(between):
                client.setblocking(False)
                for _ in range(100):
                    try:
                        client.send(b"x" * 65536)
                    except BlockingIOError:
                        time.sleep(0.001)
                between.close()
                between.close()
            assert not between.path or not Path(between.path).parent.exists()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert threading.active_count() == threads
    assert len(os.listdir("/dev/fd")) <= files + 1  # of the server, if it is the first one
