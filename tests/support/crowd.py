"""A memcached at its limit of connections."""

from __future__ import annotations

import socket
from typing import Self

from address import Listening, address_of, ask
from waiting import LONG, until

__all__ = ["FEW", "Crowd"]

#: Options of a memcached that takes few connections.
FEW = ["-c", "64", "-t", "1"]


class Crowd:
    """Connections to a memcached, as many as it takes: it turns the next one away.

    Parameters:
        server: The server, which was started with the options ``FEW``.
    """

    def __init__(self, server: Listening) -> None:
        self._server = server
        self._sockets: list[socket.socket] = []
        while self._enters():
            assert len(self._sockets) < 1000, "the server takes any number of connections"

    def _enters(self) -> bool:
        address = address_of(self._server)
        client = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        client.settimeout(LONG)
        client.connect(address)
        self._sockets.append(client)
        try:
            client.sendall(b"version\r\n")
        except OSError:
            return False
        return client.recv(100).startswith(b"VERSION")

    def leave(self) -> None:
        """Close the connections, and wait until the server takes others."""
        while self._sockets:
            self._sockets.pop().close()
        until(self._answers)

    def _answers(self) -> bool:
        try:
            return ask(self._server, b"version\r\n", b"\r\n").startswith(b"VERSION")
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()
