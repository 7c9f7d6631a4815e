"""Where a test's server listens, and a few bytes to and from it without any client library."""

from __future__ import annotations

import socket

from nydus_core.testing import Address, Listening
from waiting import LONG

__all__ = ["Address", "Listening", "address_of", "ask"]


def address_of(target: Listening | Address, *, tcp: bool = False) -> Address:
    """The address of a server: its port if it has no socket, or if ``tcp`` asks for it."""
    if isinstance(target, (str, tuple)):
        return target
    return ("127.0.0.1", target.port) if tcp or not target.path else target.path


def ask(target: Listening | Address, request: bytes, end: bytes, timeout: float = LONG) -> bytes:
    """Send ``request`` over a connection of its own, and return the answer up to and with ``end``.

    Raises:
        OSError: The server could not be reached, closed the connection, or took longer than ``timeout``
            seconds.
    """
    address = address_of(target)
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(timeout)
        client.connect(address)
        client.sendall(request)
        answer = b""
        while not answer.endswith(end):
            chunk = client.recv(65536)
            if not chunk:
                raise ConnectionResetError(f"{address} closed the connection after {answer!r}")
            answer += chunk
        return answer
