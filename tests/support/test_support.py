"""The tests' own parts: pools and memcached do what other tests rely on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from address import Listening, ask
from given import MemcachedServers, NewMemcachedServer, RedisServers
from memcached import MemcachedServer
from nydus_redis.embedded.server import ServerError

pytestmark = pytest.mark.slow_env  # client libraries have no part in it


def ping(target: Listening) -> bytes:
    return ask(target, b"PING\r\n", b"\r\n")


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
    new_memcached_server: NewMemcachedServer,
) -> None:
    server = new_memcached_server(["-m", "8"])
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(ServerError, match="ended"):
        server.wait()
    directory = Path(server.path).parent
    server.stop()
    assert not directory.exists()


@pytest.mark.parametrize("tcp", [False, True])
def test_a_memcached_is_restarted_at_its_address_and_empty(
    new_memcached_server: NewMemcachedServer, tcp: bool
) -> None:
    server = new_memcached_server(tcp=tcp)
    address = server.path, server.port
    for _ in range(2):
        pid = server.pid
        assert ask(server, b"add key 0 0 5\r\nvalue\r\n", b"\r\n") == b"STORED\r\n"
        server.kill()
        with pytest.raises(ConnectionRefusedError):
            ask(server, b"version\r\n", b"\r\n")
        assert server.restart() is server
        assert (server.path, server.port) == address
        assert server.pid != pid
        assert f"STAT pid {server.pid}\r\n".encode() in ask(server, b"stats\r\n", b"END\r\n")


def test_a_memcached_that_does_not_start_says_why() -> None:
    with pytest.raises(ServerError, match="nonsense"), MemcachedServer(["--nonsense"]):
        pass


def test_without_memcached_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ServerError, match="apt-get install memcached"):
        MemcachedServer()
