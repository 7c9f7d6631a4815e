"""How the outcomes of the parts of a command become one outcome. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from nydus_core.command import Access, Command, Outcome, outcome_of
from nydus_core.errors import DeadlineExceeded, HostError, MaybeApplied, NotAnsweredInTime, host_error

__all__ = ["Parts", "merged"]


class Parts(NamedTuple):
    """The parts of a command: their positions, and the function that makes one value of their values."""

    command: Command
    positions: range
    join: Callable[[Sequence[Any]], Any] | None


def merged(parts: Parts, outcomes: Sequence[Any], hosts: Sequence[Sequence[str]]) -> Any:
    """Return the outcome of a command with several parts.

    Parameters:
        parts: Its parts.
        outcomes: The outcomes of all positions of the plan.
        hosts: For each part the names of its hosts.

    Returns:
        The value, if all parts have one; else the gravest error, with a note of how the other hosts fared. Where a
        command that writes succeeded on some hosts, that is a ``MaybeApplied``: it must not be sent again.
    """
    found = outcomes[parts.positions.start : parts.positions.stop]
    errors = [outcome for outcome in found if isinstance(outcome, Exception)]
    if not errors:
        return found[0] if parts.join is None else parts.join(found)
    failed = [
        name
        for names, outcome in zip(hosts, found, strict=True)
        if isinstance(outcome, Exception)
        for name in names
    ]
    gravest = max(errors, key=lambda error: _GRAVITY[outcome_of(error)])
    if len(errors) < len(found) and parts.command.access is Access.WRITE:
        gravest = _partly_applied(parts.command, gravest, failed)
    if len(found) > 1:
        gravest.add_note(_how_all_fared([", ".join(dict.fromkeys(names)) for names in hosts], found))
    return gravest


def _partly_applied(command: Command, error: Exception, failed: Sequence[str]) -> Exception:
    """Return the error for a write that some hosts have applied: whatever the others say, it was not "not applied"."""
    if isinstance(error, MaybeApplied):
        return error
    kind = NotAnsweredInTime if isinstance(error, DeadlineExceeded) else MaybeApplied
    cause = error.__cause__ if isinstance(error, HostError) and error.__cause__ is not None else error
    reason = f"others have applied it: {error.why if isinstance(error, HostError) else error}"
    host = error.host if isinstance(error, HostError) else ", ".join(map(repr, failed))
    partly = host_error(kind, cause, host=host, command=repr(command))
    partly.why = reason
    partly.attempts = error.attempts if isinstance(error, HostError) else 1
    return partly


#: Which of several errors to show: the error that leaves the most open.
_GRAVITY = {Outcome.SERVER_ERROR: 0, Outcome.NOT_SENT: 1, Outcome.MAYBE_APPLIED: 2}


def _how_all_fared(names: Sequence[str], outcomes: Sequence[Any]) -> str:
    errors = [outcome if isinstance(outcome, Exception) else None for outcome in outcomes]
    each = (f"{name!r}: {outcome_of(error).value}" for name, error in zip(names, errors, strict=True))
    return f"by host: {', '.join(each)}"
