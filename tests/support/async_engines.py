"""Engines for asyncio, for the core's own tests: those of ``engines`` with their other side."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from engines import Lost, MemoryEngine, Store
from nydus_core import BaseAsyncEngine, ThreadedEngine
from nydus_core.command import Command
from nydus_core.errors import HostDown, MaybeApplied


class AsyncStore(Store):
    """A client whose ``get``, ``set``, ``incr`` and ``wait`` are coroutines; all else answers at once, as in ``Store``.

    Attributes:
        going: What ``wait`` waits for.
    """

    def __init__(self, label: str = "") -> None:
        super().__init__(label)
        self.going = asyncio.Event()

    async def get(self, key: Any) -> Any:
        await asyncio.sleep(0)
        return super().get(key)

    async def set(  # type: ignore[override]  # the same command, of the other side
        self, key: Any, value: Any, *, only_new: bool = False
    ) -> bool:
        await asyncio.sleep(0)
        return super().set(key, value, only_new=only_new)

    async def incr(self, key: Any) -> int:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().incr(key)

    async def wait(self, key: Any = None) -> str:
        """A command that hangs until the test lets it go on."""
        self._note("wait", key)
        await self.going.wait()
        return self.label


class AsyncMemoryEngine(BaseAsyncEngine):
    """Knows nothing but ``connect()`` and ``disconnect()``, and which error means a lost connection.

    Attributes:
        clients: All clients that were made, in order.
        connecting: What ``connect`` waits for, if anything.
    """

    retryable_exceptions = (Lost,)

    def __init__(self, num: Any, *, down: bool = False) -> None:
        super().__init__(num)
        self.down = down
        self.clients: list[AsyncStore] = []
        self.connecting: asyncio.Event | None = None

    async def connect(self) -> AsyncStore:
        await asyncio.sleep(0)
        if self.connecting is not None:
            await self.connecting.wait()
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        self.clients.append(AsyncStore(str(self.num)))
        return self.clients[-1]

    async def disconnect(self, client: AsyncStore) -> None:
        await asyncio.sleep(0)
        client.open = False


class AsyncSwitchedEngine(AsyncMemoryEngine):
    """A host with a switch: while it is ``down``, nothing reaches it; while it is ``deaf``, nothing is answered.

    Attributes:
        probes: How often it was probed.
        probing: What a probe waits for, if anything.
    """

    supports_flush: ClassVar[bool] = True

    def __init__(self, num: Any, *, down: bool = False) -> None:
        super().__init__(num, down=down)
        self.deaf = False
        self.probes = self.flushes = 0
        self.probing: asyncio.Event | None = None

    async def call(self, command: Command) -> Any:
        if self.down:
            raise self.failed(HostDown, ConnectionRefusedError(111, "Connection refused"), command)
        value = await super().call(command)
        if self.deaf:
            raise self.failed(MaybeApplied, Lost("no answer"), command)
        return value

    async def probe(self) -> None:
        self.probes += 1
        if self.probing is not None:
            await self.probing.wait()
        if self.down or self.deaf:
            raise ConnectionRefusedError(111, "Connection refused")

    async def flush(self) -> None:
        self.flushes += 1


class BlockingMemory(MemoryEngine):
    """A blocking engine with a side for asyncio: worker threads."""

    async_side: ClassVar[type[Any] | str | None] = "async_engines.ThreadedMemory"


class ThreadedMemory(ThreadedEngine):
    """Its side for asyncio."""

    sync_side: ClassVar[type[Any] | str | None] = BlockingMemory
