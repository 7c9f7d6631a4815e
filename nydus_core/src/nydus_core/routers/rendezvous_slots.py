"""The router ``slots``, for new clusters: each of 16384 slots has a host, by weighted rendezvous with bounded loads.

The arithmetic is in ``bounded``. With slots that are given, the settings say the host of each slot.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.plain import plain
from nydus_core.routers.bounded import Preferences, Ranks, bounds, deal
from nydus_core.routers.keyed import LabelledRouter
from nydus_core.routers.protocol import Node, refuse_weights
from nydus_core.routers.slots import SLOTS, SlotTable, given_owners
from nydus_core.routers.weights import reduced
from nydus_core.wording import written

__all__ = ["RendezvousSlots"]

#: The bound, unless the settings say another; and the same as a fraction.
BOUND, BOUND_RATIO = 1.05, (21, 20)


class RendezvousSlots(SlotTable, LabelledRouter):
    """Slots of Redis Cluster, dealt to hosts by weighted rendezvous of slot and host, with bounded loads.

    The slot of a key is its slot in a Redis Cluster: CRC-16 of the key or its hash tag, modulo 16384. Each slot goes to the host
    with the highest rating for it. A host keeps no more slots than ``bound`` times its fair share, rounded up: those for
    which its rating is highest. Each other slot goes to the next best host that has room. So a host that is added, removed
    or reweighted moves its own share, and few slots besides. ``Preferences`` and ``deal`` in ``bounded`` have the exact rule.

    Only names (or labels) and ratios of weights count. With ``slots``, keys move only when you move their slots.

    Parameters:
        nodes: The hosts, in host order, which does not count.
        bound: The most slots of a host, as a multiple of its fair share: 1 or more. Nearer to 1 is more even, and moves more
            slots when hosts change. A number beyond any share, such as 16384, is no bound: each slot has its best host.
        slots: The slots of each host by its name, such as ``{'a': ['0-5460', 7000]}``; see ``Slots``. Instead of ``bound``.
        label_options: The options of ``LabelledRouter``.

    Raises:
        ConfigError: An option is wrong; or two hosts have one label; or slots are given, and a slot has no host or two
            hosts, or a host has a weight.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        bound: float | None = None,
        slots: Mapping[str, Any] | None = None,
        **label_options: Any,
    ) -> None:
        super().__init__(nodes, **label_options)
        self._bound = None if slots is not None else BOUND if bound is None else _checked(bound)
        weights = reduced(nodes)
        if slots is not None:
            if bound is not None:
                raise ConfigError(
                    "a bound has no effect on slots that are given: leave it out", "router.bound"
                )
            refuse_weights(nodes, "a fleet whose slots are given")
            self._give(given_owners(slots, self.names))
            weights = [int(name in self._owners) for name in self.names]
        #: Label, weight and name of each host that a key may go to.
        self._hosts = sorted(host for host in zip(self.labels, weights, self.names, strict=True) if host[1])
        if len(self._hosts) > SLOTS:
            raise ConfigError(f"found {len(self._hosts)} hosts; there are {SLOTS} slots", "hosts")
        #: Knows the best hosts of a slot. With slots that are given, it is made when a host is to be avoided.
        self._ranks: Preferences | Ranks | None = None
        #: The hosts of slots without some hosts: the last table of this kind, and the hosts that are left in it.
        self._rest: tuple[list[int], list[str]] = ([], [])
        if self._bound is not None:
            preferences = _preferences(self._hosts)
            best, rows = preferences.best()
            most = bounds([weight for _, weight, _ in self._hosts], _ratio(self._bound))
            names = [name for *_, name in self._hosts]
            self._give([names[host] for host in deal(preferences, best, rows, most)])
            self._ranks = _ranks(preferences, rows)

    def _other(self, slot: int, avoid: Collection[str]) -> str:
        if self._ranks is None:
            self._ranks = _ranks(_preferences(self._hosts))
        for host in self._ranks.hosts(slot):
            name = self._hosts[host][2]
            if name not in avoid:
                return name
        return self._next_best(slot, avoid)

    def _next_best(self, slot: int, avoid: Collection[str]) -> str:
        """Return the name of the host of a slot all of whose best hosts are to be avoided, as are many at once."""
        hosts = [host for host in self._hosts if host[2] not in avoid]
        names = [name for *_, name in hosts]
        if not hosts:
            raise self._none_left()
        table, left = self._rest
        if left != names:
            table, _ = _preferences(hosts).best()
            self._rest = table, names
        return names[table[slot]]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        made_with = {"slots": self.ranges()} if self._bound is None else {"bound": self._bound}
        return {**made_with, **super().parameters()}


def _preferences(hosts: Sequence[tuple[str, int, str]]) -> Preferences:
    labels, weights, _ = zip(*hosts, strict=True)
    return Preferences(labels, weights)


def _ranks(preferences: Preferences, rows: Sequence[Sequence[int]] | None = None) -> Preferences | Ranks:
    """Return the object that knows the best hosts of a slot: few hosts are ranked anew each time."""
    return preferences if preferences.few else Ranks(preferences.best()[1] if rows is None else rows)


def _ratio(bound: float) -> tuple[int, int]:
    """Return the decimal number that was written as a numerator and a denominator."""
    if bound == BOUND:
        return BOUND_RATIO
    from fractions import Fraction  # brings decimal, too

    return Fraction(str(bound)).as_integer_ratio()


def _checked(bound: Any) -> float:
    bound = plain(bound)
    if type(bound) not in (int, float) or not 1 <= bound <= 1e300:
        raise ConfigError(
            f"found {written(bound)}; expected a number, 1 or more: the most slots of a host, times its fair share",
            "router.bound",
        )
    number: float = bound
    return number
