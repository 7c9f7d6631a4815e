"""The protocols of engines. An engine knows one client library, and talks to one host through it.

An engine tells the meaning of a command (keys, whether it only reads, how it splits), sends it, reads the
answer, and tells the meaning of errors. It knows nothing of other hosts or of the router. An engine has a
blocking side, ``Engine``, a side for asyncio, ``AsyncEngine``, or a class for each. Start from ``BaseEngine``
or ``BaseAsyncEngine``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from nydus_core.command import Command, Dispatch
from nydus_core.errors import HostError

__all__ = ["AnyEngine", "AsyncEngine", "Batch", "E", "Engine", "SurfaceFactory"]

#: Makes the object that users call, given the function that takes its commands. A factory with a method
#: ``of_cluster(cluster, dispatch)`` makes the surface of the cluster itself by that method: it is for methods
#: of a client library that are more than one command. One with a method ``key_of(key)`` returns the bytes that a router
#: sees of a key that a user gives; without this method they are ``key_bytes(key)``. One with a method ``of_map(queue)`` makes the
#: surface of a ``map()``, and may queue drafts instead of commands: see ``nydus_core.drafts``.
SurfaceFactory = Callable[[Dispatch], Any]


class Batch(Protocol):
    """Some commands on their way to one host.

    A batch with a method ``fileno()``, which returns the socket that answers come from, is read when they
    come; other batches are read in the order of the hosts. ``send`` and ``receive`` never raise because a
    host fails: ``receive`` returns an outcome for each command.
    """

    @property
    def overlaps(self) -> bool:
        """Whether ``send`` only writes and ``receive`` only reads, so that one thread can drive many hosts.

        If not, all the work happens in ``receive``, and each host gets a thread. Asked after ``send``.
        """
        ...

    @property
    def ready(self) -> bool:
        """Whether ``send`` finds an open connection, so that it does not have to wait. Asked once."""
        ...

    def send(self) -> None:
        """Send the commands."""
        ...

    def receive(self) -> list[Any]:
        """Return the outcome of each command, in order: its value, or the exception that it ended in."""
        ...

    def abort(self) -> list[Any] | None:
        """End the batch, since the time is over. Called at any time, in another thread than ``send`` and ``receive``.

        Commands on their way end at once, in a failure. Commands that have not begun to be sent never will be.

        Returns:
            None if ``send`` or ``receive`` is about to return, with the outcomes as always. Else the outcome of each
            command, and nobody has to wait: nothing was sent, or the commands cannot be interrupted.
        """
        ...

    def close(self) -> None:
        """Let go of the connection. If it has unread answers, it is closed and never used again."""
        ...


class AnyEngine(Protocol):
    """The common part of ``Engine`` and ``AsyncEngine``: one class for each side, one instance for each host.

    A class of this protocol is called with the key of the host in the settings, and the host's options. It
    may name the class of its other side, as ``async_side`` or ``sync_side``: see ``EngineBase``.
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
        """Return the factory of a cluster's surfaces.

        In a ``map()`` surfaces queue, with asyncio too: there ``conn.get(key)`` returns a promise, nothing to
        be awaited.

        Parameters:
            options: The options of each host.
        """
        ...

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object with the client library's methods, on which every command goes to this host.

        Parameters:
            make_surface: Makes the cluster's surfaces.
            dispatch: Delivers a command to this host.
        """
        ...

    def call(self, command: Command) -> Any:
        """Do one command and return its value. An asynchronous engine returns an awaitable.

        Raises:
            HostDown: The command was not sent.
            MaybeApplied: The command was sent, or partly sent, and no answer came.
            Exception: Any other error is the server's own answer.
        """
        ...

    def failed(self, kind: type[HostError], cause: BaseException, command: Command) -> HostError:
        """Make the error for a command that this host could not do; see ``nydus_core.errors.host_error``.

        Parameters:
            kind: ``HostDown`` (not sent), ``MaybeApplied``, or a subclass.
            cause: The exception of the client.
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
        """Tell whether an exception of the client counts against the host, rather than against the caller."""
        ...

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether an error answer means that the command was not applied and may be tried later."""
        ...

    def retire(self) -> None:
        """Close all connections, each as soon as nobody uses it: the host has left the cluster.

        Returns at once, also in an asynchronous engine.
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
            Exception: The host is not up.
        """
        ...

    def flush(self) -> None:
        """Delete all data of the host.

        Raises:
            NotImplementedError: The engine does not know how.
        """
        ...

    def close(self) -> None:
        """Close all connections. A later command opens new ones."""
        ...


class AsyncEngine(AnyEngine, Protocol):
    """A client library, as ``AsyncCluster`` uses it, possibly in several event loops.

    A task that is cancelled in any method lets go of its connection at once. A connection on which an answer
    is still to come is never given back.
    """

    async def call(self, command: Command) -> Any:
        """Do one command and return its value. See ``AnyEngine.call``."""
        ...

    async def exchange(self, commands: Sequence[Command], *, transaction: bool = False) -> list[Any]:
        """Send some commands together, and read all answers. Never raises because the host fails.

        The call has a task of its own, which is cancelled when nobody wants to wait any more. Then it should
        return at once, with the outcomes known by then. If it raises ``CancelledError`` instead, all commands
        may have been applied.

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
            Exception: The host is not up.
        """
        ...

    async def flush(self) -> None:
        """Delete all data of the host.

        Raises:
            NotImplementedError: The engine does not know how.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections. A later command opens new ones."""
        ...


#: The engines of a cluster, all of one side.
E = TypeVar("E", bound=AnyEngine)
