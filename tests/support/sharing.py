"""Both ways of asyncio to use connections: one that all tasks share, or one for each command that is under way."""

from __future__ import annotations

from typing import Any

import pytest

from nydus_core.aio import PerLoop

__all__ = ["both_ways", "lines_of", "open_of", "warm_up"]

#: Runs a test with the option ``batching`` as it is by default, and without.
both_ways = pytest.mark.parametrize("batching", [True, False], ids=["shared", "own"])


def lines_of(engine: Any) -> list[Any]:
    """The open connections of an engine of asyncio that all tasks of the running event loop share."""
    own = getattr(engine, "_own", None)
    shared = getattr(own.get(), "shared", ()) if isinstance(own, PerLoop) else ()
    return [each._line for each in shared if each._line is not None]


def open_of(engine: Any) -> list[Any]:
    """The open connections of an engine of asyncio in the running event loop: the shared ones, and those that are idle."""
    return [*lines_of(engine), *engine.pool._idle]


async def warm_up(cluster: Any, way: str, host: Any = 0) -> None:
    """Have a connection open that commands of some way will use.

    Parameters:
        cluster: A cluster of Redis.
        way: ``single``, ``map``, ``transaction`` or ``pipeline``; the last two have connections of their own.
        host: The host, for ``pipeline``; the others use all hosts.
    """
    if way == "pipeline":
        await cluster.on(host).pipeline().get("k").execute()
    elif way == "transaction":
        async with cluster.map(transaction=True) as conn:
            conn.get("k")
    else:
        await cluster.ping()
