"""Weighted rendezvous of slots and hosts with bounded loads: the arithmetic of the router ``slots``.

Every host has a rating for every slot. Each slot prefers the hosts with higher ratings, and each host prefers the slots
for which its own rating is higher. Deferred acceptance gives each slot a host, and no host more slots than its bound.
"""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from hashlib import shake_128
from itertools import accumulate
from math import ceil, exp, log
from struct import Struct

from nydus_core.routers.rendezvous import exact_rating
from nydus_core.routers.slots import SLOTS

__all__ = ["Preferences", "bounds", "deal"]

#: With at most so many hosts of unequal and of equal weights, all are ranked for each slot. With more hosts, about so many
#: of the best: then less is computed.
MOST_ALL, RANKED = (6, 16), 6
#: A key is a cost above these bits, which hold the position of the host, and the slot.
_BELOW, _SLOT_BITS = 32, 14
_HOST, _SLOT = (1 << _BELOW - _SLOT_BITS) - 1, SLOTS - 1
#: Costs of unequal weights are compared exactly if they differ by less than this part of them, 2 ** -29.
_NEAR = 29
_WORDS, _LONGS = Struct(f"<{SLOTS}I"), Struct(f"<{SLOTS}Q")
_INVERTED = bytes(range(255, -1, -1))


class Preferences:
    """The hosts of each slot, best first. The first of them are known; all others are computed if they are needed.

    Host and slot have the *score* X, a number of 32 bits: bytes ``4 * slot`` to ``4 * slot + 3`` of SHAKE128 of the
    label as UTF-8, read as a little-endian number. With u = (2 * X + 1) / 2 ** 33 and the weight w, the rating is
    ``-w / ln(u)``. The highest is the best; equal ratings go to the smaller label.

    Here a rating is a *cost*, the less the better: ``2 ** 32 - 1 - X`` if all weights are equal, or else ``-ln(u) / w``
    in fixed point. If two costs of a slot are so near that a logarithm of a double may be wrong, 100 digits decide.

    Parameters:
        labels: The labels of the hosts, in ascending order.
        weights: The weights of the hosts, whole numbers above 0.
    """

    def __init__(self, labels: Sequence[str], weights: Sequence[int]) -> None:
        self._weights = weights
        self._even = min(weights) == max(weights)
        self._scale = [2.0**72 * (max(weights) / weight) for weight in weights]
        self._scores = [shake_128(label.encode()).digest(4 * SLOTS) for label in labels]
        #: For each slot the keys of its best hosts, best first.
        self.rows: list[Sequence[int]] = self._all() if len(labels) <= MOST_ALL[self._even] else self._best()

    def host(self, slot: int) -> int:
        """Return the position of the best host of a slot."""
        return self.key(slot, 0) >> _SLOT_BITS & _HOST

    def key(self, slot: int, place: int) -> int:
        """Return the key of a host of a slot: its cost, the position of the host, and the slot, in the bits of one number.

        Parameters:
            slot: The slot.
            place: 0 for the best host, 1 for the second best, and so on.
        """
        if place >= len(self.rows[slot]):
            self.rows[slot] = self._sorted([self._key(host, slot) for host in range(len(self._scores))])
        return self.rows[slot][place]

    def packed(self) -> tuple[array[int], array[int]]:
        """Return the positions of the best hosts of all slots, slot by slot; and the end of each slot's hosts."""
        rows = [row[:RANKED] for row in self.rows]
        hosts = array("H", [key >> _SLOT_BITS & _HOST for row in rows for key in row])
        return hosts, array("I", accumulate(map(len, rows)))

    def _key(self, host: int, slot: int) -> int:
        return self._cost(host, self._score(host, slot)) << _BELOW | host << _SLOT_BITS | slot

    def _score(self, host: int, slot: int) -> int:
        return int.from_bytes(self._scores[host][4 * slot : 4 * slot + 4], "little")

    def _cost(self, host: int, score: int) -> int:
        return 0xFFFFFFFF - score if self._even else int(-log((2 * score + 1) / 2**33) * self._scale[host])

    def _all(self) -> list[Sequence[int]]:
        """Rank all hosts for each slot."""
        columns = map(self._column if self._even else self._weighted_column, range(len(self._scores)))
        return [self._sorted(row) for row in zip(*columns, strict=True)]

    def _column(self, host: int) -> Sequence[int]:
        """Return the keys of a host for all slots. They are laid out as bytes and read as they stand, which is quick."""
        low = _WORDS.pack(*range(host << _SLOT_BITS, (host << _SLOT_BITS) + SLOTS))
        costs, keys = self._scores[host].translate(_INVERTED), bytearray(8 * SLOTS)
        for byte in range(4):
            keys[byte::8] = low[byte::4]
            keys[byte + 4 :: 8] = costs[byte::4]
        return _LONGS.unpack(keys)

    def _weighted_column(self, host: int) -> Sequence[int]:
        low, scale = host << _SLOT_BITS, self._scale[host]
        return [
            int(-log((score + score + 1) / 2**33) * scale) << _BELOW | low | slot
            for slot, score in enumerate(_WORDS.unpack(self._scores[host]))
        ]

    def _best(self) -> list[Sequence[int]]:
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
        return [self._sorted(row, limit) for row in rows]

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
        host, slot = key >> _SLOT_BITS & _HOST, key & _SLOT
        u = Decimal((2 * self._score(host, slot) + 1) / 2**33)  # a double has all of its bits
        return exact_rating(u, self._weights[host]).copy_negate(), host


def _numbers(scores: bytes) -> array[int]:
    found = array("I", scores)
    if sys.byteorder == "big":
        found.byteswap()
    return found


def _near(less: int, more: int) -> bool:
    """Tell whether a cost is not clearly less than another one."""
    return more - less <= more >> _NEAR


def bounds(weights: Sequence[int], bound: Fraction) -> list[int]:
    """Return the most slots that each host may have: its fair share times the bound, rounded up.

    Parameters:
        weights: The weights of the hosts.
        bound: The bound, at least 1. So there is always a place for every slot.
    """
    total = sum(weights)
    return [ceil(bound * SLOTS * weight / total) for weight in weights]


def deal(preferences: Preferences, most: Sequence[int]) -> list[int]:
    """Return the position of the host of each slot, by deferred acceptance.

    Each slot asks its best host. A host that was asked by more slots than it may have keeps the best of them, and each
    other slot asks its next best host. The result is the same in whatever order slots ask: the only stable one. Sources:
    Gale and Shapley, *College Admissions and the Stability of Marriage*, 1962; Mirrokni, Thorup and Zadimoghaddam,
    *Consistent Hashing with Bounded Loads*, 2018.

    Parameters:
        preferences: The hosts of each slot, best first.
        most: The most slots of each host; together at least ``SLOTS``.
    """
    places = [0] * SLOTS
    held: list[list[int]] = [[] for _ in most]
    asking = [preferences.key(slot, 0) for slot in range(SLOTS)]
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
                    asking.append(preferences.key(slot, places[slot]))
                del keys[most[host] :]
    table = [0] * SLOTS
    for host, keys in enumerate(held):
        for key in keys:
            table[key & _SLOT] = host
    return table
