"""The part of a key that counts: the hash tags of several clients, and text for clients that hash text.

A rule takes a key and returns the part that is hashed. The rule of Redis Cluster is ``hash_tag``, in ``protocol``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from nydus_core.errors import ConfigError
from nydus_core.routers.protocol import hash_tag
from nydus_core.wording import written

__all__ = ["FORMS", "TAGS", "as_text", "between"]

#: Java's dot matches anything but the ends of lines, and Java knows more of them than Python.
_JEDIS = "\\{([^\n\r\x85\u2028\u2029]+?)\\}"
_DJANGO = rb".*\{(.*)\}.*"


def jedis(key: bytes) -> bytes:
    """Return the first match of the pattern ``{(.+?)}``, or the whole key if there is none or the key is not UTF-8.

    The match may begin with further braces: the tag of ``{}{a}`` is ``}{a``. Source: Jedis 3.9.0,
    ``Sharded.DEFAULT_KEY_TAG_PATTERN``.
    """
    try:
        found = re.search(_JEDIS, key.decode())
    except UnicodeDecodeError:
        return key
    return found[1].encode() if found else key


def django_redis(key: bytes) -> bytes:
    """Return the part of the first line between the last ``{`` that a ``}`` follows and the last ``}``.

    The part may be empty. Without it, the whole key. Source: django-redis 7.0, ``ShardClient``.
    """
    found = re.match(_DJANGO, key)
    return found[1] if found else key


def phpredis(key: bytes) -> bytes:
    """Return the part between the first ``{`` and the next ``}``, which may be empty; without it, the whole key.

    Braces behind a zero byte do not count. Source: phpredis 5.3.7, ``ra_extract_key``, which takes keys for C strings.
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
        key = key[second + 1 :]  # the whole key if there is no second slash
    return key.partition(b"|#|")[0]


def between(marks: Any) -> Callable[[bytes], bytes]:
    """Return the rule of twemproxy's ``hash_tag``.

    Parameters:
        marks: The two characters before and after the part that counts. They may be the same.

    Raises:
        ConfigError: ``marks`` are not two ASCII characters.
    """
    if not isinstance(marks, str) or len(marks) != 2 or not marks.isascii():
        raise ConfigError(
            f"found {written(marks)}; expected two ASCII characters, such as '{{}}'", "router.hash_tag"
        )
    first, last = marks[0].encode(), marks[1].encode()

    def part(key: bytes) -> bytes:
        start = key.find(first)
        end = key.find(last, start + 1)
        return key[start + 1 : end] if 0 <= start < end - 1 else key

    return part


def as_text(key: bytes) -> str:
    """Return a key as text, for clients that turn every key into text with ``str``.

    A key in UTF-8 is taken for text. Any other key can only have been bytes, whose text in Python is ``b'...'``.
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

#: Other forms of a key that clients hash, by name.
FORMS: dict[str, Callable[[bytes], bytes] | None] = {
    "bytes": None,
    "text": lambda key: key if key.isascii() else as_text(key).encode(),
    "mcrouter": mcrouter,
}
