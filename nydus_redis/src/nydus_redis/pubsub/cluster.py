"""Subscriptions over many hosts: each channel on the host of its name, where ``publish`` sends its messages.

One of redis-py's ``PubSub`` a host does the talking. This object waits for all at once, and tells when a host is lost.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from redis.client import PubSubWorkerThread
from redis.exceptions import PubSubError

from nydus_core.errors import HostError
from nydus_redis.commands import Wire
from nydus_redis.pubsub.hosts import L, Subscribers
from nydus_redis.pubsub.ledger import CHANNELS, LEAVING, PATTERNS, SHARD_CHANNELS, handlers
from nydus_redis.pubsub.line import Subscriber

if TYPE_CHECKING:
    from nydus_core.cluster import Cluster

__all__ = ["SLICE", "ClusterPubSub", "PubSubBase"]

#: Seconds after which one who waits looks whether the hosts, or the subscriptions, have changed.
SLICE = 0.2

_KIND_OF = {"message": CHANNELS, "pmessage": PATTERNS, "smessage": SHARD_CHANNELS}


class PubSubBase(Generic[L]):
    """Subscriptions over all hosts: what both sides of the engine have in common, which is all but waiting.

    Parameters:
        subscribers: The subscriptions on the hosts.
        encoder: redis-py's, for names.
        ignore_subscribe_messages: Do not hand out what servers say of subscribing.
    """

    def __init__(self, subscribers: Subscribers[L], encoder: Any, ignore_subscribe_messages: bool) -> None:
        self.encoder = encoder
        self.ignore_subscribe_messages = ignore_subscribe_messages
        self._all = subscribers
        self._pings: list[set[str]] = []
        self._turn = 0

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions."""
        return len(self._all) > 0

    @property
    def channels(self) -> dict[Any, Any]:
        """The channels, each with its handler."""
        return self._all.ledger.of(CHANNELS)

    @property
    def patterns(self) -> dict[Any, Any]:
        """The patterns, each with its handler."""
        return self._all.ledger.of(PATTERNS)

    @property
    def shard_channels(self) -> dict[Any, Any]:
        """The channels of ``ssubscribe``, each with its handler."""
        return self._all.ledger.of(SHARD_CHANNELS)

    def _end(self, kind: str, args: tuple[Any, ...]) -> None:
        self._all.unsubscribe(kind, list(handlers(args)) if args else None)

    # Messages ---------------------------------------------------------------------------------------------------

    def _next(self) -> dict[str, Any] | None:
        if self._all.ended:
            return self._all.ended.popleft()
        self._all.follow()
        lines = list(self._all.lines.items())
        for step in range(len(lines)):
            turn = (self._turn + step) % len(lines)
            host, line = lines[turn]
            try:
                while (message := line.receive()) is not None:
                    if self._counts(host, message):
                        self._turn = turn + 1  # the others are heard first the next time
                        return message
            except HostError:
                self._turn = turn + 1
                self._lost(host)
                raise
        return None

    def _lost(self, host: str) -> None:
        self._all.lost(host)
        self._pings = [hosts for hosts in self._pings if host not in hosts]

    def _counts(self, host: str, message: dict[str, Any]) -> bool:
        """Tell whether a message is for the user. What servers say of subscribing counts when all of them have said it."""
        kind, name = message["type"], message["channel"]
        if kind in _KIND_OF:
            return True
        if kind == "pong":
            return self._ponged(host)
        if kind in LEAVING:
            kind = LEAVING[kind]
            news = self._all.ledger.left(kind, name, host)
        else:
            news = self._all.ledger.confirmed(kind, name, host)
        message["data"] = self._all.ledger.count(kind)
        return news

    def _handler(self, message: dict[str, Any]) -> Callable[[Any], Any] | None:
        """Return what takes a message; None if it is handed out."""
        kind = _KIND_OF.get(message["type"])
        if kind is None:
            return None
        entry = self._all.ledger.get(kind, message["pattern" if kind == PATTERNS else "channel"])
        return None if entry is None else entry.handler

    def _is_shown(self, message: dict[str, Any], ignore_subscribe_messages: bool) -> bool:
        if message["type"] in _KIND_OF or message["type"] == "pong":
            return True
        return not (ignore_subscribe_messages or self.ignore_subscribe_messages)

    def _need_handlers(self) -> None:
        for _, entry in self._all.ledger:
            if entry.handler is None:
                raise PubSubError(f"{entry.name!r} has no handler registered")

    # PING -------------------------------------------------------------------------------------------------------

    def _ping(self, message: Any) -> None:
        hosts = {host for host, line in self._all.lines.items() if line.subscribed}
        for host in hosts:
            try:
                self._all.lines[host].ping(message)
            except HostError:
                self._lost(host)
                raise
        if hosts:
            self._pings.append(hosts)

    def _ponged(self, host: str) -> bool:
        for hosts in self._pings:
            if host in hosts:
                hosts.discard(host)
                if not hosts:
                    self._pings.remove(hosts)
                return not hosts
        return False

    def _close(self) -> None:
        self._all.close()
        self._pings.clear()


class ClusterPubSub(PubSubBase[Subscriber]):
    """Subscriptions over all hosts, with the methods of redis-py's ``PubSub``.

    A channel is subscribed to on the host of its name, a pattern on all hosts; each message comes once. When hosts come
    and go, the subscriptions follow. A connection that is lost raises ``HostDown`` once, and again for each attempt that
    fails to subscribe anew; the messages of the other hosts come in between.

    Parameters:
        cluster: The cluster.
        wire: What makes keys of the names of channels.
        encoder: redis-py's, for names.
        ignore_subscribe_messages: Do not hand out what servers say of subscribing.
        options: Further options of redis-py's ``pubsub``.
    """

    def __init__(
        self,
        cluster: Cluster,
        wire: Wire,
        encoder: Any,
        ignore_subscribe_messages: bool = False,
        **options: Any,
    ) -> None:
        def make_line(host: str, engine: Any) -> Subscriber:
            return Subscriber(engine, cluster.on(host), options)

        super().__init__(Subscribers(cluster, wire, encoder, make_line), encoder, ignore_subscribe_messages)
        self.subscribed_event = threading.Event()
        self._lock = threading.RLock()

    # What is subscribed to --------------------------------------------------------------------------------------

    @property
    def subscribed(self) -> bool:
        """Whether there are subscriptions."""
        return self.subscribed_event.is_set()

    def subscribe(self, *args: Any, **kwargs: Any) -> None:
        """Subscribe to channels, each on the host of its name.

        Parameters:
            args: Names of channels.
            kwargs: Handlers by names of channels.

        Raises:
            HostDown: A host cannot be reached. None of the new channels is subscribed to.
        """
        self._subscribe(CHANNELS, args, kwargs)

    def psubscribe(self, *args: Any, **kwargs: Any) -> None:
        """Subscribe to patterns, on all hosts. See ``subscribe``."""
        self._subscribe(PATTERNS, args, kwargs)

    def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Any) -> None:
        """Subscribe to shard channels: those of ``spublish``. See ``subscribe``."""
        self._subscribe(SHARD_CHANNELS, args, kwargs)

    def unsubscribe(self, *args: Any) -> None:
        """End subscriptions to channels; without any, to all."""
        self._unsubscribe(CHANNELS, args)

    def punsubscribe(self, *args: Any) -> None:
        """End subscriptions to patterns; without any, to all."""
        self._unsubscribe(PATTERNS, args)

    def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """End subscriptions to shard channels; without any, to all."""
        self._unsubscribe(SHARD_CHANNELS, args)

    def _subscribe(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        with self._lock:
            self._all.subscribe(kind, {**handlers(args), **kwargs})
            self._note_subscribed()

    def _unsubscribe(self, kind: str, args: tuple[Any, ...]) -> None:
        with self._lock:
            self._end(kind, args)

    def _note_subscribed(self) -> None:
        if len(self._all):
            self.subscribed_event.set()
        else:
            self.subscribed_event.clear()

    # Messages ---------------------------------------------------------------------------------------------------

    def get_message(
        self, ignore_subscribe_messages: bool = False, timeout: float | None = 0.0
    ) -> dict[str, Any] | None:
        """Return the next message of any host, or None if there is none in time, or if a handler took it.

        Parameters:
            ignore_subscribe_messages: Do not return what servers say of subscribing.
            timeout: Seconds to wait; None for as long as it takes.

        Raises:
            HostDown: The connection to a host was lost, or could not be made again. It names the channels that are not
                heard. The next call tries it again.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._lock:
                try:
                    message = self._next()
                finally:
                    self._note_subscribed()
            if message is not None:
                return self._handed_out(message, ignore_subscribe_messages)
            left = SLICE if until is None else until - time.monotonic()
            if left <= 0:
                return None
            self._wait(min(left, SLICE))

    get_sharded_message = get_message

    def listen(self) -> Iterator[dict[str, Any]]:
        """Yield messages as long as there are subscriptions. See ``get_message``."""
        while self.subscribed:
            message = self.get_message(timeout=SLICE)
            if message is not None:
                yield message

    def _handed_out(self, message: dict[str, Any], ignore_subscribe_messages: bool) -> dict[str, Any] | None:
        handler = self._handler(message)
        if handler is not None:
            handler(message)
            return None
        return message if self._is_shown(message, ignore_subscribe_messages) else None

    def _wait(self, seconds: float) -> None:
        """Wait until a host says something, or for so long."""
        sockets = [line.socket for line in list(self._all.lines.values()) if line.subscribed]
        if not self.subscribed:
            self.subscribed_event.wait(seconds)
        elif None in sockets or not sockets:
            time.sleep(min(seconds, 0.05))
        else:
            try:
                with selectors.DefaultSelector() as selector:
                    for each in sockets:
                        selector.register(each, selectors.EVENT_READ)
                    selector.select(seconds)
            except (ValueError, OSError):  # another thread has closed one
                time.sleep(min(seconds, 0.01))

    # The rest of redis-py's PubSub --------------------------------------------------------------------------------

    def ping(self, message: Any = None) -> None:
        """Send a PING to each host with subscriptions. When all have answered, a message of type ``pong`` comes.

        Raises:
            HostDown: One cannot be reached.
        """
        with self._lock:
            self._ping(message)

    def run_in_thread(
        self,
        sleep_time: float = 0.0,
        daemon: bool = False,
        exception_handler: Callable[..., None] | None = None,
        pubsub: Any = None,
        sharded_pubsub: bool = False,
    ) -> PubSubWorkerThread:
        """Have a thread of redis-py call the handlers, until its ``stop()``.

        Parameters:
            sleep_time: Seconds that it waits for a message at a time.
            daemon: Whether the program may end while it runs.
            exception_handler: Called with an error, this object and the thread; without, an error ends the thread.
            pubsub: What it reads from; by default this object.
            sharded_pubsub: Has no effect: all kinds of channels are read.

        Raises:
            redis.PubSubError: A subscription has no handler.
        """
        self._need_handlers()
        worker: Any = PubSubWorkerThread
        thread: PubSubWorkerThread = worker(
            self if pubsub is None else pubsub, sleep_time, daemon=daemon, exception_handler=exception_handler
        )
        thread.start()
        return thread

    def reset(self) -> None:
        """End all subscriptions, and close the connections."""
        with self._lock:
            self._close()
            self.subscribed_event.clear()

    close = reset

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()
