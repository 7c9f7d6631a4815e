"""Hash functions that take a key byte by byte, as the C clients compute them.

C clients read ``char``, which is signed on x86: a byte of 128 or more is taken as a negative number.
Sources: libmemcached 1.1.4 (libhashkit) and twemproxy 0.5.0; FNV by Fowler, Noll and Vo, 1991.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterable

__all__ = [
    "crc16_wide",
    "fnv1",
    "fnv1_32",
    "fnv1_32_unsigned",
    "fnv1_64",
    "fnv1a",
    "fnv1a_32",
    "fnv1a_32_unsigned",
    "fnv1a_64",
    "one_at_a_time",
]

_WORD = 0xFFFFFFFF
_LONG = 0xFFFFFFFFFFFFFFFF
_FNV_32, _FNV_32_START = 0x01000193, 0x811C9DC5
_FNV_64, _FNV_64_START = 0x100000001B3, 0xCBF29CE484222325

#: A byte as a signed char, in 32 and in 64 bits.
_SIGNED_32 = tuple(byte if byte < 128 else byte - 256 & _WORD for byte in range(256))
_SIGNED_64 = tuple(byte if byte < 128 else byte - 256 & _LONG for byte in range(256))

#: The result of one step of CRC-16/XMODEM, for each byte.
_CRC16 = tuple(crc_hqx(bytes([byte]), 0) for byte in range(256))


def one_at_a_time(data: bytes) -> int:
    """Return Jenkins' one-at-a-time hash, the default of libmemcached."""
    found = 0
    for byte in data:
        found = found + _SIGNED_32[byte] & _WORD
        found = found + (found << 10) & _WORD
        found ^= found >> 6
    found = found + (found << 3) & _WORD
    found ^= found >> 11
    return found + (found << 15) & _WORD


def fnv1_32(data: bytes) -> int:
    """Return FNV-1 in 32 bits."""
    found = _FNV_32_START
    for byte in data:
        found = found * _FNV_32 & _WORD ^ _SIGNED_32[byte]
    return found


def fnv1a_32(data: bytes) -> int:
    """Return FNV-1a in 32 bits."""
    found = _FNV_32_START
    for byte in data:
        found = (found ^ _SIGNED_32[byte]) * _FNV_32 & _WORD
    return found


def fnv1_64(data: bytes) -> int:
    """Return the low 32 bits of FNV-1 in 64 bits."""
    found = _FNV_64_START
    for byte in data:
        found = found * _FNV_64 & _LONG ^ _SIGNED_64[byte]
    return found & _WORD


def fnv1a_64(data: bytes) -> int:
    """Return FNV-1a with the 64-bit constants, computed in 32 bits, as libmemcached does."""
    found = _FNV_64_START & _WORD
    for byte in data:
        found = (found ^ _SIGNED_32[byte]) * (_FNV_64 & _WORD) & _WORD
    return found


def fnv1(units: Iterable[int], start: int, prime: int) -> int:
    """Return FNV-1 in 32 bits of bytes, or of characters.

    Parameters:
        units: Numbers of 32 bits at most, such as bytes.
        start: The number to start from.
        prime: The number to multiply by.
    """
    for unit in units:
        start = start * prime & _WORD ^ unit
    return start


def fnv1a(units: Iterable[int], start: int, prime: int) -> int:
    """Return FNV-1a in 32 bits of bytes, or of characters. The parameters are those of ``fnv1``."""
    for unit in units:
        start = (start ^ unit) * prime & _WORD
    return start


def fnv1_32_unsigned(data: bytes) -> int:
    """Return FNV-1 in 32 bits as Fowler, Noll and Vo have it, with unsigned bytes; and libmc."""
    return fnv1(data, _FNV_32_START, _FNV_32)


def fnv1a_32_unsigned(data: bytes) -> int:
    """Return FNV-1a in 32 bits as Fowler, Noll and Vo have it, with unsigned bytes; and libmc."""
    return fnv1a(data, _FNV_32_START, _FNV_32)


def crc16_wide(data: bytes) -> int:
    """Return twemproxy's ``crc16``: the steps of CRC-16/XMODEM in a word that is never cut to 16 bits."""
    crc = 0
    for byte in data:
        crc = crc << 8 & _WORD ^ _CRC16[(crc >> 8 ^ byte) & 0xFF]
    return crc
