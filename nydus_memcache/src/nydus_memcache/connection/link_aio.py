"""One connection to a memcached server, with asyncio: bytes out, answers in. A link knows no commands.

Answers are read while a request is still being sent, because a memcached whose answers are not read stops reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any, Protocol

from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_core.pieces import OF_LANE
from nydus_core.sockets import LARGE, LOOKS, not_taken
from nydus_memcache.commands import Source
from nydus_memcache.connection.received_aio import NeedMore, Received
from nydus_memcache.connection.turned_away import turned_away

__all__ = ["AsyncLink", "Reader"]

#: Bytes that are handed over at once. Nobody can tell how many of them the socket has taken, so all count as sent.
_WRITE = 65536
#: Bytes that are received at once. They may hold some hundreds of small values, which are read in a few milliseconds.
_READ = 16384
#: The same in the middle of a large value, which is not read before all of it has come.
_READ_LARGE = 262144
#: Seconds by which an event loop's clock may be early.
_RESOLUTION = 0.001


class Reader(Protocol):
    """Reads the answer to a request: a command, or a run of commands."""

    @property
    def silent(self) -> bool:
        """Whether the server sends no answer."""
        ...

    def read(self, source: Source, /) -> Any:
        """Read the answer. See ``Source`` on answers of which a part has come."""
        ...


class AsyncLink(asyncio.Protocol):
    """A connection, used by one task at a time.

    Parameters:
        timeout: Seconds to wait for the server; None for no limit.

    Attributes:
        sent: How many bytes of the last request may have been sent. The others were not sent.
        rested: When the connection was last used, by the clock of the event loop.
        transport: The transport; None before there is a connection.
    """

    def __init__(self, timeout: float | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = timeout
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._received = Received()
        self._readers: Sequence[Reader] = ()
        self._answers: list[Any] = []
        self._waiter: asyncio.Future[None] | None = None
        self._unsent = memoryview(b"")
        self._go_on: asyncio.Handle | None = None
        self._looks = False  # whether the server may need some time to take the request
        self._taken = 0  # bytes of the request that the server had taken when it was looked at
        self._paused = self._chooses_size = False
        self._gone = self._loop.create_future()
        self.sent = 0
        self.rested = self._loop.time()
        self.transport: Any = None

    @property
    def in_step(self) -> bool:
        """Whether the connection is open with nothing left to send or to read, as far as the event loop has seen."""
        received = self._received
        if self._waiter is not None or self._paused or self._gone.done() or self.transport.is_closing():
            return False
        return received.empty and not received.closed

    def ask(self, request: bytes, readers: Sequence[Reader], answers: list[Any]) -> asyncio.Future[None]:
        """Send a request, and read the answers as they come.

        Parameters:
            request: The bytes.
            readers: The readers of the answers, in order.
            answers: A list to which each answer is appended.

        Returns:
            A future, done when all was sent and all answers are read. Its exception is the error of sending or reading;
            then the connection is closed. A caller that stops waiting has to close the connection.
        """
        self._readers, self._answers = readers, answers
        self._waiter = waiter = self._loop.create_future()
        self._looks = False
        if self._timeout is not None:
            self._until = self._loop.time() + self._timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._until, self._ring)
        if len(request) <= LARGE:
            self.sent = len(request)
            self.transport.write(request)
        else:
            self.sent = 0
            self._unsent = memoryview(request)
            self._push()
            self._watch_writing()
        if readers[0].silent:
            self._read()
        return waiter

    def shut(self) -> None:
        """Close the connection at once, whatever is under way. Bytes that were not sent yet never will be."""
        self._waiter = None
        self._unsent = memoryview(b"")
        if self.transport is not None:
            self.transport.abort()

    async def goodbye(self) -> None:
        """Close the connection, and wait until it is closed."""
        self.transport.close()
        await self._gone

    # Sending --------------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        while self._unsent and not self._paused:
            piece, self._unsent = self._unsent[:_WRITE], self._unsent[_WRITE:]
            self.sent += len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        """Take note that the socket has not taken all bytes yet. asyncio calls this."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on sending: the socket has taken all bytes. asyncio calls this."""
        self._paused = False
        self._renew()
        self._push()
        if self._waiter is not None and not self._paused and self._go_on is None:
            self._read()

    # Reading --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come. asyncio calls this."""
        go_on = self._received.add(data)
        if self._chooses_size:
            self.transport.max_size = _READ if go_on else _READ_LARGE
        if self._waiter is not None:
            self._renew()
            if go_on and self._go_on is None:
                self._read()

    def _read(self) -> None:
        readers, answers, received = self._readers, self._answers, self._received
        most = min(len(readers), len(answers) + OF_LANE)
        try:
            while len(answers) < most:
                answers.append(readers[len(answers)].read(received))
                received.answered()
            if most < len(readers):
                self._go_on = self._loop.call_soon(self._read_on)
                return
        except NeedMore:
            return
        except Exception as error:
            self._fail(error)
            return
        if not (self._paused or self._unsent):
            waiter, self._waiter = self._waiter, None
            self._readers, self._answers = (), []
            self.rested = self._loop.time()
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _read_on(self) -> None:
        """Read further answers, after a turn of other tasks."""
        self._go_on = None
        if self._waiter is not None:
            self._read()

    def _fail(self, error: Exception) -> None:
        waiter = self._waiter
        self.shut()
        if self._received.turned_away:
            error = turned_away()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # How long the server may take -------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if self._timeout is not None:
            self._until = self._loop.time() + self._timeout

    def _watch_writing(self) -> None:
        """See that the server takes more and more of a large request."""
        if self._timeout is not None:
            self._looks, self._taken = True, self._count_taken()
            self._ring_at(min(self._until, self._loop.time() + self._timeout / LOOKS))

    def _count_taken(self) -> int:
        return self.sent - not_taken(self.transport)

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        """Look whether the time is over. One timer serves many requests, because starting a timer costs more."""
        self._timer = None
        if self._waiter is None or self._timeout is None:
            return
        if self._looks:
            before, self._taken = self._taken, self._count_taken()
            if self._taken > before:
                self._renew()
            self._looks = bool(self._unsent) or self._taken < self.sent
        now = self._loop.time()
        if now >= self._until - _RESOLUTION:
            self._fail(TimeoutError(f"no answer within {self._timeout} seconds"))
        else:
            self._ring_at(min(self._until, now + self._timeout / LOOKS) if self._looks else self._until)

    # The connection -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of the new connection. asyncio calls this."""
        self.transport = transport
        # So that asyncio tells when the socket has taken all. TLS needs 1: its transport reads 0 as its own default
        self.transport.set_write_buffer_limits(
            high=0 if transport.get_extra_info("sslcontext") is None else 1
        )
        self._chooses_size = getattr(transport, "max_size", 0) > _READ  # asyncio's own
        if self._chooses_size:
            self.transport.max_size = _READ

    def eof_received(self) -> None:
        """End the connection: the server will say no more. asyncio calls this."""
        self._end(MemcacheUnexpectedCloseError("the server closed the connection"))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits that the connection is closed. asyncio calls this."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._gone.done():
            self._gone.set_result(None)
        if exc is not None and self._waiter is not None:
            self._take_last_words()
        self._end(exc or MemcacheUnexpectedCloseError("the server closed the connection"))

    def _take_last_words(self) -> None:
        """Take the bytes that came before sending failed: asyncio leaves them in the socket. With TLS they say nothing."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or self.transport.get_extra_info("sslcontext") is not None or sock.fileno() < 0:
            return
        with contextlib.suppress(OSError):  # nothing came
            self._received.add(os.read(sock.fileno(), _WRITE))

    def _end(self, error: Exception) -> None:
        if self._waiter is not None:
            self._received.end(error)
            self._read()
        while self._go_on is not None:  # the last answers, at once: whoever waits learns of the end
            self._go_on.cancel()
            self._read_on()
        if self._waiter is not None:
            self._fail(error)
