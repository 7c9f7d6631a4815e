"""A connection on which the commands of many tasks may be under way, as far as no protocol is needed.

``Multiplexer`` has the queue of the commands, and opens such connections.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol
from weakref import ref

from nydus_core.aio.patience import Patience

__all__ = ["AT_ONCE", "Asked", "Lane", "Line", "LineOwner"]

#: A command of its own: the future of its answer, the command, and its bytes.
Asked = tuple[asyncio.Future[Any], Any, bytes]

#: Bytes that are written at once. Of a larger request nobody can tell how much the socket has taken.
AT_ONCE = 65536
#: Seconds that a connection may take to close: TLS says goodbye.
_GOODBYE = 1.0


class Lane(Protocol):
    """Several commands of one task in the queue. They are written piece by piece; nobody gets in between."""

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left to be written: all was, or nobody waits for the commands any more."""
        ...

    def send(self, line: Any, most: int) -> None:
        """Write some of the commands.

        Parameters:
            line: The connection.
            most: How many commands.
        """
        ...

    def unsent(self, cause: Exception) -> None:
        """Take note that nothing more will be sent, because no connection could be had."""
        ...

    def unanswered(self, cause: Exception, *, answered: bool) -> None:
        """Take note that the connection was lost on which some of the commands are under way.

        Parameters:
            cause: The client library's error.
            answered: Whether the server has answered anything on that connection.
        """
        ...


class LineOwner(Protocol):
    """Has a connection serve it: a ``Multiplexer``, or a task that has the connection to itself."""

    def go_on(self) -> None:
        """Take note that more may be written, or that answers were read."""
        ...

    def line_lost(self, line: Line, cause: Exception) -> None:
        """Take note that the connection was lost, and tell the commands in ``line.waiting``.

        Parameters:
            line: The connection.
            cause: The client library's error.
        """
        ...

    def give_up(self, cause: Exception) -> None:
        """Take note that the host was given up: commands that were not sent need not be tried, either."""
        ...


class Line(asyncio.Protocol):
    """An open connection, on which the commands of many tasks may be under way.

    A subclass writes commands and reads answers. It appends to ``waiting`` what it writes, and takes away what is answered.

    Parameters:
        timeout: Seconds without progress after which the host is given up; None for no limit.

    Attributes:
        waiting: The commands and parts of lanes that were written and not answered, in order.
        under_way: How many answers they stand for.
        paused: Whether the socket does not take all bytes at once.
        answered: Whether any answer has come.
        transport: The transport; None before there is a connection.
    """

    def __init__(self, timeout: float | None) -> None:
        self.waiting: deque[Any] = deque()
        self.under_way = 0
        self.paused = self.answered = False
        self.transport: Any = None
        # The event loop holds this connection. It must not hold a cluster that nobody uses any more.
        self._owner: Callable[[], LineOwner | None] = _nobody
        self._finishing = self._is_lost = False
        self._gone = asyncio.get_running_loop().create_future()
        self.patience = Patience(timeout, lambda: bool(self.waiting), self._give_up)

    # For subclasses to define ---------------------------------------------------------------------------------------

    @abstractmethod
    def send(self, asked: Sequence[Asked]) -> None:
        """Write some commands, in order."""

    @abstractmethod
    def is_quiet(self) -> bool:
        """Tell whether the connection is in step, and no bytes have come that nobody asked for. Nothing is under way."""

    @abstractmethod
    def hung(self, why: str) -> Exception:
        """Make the client library's error for a host that is given up."""

    @abstractmethod
    def lost(self, error: Exception | None) -> Exception:
        """Make the client library's error for a connection that was closed, of the error of the event loop, if there is one."""

    def is_current(self) -> bool:
        """Tell whether new commands may use this connection: whether it leads to the server that the host is by now."""
        return True

    def abort(self) -> None:
        """Close the transport at once."""
        if self.transport is not None:
            self.transport.abort()

    def check(self) -> Awaitable[None] | None:
        """Ask the server whether it still answers; None if there is no need. Nothing is under way."""
        return None

    # For subclasses to call -----------------------------------------------------------------------------------------

    def write(self, request: bytes, count: int) -> None:
        """Write a request. ``waiting`` has its commands already.

        Parameters:
            request: The bytes.
            count: How many answers it will have.
        """
        if not self.under_way:
            self.patience.begin(self.transport)
        self.under_way += count
        self.transport.write(request)

    def read_on(self, count: int) -> None:
        """Take note that so many answers were read, and taken from ``waiting``: others may be sent.

        Parameters:
            count: How many; 0 if no answer came, but commands are done to which the server sends none.
        """
        self.under_way -= count
        self.answered = self.answered or count > 0
        if self._finishing and not self.waiting:
            self.shut()
        owner = self._owner()
        if owner is not None:
            owner.go_on()

    def end(self, cause: Exception) -> None:
        """End the connection at once. The commands that were written end in ``cause``.

        Parameters:
            cause: The client library's error.
        """
        if not self._is_lost:
            self.shut()
            owner = self._owner()
            if owner is not None:
                owner.line_lost(self, cause)

    # For the multiplexer --------------------------------------------------------------------------------------------

    def serve(self, owner: LineOwner | None) -> None:
        """Begin to serve somebody; None: nobody, until somebody takes the connection again."""
        self._owner = _nobody if owner is None else ref(owner)

    @property
    def is_open(self) -> bool:
        """Whether more can be sent."""
        return not (self._is_lost or self._finishing or self.transport.is_closing())

    def finish(self) -> None:
        """Send no more, and close when all answers have come."""
        self._finishing = True
        if not self.waiting:
            self.shut()

    def shut(self) -> None:
        """Close at once. Nobody is told."""
        self._is_lost = True
        self.patience.end()
        self.abort()

    async def goodbye(self) -> None:
        """Close as soon as all answers have come, and wait for that. TLS says goodbye."""
        if self.waiting:
            self._finishing = True
            return
        self._is_lost = True
        self.patience.end()
        self.transport.close()
        try:
            await asyncio.wait([self._gone], timeout=_GOODBYE)
        finally:
            self.abort()

    def _give_up(self) -> None:
        owner, cause = self._owner(), self.hung(f"no answer within {self.patience.seconds:g} seconds")
        if self._finishing:  # commands that were not sent are meant for another connection
            owner = None
        self.end(cause)
        if owner is not None:
            owner.give_up(cause)

    # Called by asyncio ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport
        self.transport.set_write_buffer_limits(high=AT_ONCE)

    def pause_writing(self) -> None:
        """Take note that the socket does not take all bytes at once."""
        self.paused = True

    def resume_writing(self) -> None:
        """Take note that the socket has taken the bytes."""
        self.paused = False
        owner = self._owner()
        if owner is not None:
            owner.go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all that wait that the connection is closed."""
        if not self._gone.done():
            self._gone.set_result(None)
        self.end(self.lost(exc))


def _nobody() -> None:
    """Return the owner of a connection that serves nobody."""
