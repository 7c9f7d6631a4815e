"""The listener of a fault proxy: an address that takes connections, refuses them, or lets connects hang."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

from nydus_core.testing.sockets import close, without_delay

__all__ = ["HOST", "Listener"]

HOST = "127.0.0.1"

_NAME = "proxy.sock"
_BACKLOG = 1024
_PATIENCE = 0.2  # seconds for a connect to a port of this machine, which takes microseconds


class Listener:
    """An address of our own until ``close()``, whatever happens to connects meanwhile. For use by one thread.

    Parameters:
        tcp: Listen on a free port of 127.0.0.1 instead of a unix socket.

    Attributes:
        path: The path of the unix socket; empty with ``tcp``.
        port: The port with ``tcp``; else 0.
    """

    def __init__(self, *, tcp: bool) -> None:
        self.path = ""
        self.port = 0
        self._directory = None if tcp else _private_directory()
        if self._directory:
            self.path = str(self._directory / _NAME)
        self._fillers: list[socket.socket] = []
        self._socket = self._bound()
        self._is_open = False

    @property
    def is_open(self) -> bool:
        """Whether connects are answered."""
        return self._is_open

    @property
    def accepting(self) -> socket.socket:
        """The socket that takes connections while the listener is open. ``refuse()`` replaces it."""
        return self._socket

    def open(self) -> None:
        """Take connections, also from connects that hang."""
        self._socket.listen(_BACKLOG)
        self._is_open = True

    def take(self) -> socket.socket | None:
        """Accept a connection that waits; return None if none waits, or the listener is not open."""
        while self._is_open:
            try:
                client, address = self._socket.accept()
            except OSError:
                return None
            if not self._is_filler(address):
                return without_delay(client)
            client.close()
        return None

    def refuse(self) -> None:
        """Refuse connects. The address stays taken, so that ``open()`` finds it free."""
        self._is_open = False
        self._drop_fillers()
        close(self._socket)
        self._socket = self._bound()

    def hang(self) -> None:
        """Leave connects without an answer.

        A kernel drops the first packet of a connect while the queue of connections that nobody accepts is
        full. So the queue is made short, and filled.
        """
        self._is_open = False
        self._socket.listen(1)  # 0 means the longest queue on some systems
        while self._fill():
            pass

    def close(self) -> None:
        """Give up the address. Does nothing the second time."""
        self._is_open = False
        self._drop_fillers()
        close(self._socket)
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def _bound(self) -> socket.socket:
        """Return a socket that has the address and does not listen: connects to it are refused."""
        if self.path:
            Path(self.path).unlink(missing_ok=True)
            bound = socket.socket(socket.AF_UNIX)
        else:
            bound = socket.socket(socket.AF_INET)
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setblocking(False)
        try:
            bound.bind(self.path or (HOST, self.port))
        except BaseException:
            bound.close()
            raise
        if not self.path:
            self.port = bound.getsockname()[1]
        return bound

    def _fill(self) -> bool:
        filler = socket.socket(socket.AF_INET)
        filler.settimeout(_PATIENCE)
        try:
            filler.connect((HOST, self.port))
        except TimeoutError:
            filler.close()
            return False
        self._fillers.append(filler)
        return True

    def _is_filler(self, address: object) -> bool:
        for filler in self._fillers:
            if filler.getsockname() == address:
                self._fillers.remove(filler)
                filler.close()
                return True
        return False

    def _drop_fillers(self) -> None:
        while self._fillers:
            self._fillers.pop().close()


def _private_directory() -> Path:
    """Make an empty directory that only this user can read, with a path short enough for a unix socket."""
    most = 103  # bytes on macOS; 107 on Linux
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(os.path.join(usual, "nydus-01234567", _NAME))) <= most
    return Path(tempfile.mkdtemp(prefix="nydus-", dir=usual if fits else "/tmp"))
