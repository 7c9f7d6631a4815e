"""What a run leaves behind: a record of every command, as its caller saw it, and the truth, as the servers tell it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nydus_core.command import Outcome

__all__ = ["UNTOLD", "Effect", "Epoch", "Record", "Rules", "Truth", "Violation", "amount_of"]

#: The value of a call that was cancelled: a plugin was told that it has one, and nobody which.
UNTOLD = "a value that nobody was told"


def amount_of(token: str) -> int:
    """Return the number that ``count`` counts up by: that of its token, which no other write has."""
    thread, number = token.strip("<>").split(".")
    return int(thread) * 10_000 + int(number)


@dataclass(frozen=True)
class Record:
    """One command, as its caller saw it.

    Attributes:
        call: The number of the call; commands of one ``map()`` share it.
        position: Its position in the ``map()``; 0 for a single command.
        thread: Who called: the number of the thread, or of the task.
        name: See ``schedule.Op``.
        keys: Its keys.
        tokens: What it writes at each of them; none if it only reads.
        host: The host that was named, by ``cluster.on``.
        outcome: How it ended; None if it has no outcome, although it is over.
        value: Its value, all bytes as text.
        error: Its error, as text.
        started: When it was called, in seconds.
        ended: When it had ended.
        limit: How many seconds it may have taken.
        transaction: Whether it belongs to a ``map(transaction=True)``.
        faults: The kinds of faults that were at work meanwhile.
        cancelled: What cancelled the call; empty if nothing did, or too late.
        seen: For a write in a transaction that watches its key, what was there when it was watched; None if nobody looked.
    """

    call: int
    thread: int
    name: str
    keys: Sequence[str]
    tokens: Sequence[str]
    outcome: Outcome | None
    value: Any = None
    error: str = ""
    position: int = 0
    host: str | None = None
    started: float = 0.0
    ended: float = 0.0
    limit: float = 60.0
    transaction: bool = False
    faults: frozenset[str] = frozenset()
    cancelled: str = ""
    seen: str | None = None

    def __str__(self) -> str:
        where = f" on {self.host}" if self.host is not None else ""
        in_map = (
            f" #{self.position} of {'a transaction' if self.transaction else 'a map'}"
            if self.position >= 0
            else ""
        )
        return (
            f"call {self.call} of thread {self.thread}{in_map}: {self.name} {list(self.keys)} {list(self.tokens)}{where}"
            f"{f' cancelled by {self.cancelled}' * bool(self.cancelled)}"
            f" -> {self.outcome.value if self.outcome else 'no outcome'} {self.value!r} {self.error}"
            f" [{self.started:.3f} to {self.ended:.3f} s; {', '.join(sorted(self.faults))}]"
        )


@dataclass(frozen=True)
class Effect:
    """That a host has applied a write, once.

    Attributes:
        host: The name of the host.
        at: Its place among all effects on this host.
        reply: What the server must have answered, where that can be told; else None.
        block: The number of the transaction that it was applied in, on this host; None outside of one.
    """

    host: str
    at: int
    reply: Any = None
    block: int | None = None


@dataclass
class Truth:
    """What the servers have done, as they tell themselves.

    Attributes:
        applied: By token, how often and where a write was applied.
        finals: By host and key, the text that it ended with.
        blind: Hosts that have forgotten some of what they did: their counts are lower bounds.
        uncounted: Names of writes that cannot be counted.
        flushed: Whether data were deleted meanwhile.
        popped: By key of a queue, the tokens that were taken out of it, each with its host.
    """

    applied: Mapping[str, Sequence[Effect]]
    finals: Mapping[tuple[str, str], str] = field(default_factory=dict)
    blind: frozenset[str] = frozenset()
    uncounted: frozenset[str] = frozenset()
    flushed: bool = False
    popped: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Epoch:
    """A time in which the cluster has the same hosts, as far as a caller can tell.

    Attributes:
        begin: When the change to these hosts began, in seconds.
        end: When the next change had ended.
        members: What stands for each host in effects, by the name of the host, in host order: a host that is replaced has
            the same name, and another server.
        home: Returns the name of the host of a key; None if keys have none.
    """

    begin: float
    end: float
    members: Mapping[str, str]
    home: Callable[[str], str] | None = None

    def place(self, key: str) -> str | None:
        """Return what stands for the host of a key; None if keys have no host."""
        return None if self.home is None else self.members[self.home(key)]


@dataclass(frozen=True)
class Rules:
    """What the settings promise.

    Attributes:
        hosts: What stands for hosts in effects, in host order: their names.
        home: Returns the host of a key; None if keys have none.
        everywhere: Whether every command goes to all hosts.
        reroutes: Whether a host that is down is replaced by another.
        repeat: The setting ``retry.repeat``.
        most: How often a command that may be repeated is applied by one host, at most.
        epochs: The hosts that there were, one after the other; empty if ``hosts`` and ``home`` hold all the time.
    """

    hosts: Sequence[str]
    home: Callable[[str], str] | None = None
    everywhere: bool = False
    reroutes: bool = False
    repeat: str = "reads"
    most: int = 2
    epochs: Sequence[Epoch] = ()

    def at(self, started: float, ended: float) -> Sequence[Epoch]:
        """Return the epochs that a call may have seen; it sees one of them."""
        if not self.epochs:
            return [Epoch(-math.inf, math.inf, {host: host for host in self.hosts}, self.home)]
        return [each for each in self.epochs if each.begin <= ended and started <= each.end]

    def repeats(self, name: str) -> bool:
        """Tell whether a write may be applied more than once."""
        return self.repeat == "all" or (self.repeat == "idempotent" and name in ("set", "renew", "mset"))


@dataclass(frozen=True)
class Violation:
    """A promise that was broken.

    Attributes:
        kind: Which, in a word or two.
        text: What was expected, and what was found.
    """

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text}"
