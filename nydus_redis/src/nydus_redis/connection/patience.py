"""Connections that do not connect while their thread must not wait, and the sockets under them, for blocking calls.

redis-py's pool hands out connections that are connected. It connects a new connection first, and so it does where the server
has closed one. A thread that sends to many hosts, or has a deadline, must know beforehand whether that will take time.

redis-py keeps the socket under a private name. Where a version of redis-py, or a connection class of the user's own, has no
such name, the functions here use public calls only.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis

from nydus_redis.connection.moves import Moves

__all__ = ["allow_connecting", "free_locks", "is_closed", "no_connecting", "patient", "shut", "socket_of"]

_thread = threading.local()


@contextmanager
def no_connecting() -> Generator[None]:
    """Have connections of a ``patient`` class raise ``redis.ConnectionError`` instead of connecting, in this thread."""
    _thread.waits = False
    try:
        yield
    finally:
        _thread.waits = True


def allow_connecting() -> None:
    """End a ``no_connecting`` block of this thread that an interrupt, such as Ctrl-C, has left without its end."""
    _thread.waits = True


class _Patient:
    """Mixed into redis-py's connection classes."""

    _sock: Any
    nydus_moves: Moves
    nydus_count = 0

    def connect(self) -> None:
        """Connect, if the connection is closed, or from before the host became a replica.

        The pool calls this for each command, and redis-py's own method takes long to find out that nothing is to be done.
        """
        try:
            is_open = self._sock is not None
        except AttributeError:  # no private name to look at: only redis-py knows
            is_open = getattr(self, "is_connected", False)
        count = self.nydus_moves.count
        if is_open and self.nydus_count == count:
            return
        if not getattr(_thread, "waits", True):
            raise redis.ConnectionError("it is not connected")
        if is_open:
            self.disconnect()  # type: ignore[attr-defined]
        self.nydus_count = count
        super().connect()  # type: ignore[misc]


def patient(connection_class: type[Any], moves: Moves) -> type[Any]:
    """Return a subclass of a connection class that obeys ``no_connecting``, and connects anew after a move."""
    return type(connection_class.__name__, (_Patient, connection_class), {"nydus_moves": moves})


def socket_of(connection: Any) -> Any:
    """Return the socket of a connection; None if the connection is closed, or if redis-py does not show the socket."""
    return getattr(connection, "_sock", None)


def is_closed(connection: Any) -> bool:
    """Tell whether a connection is known to be closed."""
    try:
        return connection._sock is None
    except AttributeError:
        return not getattr(connection, "is_connected", True)


def free_locks(pool: Any) -> None:
    """Give redis-py's pool new locks, in a child process that has just been forked.

    A thread of the parent may have held a lock at the fork. The child has no such thread, so nobody would ever release it.
    """
    for name in ("_lock", "_fork_lock"):
        if hasattr(pool, name):
            setattr(pool, name, threading.RLock())


def shut(connection: Any) -> None:
    """End all that another thread reads from or writes to a connection: that thread finds the connection closed."""
    try:
        sock = connection._sock
    except AttributeError:
        connection.disconnect()
        return
    if sock is not None:
        with contextlib.suppress(OSError):
            # The method of a TLS socket would take away the state that the other thread still reads with
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
