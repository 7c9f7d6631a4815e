"""One connection to a host that all tasks of an event loop share: automatic batching.

Commands that tasks give in one turn of the loop leave together, in one write, and answers are handed out in the order of the
commands. StackExchange.Redis calls this a multiplexer, others call it automatic pipelining.

A command is in one of three places, which is all that its outcome depends on: in the queue it was not sent, and a task that
is cancelled takes it away; on the line it may have been applied, and the answer is dropped if nobody waits for it; or it
is answered. The module is long on purpose: all that takes a command from one place to another stands on one page.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from nydus_core.aio.line import AT_ONCE, Asked, Lane, Line
from nydus_core.engines import of_many
from nydus_core.pieces import COSTLY

__all__ = ["LineConnector", "Multiplexer"]

logger = logging.getLogger("nydus")


class LineConnector(Protocol):
    """How the shared connections to a host are opened, and how their failures are told."""

    async def open_line(self) -> Line:
        """Open a connection. When it is interrupted, it leaves nothing open."""
        ...

    def unsent(self, cause: Exception, asked: Asked) -> Exception:
        """Make the error for a command that was not sent."""
        ...

    def unanswered(self, cause: Exception, asked: Asked, *, answered: bool) -> Exception:
        """Make the error for a command that was written and got no answer. For the parameters see ``Lane.unanswered``."""
        ...

    def line_lost(self) -> None:
        """Take note that a connection was lost on which answers were waited for: others may be as dead."""
        ...

    def cancelled(self) -> Exception:
        """Make the client library's error for a connection that nobody opens any more."""
        ...


class Multiplexer:
    """The queue of one host in one event loop, and the connection that serves it. It is opened when it is first needed.

    Parameters:
        connector: Opens connections.
        depth: The most commands under way at once. Others wait in the queue; nobody overtakes.
    """

    def __init__(self, connector: LineConnector, depth: int) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._connector, self._depth = loop, connector, depth
        # As the loop makes them, without a call of Python code
        self._new_future: Callable[[], asyncio.Future[Any]] = partial(asyncio.Future, loop=loop)
        # The connection has nothing to do with the task that needs it first
        self._context = contextvars.Context()
        self._queue: deque[Any] = deque()
        self._lanes = 0  # how many of these are lanes
        self._line: Line | None = None
        self._others: set[Line] = set()  # connections that are used no more when their answers have come
        # Where the first part was written of the lane that is next in the queue
        self._half: Line | None = None
        self._opening: asyncio.Task[None] | None = None  # or looking whether the connection is alive
        self._scheduled = False
        self._is_alone = True  # whether the last command to be written had no company
        self._closings = 0
        self._purge_at = _PURGE
        self._retired: Callable[[], object] | None = None

    def __len__(self) -> int:
        """How many commands are in the queue or under way; a lane in the queue counts as one."""
        return len(self._queue) + (0 if self._line is None else self._line.under_way)

    @property
    def is_full(self) -> bool:
        """Whether commands wait in the queue for others, which are under way."""
        line = self._line
        return line is not None and (line.paused or line.under_way >= self._depth)

    def ask(self, command: Any, request: bytes) -> asyncio.Future[Any]:
        """Put a command in the queue.

        Parameters:
            command: The command.
            request: Its bytes.

        Returns:
            The future of the answer. Its error is the server's, or that of ``LineConnector``. Cancelling it takes the command
            out of the queue; if it was written, its answer is dropped.
        """
        waiter = self._new_future()
        self._queue.append((waiter, command, request))
        if not self._scheduled:
            if self._is_alone and (self._line is None or not self._line.under_way):
                self._flush()  # one task alone does not wait for others
            else:
                self._schedule()
        return waiter

    def enqueue(self, lane: Lane) -> None:
        """Put the commands of a lane in the queue."""
        self._queue.append(lane)
        self._lanes += 1
        self.go_on()

    def go_on(self) -> None:
        """See to it that the queue is served in the next turn of the loop."""
        if not self._scheduled and (self._queue or self._retired is not None):
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._flush, context=self._context)

    def _flush(self) -> None:
        """Write what is in the queue, as far as it may be."""
        self._scheduled = False
        queue = self._queue
        while queue and _is_over(queue[0]):
            self._drop_first()  # no connection is opened for a command that nobody waits for
        if not queue or self._opening is not None or self._is_waited_for(self._half):
            self._purge()
            self._rest()
            return
        line = self._ready_line()
        if line is None:
            return
        if not self._lanes and len(queue) <= self._depth - line.under_way and not line.paused:
            # Nearly always: all at once
            asked = [each for each in queue if not each[0].done()]
            if sum([len(request) for _, _, request in asked]) <= AT_ONCE:
                queue.clear()
                self._send(line, asked)
                return
        # A write may find that the connection is broken: then the rest was not sent
        while queue and line.is_open and not line.paused and (room := self._depth - line.under_way) > 0:
            first: Any = queue[0]
            if not isinstance(first, tuple):
                self._send_part(line, first, room)
                self.go_on()  # others have their turn, too
                return
            asked, size = [], 0
            while queue and size < AT_ONCE and len(asked) < room and type(queue[0]) is tuple:
                each = queue.popleft()
                if not each[0].done():
                    asked.append(each)
                    size += len(each[2])
            self._send(line, asked)
        self._purge()

    def _send(self, line: Line, asked: Sequence[Asked]) -> None:
        if not asked:
            return
        self._is_alone = len(asked) == 1
        try:
            line.send(asked)
        except Exception as error:  # a fault of the engine
            line.end(error)
            for waiter, _, _ in asked:
                if not waiter.done():
                    waiter.set_exception(error)

    def _send_part(self, line: Line, lane: Lane, most: int) -> None:
        """Write the next part of the lane that is first in the queue."""
        if not lane.is_sent:
            try:
                lane.send(line, most)
            except Exception as error:  # a fault of the engine
                lane.unsent(error)
                line.end(error)
        self._half = line
        if self._queue and lane.is_sent:
            self._drop_first()

    def _drop_first(self) -> None:
        """Take the first command, or lane, out of the queue."""
        if type(self._queue.popleft()) is not tuple:
            self._lanes -= 1
            self._half = None

    def _is_waited_for(self, half: Line | None) -> bool:
        """Tell whether a lane has to wait for the answers to its first part, since the rest cannot use the same connection.

        Over two connections answers may come in another order than the commands.
        """
        if half is None or not half.waiting:
            return False
        return half is not self._line or not (half.is_open and half.is_current())

    def _purge(self) -> None:
        """Take cancelled commands out of a long queue that is not served just now."""
        if len(self._queue) > self._purge_at:
            self._clear()

    def _clear(self) -> None:
        """Take cancelled commands out of the queue."""
        left = [each for each in self._queue if not _is_over(each)]
        if self._queue and _is_over(self._queue[0]):
            self._half = None
        self._queue.clear()
        self._queue.extend(left)
        self._lanes = sum(type(each) is not tuple for each in left)
        self._purge_at = 2 * len(left) + _PURGE

    # The connection ---------------------------------------------------------------------------------------------------

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have a task open the connection, or look at it. It never begins at once, not even in a loop of eager tasks."""
        self._opening = asyncio.Task(work, loop=self._loop, context=contextvars.Context())
        self._opening.add_done_callback(self._begun_in_vain)

    def _begun_in_vain(self, task: asyncio.Task[None]) -> None:
        """Tell the queue if a task has not come to its end: somebody cancels all tasks of the loop, perhaps before they begin."""
        if self._opening is task:
            self._opening = None
            self.give_up(self._connector.cancelled())

    def _ready_line(self) -> Line | None:
        """Return the connection if it can be written to; else see to it that there is one."""
        line = self._line
        if line is not None and line.is_open and line.is_current():
            if line.waiting:
                return line
            if not line.is_quiet():
                # The loop reads the bytes, in the first turn perhaps behind this call; TLS has messages of its own
                self._begin(self._looked(None))
                return None
            check = line.check()
            if check is None:
                return line
            self._begin(self._looked(check))
            return None
        self._let_go()
        self._clear()  # no connection is opened for commands that nobody waits for
        if self._queue:
            self._begin(self._open())
        else:
            self.go_on()
        return None

    async def _looked(self, answer: Awaitable[None] | None) -> None:
        """Wait until it is known whether the idle connection is alive.

        Parameters:
            answer: The answer of the server to the question; None if it was asked none.
        """
        try:
            if answer is None:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            else:
                await answer
        except Exception:  # it is lost, and has told so
            logger.debug("an idle connection was lost", exc_info=True)
        self._opening = None
        line = self._line
        if line is not None and line.is_open and not line.waiting and not line.is_quiet():
            line.end(line.lost(None))
        self._flush()

    def _let_go(self) -> None:
        """Have the connection close when its answers have come; another one is opened for new commands."""
        line, self._line = self._line, None
        if line is not None:
            if line.waiting:
                self._others = {line, *(other for other in self._others if other.waiting)}
            line.finish()

    async def _open(self) -> None:
        closings = self._closings
        try:
            line = await self._connector.open_line()
            if not line.is_open:
                raise line.lost(None)
        except Exception as error:
            self._opening = None
            self.give_up(error)
            return
        self._opening = None
        self._line = line
        line.serve(self)
        self._flush()
        if closings != self._closings:
            self._let_go()

    def line_lost(self, line: Line, cause: Exception) -> None:
        """Tell all commands on a connection that it was lost. Commands in the queue wait for the next one.

        Parameters:
            line: The connection.
            cause: The client library's error.
        """
        written, connector, answered = [*line.waiting], self._connector, line.answered
        line.waiting.clear()
        line.under_way = 0
        self._others.discard(line)
        if self._line is line:
            self._line = None
        if written:
            of_many(cause)
            connector.line_lost()

            def tell(each: Any) -> None:
                if type(each) is not tuple:
                    each.unanswered(cause, answered=answered)
                elif not each[0].done():
                    each[0].set_exception(connector.unanswered(cause, each, answered=answered))

            self._tell(written, tell)
        elif not answered:  # it was of no use to anybody, and the next one would not be, either
            self.give_up(cause)
        self.go_on()

    def give_up(self, cause: Exception) -> None:
        """Tell all commands in the queue that they were not sent."""
        connector, queued = self._connector, [*self._queue]
        of_many(cause)
        self._queue.clear()
        self._lanes, self._half = 0, None

        def tell(each: Any) -> None:
            if type(each) is not tuple:
                each.unsent(cause)
            elif not each[0].done():
                each[0].set_exception(connector.unsent(cause, each))

        self._tell(queued, tell)
        self.go_on()

    def _tell(self, some: list[Any], tell: Callable[[Any], None]) -> None:
        """Tell lanes at once, for no more of them may be written, and commands in pieces: an error takes longer than a value."""
        for each in some:
            if type(each) is not tuple:
                tell(each)
        self._tell_commands([each for each in some if type(each) is tuple], tell)

    def _tell_commands(self, some: list[Any], tell: Callable[[Any], None]) -> None:
        for each in some[:COSTLY]:
            tell(each)
        if len(some) > COSTLY:
            self._loop.call_soon(self._tell_commands, some[COSTLY:], tell, context=self._context)

    # The end ----------------------------------------------------------------------------------------------------------

    def drop_idle(self) -> None:
        """Close the connection if nothing is under way."""
        if self._line is not None and not self._line.waiting:
            self._let_go()

    def drop(self) -> None:
        """Close the connection, as soon as the answers have come."""
        self._closings += 1
        self._let_go()

    async def aclose(self) -> None:
        """The same, and wait for the end of a connection that is idle. A later command opens a new one."""
        line = self._line
        if line is None or line.waiting or not line.is_open:
            self.drop()
            return
        self._closings += 1
        self._line = None
        await line.goodbye()

    def retire(self, then: Callable[[], object]) -> None:
        """Close the connection when nothing is under way or in the queue, and keep none from now on.

        Parameters:
            then: Called, once, when that is so for the first time.
        """
        self._retired = then
        self._rest()

    def _rest(self) -> None:
        """Close the connection if the host has left the cluster, and nothing is to be done any more."""
        if self._retired is None or self._queue or self._opening is not None:
            return
        if any(line is not None and line.waiting for line in (self._line, *self._others)):
            return
        self._let_go()
        then, self._retired = self._retired, _nothing
        then()

    def end(self) -> None:
        """Close everything at once: the event loop ends."""
        if self._opening is not None:
            self._opening.cancel()
        for line in (self._line, *self._others):
            if line is not None:
                line.end(self._connector.cancelled())


#: How many commands may be in the queue before cancelled ones are looked for.
_PURGE = 1000


def _nothing() -> None:
    """Do nothing when there is no more to do."""


def _is_over(each: Any) -> bool:
    """Tell whether nobody waits for a command, or a lane, that is in the queue."""
    over: bool = each[0].done() if type(each) is tuple else each.is_sent
    return over
