"""Maglev: a large table of hosts, in which the hash of a key is looked up.

Every host has its own order of all places of the table. In turn, each host takes its first free place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from nydus_core.checks import whole_number
from nydus_core.errors import ConfigError
from nydus_core.routers.hashes_wordwise import siphash
from nydus_core.routers.keyed import LabelledRouter
from nydus_core.routers.protocol import Node, wrong_key
from nydus_core.wording import written

__all__ = ["Maglev", "maglev_table"]

_SIPHASH_KEY = (0xDEADBEEFCAFEBABE, 0)
#: The most places of a table: Python is slow to fill a larger table.
MOST = 1_000_000


class Maglev(LabelledRouter):
    """Consistent hashing by a table: almost perfectly even, and a look-up takes as long for a thousand hosts as for one.

    With a host more or less, a few keys also move between hosts that stay. Hosts take turns in host order,
    which counts. Source: Eisenbud et al., *Maglev: A Fast and Reliable Software Network Load Balancer*, 2016;
    hashes of names as in dgryski/go-maglev; weights as in Envoy: a host of half the weight takes every other turn.

    Parameters:
        nodes: The hosts, in host order.
        hash: The hash of keys, by name. ``decimal`` takes keys that are numbers as they are.
        table: The number of places: a prime number, at least a hundred times the number of hosts.
        label_options: The options of ``LabelledRouter``.

    Raises:
        ConfigError: An option is wrong, or two hosts have one label.
    """

    family: ClassVar[str] = "maglev"
    weighted: ClassVar[bool] = True

    def __init__(
        self, nodes: Sequence[Node], *, hash: str = "blake2b", table: int = 65537, **label_options: Any
    ) -> None:
        super().__init__(nodes, **label_options)
        if not _is_prime(whole_number(table, 2, MOST, "router.table")):
            raise ConfigError(f"found {written(table)}; expected a prime number, 2 to {MOST}", "router.table")
        if table < len(nodes):
            raise ConfigError(
                f"found {table}; expected more places than the {len(nodes)} hosts", "router.table"
            )
        self._hash = self._hash_of_keys(hash)
        self._made_with = {"hash": hash, "table": table}
        self._size = table
        places = maglev_table(self.labels, [node.weight for node in nodes], table)
        self._table = [self.names[host] for host in places]
        self._owners = frozenset(self._table)

    def hash_of(self, key: bytes) -> int:
        """Return the hash of a key."""
        return self._hash(self.part_of(key))

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to the host of the next place in the table; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        try:
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            place = self._hash(key) % self._size
            name = self._table[place]
            return self._other(place, avoid) if avoid and name in avoid else name
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None

    def _other(self, place: int, avoid: Collection[str]) -> str:
        if all(name in avoid for name in self._owners):
            raise self._none_left()
        while self._table[place] in avoid:
            place = (place + 1) % self._size
        return self._table[place]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {**self._made_with, **super().parameters()}

    def owners(self) -> Collection[str]:
        """Return the names of the hosts that have a place."""
        return self._owners

    def placement(self) -> list[Any]:
        """Return the hash of keys, and the table."""
        return [self._made_with["hash"], self._table]


def maglev_table(labels: Sequence[str], weights: Sequence[float], size: int) -> list[int]:
    """Return the position of the host of each place.

    A label is hashed with SipHash-2-4, key (0xdeadbeefcafebabe, 0): the upper 32 bits modulo ``size`` are the
    first place that the host asks for; the lower 32 bits modulo ``size - 1``, plus 1, are the distance to
    each further place.

    Parameters:
        labels: The labels of the hosts.
        weights: The weights of the hosts; at least one is above 0. The heaviest host takes every turn.
        size: The number of places, a prime number.
    """
    hashes = [siphash(label.encode(), _SIPHASH_KEY) for label in labels]
    following = [(each >> 32) % size for each in hashes]
    distance = [(each & 0xFFFFFFFF) % (size - 1) + 1 for each in hashes]
    table = [-1] * size
    due = [0.0] * len(labels)
    heaviest, free, turn = max(weights), size, 0
    while True:
        turn += 1
        for host, weight in enumerate(weights):
            if turn * weight < due[host] or not weight:
                continue
            due[host] += heaviest
            place, step = following[host], distance[host]
            while table[place] >= 0:
                place += step
                if place >= size:
                    place -= size
            table[place] = host
            following[host] = (place + step) % size
            free -= 1
            if not free:
                return table


def _is_prime(number: int) -> bool:
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))
