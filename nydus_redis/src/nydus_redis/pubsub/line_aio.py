"""The subscriptions on one host with asyncio: a task of its own reads the messages and keeps them until they are wanted.

So no message is lost with a task that was cancelled while it waited. Only some hundred messages are kept; the server keeps
the others.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import ResponseError

from nydus_core.redaction import redactor_of
from nydus_redis.connection import FAILURES, AsyncHost, abort, post, push_reader
from nydus_redis.pubsub.bell_aio import Bell, wake
from nydus_redis.pubsub.ledger import CHANNELS, LEAVING
from nydus_redis.pubsub.pulse_aio import HEALTHY, Pulse
from nydus_redis.pubsub.subscriber import KEPT, SubscriberBase, as_pong

__all__ = ["AsyncSubscriber", "as_message"]

#: How many messages of a host are kept until they are wanted.
_MOST = 256


class AsyncSubscriber(SubscriberBase):
    """Subscriptions on one host. Only ``ready`` waits for the host; else connections are opened in a task.

    Parameters:
        engine: The host.
        encoder: redis-py's encoder, for names.
        bell: The bell to ring when there is a message.
        push_handler_func: The handler of push messages over RESP3; redis-py's option of that name.
    """

    engine: AsyncHost

    def __init__(
        self, engine: AsyncHost, encoder: Any, bell: Bell, push_handler_func: Callable[..., Any] | None
    ) -> None:
        super().__init__(engine)
        self._encode: Callable[[Any], bytes] = encoder.encode
        self._bell = bell
        self._push_handler = push_handler_func
        self._names: dict[str, dict[bytes, None]] = {kind: {} for kind in KEPT}
        self._ending: set[tuple[str, bytes]] = set()
        self._inbox: deque[dict[str, Any] | Exception] = deque()
        self._room: asyncio.Future[None] | None = None
        self._connecting = asyncio.Lock()
        self._connection: Any = None
        self._reader: asyncio.Task[None] | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions."""
        return bool(self._ending) or any(self._names.values())

    @property
    def connection(self) -> Any:
        """The connection; None while there is none."""
        return self._connection

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The running tasks of this object."""
        return [task for task in (self._reader, self._attempt) if task is not None]

    async def ready(self, kind: str, names: Sequence[Any]) -> None:
        """Connect, if there is no connection.

        Parameters:
            kind: The command that will be sent, for the error.
            names: The names that will be sent, for the error.

        Raises:
            HostDown: The host cannot be reached.
        """
        try:
            await self._connect()
        except FAILURES as error:
            raise self._failed(error, kind, names) from error

    def open_soon(self) -> bool:
        """Begin to connect, if there is no connection; return whether there is one. See ``SubscriberBase.open_soon``."""
        if self._connection is None and self._attempt is None and not self._closed:
            self._attempt = asyncio.get_running_loop().create_task(self._try_again())
        return self._connection is not None

    def subscribe(self, kind: str, names: Sequence[Any]) -> None:
        """Subscribe to names: now, or as soon as there is a connection."""
        self._names[kind].update(dict.fromkeys(map(self._encode, names)))
        self._write(kind, names)

    def unsubscribe(self, kind: str, names: Sequence[Any]) -> bool:
        """End subscriptions; return whether the host will confirm this. Without a connection it will not."""
        for name in map(self._encode, names):
            self._names[kind].pop(name, None)
            if self._connection is not None:
                self._ending.add((kind, name))
        return self._write(_ENDS[kind], names)

    def ping(self, message: Any) -> None:
        """Send a PING. The answer comes as a message."""
        self._write("PING", [] if message is None else [message])

    def _write(self, command: str, arguments: Iterable[Any]) -> bool:
        if self._connection is None:
            return False
        post(self._connection, command.upper(), *arguments)
        return True

    def receive(self) -> dict[str, Any] | None:
        """Return the next message, if there is one. See ``SubscriberBase.receive``."""
        if self._inbox:
            message = self._inbox.popleft()
            if self._room is not None and len(self._inbox) <= _MOST // 2:
                wake(self._room)
            if isinstance(message, Exception):
                raise message
            return message
        if self.subscribed:
            self.open_soon()
        return None

    def close(self) -> None:
        """End all subscriptions, and close the connection. The tasks end soon after."""
        self._closed = True
        for task in self.tasks:
            task.cancel()
        self._drop()

    def enter_loop(self) -> None:
        """Go on in the running event loop, after the end of the previous loop."""
        self._connecting, self._attempt = asyncio.Lock(), None
        if self._connection is not None:  # nobody has cancelled the tasks of that loop
            self._lose(self._connection, self.engine.unavailable(_LOOP_ENDED))

    # Connecting -------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        async with self._connecting:
            if self._connection is not None or self._closed:
                return
            self._use(await self.engine.hold())

    def _use(self, connection: Any) -> None:
        if self._closed:  # meanwhile
            abort(connection)
            return
        self._connection = connection
        self.engine.subscribers.add(self)
        for kind, names in self._names.items():
            if names:
                self._write(kind, names)
        self._reader = asyncio.get_running_loop().create_task(self._read(connection))

    async def _try_again(self) -> None:
        try:
            await asyncio.sleep(self._due - time.monotonic())
            await self._connect()
        except FAILURES as error:
            self._deliver(self._failed(error, CHANNELS, self._all_names()))
        finally:
            self._attempt = None

    # Reading ----------------------------------------------------------------------------------------------------

    async def _read(self, connection: Any) -> None:
        pulse = Pulse(connection, self._patience)
        try:
            read = push_reader(connection, self._push_handler)
            while True:
                reply = await read()
                pulse.beat()
                self._failures = 0
                self._take(reply)
                if len(self._inbox) >= _MOST:
                    with pulse.resting():
                        await self._until_wanted()
        except asyncio.CancelledError:
            self._lose(connection, self.engine.unavailable(_LOOP_ENDED))
            raise
        except Exception as error:
            self._lose(connection, self._late() if pulse.stopped else error)
        finally:
            pulse.cancel()

    async def _until_wanted(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    def _take(self, reply: Any) -> None:
        if isinstance(reply, ResponseError):
            self._deliver(redactor_of(self.engine).clean(reply))
        elif isinstance(reply, str | bytes):
            if reply not in HEALTHY:
                self._deliver(as_pong(reply))
        elif reply:  # None if redis-py has taken another push message
            message = as_message(reply)
            if message["type"] in LEAVING and message["channel"] is not None:
                self._ending.discard((LEAVING[message["type"]], self._encode(message["channel"])))
            if message["type"] != "pong" or message["data"] not in HEALTHY:
                self._deliver(message)

    def _deliver(self, message: dict[str, Any] | Exception) -> None:
        self._inbox.append(message)
        self._bell.ring()

    # Losing -----------------------------------------------------------------------------------------------------

    def _lose(self, connection: Any, error: Exception) -> None:
        if self._connection is not connection:
            return
        names, is_missed = self._all_names(), self.subscribed
        self._drop()
        if is_missed:
            self._deliver(self._failed(error, CHANNELS, names) if isinstance(error, FAILURES) else error)

    def _drop(self) -> None:
        connection, self._connection, self._reader = self._connection, None, None
        self._ending.clear()
        if connection is not None:
            with suppress(RuntimeError):  # its loop is closed
                abort(connection)

    def _all_names(self) -> list[bytes]:
        return [name for names in self._names.values() for name in names]


def as_message(reply: Sequence[Any]) -> dict[str, Any]:
    """Return a reply as a message of redis-py."""
    kind = reply[0].decode() if isinstance(reply[0], bytes) else reply[0]
    pattern, channel = None, None
    if kind == "pmessage":
        _, pattern, channel, data = reply
    elif kind == "pong":
        data = reply[1]
    else:
        _, channel, data = reply
    return {"type": kind, "pattern": pattern, "channel": channel, "data": data}


_ENDS = {kind: end for end, kind in LEAVING.items()}
_LOOP_ENDED = "its event loop has ended"
