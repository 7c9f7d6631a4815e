"""Servers that live as long as the test session, handed out empty to one test after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, Self, TypeVar

from address import Listening, ask
from memcached import MemcachedServer
from nydus_redis.embedded.server import PrivateServer, ServerError
from waiting import LONG


class Server(Listening, Protocol):
    """What the pool needs of a server."""

    def wait(self, timeout: float = 10.0) -> Self: ...

    def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


class ServerPool(Generic[S]):
    """Servers of one kind. They start when they are first asked for, all that are missing at the same time.

    Parameters:
        make: Spawns one.
        empty: Removes its data; raises ``OSError`` if it does not answer as it should, and it is replaced.
    """

    def __init__(self, make: Callable[[], S], empty: Callable[[S], None]) -> None:
        self._make = make
        self._empty = empty
        self._servers: list[S] = []
        self._used = 0

    def take(self, count: int) -> list[S]:
        """Give ``count`` running, empty servers that this test does not have yet."""
        start, end = self._used, self._used + count
        while len(self._servers) < end:
            self._servers.append(self._make())
        for i in range(start, end):
            self._servers[i] = self._cleaned(self._servers[i])
        self._used = end
        return self._servers[start:end]

    def give_back(self) -> None:
        """Take all servers back from the test."""
        self._used = 0

    def stop(self) -> None:
        """Stop all servers."""
        for server in self._servers:
            server.stop()
        self._servers.clear()

    def _cleaned(self, server: S) -> S:
        try:
            self._empty(server.wait(LONG))
        except (OSError, ServerError):
            # A test killed it, or left it with a password: its own affair, but not the next test's
            server.stop()
            server = self._make()
            self._empty(server.wait(LONG))
        return server


def redis_pool(*, tcp: bool) -> ServerPool[PrivateServer]:
    """A pool of Redis servers."""
    return ServerPool(lambda: PrivateServer(tcp=tcp), _empty_redis)


def memcached_pool(*, tcp: bool) -> ServerPool[MemcachedServer]:
    """A pool of memcached servers."""
    return ServerPool(lambda: MemcachedServer(tcp=tcp), _empty_memcached)


def _empty_redis(server: PrivateServer) -> None:
    commands = [
        b"PING",
        b"CLIENT KILL TYPE normal SKIPME yes",
        b"FLUSHALL",
        b"SCRIPT FLUSH",
        b"CONFIG RESETSTAT",
    ]
    for command in commands:
        answer = ask(server, command + b"\r\n", b"\r\n")
        if not answer.startswith((b"+", b":")):
            raise OSError(f"{server!r} answered {command!r} with {answer!r}")


def _empty_memcached(server: MemcachedServer) -> None:
    answer = ask(server, b"flush_all\r\n", b"\r\n")
    if answer != b"OK\r\n":
        raise OSError(f"{server!r} answered {answer!r}")
