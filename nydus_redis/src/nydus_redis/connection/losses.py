"""Lost connections of redis-py's pipelines, kept apart from watched keys that have changed.

redis-py raises ``WatchError`` for both, and its ``transaction()`` then runs again. But EXEC may have been applied before the
connection was lost. redis-py decides this in two private methods, which are replaced here. Where a version has no such
methods, ``hidden_loss`` finds the loss behind the ``WatchError``.
"""

from __future__ import annotations

from typing import Any

from redis.exceptions import WatchError

from nydus_redis.connection.replies import FAILURES

__all__ = ["PlainLosses", "hidden_loss"]


class PlainLosses:
    """Mixed into redis-py's pipeline: the error of a lost connection stays as it is."""

    reset: Any

    def _disconnect_raise_on_watching(self, conn: Any, *args: Any, **kwargs: Any) -> None:
        conn.disconnect()
        self.watching = False

    def _disconnect_reset_raise_on_watching(self, conn: Any, *args: Any, **kwargs: Any) -> None:
        self._disconnect_raise_on_watching(conn)
        self.reset()


def hidden_loss(error: Exception, handled: BaseException | None) -> Exception | None:
    """Return the failure behind a ``WatchError`` of redis-py; None if a watched key has changed, or for other errors.

    Parameters:
        error: The error that a pipeline has raised.
        handled: The error that the caller was handling before, if any (``sys.exception()``).
    """
    hidden = error.__context__
    if isinstance(error, WatchError) and hidden is not handled and isinstance(hidden, FAILURES):
        return hidden
    return None
