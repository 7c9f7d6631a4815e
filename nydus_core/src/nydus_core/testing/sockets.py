"""Sockets on an event loop, without a buffer of their own: sent bytes are the kernel's, all others are ours.

asyncio's streams buffer in both directions, so nobody can say which bytes were sent when a connection is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import Any, TypeAlias

__all__ = [
    "Address",
    "Endpoints",
    "close",
    "connected",
    "endpoints_of",
    "received",
    "shut",
    "without_delay",
    "writable",
]

#: The path of a unix socket, or host and port.
Address: TypeAlias = str | tuple[str, int]

#: The addresses that a server may have, each with the family of its socket. They are tried in turn.
Endpoints: TypeAlias = list[tuple[int, Any]]

_CHUNK = 65536
_PAUSE = 0.005  # seconds


def endpoints_of(address: Address) -> Endpoints:
    """Look an address up.

    Returns:
        The addresses to try in turn.

    Raises:
        OSError: There is no such host.
    """
    if isinstance(address, str):
        return [(socket.AF_UNIX, address)]
    found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
    return [(family, there) for family, _, _, _, there in found]


async def connected(endpoints: Endpoints) -> socket.socket | None:
    """Connect to the first address that takes a connection; return None if none does."""
    for family, address in endpoints:
        server = without_delay(socket.socket(family))
        try:
            await _connect(server, address)
        except OSError:
            server.close()
        except BaseException:
            server.close()
            raise
        else:
            return server
    return None


async def received(source: socket.socket) -> bytes:
    """Return the next chunk; no bytes at the end of a connection, whatever ended it."""
    while True:
        await _readable(source)  # first, so that a fast sender does not keep the loop from all else
        try:
            return source.recv(_CHUNK)
        except BlockingIOError:
            continue
        except OSError:
            return b""


async def writable(sink: socket.socket) -> None:
    """Wait until the kernel takes more bytes, or will not take any more."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(sink, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_writer(sink)


def without_delay(each: socket.socket) -> socket.socket:
    """Have a socket neither block nor wait for more bytes to send."""
    each.setblocking(False)
    if each.family != socket.AF_UNIX:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return each


def shut(sink: socket.socket) -> None:
    """Tell the other end that nothing more is to come: FIN."""
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


def close(each: socket.socket, *, reset: bool = False) -> None:
    """Close a socket for good: also if a fork has a copy, and by FIN also if bytes came that nobody read.

    Parameters:
        each: A socket that does not block.
        reset: Close a TCP connection by RST instead.
    """
    with contextlib.suppress(OSError):
        if reset:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            _drain(each)
            each.shutdown(socket.SHUT_RDWR)
    each.close()


def _drain(each: socket.socket) -> None:
    """Read the bytes that have come: else the kernel would answer them by RST."""
    with contextlib.suppress(OSError):
        for _ in range(100):  # more than a kernel holds, so there is an end
            if not each.recv(_CHUNK * 16):
                return


async def _connect(server: socket.socket, address: Any) -> None:
    while True:
        try:
            server.connect(address)
        except BlockingIOError:
            if server.family != socket.AF_UNIX:
                break
            await asyncio.sleep(_PAUSE)  # a unix socket whose queue is full does not say when there is room
        else:
            return
    await writable(server)
    if number := server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(number, os.strerror(number))


async def _readable(source: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(source, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(source)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)
