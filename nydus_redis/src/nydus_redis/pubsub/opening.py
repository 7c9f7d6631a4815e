"""Connections for subscriptions that are opened in threads, because a host that hangs must not keep others from being heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nydus_core.threads import Future, start

__all__ = ["HandOver", "Opening"]


class Opening:
    """A connection that is being opened, in a thread if there is one to be had.

    Parameters:
        pool: redis-py's pool, whose connection it is.
        engine: The host.
    """

    def __init__(self, pool: Any, engine: object) -> None:
        self._pool = pool
        self._future: Future[Any] = Future()
        if not start(self._future, pool.get_connection, host=engine):
            self._open_here()

    def _open_here(self) -> None:
        try:
            self._future.set_result(self._pool.get_connection())
        except Exception as error:
            self._future.set_exception(error)

    @property
    def done(self) -> bool:
        """Whether the connection is open, or could not be opened."""
        return self._future.done()

    def wait(self) -> None:
        """Wait until the connection is open, or could not be opened, or nobody wants it any more."""
        self._future.wait()

    def result(self) -> Any:
        """Return the connection, once it is open.

        Raises:
            Exception: It could not be opened.
        """
        return self._future.result()

    def give_up(self) -> None:
        """Give the connection back as soon as it is open. The thread is not waited for."""
        if not self._future.cancel():
            self._future.add_done_callback(self._give_back)

    def _give_back(self, future: Future[Any]) -> None:
        if future.exception() is None:
            connection = future.result()
            connection.disconnect()
            self._pool.release(connection)


class HandOver:
    """A pool for redis-py's ``PubSub`` that hands over a connection which is open already. In all else it is the pool itself.

    Parameters:
        pool: redis-py's pool.

    Attributes:
        pool: redis-py's pool.
        ready: The connection to hand over next; None to open one.
    """

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.ready: Any = None

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        """Hand over the connection that is ready, or open one."""
        ready, self.ready = self.ready, None
        get: Callable[..., Any] = self.pool.get_connection
        return get(*args, **kwargs) if ready is None else ready

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pool, name)
