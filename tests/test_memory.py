"""How much memory a ``map()`` takes, beside redis-py's pipeline: in a process of its own, by Python's own count of what is held."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from redis.utils import HIREDIS_AVAILABLE

from nydus_redis.embedded.server import PrivateServer

Servers = Callable[..., list[PrivateServer]]

#: Prints the bytes a command: while all are queued, and at the most while they are sent and answered.
MEASURED = """
import gc, json, sys, tracemalloc
import redis
from nydus.db import create_cluster

paths, call, count = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
keys = [f"key:{number}" for number in range(count)]
queue = eval(f"lambda conn, key: {call}")
hosts = [f"unix://{path}" for path in paths]


def measured(block, end):
    with block as conn:
        gc.collect()
        tracemalloc.start()
        for key in keys:
            queue(conn, key)
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        end(conn)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return held / count, most / count


with create_cluster({"engine": "redis", "router": "slots", "hosts": hosts}) as cluster:
    with redis.Redis(unix_socket_path=paths[0]) as plain:
        for _ in range(2):  # the first time connects, and imports
            ours = measured(cluster.map(), lambda conn: None)
            theirs = measured(plain.pipeline(transaction=False), lambda conn: conn.execute())
print(json.dumps([ours, theirs]))
"""


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis calls are queued as whole commands")
@pytest.mark.parametrize(
    "call",
    ["conn.get(key)", "conn.set(key, 'value')", "conn.incr(key)", "conn.hset(key + 'h', 'field', 1)"],
)
def test_a_map_holds_no_more_than_a_pipeline(call: str, redis_servers: Servers) -> None:
    paths = [server.path for server in redis_servers(3)]
    program = [sys.executable, "-c", MEASURED, json.dumps(paths), call, "10000"]
    (held, most), (of_pipeline, at_most) = json.loads(subprocess.check_output(program, text=True))
    assert held <= 1.2 * of_pipeline
    assert most <= 1.3 * at_most
