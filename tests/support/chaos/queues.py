"""The judge of commands that wait for others: nothing is taken twice, and nothing is lost but what was taken by a command
of which nobody knows whether it was applied. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from chaos.record import UNTOLD, Record, Rules, Truth, Violation
from nydus_core.command import Outcome

__all__ = ["FOLLOWS", "MOVES", "POPS", "Queues"]

#: Commands that take something out of a queue: a pop tells nobody else, a move leaves it at a key of its own.
POPS, MOVES, FOLLOWS = ("pop",), ("move", "rotate"), ("follow",)


class Queues:
    """Looks at all queues and streams of a schedule.

    Parameters:
        records: What callers saw.
        truth: What the servers have done.
        rules: What the settings promise.
        writers: By token, the record that wrote it, and its key.
    """

    def __init__(
        self,
        records: Sequence[Record],
        truth: Truth,
        rules: Rules,
        writers: Mapping[str, tuple[Record, str]],
    ) -> None:
        self._records = records
        self._truth = truth
        self._rules = rules
        self._writers = writers
        self._takers: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.name in (*POPS, *MOVES):
                self._takers[record.keys[-1]].append(record)

    def violations(self) -> Iterator[Violation]:
        """Yield all promises that were broken."""
        for key in self._takers.keys() | self._truth.popped.keys():
            yield from self._queue(key, self._takers[key])
        for record in self._records:
            if record.name in FOLLOWS and record.outcome is Outcome.VALUE and record.value is not UNTOLD:
                for token in record.value or ():
                    yield from self._written(record, token)

    def _queue(self, key: str, takers: Sequence[Record]) -> Iterator[Violation]:
        popped = [token for _, token in self._truth.popped.get(key, ())]
        twice = [token for token, count in Counter(popped).items() if count > 1]
        if twice and not self._rules.repeats("feed"):
            yield Violation("taken twice", f"{twice} of {key}")
        told: Counter[str] = Counter()
        for record in takers:
            if record.outcome is Outcome.VALUE and record.value is not UNTOLD and record.value is not None:
                told[record.value] += 1
                yield from self._written(record, record.value)
                if record.value not in popped:
                    yield Violation("wrong answer", f"{record.value} was never taken out of {key}: {record}")
        for token in (Counter(told) - Counter(popped)).keys() & set(popped):
            yield Violation("taken twice", f"{token} of {key} was given to {told[token]} callers")
        lost = Counter(popped) - told
        unsure = [record for record in takers if _may_have_taken(record)]
        most = len(unsure) * (self._rules.most if self._rules.repeats("pop") else 1)
        if self._rules.repeats("pop"):
            most += len(takers) * (self._rules.most - 1)
        if lost.total() > most:
            found = "\n    ".join(map(str, unsure))
            yield Violation(
                "lost", f"{sorted(lost)} of {key}, where {most} may have been taken by:\n    {found}"
            )

    def _written(self, record: Record, token: str) -> Iterator[Violation]:
        writer, key = self._writers.get(token, (None, ""))
        if writer is None or key != record.keys[-1]:
            yield Violation("wrong answer", f"{token} was never written to {record.keys[-1]}: {record}")
        elif writer.started > record.ended:
            yield Violation("wrong answer", f"{token} was read before it was written: {record}")


def _may_have_taken(record: Record) -> bool:
    return record.outcome is Outcome.MAYBE_APPLIED or (
        record.outcome is Outcome.VALUE and record.value is UNTOLD
    )
