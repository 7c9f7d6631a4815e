"""What both engines are asked after a bad exchange: what their calls ended in, and whether each has its own answer."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nydus_core import Cluster, HostError
from nydus_core.command import Outcome, outcome_of

__all__ = ["NUMBERS", "ONCE", "Call", "Ended", "in_threads", "new_keys", "outcomes"]

Call = Callable[[Any], Any]
#: What a call ended in: its outcome, and its value or error.
Ended = tuple[Outcome, Any]

#: The outcome of one attempt is asked, however many have failed before.
ONCE = {"retry": {"attempts": 1}, "health": {"failures": 1_000_000, "calls": 1_000_000}}

#: A number that no other exchange has: ``next(NUMBERS)``.
NUMBERS: Iterator[int] = itertools.count()


def new_keys(count: int) -> list[str]:
    """Return keys that no other test has."""
    return [f"own{next(NUMBERS)}" for _ in range(count)]


def outcomes(
    cluster: Cluster, calls: Sequence[Call], way: str, answers: tuple[type[Exception], ...]
) -> list[Ended]:
    """Return what calls ended in, none of them with an error that is not documented.

    Parameters:
        cluster: The cluster.
        calls: What to call on it.
        way: ``single``, ``map`` or ``transaction``.
        answers: The errors that are the server's own.
    """
    if way == "single":
        (call,) = calls
        try:
            found: list[Ended] = [(Outcome.VALUE, call(cluster))]
        except Exception as error:
            found = [(outcome_of(error), error)]
    else:
        with cluster.map(fail_silently=True, transaction=way == "transaction") as conn:
            promises = [call(conn) for call in calls]
        found = [
            (each.outcome, each.value if each.outcome is Outcome.VALUE else each.error) for each in promises
        ]
    for _, value in found:
        assert not isinstance(value, Exception) or isinstance(value, (HostError, *answers)), repr(value)
    return found


def in_threads(ask: Callable[[], None], threads: int) -> None:
    """Do something in so many threads at once, this one among them; raise what one of them raised."""
    failed: list[BaseException] = []

    def safely() -> None:
        try:
            ask()
        except BaseException as error:
            failed.append(error)

    running = [threading.Thread(target=safely) for _ in range(threads - 1)]
    for thread in running:
        thread.start()
    safely()
    for thread in running:
        thread.join()
    if failed:
        raise failed[0]
