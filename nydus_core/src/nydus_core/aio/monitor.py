"""Watches over hosts, with asyncio: a host that is down is probed by a task of the loop that found it so."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from nydus_core.aio.running import running_loop
from nydus_core.engines import AsyncEngine
from nydus_core.health import LONGEST, AnnouncerBase, Cancelable, State, WatchBase

__all__ = ["AsyncAnnouncer", "AsyncWatch"]


class AsyncAnnouncer(AnnouncerBase):
    """Tells plugins of hosts, and readmits hosts with calls that are awaited."""

    async def readmit(self, host: str, engine: AsyncEngine) -> None:
        """Treat the data of a host that is up again as the settings say. The user's function may be a coroutine function."""
        if callable(self._on_readmit):
            done: Any = self._on_readmit(host, engine.client(self._make_surface, engine.call))
            if inspect.isawaitable(done):
                await done
        elif self._on_readmit == "flush":
            await engine.flush()


class AsyncWatch(WatchBase[AsyncEngine]):
    """Watches one host. Several loops may share it."""

    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None] | None = None

    def _set_alarm(self, when: float, call: Callable[[], object]) -> Cancelable:
        self._loop = loop = running_loop()
        own = contextvars.Context()  # the probe has nothing to do with the call that made it necessary
        return loop.call_at(loop.time() + when - time.monotonic(), call, context=own)

    def _heal(self) -> None:
        """Plan the next probe also where the loop that should have made it was closed."""
        if self._loop is None or not self._loop.is_closed():
            super()._heal()
            return
        self._loop = None
        if self._breaker.report().state is State.HALF_OPEN:
            self._breaker.probe_failed(RuntimeError("the event loop of its probe was closed"))
        self._plan_probe()

    def begin_probe(self) -> None:
        """Probe the host in a task, unless that is being done, or it is well."""
        if self._breaker.begin_probe():
            self._task = asyncio.get_running_loop().create_task(self._probe_in_time())

    async def _probe_in_time(self) -> None:
        listener = self._listener()
        if listener is None:
            self._breaker.close()
            return
        try:
            await asyncio.wait_for(self._probe_and_readmit(listener), LONGEST)
        except BaseException as error:
            self._probe_failed(error)
            if not isinstance(error, Exception):
                raise
        else:
            self._readmitted(listener)

    async def _probe_and_readmit(self, listener: Any) -> None:
        await self.engine.probe()
        await listener.readmit(self.name, self.engine)

    def reset(self) -> None:
        """Take the host for well, and plan no more probes."""
        super().reset()
        task, self._task = self._task, None
        if task is not None:
            with suppress(RuntimeError):  # its loop is closed, and with it the probe
                task.get_loop().call_soon_threadsafe(task.cancel)

    def after_fork(self) -> None:
        """In a child process: no timer rings there, and no probe is under way. The next command plans one."""
        self._breaker.after_fork()
