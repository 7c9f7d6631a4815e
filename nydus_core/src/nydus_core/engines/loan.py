"""The connection of a batch, which another thread may have to shut."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from nydus_core.engines.pool import Pooled, SharedPool, Turn

__all__ = ["Loan"]

C = TypeVar("C", bound=Pooled)


class Loan(Generic[C]):
    """A connection in the hands of a batch: one thread uses it and gives it back, another may shut it before, never after.

    Parameters:
        pool: The pool of the connection.
        shut: Ends all that is under way on a connection in another thread.

    Attributes:
        connection: The connection; None as long as there is none.
        clean: Whether no answer is to come on it. Else it is closed when it is given back.
    """

    __slots__ = ("_held", "_interrupted", "_over", "_pool", "_shut", "clean", "connection")

    def __init__(self, pool: SharedPool[C], shut: Callable[[C], object]) -> None:
        self._pool = pool
        self._shut = shut
        self._held: deque[C] = deque()  # whoever takes the connection out of here may act on it
        self._over = self._interrupted = False
        self.clean = True
        self.connection: C | None = None

    def claim(self) -> bool:
        """Take an open connection, if that needs no waiting; return whether there is one."""
        if self.connection is None:
            self._have(self._pool.claim())
        return self.connection is not None

    def take(self, turn: Turn) -> C:
        """Take a connection. See ``SharedPool.take``."""
        if self.connection is None:
            self._have(self._pool.take(turn))
        assert self.connection is not None
        return self.connection

    def _have(self, connection: C | None) -> None:
        if connection is not None:
            self._held.append(connection)
            self.connection = connection

    def interrupt(self) -> None:
        """Shut the connection, unless it was given back."""
        try:
            connection = self._held.pop()
        except IndexError:
            return
        self._interrupted = True
        try:
            self._shut(connection)
        finally:
            self._held.append(connection)
            if self._over:
                self._give_back()

    def give_back(self) -> None:
        """Give the connection back; it is closed unless ``clean`` says that all answers were read."""
        self._over = True
        self._give_back()

    def _give_back(self) -> None:
        try:
            connection = self._held.pop()
        except IndexError:  # there is none; or it is being shut, and given back after that
            return
        self._pool.give(connection, clean=self.clean and not self._interrupted)
