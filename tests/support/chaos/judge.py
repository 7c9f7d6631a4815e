"""The judge: do the outcomes that callers saw agree with what the servers have done? Pure.

For each command: a value means that it was applied exactly once, not sent and a server error that it was not, maybe
applied that it was at most once. For each value: it is the answer to this command and no other. For each call: it ended
in time, with an outcome for each command.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from chaos.queues import FOLLOWS, MOVES, POPS, Queues
from chaos.record import UNTOLD, Effect, Epoch, Record, Rules, Truth, Violation, amount_of
from nydus_core.command import Outcome

__all__ = ["judge"]

_TOKEN = re.compile(r"<\d+\.\d+>")


def judge(records: Sequence[Record], truth: Truth, rules: Rules) -> list[Violation]:
    """Return all promises that were broken; none, if all is well."""
    return list(_Judge(records, truth, rules).violations())


class _Judge:
    def __init__(self, records: Sequence[Record], truth: Truth, rules: Rules) -> None:
        self._records = records
        self._truth = truth
        self._rules = rules
        self._writers = {
            token: (record, key)
            for record in records
            for key, token in zip(record.keys, record.tokens, strict=False)
        }
        self._renewals: dict[str, list[Record]] = defaultdict(list)
        self._appends: dict[str, list[Record]] = defaultdict(list)
        for record in records:
            if record.name == "renew":
                self._renewals[record.keys[0]].append(record)
            if record.name == "append":
                self._appends[record.keys[0]].append(record)

    def violations(self) -> Iterator[Violation]:
        for record in self._records:
            yield from self._in_time(record)
            if record.outcome is None:
                yield Violation("no outcome", str(record))
                continue
            for key, token in zip(record.keys, record.tokens, strict=False):
                yield from self._applied(record, key, token)
            if record.outcome is Outcome.VALUE and record.value is not UNTOLD:
                yield from self._answer(record)
        for token in self._truth.applied.keys() - self._writers.keys():
            yield Violation("unknown write", f"{token} was applied, and nobody has called it")
        yield from self._order()
        yield from self._transactions()
        yield from Queues(self._records, self._truth, self._rules, self._writers).violations()

    def _in_time(self, record: Record) -> Iterator[Violation]:
        took = record.ended - record.started
        if took > record.limit:
            yield Violation(
                "too late", f"it took {took:.3f} s, at most {record.limit:.3f} s were expected: {record}"
            )

    # Writes -------------------------------------------------------------------------------------------------------

    def _effects(self, token: str) -> Sequence[Effect]:
        return self._truth.applied.get(token, ())

    def _applied(self, record: Record, key: str, token: str) -> Iterator[Violation]:
        if record.name in self._truth.uncounted:
            return
        effects = self._effects(token)
        places = self._places(record, key)
        astray = [effect.host for effect in effects if effect.host not in places]
        if astray:
            yield Violation("wrong host", f"{token} was applied on {astray}, not on {places}: {record}")
        counts = Counter(effect.host for effect in effects)
        if self._rules.everywhere and record.host is None:
            always = set(places).intersection(*(epoch.members.values() for epoch in self._epochs(record)))
            for host in places:
                unsure = host in self._truth.blind or host not in always
                yield from self._count(record, token, counts[host], f"on {host}", unsure)
        else:
            blind = not self._truth.blind.isdisjoint(places)
            yield from self._count(record, token, len(effects), f"on {dict(counts)}", blind)

    def _epochs(self, record: Record) -> Sequence[Epoch]:
        return self._rules.at(record.started, record.ended)

    def _places(self, record: Record, key: str) -> Sequence[str]:
        """The hosts that a write may have been applied on."""
        found = [place for epoch in self._epochs(record) for place in self._places_in(epoch, record, key)]
        return list(dict.fromkeys(found))

    def _places_in(self, epoch: Epoch, record: Record, key: str) -> Sequence[str]:
        if record.host is not None:
            return [epoch.members[record.host]] if record.host in epoch.members else []
        home = epoch.place(key)
        return list(epoch.members.values()) if home is None or self._rules.reroutes else [home]

    def _count(self, record: Record, token: str, count: int, where: str, unsure: bool) -> Iterator[Violation]:
        repeats = self._rules.repeats(record.name)
        most = self._rules.most * len(self._rules.hosts) if repeats else 1
        least = 0
        if record.outcome is Outcome.VALUE:
            # A move whose answer nobody was told may have waited in vain, as below
            least = 0 if unsure or (record.name in MOVES and record.value is UNTOLD) else 1
            if record.name in MOVES and record.value is None:  # it has waited in vain
                least = most = 0
        elif record.outcome is not Outcome.MAYBE_APPLIED:
            most = 0
        if not least <= count <= most:
            found = f"{record.outcome and record.outcome.value}, applied {count} times"
            yield Violation(found, f"{token} {where}, expected {least} to {most}: {record}")

    # Answers ------------------------------------------------------------------------------------------------------

    def _answer(self, record: Record) -> Iterator[Violation]:
        """Check a value: it has to be right for the hosts that there were, or for the ones after a change meanwhile."""
        found: list[Violation] = [self._crossed(record, "there were no hosts at all")]
        for epoch in self._epochs(record):
            found = list(self._answer_in(epoch, record))
            if not found:
                return
        yield from found

    def _answer_in(self, epoch: Epoch, record: Record) -> Iterator[Violation]:
        """Check a value: of a list, one for each host, every item."""
        members = list(epoch.members.values())
        if record.host is not None and record.host not in epoch.members:
            yield self._crossed(record, f"expected no answer: there is no host {record.host}")
        elif record.name == "everyone":
            if record.value != [True] * len(members):
                yield self._crossed(record, "expected an answer of each host")
        elif record.name in (*POPS, *FOLLOWS):
            return  # ``queues`` looks at these
        elif not self._rules.everywhere or record.host is not None:
            place = None if record.host is None else epoch.members[record.host]
            yield from self._answer_of(epoch, record, record.value, place)
        elif not isinstance(record.value, list) or len(record.value) != len(members):
            yield self._crossed(record, "expected one answer a host")
        else:
            for host, value in zip(members, record.value, strict=True):
                yield from self._answer_of(epoch, record, value, host)

    def _answer_of(self, epoch: Epoch, record: Record, value: Any, host: str | None) -> Iterator[Violation]:
        if record.name == "where":
            yield from self._where(epoch, record, value, host)
        elif record.name == "get":
            yield from self._read(epoch, record, record.keys[0], value, host)
        elif record.name == "mget":
            if not isinstance(value, list) or len(value) != len(record.keys):
                yield self._crossed(record, f"{value!r} is no answer for {len(record.keys)} keys")
                return
            for key, each in zip(record.keys, value, strict=True):
                yield from self._read(epoch, record, key, each, host)
        elif record.name == "refused" and not self._forgetful:
            yield self._crossed(record, "the server refuses this, so no value can be")
        else:
            yield from self._written(record, value, host)

    @property
    def _forgetful(self) -> bool:
        """Whether what was there at the beginning may be gone."""
        return self._truth.flushed or bool(self._truth.blind)

    def _crossed(self, record: Record, why: str) -> Violation:
        return Violation("wrong answer", f"{why}: {record}")

    def _where(self, epoch: Epoch, record: Record, value: Any, host: str | None) -> Iterator[Violation]:
        expected = [host] if host else self._places_in(epoch, record, record.keys[0])
        if value not in expected and not (value is None and self._forgetful):
            yield self._crossed(record, f"expected the name of a host in {expected}")

    def _written(self, record: Record, value: Any, host: str | None) -> Iterator[Violation]:
        """The answer to a write is what the server must have answered when it applied it."""
        if record.name in ("set", "renew", "mset"):
            if value is not True:
                yield self._crossed(record, "expected True")
            return
        if record.name in MOVES and value is None:
            return
        effects = [effect for effect in self._effects(record.tokens[0]) if host in (None, effect.host)]
        replies = [effect.reply for effect in effects if effect.reply is not None]
        if record.name == "incr" and not self._rules.repeats("incr"):
            replies = [1]
        if record.name == "count" and not self._rules.repeats("count"):
            replies = [amount_of(record.tokens[0])]
        nothing_there = value in (None, False) and bool(self._truth.blind)  # memcached's answers to that
        if replies and value not in replies and not nothing_there:
            yield self._crossed(record, f"the server must have answered {replies}, found {value!r}")

    def _read(
        self, epoch: Epoch, record: Record, key: str, value: Any, host: str | None
    ) -> Iterator[Violation]:
        if ":text:" in key:
            place = host or (epoch.place(key) if not self._rules.reroutes else None)
            yield from self._read_text(record, key, value, place)
        else:
            yield from self._read_value(record, key, value)

    def _read_text(self, record: Record, key: str, value: Any, place: str | None) -> Iterator[Violation]:
        tokens = _TOKEN.findall(value) if isinstance(value, str) else []
        yield from self._complete(record, key, tokens, place)
        if value is None:
            return
        if value != "".join(tokens):
            yield self._crossed(record, f"{value!r} was never written to {key}")
            return
        for token in tokens:
            writer, written = self._writers.get(token, (None, ""))
            if writer is None or written != key:
                yield self._crossed(record, f"{token} was never written to {key}")
            elif writer.started > record.ended:
                yield self._crossed(record, f"{token} was read before it was written")
        final = self._truth.finals.get((place, key)) if place else None
        known = final is not None and not self._truth.flushed and place not in self._truth.blind
        if known and not str(final).startswith(value):
            yield self._crossed(record, f"{value!r} is not how {final!r} on {place} ever was")

    def _complete(
        self, record: Record, key: str, tokens: Sequence[str], place: str | None
    ) -> Iterator[Violation]:
        """A text has all that was appended, with a value, before anybody asked for it."""
        if (
            place is None
            or place in self._truth.blind
            or self._truth.flushed
            or self._rules.repeats("append")
        ):
            return
        for write in self._appends[key]:
            before = write.outcome is Outcome.VALUE and write.ended < record.started
            (token,) = write.tokens
            if before and token not in tokens and any(each.host == place for each in self._effects(token)):
                yield self._crossed(record, f"{token} was appended on {place} before, and is not in it")

    def _read_value(self, record: Record, key: str, value: Any) -> Iterator[Violation]:
        if value is not None:
            owner, _, token = value.partition("=") if isinstance(value, str) else ("", "", "")
            writer, written = self._writers.get(token, (None, ""))
            if owner != key or writer is None or written != key:
                yield self._crossed(record, f"{value!r} was never written to {key}")
                return
            if writer.started > record.ended:
                yield self._crossed(record, f"{token} was read before it was written")
        yield from self._fresh(record, key, value)

    def _fresh(self, record: Record, key: str, value: str | None) -> Iterator[Violation]:
        """What a thread has written itself, with a value, is what it reads; nobody else writes to this key.

        A write that may have been applied can come late, and overwrite.
        """
        if self._truth.flushed or self._truth.blind or (self._rules.reroutes and record.host is None):
            return
        if self._moved(key, record.ended, record.host):
            return
        before = [
            write
            for write in self._renewals[key]
            if write.thread == record.thread and _before(write, record) and write.host == record.host
        ]
        stray = [write for write in self._renewals[key] if write.host != record.host]
        mine = [write for write in self._renewals[key] if write.thread == record.thread]
        done = [write for write in before if write.outcome is Outcome.VALUE]
        if not done or len(mine) + len(stray) < len(self._renewals[key]):
            return
        # Handlers of signals interrupt each other: the later call may be the earlier write
        allowed = [write for write in done if not any(_before(write, later) for later in done)]
        allowed += [write for write in mine if not _before(write, record) and not _before(record, write)]
        allowed += [write for write in self._renewals[key] if write.outcome is Outcome.MAYBE_APPLIED]
        allowed += stray  # one of the two by cluster.on(): it counts where that host is the key's home
        if self._rules.repeats("renew"):
            # One that was repeated comes twice, and a later one of the same map may have come before the repeated read
            allowed += [write for write in self._renewals[key] if write.call <= record.call]
        if value not in [f"{key}={write.tokens[0]}" for write in allowed]:
            yield self._crossed(record, f"{value!r} of {key} is older than what the thread wrote before")

    def _moved(self, key: str, ended: float, host: str | None) -> bool:
        """Whether the home of a key has changed by then, or the named host; or the hosts, where it has none."""
        epochs = self._rules.at(-math.inf, ended)
        if host is not None:
            return len({epoch.members.get(host) for epoch in epochs}) > 1
        return len({epoch.place(key) or tuple(epoch.members.values()) for epoch in epochs}) > 1

    # Order --------------------------------------------------------------------------------------------------------

    def _order(self) -> Iterator[Violation]:
        """Writes of one ``map()`` to one key are applied in their order."""
        if self._rules.repeat != "reads" or not (self._keyed or self._rules.everywhere):
            return
        groups: dict[tuple[int, str], list[Record]] = defaultdict(list)
        for record in self._records:
            if record.name in ("append", "push"):
                groups[record.call, record.keys[0]].append(record)
        for records in groups.values():
            if len(records) > 1:
                yield from self._order_of(records)

    @property
    def _keyed(self) -> bool:
        """Whether a key has a home."""
        return all(epoch.home is not None for epoch in self._rules.at(-math.inf, math.inf))

    def _order_of(self, records: Sequence[Record]) -> Iterator[Violation]:
        hosts = {effect.host for record in records for effect in self._effects(record.tokens[0])}
        bound = records[0].host is not None or not (self._rules.everywhere or self._rules.reroutes)
        if len(hosts) > 1 and bound:
            text = "\n    ".join(map(str, records))
            yield Violation("scattered", f"the writes of one call to one key are on {hosts}:\n    {text}")
        for host in self._rules.hosts:
            found = [
                (effect.at, record)
                for record in sorted(records, key=lambda record: record.position)
                for effect in self._effects(record.tokens[0])
                if effect.host == host
            ]
            if [at for at, _ in found] != sorted(at for at, _ in found):
                text = "\n    ".join(f"at {at}: {record}" for at, record in found)
                yield Violation("out of order", f"on {host}:\n    {text}")

    def _transactions(self) -> Iterator[Violation]:
        """Each host applies all of a transaction or none of it."""
        calls: dict[int, list[Record]] = defaultdict(list)
        for record in self._records:
            if record.transaction:
                calls[record.call].append(record)
        for records in calls.values():
            found: list[Violation] = []
            for epoch in self._rules.at(records[0].started, records[0].ended):
                found = list(self._transaction_in(epoch, records))
                if not found:
                    break
            yield from found
            yield from self._unwatched(records)

    def _transaction_in(self, epoch: Epoch, records: Sequence[Record]) -> Iterator[Violation]:
        tokens = {
            (key, token)
            for record in records
            if record.name != "refused"
            for key, token in zip(record.keys, record.tokens, strict=False)
        }
        for host in self._rules.hosts:
            meant = {token for key, token in tokens if host in self._places_in(epoch, records[0], key)}
            if (self._rules.reroutes and records[0].host is None) or not meant:
                continue
            found = [[effect for effect in self._effects(token) if effect.host == host] for token in meant]
            blocks = {frozenset(_block(effect) for effect in effects) for effects in found}
            if len(blocks) > 1:
                text = "\n    ".join(map(str, records))
                yield Violation("half a transaction", f"on {host}: blocks {blocks}\n    {text}")

    def _unwatched(self, records: Sequence[Record]) -> Iterator[Violation]:
        """What was there when a key was watched is there when the transaction is applied."""
        for record in records:
            if record.seen is None:
                continue
            for effect in self._effects(record.tokens[0]):
                wanted = len(record.seen) + len(record.tokens[0])
                final = self._truth.finals.get((effect.host, record.keys[0]), "")
                kept = self._truth.flushed or final.startswith(record.seen + record.tokens[0])
                if effect.reply not in (None, wanted) or not kept:
                    yield Violation("lost update", f"it was not {record.seen!r} any more: {record}")


def _block(effect: Effect) -> object:
    """What an effect was applied together with. Redis writes no MULTI into its log around a single command."""
    return effect.at if effect.block is None else ("block", effect.block)


def _before(first: Record, second: Record) -> bool:
    """Whether a command of a thread was to be done before another, and not in the middle of it."""
    if first.call == second.call:
        return first.position < second.position
    return first.call < second.call and first.ended <= second.started
