"""Redis, blocking, beside other clients: a socket and nothing else, valkey-py, GLIDE, and redis-py on a real Redis Cluster.

They are shown as they are, also where they are faster than Nydus.
"""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from redis.cluster import RedisCluster
from redis_rows import ROUTER, gets, mapped, piped, queue_gets, queue_sets
from side_by_side import BATCH, SINGLES, Row

from cluster_mode import redis_cluster
from nydus.db import create_cluster
from nydus_redis.embedded.server import PrivateServer

SECONDS = 5.0
NODES = 3


def other_redis_rows(stack: ExitStack, servers: list[PrivateServer]) -> list[Row]:
    """Against each client that is installed, on one of the servers; against redis-py on a Redis Cluster of its own."""
    cluster, three = (_cluster(stack, some) for some in (servers, servers[:NODES]))
    made = [_floor, _valkey, _glide]
    return [
        *(row for make in made for row in make(stack, cluster, servers[0].port)),
        *_redis_cluster(stack, three),
    ]


def _cluster(stack: ExitStack, servers: list[PrivateServer]) -> Any:
    hosts = [f"redis://127.0.0.1:{server.port}" for server in servers]
    return stack.enter_context(create_cluster({"engine": "redis", "router": ROUTER, "hosts": hosts}))


def _rows(
    name: str, cluster: Any, peer: Any, send: Callable[[Any, Any], Any], target: float | None
) -> list[Row]:
    """Return the rows of a peer: GET one by one, and batches of GET and of SET, which ``send`` sends."""
    works: list[tuple[str, Callable[[Any], Any]]] = [("GET", queue_gets), ("SET", queue_sets)]
    return [
        Row(f"GET, single; peer {name}", lambda: gets(cluster), lambda: gets(peer), SINGLES, None, 100),
        *(
            Row(
                f"map() of {BATCH} {command}; peer {name}",
                lambda work=work: mapped(cluster, work),  # type: ignore[misc]
                lambda work=work: send(peer, work),  # type: ignore[misc]
                BATCH,
                target,
                25,
            )
            for command, work in works
        ),
    ]


def _floor(stack: ExitStack, cluster: Any, port: int) -> list[Row]:
    """Against a socket, hiredis, and no client: the least that a program in Python can do."""
    try:
        importlib.import_module("hiredis")
    except ImportError:
        print("hiredis is not installed: the rows of a bare socket are left out (pip install hiredis)")
        return []
    return _rows("bare socket", cluster, stack.enter_context(Bare(port)), sent_bare, None)


def _valkey(stack: ExitStack, cluster: Any, port: int) -> list[Row]:
    """Against valkey-py with libvalkey: the fastest pipeline in Python that we know."""
    try:
        valkey: Any = importlib.import_module("valkey")
        importlib.import_module("libvalkey")
    except ImportError:
        print("valkey-py is not installed: its rows are left out (pip install 'valkey[libvalkey]')")
        return []
    return _rows("valkey-py", cluster, stack.enter_context(valkey.Valkey(port=port)), piped, 0.75)


def _glide(stack: ExitStack, cluster: Any, port: int) -> list[Row]:
    """Against GLIDE: a client in Rust, behind a queue to a thread of its own."""
    try:
        glide: Any = importlib.import_module("glide_sync")
    except ImportError:
        print("GLIDE is not installed: its rows are left out (pip install valkey-glide-sync)")
        return []
    at = glide.NodeAddress("127.0.0.1", port)
    options = glide.GlideClientConfiguration([at], request_timeout=int(SECONDS * 1000))
    peer = glide.GlideClient.create(options)
    stack.callback(peer.close)

    def sent(client: Any, work: Callable[[Any], Any]) -> Any:
        batch = glide.Batch(is_atomic=False)
        work(batch)
        return client.exec(batch, raise_on_error=True)

    return _rows("GLIDE", cluster, peer, sent, None)


def _redis_cluster(stack: ExitStack, cluster: Any) -> list[Row]:
    """Against redis-py's client of a Redis Cluster, over as many nodes as the cluster has hosts."""
    port = stack.enter_context(redis_cluster(NODES))[0].port
    peer = stack.enter_context(RedisCluster(host="127.0.0.1", port=port))
    return _rows("RedisCluster", cluster, peer, piped, 0.15)


class Bare:
    """A socket with a time limit, and hiredis to pack and to read. It keeps no promise of a client."""

    def __init__(self, port: int) -> None:
        hiredis: Any = importlib.import_module("hiredis")
        self._pack, self._reader = hiredis.pack_command, hiredis.Reader()
        self._socket = socket.create_connection(("127.0.0.1", port), SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get(self, key: str) -> Any:
        """Return a value."""
        return self.exchange(self._pack(("GET", key)), 1)[0]

    def exchange(self, request: bytes, count: int) -> list[Any]:
        """Send the bytes of so many commands at once, then read their replies."""
        self._socket.sendall(request)
        replies: list[Any] = []
        while len(replies) < count:
            reply = self._reader.gets()
            if reply is False:
                self._reader.feed(self._socket.recv(65536))
            else:
                replies.append(reply)
        return replies

    def __enter__(self) -> Bare:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class BareBatch:
    """A batch of commands, packed as they come."""

    def __init__(self) -> None:
        hiredis: Any = importlib.import_module("hiredis")
        self._pack = hiredis.pack_command
        self.packed: list[bytes] = []

    def get(self, key: str) -> None:
        """Queue a GET."""
        self.packed.append(self._pack(("GET", key)))

    def set(self, key: str, value: str) -> None:
        """Queue a SET."""
        self.packed.append(self._pack(("SET", key, value)))


def sent_bare(client: Bare, work: Callable[[Any], Any]) -> list[Any]:
    """A batch in one write."""
    batch = BareBatch()
    work(batch)
    return client.exchange(b"".join(batch.packed), len(batch.packed))
