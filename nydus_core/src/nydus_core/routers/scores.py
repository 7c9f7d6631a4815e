"""Scores of hosts for a key, the heart of rendezvous hashing, in the arithmetic of each client.

A score function is made once, of the labels of the hosts. It takes a key and returns a number for each host,
in order. Everything that does not depend on the key is computed once.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from nydus_core.routers.hashes import blake2b_64, md5_whole
from nydus_core.routers.hashes_wordwise import murmur3, xxh64
from nydus_core.routers.tags import as_text

__all__ = ["SCORES", "Scores", "go_redis", "memcachio", "mixed", "pymemcache"]

Scores = Callable[[bytes], Sequence[float]]

_LONG = 0xFFFFFFFFFFFFFFFF
#: The multipliers and shifts of SplitMix64's finalizer.
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
#: The 52 bits of a double after its point, and the bits before them that make it a number from 1 to 2.
_FRACTION, _ONE = (1 << 52) - 1, 0x3FF << 52


def mixed(labels: Sequence[str], seed: int) -> Scores:
    """Return the scores of the rule ``rendezvous``: numbers ``1 + X / 2 ** 52``, at least 1 and less than 2.

    For each host::

        x = blake2b_64(key) ^ blake2b_64(label)
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 mod 2 ** 64
        x = (x ^ x >> 27) * 0x94d049bb133111eb mod 2 ** 64
        x = x ^ x >> 31
        X = x >> 12

    ``blake2b_64`` is BLAKE2b with a digest of eight bytes, read as a little-endian number; a label is hashed
    as UTF-8. The three lines in the middle are the finalizer of SplitMix64 (Steele, Lea and Flood,
    *Fast Splittable Pseudorandom Number Generators*, 2014): it makes the scores of different hosts
    independent of each other. X has 52 bits, as many as a double after its point, so a score is exact in any language.

    All hosts are computed at once: each has 128 bits of one long number, room enough for a product of 64
    bits. Then X is laid into the bits of a double, which is read as it stands.

    Parameters:
        labels: The labels of the hosts.
        seed: Not used.
    """
    lanes = range(len(labels))
    ones = sum(1 << 128 * lane for lane in lanes)
    low, fraction, one = ones * _LONG, ones * _FRACTION, ones * _ONE
    seeds = [blake2b_64(label.encode()) for label in labels]
    seeded = sum((each ^ each >> 30) << 128 * lane for lane, each in zip(lanes, seeds, strict=True))
    unpack = struct.Struct("<" + "d8x" * len(labels)).unpack
    size = 16 * len(labels)

    def scores(key: bytes) -> Sequence[float]:
        hashed = blake2b_64(key)
        x = ((hashed ^ hashed >> 30) * ones ^ seeded) * _FIRST & low
        x = ((x ^ x >> 27) & low) * _SECOND & low
        return unpack(((x ^ x >> 31) >> 12 & fraction | one).to_bytes(size, "little"))

    return scores


def pymemcache(labels: Sequence[str], seed: int) -> Scores:
    """Return the scores of pymemcache 4.0.0, ``RendezvousHash``: MurmurHash3 of the text ``label-key``.

    Only the low byte of each character of the text counts.

    Parameters:
        labels: The labels of the hosts.
        seed: The seed of the hash, a 32-bit number.
    """
    starts = [_low_bytes(f"{label}-") for label in labels]

    def scores(key: bytes) -> Sequence[int]:
        end = _low_bytes(as_text(key))
        return [murmur3(start + end, seed) for start in starts]

    return scores


def _low_bytes(text: str) -> bytes:
    return bytes(ord(character) & 0xFF for character in text)


def memcachio(labels: Sequence[str], seed: int) -> Scores:
    """Return the scores of memcachio 0.5.1, ``KeyRouter``: the whole MD5 digest of the text ``label:key``.

    Parameters:
        labels: The texts of the endpoints.
        seed: Not used.
    """
    starts = [f"{label}:".encode() for label in labels]

    def scores(key: bytes) -> Sequence[int]:
        return [md5_whole(start + key) for start in starts]

    return scores


def go_redis(labels: Sequence[str], seed: int) -> Scores:
    """Return the scores of go-redis 9, ``Ring``: one step of xorshift64* on the hashes of key and name together.

    Source: go-redis 9.22.0; dgryski/go-rendezvous.

    Parameters:
        labels: The names of the shards.
        seed: Not used.
    """
    hashes = [xxh64(label.encode()) for label in labels]

    def scores(key: bytes) -> Sequence[int]:
        hashed = xxh64(key)
        return [_xorshift(hashed ^ each) for each in hashes]

    return scores


def _xorshift(word: int) -> int:
    word ^= word >> 12
    word ^= word << 25 & _LONG
    return (word ^ word >> 27) * 2685821657736338717 & _LONG


#: Every way to score, by name.
SCORES: dict[str, Callable[[Sequence[str], int], Scores]] = {
    "mixed": mixed,
    "pymemcache": pymemcache,
    "go-redis": go_redis,
    "memcachio": memcachio,
}
