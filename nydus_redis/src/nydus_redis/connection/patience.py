"""Connections that nobody waits for too long: that do not connect where it may not be waited for, and can be shut.

redis-py's pool hands out connections that are connected, and connects those that are not, or that the server has closed.
A thread that sends to many hosts, or has a deadline, must know beforehand whether that will take time.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis

__all__ = ["no_connecting", "patient", "shut"]

_thread = threading.local()


@contextmanager
def no_connecting() -> Generator[None]:
    """In this block and thread, connections of a ``patient`` class raise ``redis.ConnectionError`` instead of connecting."""
    _thread.waits = False
    try:
        yield
    finally:
        _thread.waits = True


class _Patient:
    """Mixed into redis-py's classes of connections."""

    _sock: Any

    def connect(self) -> None:
        """Connect, if not connected. Asked for each command, and redis-py's own takes long to find out that it is."""
        if self._sock is not None:
            return
        if not getattr(_thread, "waits", True):
            raise redis.ConnectionError("it is not connected")
        super().connect()  # type: ignore[misc]


def patient(connection_class: type[Any]) -> type[Any]:
    """Return a subclass of a class of connections that minds ``no_connecting``."""
    return type(connection_class.__name__, (_Patient, connection_class), {})


def shut(connection: Any) -> None:
    """End what another thread reads from or writes to a connection: it finds the connection closed."""
    sock = connection._sock
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(
                sock, socket.SHUT_RDWR
            )  # that of a TLS socket would take its state from the reader
