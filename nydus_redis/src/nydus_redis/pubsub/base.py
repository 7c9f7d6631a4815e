"""Subscriptions over many hosts: all but the waiting, for both sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic

from redis.exceptions import PubSubError

from nydus_core.errors import HostError, RoutingError
from nydus_redis.pubsub.hosts import L, Subscribers
from nydus_redis.pubsub.ledger import CHANNELS, LEAVING, PATTERNS, SHARD_CHANNELS, handlers

__all__ = ["SLICE", "PubSubBase"]

#: Seconds. A call that waits looks this often whether the hosts or the subscriptions have changed.
SLICE = 0.2

_KIND_OF = {"message": CHANNELS, "pmessage": PATTERNS, "smessage": SHARD_CHANNELS}


class PubSubBase(Generic[L]):
    """The base of subscriptions over all hosts on both sides. It does everything but wait.

    Parameters:
        subscribers: The subscriptions on the hosts.
        encoder: redis-py's encoder, for names.
        ignore_subscribe_messages: Do not hand out the servers' messages about subscribing and its end.
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
    def connection(self) -> Any:
        """The connection of the subscriptions, as in redis-py; None before there are any, or if several hosts have some."""
        connections = [line.connection for line in self._all.lines.values()]
        return connections[0] if len(connections) == 1 else None

    def _only_line(self) -> L:
        """Return the subscriptions of the only host of the cluster.

        Raises:
            RoutingError: The cluster has several hosts, so that one answer is not enough.
        """
        line = self._all.only_line()
        if line is None:
            raise RoutingError(
                "answers of several hosts are not read one by one: use get_message(), which waits for all of them"
            )
        return line

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
                        self._turn = turn + 1  # next time the other hosts come first
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
        """Tell whether a message is for the user. Of a message about subscribing, only the last host's is."""
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
        """Return the handler of a message; None if the message is handed out."""
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
