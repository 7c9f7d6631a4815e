"""Subscriptions over many hosts: each channel on the host of its name, where ``publish`` sends its messages.

On each host a ``PubSub`` of redis-py does the talking. This object waits for all hosts at once, and reports a lost host.
The module is long on purpose: it has a method for each one of redis-py's ``PubSub``.
"""

from __future__ import annotations

import selectors
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from redis.client import PubSubWorkerThread
from redis.exceptions import PubSubError

from nydus_core.errors import HostError
from nydus_core.threads import renew_after_fork
from nydus_redis.commands import Wire
from nydus_redis.pubsub.base import SLICE, PubSubBase
from nydus_redis.pubsub.hosts import Subscribers
from nydus_redis.pubsub.ledger import CHANNELS, PATTERNS, SHARD_CHANNELS, handlers
from nydus_redis.pubsub.line import Subscriber

if TYPE_CHECKING:
    from nydus_core.cluster import Cluster

__all__ = ["ClusterPubSub"]


class ClusterPubSub(PubSubBase[Subscriber]):
    """Subscriptions over all hosts, with the methods of redis-py's ``PubSub``.

    A channel is subscribed to on the host of its name, a pattern on all hosts; each message comes once. When hosts come
    and go, the subscriptions follow. A lost connection raises ``HostDown`` once, and again for each failed attempt to
    subscribe anew. The messages of the other hosts come in between.

    Parameters:
        cluster: The cluster.
        wire: Makes keys of the names of channels.
        encoder: redis-py's encoder, for names.
        ignore_subscribe_messages: Do not hand out the servers' messages about subscribing and its end.
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
        self._closings = 0
        renew_after_fork(self)

    def after_fork(self) -> None:
        """In a child process: subscribe anew, over connections of its own, when it is read. The parent's go on."""
        self._lock = threading.RLock()
        for line in self._all.lines.values():
            line.after_fork()

    # Subscribing ------------------------------------------------------------------------------------------------

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
            redis.PubSubError: The subscriptions were closed meanwhile.
        """
        self._subscribe(CHANNELS, args, kwargs)

    def psubscribe(self, *args: Any, **kwargs: Any) -> None:
        """Subscribe to patterns, on all hosts. See ``subscribe``."""
        self._subscribe(PATTERNS, args, kwargs)

    def ssubscribe(self, *args: Any, target_node: Any = None, **kwargs: Any) -> None:
        """Subscribe to shard channels, which ``spublish`` sends to. See ``subscribe``."""
        self._subscribe(SHARD_CHANNELS, args, kwargs)

    def unsubscribe(self, *args: Any) -> None:
        """End subscriptions to channels; without arguments, to all channels."""
        self._unsubscribe(CHANNELS, args)

    def punsubscribe(self, *args: Any) -> None:
        """End subscriptions to patterns; without arguments, to all patterns."""
        self._unsubscribe(PATTERNS, args)

    def sunsubscribe(self, *args: Any, target_node: Any = None) -> None:
        """End subscriptions to shard channels; without arguments, to all shard channels."""
        self._unsubscribe(SHARD_CHANNELS, args)

    def _subscribe(self, kind: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        wanted, closings = {**handlers(args), **kwargs}, self._closings
        with self._lock:
            hosts = self._all.hosts_of(kind, wanted)
        self._have_ready(kind, hosts)
        with self._lock:
            if self._closings != closings:
                raise PubSubError("it was closed before it was subscribed")
            self._all.subscribe(kind, wanted)
            self._note_subscribed()

    def _have_ready(self, kind: str, hosts: Sequence[tuple[Subscriber, Sequence[Any]]]) -> None:
        """Connect to all hosts without a connection, at once. Other threads go on to read messages.

        Raises:
            HostDown: A host cannot be reached.
        """
        with self._lock:
            opening = [line.begin() for line, _ in hosts]
        for each in opening:
            if each is not None:
                each.wait()
        with self._lock:
            for line, names in hosts:
                try:
                    line.ready(kind, names)
                except HostError:
                    self._lost_line(line)
                    raise

    def _lost_line(self, lost: Subscriber) -> None:
        for host, line in self._all.lines.items():
            if line is lost:
                self._lost(host)
                return

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
        """Return the next message of any host; None if none comes in time, or if a handler took it.

        Parameters:
            ignore_subscribe_messages: Do not return the servers' messages about subscribing and its end.
            timeout: Seconds to wait; None for no limit.

        Raises:
            HostDown: The connection to a host was lost, or could not be made again. The error names the channels that are
                not heard. The next call tries to connect again.
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
        """Wait until a host sends something, or until the time is over."""
        sockets = [line.socket for line in list(self._all.lines.values()) if line.subscribed]
        shown = [each for each in sockets if each is not None]
        if len(shown) < len(sockets):  # a connection is being opened, or cannot be waited for
            seconds = min(seconds, 0.05)
        if not self.subscribed:
            self.subscribed_event.wait(seconds)
        elif not shown:
            time.sleep(min(seconds, 0.05))
        else:
            try:
                with selectors.DefaultSelector() as selector:
                    for each in shown:
                        selector.register(each, selectors.EVENT_READ)
                    selector.select(seconds)
            except (ValueError, OSError):  # another thread has closed a connection
                time.sleep(min(seconds, 0.01))

    # The rest of redis-py's PubSub --------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The connection of the subscriptions, as in redis-py; None before there are any, or if several hosts have some."""
        return super().connection

    @connection.setter
    def connection(self, connection: Any) -> None:
        # celery does so for subscriptions to come
        self._only_line().redis_py.connection = connection

    @property
    def connection_pool(self) -> Any:
        """redis-py's pool of the only host.

        Raises:
            RoutingError: The cluster has several hosts.
        """
        return self._only_line().redis_py.connection_pool

    shard_hint = None

    def on_connect(self, connection: Any) -> None:
        """Subscribe again on a new connection. See redis-py.

        Raises:
            RoutingError: The cluster has several hosts.
        """
        self._only_line().redis_py.on_connect(connection)

    def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        """Read one answer of the only host, for ``handle_message``. See redis-py.

        Raises:
            RoutingError: The cluster has several hosts.
        """
        return self._only_line().redis_py.parse_response(block=block, timeout=timeout)

    def handle_message(self, response: Any, ignore_subscribe_messages: bool = False) -> dict[str, Any] | None:
        """Make a message of an answer that ``parse_response`` has read; None if a handler took it. See redis-py.

        Raises:
            RoutingError: The cluster has several hosts.
        """
        with self._lock:
            message = self._only_line().redis_py.handle_message(response)
            try:
                if message is None or not self._counts(next(iter(self._all.lines)), message):
                    return None
            finally:
                self._note_subscribed()
        return self._handed_out(message, ignore_subscribe_messages)

    def ping(self, message: Any = None) -> None:
        """Send a PING to each host with subscriptions. When all have answered, a message of type ``pong`` comes.

        Raises:
            HostDown: A host cannot be reached.
        """
        with self._lock:
            hosts = [(line, ()) for line in self._all.lines.values() if line.subscribed]
        self._have_ready("ping", hosts)
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
        """Start a thread of redis-py that calls the handlers, until its ``stop()``.

        Parameters:
            sleep_time: Seconds to wait for a message at a time.
            daemon: Whether the program may end while the thread runs.
            exception_handler: Called with an error, this object and the thread. Without it, an error ends the thread.
            pubsub: The object whose messages are read; by default this object.
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
            self._closings += 1
            self.subscribed_event.clear()

    close = reset

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reset()
