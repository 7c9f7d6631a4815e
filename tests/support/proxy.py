"""A proxy in front of a real server, that makes a network misbehave: slow, cut, silent or gone.

It runs an event loop in a thread of its own. Every connection is served independently, so delays of different
connections overlap, as they do on a network.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from address import Address, Listening, address_of
from nydus_redis.supervised import private_directory

T = TypeVar("T")

_CHUNK = 65536


class Proxy:
    """Forwards connections to ``target``, and misbehaves on request. Listens once it is made.

    Its attributes may be set at any time, and hold from the next chunk, or for ``target`` the next
    connection, on. A chunk is what one read from a socket yields: a small request or reply, or a whole
    pipeline of them.

    Parameters:
        target: The server: an object with ``path`` and ``port``, the path of a unix socket, or host and port.
        tcp: Listen on a free port of 127.0.0.1 instead of a unix socket.
        delay: How long every chunk of replies is held back, in seconds.

    Attributes:
        swallow: Whether replies are dropped: the server has done its work, and nobody is told.
        connections: How many connections were accepted so far.
        requests: The chunks that were forwarded to the server so far, over all connections.
    """

    def __init__(self, target: Listening | Address, *, tcp: bool = False, delay: float = 0.0) -> None:
        self.target = address_of(target)
        self.delay = delay
        self.swallow = False
        self.connections = 0
        self.requests: list[bytes] = []
        self.path = ""
        self.port = 0
        self._tcp = tcp
        self._cuts: list[int] = []
        self._open: set[asyncio.Task[None]] = set()
        self._listener: socket.socket | None = None
        self._directory = None if tcp else private_directory("proxy.sock")
        if self._directory:
            self.path = str(self._directory / "proxy.sock")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        try:
            self._run(self._listen())
        except BaseException:
            self.close()
            raise

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._open)

    def cut(self, after: int = 0, times: int = 1) -> None:
        """Cut a connection in the middle of a reply: the work is done, and the client does not hear it all.

        Parameters:
            after: How many more bytes of replies pass, over all connections; with 0, the next is not heard.
            times: How many connections are cut so, one after another, before all is well again.
        """
        self._cuts += [after] * times

    def drop(self) -> None:
        """Cut all connections that are open now. New ones are accepted."""
        self._run(self._drop())

    def down(self) -> None:
        """Cut all connections, and refuse new ones until ``up()``."""
        self._run(self._shut())

    def up(self) -> None:
        """Listen again, at the same address."""
        self._run(self._listen())

    def close(self) -> None:
        """Cut all connections and end the thread. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self._run(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path or f'127.0.0.1:{self.port}'} to {self.target}>"

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10.0)

    async def _listen(self) -> None:
        if self._tcp:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=1024)
            self.port = self._listener.getsockname()[1]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.path)
            self._listener.listen(1024)
        self._listener.setblocking(False)
        self._loop.add_reader(self._listener, self._accept)

    async def _shut(self) -> None:
        if self._listener:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        if self.path:
            Path(self.path).unlink(missing_ok=True)
        await self._drop()

    async def _drop(self) -> None:
        while self._accept():  # the kernel may have some that we have not seen yet
            pass
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await asyncio.sleep(0)  # transports are closed by a callback of the next turn

    def _accept(self) -> bool:
        # Not asyncio's server: it forgets connections that it accepts while it is being closed.
        if not self._listener:
            return False
        try:
            client, _ = self._listener.accept()
        except OSError:
            return False
        client.setblocking(False)
        self.connections += 1
        task = self._loop.create_task(self._serve(client))
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        task.add_done_callback(lambda _: client.close())  # also if it was cancelled before it began
        return True

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=client)
        try:
            upstream, to_server = await self._connect()
            try:
                await _first(self._requests(reader, to_server), self._replies(upstream, writer))
            finally:
                to_server.transport.abort()
            writer.close()  # sends first what it still has
            await writer.wait_closed()
        except OSError:
            pass  # the server is not there, or the client has gone
        finally:
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.target, str):
            return await asyncio.open_unix_connection(self.target)
        return await asyncio.open_connection(*self.target)

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            self.requests.append(chunk)
            writer.write(chunk)
            await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(_CHUNK):
            if self.delay:
                await asyncio.sleep(self.delay)
            if self.swallow:
                continue
            if self._cuts:
                if self._cuts[0] <= len(chunk):
                    writer.write(chunk[: self._cuts.pop(0)])
                    return
                self._cuts[0] -= len(chunk)
            writer.write(chunk)
            await writer.drain()


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Run until one of them ends, and end the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
