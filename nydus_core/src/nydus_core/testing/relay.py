"""The connections of a fault proxy: bytes from one end are forwarded to the other, as far as the faults let them.

Everything runs on one event loop. Between the look at the faults and the system call that forwards bytes
there is no ``await``, and nothing is buffered behind that call. So from the moment when a fault is set, bytes
that it forbids are not forwarded, and forwarded bytes have left the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterable
from functools import partial

from nydus_core.testing.faults import Cuts, Faults
from nydus_core.testing.listener import Listener
from nydus_core.testing.sockets import Endpoints, close, connected, received, shut, writable

__all__ = ["Relay"]

_GRACE = 5.0  # seconds for a server to close a connection whose client is gone


class _Link:
    """A connection of a client, with its connection to the server."""

    def __init__(self, client: socket.socket, endpoints: Endpoints) -> None:
        self.client = client
        self.endpoints = endpoints
        self.server: socket.socket | None = None
        self.reset = False  # whether to close the client's connection by RST


class Relay:
    """Takes connections from a listener and serves each. All methods are called on the loop of the relay.

    Parameters:
        listener: The source of connections.
        endpoints: See the attribute.
        faults: See the attribute.

    Attributes:
        endpoints: The server for connections that are taken from now on.
        faults: The faults that bytes meet. After a change, ``changed()`` is to be called.
        connections: The number of connections that were taken so far.
        requests: The bytes that were forwarded to servers so far, by chunks.
        used_in_vain: The forgotten connections on which something was sent since.
    """

    def __init__(self, listener: Listener, endpoints: Endpoints, faults: Faults) -> None:
        self.faults = faults
        self.endpoints = endpoints
        self.connections = 0
        self.requests: list[bytes] = []
        self.used_in_vain: set[_Link] = set()
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._change = asyncio.Event()
        self._open: dict[_Link, asyncio.Task[None]] = {}
        self._finishing: set[asyncio.Task[None]] = set()

    @property
    def open_connections(self) -> int:
        """The number of connections that are open now."""
        return len(self._open)

    def changed(self) -> None:
        """Have all held bytes looked at anew, after a change of the faults."""
        self._change.set()
        self._change = asyncio.Event()

    def listen(self) -> None:
        """Take connections."""
        if not self._listener.is_open:
            self._listener.open()
            self._loop.add_reader(self._listener.accepting, self.take_all)

    def take_all(self) -> None:
        """Take all connections that wait, which are all whose connects have returned by now."""
        while client := self._listener.take():
            self.connections += 1
            link = _Link(client, self.endpoints)
            task = self._loop.create_task(self._serve(link))
            self._open[link] = task
            task.add_done_callback(partial(self._ended, link))  # also if the task never began

    def forget(self) -> None:
        """Let nothing pass any more on the connections that are open by now."""
        self.take_all()
        self.used_in_vain.clear()
        self.faults.forgotten.update(self._open)

    def hang(self) -> None:
        """Take the connections that wait, and leave connects without an answer from now on."""
        self._stop_listening()
        self._listener.hang()

    async def refuse(self) -> None:
        """Close all connections, and refuse connects from now on."""
        self._stop_listening()
        self._listener.refuse()
        await self.drop()

    async def drop(self, *, reset: bool = False) -> None:
        """Close all connections, also if they wait to be taken; with ``reset``, by RST."""
        self.take_all()
        for link in self._open:
            link.reset = reset
        await _end(self._open.values())

    async def close(self) -> None:
        """Close all connections, give up the address, and end every task."""
        self._stop_listening()
        await self.drop()
        self._listener.close()
        await _end(self._finishing)

    def _stop_listening(self) -> None:
        self.take_all()
        if self._listener.is_open:
            self._loop.remove_reader(self._listener.accepting)

    def _ended(self, link: _Link, _: asyncio.Task[None]) -> None:
        del self._open[link]
        close(link.client, reset=link.reset)
        if link.server:
            task = self._loop.create_task(self._finish(link.server))
            self._finishing.add(task)
            task.add_done_callback(partial(self._finished, link.server))

    def _finished(self, server: socket.socket, task: asyncio.Task[None]) -> None:
        self._finishing.discard(task)
        close(server)

    async def _finish(self, server: socket.socket) -> None:
        """Let a server read all forwarded bytes, then the end of the connection: an RST might overtake bytes."""
        shut(server)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE):
                while await received(server):
                    pass

    async def _serve(self, link: _Link) -> None:
        await self._passable(link)
        link.server = await connected(link.endpoints)
        if not link.server:
            return
        ways = [self._loop.create_task(way) for way in (self._to_server(link), self._to_client(link))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _end(ways)

    async def _to_server(self, link: _Link) -> None:
        """Forward requests, and their end; return if the connection is to be cut."""
        assert link.server
        with contextlib.suppress(OSError):  # the server is gone, so the replies end too
            while chunk := await received(link.client):
                if not await self._forward_request(link, link.server, chunk):
                    return
            await self._passable(link)
        shut(link.server)
        await self._loop.create_future()  # for ever: the server has to close the connection now

    async def _forward_request(self, link: _Link, server: socket.socket, chunk: bytes) -> bool:
        """Forward a chunk; return False if the connection is to be cut here."""
        if link in self.faults.forgotten:
            self.used_in_vain.add(link)
        while chunk:
            await self._throttled(chunk)
            await self._passable(link)
            count = _send(server, chunk[: self.faults.piece], self.faults.request_cuts, link)
            if count:
                self.requests.append(chunk[:count])
            if self.faults.request_cuts.due(link):
                return False
            if not count:
                await writable(server)
            chunk = chunk[count:]
        return True

    async def _to_client(self, link: _Link) -> None:
        """Forward replies; return at their end, or if the connection is to be cut."""
        assert link.server
        while chunk := await received(link.server):
            await self._held(lambda: self.faults.delay)
            await self._passable(link)
            if self.faults.swallow:
                continue
            if not await self._forward_reply(link, self.faults.garbled(chunk)):
                return
        await self._passable(link)

    async def _forward_reply(self, link: _Link, chunk: bytes) -> bool:
        """Forward a chunk; return False if the connection is to be cut here."""
        while chunk:
            await self._held(lambda: self.faults.trickle)
            await self._throttled(chunk)
            await self._passable(link)
            if self.faults.swallow:
                break
            count = self._reply(link, chunk)
            if self.faults.reply_cuts.due(link):
                return False
            if not count:
                await writable(link.client)
            chunk = chunk[count:]
        return True

    def _reply(self, link: _Link, chunk: bytes) -> int:
        piece = chunk[:1] if self.faults.trickle else chunk[: self.faults.piece]
        try:
            return _send(link.client, piece, self.faults.reply_cuts, link)
        except OSError:
            return len(chunk)  # nobody hears the reply, and the requests have still to reach the server

    async def _passable(self, link: _Link) -> None:
        while self.faults.blackhole or link in self.faults.forgotten:
            await self._change.wait()

    async def _throttled(self, chunk: bytes) -> None:
        await self._held(lambda: self.faults.pause_before(len(chunk[: self.faults.piece])))

    async def _held(self, seconds: Callable[[], float]) -> None:
        """Wait for so many seconds, which may change while this waits."""
        start = self._loop.time()
        while (left := start + seconds() - self._loop.time()) > 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._change.wait()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    ending = list(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)


def _send(sink: socket.socket, chunk: bytes, cuts: Cuts, link: _Link) -> int:
    """Forward as many bytes as may pass and the kernel takes; return their number.

    Raises:
        OSError: The other end is gone.
    """
    allowed = cuts.allowed(link, len(chunk))
    if not allowed:
        return 0
    try:
        count = sink.send(chunk[:allowed])
    except BlockingIOError:
        return 0
    cuts.passed(link, count)
    return count
