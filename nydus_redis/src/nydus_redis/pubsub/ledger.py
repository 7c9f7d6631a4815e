"""The names that are subscribed to: the hosts of each name, and the confirmations of these hosts so far. No I/O.

A channel belongs to the host of its name. A pattern belongs to all hosts, and so do channels that servers publish on by
themselves, as for keyspace notifications, which come from the host of the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from redis.commands.helpers import list_or_args

from nydus_core.command import key_bytes
from nydus_core.routers import Spread
from nydus_redis.commands import Wire

if TYPE_CHECKING:
    from nydus_core.cluster import ClusterBase

__all__ = ["CHANNELS", "LEAVING", "PATTERNS", "SHARD_CHANNELS", "Entry", "Ledger", "Places", "handlers"]

#: The kinds of subscriptions, each by the name of its command.
CHANNELS, PATTERNS, SHARD_CHANNELS = "subscribe", "psubscribe", "ssubscribe"

#: The commands that end subscriptions, each with the kind that it ends.
LEAVING = {"unsubscribe": CHANNELS, "punsubscribe": PATTERNS, "sunsubscribe": SHARD_CHANNELS}

#: Names of channels on which servers publish by themselves begin with these bytes.
_SERVERS_OWN = (b"__keyspace@", b"__keyevent@", b"__subkey", b"__sentinel__:", b"__redis__:")


def handlers(args: tuple[Any, ...]) -> dict[Any, Any]:
    """Return the handlers by name, of the positional arguments of ``subscribe``; None for plain names.

    Newer versions of redis-py have a class for a name and its handler.
    """
    names = list_or_args(args[0], args[1:]) if args else []
    return {getattr(name, "name", name): getattr(name, "handler", None) for name in names}


class Places:
    """The hosts of names, as long as the cluster stays as it is.

    Parameters:
        cluster: The cluster.
        wire: Makes keys of names.

    Attributes:
        engines: The hosts by name, in host order.
    """

    def __init__(self, cluster: ClusterBase[Any], wire: Wire) -> None:
        self._cluster = cluster
        self._wire = wire
        self.refresh()

    def changed(self) -> bool:
        """Tell whether the hosts or the router have changed."""
        return self._cluster.hosts is not self._seen or self._cluster.router is not self._router

    def refresh(self) -> None:
        """Look at the hosts and the router anew."""
        self._router: Any = self._cluster.router
        self._seen = self._cluster.hosts
        self.engines: Mapping[str, Any] = {str(key): engine for key, engine in self._seen.items()}

    def of(self, kind: str, name: Any) -> set[str]:
        """Return the hosts on which to subscribe to a name, so that each message is heard once."""
        names = list(self.engines)
        router: Any = self._router
        spread = getattr(router, "spread", Spread.ALL)
        if spread is Spread.ALL:  # each message is published on all hosts
            return {names[0]}
        if spread is Spread.ANY or kind == PATTERNS or key_bytes(name).startswith(_SERVERS_OWN):
            return set(names)
        (key,) = self._wire.describe(("PUBLISH", name, b""), {}).keys
        return {router.locate(key)}


@dataclass(slots=True)
class Entry:
    """A name that is subscribed to.

    Attributes:
        name: The name as the user gave it.
        handler: The function that is called with messages; None if they are handed out.
        hosts: The hosts of the name.
        leaving: The hosts that have not confirmed the end of the subscription; None before its end.
        ended: The same for each earlier end, after which the name was subscribed to again at once.
        confirmations: How often each host has confirmed the subscription.
        announced: How many of these confirmations of all hosts the user has seen.
        counts: Whether the last message that the user has seen told of the subscription, not of its end.
    """

    name: Any
    handler: Callable[[Any], Any] | None
    hosts: set[str]
    leaving: set[str] | None = None
    ended: list[set[str]] = field(default_factory=list[set[str]])
    confirmations: dict[str, int] = field(default_factory=dict[str, int])
    announced: int = 0
    counts: bool = False


class Ledger:
    """All names that are subscribed to, by kind, and by the name as it stands in replies."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, Any], Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        """Yield all subscriptions, each with its kind."""
        return ((kind, entry) for (kind, _), entry in list(self._entries.items()))

    def get(self, kind: str, name: Any) -> Entry | None:
        """Return a subscription, if there is one."""
        return self._entries.get((kind, name))

    def of(self, kind: str) -> dict[Any, Any]:
        """Return the handlers of a kind, by name."""
        return {name: entry.handler for (each, name), entry in self._entries.items() if each == kind}

    def want(self, kind: str, name: Any, entry: Entry) -> None:
        """Note a subscription. If there is one already, only its handler changes."""
        there = self._entries.setdefault((kind, name), entry)
        if there.leaving:
            there.ended.append(there.leaving)
        there.handler, there.leaving = entry.handler, None

    def leave(self, kind: str, name: Any) -> None:
        """Note that a subscription is to end on its hosts."""
        entry = self._entries[kind, name]
        entry.leaving = set(entry.hosts)

    def confirmed(self, kind: str, name: Any, host: str) -> bool:
        """Note that a host has confirmed a subscription; tell whether now all its hosts have."""
        entry = self.get(kind, name)
        if entry is None or host not in entry.hosts:
            return False
        entry.confirmations[host] = entry.confirmations.get(host, 0) + 1
        least = min(entry.confirmations.get(each, 0) for each in entry.hosts)
        news, entry.announced = least > entry.announced, max(least, entry.announced)
        entry.counts = entry.counts or news
        return news

    def left(self, kind: str, name: Any, host: str) -> bool:
        """Note that a host has ended a subscription; tell whether now all its hosts have."""
        entry = self.get(kind, name)
        if entry is None:
            return False
        for hosts in entry.ended:
            if host in hosts:
                return self._left_before(entry, hosts, host)
        if entry.leaving is None:
            return False
        entry.leaving.discard(host)
        if not entry.leaving:
            del self._entries[kind, name]
        return not entry.leaving

    def _left_before(self, entry: Entry, hosts: set[str], host: str) -> bool:
        """Note that a host has ended a subscription that goes on; tell whether all its hosts have."""
        hosts.discard(host)
        if hosts:
            return False
        entry.ended.remove(hosts)
        entry.counts = False  # until all hosts have confirmed the next subscription
        return True

    def outstanding(self, entry: Entry, host: str) -> int:
        """Count the ends of a subscription that a host has not confirmed."""
        ends = [*entry.ended, *([entry.leaving] if entry.leaving is not None else [])]
        return sum(host in hosts for hosts in ends)

    def lost(self, host: str) -> None:
        """Note that a host has to confirm its subscriptions again."""
        for entry in self._entries.values():
            if host in entry.hosts:
                entry.announced, entry.counts = 0, False
                entry.confirmations = {
                    each: min(count, 1) for each, count in entry.confirmations.items() if each != host
                }

    def count(self, kind: str) -> int:
        """Count subscriptions as a server does: shard channels apart from channels and patterns."""
        shards = kind == SHARD_CHANNELS
        return sum(
            1
            for (each, _), entry in self._entries.items()
            if entry.counts and (each == SHARD_CHANNELS) == shards
        )
