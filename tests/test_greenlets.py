"""Clusters in programs whose threads and sockets gevent has replaced, before or after they were made; eventlet is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from given import MemcachedServers, RedisServers
from thinned import thinned
from waiting import LONG

pytestmark = [
    pytest.mark.slow_env,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here"),
]

WHEN = ("early", "late", "forked")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(params=["redis", "memcache"])
def run(
    request: pytest.FixtureRequest, redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> Run:
    """Run the program ``greenlets`` on two servers."""
    servers: list[Any] = (redis_servers if request.param == "redis" else memcached_servers)(2)
    paths = [server.path for server in servers]

    def start(kind: str, when: str, deadline: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "greenlets", kind, when, request.param, str(deadline), *paths],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=LONG + 30,
            check=False,
        )

    return start


@pytest.mark.parametrize(
    ("when", "deadline"), thinned([(when, seconds) for when in WHEN for seconds in (30, 0)], 2)
)
def test_greenlets_of_gevent_share_a_cluster(run: Run, when: str, deadline: float) -> None:
    done = run("gevent", when, deadline)
    assert (done.returncode, done.stdout) == (0, "600\n"), done.stderr


@pytest.mark.parametrize("when", WHEN)
def test_eventlet_is_refused_with_the_reason(run: Run, when: str) -> None:
    done = run("eventlet", when, 30)
    assert done.returncode == 1
    assert "Nydus does not work with it" in done.stderr
