"""The books of long traffic, whose size does not grow with it: how often each counter was counted up, and perhaps was. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from nydus_core.command import Outcome

__all__ = ["Book", "Marks", "untrue"]

_MOST_TEXTS = 3


class Marks:
    """A set of numbers of a fixed size, for elements and messages that are to come once."""

    def __init__(self, most: int = 1 << 21) -> None:
        self._marks = bytearray(most)

    def add(self, number: int) -> bool:
        """Add a number; tell whether it was new."""
        new = not self._marks[number]
        self._marks[number] = 1
        return new


@dataclass
class Book:
    """What one caller knows. No other thread writes in it.

    Attributes:
        acknowledged: By key, how often it was counted up with a value as the answer.
        perhaps: By key, how often it may have been counted up.
        outcomes: How many commands ended how, by kind and outcome.
        wrong: What was wrong at once, such as an answer to another question.
        failures: How many commands had no value.
    """

    acknowledged: Counter[str] = field(default_factory=Counter)
    perhaps: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    failures: int = 0

    def note(self, kind: str, outcome: Outcome, key: str = "") -> None:
        """Note how a command ended.

        Parameters:
            kind: Its kind, for the table.
            outcome: How it ended.
            key: The key that it counts up; empty if it does not.
        """
        self.outcomes[kind, outcome.value] += 1
        self.failures += outcome is not Outcome.VALUE
        if key and outcome is Outcome.VALUE:
            self.acknowledged[key] += 1
        elif key and outcome is Outcome.MAYBE_APPLIED:
            self.perhaps[key] += 1

    def complain(self, text: str) -> None:
        """Note that something was wrong."""
        if len(self.wrong) < _MOST_TEXTS:
            self.wrong.append(text)


def untrue(books: Iterable[Book], counted: Mapping[str, int], forgotten: Iterable[str] = ()) -> list[str]:
    """Tell which counters are not what callers were told.

    Parameters:
        books: What callers know.
        counted: The value of each counter, summed over all servers.
        forgotten: How keys begin whose servers may have forgotten some: too few are no wonder there.
    """
    acknowledged, perhaps = Counter[str](), Counter[str]()
    for book in books:
        acknowledged.update(book.acknowledged)
        perhaps.update(book.perhaps)
    found = []
    for key in sorted(acknowledged.keys() | perhaps.keys() | counted.keys()):
        least = 0 if key.startswith(tuple(forgotten)) else acknowledged[key]
        most = acknowledged[key] + perhaps[key]
        if not least <= counted.get(key, 0) <= most:
            found.append(f"{key} is {counted.get(key, 0)}, expected {least} to {most}")
    return found
