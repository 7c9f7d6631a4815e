"""The options that a URL of a host stands for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from redis.connection import parse_url

from nydus_core.addresses import UnreadableUrl, read_url
from nydus_redis.options.blocking import TYPES

__all__ = ["from_url"]


def from_url(url: str) -> dict[str, Any]:
    """Return the options that a ``redis://``, ``valkey://``, ``rediss://``, ``valkeys://`` or ``unix://`` URL stands for.

    Options behind the ``?`` whose type is known here stay text. redis-py converts the others.

    Raises:
        UnreadableUrl: The URL cannot be read. The error shows no part of it.
    """
    parts = read_url(url)
    found: dict[str, Any] = {"username": parts.username, "password": parts.password}
    if parts.scheme == "unix":
        if parts.host or not parts.path.startswith("/"):
            raise UnreadableUrl(
                "the path of a unix socket begins with a third slash: unix:///run/redis.sock; if a user or a password has a "
                "'/', percent-encode it as %2F"
            )
        found["unix_socket_path"] = parts.path
    else:
        found |= {"host": parts.host or None, "port": parts.port, "db": _database(parts.path)}
    if parts.scheme in ("rediss", "valkeys"):
        found["ssl"] = True
    return parts.with_query(found, _query(parts.query))


def _database(path: str) -> int | None:
    number = path.removeprefix("/").removesuffix("/")
    if number and re.fullmatch("[0-9]+", number) is None:
        raise UnreadableUrl(
            "the path is not the plain number of a database, as in redis://host:6379/0; if a user or a password has a '/', "
            "percent-encode it as %2F"
        )
    return int(number) if number else None


def _query(query: Sequence[tuple[str, str]]) -> dict[str, Any]:
    texts = dict(query)
    try:
        read: dict[str, Any] = dict(parse_url(f"redis://?{urlencode(texts)}"))  # type: ignore[no-untyped-call]
    except ValueError:  # of an option that has a type here, or the settings will say so
        read = {}
    converted = {name: value for name, value in read.items() if name in texts and not isinstance(value, str)}
    return texts | {name: value for name, value in converted.items() if TYPES.get(name) is None}
