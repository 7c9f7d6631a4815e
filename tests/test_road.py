"""The road of a command through the core: how many modules it passes, and how often it comes back to one.

A call that wanders between modules is hard to follow, whatever each of them says. The bounds are the road as it was built;
who makes it longer has to say why.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import nydus_core
from nydus_core import create_cluster, hookimpl, plugins

ROOM = Path(nydus_core.__file__).parent


class Listener:
    """Makes a command take the planned road."""

    @hookimpl
    def nydus_command_done(self) -> None: ...


@contextmanager
def listening() -> Iterator[None]:
    listener = Listener()
    plugins.register(listener)
    try:
        yield
    finally:
        plugins.unregister(listener)


def road(call: Callable[[], Any]) -> list[str]:
    """The modules of the core that a call enters, in order: one stay for calls in a row of the same module."""
    call()  # connects
    entered: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        file = Path(frame.f_code.co_filename)
        if event == "call" and file.is_relative_to(ROOM):
            entered.append(file.relative_to(ROOM).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return [module for module, _ in groupby(entered)]


@pytest.mark.parametrize(
    ("planned", "stays", "returns"),
    [
        pytest.param(False, 10, 1, id="direct"),
        pytest.param(True, 51, 31, id="planned"),  # a dozen are the pool of connections, which is our own
    ],
)
def test_an_incr_does_not_wander(planned: bool, stays: int, returns: int, redis_servers: Any) -> None:
    hosts = [{"unix_socket_path": server.path} for server in redis_servers(3)]
    with create_cluster({"engine": "redis", "router": "rendezvous", "hosts": hosts}) as cluster:
        if planned:
            with listening():
                passed = road(lambda: cluster.incr("foo"))
        else:
            passed = road(lambda: cluster.incr("foo"))
    assert "cluster/blocking.py" in passed
    assert ("delivery/calls.py" in passed) is planned
    assert len(passed) <= stays
    assert len(passed) - len(set(passed)) <= returns
