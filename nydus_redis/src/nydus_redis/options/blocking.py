"""The options of a host with blocking calls, and checks of those that both sides have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from nydus_core.addresses import check_host, check_socket_path
from nydus_core.checks import (
    AT_MOST,
    BATCHING,
    DEPTH,
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

__all__ = [
    "OPTION_TYPES",
    "REFUSED",
    "TIMEOUT",
    "TYPES",
    "client_options",
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

_SECONDS = (int, float, type(None))
_TEXT = (str, type(None))

#: In the order of nydus 0.11, for positional arguments.
TYPES: dict[str, Any] = {
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
    "batching": (bool, int),
    "pipeline_depth": int,
    "health_check_interval": (int, float),
    "ssl": bool,
    "decode_responses": bool,
    "encoding": str,
    "encoding_errors": str,
    "client_name": _TEXT,
    "protocol": (int, str, type(None)),
}

#: All options, each with the types that it takes; None where redis-py checks.
OPTION_TYPES: Mapping[str, Any] = {
    **TYPES,
    **{name: None for name in inspect.signature(redis.Redis).parameters if name not in TYPES},
}

_RANGES: Mapping[str, Check] = {
    "host": HOST,
    "port": PORT,
    "db": (lambda db: 0 <= db <= 0x7FFFFFFF, "the number of a database, 0 or more"),
    "timeout": SECONDS_OR_NONE,
    "socket_timeout": SECONDS_OR_NONE,
    "socket_connect_timeout": SECONDS_OR_NONE,
    "max_connections": AT_MOST,
    "batching": BATCHING,
    "pipeline_depth": DEPTH,
    "health_check_interval": (lambda seconds: 0 <= seconds <= 1_000_000, "seconds, 0 for never, or more"),
    "encoding": ENCODING,
    "encoding_errors": ENCODING_ERRORS,
    "protocol": (lambda protocol: protocol in (2, 3, "2", "3", None), "2 or 3"),
}


#: Options about the connection that tasks of asyncio share. A blocking cluster takes no notice of them.
_BATCHING = ("batching", "pipeline_depth")

#: Options that say how a connection introduces itself to the server.
_INTRODUCTION = ("driver_info", "lib_name", "lib_version")
#: redis-py's class for the first of them; None before redis-py 7.
_DriverInfo: Any = getattr(redis, "DriverInfo", None)


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
        name: value
        for name, value in options.items()
        if name not in ("timeout", "identifier", *_BATCHING, *REFUSED)
    }
    if _DriverInfo is not None and pool is None and not any(name in given for name in _INTRODUCTION):
        # else redis-py reads its own version from the files of its distribution, for each client
        given["driver_info"] = _DriverInfo(lib_version=redis.__version__)
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        **given,
        "retry": retry(NoBackoff(), 0),
    }


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
