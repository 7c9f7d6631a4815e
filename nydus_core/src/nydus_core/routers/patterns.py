"""Patterns of keys: whether all keys of a pattern live on one host, and on which one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nydus_core.routers.protocol import hash_tag

__all__ = ["stand_in"]

#: Texts put in the place of ``*``. The part of a key that counts differs between some of these, unless all of that part
#: stands before the ``*``: they are empty, hold the marks of every kind of hash tag, in both orders, and are no UTF-8.
_FILLS = (
    b"",
    b"x",
    b"{x}",
    b"}x{",
    b"{",
    b"}",
    b"\xff",
    b"\n",
    b"\0",
    bytes(range(256)),
    bytes(reversed(range(256))),
)


def stand_in(router: Any, pattern: bytes) -> bytes | None:
    """Return a key that lives where all keys of a pattern live.

    That is so if the part of the keys that counts, such as their hash tag, stands before the ``*``: then it is the same
    whatever takes the place of the ``*``. The router tells the part with ``part_of``. A router without that method
    honours the hash tags of Redis Cluster if its ``hash_tags`` is true.

    Parameters:
        router: A router by key.
        pattern: The pattern. Its first ``*`` stands for any bytes, or none.

    Returns:
        The key; None if keys of the pattern may live on several hosts.
    """
    part_of: Callable[[bytes], bytes] | None = getattr(router, "part_of", None)
    if part_of is None:
        if not router.hash_tags:
            return None
        part_of = hash_tag
    before, _, behind = pattern.partition(b"*")
    keys = [before + fill + behind for fill in _FILLS]
    if len(set(map(part_of, keys))) > 1 or len(set(map(router.locate, keys))) > 1:
        return None
    return keys[0]
