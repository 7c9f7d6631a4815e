"""Weighted rendezvous of slots and hosts with bounded loads: the arithmetic of the router ``slots``.

Every host has a rating for every slot. Each slot prefers the hosts with higher ratings, and each host prefers the slots
for which its own rating is higher. Deferred acceptance gives each slot a host, and no host more slots than its bound.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections import Counter
from collections.abc import Sequence
from hashlib import shake_128
from itertools import accumulate
from math import exp, log
from typing import TYPE_CHECKING

from nydus_core.routers.slots import SLOTS

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["Preferences", "Ranks", "bounds", "deal"]

#: So many hosts of unequal and of equal weights are few: all are compared for each slot. With more hosts, about so many
#: of the best: then less is computed.
FEW, RANKED = (6, 32), 6
#: A key is a cost above these bits, which hold the position of the host, and the slot.
_BELOW, _SLOT_BITS = 32, 14
_HOST, _SLOT = (1 << _BELOW - _SLOT_BITS) - 1, SLOTS - 1
#: Costs of unequal weights are compared exactly if they differ by less than this part of them, 2 ** -29.
_NEAR = 29


class Preferences:
    """The hosts of each slot, best first. They are computed when they are asked for; only scores are kept.

    Host and slot have the *score* X, a number of 32 bits: bytes ``4 * slot`` to ``4 * slot + 3`` of SHAKE128 of the
    label as UTF-8, read as a little-endian number. With u = (2 * X + 1) / 2 ** 33 and the weight w, the rating is
    ``-w / ln(u)``. The highest is the best; equal ratings go to the smaller label.

    Here a rating is a *cost*, the less the better: ``2 ** 32 - 1 - X`` if all weights are equal, or else ``-ln(u) / w``
    in fixed point. If two costs of a slot are so near that a logarithm of a double may be wrong, 100 digits decide.

    A *row* has keys of hosts for one slot, best first. A key is the cost, the position of the host, and the slot, in the bits of
    one number.

    Parameters:
        labels: The labels of the hosts, in ascending order.
        weights: The weights of the hosts, whole numbers above 0.
    """

    def __init__(self, labels: Sequence[str], weights: Sequence[int]) -> None:
        self._weights = weights
        self._even = min(weights) == max(weights)
        self._scale = [2.0**72 * (max(weights) / weight) for weight in weights]
        self._scores = [shake_128(label.encode()).digest(4 * SLOTS) for label in labels]
        #: Whether hosts are so few that all of a slot are quickly ranked when they are needed.
        self.few = len(labels) <= FEW[self._even]

    def best(self) -> tuple[list[int], list[Sequence[int]]]:
        """Return the position of the best host of each slot; and a row for each slot, which is empty if hosts are few."""
        if self.few:
            return self._best_of_few(), [()] * SLOTS
        rows = self._best_of_many()
        return [_host_of(row[0]) for row in rows], rows

    def keys(self, hosts: Sequence[int]) -> list[int]:
        """Return a key for each slot.

        Parameters:
            hosts: The position of a host, for each slot.
        """
        words = [*map(_numbers, self._scores)]
        return [
            self._cost(host, words[host][slot]) << _BELOW | host << _SLOT_BITS | slot
            for slot, host in enumerate(hosts)
        ]

    def row(self, slot: int) -> Sequence[int]:
        """Return the whole row of a slot."""
        return self._sorted(
            [
                self._cost(host, self._score(host, slot)) << _BELOW | host << _SLOT_BITS | slot
                for host in range(len(self._scores))
            ]
        )

    def hosts(self, slot: int) -> list[int]:
        """Return the positions of all hosts, the best for a slot first."""
        return [_host_of(key) for key in self.row(slot)]

    def _score(self, host: int, slot: int) -> int:
        return int.from_bytes(self._scores[host][4 * slot : 4 * slot + 4], "little")

    def _cost(self, host: int, score: int) -> int:
        return 0xFFFFFFFF - score if self._even else int(-log((2 * score + 1) / 2**33) * self._scale[host])

    def _best_of_few(self) -> list[int]:
        if self._even:
            return _highest(self._scores)
        columns = map(self._weighted_column, range(len(self._scores)))
        return [_host_of(self._sorted(row)[0]) for row in zip(*columns, strict=True)]

    def _weighted_column(self, host: int) -> Sequence[int]:
        low, scale = host << _SLOT_BITS, self._scale[host]
        return [
            int(-log((score + score + 1) / 2**33) * scale) << _BELOW | low | slot
            for slot, score in enumerate(_numbers(self._scores[host]))
        ]

    def _best_of_many(self) -> list[Sequence[int]]:
        """Rank, for each slot, the hosts whose cost is below a limit. For most of them the highest byte of the score tells."""
        rows: list[list[int]] = [[] for _ in range(SLOTS)]
        add = [row.append for row in rows]
        total, limits = sum(self._weights), [1 << 200]
        for host, scores in enumerate(self._scores):
            low, scale = host << _SLOT_BITS, self._scale[host]
            least = min(int(256 * exp(-RANKED * self._weights[host] / total)), 255)
            if least:
                limits.append(self._cost(host, (least << 24) - 1))
            slots = [
                found.start() for found in re.finditer(b"[\\x%02x-\\xff]" % least, scores[3::4], re.DOTALL)
            ]
            words = _numbers(scores)
            if self._even:
                for slot in slots:
                    add[slot]((0xFFFFFFFF - words[slot]) << _BELOW | low | slot)
            else:
                for slot in slots:
                    word = words[slot]
                    add[slot](int(-log((word + word + 1) / 2**33) * scale) << _BELOW | low | slot)
        limit = min(limits)
        return [self._sorted(row, limit) or self.row(slot) for slot, row in enumerate(rows)]

    def _sorted(self, keys: Sequence[int], limit: int | None = None) -> Sequence[int]:
        """Return the keys of a slot, best first, and none that is not clearly below a limit."""
        row = sorted(keys)
        if self._even:
            return row
        if limit is not None:
            while row and _near(row[-1] >> _BELOW, limit):
                limit = min(limit, row.pop() >> _BELOW)
        costs = [key >> _BELOW for key in row]
        if any(map(_near, costs, costs[1:])):
            row.sort(key=self._exact)
        return row

    def _exact(self, key: int) -> tuple[Decimal, int]:
        from decimal import Decimal  # hardly ever needed

        from nydus_core.routers.rendezvous import exact_rating

        host, slot = key >> _SLOT_BITS & _HOST, key & _SLOT
        u = Decimal((2 * self._score(host, slot) + 1) / 2**33)  # a double has all of its bits
        return exact_rating(u, self._weights[host]).copy_negate(), host


class Ranks:
    """The best hosts of each slot, about ``RANKED`` of them, kept small.

    Parameters:
        rows: The rows of all slots.
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        best = [row[:RANKED] for row in rows]
        self._hosts = array("H", [key >> _SLOT_BITS & _HOST for row in best for key in row])
        self._ends = array("I", accumulate(map(len, best), initial=0))

    def hosts(self, slot: int) -> Sequence[int]:
        """Return the positions of the best hosts for a slot, the best first."""
        return self._hosts[self._ends[slot] : self._ends[slot + 1]]


def _host_of(key: int) -> int:
    return key >> _SLOT_BITS & _HOST


def _highest(scores: Sequence[bytes]) -> list[int]:
    """Return, for each slot, the position of the highest of some scores, the first of equal ones.

    All slots are compared at once, as parts of one large number, which takes a tenth of the time. Each slot has 6 bytes there: one
    is the higher, the earlier the host, then come the 4 of the score. A bit above them is set in the highest scores so far. When
    the scores of another host are subtracted, the bit stays set for each slot whose score of that host is not higher.

    Parameters:
        scores: The scores of each host, at most 256 hosts.
    """
    above = int.from_bytes(b"\0\0\0\0\0\1" * SLOTS, "little")
    highest = 0
    for host, each in enumerate(scores):
        parts = bytearray(6 * SLOTS)
        parts[::6] = bytes((255 - host,)) * SLOTS
        for byte in range(4):
            parts[byte + 1 :: 6] = each[byte::4]
        score = int.from_bytes(parts, "little")
        higher = ((highest | above) - score) & above ^ above
        highest ^= (highest ^ score) & (higher - (higher >> 40))
    return [255 - each for each in highest.to_bytes(6 * SLOTS, "little")[::6]]


def _numbers(scores: bytes) -> array[int]:
    found = array("I", scores)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _near(less: int, more: int) -> bool:
    """Tell whether a cost is not clearly less than another one."""
    return more - less <= more >> _NEAR


def bounds(weights: Sequence[int], bound: tuple[int, int]) -> list[int]:
    """Return the most slots that each host may have: its fair share times the bound, rounded up.

    Parameters:
        weights: The weights of the hosts.
        bound: The bound, at least 1, as a numerator and a denominator. So there is always a place for every slot.
    """
    most, whole = bound[0] * SLOTS, bound[1] * sum(weights)
    return [-(-most * weight // whole) for weight in weights]


def deal(
    preferences: Preferences, best: list[int], rows: list[Sequence[int]], most: Sequence[int]
) -> list[int]:
    """Return the position of the host of each slot, by deferred acceptance.

    Each slot asks its best host. A host that was asked by more slots than it may have keeps the best of them, and each
    other slot asks its next best host. The result is the same in whatever order slots ask: the only stable one. Sources:
    Gale and Shapley, *College Admissions and the Stability of Marriage*, 1962; Mirrokni, Thorup and Zadimoghaddam,
    *Consistent Hashing with Bounded Loads*, 2018.

    Parameters:
        preferences: The hosts of each slot, best first.
        best: The position of the best host of each slot.
        rows: The rows of all slots. They are filled up where the best hosts have no room.
        most: The most slots of each host; together at least ``SLOTS``.
    """
    if all(count <= most[host] for host, count in Counter(best).items()):
        return best
    places = [0] * SLOTS
    held: list[list[int]] = [[] for _ in most]
    asking = [row[0] for row in rows] if rows[0] else preferences.keys(best)
    while asking:
        for key in asking:
            held[key >> _SLOT_BITS & _HOST].append(key)
        asking = []
        for host, keys in enumerate(held):
            if len(keys) > most[host]:
                keys.sort()
                for key in keys[most[host] :]:
                    slot = key & _SLOT
                    places[slot] += 1
                    if places[slot] >= len(rows[slot]):
                        rows[slot] = preferences.row(slot)
                    asking.append(rows[slot][places[slot]])
                del keys[most[host] :]
    table = [0] * SLOTS
    for host, keys in enumerate(held):
        for key in keys:
            table[key & _SLOT] = host
    return table
