"""The asynchronous engine to start from. ``connect()`` and ``disconnect()`` are enough for a working one."""

from __future__ import annotations

import asyncio
import inspect
import logging
from asyncio import CancelledError
from collections.abc import Sequence
from typing import Any, ClassVar

from nydus_core.aio.loops import PerLoop
from nydus_core.command import Command
from nydus_core.engines import EngineBase
from nydus_core.errors import CANCELLED, HostDown, HostError, MaybeApplied, NoEventLoop

__all__ = ["BaseAsyncEngine", "one_by_one"]

logger = logging.getLogger("nydus")


class BaseAsyncEngine(EngineBase):
    """An asynchronous engine to start from.

    A subclass defines ``connect()``, which returns a client, and ``disconnect(client)``. Then every attribute of the
    client is a command, dotted names too, and its key is the argument ``key`` or else the first one. The value is
    awaited, if it can be::

        class Store(BaseAsyncEngine):
            def __init__(self, num, host="localhost", **options):
                super().__init__(num, **options)
                self.host = host

            async def connect(self):
                return await store.connect(self.host)

            async def disconnect(self, client):
                await client.aclose()

    Each event loop has a client of its own, which its tasks share.

    Parameters:
        num: The key of the host in the settings.
        options: The options of the host.
    """

    is_async: ClassVar[bool] = True

    def __init__(self, num: Any, **options: Any) -> None:
        super().__init__(num, **options)
        self._own = PerLoop(_Own, self._end)
        self._retired = False

    # For subclasses to define -------------------------------------------------------------------------------------

    async def connect(self) -> Any:
        """Return a client that is connected to the host."""
        raise NotImplementedError(f"{type(self).__name__} has to define connect()")

    async def disconnect(self, client: Any) -> None:
        """Close a client."""
        raise NotImplementedError(f"{type(self).__name__} has to define disconnect()")

    # Called by the core ------------------------------------------------------------------------------------------

    async def call(self, command: Command) -> Any:
        """Do one command through the client. See ``AnyEngine.call``.

        A client in whose command a task was cancelled is used for no other: it may still get the answer.
        """
        try:
            use = await self._used()
        except CancelledError as cancelled:
            raise cancelled from self.failed(HostDown, self.unavailable(CANCELLED), command)
        except NoEventLoop:
            raise
        except Exception as error:
            raise self.failed(HostDown, error, command) from error
        try:
            target = use.client
            for piece in command.name.split("."):
                target = getattr(target, piece)
            value = target(*command.args, **command.kwargs)
            return await value if inspect.isawaitable(value) else value
        except CancelledError:
            self._own.get().drop(use)
            raise
        except Exception as error:
            if isinstance(error, tuple(self.retryable_exceptions)):
                raise self.failed(MaybeApplied, error, command) from error
            raise
        finally:
            self._leave(use)

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Do some commands, one after the other. See ``AsyncEngine.exchange``."""
        return await one_by_one(self, commands)

    async def probe(self) -> None:
        """Find out whether the host is up: by default connect to it anew.

        Raises:
            Exception: The host is not up.
        """
        await self.aclose()
        self._leave(await self._used())

    async def flush(self) -> None:
        """Delete all data of the host. Called only if ``supports_flush`` is true."""
        raise NotImplementedError(f"{type(self).__name__} has to define flush()")

    async def aclose(self) -> None:
        """Disconnect, as soon as no task uses the client any more. A later command connects again.

        The clients of other event loops are not waited for.
        """
        own = self._own.get()
        self._own.in_each(lambda each: None if each is own else self._retire(each))
        use = own.use
        if use is not None:
            own.drop(use)
            if not use.users:
                await self._disconnect(use)

    def retire(self) -> None:
        """Disconnect as soon as no call uses the client."""
        self._retired = True
        self._own.in_each(self._retire)

    def _retire(self, own: _Own) -> None:
        use = own.use
        if use is not None:
            use.users += 1
            own.drop(use)
            self._leave(use)

    async def _end(self, own: _Own) -> None:
        """The loop ends: nothing uses the client any more."""
        use = own.use
        if use is not None:
            own.drop(use)
            try:
                await self._disconnect(use)
            except Exception:
                logger.debug("a client cannot be disconnected", exc_info=True)

    async def _used(self) -> _Use:
        own = self._own.get()
        if own.use is None:
            async with own.connecting:
                if own.use is None:
                    own.use = _Use(await self.connect())
        use = own.use
        use.users += 1
        return use

    def _leave(self, use: _Use) -> None:
        use.users -= 1
        if self._retired:
            self._own.get().drop(use)
        if use.dropped and not use.users:
            use.ending = asyncio.get_running_loop().create_task(self._disconnect(use))
            use.ending.add_done_callback(_ended)

    async def _disconnect(self, use: _Use) -> None:
        if not use.closed:
            use.closed = True
            try:
                await self.disconnect(use.client)
            except Exception as error:
                self.redactor.clean(error)
                raise


def _ended(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:  # nobody waits for it
        logger.debug("a client cannot be disconnected", exc_info=task.exception())


class _Use:
    """A client, and how many tasks use it."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
        self.dropped = self.closed = False
        self.ending: asyncio.Task[None] | None = None


class _Own:
    """The client of one event loop."""

    def __init__(self) -> None:
        self.use: _Use | None = None
        self.connecting = asyncio.Lock()

    def drop(self, use: _Use) -> None:
        """Have no more commands use a client. The last one that does disconnects it."""
        use.dropped = True
        if self.use is use:
            self.use = None


#: How many commands are done one after the other before other tasks have a turn.
_AT_ONCE = 100


async def one_by_one(engine: Any, commands: Sequence[Command]) -> list[Any]:
    """Do commands one after the other, each by ``engine.call``: an ``exchange`` for clients without pipelines.

    A cancelled call whose ``CancelledError`` is raised from a ``HostDown`` was not sent.
    """
    outcomes: list[Any] = []
    for number, command in enumerate(commands, 1):
        called = False
        try:
            if not number % _AT_ONCE:
                await asyncio.sleep(0)  # a client that never waits would keep other tasks from their turn
            called = True
            outcomes.append(await engine.call(command))
        except CancelledError as cancelled:
            why = engine.unavailable(CANCELLED)
            unsent = not called or isinstance(cancelled.__cause__, HostDown)
            first = HostDown if unsent else MaybeApplied
            kinds: list[type[HostError]] = [first, *[HostDown] * len(commands)]
            rest = commands[len(outcomes) :]
            return outcomes + [
                engine.failed(kind, why, each) for kind, each in zip(kinds, rest, strict=False)
            ]
        except Exception as error:
            outcomes.append(error)
    return outcomes
