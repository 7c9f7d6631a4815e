"""Counts over many schedules, as a table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from chaos.record import Record
from chaos.runs import Result
from nydus_core.command import Outcome

__all__ = ["Report"]

_COLUMNS = (
    "schedules",
    "commands",
    "values",
    "server errors",
    "not sent",
    "maybe applied",
    "were applied",
    "were not",
    "cancelled",
    "violations",
)


class Report:
    """Adds up results."""

    def __init__(self) -> None:
        self._settings: dict[str, Counter[str]] = defaultdict(Counter)
        self._faults: dict[str, Counter[str]] = defaultdict(Counter)
        self._slowest: dict[str, Record] = {}
        self.schedules = self.skipped = 0
        self.longest_turn = 0.0
        self.violations = 0

    def add(self, result: Result) -> None:
        """Add a result."""
        schedule = result.schedule
        if result.skipped:
            self.skipped += 1
            return
        self.schedules += 1
        self.longest_turn = max(self.longest_turn, result.longest_turn)
        self.violations += len(result.violations)
        engine = f"{schedule.side} {'threaded ' * schedule.threaded}{schedule.engine}"
        settings = f"{engine} {schedule.router}"
        if schedule.repeat != "reads":
            settings += f", repeat {schedule.repeat}"
        kinds = {f"{engine} {kind}" for record in result.records for kind in record.faults or {"no fault"}}
        for name, rows in [(settings, self._settings), *((kind, self._faults) for kind in sorted(kinds))]:
            rows[name]["schedules"] += 1
            rows[name]["violations"] += len(result.violations)
        for record in result.records:
            self._count(self._settings[settings], record, result)
            for kind in record.faults or {"no fault"}:
                self._count(self._faults[f"{engine} {kind}"], record, result)
            limit = "with a deadline" if record.limit < 10 else "without"
            slowest = self._slowest.get(limit)
            if slowest is None or _lateness(record) > _lateness(slowest):
                self._slowest[limit] = record

    def _count(self, row: Counter[str], record: Record, result: Result) -> None:
        row["commands"] += 1
        row["cancelled"] += bool(record.cancelled)
        if record.outcome is None:
            return
        row[
            {
                Outcome.VALUE: "values",
                Outcome.SERVER_ERROR: "server errors",
                Outcome.NOT_SENT: "not sent",
                Outcome.MAYBE_APPLIED: "maybe applied",
            }[record.outcome]
        ] += 1
        if record.outcome is Outcome.MAYBE_APPLIED and record.tokens:
            applied = any(result.applied.get(token) for token in record.tokens)
            row["were applied" if applied else "were not"] += 1

    def __str__(self) -> str:
        text = "By engine and router\n" + _table(self._settings)
        text += "\nBy fault at work during the call (several may be)\n" + _table(self._faults)
        for limit, record in self._slowest.items():
            deadline = f", its limit {record.limit:.2f} s with slack" if record.limit < 10 else ""
            text += f"\nslowest call {limit}: {record.ended - record.started:.2f} s{deadline}: {record.name}"
        if self.longest_turn:
            text += f"\nlongest turn of an event loop: {self.longest_turn:.2f} s"
        if self.skipped:
            text += f"\n{self.skipped} schedules were left out: their engine has no async side"
        return f"{text}\n{self.schedules} schedules, {self.violations} violations"


def _lateness(record: Record) -> float:
    return record.ended - record.started - record.limit


def _table(rows: dict[str, Counter[str]]) -> str:
    ordered = [(name, rows[name]) for name in sorted(rows)]
    lines: list[Sequence[str]] = [("", *_COLUMNS)]
    lines += [
        (name, *(str(row[column]) for column in _COLUMNS))
        for name, row in (*ordered, ("all", _sum(rows.values())))
    ]
    widths = [max(len(line[number]) for line in lines) for number in range(len(lines[0]))]
    return "".join(
        "  ".join(
            cell.ljust(width) if not number else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _sum(rows: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for row in rows:
        total.update(row)
    return total
