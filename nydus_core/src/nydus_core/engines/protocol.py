"""What an engine is: it knows one client library, and talks to one host through it.

The engine says what a command means (its keys, whether it only reads, how it splits), sends it, reads the answer,
and tells which errors mean what. It knows nothing of other hosts or of the router. It has a blocking side, ``Engine``,
or one for asyncio, ``AsyncEngine``, or a class for each; ``base_engine`` and ``aio.engine`` have classes to start from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from nydus_core.command import Command, Dispatch
from nydus_core.errors import HostError

__all__ = ["AnyEngine", "AsyncEngine", "Batch", "E", "Engine", "SurfaceFactory"]

#: Makes the object that users call, given what its calls end in. One with a method ``of_cluster(cluster, dispatch)`` is
#: called there for the cluster itself: for methods of a client library that are more than one command.
SurfaceFactory = Callable[[Dispatch], Any]


class Batch(Protocol):
    """Some commands on their way to one host.

    One with a method ``fileno()``, which returns the socket that answers come from, is read when they come; without, in
    the order of the hosts. ``send`` and ``receive`` never raise because a host fails: each command has its outcome in what ``receive``
    returns.
    """

    @property
    def overlaps(self) -> bool:
        """Whether ``send`` only writes and ``receive`` only reads, so that one thread can drive many hosts.

        If not, all the work happens in ``receive``, and each host gets a thread. Asked after ``send``.
        """
        ...

    @property
    def ready(self) -> bool:
        """Whether ``send`` finds an open connection, so that it does not have to wait for one. Asked once."""
        ...

    def send(self) -> None:
        """Send the commands."""
        ...

    def receive(self) -> list[Any]:
        """Return the outcome of each command, in order: its value, or the exception that it ended in."""
        ...

    def abort(self) -> list[Any] | None:
        """End it, since the time is over. Called in another thread than ``send`` and ``receive``, at any time.

        What is on its way ends at once, in a failure. What has not begun to be sent never will be.

        Returns:
            None if ``send`` or ``receive`` is about to return, so that its outcomes can be had as always. Or the
            outcome of each command, if nobody has to wait for them: because nothing was sent, or because they
            cannot be interrupted.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. One with answers that were not read is closed, never used again."""
        ...


class AnyEngine(Protocol):
    """What a client library's blocking and asynchronous sides have in common: one class a side, one instance a host.

    A class of this protocol is called with the key of the host in the settings, and the host's options. It may name the
    class of its other side, as ``async_side`` or ``sync_side``: see ``base_engine.EngineBase``.
    """

    @property
    def num(self) -> Any:
        """The key of the host in the settings."""
        ...

    @property
    def identifier(self) -> str:
        """A stable text that names the host's address. Never holds a password."""
        ...

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return what makes surfaces for a cluster, given the options of each of its hosts.

        In a ``map()`` they queue, with asyncio too: there ``conn.get(key)`` returns a promise, nothing to be awaited.
        """
        ...

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object with the client library's methods, on which every command goes to this host.

        Parameters:
            make_surface: Makes the cluster's surfaces.
            dispatch: What delivers a command to this host.
        """
        ...

    def call(self, command: Command) -> Any:
        """Do one command and return its value; of an asynchronous engine it has to be awaited.

        Raises:
            HostDown: It was not sent.
            MaybeApplied: It was sent, or partly, and no answer came.
            Exception: Anything else is the server's own answer.
        """
        ...

    def failed(self, kind: type[HostError], cause: BaseException, command: Command) -> HostError:
        """Make the error for a command that this host could not do; see ``nydus_core.errors.host_error``.

        Parameters:
            kind: ``HostDown`` (not sent), ``MaybeApplied``, or a subclass.
            cause: What the client raised.
            command: The command.
        """
        ...

    def unavailable(self, why: str) -> Exception:
        """Make the client library's error for a host that cannot be reached."""
        ...

    def late(self, why: str) -> Exception:
        """Make the client library's error for an answer that did not come in time."""
        ...

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether what the client raised speaks against the host, rather than against its use."""
        ...

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether an error that the server answered means that it was not applied, and may be tried later."""
        ...

    def retire(self) -> None:
        """Close all connections, but those in use not before they fall out of use: the host has left the cluster.

        Waits for nothing, in an asynchronous engine too.
        """
        ...


class Engine(AnyEngine, Protocol):
    """A client library, as ``Cluster`` uses it."""

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare some commands to be sent together. No I/O happens yet, and nothing is taken that has to be closed.

        Parameters:
            commands: The commands, in order.
            transaction: Whether the host must apply all of them or none.
        """
        ...

    def probe(self) -> None:
        """Find out whether the host is up, with a command that does nothing.

        Raises:
            Exception: It is not.
        """
        ...

    def flush(self) -> None:
        """Delete all data of the host.

        Raises:
            NotImplementedError: It is not known how.
        """
        ...

    def close(self) -> None:
        """Close all connections. A later command opens new ones."""
        ...


class AsyncEngine(AnyEngine, Protocol):
    """A client library, as ``AsyncCluster`` uses it. It may be used in several event loops.

    A task that is cancelled in any of these methods lets go of its connection at once, and never gives one back on
    which an answer is still to come.
    """

    async def call(self, command: Command) -> Any:
        """Do one command and return its value. See ``AnyEngine.call``."""
        ...

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands together, and read all answers. Never raises because the host fails.

        It has a task of its own, which is cancelled when nobody wants to wait any more. Then it should return at once
        what is known by then; if it raises ``CancelledError`` instead, all of the commands may have been applied.

        Parameters:
            commands: The commands, in order.
            transaction: Whether the host must apply all of them or none.

        Returns:
            The outcome of each command, in order: its value, or the exception that it ended in.
        """
        ...

    async def probe(self) -> None:
        """Find out whether the host is up, with a command that does nothing.

        Raises:
            Exception: It is not.
        """
        ...

    async def flush(self) -> None:
        """Delete all data of the host.

        Raises:
            NotImplementedError: It is not known how.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. A later command opens new ones."""
        ...


#: The engines of a cluster, all of one side.
E = TypeVar("E", bound=AnyEngine)
