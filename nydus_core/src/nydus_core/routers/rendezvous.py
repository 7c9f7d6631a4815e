"""Rendezvous hashing: every host has a score for every key, and the key belongs to the host with the highest.

``Rendezvous`` with the score ``mixed`` is the rule ``rendezvous``, which ``slots`` follows slot by slot.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Context, Decimal
from math import inf, log
from operator import mul, sub
from typing import Any, ClassVar

from nydus_core.checks import choose, whole_number
from nydus_core.routers.keyed import LabelledRouter
from nydus_core.routers.protocol import Node, refuse_weights, wrong_key
from nydus_core.routers.scores import SCORES, Scores
from nydus_core.routers.weights import reduced

__all__ = ["Rendezvous", "exact_rating"]

#: Two ratings nearer than this, relative to each other, are compared exactly. No logarithm of a double is so wrong.
NEAR = 1e-9
_EXACT = Context(prec=100)
#: The difference between a score, 1 + X / 2 ** 52, and its u, (2 * X + 1) / 2 ** 53. It is exact.
_BELOW = 1 - 2.0**-53


class Rendezvous(LabelledRouter):
    """Highest random weight: keys move only to a host that is new or heavier, or from a host that is gone or lighter.

    A host of weight w with score u, between 0 and 1, has the rating ``-w / ln(u)``. The host with the highest
    rating has the key; with equal weights, the host with the highest u. So each host has exactly its share of
    the keys, whatever the weights are. Equal ratings go by label. Sources: Thaler and Ravishankar,
    *Using Name-Based Mappings to Increase Hit Rates*, 1998; with weights, Schindelhauer and Schomaker,
    *Weighted Distributed Hash Tables*, 2005.

    Only the ratios of weights count. A weight is read as the decimal number that was written, so 0.1 and 0.3
    are 1 and 3. Ratings are doubles. Two ratings within 1e-9 of each other, about once in a thousand million
    keys, are compared with 100 digits. So no platform's logarithm ever makes a difference.

    Parameters:
        nodes: The hosts, in host order, which does not count.
        score: The way to score hosts: ``mixed``, ``pymemcache``, ``go-redis`` or ``memcachio``. Weights are for ``mixed`` alone.
        seed: The seed of the hash of ``pymemcache``, a 32-bit number.
        ties: The label that wins with equal ratings: the ``smaller`` or the ``larger``.
        label_options: The options of ``LabelledRouter``.

    Raises:
        ConfigError: An option is wrong, or two hosts have one label.
    """

    family: ClassVar[str] = "rendezvous"
    weighted: ClassVar[bool] = True

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        score: str = "mixed",
        seed: int = 0,
        ties: str = "smaller",
        **label_options: Any,
    ) -> None:
        super().__init__(nodes, **label_options)
        make_scores = choose(SCORES, score, "router.score")
        if score != "mixed":
            refuse_weights(nodes, self.profile or f"a rendezvous of score {score!r}")
        whole_number(seed, 0, 0xFFFFFFFF, "router.seed")
        larger: bool = choose({"smaller": False, "larger": True}, ties, "router.ties")
        self._made_with = {"score": score, **({"seed": seed} if score == "pymemcache" else {}), "ties": ties}
        self._ranked = _ranked(self.labels, nodes, larger=larger)
        weights, labels, hosts = zip(*self._ranked, strict=True)
        self._hosts: tuple[str, ...] = hosts
        self._scores: Scores = make_scores(labels, seed)
        self._weights: tuple[int, ...] = weights
        self._costs = [weights[0] / weight for weight in weights]
        self._below = (_BELOW,) * len(hosts)
        self._even = weights[0] == weights[-1]

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to the host that it would have if its own were gone; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        try:
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            scores = self._scores(key)
            if self._even and not avoid:
                return self._hosts[scores.index(max(scores))]
            return self._hosts[self._highest_rated(scores, avoid)]
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None

    def _highest_rated(self, scores: Sequence[float], avoid: Collection[str]) -> int:
        """Return the position of the host with the highest rating: with the ln(u) / w that is nearest to 0."""
        ratings = list(
            scores if self._even else map(mul, map(log, map(sub, scores, self._below)), self._costs)
        )
        if avoid:
            ratings = [
                -inf if name in avoid else each for name, each in zip(self._hosts, ratings, strict=True)
            ]
        highest = max(ratings)
        if highest == -inf:
            raise self._none_left()
        found = ratings.index(highest)
        if not self._even:
            bound, ratings[found] = highest * (1 + NEAR), -inf
            if max(ratings) >= bound:
                near = (position for position, rating in enumerate(ratings) if rating >= bound)
                return max(sorted((found, *near)), key=lambda each: _exact(scores[each], self._weights[each]))
        return found

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {**self._made_with, **super().parameters()}

    def owners(self) -> Collection[str]:
        """Return the names of the hosts whose weight is above 0."""
        return self._hosts

    def placement(self) -> list[Any]:
        """Return how hosts are scored, and their labels, names and reduced weights."""
        return [self._made_with, self._ranked]


def _ranked(labels: Sequence[str], nodes: Sequence[Node], *, larger: bool) -> list[tuple[int, str, str]]:
    """Return weight, label and name of the hosts that have a share: by weight, and then as ties go."""
    weights = reduced(nodes)
    hosts = sorted(
        (
            (weight, label, node.name)
            for weight, label, node in zip(weights, labels, nodes, strict=True)
            if weight
        ),
        key=lambda host: host[1],
        reverse=larger,
    )
    return sorted(hosts, key=lambda host: -host[0])


def _exact(score: float, weight: int) -> Decimal:
    return exact_rating(_EXACT.subtract(Decimal(score), Decimal(_BELOW)), weight)


def exact_rating(u: Decimal, weight: int) -> Decimal:
    """Return ln(u) / w, in a hundred digits: the nearer to 0, the higher is the rating.

    Parameters:
        u: The score, more than 0 and less than 1.
        weight: The weight.
    """
    return _EXACT.divide(_EXACT.ln(u), Decimal(weight))
