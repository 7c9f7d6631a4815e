"""Deadlines: the time by which a call has to end, over all its attempts and hosts.

A ``with cluster.deadline(0.2):`` block sets a deadline for the calls inside it, in this thread or task alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType, TracebackType
from typing import Any
from weakref import ref

from nydus_core.checks import is_time
from nydus_core.errors import NydusError
from nydus_core.plain import plain
from nydus_core.wording import written

__all__ = ["Deadline", "DeadlineBlock", "any_deadline", "deadline_of", "time_left", "work_until"]


class Deadline:
    """A point in time.

    Parameters:
        seconds: Seconds from now.
        outer: The deadline of the enclosing block, if there is one.

    Attributes:
        until: The time, on the clock of ``time.monotonic``.
        seconds: The seconds that the deadline was set to.
        outer: The deadline of the enclosing block, or None.
        overslept: Whether the thread or event loop that keeps the deadline was busy when the time was over. If so, a
            missed deadline says nothing about the hosts.
        ended: Whether the block of the deadline has ended. A task that began inside the block still sees the deadline.
    """

    __slots__ = ("ended", "outer", "overslept", "seconds", "until")

    def __init__(self, seconds: float, outer: Deadline | None = None) -> None:
        self.seconds = seconds
        self.outer = outer
        self.until = time.monotonic() + seconds
        self.overslept = False
        self.ended = False

    def left(self) -> float:
        """Return the seconds that are left; 0 if the time is over."""
        return max(0.0, self.until - time.monotonic())

    def __str__(self) -> str:
        return f"the deadline of {self.seconds:g} seconds is over"


# The keys are weak references: a connection keeps the context in which it was opened
_current: ContextVar[Mapping[ref[Any], Deadline]] = ContextVar(
    "nydus_deadlines", default=MappingProxyType({})
)

#: Returns the deadlines of this thread or task, by cluster. Empty, and so false, nearly always.
any_deadline = _current.get


def deadline_of(owner: object) -> Deadline | None:
    """Return the deadline that is set for a cluster in this thread or task; None if there is none."""
    deadline = _current.get().get(ref(owner))
    while deadline is not None and deadline.ended:
        deadline = deadline.outer
    return deadline


# At work -----------------------------------------------------------------------------------------------------------

_at_work: ContextVar[Deadline | None] = ContextVar("nydus_call_deadline", default=None)

#: Seconds, the shortest limit that ``time_left`` returns: to a socket, 0 means something else.
_SHORTEST = 0.001


def work_until(deadline: Deadline) -> None:
    """Have ``time_left`` know the deadline of the call that is under way, until the end of this ``contextvars`` context."""
    _at_work.set(deadline)


def time_left(seconds: float | None) -> float | None:
    """Return a time limit, shortened to what is left until the deadline of the call that is under way.

    For blocking engines, which connect in threads that nobody can interrupt: so none is longer at it than it has to be.

    Parameters:
        seconds: The limit, in seconds; None for no limit.

    Returns:
        Seconds, more than 0; None for no limit, where there is no deadline either.
    """
    deadline = _at_work.get()
    if deadline is None:
        return seconds
    left = max(_SHORTEST, deadline.left())
    return left if seconds is None else min(seconds, left)


class DeadlineBlock:
    """A ``with`` block whose calls share one deadline; see ``Cluster.deadline``.

    Parameters:
        owner: The cluster.
        seconds: Seconds that the calls of the block may take together.

    Raises:
        ValueError: ``seconds`` is not a number above 0.
    """

    def __init__(self, owner: object, seconds: float) -> None:
        if not is_time(seconds):
            raise ValueError(f"found {written(seconds)}; expected seconds, more than 0")
        self._owner = owner
        self._seconds: float = plain(seconds)
        self._token: Token[Mapping[Any, Deadline]] | None = None
        self._own: Deadline | None = None

    def __enter__(self) -> Deadline:
        if self._token is not None:
            raise NydusError("a deadline block is used once: call cluster.deadline() again")
        outer = deadline_of(self._owner)
        deadline = Deadline(self._seconds, outer)
        if outer is not None and outer.until < deadline.until:
            deadline = outer
        self._own = deadline if deadline is not outer else None
        self._token = _current.set({**_current.get(), ref(self._owner): deadline})
        return deadline

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        if self._own is not None:
            self._own.ended = True
        try:
            _current.reset(self._token)
        except ValueError:  # the block ends in another task or thread: nothing is to be reset here
            if kind is None:
                raise NydusError(
                    "a deadline block ended in another thread or task than it began in: around the yield of a fixture "
                    "or dependency it needs an async def, which runs in one task"
                ) from None
