"""The options of a memcached host, with their checks: the options of pymemcache's ``PooledClient``, and more."""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from pymemcache.client.base import KeepaliveOpts
from pymemcache.serde import LegacyWrappingSerde

from nydus_core.addresses import UnreadableUrl, check_host, check_socket_path, read_url
from nydus_core.checks import (
    AT_MOST,
    BATCHING,
    DEPTH,
    ENCODING,
    HOST,
    PORT,
    SECONDS_OR_NONE,
    Check,
    agreed,
    check_each,
    refuse,
)
from nydus_core.errors import ConfigError
from nydus_core.wording import written
from nydus_memcache.commands import LEGAL_KEY, PickleSerde, PlainSerde, Serde, Wire

__all__ = [
    "OPTION_TYPES",
    "REFUSED",
    "TIMEOUT",
    "check",
    "check_async",
    "client_options",
    "from_url",
    "wire",
]

#: Seconds that connecting, and waiting for an answer, may take where the settings do not say.
TIMEOUT = 5.0

#: Options that would undo a promise of the cluster, or mean nothing here, and why.
REFUSED = {
    "default_noreply": "a value that the server refuses has to be an error; give noreply=True to single calls",
    "ignore_exc": "a host that fails is not a key that is missing; catch nydus_core.HostError",
    "socket_module": "the engine opens its own sockets; monkey-patch the socket module instead",
    "binary": "pymemcache speaks the text protocol",
    "behaviors": "these were pylibmc's; see the options of this engine",
}

_SECONDS = (int, float, type(None))
_TEXT = (str, type(None))

#: The options and their types. As far as nydus 0.11 has them they stand in its order, the order of positional arguments.
OPTION_TYPES: Mapping[str, Any] = {
    "host": str,
    "port": int,
    "unix_socket_path": _TEXT,
    "timeout": _SECONDS,
    "connect_timeout": _SECONDS,
    "identifier": _TEXT,
    "key_prefix": (str, bytes),
    "max_pool_size": (int, type(None)),
    "pool_idle_timeout": (int, float),
    "no_delay": bool,
    "allow_unicode_keys": bool,
    "encoding": str,
    "pickle": bool,
    "serde": None,
    "serializer": None,
    "deserializer": None,
    "socket_keepalive": (KeepaliveOpts, type(None)),
    "tls_context": (ssl.SSLContext, type(None)),
    "lock_generator": None,
    "batching": (bool, int),
    "pipeline_depth": int,
    **dict.fromkeys(REFUSED),
}


_RANGES: Mapping[str, Check] = {
    "host": HOST,
    "port": PORT,
    "timeout": SECONDS_OR_NONE,
    "connect_timeout": SECONDS_OR_NONE,
    "max_pool_size": AT_MOST,
    "pool_idle_timeout": (lambda seconds: 0 <= seconds <= 1_000_000, "seconds, 0 for no limit, or more"),
    "encoding": ENCODING,
    "batching": BATCHING,
    "pipeline_depth": DEPTH,
}


def check(options: Mapping[str, Any]) -> None:
    """Check the options of one host against each other.

    Raises:
        ConfigError: An option would undo a promise of the cluster, or makes no sense.
    """
    refuse(options, REFUSED)
    check_each(options, _RANGES)
    check_host(options.get("host", ""), "host")
    if options.get("unix_socket_path") is not None:
        check_socket_path(options["unix_socket_path"], "unix_socket_path")
    if options.get("unix_socket_path") is not None and options.get("tls_context") is not None:
        raise ConfigError("there is no TLS over a unix socket; expected one of the two", "tls_context")
    _prefix(options.get("key_prefix", b""))
    serde_of(options)


def check_async(options: Mapping[str, Any]) -> None:
    """Refuse the options that mean nothing with asyncio.

    Raises:
        ConfigError: Such an option is set.
    """
    refuse(options, _REFUSED_ASYNC)


_REFUSED_ASYNC = {
    "lock_generator": "with asyncio there are no threads to keep apart; leave it out",
}


# One wire for all hosts ------------------------------------------------------------------------------------------

#: The options that decide how keys and values look. One surface serves all hosts, so the hosts must agree on them.
_WIRE: Mapping[str, Any] = {
    "key_prefix": b"",
    "allow_unicode_keys": False,
    "encoding": "ascii",
    "pickle": False,
    "serde": None,
    "serializer": None,
    "deserializer": None,
}


def wire(options: Sequence[Mapping[str, Any]]) -> Wire:
    """Return the wire that makes the commands of a cluster.

    Parameters:
        options: The options of each host.

    Raises:
        ConfigError: The hosts do not agree on how keys and values look, or these options make no sense.
    """
    first = agreed([{name: each.get(name, default) for name, default in _WIRE.items()} for each in options])
    return Wire(serde_of(first), _prefix(first["key_prefix"]), first["allow_unicode_keys"], first["encoding"])


def serde_of(options: Mapping[str, Any]) -> Serde:
    """Return the serde that a host's options ask for: ``serde``, ``pickle``, or pymemcache's old pair of functions.

    Raises:
        ConfigError: More than one of these options is given.
    """
    serde, pickle = options.get("serde"), options.get("pickle", False)
    functions = options.get("serializer"), options.get("deserializer")
    has_functions = any(function is not None for function in functions)
    if (serde is not None) + bool(pickle) + has_functions > 1:
        raise ConfigError("found more than one of 'serde', 'pickle' and 'serializer'; keep one", "serde")
    if has_functions:
        for name, function in zip(("serializer", "deserializer"), functions, strict=True):
            if function is not None and not callable(function):
                raise ConfigError(f"found {written(function)}; expected a function", name)
        chosen: Any = LegacyWrappingSerde(*functions)
    else:
        chosen = serde if serde is not None else PickleSerde() if pickle else PlainSerde()
    if not (_has(chosen, "serialize") and _has(chosen, "deserialize")):
        raise ConfigError(
            f"{written(serde)} has no serialize(key, value) and deserialize(key, value, flags)", "serde"
        )
    found: Serde = chosen
    return found


def _has(serde: Any, method: str) -> bool:
    try:
        return callable(getattr(serde, method, None))
    except Exception:  # its own methods may raise
        return False


def _prefix(prefix: str | bytes) -> bytes:
    found = prefix.encode("utf-8", "backslashreplace") if isinstance(prefix, str) else prefix
    if found and (LEGAL_KEY.fullmatch(found) is None or (isinstance(prefix, str) and not prefix.isascii())):
        raise ConfigError(
            f"found {written(prefix)}; expected ASCII text, or bytes, without white space and control characters",
            "key_prefix",
        )
    return found


def client_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with which pymemcache's own ``PooledClient`` behaves as this engine does."""
    kept = {name: value for name, value in options.items() if name in _FOR_CLIENT}
    return {**kept, "serde": serde_of(options), "default_noreply": False}


_FOR_CLIENT = frozenset(
    {"max_pool_size", "pool_idle_timeout", "no_delay", "key_prefix", "allow_unicode_keys", "encoding"}
    | {"socket_keepalive", "tls_context", "lock_generator"}
)


# URLs ------------------------------------------------------------------------------------------------------------


def from_url(url: str) -> dict[str, Any]:
    """Return the options that ``memcached://host:port`` or ``memcached:///path/of.sock`` stands for.

    Further options come as in ``?timeout=2&key_prefix=app:``. They stay text: the settings convert them.

    Raises:
        UnreadableUrl: The URL makes no sense. The error shows no part of it.
    """
    parts = read_url(url)
    if parts.username is not None or parts.password is not None:
        raise UnreadableUrl("there are no users and passwords in the text protocol of memcached")
    options: dict[str, Any] = {}
    if parts.host:
        if parts.path.strip("/"):
            raise UnreadableUrl(
                "a path after the port means nothing; a unix socket has no host before it: memcached:///run/server.sock"
            )
        options["host"] = parts.host
        if parts.port is not None:
            options["port"] = parts.port
    elif parts.path.strip("/"):
        options["unix_socket_path"] = parts.path
    return parts.with_query(options, dict(parts.query))
