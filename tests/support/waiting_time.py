"""Hosts that are waited for another time than the settings say, for the part of a test that is about waiting in vain.

A short ``timeout`` in the settings holds for all of a test: on a busy machine the steps before and after would run into it.
So the settings say a generous one, and this shortens it for one block, on the connections that are open by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from driven import Driven
from nydus_core.aio import Line
from sharing import lines_of

__all__ = ["in_loop_of", "open_connections", "timeout_of"]

T = TypeVar("T")


@contextmanager
def timeout_of(cluster: Any, seconds: float, *hosts: Any) -> Iterator[None]:
    """In this block, wait so many seconds for the answers of hosts.

    A connection that is opened in the block waits as the settings say, but for those of Redis with asyncio.

    Parameters:
        cluster: A cluster of Redis or memcached, blocking, asynchronous or ``Driven``. With asyncio the block has to be
            in the event loop.
        seconds: How long.
        hosts: The hosts; all of them by default.
    """
    engines = [cluster[host] for host in hosts or cluster]
    changes = in_loop_of(cluster, lambda: [each for engine in engines for each in _changed(engine, seconds)])
    try:
        yield
    finally:
        for changed, name, value in changes:
            setattr(changed, name, value)
            _tell_socket(changed, value)


def in_loop_of(cluster: Any, job: Callable[[], T]) -> T:
    """Do something in the event loop of a ``Driven`` cluster, which belongs to another thread; with others, here."""

    async def awaited() -> T:
        return job()

    return cluster._in_loop(awaited()) if isinstance(cluster, Driven) else job()


def _changed(engine: Any, seconds: float) -> Iterator[tuple[Any, str, Any]]:
    """Change the time of an engine and of its connections; yield what to undo."""
    name = "timeout"
    yield engine, name, engine.timeout
    engine.timeout = seconds
    for connection in open_connections(engine):
        if isinstance(connection, Line):
            patience = connection.patience
            yield patience, "seconds", patience.seconds
            patience.seconds = seconds
            patience.end()  # its timer was set by the time before
            if connection.waiting:
                patience.begin(connection.transport)
            continue
        name = "socket_timeout" if hasattr(connection, "socket_timeout") else "_timeout"
        yield connection, name, getattr(connection, name)
        setattr(connection, name, seconds)
        _tell_socket(connection, seconds)


def open_connections(engine: Any) -> list[Any]:
    """Return the open connections of an engine that all tasks of the running event loop share, or that are not in use."""
    pool = engine.pool
    found = getattr(pool, "_available_connections", None)  # redis-py's
    if found is None:
        found = pool._idle
    return [*found, *lines_of(engine)]


def _tell_socket(connection: Any, seconds: float | None) -> None:
    parser = getattr(
        connection, "_parser", None
    )  # redis-py's, which sets the time of the socket again and again
    for each, name in ((parser, "_socket_timeout"), (getattr(parser, "_buffer", None), "socket_timeout")):
        if hasattr(each, name):
            setattr(each, name, seconds)
    sock = getattr(connection, "_sock", None)
    if sock is not None and sock.fileno() >= 0 and sock.gettimeout() != 0:  # 0: it never waits by itself
        sock.settimeout(seconds)
