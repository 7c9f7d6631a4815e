"""Ketama rings: every host owns many points on a circle, and a key belongs to the next point after its hash."""

from __future__ import annotations

import hashlib
import math
import struct
from bisect import bisect_right
from collections.abc import Collection, Sequence
from typing import ClassVar

from nydus_core.errors import ConfigError, HostListExhausted
from nydus_core.routers.protocol import Node, NodeRouter, hash_tag

__all__ = ["ConsistentHashingRouter", "KetamaRing"]

#: Labels a node of average weight; each gives the four points of one MD5 digest.
LABELS = 40


class KetamaRing:
    """A ring with the points of nydus 0.11.

    Source: nydus 0.11, ``nydus.contrib.ketama``: a node of weight w out of W has ``floor(40 * n * w / W)`` labels
    ``<label>-<i>-salt``; each MD5 digest gives four little-endian 32-bit points; a key belongs to the first point
    that is greater than the first 32 bits of its own digest. Where two nodes share a point the later one has it.

    Parameters:
        nodes: Pairs of a node's label and its weight, in order.
    """

    def __init__(self, nodes: Sequence[tuple[str, float]]) -> None:
        weights = dict(nodes)
        owners: dict[int, str] = {}
        for label, count in _shares(weights).items():
            for i in range(count):
                owners.update(dict.fromkeys(struct.unpack("<4I", _md5(f"{label}-{i}-salt".encode())), label))
        self.points = sorted(owners)
        self.owners = [owners[point] for point in self.points]

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str | None:
        """Return the label of the node that a key belongs to, or None if no node is left.

        A key whose node is to be avoided goes to the owner of the next point; no other key moves.
        """
        owners = self.owners
        start = bisect_right(self.points, int.from_bytes(_md5(key)[:4], "little"))
        if not avoid:
            return (owners[start] if start < len(owners) else owners[0]) if owners else None
        after = (owners[i % len(owners)] for i in range(start, start + len(owners)))
        return next((owner for owner in after if owner not in avoid), None)


def _shares(weights: dict[str, float]) -> dict[str, int]:
    """How many labels each node has; whole numbers are divided as whole numbers, as Python 2 did."""
    total = sum(weights.values())
    if not total:
        return dict.fromkeys(weights, 0)
    return {
        label: math.floor(LABELS * len(weights) * weight // total)
        if isinstance(total, int)
        else math.floor(LABELS * len(weights) * weight / total)
        for label, weight in weights.items()
    }


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


class ConsistentHashingRouter(NodeRouter):
    """Consistent hashing on a ketama ring: a host more or less moves only its own share of the keys.

    Source: nydus 0.11, ``ConsistentHashingRouter``; data written through it is found again. The ring holds the
    *identifiers* of the hosts, which are their addresses unless the setting ``identifier`` says otherwise: name
    them if the addresses may change. Keys that nydus refused (numbers) are hashed as their text.

    Parameters:
        nodes: The hosts, in host order.
        hash_tags: Whether only the part of a key between braces counts. Off, since nydus 0.11 knows no tags.

    Raises:
        ConfigError: Two hosts have one identifier, or no host has any point, since all weights are 0.
    """

    weighted: ClassVar[bool] = True
    on_host_down: ClassVar[str] = "reroute"  # as in nydus 0.11: the cluster is a cache

    def __init__(self, nodes: Sequence[Node], *, hash_tags: bool = False) -> None:
        super().__init__(nodes, hash_tags=hash_tags)
        self._names: dict[str, str] = {}
        for node in nodes:
            other = self._names.setdefault(node.identifier, node.name)
            if other != node.name:
                raise ConfigError(
                    f"hosts {other!r} and {node.name!r} have one identifier, {node.identifier!r}; the consistent "
                    "router tells hosts apart by it: give one of them another address, or an 'identifier'",
                    "hosts",
                )
        self._ring = KetamaRing([(node.identifier, node.weight) for node in nodes])
        if not self._ring.points:
            raise ConfigError("no host has a point on the ring: their weights are all 0", "hosts")
        self._identifiers = {node.name: node.identifier for node in nodes}

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to the next one on the ring; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        labels = {self._identifiers[name] for name in avoid if name in self._identifiers} if avoid else ()
        found = self._ring.locate(hash_tag(key) if self.hash_tags else key, labels)
        if found is None:
            raise HostListExhausted(f"no host is left on the ring of {', '.join(self.names)}")
        return self._names[found]
