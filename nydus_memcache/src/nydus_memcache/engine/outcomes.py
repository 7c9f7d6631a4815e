"""The outcomes of runs of commands, also where the connection has failed. No I/O, for both sides of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from nydus_core.errors import HostDown, MaybeApplied
from nydus_core.pieces import COSTLY, OF_LANE, Pace, Work, done, slices
from nydus_memcache.engine.host import MemcacheHost
from nydus_memcache.engine.runs import Run
from nydus_memcache.errors import ServerFull

__all__ = ["Failure", "outcomes", "telling"]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why no more answers came.

    Attributes:
        cause: The exception.
        sent: How many bytes of the requests may have been sent. The others were not sent.
        taken: How many bytes the socket has taken for certain.
    """

    cause: BaseException
    sent: int = 0
    taken: int = 0


def outcomes(
    engine: MemcacheHost, all_runs: Sequence[Run], answers: Sequence[Any], failure: Failure | None = None
) -> list[Any]:
    """Return the outcome of each command: its value, or an exception.

    A command without an answer was not sent if the socket had not begun to take its bytes. A command to which the server
    sends no answer is done when the socket has taken all of its bytes.

    Parameters:
        engine: The engine of the host.
        all_runs: All runs of the request, in order.
        answers: The answers that were read, for the first runs or for all.
        failure: Why answers are missing, or not all was sent; None if nothing is missing.
    """
    if failure is None and len(all_runs) == 1 == len(all_runs[0].commands):
        return [*all_runs[0].outcomes(engine, answers[0])]
    return done(telling(engine, all_runs, answers, failure))


def telling(
    engine: MemcacheHost, all_runs: Sequence[Run], answers: Sequence[Any], failure: Failure | None = None
) -> Work[list[Any]]:
    """Do the same as ``outcomes``, in pieces."""
    found: list[Any] = []
    pace = Pace()
    if failure is None:
        for run, answer in zip(all_runs, answers, strict=True):
            found += run.outcomes(engine, answer)
            if pace.is_used_up(len(run.commands), OF_LANE):
                yield
        return found
    all_runs, answers = yield from _apart(all_runs, answers)
    ends = list(accumulate(len(run.request) for run in all_runs))
    heard = [end for run, end, _ in zip(all_runs, ends, answers, strict=False) if not run.silent]
    taken = 0 if isinstance(failure.cause, ServerFull) else max([failure.taken, *heard])
    for number, (run, end) in enumerate(zip(all_runs, ends, strict=True)):
        if not run.request or (number < len(answers) and (end <= taken or not run.silent)):
            answer = answers[number] if run.request else None
            found += run.outcomes(engine, answer)
            if pace.is_used_up(len(run.commands), OF_LANE):
                yield
        else:
            begun = end - len(run.request) < failure.sent and not isinstance(failure.cause, ServerFull)
            kind = MaybeApplied if begun else HostDown
            for piece in slices(len(run.commands), COSTLY):
                found += [engine.failed(kind, failure.cause, command) for command in run.commands[piece]]
                if pace.is_used_up(piece.stop - piece.start, COSTLY):
                    yield
    return found


def _apart(all_runs: Sequence[Run], answers: Sequence[Any]) -> Work[tuple[list[Run], list[Any]]]:
    """Return the runs whose ends are known one by one, and the answers of the first of them."""
    apart: list[Run] = []
    heard: list[Any] = []
    for number, run in enumerate(all_runs):
        apart += run.apart()
        heard += run.heard(answers[number : number + 1])
        if number + 1 < len(all_runs):
            yield
    return apart, heard
