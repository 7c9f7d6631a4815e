"""Hash functions of keys and labels: the table that routers choose from, and functions of the standard library.

A hash takes bytes and returns a whole number. Hash functions of other clients are written out by hand, in
``hashes_bytewise`` if they take a byte at a time, in ``hashes_java`` if they take characters, in ``hashes_wordwise``
if they take words.
"""

from __future__ import annotations

import hashlib
import importlib
import struct
from binascii import crc_hqx
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple
from zlib import crc32

from nydus_core.routers import hashes_bytewise as bytewise
from nydus_core.routers import hashes_java as java
from nydus_core.routers import hashes_wordwise as wordwise

__all__ = ["HASHES", "Hash", "blake2b_64", "md5_whole", "md5_words"]

# For a short key the interpreter's own MD5 takes half as long as OpenSSL's in hashlib. Some builds lack it.
try:
    _md5: Callable[[bytes], Any] = importlib.import_module("_md5").md5
except ImportError:
    _md5 = partial(hashlib.md5, usedforsecurity=False)

_first_word = struct.Struct("<I").unpack_from
_first_long = struct.Struct("<Q").unpack_from


class Hash(NamedTuple):
    """A hash function.

    Attributes:
        function: Takes bytes, returns a number from 0 to 2 ** bits - 1, or a negative number too if ``signed``.
        bits: The most bits that the number has.
        source: The origin of the function.
        signed: Whether the number may be negative.
        crowds: The families of rules under which keys that begin alike crowd on few hosts.
    """

    function: Callable[[bytes], int]
    bits: int
    source: str
    signed: bool = False
    crowds: tuple[str, ...] = ()


def md5(data: bytes) -> int:
    """Return the first four bytes of the MD5 digest, read as a little-endian number."""
    word: int = _first_word(_md5(data).digest())[0]
    return word


def md5_words(data: bytes, count: int) -> tuple[int, ...]:
    """Return the first words of the MD5 digest, read as little-endian 32-bit numbers.

    Parameters:
        data: The bytes to hash.
        count: The number of words, 1 to 4.
    """
    return struct.unpack_from(f"<{count}I", _md5(data).digest())


def md5_first(data: bytes) -> int:
    """Return the first four bytes of the MD5 digest, read as a big-endian number."""
    return int.from_bytes(_md5(data).digest()[:4], "big")


def md5_whole(data: bytes) -> int:
    """Return the whole MD5 digest, read as a big-endian number."""
    return int.from_bytes(_md5(data).digest(), "big")


def sha1_first(data: bytes) -> int:
    """Return the first four bytes of the SHA-1 digest, read as a big-endian number."""
    return sha1_whole(data) >> 128


def sha1_whole(data: bytes) -> int:
    """Return the whole SHA-1 digest, read as a big-endian number."""
    return int.from_bytes(hashlib.sha1(data, usedforsecurity=False).digest(), "big")


def sha256_whole(data: bytes) -> int:
    """Return the whole SHA-256 digest, read as a big-endian number."""
    return int.from_bytes(hashlib.sha256(data).digest(), "big")


def blake2b_64(data: bytes) -> int:
    """Return the BLAKE2b digest of eight bytes, read as a little-endian number."""
    word: int = _first_long(hashlib.blake2b(data, digest_size=8).digest())[0]
    return word


def crc32_signed(data: bytes) -> int:
    """Return the CRC-32 as a signed number, as Python 2 did."""
    crc = crc32(data)
    return crc - ((crc & 0x80000000) << 1)


def crc31(data: bytes) -> int:
    """Return the CRC-32 without its highest bit."""
    return crc32(data) & 0x7FFFFFFF


def crc15(data: bytes) -> int:
    """Return 15 bits out of the CRC-32: 16 to 30."""
    return crc32(data) >> 16 & 0x7FFF


def crc15_or_1(data: bytes) -> int:
    """Return 15 bits out of the CRC-32, and 1 instead of 0."""
    return crc15(data) or 1


def crc16(data: bytes) -> int:
    """Return CRC-16/XMODEM: polynomial 0x1021, from 0, nothing reflected."""
    return crc_hqx(data, 0)


def decimal(data: bytes) -> int:
    """Return the number that the bytes spell in decimal, modulo 2 ** 64; for other bytes, ``blake2b_64``."""
    if data.removeprefix(b"-").isdigit():
        return int(data) % (1 << 64)
    return blake2b_64(data)


#: Families under which keys such as ``user:1``, ``user:2`` … crowd on few hosts: the last characters of a key move its
#: hash by little. A ring looks at the high bits, a modulo at the low ones.
_ON_RINGS, _ANYWHERE = ("ring",), ("ring", "modulo")

#: Every hash, by name.
HASHES: dict[str, Hash] = {
    "blake2b": Hash(blake2b_64, 64, "RFC 7693"),
    "crc15": Hash(crc15, 15, "libmemcached 1.1.4, HASH_CRC; twemproxy 0.5.0, crc32; python-memcached 1.62"),
    "crc15_or_1": Hash(crc15_or_1, 15, "python-memcached 1.59"),
    "crc16": Hash(crc16, 16, "Redis Cluster specification"),
    "crc16_wide": Hash(bytewise.crc16_wide, 32, "twemproxy 0.5.0, crc16"),
    "crc31": Hash(crc31, 31, "mcrouter, Crc32HashFunc"),
    "crc32": Hash(crc32, 32, "ISO 3309"),
    "crc32_signed": Hash(crc32_signed, 32, "Python 2.7, binascii.crc32", signed=True),
    "decimal": Hash(decimal, 64, "keys that are numbers already; others blake2b"),
    "fnv1_32": Hash(bytewise.fnv1_32, 32, "libmemcached 1.1.4"),
    "fnv1_32_unsigned": Hash(bytewise.fnv1_32_unsigned, 32, "Fowler, Noll and Vo 1991; libmc 1.4.17"),
    "fnv1_64": Hash(bytewise.fnv1_64, 32, "libmemcached 1.1.4", crowds=_ON_RINGS),
    "fnv1a_32": Hash(bytewise.fnv1a_32, 32, "libmemcached 1.1.4"),
    "fnv1a_32_unsigned": Hash(bytewise.fnv1a_32_unsigned, 32, "Fowler, Noll and Vo 1991; libmc 1.4.17"),
    "fnv1a_64": Hash(bytewise.fnv1a_64, 32, "libmemcached 1.1.4, which keeps 32 bits", crowds=_ANYWHERE),
    "hsieh": Hash(wordwise.hsieh, 32, "twemproxy 0.5.0; SuperFastHash, Hsieh 2004"),
    "java": Hash(java.string_hash, 32, "Java, String.hashCode, unsigned", crowds=_ON_RINGS),
    "java_abs": Hash(java.string_hash_abs, 32, "memjs 1.3.2", crowds=_ON_RINGS),
    "java_fnv1_32": Hash(java.fnv1_32, 32, "spymemcached 2.12.3, FNV1_32_HASH"),
    "java_fnv1_64": Hash(java.fnv1_64, 32, "spymemcached 2.12.3, FNV1_64_HASH", crowds=_ON_RINGS),
    "java_fnv1a_32": Hash(java.fnv1a_32, 32, "spymemcached 2.12.3, FNV1A_32_HASH"),
    "java_fnv1a_64": Hash(java.fnv1a_64, 32, "spymemcached 2.12.3, FNV1A_64_HASH", crowds=_ANYWHERE),
    "jenkins": Hash(wordwise.jenkins, 32, "libmemcached 1.1.4; lookup3, Jenkins 2006"),
    "md5": Hash(md5, 32, "RFC 1321; its first word, as in libketama"),
    "md5_first": Hash(md5_first, 32, "RFC 1321; npm ketama 1.0.0"),
    "md5_whole": Hash(md5_whole, 128, "RFC 1321; uhashring 2.5"),
    "murmur": Hash(wordwise.murmur2, 32, "libmemcached 1.1.4; MurmurHash2, Appleby 2008"),
    "murmur3": Hash(wordwise.murmur3_by_length, 32, "libmemcached 1.1.4; MurmurHash3 x86_32, Appleby 2011"),
    "murmur3_4095": Hash(java.murmur3_4095, 32, "node-hashring 1.0.2; MurmurHash3 x86_32, seed 0xFFF"),
    "murmur64a": Hash(wordwise.murmur64a_jedis, 64, "Jedis 3.9.0; MurmurHash64A, seed 0x1234ABCD"),
    "one_at_a_time": Hash(bytewise.one_at_a_time, 32, "libmemcached 1.1.4; Jenkins 1997"),
    "sha1": Hash(sha1_whole, 160, "RFC 3174; redis-shard 0.3.7"),
    "sha1_first": Hash(sha1_first, 32, "RFC 3174; dalli 3.0.6"),
    "sha256": Hash(sha256_whole, 256, "FIPS 180-4; django-redis 7.0"),
    "xxh64": Hash(wordwise.xxh64, 64, "xxHash specification, Collet 2014"),
}
