"""A connection to a memcached server with asyncio, for one task or for all: requests out, answers in. It knows no commands.

Answers are read while a request is still being sent, because a memcached whose answers are not read stops reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from pymemcache.exceptions import MemcacheUnexpectedCloseError, MemcacheUnknownError

from nydus_core.aio import Asked, Line
from nydus_core.pieces import OF_LANE
from nydus_core.sockets import poll_of
from nydus_memcache.commands import Source
from nydus_memcache.connection.link import ready
from nydus_memcache.connection.received_aio import NeedMore, Received
from nydus_memcache.connection.turned_away import turned_away
from nydus_memcache.errors import ServerFull

__all__ = ["MemcacheLine", "Reader", "Taker"]

#: Bytes that are received at once. They may hold some hundreds of small values, which are read in a few milliseconds.
_READ = 16384
#: The same in the middle of a large value, which is not read before all of it has come.
_READ_LARGE = 262144
#: The most bytes of a server's last words.
_LAST_WORDS = 65536


class Reader(Protocol):
    """Reads the answer to a request, which one command or several share."""

    @property
    def commands(self) -> Sequence[Any]:
        """The commands."""
        ...

    @property
    def request(self) -> bytes:
        """The bytes of the request."""
        ...

    @property
    def silent(self) -> bool:
        """Whether the server sends no answer."""
        ...

    def read(self, source: Source, /) -> Any:
        """Read the answer. See ``Source`` on answers of which a part has come."""
        ...

    def shares(self, answer: Any, /) -> Sequence[Any]:
        """Return the answer of each command, given the answer to the request."""
        ...

    def heard(self, answers: Sequence[Any], /) -> Sequence[Any]:
        """Return the answers of the first commands, of a request whose answer has not come whole: ``answers`` is empty."""
        ...


class Taker(Protocol):
    """A lane of a ``Multiplexer``: takes the answers to its requests, in order."""

    def take(self, answer: Any) -> None:
        """Take the answer to the next request."""
        ...


class MemcacheLine(Line):
    """A connection to a memcached server. See ``nydus_core.aio.Line``.

    Parameters:
        timeout: Seconds without progress after which the host is given up; None for no limit.
        idle_timeout: Seconds after which a connection that was not used is closed; 0 for never.
        group: Makes requests of the commands of several tasks, in order.
        lost: Called when the connection ends while answers are waited for, unless the server is full.
    """

    def __init__(
        self,
        timeout: float | None,
        idle_timeout: float,
        group: Callable[[Sequence[Any]], Sequence[Reader]],
        lost: Callable[[], object],
    ) -> None:
        super().__init__(timeout)
        loop = asyncio.get_running_loop()
        self._now, self._call_soon = loop.time, loop.call_soon
        self._idle_timeout, self._group, self._when_lost = idle_timeout, group, lost
        self._received = Received()
        self._readers: deque[Reader] = deque()
        self._go_on: asyncio.Handle | None = None
        self._chooses_size = False
        self._is_readable: Callable[[int], Any] = bool

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, asked: Sequence[Asked]) -> None:
        """Write the commands of some tasks. See ``nydus_core.aio.Line``."""
        readers = self._group([command for _, command, _ in asked])
        silent = self._write(readers)
        if silent and not self.paused:
            self._tell_silent(asked, readers)
        else:
            self.waiting += asked
            self._readers += readers

    def _tell_silent(self, asked: Sequence[Asked], readers: Sequence[Reader]) -> None:
        """Tell tasks that their commands are done to which no answer comes: the socket has taken the bytes."""
        at = 0
        for reader in readers:
            some = asked[at : at + len(reader.commands)]
            at += len(some)
            if reader.silent:
                _hand_out(deque(some), reader.shares(reader.read(self._received)))
            else:
                self.waiting += some
                self._readers.append(reader)
        self.read_on(0)

    def send_part(self, lane: Taker, readers: Sequence[Reader]) -> None:
        """Write a part of a lane.

        Parameters:
            lane: Takes the answers.
            readers: The requests.
        """
        self._write(readers)
        self.waiting += [lane] * len(readers)
        self._readers += readers
        if self._readers[0].silent and self._go_on is None:
            self._read()

    def _write(self, readers: Sequence[Reader]) -> int:
        """Write some requests; return how many of their commands get no answer."""
        silent = sum([len(reader.commands) for reader in readers if reader.silent])
        count = sum([len(reader.commands) for reader in readers])
        self.write(b"".join([reader.request for reader in readers]), count - silent)
        return silent

    def resume_writing(self) -> None:
        """Go on: the socket has taken all bytes. asyncio calls this."""
        self.patience.since = self._now()
        super().resume_writing()
        if self._readers and self._go_on is None:
            self._read()

    # Reading --------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Take bytes that have come. asyncio calls this."""
        self.patience.since = self._now()
        go_on = self._received.add(data)
        if self._chooses_size:
            self.transport.max_size = _READ if go_on else _READ_LARGE
        if go_on and self._go_on is None:
            self._read()

    def _read(self, most: int = OF_LANE) -> None:
        """Read the answers that have come, and hand them out; of more than ``most`` commands in the next turn of the loop."""
        waiting, readers, received = self.waiting, self._readers, self._received
        count, before, error = 0, len(readers), None
        try:
            while readers:
                if count >= most:
                    self._go_on = self._call_soon(self._read_on)
                    break
                reader = readers[0]
                if reader.silent and self.paused:
                    received.wait()
                answer = reader.read(received)
                received.answered()
                readers.popleft()
                if type(waiting[0]) is not tuple:
                    waiting.popleft().take(answer)
                else:
                    _hand_out(waiting, reader.shares(answer))
                if not reader.silent:
                    count += len(reader.commands)
            if received.closed:
                error = MemcacheUnexpectedCloseError("the connection was given up")
            elif not (readers or received.empty):
                error = MemcacheUnknownError("the server says more than it was asked for")
        except NeedMore:
            pass
        except Exception as failure:
            error = failure
        if len(readers) < before:
            self.read_on(count)
        if error is not None:
            self.end(turned_away() if received.turned_away else error)

    def _read_on(self) -> None:
        """Read further answers, after a turn of other tasks."""
        self._go_on = None
        self._read()

    # The end --------------------------------------------------------------------------------------------------------

    def end(self, cause: Exception) -> None:
        """End the connection. See ``nydus_core.aio.Line``."""
        if self._go_on is not None:
            self._go_on.cancel()
        if self.waiting and not self._is_lost:
            if type(self.waiting[0]) is tuple:
                _hand_out(self.waiting, self._readers[0].heard(()))
            if not isinstance(cause, ServerFull):
                self._when_lost()
        self._readers.clear()
        super().end(cause)

    def eof_received(self) -> None:
        """End the connection: the server will say no more. asyncio calls this."""
        self._read_to_the_end(self.lost(None))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all that wait that the connection is closed. asyncio calls this."""
        if exc is not None and self._readers:
            self._take_last_words()
        self._read_to_the_end(self.lost(exc))
        super().connection_lost(exc)

    def _take_last_words(self) -> None:
        """Take the bytes that came before sending failed: asyncio leaves them in the socket. With TLS they say nothing."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or self.transport.get_extra_info("sslcontext") is not None or sock.fileno() < 0:
            return
        with contextlib.suppress(OSError):  # nothing came
            self._received.add(os.read(sock.fileno(), _LAST_WORDS))

    def _read_to_the_end(self, error: Exception) -> None:
        """Read the last answers at once, and end."""
        self._received.end(error)
        if self._readers:
            self._read(sys.maxsize)
        self.end(error)

    def hung(self, why: str) -> Exception:
        """Make the error for a host that is given up."""
        return TimeoutError(why)

    def lost(self, error: Exception | None) -> Exception:
        """Make the error for a connection that was closed."""
        if self._received.turned_away:
            return turned_away()
        return error or MemcacheUnexpectedCloseError("the server closed the connection")

    # The connection -------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport of the new connection. asyncio calls this."""
        super().connection_made(transport)
        # So that asyncio tells when the socket has taken all. TLS needs 1: its transport reads 0 as its own default
        self.transport.set_write_buffer_limits(
            high=0 if transport.get_extra_info("sslcontext") is None else 1
        )
        self._chooses_size = getattr(transport, "max_size", 0) > _READ  # asyncio's own
        if self._chooses_size:
            self.transport.max_size = _READ
        sock = transport.get_extra_info("socket")
        self._is_readable = poll_of(sock) or (lambda milliseconds: ready(sock, milliseconds / 1000)[0])

    @property
    def in_step(self) -> bool:
        """Whether the connection is open with nothing left to send or to read, as far as the event loop has seen."""
        return (
            self._received.empty
            and not (self.waiting or self.paused or self._received.closed)
            and self.is_open
            and self.is_current()
        )

    def is_quiet(self) -> bool:
        """Tell whether no bytes have come that nobody asked for. See ``nydus_core.aio.Line``."""
        return self._received.empty and not self._is_readable(0)

    def is_current(self) -> bool:
        """Tell whether the connection was not idle for too long."""
        if not self._idle_timeout or self.waiting:
            return True
        return self._now() - self.patience.since <= self._idle_timeout


def _hand_out(waiting: deque[Any], answers: Sequence[Any]) -> None:
    """Give the first of those that wait their answers."""
    for answer in answers:
        waiter = waiting.popleft()[0]
        if not waiter.done():
            waiter.set_result(answer)
