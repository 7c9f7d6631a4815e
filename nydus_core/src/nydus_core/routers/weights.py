"""Weights as whole numbers, for rules that know only their ratios."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, lcm

from nydus_core.errors import ConfigError
from nydus_core.routers.protocol import Node, where

__all__ = ["reduced"]

#: The greatest weight may be at most this many times the smallest.
MOST = 10**12


def reduced(nodes: Sequence[Node]) -> list[int]:
    """Return the smallest whole numbers with the same ratios as the weights of hosts.

    Parameters:
        nodes: The hosts.

    Raises:
        ConfigError: A weight is less than a millionth of a millionth of the greatest.
    """
    if len({node.weight for node in nodes}) == 1:
        return [1] * len(nodes)
    from fractions import Fraction  # brings decimal, too

    exact = [Fraction(str(node.weight)) for node in nodes]
    common = lcm(*(each.denominator for each in exact))
    whole = [int(each * common) for each in exact]
    for node, weight in zip(nodes, whole, strict=True):
        if 0 < weight * MOST < max(whole):
            raise ConfigError(
                f"found {node.weight}; expected 0, or at least a millionth of a millionth of the greatest weight",
                f"{where(node)}.weight",
            )
    divisor = gcd(*whole)
    return [each // divisor for each in whole]
