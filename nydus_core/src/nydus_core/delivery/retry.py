"""Retry policies: which commands may be tried again, and after how long. Pure: no clock, no socket.

A command that was not sent may always be sent again. One that may have been applied must not, unless it only reads, or
the user has asked for more. Whether another host may do instead is not decided here.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from nydus_core.checks import is_time
from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.pieces import PIECE, Work, done
from nydus_core.plain import plain
from nydus_core.wording import text_of, written

__all__ = ["PolicyFault", "Repeat", "Retry", "RetryPolicy", "in_order", "may_repeat", "ordering", "pause_of"]


class Repeat(enum.Enum):
    """Which commands are sent again after they may have been applied."""

    #: commands that change nothing
    READS = "reads"
    #: also writes that leave the same data when they are applied twice, such as SET; a late one may still overwrite
    #: the value that another client has written in between
    IDEMPOTENT = "idempotent"
    #: all: at least once instead of at most once, so INCR may count twice
    ALL = "all"


@runtime_checkable
class RetryPolicy(Protocol):
    """A policy about trying again. Given as the setting ``retry``: an instance, a class or its dotted path."""

    def repeats(self, command: Command, outcome: Outcome, attempt: int) -> bool:
        """Tell whether a command may be tried again.

        Parameters:
            command: The command.
            outcome: ``NOT_SENT``; ``MAYBE_APPLIED``; or ``SERVER_ERROR`` for an answer that means "try later" and that
                the command was not applied. Of other answers it is not asked.
            attempt: How often its host was tried, from 1.
        """
        ...

    def backoff(self, attempt: int) -> float:
        """Return the seconds to wait before the same host is tried again, after so many attempts: 0 or more."""
        ...


class PolicyFault(Exception):
    """A retry policy has raised, or answered nonsense. It is told beside the outcome of a command, and never hides it."""


def pause_of(policy: RetryPolicy, attempt: int) -> float:
    """Return the seconds that a policy wants to wait after so many attempts.

    Raises:
        PolicyFault: The policy raised, or its answer is no time.
    """
    try:
        pause: float = plain(policy.backoff(attempt))
    except Exception as error:
        raise PolicyFault(
            _said(policy, f"backoff({attempt}) raised {text_of(error, with_type=True)}")
        ) from error
    if not is_time(pause) and not (type(pause) in (int, float) and pause == 0):
        answer = f"backoff({attempt}) returned {written(pause)}; expected seconds, 0 or more"
        raise PolicyFault(_said(policy, answer))
    return pause


def may_repeat(policy: RetryPolicy, command: Command, outcome: Outcome, attempt: int) -> bool:
    """Ask a policy whether a command may be tried again. See ``RetryPolicy``.

    Raises:
        PolicyFault: The policy raised.
    """
    try:
        return bool(policy.repeats(command, outcome, attempt))
    except Exception as error:
        raise PolicyFault(_said(policy, f"repeats() raised {text_of(error, with_type=True)}")) from error


def _said(policy: RetryPolicy, fault: str) -> str:
    return f"not tried again: the retry policy {type(policy).__name__} is at fault: {fault}"


class Retry:
    """The usual policy: a few attempts, ever farther apart.

    Parameters:
        attempts: How often one host is tried, at most. 1: never again.
        backoff: Seconds that the first wait takes at most; each further one may take twice as long.
        most: Seconds that any wait takes at most.
        repeat: The commands that are sent again after they may have been applied: ``'reads'``, ``'idempotent'`` or ``'all'``.
        chance: Returns a random number from 0 to 1.

    Source of the waits: "full jitter" of Marc Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015.
    """

    def __init__(
        self,
        attempts: int = 2,
        backoff: float = 0.02,
        most: float = 1.0,
        repeat: str | Repeat = Repeat.READS,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.attempts = attempts
        self.first = backoff
        self.most = most
        self.repeat = Repeat(repeat)
        self._chance = chance

    def repeats(self, command: Command, outcome: Outcome, attempt: int) -> bool:
        """Tell whether a command may be tried again. See ``RetryPolicy``."""
        if attempt >= self.attempts:
            return False
        return outcome is not Outcome.MAYBE_APPLIED or self._twice_does_no_harm(command)

    def _twice_does_no_harm(self, command: Command) -> bool:
        if self.repeat is Repeat.ALL or command.access is Access.READ:
            return True
        return self.repeat is Repeat.IDEMPOTENT and command.idempotent

    def backoff(self, attempt: int) -> float:
        """Return a random time between none and ``backoff`` seconds, doubled with each attempt, up to ``most``."""
        return self._chance() * min(self.most, self.first * 2.0 ** min(attempt - 1, 64))

    def __repr__(self) -> str:
        return (
            f"<Retry {self.attempts} attempts, {self.first:g} to {self.most:g} s apart, {self.repeat.value}>"
        )


def in_order(commands: Sequence[Command], outcomes: Sequence[Any], wanted: Sequence[int]) -> list[int]:
    """Return which commands of one host can be tried again without overtaking a later one.

    Applied after a later command that has an outcome already, an earlier one on the same key would undo it, or read
    a value that is not there yet.

    Parameters:
        commands: The commands, in order.
        outcomes: The outcome of each.
        wanted: The indexes of the commands to be tried again, ascending.

    Returns:
        The indexes out of ``wanted`` of commands whose keys no later command concerns, unless that is tried again as well.
        Two reads may swap.
    """
    return done(ordering(commands, outcomes, wanted))


def ordering(commands: Sequence[Command], outcomes: Sequence[Any], wanted: Sequence[int]) -> Work[list[int]]:
    """Do the same as ``in_order``, in pieces."""
    again: list[int] = []
    left = set(wanted)
    reads, writes = _Keys(), _Keys()  # of later commands that stay as they are
    for position in range(len(commands) - 1, -1, -1):
        command = commands[position]
        changes = command.access is Access.WRITE
        if position in left and not (writes.concern(command) or (changes and reads.concern(command))):
            again.append(position)
        elif outcome_of(_error(outcomes[position])) is not Outcome.NOT_SENT:
            (writes if changes else reads).add(command)
        if position and not position % PIECE:
            yield
    return again[::-1]


def _error(outcome: Any) -> Exception | None:
    return outcome if isinstance(outcome, Exception) else None


class _Keys:
    """The keys of some commands. A command without keys concerns all, and so does one with patterns of keys."""

    def __init__(self) -> None:
        self._keys: set[bytes] = set()
        self._all = self._any = False

    def add(self, command: Command) -> None:
        self._keys.update(command.keys)
        self._any = True
        self._all = self._all or _concerns_all(command)

    def concern(self, command: Command) -> bool:
        if _concerns_all(command):
            return self._any
        return self._all or not self._keys.isdisjoint(command.keys)


def _concerns_all(command: Command) -> bool:
    return not command.keys or bool(command.patterns)
