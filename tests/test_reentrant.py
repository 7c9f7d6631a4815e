"""Signal handlers and finalizers may use a cluster in the middle of a call of the same thread; and a program may fork there."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from given import MemcachedServers, RedisServers
from waiting import LONG


def program(name: str, *arguments: str) -> str:
    """Run a program of ``tests/support``; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", name, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LONG + 40,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["redis", "memcache"])
def stack(
    request: pytest.FixtureRequest, redis_servers: RedisServers, memcached_servers: MemcachedServers
) -> tuple[str, list[str]]:
    """An engine, and the sockets of two servers."""
    servers: list[Any] = (redis_servers if request.param == "redis" else memcached_servers)(2)
    return request.param, [server.path for server in servers]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no signals of this kind here")
@pytest.mark.parametrize("deadline", ["0", "30"])
def test_handlers_and_finalizers_may_call_while_a_call_is_under_way(
    stack: tuple[str, list[str]], deadline: str
) -> None:
    engine, paths = stack
    calls = [int(count) for count in program("reentrant", engine, deadline, *paths).split()]
    assert len(calls) == 4
    assert all(calls)


@pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="nobody can tell how many files are open")
def test_a_program_without_files_learns_how_its_commands_ended(stack: tuple[str, list[str]]) -> None:
    engine, paths = stack
    connected, other, failures = program("wanting", engine, *paths).splitlines()
    assert connected == "['value']"
    assert other == "['not sent']"
    assert failures == "[0, 0]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("deadline", ["0", "30"])
@pytest.mark.parametrize("side", ["blocking", "asyncio"])
def test_a_program_may_fork_at_any_step_of_a_connect(
    stack: tuple[str, list[str]], side: str, deadline: str
) -> None:
    engine, paths = stack
    assert int(program("forking", engine, side, deadline, *paths)) > 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize(
    ("engine", "side"), [("store", "blocking"), ("embedded", "blocking"), ("embedded", "asyncio")]
)
def test_a_program_may_fork_at_any_step_of_the_first_call(engine: str, side: str) -> None:
    assert int(program("forking", engine, side, "30")) > 3
