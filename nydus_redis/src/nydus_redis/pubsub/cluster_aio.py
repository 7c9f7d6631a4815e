"""Subscriptions over many hosts, with asyncio. See ``nydus_redis.pubsub.base``, which does all but the waiting."""

from __future__ import annotations

import asyncio
import inspect
import time
import warnings
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from redis.exceptions import PubSubError

from nydus_core.aio import running_loop
from nydus_redis.commands import Wire
from nydus_redis.pubsub.base import SLICE, PubSubBase
from nydus_redis.pubsub.bell_aio import Bell
from nydus_redis.pubsub.hosts import Subscribers
from nydus_redis.pubsub.ledger import CHANNELS, PATTERNS, SHARD_CHANNELS, handlers
from nydus_redis.pubsub.line_aio import AsyncSubscriber, as_message

if TYPE_CHECKING:
    from nydus_core.aio import AsyncCluster

__all__ = ["AsyncClusterPubSub"]

#: After so many turns of the event loop, a message that waited on a socket has been read.
_ROUNDS = 3


class AsyncClusterPubSub(PubSubBase[AsyncSubscriber]):
    """Subscriptions over all hosts, with the methods of the ``PubSub`` of ``redis.asyncio``. See ``ClusterPubSub``.

    The object belongs to the event loop that it is used in, until ``aclose`` or the end of that loop. Several tasks may use
    it; each message is handed to one task. No message is lost with a cancelled task.

    Parameters:
        cluster: The cluster.
        wire: Makes keys of the names of channels.
        encoder: redis-py's encoder, for names.
        shard_hint: Has no effect, as in redis-py.
        ignore_subscribe_messages: Do not hand out the servers' messages about subscribing and its end.
        push_handler_func: The handler of push messages over RESP3; see redis-py.
    """

    def __init__(
        self,
        cluster: AsyncCluster,
        wire: Wire,
        encoder: Any,
        shard_hint: str | None = None,
        ignore_subscribe_messages: bool = False,
        push_handler_func: Callable[..., Any] | None = None,
    ) -> None:
        self._bell = Bell()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closings = 0
        make_line = partial(_make_line, encoder, self._bell, push_handler_func)
        super().__init__(Subscribers(cluster, wire, encoder, make_line), encoder, ignore_subscribe_messages)

    # Subscribing ------------------------------------------------------------------------------------------------

    async def subscribe(self, *args: Any, **kwargs: Any) -> None:
        """Subscribe to channels, each on the host of its name.

        Parameters:
            args: Names of channels.
            kwargs: Handlers by names of channels: functions or coroutine functions.

        Raises:
            HostDown: A host cannot be reached. None of the new channels is subscribed to.
            redis.PubSubError: The subscriptions were closed meanwhile.
        """
        await self._subscribe(CHANNELS, args, kwargs)

    async def psubscribe(self, *args: Any, **kwargs: Any) -> None:
        """Subscribe to patterns, on all hosts. See ``subscribe``."""
        await self._subscribe(PATTERNS, args, kwargs)

    async def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Any) -> None:
        """Subscribe to shard channels, which ``spublish`` sends to. See ``subscribe``."""
        await self._subscribe(SHARD_CHANNELS, args, kwargs)

    async def unsubscribe(self, *args: Any) -> None:
        """End subscriptions to channels; without arguments, to all channels."""
        self._unsubscribe(CHANNELS, args)

    async def punsubscribe(self, *args: Any) -> None:
        """End subscriptions to patterns; without arguments, to all patterns."""
        self._unsubscribe(PATTERNS, args)

    async def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """End subscriptions to shard channels; without arguments, to all shard channels."""
        self._unsubscribe(SHARD_CHANNELS, args)

    async def _subscribe(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._enter()
        wanted, closings = {**handlers(args), **kwargs}, self._closings
        await _all_ready(kind, self._all.hosts_of(kind, wanted))
        if self._closings != closings:
            raise PubSubError("it was closed before it was subscribed")
        self._all.subscribe(kind, wanted)  # nothing is awaited from here on
        self._bell.ring()

    def _unsubscribe(self, kind: str, args: tuple[Any, ...]) -> None:
        self._enter()
        self._end(kind, args)
        self._bell.ring()

    # Messages ---------------------------------------------------------------------------------------------------

    async def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> dict[str, Any] | None:
        """Return the next message of any host; None if none comes in time, or if a handler took it.

        Parameters:
            ignore_subscribe_messages: Do not return the servers' messages about subscribing and its end.
            timeout: Seconds to wait; None for no limit.

        Raises:
            HostDown: The connection to a host was lost, or could not be made again. The error names the channels that are
                not heard. The next call tries to connect again.
        """
        self._enter()
        message = await self._wait(timeout)
        return None if message is None else await self._handed_out(message, ignore_subscribe_messages)

    get_sharded_message = get_message

    async def _handed_out(
        self, message: dict[str, Any], ignore_subscribe_messages: bool
    ) -> dict[str, Any] | None:
        handler = self._handler(message)
        if handler is not None:
            taken = handler(message)
            if inspect.isawaitable(taken):
                await taken
            return None
        return message if self._is_shown(message, ignore_subscribe_messages) else None

    async def listen(self) -> AsyncIterator[dict[str, Any]]:
        """Yield messages as long as there are subscriptions. See ``get_message``."""
        while self.subscribed:
            message = await self.get_message(timeout=SLICE)
            if message is not None:
                yield message

    async def _wait(self, seconds: float | None) -> dict[str, Any] | None:
        """Wait for a message; return None if none comes in time."""
        until = None if seconds is None else time.monotonic() + seconds
        rounds = 0
        while (message := self._next()) is None:
            left = SLICE if until is None else until - time.monotonic()
            if left > 0:
                await self._bell.wait(min(left, SLICE))
            elif rounds < _ROUNDS:
                await asyncio.sleep(0)
                rounds += 1
            else:
                break
        return message

    async def run(
        self,
        *,
        exception_handler: Callable[[BaseException, Any], Any] | None = None,
        poll_timeout: float = 1.0,
        pubsub: Any = None,
    ) -> None:
        """Call the handlers, until the task is cancelled.

        Parameters:
            exception_handler: A function or coroutine function, called with an error and this object. Without it, the error
                is raised.
            poll_timeout: Seconds to wait for a message at a time.
            pubsub: The object whose messages are read; by default this object.

        Raises:
            redis.PubSubError: A subscription has no handler.
        """
        self._need_handlers()
        source = self if pubsub is None else pubsub
        while True:
            try:
                await source.get_message(ignore_subscribe_messages=True, timeout=poll_timeout)
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if exception_handler is None:
                    raise
                done = exception_handler(error, self)
                if inspect.isawaitable(done):
                    await done
            await asyncio.sleep(0)

    # The rest of redis-py's PubSub --------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Connect to the hosts of the subscriptions, or to the only host of the cluster.

        Without it, and in a cluster of several hosts, ``subscribe`` connects.

        Raises:
            HostDown: A host cannot be reached.
        """
        self._enter()
        self._all.only_line()
        await _all_ready("connect", [(line, []) for line in self._all.lines.values()])

    async def handle_message(
        self, response: Any, ignore_subscribe_messages: bool = False
    ) -> dict[str, Any] | None:
        """Make a message of an answer of a server; None if a handler took it. See redis-py."""
        message = as_message(response)
        return await self._handed_out(message, ignore_subscribe_messages)

    async def ping(self, message: Any = None) -> None:
        """Send a PING to each host with subscriptions. When all have answered, a message of type ``pong`` comes.

        Raises:
            HostDown: A host cannot be reached.
        """
        self._enter()
        await _all_ready("ping", [(line, []) for line in self._all.lines.values() if line.subscribed])
        self._ping(message)

    async def aclose(self) -> None:
        """End all subscriptions, and close the connections."""
        here = running_loop()
        tasks = [task for line in self._all.lines.values() for task in line.tasks]
        self._close()
        self._closings += 1
        self._bell.ring()
        ending = [task for task in tasks if task.get_loop() is here]
        if ending:
            await asyncio.wait(ending)

    close = reset = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def _enter(self) -> None:
        """Take over the subscriptions in the running event loop, if their own loop is closed.

        Raises:
            RuntimeError: The subscriptions belong to another event loop, which is not closed.
        """
        loop, before = running_loop(), self._loop
        if loop is before:
            return
        lines = self._all.lines.values()
        if lines and before is not None and not before.is_closed():
            raise RuntimeError(
                "these subscriptions belong to another event loop: use a pubsub() of its own in this one"
            )
        self._loop = loop
        for line in lines:
            line.enter_loop()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        lines = [line for line in self._all.lines.values() if line.tasks] if hasattr(self, "_all") else []
        if lines and self._loop is not None and not self._loop.is_closed():
            _warn(f"unclosed {self!r}", ResourceWarning, source=self)
            with suppress(RuntimeError):  # the loop is closed now
                self._loop.call_soon_threadsafe(_close_all, lines)


def _make_line(
    encoder: Any, bell: Bell, push_handler_func: Callable[..., Any] | None, host: str, engine: Any
) -> AsyncSubscriber:
    return AsyncSubscriber(engine, encoder, bell, push_handler_func)


def _close_all(lines: Iterable[AsyncSubscriber]) -> None:
    for line in lines:
        line.close()


async def _all_ready(kind: str, hosts: list[tuple[AsyncSubscriber, list[Any]]]) -> None:
    """Connect to all hosts without a connection, at once.

    Raises:
        HostDown: A host cannot be reached.
    """
    ended = await asyncio.gather(*(line.ready(kind, names) for line, names in hosts), return_exceptions=True)
    for error in ended:
        if error is not None:
            raise error
