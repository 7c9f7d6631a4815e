"""Connections that do not connect while their thread must not wait, and the sockets under them, for blocking calls.

redis-py's pool hands out connections that are connected. It connects a new connection first, and so it does where the server
has closed one. A thread that sends to many hosts, or has a deadline, must know beforehand whether that will take time.

redis-py keeps the socket under a private name. Where a version of redis-py, or a connection class of the user's own, has no
such name, the functions here use public calls only.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import redis
import redis.asyncio

from nydus_core.redaction import NO_SECRETS, Redactor
from nydus_core.sockets import LARGE
from nydus_redis.connection.moves import Moves
from nydus_redis.connection.writing import piecemeal

__all__ = [
    "Discreet",
    "allow_connecting",
    "free_locks",
    "is_closed",
    "no_connecting",
    "patient",
    "shut",
]

_thread = threading.local()


@contextmanager
def no_connecting() -> Generator[None]:
    """Have connections of a ``patient`` class raise ``redis.ConnectionError`` instead of connecting, in this thread."""
    _thread.waits = False
    try:
        yield
    finally:
        _thread.waits = True


def allow_connecting() -> None:
    """End a ``no_connecting`` block of this thread that an interrupt, such as Ctrl-C, has left without its end."""
    _thread.waits = True


class Discreet:
    """Mixed into redis-py's connection classes of both sides: knows the secrets that a server is greeted with.

    Attributes:
        nydus_redactor: The redactor of the host.
    """

    nydus_redactor: Redactor

    def nydus_told(self, error: Exception) -> None:
        """Take secrets out of an error of connecting, for the server may have repeated the greeting; and tell of TLS.

        A port that speaks no TLS answers nothing, or nonsense.
        """
        self.nydus_redactor.clean(error)
        if isinstance(self, redis.SSLConnection | redis.asyncio.SSLConnection) and _may_lack_tls(error):
            error.args = (f"{error}: {_TLS}", *error.args[1:])

    def send_command(self, *args: Any, **kwargs: Any) -> Any:
        """Send a command. If it is a greeting, the host's redactor learns the password or token: a provider made it just now."""
        if args and args[0] in ("HELLO", "AUTH") and "AUTH" in args[:3]:
            self.nydus_redactor.learn(
                args[-1] if args[0] == "AUTH" else args[4:5]
            )  # HELLO 3 AUTH user password
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


class _Patient(Discreet):
    """Mixed into redis-py's connection classes."""

    _sock: Any
    nydus_moves: Moves
    nydus_count = 0

    def connect(self) -> None:
        """Connect, if the connection is closed, or from before the host became a replica.

        The pool calls this for each command, and redis-py's own method takes long to find out that nothing is to be done.
        """
        try:
            is_open = self._sock is not None
        except AttributeError:  # no private name to look at: only redis-py knows
            is_open = getattr(self, "is_connected", False)
        count = self.nydus_moves.count
        if is_open and self.nydus_count == count:
            return
        if not getattr(_thread, "waits", True):
            raise redis.ConnectionError("it is not connected")
        if is_open:
            self.disconnect()  # type: ignore[attr-defined]
        self.nydus_count = count
        try:
            super().connect()  # type: ignore[misc]
        except Exception as error:
            self.nydus_told(error)
            raise

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        """Send a request. Its large pieces may take as long as the server takes more: see ``piecemeal``."""
        if type(command) is not list or len(command) != 1 or len(command[0]) > LARGE:
            command = piecemeal(self, [command] if isinstance(command, str) else command)
        super().send_packed_command(command, check_health)  # type: ignore[misc]


def patient(connection_class: type[Any], moves: Moves, redactor: Redactor = NO_SECRETS) -> type[Any]:
    """Return a subclass of a connection class that obeys ``no_connecting``, and connects anew after a move.

    It shows no secrets when it cannot connect.

    Parameters:
        connection_class: redis-py's class.
        moves: Tells when to connect anew.
        redactor: The redactor of the host.
    """
    body = {"nydus_moves": moves, "nydus_redactor": redactor}
    return type(connection_class.__name__, (_Patient, connection_class), body)


def is_closed(connection: Any) -> bool:
    """Tell whether a connection is known to be closed."""
    try:
        return connection._sock is None
    except AttributeError:
        return not getattr(connection, "is_connected", True)


def free_locks(pool: Any) -> None:
    """Give redis-py's pool new locks, in a child process that has just been forked.

    A thread of the parent may have held a lock at the fork. The child has no such thread, so nobody would ever release it.
    """
    for name in ("_lock", "_fork_lock"):
        if hasattr(pool, name):
            setattr(pool, name, threading.RLock())


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
