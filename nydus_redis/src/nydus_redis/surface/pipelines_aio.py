"""``pipeline()`` with asyncio: on a cluster, where it only queues, and redis-py's own on one host."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Any, NoReturn, Self

from redis.asyncio.client import Pipeline

from nydus_core.command import Command
from nydus_core.errors import HostDown, MaybeApplied, NotResolved
from nydus_core.pieces import slices
from nydus_core.redaction import redactor_of
from nydus_redis.connection import FAILURES, AsyncPlainLosses, abort, as_client_error, hidden_loss
from nydus_redis.surface.host_pipeline import FINAL, OfHost, sent_as, watch_is_lost
from nydus_redis.surface.pipeline import ClusterPipelineBase

__all__ = ["AsyncClusterPipeline", "AsyncHostPipeline"]

_Pipeline: Any = Pipeline  # has no types


class AsyncClusterPipeline(ClusterPipelineBase):
    """Queues commands, and sends them when ``execute`` is awaited: one batch a host, all hosts at once.

    Every command of redis-py is a method, and returns the pipeline itself. See ``ClusterPipeline``.
    """

    async def execute(self, raise_on_error: bool = True) -> list[Any]:  # type: ignore[override]
        """Send the queued commands, and empty the queue. See ``ClusterPipeline.execute``."""
        if self._held is not None:
            return await self._executed_there(raise_on_error)
        commands, transaction = self._taken()
        if not commands:
            return []
        block = self._cluster.map(fail_silently=True, transaction=transaction)
        try:
            async with block as conn:
                for piece in slices(len(commands)):
                    self._queue(conn, commands[piece])
                    if piece.stop < len(commands):
                        await asyncio.sleep(0)
        except asyncio.CancelledError:
            with suppress(NotResolved):  # nothing was sent
                self._note(block.connection)
            raise
        return self._ended(commands, block.connection, raise_on_error)

    async def reset(self) -> None:  # type: ignore[override]
        """Empty the queue, and watch no keys any more."""
        held = self._held
        self._forget()
        if held is not None:
            await held.reset()

    aclose = reset

    async def _executed_there(self, raise_on_error: bool) -> list[Any]:
        """Send the commands on the connection that watches keys."""
        stack = list(self.command_stack)
        try:
            values: list[Any] = await self._held.execute(raise_on_error)
        finally:
            self._forget()
        self._results, self._failures = values, self._failures_among(stack, values)
        return list(values)

    def __del__(self) -> None:
        """Do nothing: the pipeline of a cluster holds no connection."""

    def __await__(self) -> Generator[Any, None, Self]:
        """Return the pipeline: commands of redis-py's own pipelines are awaited, too."""
        yield from ()
        return self

    def __enter__(self) -> NoReturn:
        raise TypeError("a pipeline of an asynchronous cluster is used with 'async with'")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.reset()


class AsyncHostPipeline(OfHost, AsyncPlainLosses, _Pipeline):  # type: ignore[misc]
    """A pipeline of redis-py on one host, sent at most once. See ``nydus_redis.surface.HostPipeline``.

    Raises:
        RuntimeError: By ``execute``, and by a command after ``watch``: another task is sending this pipeline.
        HostDown: By ``execute``, and by a command after ``watch``, which is sent at once: nothing was sent.
        MaybeApplied: By the same methods: some or all was sent, and no answer came.
        redis.WatchError: By the same methods: a watched key has changed, or may have changed after an interrupt.
        RoutingError: By a command, if the pipeline belongs to a key: another key lives on another host.
    """

    def __init__(self, pool: Any, callbacks: Any, transaction: bool, shard_hint: Any) -> None:
        _Pipeline.__init__(self, pool, callbacks, transaction, shard_hint)
        self.connection: Any = None
        self.watching = False
        self._give_back: Callable[..., None] | None = None
        self._sender: asyncio.Task[Any] | None = None

    async def immediate_execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command at once."""
        args = self._wire.gate.admit(args)
        command = self._told_of(args)
        with self._sending():
            if args[0] != "UNWATCH":
                await self._check_watch()
            await self._take_connection(command)
            return await self._sent(command, _Pipeline.immediate_execute_command(self, *args, **options))

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the queued commands, and return the values by position. See redis-py."""
        if not self.command_stack and not self.watching:
            return []
        command = sent_as(self.command_stack)
        with self._sending():
            await self._check_watch()
            await self._take_connection(command)
            try:
                values: list[Any] = await self._sent(command, _Pipeline.execute(self, raise_on_error))
                return values
            finally:
                await self.reset()  # redis-py does not, if scripts could not be loaded

    @contextmanager
    def _sending(self) -> Generator[None]:
        """Keep other tasks from sending the pipeline in this block: it would be sent twice."""
        if self._is_sent_elsewhere():
            raise RuntimeError("another task is sending this pipeline: each needs one of its own")
        before, self._sender = self._sender, asyncio.current_task()
        try:
            yield
        finally:
            self._sender = before

    def _is_sent_elsewhere(self) -> bool:
        return self._sender is not None and self._sender is not asyncio.current_task()

    async def _check_watch(self) -> None:
        if self.watching and self.connection is not None and not self.connection.is_connected:
            await self.reset()
            raise watch_is_lost()

    async def _take_connection(self, command: Command) -> None:
        if self.connection is None:
            pool = self._engine.pool
            try:
                self.connection = await pool.take()
            except FAILURES as error:
                await self.reset()
                raise self._engine.failed(HostDown, as_client_error(error), command) from error
            self._give_back = partial(_in_loop, asyncio.get_running_loop(), pool.give, self.connection)

    async def reset(self) -> None:
        """Empty the queue, watch no keys any more, and give the connection back, even if UNWATCH fails."""
        self.command_stack: list[Any] = []
        self.scripts: set[Any] = set()
        watching, self.watching = self.watching, False
        self.explicit_transaction = False
        connection, self.connection = self.connection, None
        give_back, self._give_back = self._give_back, None
        if connection is None or give_back is None:
            return
        pending = self._is_sent_elsewhere()  # replies are still to come
        clean = not watching and not pending
        try:
            if watching and connection.is_connected and not pending:
                await connection.send_packed_command(connection.pack_command("UNWATCH"), check_health=False)
                await connection.read_response()
                clean = True
        except FAILURES:
            pass  # the connection is closed, and so nothing is watched
        finally:
            give_back(clean=clean)

    def __del__(self) -> None:
        """Close the connection, if the pipeline was not reset."""
        give_back = getattr(self, "_give_back", None)
        if give_back is not None:
            self.connection = self._give_back = None
            give_back(clean=False)

    async def _sent(self, command: Command, sending: Awaitable[Any]) -> Any:
        connection, handled, moves = self.connection, sys.exception(), self._engine.moves
        try:
            found = await sending
            moves.heard_among(found if isinstance(found, list) else [found])
            return found
        except FINAL as error:
            loss = hidden_loss(error, handled)
            if loss is None:
                moves.heard(error)
                redactor_of(self._engine).clean(error)
                raise
            abort(connection)
            raise self._engine.failed(MaybeApplied, as_client_error(loss), command) from loss
        except FAILURES as error:
            abort(connection)
            cause = as_client_error(error)
            raise self._engine.failed(self._engine.kind_of(cause), cause, command) from error
        except BaseException:  # redis-py may have closed it
            abort(connection)
            raise


def _in_loop(
    loop: asyncio.AbstractEventLoop, give: Callable[..., None], connection: Any, *, clean: bool
) -> None:
    """Give a connection back in its event loop."""
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        give(connection, clean=clean)
    else:
        with suppress(RuntimeError):  # the loop is closed, and with it the connection
            loop.call_soon_threadsafe(partial(give, connection, clean=clean))
