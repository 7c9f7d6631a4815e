"""The streams under the connections of ``redis.asyncio``: writing without redis-py's detours, and closing at once.

redis-py keeps its streams under private names. Where a version has no such names, the functions here use public calls, which
do the same more slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from nydus_core.sockets import LARGE

__all__ = ["abort", "async_write", "do_later", "interrupt", "post", "shows_its_state", "writer_of"]


class Watch(Protocol):
    """Is told how much of a request was written. See ``Limit``."""

    def wrote(self, size: int) -> None:
        """Take note of so many bytes."""
        ...


async def async_write(connection: Any, packed: bytes, limit: Watch) -> None:
    """Send a request. Wait only if it is a large one, until the socket has taken most of it.

    Parameters:
        connection: redis-py's connection.
        packed: The bytes.
        limit: The time limit of the answer, which a host that takes more and more has longer.
    """
    try:
        writer = connection._writer
    except AttributeError:
        await connection.send_packed_command([packed], check_health=False)
        return
    writer.write(packed)
    if len(packed) > LARGE:
        limit.wrote(len(packed))
        await writer.drain()


def writer_of(connection: Any) -> Any:
    """Return the stream to write to; None if there is none, or if redis-py does not show it."""
    return getattr(connection, "_writer", None)


def post(connection: Any, *words: Any) -> None:
    """Send a command without waiting for anything."""
    packed = b"".join(connection.pack_command(*words))
    try:
        writer = connection._writer
    except AttributeError:
        do_later(connection.send_packed_command([packed], check_health=False))
    else:
        writer.write(packed)


def interrupt(connection: Any) -> None:
    """End all that is under way on a connection. For a task that reads from it the server has closed the connection."""
    try:
        writer = connection._writer
    except AttributeError:
        do_later(connection.disconnect(nowait=True))
        return
    if writer is not None:
        writer.transport.abort()


def abort(connection: Any) -> None:
    """Close a connection at once. All that is under way on it ends as if the server had closed it.

    Raises:
        RuntimeError: The event loop of the connection is closed.
    """
    try:
        parser, writer = connection._parser, connection._writer
    except AttributeError:
        do_later(connection.disconnect(nowait=True))
        return
    parser.on_disconnect()
    connection._writer = connection._reader = None
    if writer is not None:
        writer.transport.abort()


def shows_its_state(connection: Any) -> bool:
    """Tell whether an open connection shows, under redis-py's private names, which bytes nobody has read yet."""
    try:
        stream, parser, _ = connection._reader, connection._parser, connection._writer.transport
    except AttributeError:
        return False
    return hasattr(stream, "_buffer") and (hasattr(parser, "_reader") or hasattr(parser, "_buffer"))


#: The tasks that close connections or write to them: an event loop alone would not keep them.
_tasks: set[asyncio.Task[Any]] = set()


def do_later(job: Coroutine[Any, Any, Any]) -> None:
    """Have a task do something that nobody waits for. Its errors are dropped."""
    try:
        task = asyncio.get_running_loop().create_task(job)
    except RuntimeError:
        job.close()
        raise
    _tasks.add(task)
    task.add_done_callback(_forget)


def _forget(task: asyncio.Task[Any]) -> None:
    """Drop the error of a task: the reader of the connection learns of the loss anyway."""
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()
