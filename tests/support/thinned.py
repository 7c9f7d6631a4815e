"""Large tables of cases: ``make test`` takes some of each, ``make test-whole`` all of them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

__all__ = ["WHOLE", "thinned"]

T = TypeVar("T")

#: Whether all cases are taken.
WHOLE = os.environ.get("NYDUS_TESTS") == "whole"


def thinned(cases: Iterable[T], every: int, first: int = 0) -> list[T]:
    """Return every so many of some cases, always the same; all of them for ``make test-whole``.

    Parameters:
        cases: All cases.
        every: From one to the next.
        first: The index of the first; an index beyond the end counts on from the start.
    """
    all_cases = list(cases)
    return all_cases if WHOLE or not all_cases else all_cases[first % min(every, len(all_cases)) :: every]
