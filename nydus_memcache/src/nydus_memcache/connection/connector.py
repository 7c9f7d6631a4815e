"""Opens, checks and closes connections to a memcached server, with blocking calls."""

from __future__ import annotations

import time
from typing import Any

from nydus_memcache.connection.link import Address, Link

__all__ = ["LinkConnector"]


class LinkConnector:
    """Makes connections. See ``nydus_core.engines.BlockingConnector``.

    Parameters:
        address: Where the server listens.
        idle_timeout: Seconds after which a connection that was not used is closed; 0 for never.
    """

    asks = False

    def __init__(self, address: Address, idle_timeout: float) -> None:
        self._address = address
        self._idle_timeout = idle_timeout
        # Any: a method of the protocol has to be one, but for that
        #: Tells whether a connection is open with nothing left to send, and nothing that was received left to read.
        self.is_in_step: Any = Link.is_at_rest  # itself: it is asked for each command
        #: Tells whether an idle connection can be used: the server has said nothing, and it was not idle for too long.
        self.is_fresh: Any = self._is_fresh_in_time if idle_timeout else Link.is_fresh

    def open(self) -> Link:
        """Open a connection.

        Raises:
            OSError: The server is not there, or did not accept within ``connect_timeout``.
        """
        return self._address.connect()

    def _is_fresh_in_time(self, connection: Link) -> bool:
        return time.monotonic() - connection.used <= self._idle_timeout and connection.is_fresh()

    def is_alive(self, connection: Link) -> bool:
        """Tell that nobody is asked: there are no health checks."""
        return True

    def shut(self, connection: Link) -> None:
        """Close a connection at once."""
        connection.close()

    def forget(self, connection: Link) -> None:
        """Let go of a connection of the parent process: close the socket of this process, and say nothing."""
        connection.close()

    def exhausted(self, why: str) -> Exception:
        """Make the error for a caller that got no connection."""
        return RuntimeError(f"{why} (max_pool_size)")
