"""The points of a host on a ring, made of its label. Each function is a ``Series``: it takes the label and a count."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nydus_core.checks import whole_number
from nydus_core.routers.hashes import md5_words
from nydus_core.routers.keyed import hash_named

__all__ = ["Series", "chained", "numbered"]

#: Takes the label of a host and the number of its texts; returns the points of each text.
Series = Callable[[str, int], Iterator[Sequence[int]]]


def numbered(hash: str, points: int, template: str, first: int) -> Series:
    """Return the series that hashes numbered texts.

    Parameters:
        hash: The hash, by name.
        points: The points of each text: the first 32-bit words of its MD5 digest; 1 for another hash.
        template: The text; ``{label}`` is the label of the host, ``{i}`` counts.
        first: The number from which it counts.
    """
    function = hash_named(hash, "router.ring_hash").function
    whole_number(points, 1, 4 if hash == "md5" else 1, "router.points")

    def series(label: str, count: int) -> Iterator[Sequence[int]]:
        for i in range(first, first + count):
            text = template.format(label=label, i=i).encode()
            yield md5_words(text, points) if points > 1 else (function(text),)

    return series


def chained(hash: str) -> Series:
    """Return the series in which each point is the hash of the label and of the point before.

    The point before stands behind the label, as four bytes, little-endian; before the first it is 0. Source:
    Cache::Memcached::Fast 0.28, ``ketama_crc32_add_server``.

    Parameters:
        hash: The hash, by name; one of 32 bits.
    """
    function = hash_named(hash, "router.ring_hash").function

    def series(label: str, count: int) -> Iterator[Sequence[int]]:
        start, point = label.encode(), 0
        for _ in range(count):
            point = function(start + point.to_bytes(4, "little"))
            yield (point,)

    return series
