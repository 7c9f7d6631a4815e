"""A server that is honest until a test has it say what it likes: the bad server of the fuzz tests.

It stands in front of a real server and relays, byte by byte. Told so, it answers a request with bytes of the test's
own, which the real server never sees, and is honest again afterwards.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from address import Address, Listening, address_of
from nydus_redis.embedded.supervised import private_directory
from waiting import LONG

__all__ = ["ScriptedServer", "within"]

T = TypeVar("T")

#: The bytes, whether to close the connection behind them, and whether the real server does the request.
_Script = tuple[tuple[bytes, ...], bool, bool]


class ScriptedServer:
    """Relays connections to ``target``. Listens once it is made.

    Parameters:
        target: The real server.
        tcp: Listen on a free port of 127.0.0.1 instead of a unix socket.

    Attributes:
        connections: How many connections were accepted so far.
        requests: The chunks that clients sent, over all connections, in order.
    """

    def __init__(self, target: Listening | Address, *, tcp: bool = False) -> None:
        self.target = address_of(target)
        self.connections = 0
        self.requests: list[bytes] = []
        self.path, self.port = "", 0
        self._script: _Script | None = None
        self._skip = 0
        self._played = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._directory = None if tcp else private_directory("scripted.sock")
        if self._directory:
            self.path = str(self._directory / "scripted.sock")
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
            self._listener.listen(64)
        else:
            self._listener = socket.create_server(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def answer(self, *pieces: bytes, close: bool = False, skip: int = 0, done: bool = False) -> None:
        """Answer one request with these bytes, each piece a write of its own, and close the connection if told so.

        Parameters:
            pieces: The bytes.
            close: Whether to close the connection behind them.
            skip: How many requests are answered by the real server first.
            done: Whether the real server does the request nevertheless.
        """
        with self._lock:
            self._played.clear()
            self._script, self._skip = (pieces, close, done), skip

    def played(self, timeout: float = LONG) -> bool:
        """Wait until the bytes of ``answer`` were sent; return whether they were."""
        return self._played.wait(timeout)

    def honest(self) -> None:
        """Forget an ``answer`` that was not asked for."""
        with self._lock:
            self._script = None

    def close(self) -> None:
        """Close all connections, and listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(LONG)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads = [each for each in self._threads if each.is_alive()] + [thread]
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        family = socket.AF_UNIX if isinstance(self.target, str) else socket.AF_INET
        with client, socket.socket(family) as server, contextlib.suppress(OSError):
            server.connect(self.target)
            with self._lock:
                self._open |= {client, server}
            try:
                while self._relay(client, server):
                    pass
            finally:
                with self._lock:
                    self._open -= {client, server}

    def _relay(self, client: socket.socket, server: socket.socket) -> bool:
        """Carry one chunk from one to the other; return whether there may be more."""
        readable, _, _ = select.select([client, server], [], [])
        if client in readable:
            request = client.recv(1 << 20)
            if request:
                self.requests.append(request)
                script = self._due()
                if script is None or script[2]:
                    server.sendall(request)
                if script is not None:
                    if script[2]:
                        server.recv(1 << 20)
                    return self._play(client, *script[:2])
            return bool(request)
        reply = server.recv(1 << 20)
        client.sendall(reply)
        return bool(reply)

    def _due(self) -> _Script | None:
        with self._lock:
            if self._script is None or self._skip:
                self._skip -= self._script is not None
                return None
            script, self._script = self._script, None
            return script

    def _play(self, client: socket.socket, pieces: tuple[bytes, ...], close: bool) -> bool:
        try:
            for piece in pieces:
                client.sendall(piece)
            if close:
                client.shutdown(socket.SHUT_RDWR)
        except OSError:
            return False  # the client had enough of it
        finally:
            self._played.set()
        return not close


def within(seconds: float, job: Callable[[], T]) -> T:
    """Do a job that must not hang.

    Raises:
        AssertionError: It is not done after so many seconds.
    """
    done: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            done.append(job())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), f"it hangs: not done after {seconds} seconds"
    if failed:
        raise failed[0]
    return done[0]
