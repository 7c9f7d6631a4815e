"""The open connections to one host, shared by threads. The pool hands out only connections with nothing pending."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from nydus_core.threads import renew_after_fork
from nydus_memcache.connection.link import Link

__all__ = ["Pool"]


class Pool:
    """Connections to one host. The connection that was used last is used next; the others may grow old and be closed.

    Parameters:
        connect: Opens a connection.
        size: The most connections that may be in use at once; None for no limit.
        idle_timeout: Seconds after which a connection that was not used is closed; 0 for never.
        make_lock: Makes the lock that keeps threads apart.
    """

    def __init__(
        self,
        connect: Callable[[], Link],
        size: int | None = None,
        idle_timeout: float = 0,
        make_lock: Callable[[], AbstractContextManager[Any]] = threading.Lock,
    ) -> None:
        self._connect = connect
        self._size = size
        self._idle_timeout = idle_timeout
        self._make_lock = make_lock
        self._retired = False
        self._start()
        renew_after_fork(self)

    def _start(self) -> None:
        self._lock = self._make_lock()
        self._idle: list[tuple[Link, float]] = []
        self._used: set[Link] = set()
        self._opening = 0

    def idle(self) -> Link | None:
        """Take an open connection; None if there is none to use."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                link, since = self._idle.pop()
                self._used.add(link)
            old = self._idle_timeout and time.monotonic() - since > self._idle_timeout
            if not old and link.is_fresh():
                return link
            link.close()
            self.give(link)

    def take(self) -> Link:
        """Take a connection; open a new one if none is idle.

        Raises:
            RuntimeError: As many connections as allowed are in use.
            OSError: The host is not there.
        """
        link = self.idle()
        if link is not None:
            return link
        with self._lock:
            if self._size is not None and len(self._used) + self._opening >= self._size:
                raise RuntimeError(f"all {self._size} connections are in use (max_pool_size)")
            self._opening += 1
        opened = None
        try:
            opened = self._connect()
            return opened
        finally:
            with self._lock:  # in one step: a connection counted twice could keep another thread from one
                self._opening -= 1
                if opened is not None:
                    self._used.add(opened)

    def give(self, link: Link) -> None:
        """Give a connection back. A connection with anything pending, or from before ``close``, is closed."""
        with self._lock:
            if link in self._used:
                self._used.remove(link)
                if link.at_rest and not self._retired:
                    self._idle.append((link, time.monotonic() if self._idle_timeout else 0.0))
                    return
        link.close()

    def close(self) -> None:
        """Close all connections, the ones in use when they are given back. A later command opens new ones."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._used.clear()
        for link, _ in idle:
            link.close()

    def retire(self) -> None:
        """Close all connections, the ones in use when they are given back, and keep none from now on."""
        self._retired = True
        self.close()

    def after_fork(self) -> None:
        """Start anew in a child process: the connections belong to the parent, and the lock may have been held."""
        idle = self._idle
        self._start()
        for link, _ in idle:
            link.close()
