"""Real servers in cluster mode: one by one, or several that are one Redis Cluster."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import redis

from nydus_core.routers.slots import SLOTS
from nydus_redis.embedded.server import PrivateServer, ServerError
from waiting import LONG, until

__all__ = ["redis_cluster", "started"]


def started(executable: str | None = None, *, tcp: bool = False) -> PrivateServer:
    """Return a server in cluster mode that answers. It has no slots yet.

    Parameters:
        executable: The path of the binary; by default the path that ``find_server()`` returns.
        tcp: Listen on a port too, as a server must that others meet.
    """
    for _ in range(9):  # another process may take the port of its bus meanwhile
        # At 500 rounds a second a wait of 0.001 s ends soon.
        config: dict[str, str | int] = {"cluster-enabled": "yes", "cluster-port": _free_port(), "hz": 500}
        if tcp:
            config["cluster-announce-ip"] = "127.0.0.1"
        server = PrivateServer(config, tcp=tcp, executable=executable)
        try:
            return server.wait(LONG)
        except ServerError as error:
            server.stop()
            if "in use" not in str(error):
                raise
    raise AssertionError("no port was free")


@contextmanager
def redis_cluster(count: int) -> Iterator[list[PrivateServer]]:
    """Run a Redis Cluster of so many primaries, each with an equal range of the slots."""
    with ExitStack() as stack:
        servers = [started(tcp=True) for _ in range(count)]
        for server in servers:
            stack.callback(server.stop)
        nodes: list[Any] = [stack.enter_context(redis.Redis(port=server.port)) for server in servers]
        ends = [SLOTS * number // count for number in range(count + 1)]
        for number, node in enumerate(nodes):
            node.execute_command("CLUSTER ADDSLOTSRANGE", ends[number], ends[number + 1] - 1)
            bus = node.config_get("cluster-port")["cluster-port"]
            nodes[0].execute_command("CLUSTER MEET", "127.0.0.1", servers[number].port, bus)
        for node in nodes:
            until(lambda node=node: _is_whole(node, count))  # type: ignore[misc]
        yield servers


def _is_whole(node: Any, count: int) -> bool:
    """Tell whether a node knows all others and the host of each slot."""
    about = node.execute_command("CLUSTER INFO")
    return bool(about["cluster_state"] == "ok" and int(about["cluster_size"]) == count)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
