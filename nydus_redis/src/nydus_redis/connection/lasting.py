"""Connections that are held for long, with blocking calls: here redis-py does not connect behind the caller's back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis

from nydus_redis.connection.replies import FAILURES
from nydus_redis.connection.sockets import is_closed

__all__ = ["free_lock", "without_connecting"]

#: The methods with which redis-py connects. Older versions have the first alone.
_CONNECTING = ("connect", "connect_check_health")


@contextmanager
def without_connecting(connection: Any) -> Generator[None]:
    """Have a connection raise instead of connecting anew, for the time of a block. Connecting may take long.

    redis-py connects where it finds a connection closed, and also after an error that it will raise.

    Parameters:
        connection: The connection; None for none.

    Raises:
        redis.ConnectionError: In the block: the connection was lost. Or the error of the loss, if it is being handled.
    """
    if connection is None:
        yield
        return

    def refuse(*_: object, **__: object) -> None:
        if not is_closed(connection):
            return
        loss = sys.exception()
        raise loss if isinstance(loss, FAILURES) else redis.ConnectionError("the connection was lost")

    names = [name for name in _CONNECTING if hasattr(connection, name)]
    for name in names:
        setattr(connection, name, refuse)
    try:
        yield
    finally:
        for name in names:
            vars(connection).pop(name, None)


def free_lock(subscriptions: Any) -> None:
    """Give redis-py's subscriptions a new lock, in a child process: a thread of the parent may have held theirs."""
    if hasattr(subscriptions, "_lock"):
        subscriptions._lock = threading.RLock()
