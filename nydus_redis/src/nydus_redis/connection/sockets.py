"""The socket under a connection of redis-py, for blocking calls, and the secrets with which a server is greeted.

redis-py keeps the socket under a private name. Where a version of redis-py, or a connection class of the user's own, has no
such name, the functions here use public calls only.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio

from nydus_core.deadlines import time_left
from nydus_core.redaction import Redactor
from nydus_redis.commands import OF_PIPELINES, lookup
from nydus_redis.connection.writing import socket_of

__all__ = ["Discreet", "in_time", "is_closed", "shows_its_state", "shut"]


class Discreet:
    """Mixed into redis-py's connection classes of both sides: knows the secrets that a server is greeted with.

    Attributes:
        nydus_redactor: The redactor of the host.
        nydus_stateful: Whether a client of redis-py has left a state on the connection, such as SELECT does. Then nobody
            else may get the connection.
    """

    nydus_redactor: Redactor
    nydus_stateful = False

    def nydus_told(self, error: Exception) -> None:
        """Take secrets out of an error of connecting, for the server may have repeated the greeting; and tell of TLS.

        A port that speaks no TLS answers nothing, or nonsense.
        """
        self.nydus_redactor.clean(error)
        if isinstance(self, redis.SSLConnection | redis.asyncio.SSLConnection) and _may_lack_tls(error):
            error.args = (f"{error}: {_TLS}", *error.args[1:])

    def send_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command. If it is a greeting, the host's redactor learns the password or token: a provider made it just now.

        Commands of Nydus do not come here. A client of redis-py on ``engine.pool`` sends what it likes.
        """
        if args and (spec := lookup(args)) is not None and spec.connection and spec.name not in OF_PIPELINES:
            self.nydus_stateful = True
        if args and args[0] in ("HELLO", "AUTH") and "AUTH" in args[:3]:
            # HELLO 3 AUTH user password
            self.nydus_redactor.learn(args[-1] if args[0] == "AUTH" else args[4:5])
        return super().send_command(*args, **kwargs)  # type: ignore[misc]


_TLS = "this host is asked for TLS (ssl, rediss://), which its port may not speak"


def _may_lack_tls(error: BaseException) -> bool:
    """Tell whether an error of connecting with TLS may mean that the port speaks none: something accepted the connection."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            break
        if isinstance(seen, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError):
            return False
        seen = seen.__cause__ or seen.__context__
    return isinstance(error, redis.ConnectionError | redis.TimeoutError)


def is_closed(connection: Any) -> bool:
    """Tell whether a connection is known to be closed."""
    try:
        return connection._sock is None
    except AttributeError:
        return not getattr(connection, "is_connected", True)


@contextmanager
def in_time(connection: Any) -> Generator[None]:
    """Have a connection that is opened in the block take no longer than there is time until the deadline of the call."""
    usual = {name: getattr(connection, name) for name in _LIMITS if hasattr(connection, name)}
    limits = {name: time_left(seconds) for name, seconds in usual.items()}
    if limits == usual:
        yield
        return
    _set(connection, limits)
    yield
    _set(connection, usual)
    seconds, parser = usual.get("socket_timeout"), getattr(connection, "_parser", None)
    for each, name in ((parser, "_socket_timeout"), (getattr(parser, "_buffer", None), "socket_timeout")):
        if hasattr(each, name):
            setattr(each, name, seconds)
    sock = socket_of(connection)
    if sock is not None:
        sock.settimeout(seconds)


def _set(thing: Any, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(thing, name, value)


#: The time limits of redis-py's connections, in seconds.
_LIMITS = ("socket_timeout", "socket_connect_timeout")


def shows_its_state(connection: Any) -> bool:
    """Tell whether a connection shows, without any waiting, whether it is open."""
    return hasattr(connection, "_sock") or hasattr(connection, "is_connected")


def shut(connection: Any) -> None:
    """End all that another thread reads from or writes to a connection: that thread finds the connection closed."""
    try:
        sock = connection._sock
    except AttributeError:
        connection.disconnect()
        return
    if sock is not None:
        with contextlib.suppress(OSError):
            # The method of a TLS socket would take away the state that the other thread still reads with
            socket.socket.shutdown(sock, socket.SHUT_RDWR)
