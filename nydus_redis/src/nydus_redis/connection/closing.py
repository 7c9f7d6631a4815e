"""Pools for clients with connections of their own: a connection is closed when it is given back.

Such a client may leave any state on its connections (SELECT, MULTI, CLIENT REPLY), and so may its pipelines. Nobody else gets
these connections.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Closing", "ClosingPool"]


class Closing:
    """A pool of redis-py that closes each connection before it goes back.

    Parameters:
        pool: redis-py's pool, which the connections come from.
    """

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)


class ClosingPool(Closing):
    """Such a pool for blocking calls."""

    def release(self, connection: Any) -> None:
        """Close a connection, and give it back."""
        try:
            connection.disconnect()
        finally:
            self._pool.release(connection)
