"""Hash functions that take a key character by character, as clients in Java and JavaScript compute them.

A character is a code unit of UTF-16. A key that is not UTF-8 was never a text there: each of its bytes is taken
for a character. Sources: spymemcached 2.12.3, ``DefaultHashAlgorithm``; memjs 1.3.2; node-hashring 1.0.2; Java, ``String.hashCode``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from nydus_core.routers.hashes_bytewise import fnv1, fnv1a
from nydus_core.routers.hashes_wordwise import murmur3

__all__ = ["fnv1_32", "fnv1_64", "fnv1a_32", "fnv1a_64", "murmur3_4095", "string_hash", "string_hash_abs"]

_WORD = 0xFFFFFFFF
#: Start and prime of FNV in 32 bits; and in 64 bits, of which the low 32 decide the low 32 of each product.
_FNV_32, _FNV_64 = (0x811C9DC5, 0x01000193), (0x84222325, 0x000001B3)


def _characters(data: bytes) -> Sequence[int]:
    if data.isascii():
        return data
    try:
        units = data.decode().encode("utf-16-le")
    except UnicodeDecodeError:
        return data
    return struct.unpack(f"<{len(units) >> 1}H", units)


def string_hash(data: bytes) -> int:
    """Return Java's ``String.hashCode`` as an unsigned number."""
    found = 0
    for character in _characters(data):
        found = found * 31 + character & _WORD
    return found


def string_hash_abs(data: bytes) -> int:
    """Return the absolute value of Java's ``String.hashCode``, 0 to 2 ** 31."""
    found = string_hash(data)
    return min(found, (1 << 32) - found)


def murmur3_4095(data: bytes) -> int:
    """Return MurmurHash3 x86_32 with the seed ``0xFFF``, of the low byte of each character: that of node-hashring."""
    return murmur3(bytes(character & 0xFF for character in _characters(data)), 0xFFF)


def fnv1_32(data: bytes) -> int:
    """Return FNV-1 in 32 bits."""
    return fnv1(_characters(data), *_FNV_32)


def fnv1_64(data: bytes) -> int:
    """Return the low 32 bits of FNV-1 in 64 bits."""
    return fnv1(_characters(data), *_FNV_64)


def fnv1a_32(data: bytes) -> int:
    """Return FNV-1a in 32 bits."""
    return fnv1a(_characters(data), *_FNV_32)


def fnv1a_64(data: bytes) -> int:
    """Return the low 32 bits of FNV-1a in 64 bits."""
    return fnv1a(_characters(data), *_FNV_64)
