"""What a plain client and a cluster are given, side by side: servers with the same data, of which it is known what they were sent.

The methods that are called on both are in ``sample_calls`` and the modules with the samples.
"""

from __future__ import annotations

import inspect
import socket
from typing import Any

import redis

from nydus_core.testing import FaultProxy
from nydus_redis.embedded.server import PrivateServer
from sample_calls import DATA, Call, is_volatile, name_of, shape

__all__ = ["OLD", "Direct", "Side", "differs", "known", "methods"]

#: Whether this redis-py lacks some of the samples' options.
OLD = not hasattr(redis.Redis, "himport_set")


class Direct:
    """A connection of its own, without any client library: it prepares thousands of times."""

    def __init__(self, server: PrivateServer) -> None:
        connection: Any = redis.Connection()  # type: ignore[no-untyped-call]
        commands = [("FLUSHALL",), *DATA, ("ECHO", "loaded")]
        self._request = b"".join(b"".join(connection.pack_command(*command)) for command in commands)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(server.path)
        self._socket.settimeout(30)

    def load(self) -> None:
        self._socket.sendall(self._request)
        answer = b""
        while not answer.endswith(b"$6\r\nloaded\r\n"):
            answer += self._socket.recv(65536)
        assert b"-ERR" not in answer, answer

    def close(self) -> None:
        self._socket.close()


class Side:
    """A client, the servers that it talks to by way of proxies, and direct connections to these."""

    def __init__(self, servers: list[PrivateServer], proxies: list[FaultProxy]) -> None:
        self.proxies = proxies
        self._direct = [Direct(server) for server in servers]

    def prepare(self, hosts: list[bool]) -> None:
        """Give some servers the data that the samples find, and forget what was sent."""
        for direct, there in zip(self._direct, hosts, strict=True):
            if there:
                direct.load()
        self.forget()

    def close(self) -> None:
        for direct in self._direct:
            direct.close()

    def forget(self) -> None:
        for proxy in self.proxies:
            proxy.requests.clear()

    def sent(self) -> list[bytes]:
        return [b"".join(proxy.requests) for proxy in self.proxies]


def methods(client: Any) -> set[str]:
    """Return the public methods of a client, and of what its methods for modules return."""
    found = set()
    for name in dir(type(client)):
        if name.startswith("_") or not callable(getattr(type(client), name)):
            continue
        if name in ("bf", "cf", "cms", "ft", "json", "tdigest", "topk", "ts", "vset"):
            module = getattr(client, name)()
            found |= {
                f"{name}.{each}" for each, _ in inspect.getmembers(module, inspect.ismethod) if each[0] != "_"
            }
        else:
            found.add(name)
    return found


def known(samples: list[Call], client: Any) -> list[Call]:
    """Return those that this redis-py has methods for."""
    there = methods(client)
    return [sample for sample in samples if name_of(sample) in there or "." in name_of(sample)]


def differs(sample: Call, expected: Any, answer: Any) -> bool:
    """Tell whether an answer is another one than that of the plain client."""
    if is_volatile(sample):
        expected, answer = shape(expected), shape(answer)
    if type(answer) is not type(expected):
        return True
    return repr(answer) != repr(expected) if is_object(expected) else bool(answer != expected)


def is_object(value: Any) -> bool:
    equal: Any = type(value).__eq__
    return equal is object.__eq__
