"""Routers that do not look at keys: each command goes to all hosts, or to the next host."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar

from nydus_core.errors import RoutingError
from nydus_core.routers.legacy import UNCALLED_ROUND_ROBIN
from nydus_core.routers.protocol import Node, NodeRouter, Spread, whole_weights

__all__ = ["BroadcastRouter", "RoundRobinRouter"]


class BroadcastRouter(NodeRouter):
    """Every command goes to all hosts, in parallel, and answers a list in host order.

    A cluster without a router does the same. A cluster of a single host answers as that host does, without lists.

    Parameters:
        nodes: The hosts, in host order.

    Raises:
        ConfigError: A host has a weight.
    """

    spread: ClassVar[Spread] = Spread.ALL

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(nodes)

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Refuse: no key has one place here.

        Raises:
            RoutingError: Always.
        """
        raise RoutingError("the broadcast router sends every command to all hosts; no key has one place")


class RoundRobinRouter(NodeRouter):
    """Each command goes to the next host in turn, whatever its keys. For hosts that are interchangeable.

    Turns start at the first host. All threads share the turns of a cluster. A host that is to be avoided is
    passed over and loses its turn. A host of weight 3 has three turns in every round, at even distances.
    Source of the order: nydus 0.11, which knew no weights.

    Parameters:
        nodes: The hosts, in host order.

    Raises:
        ConfigError: A weight is not whole.
    """

    uncalled: ClassVar[Mapping[str, str]] = UNCALLED_ROUND_ROBIN
    spread: ClassVar[Spread] = Spread.ANY
    on_host_down: ClassVar[str] = "reroute"
    weighted: ClassVar[bool] = True

    def __init__(self, nodes: Sequence[Node]) -> None:
        super().__init__(nodes)
        self._turns = itertools.count()
        self._round = _round(self.names, whole_weights(nodes, "round-robin"))

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the next host.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        for _ in self._round:
            name = self._round[next(self._turns) % len(self._round)]
            if name not in avoid:
                return name
        left = self.candidates(avoid)  # other threads took the turns of the hosts that are left
        return left[next(self._turns) % len(left)]


def _round(names: Sequence[str], weights: Sequence[int]) -> list[str]:
    """Return the hosts of one round: each as often as its weight says, at even distances."""
    turns = [
        ((turn + 0.5) / weight, position) for position, weight in enumerate(weights) for turn in range(weight)
    ]
    return [names[position] for _, position in sorted(turns)]
