"""Rules that number the hosts: a hash of the key and the number of hosts give the number of a host.

The families differ when a host is added at the end. With ``Modulo`` nearly all keys move; with ``Jump`` and ``Furc``
only the keys that the new host receives. The order of the hosts counts; their names and addresses do not.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from nydus_core.checks import choose
from nydus_core.routers.hashes_wordwise import murmur64a
from nydus_core.routers.keyed import KeyRouter
from nydus_core.routers.protocol import Node, whole_weights, wrong_key

__all__ = ["Furc", "Jump", "Modulo", "Numbered", "furc", "jump"]

_LONG = 0xFFFFFFFFFFFFFFFF


def modulo(number: int, count: int) -> int:
    """Return the rest of a division, 0 to count - 1, also of a negative number."""
    return number % count


def scaled(number: int, count: int) -> int:
    """Return the part of the range of 32 bits that a number falls in: ``number * count / 0xffffffff``.

    The number 0xffffffff, which the formula leads past the end, belongs to the last part. Source: phpredis,
    ``ra_find_node``, which has no host for that number.
    """
    return min(number * count // 0xFFFFFFFF, count - 1)


def jump(key: int, count: int) -> int:
    """Return the bucket of a key by jump consistent hash: 0 to count - 1.

    Source: Lamping and Veach, *A Fast, Minimal Memory, Consistent Hash Algorithm*, 2014. The only operations
    on doubles are multiplication and division, which every platform rounds alike.

    Parameters:
        key: A 64-bit number.
        count: The number of buckets, 1 or more.
    """
    bucket = following = 0
    while following < count:
        bucket = following
        key = key * 2862933555777941757 + 1 & _LONG
        following = int((bucket + 1) * (2147483648.0 / ((key >> 33) + 1)))
    return bucket


#: The seed of the stream of bits, the distance in it from level to level of the tree, and the number of tries.
_FURC_SEED, _FURC_SHIFT, _FURC_TRIES = 4193360111, 23, 32


def furc(key: bytes, count: int) -> int:
    """Return the bucket of a key by FurcHash, the ``Ch3`` of mcrouter: 0 to count - 1.

    The key's hash, rehashed as often as needed, is a stream of bits. Bits lead down a binary tree of buckets, and
    a path that leaves the range is tried again. Source: mcrouter, ``mcrouter/lib/fbi/hash.c``.

    Parameters:
        key: The key.
        count: The number of buckets, 1 to 8388608.
    """
    depth = (count - 1).bit_length()
    if not depth:
        return 0
    hashes = [murmur64a(key, _FURC_SEED)]

    def bit(at: int) -> int:
        while len(hashes) <= at >> 6:
            hashes.append(murmur64a(hashes[-1].to_bytes(8, "little"), _FURC_SEED))
        return hashes[at >> 6] >> (at & 63) & 1

    at = depth
    for _ in range(_FURC_TRIES):
        while not bit(at):
            depth -= 1
            if not depth:
                return 0
            at = depth
        at += _FURC_SHIFT
        found = 1
        for _ in range(depth - 1):
            found = found << 1 | bit(at)
            at += _FURC_SHIFT
        if found < count:
            return found
    return 0


class Numbered(KeyRouter):
    """A rule that gives the number of a host; a host of weight 3 has three numbers, as if it were there three times.

    Parameters:
        nodes: The hosts, in host order.
        made_with: The parameters of the rule, as plain data: ``hash`` and others; empty if the rule hashes keys itself.
        index: Takes the hash of a key (the key if ``made_with`` is empty) and the count of numbers; returns a number.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or a weight is not whole.
    """

    weighted: ClassVar[bool] = True

    def __init__(
        self,
        nodes: Sequence[Node],
        made_with: dict[str, Any],
        index: Callable[[Any, int], int],
        **key_options: Any,
    ) -> None:
        super().__init__(nodes, **key_options)
        self._made_with, self._index = made_with, index
        self._number: Callable[[bytes], Any] = self._hash_of_keys(made_with["hash"]) if made_with else bytes
        weights = whole_weights(nodes, self.profile or self.family)
        self._table = [name for name, weight in zip(self.names, weights, strict=True) for _ in range(weight)]
        self._count = len(self._table)

    def hash_of(self, key: bytes) -> int:
        """Return the hash of a key."""
        number: int = self._number(self.part_of(key))
        return number

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to.

        A key whose host is to be avoided goes to one of the others, by the same rule; no other key moves.

        Raises:
            HostListExhausted: All hosts are to be avoided.
        """
        try:
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            number = self._number(key)
            name = self._table[self._index(number, self._count)]
            if avoid and name in avoid:
                left = [other for other in self._table if other not in avoid]
                if not left:
                    raise self._none_left()
                return left[self._index(number, len(left))]
            return name
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of the rule, without the hosts, as plain data."""
        return {**self._made_with, **super().parameters()}

    def owners(self) -> Collection[str]:
        """Return the names of the hosts that have a number."""
        return set(self._table)

    def placement(self) -> list[Any]:
        """Return the parameters, and the hosts by number."""
        return [self._made_with, self._table]


class Modulo(Numbered):
    """A hash of the key, modulo the number of hosts.

    The simplest rule and the fastest, for a number of hosts that never changes: a host more or less moves nearly
    every key.

    Parameters:
        nodes: The hosts, in host order.
        hash: The hash of keys, by name.
        reduce: The way from hash to number: ``modulo``, or ``range``, the part of the 32-bit range that the hash is in.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or a weight is not whole.
    """

    family: ClassVar[str] = "modulo"

    def __init__(
        self, nodes: Sequence[Node], *, hash: str = "crc32", reduce: str = "modulo", **key_options: Any
    ) -> None:
        index = choose({"modulo": modulo, "range": scaled}, reduce, "router.reduce")
        made_with = {"hash": hash, "reduce": reduce}
        super().__init__(nodes, made_with, index, **key_options)


class Jump(Numbered):
    """Jump consistent hash: perfectly even, and a host that is added *at the end* takes only its own share.

    To take out any other host than the last moves further keys. See ``jump`` for the source.

    Parameters:
        nodes: The hosts, in host order.
        hash: The hash of keys, by name. ``decimal`` takes keys that are numbers as they are.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or a weight is not whole.
    """

    family: ClassVar[str] = "jump"

    def __init__(self, nodes: Sequence[Node], *, hash: str = "crc32", **key_options: Any) -> None:
        super().__init__(nodes, {"hash": hash}, jump, **key_options)

    def locate(self, key: bytes, avoid: Collection[str] = ()) -> str:
        """Return the name of the host that a key belongs to: as ``Numbered`` does, with ``jump`` written out for speed."""
        try:
            if avoid:
                return super().locate(key, avoid)
            if self._part is not None and (self._mark is None or self._mark in key):
                key = self._part(key)
            state, count = self._number(key), self._count
            bucket = following = 0
            while following < count:
                bucket = following
                state = state * 2862933555777941757 + 1 & 0xFFFFFFFFFFFFFFFF
                following = int((bucket + 1) * (2147483648.0 / ((state >> 33) + 1)))
            return self._table[bucket]
        except (TypeError, AttributeError) as error:
            raise wrong_key(key, error) from None


class Furc(Numbered):
    """FurcHash: even, and a host that is added at the end takes only its own share. See ``furc`` for the source.

    Parameters:
        nodes: The hosts, in host order.
        key_options: The options of ``KeyRouter``.

    Raises:
        ConfigError: An option is wrong, or a weight is not whole.
    """

    family: ClassVar[str] = "furc"

    def __init__(self, nodes: Sequence[Node], **key_options: Any) -> None:
        super().__init__(nodes, {}, furc, **key_options)
