"""One connection to a memcached server: bytes out, lines and values in. A link knows no commands.

Sending never waits. Bytes that the socket does not take at once go out while answers are read, because a memcached whose
answers are not read stops reading. pymemcache sends all before it reads, and so both can wait for each other; a link
guards against that. The module is long on purpose: sending and reading depend on each other here, line by line.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

from pymemcache.client.base import KeepaliveOpts
from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_core.deadlines import time_left
from nydus_core.sockets import LARGE, await_taken, poll_of
from nydus_memcache.connection.turned_away import check_first_line, is_turned_away, turned_away

__all__ = ["Address", "Link", "keep_alive", "ready"]

T = TypeVar("T")

#: Bytes to ask a socket for at once: the usual number, and the most for large values.
_READ, _READ_MOST = 65536, 1 << 20
#: Bytes to hand over when a socket is writable again: a TLS record, which then fits without waiting.
_WRITE = 16384
#: Seconds that stand for no limit. On a socket without a timeout ``send`` would wait until all is sent.
_FOREVER = 7 * 86400.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens, and how to connect to it.

    Attributes:
        server: Host and port, or the path of a unix socket.
        connect_timeout: Seconds that connecting may take; None for no limit.
        timeout: Seconds that waiting for an answer may take; None for no limit.
        no_delay: Whether to set ``TCP_NODELAY``.
        keepalive: pymemcache's options for TCP's keepalive; None for none.
        tls: The context that encrypts the connection; None for no TLS.
    """

    server: tuple[str, int] | str
    connect_timeout: float | None
    timeout: float | None
    no_delay: bool = True
    keepalive: KeepaliveOpts | None = None
    tls: ssl.SSLContext | None = None

    def connect(self) -> Link:
        """Open a connection.

        Raises:
            OSError: The server is not there, or did not accept within ``connect_timeout``.
        """
        # Not by pymemcache's Client, which tries only the first address of a name: 'localhost' fails where its first
        # address is ::1 and the server listens on 127.0.0.1.
        sock = self._unix(self.server) if isinstance(self.server, str) else self._tcp(*self.server)
        return Link(sock, self.timeout)

    def _unix(self, path: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(time_left(self.connect_timeout))
            sock.connect(path)
        except BaseException:
            sock.close()
            raise
        return sock

    def _tcp(self, host: str, port: int) -> socket.socket:
        sock = socket.create_connection((host, port), time_left(self.connect_timeout))
        try:
            if self.no_delay:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.keepalive is not None:
                keep_alive(sock, self.keepalive)
            if self.tls is not None:
                return self.tls.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
        return sock


def keep_alive(sock: Any, options: KeepaliveOpts) -> None:
    """Set pymemcache's options for TCP's keepalive on a socket."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name in ("idle", "intvl", "cnt"):
        sock.setsockopt(
            socket.IPPROTO_TCP, getattr(socket, f"TCP_KEEP{name.upper()}"), getattr(options, name)
        )


class Link:
    """A connection, used by one thread at a time.

    Parameters:
        sock: The connected socket.
        timeout: Seconds to wait for the server; None for no limit.

    Attributes:
        sent: How many bytes of the last request the socket has taken.
        unsent: The bytes of the last request that the socket has not taken.
        received: The bytes that have come. See ``Source``.
        at: The position of the first of them that was not read.
        closed: Whether the connection is closed, and cannot be used again.
        used: When a request was last sent, or the connection was opened, on the clock of ``time.monotonic``.
        nydus_permit: Belongs to the pool.
    """

    nydus_permit: Any = None
    #: Whether a read was broken off and has begun again: never here.
    is_begun = False

    def __init__(self, sock: socket.socket, timeout: float | None) -> None:
        self._sock = sock
        self._timeout = _FOREVER if timeout is None else min(timeout, _FOREVER)
        # A TLS socket returns only when it has sent all that it was given, and may hold bytes that nobody sees from outside.
        # So it is given little at once, and waits by itself. Of another socket it is this class that waits.
        self._at_once = _WRITE if isinstance(sock, ssl.SSLSocket) else None
        sock.settimeout(0 if self._at_once is None else self._timeout)
        # Windows has no poll
        self._is_readable = poll_of(sock) or (lambda milliseconds: ready(sock, milliseconds / 1000)[0])
        self._until = 0.0
        self.used = time.monotonic()
        self.received = b""
        self.at = 0
        self.unsent: bytes | memoryview = b""
        self._is_new = True  # whether no whole line has come yet
        self._is_large = False  # whether the server may need some time to take the request
        self.sent = 0
        self.closed = False

    def is_at_rest(self) -> bool:
        """Tell whether nothing is left to send, and nothing that was received is left to read."""
        return self.at == len(self.received) and not self.unsent and not self.closed

    def is_fresh(self) -> bool:
        """Tell whether a connection at rest can be used: the server has neither closed it nor sent more."""
        if not self._is_readable(0):
            return True
        try:
            return self._receive_now(1) is None
        except OSError:
            return False

    def send(self, request: bytes) -> None:
        """Hand over as much of a request as the socket takes at once.

        Raises:
            OSError: The connection is broken; ``sent`` tells whether the server may have got a part of the request.
        """
        self.used = now = time.monotonic()
        self._until = now + self._timeout
        self.sent = 0
        self._is_large = len(request) > LARGE
        self.unsent = memoryview(request) if self._is_large else request
        self._hand_over(self._at_once)

    def _hand_over(self, most: int | None) -> None:
        """Hand over as much of the rest as the socket takes at once.

        Meanwhile the piece counts as sent, because a signal handler may raise at any moment.
        """
        before, piece = self.sent, self.unsent
        if most is not None:
            piece = piece[:most]
        self.sent = before + len(piece)
        try:
            taken = self._sock.send(piece)
        except OSError as error:
            if error.errno is not None:  # the socket's own error, not the error of a signal handler
                self.sent = before
            if type(error) is not BlockingIOError or error.errno is None:
                raise
            taken = 0  # it has no room just now
        self.sent = before + taken
        self.unsent = b"" if taken == len(self.unsent) else self.unsent[taken:]

    def wait(self) -> None:
        """Wait for the answer to begin. The time counts from ``send``, so many hosts that hang cost one timeout.

        Of a large request it counts from when the server has taken all of it.

        Raises:
            TimeoutError: No answer began.
        """
        if self.unsent:
            return
        if self._is_large:
            self._await_taken()
        if not self._is_readable(max(0, ceil((self._until - time.monotonic()) * 1000))):
            raise TimeoutError(f"no answer within {self._timeout} seconds")

    def flush(self) -> None:
        """Send the rest of a request that has no answer."""
        while self.unsent:
            self._push()

    def line(self, end: bytes = b"\r\n") -> bytes:
        """Read up to the end of a line, or another token; return the bytes before it."""
        if self.at == len(self.received):  # nearly always
            self.more(1)
        found = self.received.find(end, self.at)
        while found < 0:
            self.more(1)
            found = self.received.find(end, self.at)
        start, self.at = self.at, found + len(end)
        return self.received[start:found]

    def more(self, count: int) -> None:
        """Receive at least so many further bytes."""
        if self.closed:
            raise MemcacheUnexpectedCloseError("the connection was given up")
        if self.at == len(self.received) and count == 1:  # nearly always
            self.received, self.at = b"", 0
            self.received = self._receive(_READ)
        else:
            pieces = [self.received[self.at :]]
            while count > 0:
                pieces.append(self._receive(min(max(count, _READ), _READ_MOST)))
                count -= len(pieces[-1])
            self.received, self.at = b"".join(pieces), 0
        if self._is_new:
            check_first_line(self.received)
            self._is_new = b"\n" not in self.received

    def begun(self, make: Callable[[], T]) -> T:
        """Return a new collection: here no read is broken off and begun again."""
        return make()

    def why(self, error: Exception) -> Exception:
        """Return the reason of a failure: that the server has turned this connection away, or else the failure itself.

        A server that is full says so and closes. Then sending fails, and nobody has read the server's words.
        """
        if self._is_new and not self.closed:
            with contextlib.suppress(OSError):
                self.received += self._receive_now(_WRITE) or b""
            if is_turned_away(self.received):
                return turned_away()
        return error

    def fileno(self) -> int:
        """Return the number of the socket."""
        return self._sock.fileno()

    def shut(self) -> None:
        """End sending and reading by another thread, which finds the connection closed."""
        with contextlib.suppress(OSError):
            # Not the shutdown() of a TLS socket, which takes away the state that the other thread uses
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection, and forget all received bytes."""
        self.closed = True
        self.received, self.at, self.unsent = b"", 0, b""
        self._sock.close()

    def _receive(self, size: int) -> bytes:
        received = None
        while self.unsent and received is None:
            received = self._receive_now(size) if self._push() else None
        if self._is_large and received is None:
            self._await_taken()
        while received is None:
            if self._at_once is None and not self._is_readable(ceil(self._timeout * 1000)):
                raise TimeoutError(f"no answer within {self._timeout} seconds")
            try:
                received = self._sock.recv(size)
            except BlockingIOError:  # it only looked readable
                continue
            except TimeoutError as error:
                raise TimeoutError(f"no answer within {self._timeout} seconds") from error
        if not received:
            raise MemcacheUnexpectedCloseError("the server closed the connection")
        return received

    def _receive_now(self, size: int) -> bytes | None:
        """Receive bytes without waiting; None if there are none (TLS has messages of its own, such as session tickets)."""
        if self._at_once is not None:
            self._sock.settimeout(0)
        try:
            return self._sock.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError):
            return None
        finally:
            if self._at_once is not None:
                self._sock.settimeout(self._timeout)

    def _await_taken(self) -> None:
        """Wait until the server has taken a large request, or answers. See ``await_taken``."""
        self._is_large = False
        await_taken(self._sock, self._timeout, lambda seconds: bool(self._is_readable(ceil(seconds * 1000))))
        self._until = time.monotonic() + self._timeout

    def _push(self) -> bool:
        """Send a piece when the socket takes it; return whether there are bytes to receive."""
        readable, writable = ready(self._sock, self._timeout, writing=True)
        if not (readable or writable):
            raise TimeoutError(f"nothing more was taken within {self._timeout} seconds")
        if writable:
            self._hand_over(_WRITE)
        return readable


def ready(sock: Any, seconds: float, *, writing: bool = False) -> tuple[bool, bool]:
    """Wait until a socket can be read or, with ``writing``, written; return both as a pair of flags."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT if writing else select.POLLIN)
        events = poll.poll(ceil(seconds * 1000))
        found = events[0][1] if events else 0
        return bool(found & ~select.POLLOUT), bool(found & select.POLLOUT)  # recv raises the errors
    readable, writable, _ = select.select([sock], [sock] if writing else [], [], seconds)  # Windows
    return bool(readable), bool(writable)
