"""One TLS context for all connections of a host, with asyncio.

redis-py makes a context for each connection, in the event loop: it reads all certificates of the system, which takes 20 to 50
milliseconds. So connections that are opened at the same time hold up the loop one after the other, until their timeouts are over.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from typing import Any

from nydus_core.threads import Future, in_thread

__all__ = ["TlsContext"]

#: Options of redis-py that name files, which may be replaced: certificates have an end.
_FILES = ("ca_certs", "ca_path", "certfile", "keyfile")


class TlsContext:
    """The TLS context of a host. It is made at the first connect, in a thread, and anew when one of its files has changed.

    Event loops may share it.
    """

    def __init__(self) -> None:
        self._made: Future[ssl.SSLContext] | None = None
        self._stamp: object = None

    async def lend(self, connection: Any) -> None:
        """Give a connection the context. If it cannot be made, redis-py makes its own, and tells why it cannot.

        Parameters:
            connection: A connection of redis-py that is not connected yet; nothing is done for one without TLS.
        """
        own: Any = getattr(connection, "ssl_context", None)
        if not hasattr(own, "context") or not hasattr(own, "get") or own.context is not None:
            return
        # After a fork no thread of the parent makes it any more
        stamp = (os.getpid(), *(_stamp(getattr(own, name, None)) for name in _FILES))
        made = self._made
        if made is None or stamp != self._stamp or (made.done() and made.exception() is not None):
            self._stamp = stamp
            made = self._made = in_thread(own.get)
        if made is not None:
            await _end_of(made)
            if made.exception() is None:
                own.context = made.result()


async def _end_of(made: Future[Any]) -> None:
    """Wait until a thread has done its job; the loop may be closed before."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()

    def ring(_: object) -> None:
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(lambda: None if ended.done() else ended.set_result(None))

    made.add_done_callback(ring)
    await ended


def _stamp(path: object) -> object:
    """Return a value that is another one when a file has changed."""
    if not isinstance(path, str | os.PathLike):
        return None
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
