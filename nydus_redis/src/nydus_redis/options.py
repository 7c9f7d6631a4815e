"""The options of a Redis host: all of ``redis.Redis``, and ``timeout`` and ``identifier`` as in nydus 0.11."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from nydus_core.addresses import UnreadableUrl, check_host, check_socket_path, read_url
from nydus_core.checks import (
    AT_MOST,
    ENCODING,
    ENCODING_ERRORS,
    HOST,
    PORT,
    SECONDS_OR_NONE,
    Check,
    agreed,
    check_each,
    check_type,
    refuse,
)
from nydus_core.errors import ConfigError

try:
    from redis.maint_notifications import MaintNotificationsConfig
except ImportError:  # before redis-py 7
    MaintNotificationsConfig = None  # type: ignore[assignment, misc]

__all__ = [
    "ASYNC_OPTION_TYPES",
    "OPTION_TYPES",
    "TIMEOUT",
    "async_client_options",
    "client_options",
    "from_url",
    "wire_options",
]

#: Seconds that connecting, and waiting for an answer, may take where the settings have no ``timeout``.
TIMEOUT = 5.0

#: Options that would break promises of the cluster, each with the reason or the alternative.
REFUSED = {
    "retry": "the cluster alone decides what may be sent again",
    "retry_on_error": "the cluster alone decides what may be sent again",
    "retry_on_timeout": "the cluster alone decides what may be sent again",
    "cache": "redis-py's client-side cache answers without the cluster",
    "cache_config": "redis-py's client-side cache answers without the cluster",
    "single_connection_client": "commands of several threads share a pool of connections: use max_connections",
}

#: Options that this version of redis-py has for blocking clients only.
_BLOCKING_ONLY = {
    name: "redis.asyncio does not have it"
    for name in inspect.signature(redis.Redis).parameters
    if name not in REFUSED and name not in inspect.signature(redis.asyncio.Redis).parameters
}

#: Options that are refused with asyncio alone.
REFUSED_ASYNC = {
    **_BLOCKING_ONLY,
    "connection_pool": "each event loop has a pool of its own: give the options of its connections instead",
    "auto_close_connection_pool": "the cluster closes its connections: await cluster.aclose()",
    "maint_notifications_config": "maintenance messages of Redis Enterprise are left to the blocking side",
}

_SECONDS = (int, float, type(None))
_TEXT = (str, type(None))

#: In the order of nydus 0.11, for positional arguments.
_TYPES: dict[str, Any] = {
    "host": str,
    "port": int,
    "db": int,
    "timeout": _SECONDS,
    "password": _TEXT,
    "unix_socket_path": _TEXT,
    "identifier": _TEXT,
    "username": _TEXT,
    "socket_timeout": _SECONDS,
    "socket_connect_timeout": _SECONDS,
    "max_connections": (int, type(None)),
    "health_check_interval": (int, float),
    "ssl": bool,
    "decode_responses": bool,
    "encoding": str,
    "encoding_errors": str,
    "client_name": _TEXT,
    "protocol": (int, str, type(None)),
}

OPTION_TYPES: Mapping[str, Any] = {
    **_TYPES,
    **{name: None for name in inspect.signature(redis.Redis).parameters if name not in _TYPES},
}

#: With asyncio. Refused options are among them, so that the error can give the reason.
ASYNC_OPTION_TYPES: Mapping[str, Any] = {
    **_TYPES,
    **{name: None for name in inspect.signature(redis.asyncio.Redis).parameters if name not in _TYPES},
    **dict.fromkeys((*REFUSED, *REFUSED_ASYNC)),
}


_RANGES: Mapping[str, Check] = {
    "host": HOST,
    "port": PORT,
    "db": (lambda db: 0 <= db <= 0x7FFFFFFF, "the number of a database, 0 or more"),
    "timeout": SECONDS_OR_NONE,
    "socket_timeout": SECONDS_OR_NONE,
    "socket_connect_timeout": SECONDS_OR_NONE,
    "max_connections": AT_MOST,
    "health_check_interval": (lambda seconds: 0 <= seconds <= 1_000_000, "seconds, 0 for never, or more"),
    "encoding": ENCODING,
    "encoding_errors": ENCODING_ERRORS,
    "protocol": (lambda protocol: protocol in (2, 3, "2", "3", None), "2 or 3"),
}


def client_options(options: Mapping[str, Any], retry: type[Any] = Retry) -> dict[str, Any]:
    """Return the arguments for ``redis.Redis``: its own retries are off, and its timeouts set.

    Parameters:
        options: The options of a host. ``timeout``, in seconds, stands for both timeouts of redis-py that are not given.
        retry: redis-py's class for retries. ``redis.asyncio`` has another.

    Raises:
        ConfigError: An option would break a promise of the cluster.
    """
    refuse(options, REFUSED)
    options = check_each(options, _RANGES)
    check_host(options.get("host", ""), "host")
    if options.get("unix_socket_path") is not None:
        check_socket_path(options["unix_socket_path"], "unix_socket_path")
    pool = options.get("connection_pool")
    if pool is not None:
        check_type(pool, redis.ConnectionPool, "connection_pool")
    of_pool = None if pool is None else pool.connection_kwargs.get("retry")
    if of_pool is not None and of_pool.get_retries():
        raise ConfigError(
            "the retries of this pool would send commands again: make it with retry=Retry(NoBackoff(), 0)",
            "connection_pool",
        )
    timeout = options.get("timeout", TIMEOUT)
    given = {
        name: value for name, value in options.items() if name not in ("timeout", "identifier", *REFUSED)
    }
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        **given,
        "retry": retry(NoBackoff(), 0),
    }


#: Whether this version of redis-py has maintenance messages with asyncio.
_KNOWS_MAINTENANCE = "maint_notifications_config" in inspect.signature(redis.asyncio.Redis).parameters


def async_client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments for ``redis.asyncio.Redis``. See ``client_options``.

    Raises:
        ConfigError: An option would break a promise of the cluster, or is for the blocking side alone.
    """
    refuse(options, REFUSED_ASYNC)
    client = client_options(
        {name: value for name, value in options.items() if name not in _BLOCKING_ONLY}, AsyncRetry
    )
    if MaintNotificationsConfig is not None and _KNOWS_MAINTENANCE:
        client["maint_notifications_config"] = MaintNotificationsConfig(enabled=False)
    return client


def from_url(url: str) -> dict[str, Any]:
    """Return the options that a ``redis://``, ``valkey://``, ``rediss://``, ``valkeys://`` or ``unix://`` URL stands for.

    Options behind the ``?`` that this module knows the type of stay text. redis-py converts the others.

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
    return texts | {name: value for name, value in converted.items() if _TYPES.get(name) is None}


#: Options that decide how commands and replies look. One surface serves all hosts, so the hosts must agree.
_WIRE = ("protocol", "legacy_responses", "encoding", "encoding_errors", "decode_responses")


def wire_options(options: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the options that decide how commands and replies look.

    Parameters:
        options: The options of each host.

    Raises:
        ConfigError: The hosts do not agree.
    """
    return dict(agreed([_wire_options_of(each) for each in options]))


def _wire_options_of(options: Mapping[str, Any]) -> dict[str, Any]:
    pool = options.get("connection_pool")
    source = pool.connection_kwargs if pool is not None else options
    return {name: source[name] for name in _WIRE if name in source}
