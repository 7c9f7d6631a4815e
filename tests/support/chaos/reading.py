"""Traffic in which every answer names its question, for processes that fork and for threads that are interrupted.

Every key holds its own name, so an answer that belongs to another command is seen at once, whatever else went wrong.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from nydus.db import create_cluster
from nydus_core import Cluster

__all__ = ["Crossed", "fill", "make_cluster", "read"]

KEYS = [f"name:{number}" for number in range(60)]


class Crossed(AssertionError):
    """An answer that belongs to another command."""


def make_cluster(engine: str, paths: Sequence[str], **settings: Any) -> Cluster:
    """Build a cluster of servers at unix sockets."""
    hosts = [
        {"unix_socket_path": path, "identifier": f"chaos://{number}"} for number, path in enumerate(paths)
    ]
    return create_cluster({"engine": engine, "router": "consistent", "hosts": hosts, **settings})


def fill(cluster: Cluster) -> None:
    """Have every key hold its name."""
    for key in KEYS:
        cluster.set(key, f"this is {key}")


def read(cluster: Cluster, engine: str, own: str, dice: random.Random) -> None:
    """Do one call, and look at the answer.

    Parameters:
        cluster: The cluster.
        engine: The name of its engine.
        own: A key that nobody else writes to; it grows by appending.
        dice: Decides which call it is.

    Raises:
        Crossed: The answer belongs to another one.
    """
    keys = dice.sample(KEYS, 4)
    kind = dice.choice(("get", "get", "many", "map", "write", "everyone"))
    if kind == "get":
        _check(keys[:1], [cluster.get(keys[0])])
    elif kind == "many":
        found = cluster.mget(keys) if engine == "redis" else cluster.get_many(keys)
        _check(keys, [found[key] for key in keys] if isinstance(found, dict) else found)
    elif kind == "map":
        with cluster.map() as conn:
            promises = [conn.get(key) for key in keys]
            conn.append(own, "x")
        _check(keys, [promise.value for promise in promises])
    elif kind == "write":
        answer = cluster.append(own, "x")
        if type(answer) is not (int if engine == "redis" else bool):
            raise Crossed(f"append to {own} was answered {answer!r}")
    else:
        answers = cluster.echo(own) if engine == "redis" else [answer[:2] for answer in cluster.version()]
        expected = own.encode() if engine == "redis" else b"1."
        if answers != [expected] * len(cluster):
            raise Crossed(f"all hosts were asked, and answered {answers!r}")


def _check(keys: Sequence[str], values: Sequence[Any]) -> None:
    for key, value in zip(keys, values, strict=True):
        if value not in (f"this is {key}", f"this is {key}".encode()):
            raise Crossed(f"{key} was answered {value!r}")
