"""Rings: every host owns many points on a circle, and a key belongs to the point next to its hash.

The ketama rings of many clients are one family. They differ in the number and the text of labels, in the hash
that makes points of labels, and in whether a key whose hash *is* a point belongs to that point or to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from nydus_core.checks import choose, whole_number
from nydus_core.errors import ConfigError, HostListExhausted
from nydus_core.routers.keyed import LabelledRouter, hash_named
from nydus_core.routers.points import Series, chained, numbered
from nydus_core.routers.protocol import Node, refuse_weights, where, wrong_key
from nydus_core.routers.shares import SHARES

__all__ = ["Ring"]

#: The point that a hash belongs to: the first after it, the first not before it, or the last not after it. Past the last
#: point comes the first, but for ``stay``, where the last point has the rest.
SUCCESSORS = {">": 0, "> or stay": 0, ">=": 1, "<=": -1}


#: A ring has a point for each label in memory, and each takes a hash.
_MOST_LABELS = 10_000_000


class Ring(LabelledRouter):
    """Consistent hashing on a ring: a host more or less moves only its own share of the keys.

    Sources: Karger et al., *Consistent Hashing and Random Trees*, 1997; Jones, *libketama*, 2007; the sources of the
    profiles.

    Parameters:
        nodes: The hosts, in host order.
        hash: The hash of keys, by name.
        ring_hash: The hash of labels; by default the hash of keys.
        points: The number of points for each label: the first 32-bit words of its MD5 digest; 1 for another hash.
        vnodes: The number of labels of a host of average weight; or a dict of such numbers, by the names of all hosts.
        shares: The arithmetic of labels, one of ``SHARES``: ``proportional``, ``multiple``, ``equal`` and others.
        template: The text of labels; ``{label}`` is the label of the host, ``{i}`` counts. ``chained`` instead: see ``points.chained``.
        first: The number from which ``{i}`` counts.
        successor: The point of a hash: ``>`` the first greater, ``>=`` the first not less, ``<=`` the last not greater;
            ``> or stay`` the first greater, or the last of all.
        ties: The owner of a point that two hosts have: the ``first`` or the ``last`` in host order.
        label_options: The options of ``LabelledRouter``.

    Attributes:
        points: The number of points of each host, by name.

    Raises:
        ConfigError: An option is wrong, or two hosts have one label.
    """

    family: ClassVar[str] = "ring"
    weighted: ClassVar[bool] = True

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        hash: str = "md5",
        ring_hash: str = "",
        points: int = 4,
        vnodes: int | Mapping[str, int] = 40,
        shares: str = "proportional",
        template: str = "{label}-{i}",
        first: int = 0,
        successor: str = ">",
        ties: str = "last",
        **label_options: Any,
    ) -> None:
        super().__init__(nodes, **label_options)
        if shares == "equal":
            refuse_weights(nodes, self.profile or "a ring of equal shares")
        self._hash, self._hash_name = self._hash_of_keys(hash), hash
        self._made_with = {
            "hash": hash,
            "ring_hash": ring_hash or hash,
            "points": points,
            "vnodes": dict(vnodes) if isinstance(vnodes, Mapping) else vnodes,
            "shares": shares,
            "template": template,
            **({"first": first} if first else {}),
            "successor": successor,
            "ties": ties,
        }
        choose({"first": 0, "last": 0}, ties, "router.ties")
        shift: int = choose(SUCCESSORS, successor, "router.successor")
        counts = choose(SHARES, shares, "router.shares")(
            [node.weight for node in nodes], _vnodes(vnodes, self.names), points
        )
        heaviest = max(nodes, key=lambda node: node.weight)
        if sum(counts) > _MOST_LABELS:
            raise ConfigError(
                f"found {heaviest.weight}; the labels of all hosts would be {sum(counts):,}, expected {_MOST_LABELS:,} at most",
                f"{where(heaviest)}.weight",
            )
        if not any(counts):
            raise ConfigError(
                f"found {heaviest.weight}; no host would have a point on the ring: expected greater weights, in the same ratios",
                f"{where(heaviest)}.weight",
            )
        by = ring_hash or hash
        series = chained(by) if template == "chained" else numbered(by, points, template, first)
        owned = _owned(series, self.labels, counts, reverse=ties == "first")
        self.points: dict[str, int] = dict.fromkeys(self.names, 0)
        self.points.update(Counter(self.names[owner] for owner in owned.values()))
        points_of_all = sorted(owned.items())
        beyond = points_of_all[-1 if successor == "> or stay" else 0][1]
        if hash_named(hash).bits < hash_named(by).bits:
            self.caution = f"hash {hash!r} is less than the points of the ring: most keys live on one host"
        self._starts, owners = _stretches(points_of_all, shift, beyond, 1 << hash_named(hash).bits)
        self._owners = [self.names[owner] for owner in owners]
        self._step = -1 if shift < 0 else 1

    def hash_of(self, key: bytes) -> int:
        """Return the hash of a key."""
        return self._hash(self.part_of(key))

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to the next host on the ring; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        try:
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            place = bisect_right(self._starts, self._hash(key)) - 1
            owner = self._owners[place]
            return self._other(place, avoid) if avoid and owner in avoid else owner
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None

    def _other(self, place: int, avoid: Collection[str]) -> str:
        owners, step = self._owners, self._step
        if all(count == 0 or name in avoid for name, count in self.points.items()):
            raise HostListExhausted(f"no host is left on the ring of {', '.join(self.names)}")
        while owners[place] in avoid:
            place = (place + step) % len(owners)
        return owners[place]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {**self._made_with, **super().parameters()}

    def owners(self) -> Collection[str]:
        """Return the names of the hosts that have a point."""
        return set(self._owners)

    def placement(self) -> list[Any]:
        """Return the hash of keys, and the start and the owner of each stretch of the ring."""
        return [self._hash_name, self._starts, self._owners]


def _vnodes(given: Any, names: Sequence[str]) -> list[int]:
    """Return the number of labels that each host is to have at average weight."""
    if not isinstance(given, Mapping):
        return [whole_number(given, 1, 1_000_000, "router.vnodes")] * len(names)
    if set(given) != set(names):
        raise ConfigError(
            f"found {', '.join(map(str, given)) or 'no host'}; expected each host: {', '.join(names)}",
            "router.vnodes",
        )
    return [whole_number(given[name], 1, 1_000_000, f"router.vnodes[{name!r}]") for name in names]


def _owned(series: Series, labels: Sequence[str], counts: Sequence[int], *, reverse: bool) -> dict[int, int]:
    """Return the points of all hosts, each with the position of its host.

    A point that several hosts have belongs to the last of them; with ``reverse``, to the first.
    """
    hosts = list(enumerate(zip(labels, counts, strict=True)))
    owned: dict[int, int] = {}
    for position, (label, count) in reversed(hosts) if reverse else hosts:
        for points in series(label, count):
            owned.update(dict.fromkeys(points, position))
    return owned


def _stretches(
    points: Sequence[tuple[int, int]], shift: int, beyond: int, end: int
) -> tuple[list[int], list[int]]:
    """Return the starts and the owners of the stretches: ranges of hashes, from 0, with one owner each.

    By any rule of succession each point stands for a range of hashes. So all rings are looked up in one way, and two
    rings that place all keys alike are made of the same stretches.

    Parameters:
        points: The points, in order, each with its owner.
        shift: 0 if a hash belongs to the first point after it, 1 if to the first not before it, -1 if to the
            last not after it.
        beyond: The owner of the hashes past the last point; if ``shift`` is -1, the last point has them.
        end: The number of hashes: all are less.
    """
    if shift < 0:
        pairs = [(0, points[-1][1]), *points]
    else:
        ends = [0, *(point + shift for point, _ in points)]
        pairs = list(zip(ends, [*(owner for _, owner in points), beyond], strict=True))
    starts: list[int] = []
    owners: list[int] = []
    for (start, owner), (following, _) in zip(pairs, [*pairs[1:], (end, -1)], strict=True):
        if start < min(following, end) and (not owners or owners[-1] != owner):
            starts.append(start)
            owners.append(owner)
    return starts, owners
