"""Sending over blocking connections: the time limit is for each piece that a host takes, not for a whole request.

``sendall`` of a socket, with which redis-py sends, has one time limit for all bytes. Sixty megabytes over thirty megabytes
a second would miss a limit of one second, though the host is well.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from typing import Any

from nydus_core.sockets import LARGE, await_taken

__all__ = ["piecemeal", "socket_of", "write"]

#: Bytes to hand over at once where ``send`` returns only when all is sent: a record of TLS.
_RECORD = 16384


def write(connection: Any, packed: bytes) -> None:
    """Send a request.

    Raises:
        redis.TimeoutError: The host took no byte for the time of the connection's ``socket_timeout``.
        redis.ConnectionError: The connection is broken.
    """
    connection.send_packed_command(
        [packed] if len(packed) <= LARGE else piecemeal(connection, [packed]), check_health=False
    )


def piecemeal(connection: Any, items: Iterable[Any]) -> Iterator[Any]:
    """Send large items of a request by themselves, and yield the others for redis-py to send.

    redis-py takes the errors that are raised here for errors of its own sending. At the end of a large request this waits
    until the host has taken all of it, or answers: only then the time for the answer begins.

    Parameters:
        connection: The connection.
        items: The request, in pieces.

    Yields:
        The items that ``sendall`` takes.

    Raises:
        OSError: The connection is broken, or the host took nothing for too long (``TimeoutError``).
    """
    total = 0
    for item in items:
        total += len(item)
        if len(item) <= LARGE:
            yield item
        else:
            yield from _pieces(socket_of(connection), memoryview(item))
    if total > LARGE:
        sock = socket_of(connection)
        seconds = None if sock is None else sock.gettimeout()
        if seconds:
            await_taken(sock, seconds, connection.can_read)


def _pieces(sock: Any, left: memoryview) -> Iterator[memoryview]:
    if sock is None:  # not shown by redis-py
        for start in range(0, len(left), _RECORD):
            yield left[start : start + _RECORD]
        return
    most = _RECORD if isinstance(sock, ssl.SSLSocket) else None
    while left:
        left = left[sock.send(left[:most]) :]


def socket_of(connection: Any) -> Any:
    """Return the socket of a connection; None if the connection is closed, or if redis-py does not show the socket."""
    return getattr(connection, "_sock", None)
