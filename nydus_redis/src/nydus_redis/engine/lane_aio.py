"""Commands for one host on the connection that all tasks share: a lane of the queue, written and answered in parts."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop
from collections.abc import Sequence
from typing import Any

from nydus_core.aio import Multiplexer, with_turns
from nydus_core.command import Command
from nydus_core.drafts import Draft
from nydus_core.errors import CANCELLED, HostError, MaybeApplied
from nydus_core.pieces import OF_LANE, Work, done, slices
from nydus_redis.commands import READING
from nydus_redis.connection import RedisLine
from nydus_redis.engine.exchange_aio import ExchangeBase
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import DRAFTS, outcomes_of, request_of

__all__ = ["SharedExchange"]

#: Bytes. Of more than one command no more are written at once, so that large values do not keep the loop to themselves.
_LARGE = 1_048_576


class SharedExchange(ExchangeBase):
    """A pipeline to one host on the shared connection. See ``nydus_core.aio.Lane``.

    Parameters:
        engine: The engine of the host.
        commands: The commands, in order.
        shared: The queue of the host.
    """

    def __init__(self, engine: RedisHost, commands: Sequence[Command], shared: Multiplexer) -> None:
        super().__init__(engine, commands)
        self._shared = shared
        self._replies: list[Any] = []
        self._most = OF_LANE  # how many commands to write next
        self._failure: tuple[type[HostError], Exception] | None = None
        self._ended = get_running_loop().create_future()

    async def run(self) -> list[Any]:
        """Put the commands in the queue, and wait for the replies; return the outcome of each."""
        self._shared.enqueue(self)
        try:
            await self._ended
        except CancelledError:  # the outcomes are wanted at once, so without turns for others
            if not self._written:
                return self.cancelled(waited=self._shared.is_full)
            self._failure = MaybeApplied, self._engine.unavailable(CANCELLED)
            done(self._read())
            done(self._fail(*self._failure))
            return self._outcomes
        _, cancelled = await with_turns(self._read())
        if self._failure is not None:
            fail = self._fail(*self._failure)
            if cancelled is None:
                await with_turns(fail)
            else:
                done(fail)
        return self._outcomes

    def _read(self) -> Work[None]:
        """Make outcomes of the replies."""
        replies, items = self._replies, self._items
        for piece in slices(len(replies), OF_LANE):
            chunk = items[piece]
            self._outcomes += outcomes_of(self._engine, chunk, set(map(type, chunk)), replies[piece])
            if piece.stop < len(replies):
                yield

    # Called by the queue ----------------------------------------------------------------------------------------------

    @property
    def is_sent(self) -> bool:
        """Whether nothing is left to be written: all was, or nobody waits any more."""
        return self._written == len(self._items) or self._ended.done()

    def send(self, line: RedisLine, most: int) -> None:
        """Write the next commands.

        Parameters:
            line: The connection.
            most: How many commands.
        """
        items = self._items[self._written : self._written + min(most, self._most)]
        kinds = set(map(type, items))
        request = request_of(items, kinds)
        while len(request) > _LARGE and len(items) > 1:
            items = items[: len(items) // 2]
            request = request_of(items, kinds := set(map(type, items)))
        self._most = min(OF_LANE, 2 * len(items))
        self._written += len(items)
        self._size += len(request)
        line.send_part(_Part(self, items, kinds), request)

    def unsent(self, cause: Exception) -> None:
        """End: no connection could be had for the commands that were not written. Of others, answers may be missing."""
        self._end(MaybeApplied, cause)

    def unanswered(self, cause: Exception, *, answered: bool) -> None:
        """End: the connection was lost."""
        kind = MaybeApplied if answered else self._engine.kind_of(cause)
        self._end(kind, self._engine.cause_of(cause, self._size))

    def _end(self, kind: type[HostError], cause: Exception) -> None:
        if not self._ended.done():
            self._failure = kind, cause
            self._ended.set_result(None)

    def take(self, replies: list[Any]) -> None:
        """Take the next replies, also while a task that was cancelled has not had its turn yet."""
        if self._failure is None:
            self._replies += replies
            if len(self._replies) == len(self._items) and not self._ended.done():
                self._ended.set_result(None)


class _Part:
    """Commands that were written together. See ``nydus_redis.connection.Part``."""

    __slots__ = ("_lane", "_options", "missing", "nested")

    def __init__(self, lane: SharedExchange, items: Sequence[Any], kinds: set[type[Any]]) -> None:
        self._lane = lane
        self.missing = len(items)
        self.nested = kinds != DRAFTS
        options = [{} if isinstance(item, Draft) else item.kwargs for item in items] if self.nested else []
        #: The options of the commands; None if there is nothing in them about reading.
        self._options = None if all(map(READING.isdisjoint, options)) else options

    def options(self, ahead: int) -> dict[str, Any] | None:
        """Return the options of a command whose reply is missing; None if no command has any."""
        return None if self._options is None else self._options[len(self._options) - self.missing + ahead]

    def take(self, replies: list[Any]) -> None:
        """Take the next replies."""
        self.missing -= len(replies)
        self._lane.take(replies)

    def unanswered(self, cause: Exception, *, answered: bool) -> None:
        """Take note that the connection was lost."""
        self._lane.unanswered(cause, answered=answered)
