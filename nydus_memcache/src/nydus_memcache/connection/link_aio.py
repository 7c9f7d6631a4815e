"""One connection to a memcached server, with asyncio: bytes out, answers in. It knows no commands.

Answers are read while a request is still being sent, because a memcached whose answers are not read stops reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_memcache.commands import Source
from nydus_memcache.connection.received_aio import NeedMore, Received

__all__ = ["AsyncLink", "Reader"]

#: Bytes that are handed over at once. What the socket does not take of them may have been sent, for all that is known.
_WRITE = 65536
#: Seconds that a loop's clock may be early.
_RESOLUTION = 0.001


class Reader(Protocol):
    """What reads the answer to a request."""

    @property
    def silent(self) -> bool:
        """Whether none comes."""
        ...

    def read(self, source: Source, /) -> Any:
        """Read it. See ``Source`` on what has not come yet."""
        ...


class AsyncLink(asyncio.Protocol):
    """A connection. Used by one task at a time.

    Parameters:
        timeout: Seconds to wait for the server; None for no limit.

    Attributes:
        sent: How many bytes of the last request may have been sent. The others were not.
        rested: When it was last used, by the clock of its loop.
        transport: The transport, once there is a connection.
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
        self._left = 0  # bytes that the socket had not taken when the timer was looked at
        self._paused = False
        self._gone = self._loop.create_future()
        self.sent = 0
        self.rested = self._loop.time()
        self.transport: Any = None

    @property
    def in_step(self) -> bool:
        """Whether it is open, and nothing is left to send or to read, as far as the loop has seen."""
        received = self._received
        if self._waiter is not None or self._paused or self._gone.done() or self.transport.is_closing():
            return False
        return received.empty and not received.closed

    def ask(self, request: bytes, readers: Sequence[Reader], answers: list[Any]) -> asyncio.Future[None]:
        """Send a request, and read its answers as they come.

        Parameters:
            request: The bytes.
            readers: What reads the answers, in order.
            answers: What they read is appended here.

        Returns:
            Done when all answers are there and all was sent; or what sending or reading raised. Then the connection
            is closed, and must be if nobody waits any more.
        """
        self._readers, self._answers = readers, answers
        self._waiter = waiter = self._loop.create_future()
        if self._timeout is not None:
            self._until = self._loop.time() + self._timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._until, self._ring)
        if len(request) <= _WRITE:
            self.sent = len(request)
            self.transport.write(request)
        else:
            self.sent = 0
            self._unsent = memoryview(request)
            self._push()
        if readers[0].silent:
            self._read()
        return waiter

    def shut(self) -> None:
        """Close it at once, whatever is under way. What was not sent by now never will be."""
        self._waiter = None
        self._unsent = memoryview(b"")
        if self.transport is not None:
            self.transport.abort()

    async def goodbye(self) -> None:
        """Close it in good order."""
        self.transport.close()
        await self._gone

    # Sending --------------------------------------------------------------------------------------------------------

    def _push(self) -> None:
        while self._unsent and not self._paused:
            piece, self._unsent = self._unsent[:_WRITE], self._unsent[_WRITE:]
            self.sent += len(piece)
            self.transport.write(piece)

    def pause_writing(self) -> None:
        """The socket has not taken all that it was given."""
        self._paused = True

    def resume_writing(self) -> None:
        """Now it has."""
        self._paused = False
        self._renew()
        self._push()
        if self._waiter is not None and not self._paused:
            self._read()

    # Reading --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        go_on = self._received.add(data)
        if self._waiter is not None:
            self._renew()
            if go_on:
                self._read()

    def _read(self) -> None:
        readers, answers, received = self._readers, self._answers, self._received
        try:
            while len(answers) < len(readers):
                answers.append(readers[len(answers)].read(received))
                received.answered()
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

    def _fail(self, error: Exception) -> None:
        waiter = self._waiter
        self.shut()
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    # How long the server may take -------------------------------------------------------------------------------------

    def _renew(self) -> None:
        if self._timeout is not None:
            self._until = self._loop.time() + self._timeout

    def _ring(self) -> None:
        """Look whether the time is over. The timer goes on from one request to the next: starting one costs more."""
        self._timer = None
        if self._waiter is None:
            return
        left = self.transport.get_write_buffer_size()
        if 0 < left != self._left:
            self._renew()
        self._left = left
        if self._loop.time() < self._until - _RESOLUTION:
            self._timer = self._loop.call_at(self._until, self._ring)
        else:
            self._fail(TimeoutError(f"no answer within {self._timeout} seconds"))

    # The connection -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """There is a connection."""
        self.transport = transport
        # To know when the socket has taken all. That of TLS would call 0 bytes as many as it should have
        self.transport.set_write_buffer_limits(
            high=0 if transport.get_extra_info("sslcontext") is None else 1
        )

    def eof_received(self) -> None:
        """The server will say no more."""
        self._end(MemcacheUnexpectedCloseError("the server closed the connection"))
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._gone.done():
            self._gone.set_result(None)
        self._end(exc or MemcacheUnexpectedCloseError("the server closed the connection"))

    def _end(self, error: Exception) -> None:
        if self._waiter is not None:
            self._received.end(error)
            self._read()
        if self._waiter is not None:
            self._fail(error)
