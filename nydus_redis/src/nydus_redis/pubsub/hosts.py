"""The subscriptions on all hosts: making them, ending them, and moving them when the hosts of the cluster change."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from nydus_core.errors import HostError
from nydus_redis.commands import Wire
from nydus_redis.pubsub.ledger import LEAVING, Entry, Ledger, Places
from nydus_redis.pubsub.subscriber import SubscriberBase

if TYPE_CHECKING:
    from nydus_core.cluster import ClusterBase

__all__ = ["L", "Subscribers"]

L = TypeVar("L", bound=SubscriberBase)

#: Seconds between two attempts to move subscriptions to new hosts.
_MOVING = 1.0


class Subscribers(Generic[L]):
    """The subscribers of a cluster: one for each host that has subscriptions. Only subscribers wait for hosts.

    Parameters:
        cluster: The cluster.
        wire: Makes keys of the names of channels.
        encoder: redis-py's encoder, for names.
        make_line: Makes the subscriber of a host from its name and engine.

    Attributes:
        ledger: All names that are subscribed to.
        lines: The subscribers, by name of the host.
        ended: Messages about the end of subscriptions, for hosts that cannot send these messages.
    """

    def __init__(
        self, cluster: ClusterBase[Any], wire: Wire, encoder: Any, make_line: Callable[[str, Any], L]
    ) -> None:
        self.ledger = Ledger()
        self.lines: dict[str, L] = {}
        self.ended: deque[dict[str, Any]] = deque()
        self._encoder = encoder
        self._make_line = make_line
        self._places = Places(cluster, wire)
        self._moving, self._move_due = False, 0.0

    def __len__(self) -> int:
        """Count the subscriptions. A subscription also counts while the message about its end waits to be handed out."""
        return len(self.ledger) + len(self.ended)

    def hosts_of(self, kind: str, names: Iterable[Any]) -> list[tuple[L, list[Any]]]:
        """Return the subscribers of the hosts to which names belong, each with these names. Nothing is subscribed to."""
        self.follow()
        by_host = _by_host(self._entries(kind, dict.fromkeys(names)))
        return [(self._line(host), names_of_host) for host, names_of_host in by_host.items()]

    def subscribe(self, kind: str, handlers: dict[Any, Any]) -> None:
        """Subscribe to names, each on its hosts.

        Parameters:
            kind: The kind of subscription.
            handlers: The handlers of messages, by name; None to hand messages out.

        Raises:
            HostDown: A host cannot be reached. None of the new names is subscribed to.
        """
        self.follow()
        entries = self._entries(kind, handlers)
        done: list[tuple[str, list[Any]]] = []
        for host, names in _by_host(entries).items():
            try:
                self._line(host).subscribe(kind, names)
            except HostError:
                self.lost(host)
                self._take_back(kind, done)
                raise
            done.append((host, names))
        for name, entry in entries.items():
            self.ledger.want(kind, name, entry)

    def _entries(self, kind: str, handlers: dict[Any, Any]) -> dict[Any, Entry]:
        return {
            self._as_replied(name): Entry(name, handler, self._places.of(kind, name))
            for name, handler in handlers.items()
        }

    def _take_back(self, kind: str, done: list[tuple[str, list[Any]]]) -> None:
        for host, names in done:
            new = [name for name in names if self.ledger.get(kind, self._as_replied(name)) is None]
            if new:
                self.lines[host].unsubscribe(kind, new)

    def unsubscribe(self, kind: str, names: list[Any] | None) -> None:
        """End subscriptions to some names; for None, to all names of a kind."""
        ending = list(self.ledger.of(kind)) if names is None else map(self._as_replied, names)
        for name in ending:
            entry = self.ledger.get(kind, name)
            if entry is None:
                continue
            self.ledger.leave(kind, name)
            for host in list(entry.hosts):
                line = self.lines.get(host)
                if line is None or not line.unsubscribe(kind, [entry.name]):
                    self._left(kind, name, host)

    def lost(self, host: str) -> None:
        """Note that the connection to a host was lost. The host will confirm its subscriptions again, but not their end."""
        self.ledger.lost(host)
        for kind, entry in self.ledger:
            for _ in range(self.ledger.outstanding(entry, host)):
                self._left(kind, self._as_replied(entry.name), host)

    def _left(self, kind: str, name: Any, host: str) -> None:
        """Make the message about the end of a subscription, for a host that cannot send it."""
        if self.ledger.left(kind, name, host):
            end = next(end for end, each in LEAVING.items() if each == kind)
            self.ended.append(
                {"type": end, "pattern": None, "channel": name, "data": self.ledger.count(kind)}
            )

    def _as_replied(self, name: Any) -> Any:
        return self._encoder.decode(self._encoder.encode(name))

    def _line(self, host: str) -> L:
        if host not in self.lines:
            self.lines[host] = self._make_line(host, self._places.engines[host])
        return self.lines[host]

    def follow(self) -> None:
        """Move subscriptions to the hosts where they belong now: subscribe on the new host, then unsubscribe on the old.

        A host without a connection is connected to first; until then the subscriptions stay where they are.
        """
        if self._places.changed():
            self._places.refresh()
            self._moving, self._move_due = True, 0.0
        if not self._moving or time.monotonic() < self._move_due:
            return
        self._move_due = time.monotonic() + _MOVING
        gone = [
            host for host, line in self.lines.items() if self._places.engines.get(host) is not line.engine
        ]
        for host in gone:
            self.lines.pop(host).close()
        for kind, entry in self.ledger:
            entry.hosts.difference_update(gone)
            for host in gone:
                for _ in range(self.ledger.outstanding(entry, host)):
                    self._left(kind, self._as_replied(entry.name), host)
        moved = [self._move(kind, entry) for kind, entry in self.ledger if entry.leaving is None]
        self._moving = not all(moved)
        if self._moving:
            self._move_due = 0.0  # connections are being opened

    def _move(self, kind: str, entry: Entry) -> bool:
        """Move a subscription; return False if a connection to a new host is still being opened."""
        hosts = self._places.of(kind, entry.name)
        new = hosts - entry.hosts
        opened = [self._line(host).open_soon() for host in new]
        if not all(opened):
            return False
        for host in new:
            self._line(host).subscribe(kind, [entry.name])
            entry.hosts.add(host)
        for host in entry.hosts - hosts:
            self.lines[host].unsubscribe(kind, [entry.name])
            entry.hosts.discard(host)
        return True

    def only_line(self) -> L | None:
        """Return the subscriber of the only host, made if need be; None if the cluster has several hosts."""
        self.follow()
        hosts = list(self._places.engines)
        return self._line(hosts[0]) if len(hosts) == 1 else None

    def close(self) -> None:
        """End all subscriptions, and close the connections."""
        while self.lines:
            self.lines.popitem()[1].close()
        self.ledger = Ledger()
        self.ended.clear()


def _by_host(entries: dict[Any, Entry]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for entry in entries.values():
        for host in entry.hosts:
            found.setdefault(host, []).append(entry.name)
    return found
