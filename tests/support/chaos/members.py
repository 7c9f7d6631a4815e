"""The hosts of a run, and how they change while calls are under way."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from chaos.record import Epoch
from chaos.schedule import Change
from nydus.db import create_cluster

__all__ = ["Members"]


class Members:
    """The hosts of a cluster, and the epochs of a run.

    Parameters:
        names: What stands for each server in effects.
        hosts: How many hosts there are in the beginning: each has the server of its number.
        settings: Returns the settings of a host, by its name and the number of its server.
        router: The setting ``router``, if that gives a key a host; else empty.

    Attributes:
        servers: The number of the server of each host, in host order.
        epochs: All epochs so far.
    """

    def __init__(
        self, names: Sequence[str], hosts: int, settings: Callable[[str, int], dict[str, Any]], router: str
    ) -> None:
        self._weights: dict[str, int] = {}
        self.servers = {f"h{number}": number for number in range(hosts)}
        self.epochs: list[Epoch] = []
        self._names = names
        self._settings = settings
        self._router = router

    def hosts(self) -> dict[str, dict[str, Any]]:
        """Return the settings of all hosts."""
        return {name: self._settings(name, server) for name, server in self.servers.items()}

    def begin(self, cluster: Any) -> None:
        """Begin the first epoch of a cluster that was just made."""
        self._cluster = cluster
        self.epochs = [Epoch(-math.inf, math.inf, *self._now())]

    def change(self, change: Change, start: float, do: Callable[[Callable[[], None]], None]) -> None:
        """Change the hosts.

        Parameters:
            change: The change.
            start: When the run began, on the clock of ``time.monotonic``.
            do: Calls a function where the cluster may be changed.
        """
        name = f"h{change.host}"
        if change.kind in ("remove", "replace"):
            with self._changed(start):
                do(lambda: self._cluster.remove_host(name))
                del self.servers[name]
                self._weights.pop(name, None)
        if change.kind in ("add", "replace"):
            settings = self._settings(name, change.server)
            settings |= {"weight": change.weight} if change.weight > 1 else {}
            with self._changed(start):
                do(lambda: self._cluster.add_host(name, settings))
                self.servers[name], self._weights[name] = change.server, change.weight
        if change.kind == "weight":
            with self._changed(start):
                do(lambda: self._cluster.set_weight(name, change.weight))
                self._weights[name] = change.weight

    @contextmanager
    def _changed(self, start: float) -> Iterator[None]:
        """End an epoch and begin another: a call meanwhile may see either."""
        begin = time.monotonic() - start
        yield
        last = self.epochs[-1]
        end = time.monotonic() - start
        self.epochs[-1] = Epoch(last.begin, end, last.members, last.home)
        self.epochs.append(Epoch(begin, math.inf, *self._now()))

    def _now(self) -> tuple[Mapping[str, str], Callable[[str], str] | None]:
        members = {name: self._names[server] for name, server in self.servers.items()}
        return members, self._home() if self._router else None

    def _home(self) -> Callable[[str], str]:
        """The placement of another cluster, which has these hosts from the start."""
        hosts = {
            name: {"identifier": f"chaos://{name}", "port": int(name.removeprefix("h")) + 1}
            | ({"weight": weight} if (weight := self._weights.get(name, 1)) > 1 else {})
            for name in self.servers
        }
        with create_cluster({"engine": "redis", "router": self._router, "hosts": hosts}) as other:
            router: Any = other.router
        return lambda key: str(router.locate(key.encode()))
