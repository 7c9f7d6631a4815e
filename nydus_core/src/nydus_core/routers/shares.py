"""The number of labels of each host on a ring, in the arithmetic of each client.

Each function takes the weights of the hosts, for each host the labels that it would have at average weight,
and the points of a label. ``n`` is the number of hosts, ``w`` a weight and ``W`` the sum of the weights.
Every bit matters, for one label more or less moves keys.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

__all__ = ["SHARES", "single"]

_FLOAT = struct.Struct("<f")


def proportional(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``labels * n * w / W``, rounded down; whole numbers are divided as whole numbers, as in Python 2.

    Source: nydus 0.11, ``nydus.contrib.ketama``; the same in rb 1.11, hash_ring 1.3 and uhashring 2.5.
    """
    total = sum(weights)
    if isinstance(total, int):
        return [
            int(label * len(weights) * weight // total) for label, weight in zip(labels, weights, strict=True)
        ]
    return [
        math.floor(label * len(weights) * weight / total)
        for label, weight in zip(labels, weights, strict=True)
    ]


def float32(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``labels * n * w / W`` in 32-bit floats, rounded after each step, which now and then loses a label.

    Source: twemproxy 0.5.0, ``ketama_update``.
    """
    total = sum(weights)
    return [
        math.floor(single(_share(weight / total, label * points, points, len(weights)) + 1e-10))
        for label, weight in zip(labels, weights, strict=True)
    ]


def _share(part: float, per_host: int, points: int, hosts: int) -> float:
    return single(single(single(single(part) * per_host) / points) * hosts)


def libmemcached(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``float32`` with 1 for a weight of 0. Source: libmemcached 1.1.4, ``update_continuum``."""
    return float32([weight or 1 for weight in weights], labels, points)


def spymemcached(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return the labels as they are, or ``float32`` if a host has a weight.

    Source: spymemcached 2.12.3, ``KetamaNodeLocator``, which has one way for weights and one for none.
    """
    return list(labels) if set(weights) == {1} else float32(weights, labels, points)


def libketama(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``w / W`` as a 32-bit float, times labels and n in 64 bits, again as a 32-bit float, rounded down.

    Source: RJ/ketama 18cf9a77, ``ketama_create_continuum``.
    """
    total = sum(weights)
    return [
        math.floor(single(single(weight / total) * float(label) * len(weights)))
        for label, weight in zip(labels, weights, strict=True)
    ]


def multiple(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``labels * w``: other hosts' weights do not count. Source: Jedis 3.9.0; uhashring 2.5, ``MetaRing``."""
    return [int(label * weight) for label, weight in zip(labels, weights, strict=True)]


def rounded(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return ``labels * w``, rounded to the nearest whole number.

    Sources: Cache::Memcached::Fast 0.28; ketama 1.0.0 of npm.
    """
    return [int(label * weight + 0.5) for label, weight in zip(labels, weights, strict=True)]


def equal(weights: Sequence[float], labels: Sequence[int], points: int) -> list[int]:
    """Return the labels as they are: for clients that know no weights."""
    return list(labels)


def single(number: float) -> float:
    """Return a number rounded to a 32-bit float."""
    rounded: float = _FLOAT.unpack(_FLOAT.pack(number))[0]
    return rounded


#: Every arithmetic, by name.
SHARES: dict[str, Callable[[Sequence[float], Sequence[int], int], list[int]]] = {
    "proportional": proportional,
    "float32": float32,
    "libmemcached": libmemcached,
    "spymemcached": spymemcached,
    "libketama": libketama,
    "multiple": multiple,
    "rounded": rounded,
    "equal": equal,
}
