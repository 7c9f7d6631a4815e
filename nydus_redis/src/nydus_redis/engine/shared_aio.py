"""The shared connection of one host in one event loop: how it is opened, and the meaning of its failures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from weakref import proxy

from nydus_core.aio import Asked
from nydus_core.errors import CANCELLED, HostDown, MaybeApplied
from nydus_redis.connection import FAILURES, Moves, RedisConnector, RedisLine, as_client_error
from nydus_redis.engine.host import RedisHost
from nydus_redis.engine.outcomes import outcome_of_reply

__all__ = ["SharedConnector"]


class SharedConnector:
    """Opens shared connections. See ``nydus_core.aio.LineConnector``.

    Parameters:
        engine: The engine of the host.
        moves: Is told the answers of the host.
        connector: Opens connections of redis-py.
        drop_idle: Closes the idle connections of the host.
    """

    def __init__(
        self, engine: RedisHost, moves: Moves, connector: RedisConnector, drop_idle: Callable[[], None]
    ) -> None:
        self._engine, self._moves, self._connector = engine, moves, connector
        self.line_lost = drop_idle

    async def open_line(self) -> RedisLine:
        """Open a connection, and greet the server as redis-py does."""
        try:
            connection = await self._connector.open()
        except FAILURES as error:
            cause = as_client_error(error)
            if cause is error:
                raise
            raise cause from error
        engine = self._engine
        # The connection must not hold a host that nobody uses any more
        outcome = partial(outcome_of_reply, proxy(engine))
        return RedisLine(connection, self._moves, engine.timeout, outcome)

    def unsent(self, cause: Exception, asked: Asked) -> Exception:
        """Make the error for a command that was not sent."""
        return self._engine.failed(HostDown, cause, asked[1])

    def unanswered(self, cause: Exception, asked: Asked, *, answered: bool) -> Exception:
        """Make the error for a command that was written and got no answer."""
        _, command, request = asked
        kind = MaybeApplied if answered else self._engine.kind_of(cause)
        cause = self._engine.cause_of(cause, len(request))
        error = self._engine.failed(kind, cause, command)
        error.__cause__ = cause
        return error

    def cancelled(self) -> Exception:
        """Make redis-py's error for a connection that nobody opens any more."""
        return self._engine.unavailable(CANCELLED)
