"""Spoiled evidence: true records and a true log of which one thing is changed, so that the judge must see it. Pure.

Each kind of lie is a function. It returns the evidence with the lie, or None if this evidence has no place for it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence

from chaos.judge import judge
from chaos.queues import MOVES, POPS
from chaos.record import UNTOLD, Effect, Record, Rules, Truth, amount_of
from nydus_core.command import Outcome

__all__ = ["LIES", "Evidence", "caught"]

#: What the judge is given.
Evidence = tuple[Sequence[Record], Truth, Rules]
Lie = Callable[[Sequence[Record], Truth, Rules], Evidence | None]

_WRITES = ("incr", "count", "append", "push", "set", "mset", "feed", "enter")


def caught(name: str, evidence: Evidence) -> bool | None:
    """Tell whether the judge sees a lie; None if the evidence has no place for it."""
    lie, kind = LIES[name]
    spoiled = lie(*evidence)
    if spoiled is None:
        return None
    return any(kind in str(violation) for violation in judge(*spoiled))


def _changed(records: Sequence[Record], which: Record, **changes: object) -> list[Record]:
    return [
        dataclasses.replace(record, **changes) if record is which else record  # type: ignore[arg-type]
        for record in records
    ]


def _with(truth: Truth, token: str, effects: Sequence[Effect]) -> Truth:
    return dataclasses.replace(truth, applied={**truth.applied, token: effects})


def _writes(records: Sequence[Record], truth: Truth, rules: Rules) -> Iterator[tuple[Record, list[Effect]]]:
    """Single-key writes that the servers have counted, on servers that remember, each with its effects."""
    if truth.blind or rules.everywhere:
        return
    for record in records:
        if record.name in _WRITES and record.name not in truth.uncounted and not rules.repeats(record.name):
            yield record, list(truth.applied.get(record.tokens[0], ()))


def _told_as_not_sent(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record, effects in _writes(records, truth, rules):
        if effects:
            return _changed(records, record, outcome=Outcome.NOT_SENT), truth, rules
    return None


def _told_as_not_sent_after(cancelled: str) -> Lie:
    def lie(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
        for record, effects in _writes(records, truth, rules):
            if effects and record.cancelled == cancelled:
                return _changed(records, record, outcome=Outcome.NOT_SENT), truth, rules
        return None

    return lie


def _told_as_not_sent_in_a_hurry(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """One whose deadline was over when it was applied."""
    for record, effects in _writes(records, truth, rules):
        if effects and record.outcome is Outcome.MAYBE_APPLIED and "the deadline of" in record.error:
            return _changed(records, record, outcome=Outcome.NOT_SENT), truth, rules
    return None


def _told_as_done(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record, effects in _writes(records, truth, rules):
        if not effects and record.outcome is not Outcome.VALUE:
            return _changed(records, record, outcome=Outcome.VALUE, value=1), truth, rules
    return None


def _applied_twice(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record, effects in _writes(records, truth, rules):
        if effects:
            return records, _with(truth, record.tokens[0], [*effects, effects[0]]), rules
    return None


def _on_another_host(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record, effects in _writes(records, truth, rules):
        home = _homes(record, rules)
        other = [host for host in rules.hosts if host not in home]
        if effects and home and other:
            moved = dataclasses.replace(effects[0], host=other[0])
            return records, _with(truth, record.tokens[0], [moved]), rules
    return None


def _homes(record: Record, rules: Rules, *, ever: bool = False) -> set[str]:
    """The homes of a write while it was under way, or ever."""
    epochs = rules.epochs if ever else rules.at(record.started, record.ended)
    if record.host is not None:
        return {epoch.members[record.host] for epoch in epochs if record.host in epoch.members}
    if rules.reroutes:
        return set()
    return {place for epoch in epochs if (place := epoch.place(record.keys[0])) is not None}


def _on_the_host_of_another_time(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """Where the key has lived, or will live, but not while the call was under way."""
    for record, effects in _writes(records, truth, rules):
        other = _homes(record, rules, ever=True) - _homes(record, rules)
        if effects and other:
            moved = dataclasses.replace(effects[0], host=min(other))
            return records, _with(truth, record.tokens[0], [moved]), rules
    return None


def _scattered(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """Two writes of a ``map()`` to one key, of which a change of hosts has sent one elsewhere."""
    if rules.repeat != "reads":
        return None
    for record, effects in _writes(records, truth, rules):
        homes = _homes(record, rules)
        beside = [
            other
            for other in records
            if other.call == record.call and other.keys == record.keys and other is not record
        ]
        if effects and len(homes) > 1 and beside and truth.applied.get(beside[0].tokens[0]):
            moved = dataclasses.replace(effects[0], host=min(homes - {effects[0].host}))
            return records, _with(truth, record.tokens[0], [moved]), rules
    return None


def _of_another_key(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    values = {record.keys[0]: record.value for record in _reads(records, rules)}
    for record in _reads(records, rules):
        for key, value in values.items():
            if key != record.keys[0]:
                return _changed(records, record, value=value), truth, rules
    return None


def _reads(records: Sequence[Record], rules: Rules) -> Iterator[Record]:
    for record in records:
        told = isinstance(record.value, str) and record.value and record.value is not UNTOLD
        if record.name == "get" and told and not rules.everywhere:
            yield record


def _too_late(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    record = min(records, key=lambda record: record.limit)
    return _changed(records, record, ended=record.started + record.limit + 0.001), truth, rules


def _taken(records: Sequence[Record]) -> Iterator[Record]:
    for record in records:
        told = isinstance(record.value, str) and record.value is not UNTOLD
        if record.name in POPS and record.outcome is Outcome.VALUE and told:
            yield record


def _given_to_two(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record in _taken(records):
        for other in records:
            if other.name in POPS and other is not record and other.keys == record.keys:
                spoiled = _changed(records, other, outcome=Outcome.VALUE, value=record.value)
                return spoiled, truth, rules
    return None


def _lost(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """Taken, and told to nobody, though every command that may have taken it says that it has found nothing."""
    if rules.repeats("pop"):
        return None
    for record in _taken(records):
        takers = [
            other for other in records if other.name in (*POPS, *MOVES) and other.keys[-1] == record.keys[-1]
        ]
        spoiled = list(records)
        for taker in takers:
            if taker is record or taker.outcome is Outcome.MAYBE_APPLIED or taker.value is UNTOLD:
                spoiled = _changed(spoiled, taker, outcome=Outcome.VALUE, value=None)
        return spoiled, truth, rules
    return None


def _taken_from_elsewhere(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record in _taken(records):
        for other in records:
            if other.name == "feed" and other.keys[0] != record.keys[0]:
                return _changed(records, record, value=other.tokens[0]), truth, rules
    return None


def _moved_twice(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    if rules.repeats("move"):
        return None
    for record in records:
        effects = list(truth.applied.get(record.tokens[0], ())) if record.name in MOVES else []
        if effects:
            return records, _with(truth, record.tokens[0], [*effects, effects[0]]), rules
    return None


def _half_applied(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    for record in records:
        if rules.reroutes and record.host is None:
            continue
        beside = [
            other
            for other in records
            if other.call == record.call and other is not record and other.keys == record.keys
        ]
        # Of a call whose end is not known: else it would be seen, too, that a value was told
        whole = record.transaction and record.tokens and beside and truth.applied.get(record.tokens[0])
        if whole and beside[0].tokens:
            unknown = [
                dataclasses.replace(each, outcome=Outcome.MAYBE_APPLIED) if each.call == record.call else each
                for each in records
            ]
            return unknown, _with(truth, record.tokens[0], ()), rules
    return None


def _overwritten(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """A transaction that has seen another value than the one that it has changed."""
    if truth.flushed:
        return None
    for record in records:
        if record.seen is not None and truth.applied.get(record.tokens[0]):
            return _changed(records, record, seen=record.seen + "<1.1>"), truth, rules
    return None


def _answered_by_a_host_that_is_gone(
    records: Sequence[Record], truth: Truth, rules: Rules
) -> Evidence | None:
    for record in records:
        gone = [
            host
            for host in rules.hosts
            if all(host not in epoch.members for epoch in rules.at(record.started, record.ended))
        ]
        told = record.outcome is Outcome.VALUE and record.value is not UNTOLD
        if record.name == "where" and told and gone:
            return _changed(records, record, host=gone[0]), truth, rules
    return None


def _told_nothing(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    return _changed(records, records[0], outcome=None), truth, rules


def _counted(records: Sequence[Record], rules: Rules) -> Iterator[Record]:
    """Commands whose answers tell of which command they are, in the order in which they were answered."""
    if rules.everywhere or rules.repeats("count"):
        return
    for record in sorted(records, key=lambda record: record.ended):
        if record.name == "count" and type(record.value) is int:
            yield record


def _handed_to_the_next(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """One reply is given to the next command, too."""
    counted = list(_counted(records, rules))[:2]
    if len(counted) < 2:
        return None
    return _changed(records, counted[1], value=counted[0].value), truth, rules


def _not_dropped(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """The reply to a cancelled command is given to the next one, whose reply is given to the one behind it, and so on."""
    for cancelled in records:
        if cancelled.cancelled and cancelled.name == "count" and cancelled.outcome is Outcome.MAYBE_APPLIED:
            later = [record for record in _counted(records, rules) if record.started > cancelled.ended]
            values = [amount_of(cancelled.tokens[0]), *(record.value for record in later)]
            spoiled = list(records)
            for record, value in zip(later, values, strict=False):
                spoiled = _changed(spoiled, record, value=value)
            if later:
                return spoiled, truth, rules
    return None


def _sent_again(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """A command that was written, and not answered, is written once more on another connection."""
    for record, effects in _writes(records, truth, rules):
        if effects and record.outcome is Outcome.MAYBE_APPLIED:
            return records, _with(truth, record.tokens[0], [*effects, effects[0]]), rules
    return None


def _sent_although_cancelled(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """A command that was cancelled in the queue, and told as not sent, stays there, and is sent."""
    for record, effects in _writes(records, truth, rules):
        homes = _homes(record, rules)
        if record.cancelled and record.outcome is Outcome.NOT_SENT and not effects and homes:
            return records, _with(truth, record.tokens[0], [Effect(min(homes), 10**9)]), rules
    return None


def _from_before(records: Sequence[Record], truth: Truth, rules: Rules) -> Evidence | None:
    """A text as it was before somebody appended to it, and was told so."""
    if truth.flushed or truth.blind or rules.repeats("append"):
        return None
    for write, effects in _writes(records, truth, rules):
        if write.name != "append" or write.outcome is not Outcome.VALUE or not effects:
            continue
        for record in _reads(records, rules):
            before, found, _ = record.value.partition(write.tokens[0])
            later = found and record.keys == write.keys and record.started > write.ended
            if later and _homes(record, rules) == {effects[0].host}:
                return _changed(records, record, value=before), truth, rules
    return None


#: The lies, each with the word by which the judge calls it.
LIES: dict[str, tuple[Lie, str]] = {
    "told as not sent": (_told_as_not_sent, "not sent, applied 1 times"),
    "told as not sent after an interrupt": (
        _told_as_not_sent_after("interrupt"),
        "not sent, applied 1 times",
    ),
    "told as not sent in a hurry": (_told_as_not_sent_in_a_hurry, "not sent, applied 1 times"),
    "told as done": (_told_as_done, "value, applied 0 times"),
    "applied twice": (_applied_twice, "applied 2 times"),
    "on another host": (_on_another_host, "wrong host"),
    "on the host of another time": (_on_the_host_of_another_time, "wrong host"),
    "scattered": (_scattered, "scattered"),
    "answered by a host that is gone": (_answered_by_a_host_that_is_gone, "there is no host"),
    "of another key": (_of_another_key, "wrong answer"),
    "too late": (_too_late, "too late"),
    "given to two": (_given_to_two, "taken twice"),
    "lost": (_lost, "lost"),
    "taken from elsewhere": (_taken_from_elsewhere, "wrong answer"),
    "moved twice": (_moved_twice, "applied 2 times"),
    "half applied": (_half_applied, "half a transaction"),
    "overwritten": (_overwritten, "lost update"),
    "told nothing": (_told_nothing, "no outcome"),
    "handed to the next": (_handed_to_the_next, "wrong answer"),
    "not dropped": (_not_dropped, "wrong answer"),
    "sent again": (_sent_again, "applied 2 times"),
    "sent although cancelled": (_sent_although_cancelled, "not sent, applied 1 times"),
    "from before": (_from_before, "is not in it"),
}
