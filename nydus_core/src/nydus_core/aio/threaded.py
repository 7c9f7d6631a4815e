"""An asynchronous side for a blocking engine: its commands are done in worker threads.

For client libraries without an asynchronous side of their own. It costs a change of threads for each command, or for
each batch of a ``map()``, and each host has only so many threads at once; the tasks beyond wait their turn.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from nydus_core.aio.loops import PerLoop
from nydus_core.aio.turns import Turns
from nydus_core.aio.workers import Job, in_worker
from nydus_core.command import Command, Dispatch
from nydus_core.engines import Batch, EngineBase, SurfaceFactory
from nydus_core.errors import CANCELLED, HostDown, HostError
from nydus_core.redaction import redactor_of
from nydus_core.threads import in_thread

__all__ = ["ThreadedEngine"]


class ThreadedEngine(EngineBase):
    """Does the commands of a blocking engine in worker threads.

    A subclass names the blocking class, and is named by it::

        class Store(BaseEngine):
            async_side = "my_package.AsyncStore"

        class AsyncStore(ThreadedEngine):
            sync_side = Store

    A task that is cancelled has its batch aborted, as a missed deadline does on the blocking side.

    Parameters:
        num: The key of the host in the settings.
        args: The positional options of the host.
        options: Its other options.

    Attributes:
        engine: The blocking engine.
    """

    is_async: ClassVar[bool] = True
    sync_side: ClassVar[type[Any] | str | None]
    #: How many threads a host may have at once, for each event loop.
    most_threads: ClassVar[int] = 16

    def __init_subclass__(cls) -> None:
        """Take from the blocking class the attributes that settings are read by."""
        super().__init_subclass__()
        for name in (
            "supports_transactions",
            "supports_flush",
            "url_schemes",
            "refused_options",
            "countable",
        ):
            setattr(cls, name, getattr(_blocking(cls), name))

    def __init__(self, num: Any, *args: Any, **options: Any) -> None:
        super().__init__(num)
        self.engine: Any = _blocking(type(self))(num, *args, **options)
        self.redactor = redactor_of(self.engine)
        for name in _ADDRESS & vars(self.engine).keys():
            setattr(self, name, getattr(self.engine, name))
        self._turns = PerLoop(lambda: Turns(self.most_threads))

    # Answers of the blocking side ------------------------------------------------------------------------------------

    @property
    def identifier(self) -> str:
        """A stable text that names the host's address. Never holds a password."""
        identifier: str = self.engine.identifier
        return identifier

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return the factory of surfaces."""
        factory: SurfaceFactory = _blocking(cls).surface(options)
        return factory

    @classmethod
    def option_types(cls) -> Mapping[str, Any] | None:
        """Return the options of a host, each with the types that it takes."""
        types: Mapping[str, Any] | None = _blocking(cls).option_types()
        return types

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Return the options that a URL stands for."""
        options: dict[str, Any] = _blocking(cls).from_url(url)
        return options

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object on which every command goes to this host."""
        return self.engine.client(make_surface, dispatch)

    def failed(self, kind: type[HostError], cause: BaseException, command: Command) -> HostError:
        """Make the error for a command that this host could not do."""
        error: HostError = self.engine.failed(kind, cause, command)
        return error

    def unavailable(self, why: str) -> Exception:
        """Make the client library's error for a host that cannot be reached."""
        error: Exception = self.engine.unavailable(why)
        return error

    def late(self, why: str) -> Exception:
        """Make the client library's error for an answer that did not come in time."""
        error: Exception = self.engine.late(why)
        return error

    def is_denied(self, cause: BaseException) -> bool:
        """Tell whether the server refuses this client. See ``EngineBase.is_denied``."""
        asked = getattr(self.engine, "is_denied", None)
        return asked is not None and bool(asked(cause))

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether an error of the client speaks against the host."""
        return bool(self.engine.is_outage(cause))

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether an error that the server answered may be tried later."""
        return bool(self.engine.is_passing(answer, command))

    # Work in threads ----------------------------------------------------------------------------------------

    async def call(self, command: Command) -> Any:
        """Do one command. See ``AnyEngine.call``."""
        (outcome,), cancelled = await self._exchange([command], False)
        if cancelled is not None:
            raise cancelled
        if not isinstance(outcome, Exception):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # it knows this frame

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Do some commands as a batch of the blocking side. See ``AsyncEngine.exchange``."""
        outcomes, _ = await self._exchange(commands, transaction)
        return outcomes

    async def _exchange(
        self, commands: Sequence[Command], transaction: bool
    ) -> tuple[list[Any], CancelledError | None]:
        """Return the outcomes, and the cancellation that came meanwhile."""
        turns = self._turns.get()
        try:
            await turns.take()
        except CancelledError as cancelled:
            return self._not_sent(commands, self.unavailable(CANCELLED)), cancelled
        try:
            batch = self.engine.batch(commands, transaction=transaction)
        except BaseException:
            turns.give()
            raise
        job = Job(lambda: _exchanged(batch))
        job.at_end(turns.give)
        job.at_end(batch.close)
        if not job.start():
            return self._not_sent(commands, RuntimeError("no new thread to be had")), None
        try:
            return await job, None
        except CancelledError as cancelled:
            if job.cancel():
                return self._not_sent(commands, self.unavailable(CANCELLED)), cancelled
            settled: list[Any] | None = None if job.done else batch.abort()
            return await job if settled is None else settled, cancelled

    def _not_sent(self, commands: Sequence[Command], why: Exception) -> list[Any]:
        return [self.failed(HostDown, why, command) for command in commands]

    async def probe(self) -> None:
        """Find out whether the host is up.

        Raises:
            Exception: It is not.
        """
        await in_worker(self.engine.probe)

    async def flush(self) -> None:
        """Delete all data of the host."""
        await in_worker(self.engine.flush)

    async def aclose(self) -> None:
        """Close all connections. A later command opens new ones."""
        await in_worker(self.engine.close)

    def drop_idle(self) -> None:
        """Close the idle connections, if the blocking side can."""
        if hasattr(type(self.engine), "drop_idle"):
            self.engine.drop_idle()

    def retire(self) -> None:
        """Close all connections as they fall out of use."""
        if in_thread(self.engine.retire) is None:
            self.engine.retire()


def _blocking(side: type[ThreadedEngine]) -> type[Any]:
    """Return the blocking class."""
    other = side.sync_side
    if not isinstance(other, type):
        raise TypeError(
            f"{side.__qualname__} has to name the class of the blocking engine as sync_side; found {other!r}"
        )
    return other


#: The attributes of an engine that routers by address look for.
_ADDRESS = frozenset({"host", "port", "unix_socket_path", "db"})


def _exchanged(batch: Batch) -> list[Any]:
    batch.send()
    return batch.receive()
