"""The engine to start from, and what it shares with the asynchronous one.

``connect()`` and ``disconnect()`` are enough for a working engine.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from nydus_core.command import Command, Dispatch, Scope, key_bytes
from nydus_core.engines.batches import SerialBatch
from nydus_core.engines.legacy import BasePipeline, PipelineBatch
from nydus_core.engines.protocol import Batch, SurfaceFactory
from nydus_core.engines.surface import PlainSurface
from nydus_core.errors import HostDown, HostError, MaybeApplied, host_error, is_own_want

__all__ = ["BaseEngine", "EngineBase"]


class EngineBase:
    """What engines have in common, whether blocking or asynchronous: all that needs no I/O.

    Parameters:
        num: The key of the host in the settings.
        options: The options of the host.
    """

    #: Whether this class is the side for asyncio.
    is_async: ClassVar[bool] = False
    #: The class, or its dotted path, that talks to such a host with asyncio, for ``create_async_cluster``. Not
    #: inherited: a subclass does something else than its parent, so the parent's other side is not its own.
    async_side: ClassVar[type[Any] | str | None] = None
    #: The same of a class for asyncio: what talks to such a host with blocking calls, for ``create_cluster``.
    sync_side: ClassVar[type[Any] | str | None] = None
    #: What ``connect`` or a command raises when the host fails, rather than answers. Without a word on it, an error
    #: of a command is taken for the server's answer.
    retryable_exceptions: ClassVar[Collection[type[Exception]]] = ()
    #: Whether ``batch(transaction=True)`` is applied whole or not at all.
    supports_transactions: ClassVar[bool] = False
    #: Whether ``flush()`` deletes all data of the host.
    supports_flush: ClassVar[bool] = False
    #: The schemes of URLs that may stand for a host's options.
    url_schemes: ClassVar[tuple[str, ...]] = ()
    #: Whether ``hosts`` may be a number: that many hosts with the default options.
    countable: ClassVar[bool] = False

    def __init__(self, num: Any, **options: Any) -> None:
        self.num = num
        self.options = options

    @property
    def identifier(self) -> str:
        """A stable text that names the host's address, by default its key. Never holds a password."""
        return str(self.num)

    @classmethod
    def describe(cls, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Command:
        """Say what a call means: make its command.

        Parameters:
            name: What was called, dotted where attributes of attributes were: ``'a.b'``.
            args: The positional arguments.
            kwargs: The keyword arguments.
        """
        if "key" in kwargs:
            return Command(name, args, kwargs, (key_bytes(kwargs["key"]),))
        if args:
            return Command(name, args, kwargs, (key_bytes(args[0]),))
        return Command(name, args, kwargs, scope=Scope.UNKNOWN if kwargs else Scope.ALL)

    @classmethod
    def surface(cls, options: Sequence[Mapping[str, Any]]) -> SurfaceFactory:
        """Return what makes surfaces: by default, of those on which any attribute is a command."""
        return lambda dispatch: PlainSurface(dispatch, cls.describe)

    @classmethod
    def option_types(cls) -> Mapping[str, Any] | None:
        """Return the options of a host, each with the type or tuple of types that it takes, None for any.

        By default the arguments of the constructor; None, if the constructor takes any.
        """
        parameters = list(inspect.signature(cls).parameters.values())[1:]
        if any(
            parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in parameters
        ):
            return None
        return {parameter.name: None for parameter in parameters}

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Return the options that a URL stands for.

        Raises:
            ValueError: The URL makes no sense.
        """
        raise ValueError(f"{cls.__name__} takes no URLs")

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object on which every command goes to this host: by default a surface of the cluster's kind."""
        return make_surface(dispatch)

    def failed(self, kind: type[HostError], cause: BaseException, command: Command) -> HostError:
        """Make the error for a command that this host could not do.

        Parameters:
            kind: ``HostDown`` (not sent) or ``MaybeApplied``.
            cause: What the client raised.
            command: The command.
        """
        return host_error(kind, cause, host=f"{self.num!r} ({self.identifier})", command=repr(command))

    def unavailable(self, why: str) -> Exception:
        """Make the error for a host that cannot be reached, of a type that the client raises for it."""
        return ConnectionError(why)

    def late(self, why: str) -> Exception:
        """Make the error for an answer that did not come in time, of a type that the client raises for it."""
        return TimeoutError(why)

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether what the client raised speaks against the host: by default all but a want of this process."""
        return not is_own_want(cause)

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether an error that the server answered may be tried later: by default none."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.num!r} at {self.identifier}>"


class BaseEngine(EngineBase):
    """An engine to start from. Also known as ``BaseConnection``, its name in nydus 0.11.

    A subclass defines ``connect()``, which returns a client, and ``disconnect()``. Then every attribute of the
    client is a command, dotted names too, and its key is the argument ``key`` or else the first one::

        class Ftp(BaseEngine):
            def __init__(self, num, host="localhost", **options):
                super().__init__(num, **options)
                self.host = host

            def connect(self):
                return ftplib.FTP(self.host)

            def disconnect(self):
                self.connection.quit()

    Parameters:
        num: The key of the host in the settings.
        options: The options of the host.
    """

    #: Whether ``get_pipeline()`` returns a pipeline for ``map()``.
    supports_pipelines: ClassVar[bool] = False

    def __init__(self, num: Any, **options: Any) -> None:
        super().__init__(num, **options)
        self._connection: Any = None
        self._connecting = threading.Lock()
        self._connector: int | None = None
        self._attempt = threading.local()  # what connecting raised, in the call that this thread is in
        self._using = threading.Lock()
        self._users = 0
        self._retired = False

    # What a subclass defines -------------------------------------------------------------------------------------

    def connect(self) -> Any:
        """Return a client that is connected to the host."""
        raise NotImplementedError(f"{type(self).__name__} has to define connect()")

    def disconnect(self) -> None:
        """Close ``self.connection``."""
        raise NotImplementedError(f"{type(self).__name__} has to define disconnect()")

    def get_pipeline(self) -> BasePipeline:
        """Return a new pipeline, where ``supports_pipelines`` says that there are any."""
        raise NotImplementedError(f"{type(self).__name__} has to define get_pipeline()")

    # What the core calls ------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The client; connected at first use, once, however many threads ask."""
        return self._connected()

    def _connected(self) -> Any:
        if self._connection is not None:
            return self._connection
        with self._connecting:
            if self._connection is None:
                self._connector = threading.get_ident()
                try:
                    self._connection = self.connect()
                except Exception as error:
                    self._attempt.refusal = error
                    raise
                finally:
                    self._connector = None
            return self._connection

    def close(self) -> None:
        """Disconnect, if connected. A later command connects again."""
        try:
            if self._connection is not None:
                self.disconnect()
        finally:
            self._connection = None

    def retire(self) -> None:
        """Disconnect as soon as no call uses the client."""
        with self._using:
            self._retired = True
        self.leave(0)

    def enter(self) -> None:
        """Note that a call is about to use the connection."""
        with self._using:
            self._users += 1

    def leave(self, count: int = 1) -> None:
        """Note that it no longer does. The last one of a host that has left the cluster disconnects."""
        with self._using:
            self._users -= count
            last = self._retired and not self._users
        if last:
            self.close()

    def call(self, command: Command) -> Any:
        """Do one command through the client. See ``Engine.call``."""
        self._attempt.refusal = None
        self.enter()
        try:
            return self._function(command)(*command.args, **command.kwargs)
        except Exception as error:
            if error is getattr(self._attempt, "refusal", None):
                raise self.failed(HostDown, error, command) from error
            if isinstance(error, tuple(self.retryable_exceptions)):
                raise self.failed(MaybeApplied, error, command) from error
            raise
        finally:
            self._attempt.refusal = None  # it would keep alive what its frames hold
            self.leave()

    def _function(self, command: Command) -> Callable[..., Any]:
        first, *rest = command.name.split(".")
        target: Any = self if self._is_own(first) else self._connected()
        for piece in (first, *rest):
            target = getattr(target, piece)
        function: Callable[..., Any] = target
        return function

    def _is_own(self, name: str) -> bool:
        """A method that a subclass adds is a command too, before the client's of the same name."""
        return hasattr(type(self), name) and not hasattr(BaseEngine, name)

    def probe(self) -> None:
        """Find out whether the host is up: by default connect to it anew.

        Raises:
            Exception: It is not.
        """
        self.close()
        self._connected()

    def flush(self) -> None:
        """Delete all data of the host, where ``supports_flush`` says that this is known."""
        raise NotImplementedError(f"{type(self).__name__} has to define flush()")

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare some commands; many go through ``get_pipeline()`` if there is one, else one after the other."""
        pipelined = self.supports_pipelines and len(commands) > 1
        return PipelineBatch(self, commands) if pipelined else SerialBatch(self, commands)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self._connector == threading.get_ident():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        client = self._connected()
        return client if name == "connection" else getattr(client, name)  # its property raised AttributeError
