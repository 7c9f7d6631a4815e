"""Commands for one host as one pipeline: one write, then as many replies."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, cast

from redis.utils import HIREDIS_AVAILABLE

from nydus_core.command import Command
from nydus_core.drafts import Draft, items_of, waits_of
from nydus_core.engines import Loan, Turn
from nydus_core.errors import HostDown, HostError, MaybeApplied
from nydus_redis.commands import READING, BlockingCommand, RedisCommand
from nydus_redis.connection import (
    ANSWERS,
    FAILURES,
    Connections,
    as_client_error,
    await_reply,
    link_of,
    may_get_pushes,
    read_plainly,
    read_reply,
    reader,
    says_goodbye,
    shut,
    socket_of,
    waits_among,
    write,
)
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import (
    DRAFTS,
    as_transaction,
    in_transaction,
    outcome_of_reply,
    outcomes_of,
    outcomes_of_transaction,
    request_of,
)

__all__ = ["RedisBatch", "TransactionBatch"]

#: Bytes that a socket takes at once, even if the server does not read them.
_AT_ONCE = 131072


class RedisBatch:
    """A pipeline to one host. See ``nydus_core.engines.Batch``."""

    overlaps = True

    def __init__(self, engine: RedisHost, connections: Connections, commands: Sequence[Command]) -> None:
        self.engine = engine
        self._connections = connections
        self.commands = cast(Sequence[RedisCommand], commands)
        #: The commands; drafts stand for commands that nobody has looked at.
        self._items = items_of(commands)
        self._kinds = set(map(type, self._items))
        pool = connections.blocking if waits_among(self._items) else connections.commands
        self._loan: Loan[Any] = Loan(pool, shut)
        self._turn: Turn | None = None
        self._failure: tuple[type[HostError], Exception] | None = None
        self._until: float | None = None
        self._may_be_sent = self._aborted = False
        self._bytes, self._size = b"", 0

    @property
    def ready(self) -> bool:
        """Whether ``send`` need not wait: there is an open connection, which this batch then claims for itself.

        A large request is never ready: sending may have to wait until the server has read some of it.
        """
        if self._connection is None:
            self._bytes = request = self._request()
            return len(request) <= _AT_ONCE and self._loan.claim()
        return self._connection is not None

    @property
    def _connection(self) -> Any:
        return self._loan.connection

    def send(self) -> None:
        """Write all commands at once."""
        try:
            if self._loan.connection is None:
                self._turn = Turn()
                if not self._aborted:
                    self._loan.take(self._turn)
        except FAILURES as error:
            self._failure = HostDown, error
            return
        self._may_be_sent = True  # first set, then look at _aborted; abort() sets that first, then looks here
        if self._aborted:
            self._failure = HostDown, self.engine.late("aborted")
            return
        self._loan.clean = False
        request, self._bytes = self._bytes or self._request(), b""
        self._size = len(request)
        try:
            write(self._connection, request)
        except FAILURES as error:
            self._failure = MaybeApplied, self._cause_of(error)
        timeout = self.engine.timeout
        if timeout is not None:
            self._until = time.monotonic() + timeout + waits_of(self._items[0])

    def _request(self) -> bytes:
        return request_of(self._items, self._kinds)

    def _cause_of(self, error: Exception) -> Exception:
        return self.engine.cause_of(error, self._size)

    def receive(self) -> list[Any]:
        """Read all replies; return the outcome of each command."""
        outcomes: list[Any] = []
        if self._failure is None:
            try:
                self._wait()
                self._read(outcomes)
                self._loan.clean = not (
                    self._connections.moves.heard_among(outcomes) or says_goodbye(outcomes[-1])
                )
            except FAILURES as error:
                cause = self._cause_of(as_client_error(error))
                self._failure = MaybeApplied if outcomes else self.engine.kind_of(cause), cause
        if self._failure is not None:
            kind, cause = self._failure
            if self._connection is not None and not self._aborted:
                self._connections.drop_idle()  # they are as dead, if a firewall has forgotten them
            missing = self.commands[len(outcomes) :]
            outcomes += [self.engine.failed(kind, cause, command) for command in missing]
        self._loan.give_back()  # not when all hosts are done: others may wait for it, and this caller for others
        return outcomes

    def _wait(self) -> None:
        """Wait for the first reply. The time counts from the sending, so that many slow hosts cost one timeout."""
        if self._until is None:
            return
        await_reply(self._connection, self._until - time.monotonic())

    def _read(self, outcomes: list[Any]) -> None:
        link = None if self._is_special() else link_of(self._connection)
        if link is None:
            self._read_one_by_one(outcomes)
            return
        replies: list[Any] = []
        try:
            link.read(len(self._items), replies, nested=self._kinds != DRAFTS)
        finally:
            outcomes += outcomes_of(self.engine, self._items, self._kinds, replies)

    def _is_special(self) -> bool:
        """Whether a command asks for a way to read of its own: it waits at the server, or says how to decode its reply."""
        if BlockingCommand in self._kinds:
            return True
        if self._kinds == DRAFTS:
            return False
        commands = (item for item in self._items if not isinstance(item, Draft))
        return not all(READING.isdisjoint(command.kwargs) for command in commands)

    def _read_one_by_one(self, outcomes: list[Any]) -> None:
        read = reader(self._connection)
        waiting = BlockingCommand in self._kinds
        for command in self.commands:
            try:
                if waiting and command.waits and self._until is not None:
                    await_reply(self._connection, cast(float, self.engine.timeout) + command.waits)
                if command.kwargs and not READING.isdisjoint(command.kwargs):
                    reply = read_reply(self._connection, command)
                else:
                    reply = read()
            except ANSWERS as error:
                reply = error
            except UnicodeDecodeError as error:
                if not (HIREDIS_AVAILABLE and self.engine.decodes) or may_get_pushes(self._connection):
                    raise  # redis-py's own parser cannot go on behind it; or it was a push message, perhaps
                reply = error
            outcomes.append(outcome_of_reply(self.engine, command, reply))

    def fileno(self) -> int | None:
        """Return the number of the socket that the answers come from; None if there are none to wait for."""
        if self._failure is not None or self._connection is None:
            return None
        sock = socket_of(self._connection)
        return None if sock is None else sock.fileno()

    def abort(self) -> list[Any] | None:
        """Shut the connection, so that nobody waits for it any longer. If nothing was sent yet, nothing will be."""
        self._aborted = True
        if self._may_be_sent:
            self._loan.interrupt()
            return None
        late = self.engine.late("aborted")
        if self._turn is not None:
            self._turn.abort(late)
        return [self.engine.failed(HostDown, late, command) for command in self.commands]

    def close(self) -> None:
        """Give the connection back. It is closed if replies are still to come."""
        self._loan.give_back()


class TransactionBatch(RedisBatch):
    """A pipeline to one host between MULTI and EXEC: the host applies all of it, or nothing."""

    def _request(self) -> bytes:
        return b"".join(as_transaction(self.commands))

    def _read(self, outcomes: list[Any]) -> None:
        read = reader(self._connection)
        multi, *queued = [read_plainly(read) for _ in range(len(in_transaction(self.commands)) + 1)]
        replies = read_plainly(read)
        outcomes += outcomes_of_transaction(self.engine, self.commands, multi, queued, replies)
