"""Which part of a key counts: the hash tags of several clients, and text for those that hash text.

A rule takes a key and returns the part that is hashed. ``hash_tag`` of ``protocol`` is the one of Redis Cluster.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.routers.protocol import hash_tag

__all__ = ["FORMS", "TAGS", "as_text", "between"]

#: Java's dot takes anything but the ends of lines, of which it knows more than Python.
_JEDIS = re.compile("\\{([^\n\r\x85\u2028\u2029]+?)\\}")
_DJANGO = re.compile(rb".*\{(.*)\}.*")


def jedis(key: bytes) -> bytes:
    """Return what the pattern ``{(.+?)}`` finds first, which may begin with further braces; of bytes that are no text, all.

    So the tag of ``{}{a}`` is ``}{a``. Source: Jedis 3.9.0, ``Sharded.DEFAULT_KEY_TAG_PATTERN``.
    """
    try:
        found = _JEDIS.search(key.decode())
    except UnicodeDecodeError:
        return key
    return found[1].encode() if found else key


def django_redis(key: bytes) -> bytes:
    """Return what stands between the last ``{`` that a ``}`` follows, on the first line, and the last ``}``.

    It may be empty. Source: django-redis 7.0, ``ShardClient``.
    """
    found = _DJANGO.match(key)
    return found[1] if found else key


def phpredis(key: bytes) -> bytes:
    """Return what stands between the first ``{`` and the next ``}``, also if it is empty; not behind a zero byte.

    Source: phpredis 5.3.7, ``ra_extract_key``, which takes keys for C strings here.
    """
    zero = key.find(b"\0")
    text = key if zero < 0 else key[:zero]
    start = text.find(b"{")
    end = text.find(b"}", start + 1)
    return key[start + 1 : end] if 0 <= start < end else key


def mcrouter(key: bytes) -> bytes:
    """Return the routing key: without a prefix ``/region/cluster/``, up to the first ``|#|``.

    Source: mcrouter, ``carbon::Keys``.
    """
    if key.startswith(b"/"):
        first = key.find(b"/", 1)
        second = key.find(b"/", first + 1) if first > 0 else -1
        key = key[second + 1 :]  # all of it where there is no second one
    return key.partition(b"|#|")[0]


def between(marks: Any) -> Callable[[bytes], bytes]:
    """Return the rule of twemproxy's ``hash_tag``.

    Parameters:
        marks: Two characters: what begins the part that counts, and what ends it. They may be the same.

    Raises:
        ConfigError: These are not two ASCII characters.
    """
    if not isinstance(marks, str) or len(marks) != 2 or not marks.isascii():
        raise ConfigError(
            f"found {marks!r}; expected two ASCII characters, such as '{{}}'", "router.hash_tag"
        )
    first, last = marks[0].encode(), marks[1].encode()

    def part(key: bytes) -> bytes:
        start = key.find(first)
        end = key.find(last, start + 1)
        return key[start + 1 : end] if 0 <= start < end - 1 else key

    return part


def as_text(key: bytes) -> str:
    """Return a key as a client would see it that makes text of every key with ``str``.

    A key that is UTF-8 was text. One that is not can only have been bytes, and Python's text of those is ``b'...'``.
    """
    try:
        return key.decode()
    except UnicodeDecodeError:
        return repr(key)


#: Every rule for tags, by name.
TAGS: dict[str, Callable[[bytes], bytes]] = {
    "redis": hash_tag,
    "jedis": jedis,
    "django-redis": django_redis,
    "phpredis": phpredis,
}

#: What else clients make of a key, by name.
FORMS: dict[str, Callable[[bytes], bytes] | None] = {
    "bytes": None,
    "text": lambda key: key if key.isascii() else as_text(key).encode(),
    "mcrouter": mcrouter,
}
