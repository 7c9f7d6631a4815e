"""Hash functions that take a key in words of four or eight bytes, little-endian, as other clients compute them.

Sources: libmemcached 1.1.4 (libhashkit), twemproxy 0.5.0, Jedis 3.9.0, mcrouter, pymemcache 4.0.0, go-redis 9 and
dgryski/go-maglev; the algorithms are Appleby's, Jenkins', Hsieh's, Collet's, and Aumasson and Bernstein's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

__all__ = [
    "hsieh",
    "jenkins",
    "murmur2",
    "murmur3",
    "murmur3_by_length",
    "murmur64a",
    "murmur64a_jedis",
    "siphash",
    "xxh64",
]

_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF


def _words(data: bytes) -> Iterator[int]:
    """Return the whole words of four bytes."""
    return (word for (word,) in struct.iter_unpack("<I", data[: len(data) & ~3]))


def _longs(data: bytes) -> Iterator[int]:
    """Return the whole words of eight bytes."""
    return (word for (word,) in struct.iter_unpack("<Q", data[: len(data) & ~7]))


def _left(word: int, by: int) -> int:
    """Rotate 32 bits to the left."""
    return (word << by | word >> 32 - by) & _WORD


def _left_long(word: int, by: int) -> int:
    """Rotate 64 bits to the left."""
    return (word << by | word >> 64 - by) & _LONG


def murmur2(data: bytes) -> int:
    """Return MurmurHash2 with libhashkit's seed, ``0xdeadbeef * length``."""
    mix = 0x5BD1E995
    found = (0xDEADBEEF * len(data) ^ len(data)) & _WORD
    for word in _words(data):
        word = word * mix & _WORD
        word = (word ^ word >> 24) * mix & _WORD
        found = found * mix & _WORD ^ word
    if rest := data[len(data) & ~3 :]:
        found = (found ^ int.from_bytes(rest, "little")) * mix & _WORD
    found = (found ^ found >> 13) * mix & _WORD
    return found ^ found >> 15


def murmur3(data: bytes, seed: int = 0) -> int:
    """Return MurmurHash3 x86_32.

    Parameters:
        data: The bytes to hash.
        seed: A 32-bit number to start from.
    """
    found = seed
    for word in struct.unpack(f"<{len(data) >> 2}I", data[: len(data) & ~3]):
        # _murmur3_word and _left, written out for speed: pymemcache's rule hashes once for each host
        word = word * 0xCC9E2D51 & _WORD
        found ^= (word << 15 | word >> 17) * 0x1B873593 & _WORD
        found = ((found << 13 | found >> 19) & _WORD) * 5 + 0xE6546B64 & _WORD
    if rest := data[len(data) & ~3 :]:
        found ^= _murmur3_word(int.from_bytes(rest, "little"))
    found ^= len(data)
    found = (found ^ found >> 16) * 0x85EBCA6B & _WORD
    found = (found ^ found >> 13) * 0xC2B2AE35 & _WORD
    return found ^ found >> 16


def _murmur3_word(word: int) -> int:
    return _left(word * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD


def murmur3_by_length(data: bytes) -> int:
    """Return MurmurHash3 x86_32 with libhashkit's seed, ``0xdeadbeef * length``."""
    return murmur3(data, 0xDEADBEEF * len(data) & _WORD)


def murmur64a(data: bytes, seed: int) -> int:
    """Return MurmurHash64A.

    Parameters:
        data: The bytes to hash.
        seed: A number to start from.
    """
    mix = 0xC6A4A7935BD1E995
    found = (seed ^ len(data) * mix) & _LONG
    for word in _longs(data):
        word = word * mix & _LONG
        found = (found ^ (word ^ word >> 47) * mix & _LONG) * mix & _LONG
    if rest := data[len(data) & ~7 :]:
        found = (found ^ int.from_bytes(rest, "little")) * mix & _LONG
    found = (found ^ found >> 47) * mix & _LONG
    return found ^ found >> 47


def murmur64a_jedis(data: bytes) -> int:
    """Return MurmurHash64A with the seed of Jedis."""
    return murmur64a(data, 0x1234ABCD)


def jenkins(data: bytes) -> int:
    """Return Jenkins' lookup3 with libhashkit's seed, 13."""
    a = b = c = 0xDEADBEEF + len(data) + 13 & _WORD
    while len(data) > 12:
        x, y, z = struct.unpack_from("<3I", data)
        a, b, c = _lookup3_mix(a + x & _WORD, b + y & _WORD, c + z & _WORD)
        data = data[12:]
    if not data:
        return c
    x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
    return _lookup3_final(a + x & _WORD, b + y & _WORD, c + z & _WORD)


def _lookup3_mix(a: int, b: int, c: int) -> tuple[int, int, int]:
    for by in (4, 6, 8, 16, 19, 4):
        a, c = a - c & _WORD ^ _left(c, by), c + b & _WORD
        a, b, c = b, c, a
    return a, b, c


def _lookup3_final(a: int, b: int, c: int) -> int:
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = (c ^ b) - _left(b, by) & _WORD
        a, b, c = b, c, a
    return b


def hsieh(data: bytes) -> int:
    """Return SuperFastHash from 0, the third byte of a tail taken as signed, as in twemproxy; 0 for no bytes."""
    found = 0
    for word in _words(data):
        found = found + (word & 0xFFFF) & _WORD
        found = found << 16 & _WORD ^ (word >> 16) << 11 & _WORD ^ found
        found = found + (found >> 11) & _WORD
    found = _hsieh_tail(found, data[len(data) & ~3 :])
    for left, right in ((3, 5), (4, 17), (25, 6)):
        found = (found ^ found << left) & _WORD
        found = found + (found >> right) & _WORD
    return found


def _hsieh_tail(found: int, rest: bytes) -> int:
    if not rest:
        return found
    if len(rest) == 3:  # only the last byte is signed
        found = found + int.from_bytes(rest[:2], "little") & _WORD
        last = rest[2] if rest[2] < 128 else rest[2] - 256
        found, right = (found ^ found << 16 ^ last << 18) & _WORD, 11
    else:
        left, right = (10, 1) if len(rest) == 1 else (11, 17)
        found = found + int.from_bytes(rest, "little") & _WORD
        found = (found ^ found << left) & _WORD
    return found + (found >> right) & _WORD


_XX = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5)


def xxh64(data: bytes, seed: int = 0) -> int:
    """Return XXH64.

    Parameters:
        data: The bytes to hash.
        seed: A 64-bit number to start from.
    """
    one, two, three, four, five = _XX
    found, rest = _xx_stripes(data, seed) if len(data) >= 32 else (seed + five, data)
    found = found + len(data) & _LONG
    for word in _longs(rest):
        found = _left_long(found ^ _xx_round(0, word), 27) * one + four & _LONG
    rest = rest[len(rest) & ~7 :]
    if len(rest) >= 4:
        word = int.from_bytes(rest[:4], "little")
        found = _left_long((found ^ word * one) & _LONG, 23) * two + three & _LONG
        rest = rest[4:]
    for byte in rest:
        found = _left_long((found ^ byte * five) & _LONG, 11) * one & _LONG
    found = (found ^ found >> 33) * two & _LONG
    found = (found ^ found >> 29) * three & _LONG
    return found ^ found >> 32


def _xx_round(lane: int, word: int) -> int:
    return _left_long(lane + word * _XX[1] & _LONG, 31) * _XX[0] & _LONG


def _xx_stripes(data: bytes, seed: int) -> tuple[int, bytes]:
    """Return the hash of the stripes of 32 bytes, and the bytes after them."""
    one, two, _, four, _ = _XX
    lanes = [seed + one + two & _LONG, seed + two & _LONG, seed, seed - one & _LONG]
    whole = len(data) & ~31
    for stripe in struct.iter_unpack("<4Q", data[:whole]):
        lanes = [_xx_round(lane, word) for lane, word in zip(lanes, stripe, strict=True)]
    found = sum(_left_long(lane, by) for lane, by in zip(lanes, (1, 7, 12, 18), strict=True)) & _LONG
    for lane in lanes:
        found = (found ^ _xx_round(0, lane)) * one + four & _LONG
    return found, data[whole:]


def siphash(data: bytes, key: tuple[int, int]) -> int:
    """Return SipHash-2-4.

    Parameters:
        data: The bytes to hash.
        key: Two 64-bit numbers.
    """
    state = (
        key[0] ^ 0x736F6D6570736575,
        key[1] ^ 0x646F72616E646F6D,
        key[0] ^ 0x6C7967656E657261,
        key[1] ^ 0x7465646279746573,
    )
    last = len(data) << 56 & _LONG | int.from_bytes(data[len(data) & ~7 :], "little")
    for word in (*_longs(data), last):
        a, b, c, d = _sip_rounds((*state[:3], state[3] ^ word), 2)
        state = (a ^ word, b, c, d)
    a, b, c, d = _sip_rounds((state[0], state[1], state[2] ^ 0xFF, state[3]), 4)
    return a ^ b ^ c ^ d


def _sip_rounds(state: tuple[int, int, int, int], count: int) -> tuple[int, int, int, int]:
    a, b, c, d = state
    for _ in range(count):
        a = a + b & _LONG
        c = c + d & _LONG
        b, d = _left_long(b, 13) ^ a, _left_long(d, 16) ^ c
        a = _left_long(a, 32)
        c = c + b & _LONG
        a = a + d & _LONG
        b, d = _left_long(b, 17) ^ c, _left_long(d, 21) ^ a
        c = _left_long(c, 32)
    return a, b, c, d
