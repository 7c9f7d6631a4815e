"""The engine to start from, for third parties and for engines written for nydus 0.11. Our own engines do not use it.

``connect()`` and ``disconnect()`` are enough for a working engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, ClassVar

from nydus_core.command import Command
from nydus_core.engines.base import EngineBase
from nydus_core.engines.batches import SerialBatch
from nydus_core.engines.legacy import BasePipeline, PipelineBatch
from nydus_core.engines.protocol import Batch
from nydus_core.errors import HostDown, MaybeApplied, ReentrantCall
from nydus_core.threads import Lock, renew_after_fork

__all__ = ["BaseEngine"]

#: The exception of connect() in the call that is under way, in this thread or greenlet.
_refusal: ContextVar[BaseException | None] = ContextVar("nydus_refusal", default=None)


class _Client:
    """The client of an engine, who uses it, and who makes it. A child process makes a client of its own.

    Parameters:
        survives_fork: Whether a child process goes on with the client.
    """

    def __init__(self, survives_fork: bool) -> None:
        self.made: Any = None
        self.making = Lock("this thread is connecting to the host")
        self.maker: int | None = None
        self.retired = False
        self._survives_fork = survives_fork
        self._of_parents: list[Any] = []
        self._counting = threading.RLock()
        self._users = 0
        renew_after_fork(self)

    def after_fork(self) -> None:
        """Forget the client, and all threads, in a child process. The client is kept from being closed for the parent."""
        self._counting = threading.RLock()
        self._users, self.maker = 0, None
        if not self._survives_fork and self.made is not None:
            self._of_parents.append(self.made)
            self.made = None

    def count(self, change: int) -> bool:
        """Note that users come or go; return whether nobody uses a retired client any more."""
        with self._counting:  # a finalizer may come in between, and be counted in full
            self._users = max(0, self._users + change)  # a fork leaves calls behind that end in the child
            return self.retired and not self._users


class BaseEngine(EngineBase):
    """An engine to start from. Also known as ``BaseConnection``, its name in nydus 0.11.

    A subclass defines ``connect()``, which returns a client, and ``disconnect()``. Then every attribute of the
    client is a command, dotted names too. The key of a command is the argument ``key``, or else the first argument::

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
    #: Whether a child process goes on with the client, as it may where the data are in memory. Else it connects anew: two
    #: processes on one socket would get each other's answers.
    survives_fork: ClassVar[bool] = False

    def __init__(self, num: Any, **options: Any) -> None:
        super().__init__(num, **options)
        self._nydus = _Client(self.survives_fork)

    @property
    def _connection(self) -> Any:
        """The client, if there is one; else None."""
        return self._nydus.made

    @_connection.setter
    def _connection(self, client: Any) -> None:
        self._nydus.made = client

    # For a subclass to define ------------------------------------------------------------------------------------

    def connect(self) -> Any:
        """Return a client that is connected to the host."""
        raise NotImplementedError(f"{type(self).__name__} has to define connect()")

    def disconnect(self) -> None:
        """Close ``self.connection``."""
        raise NotImplementedError(f"{type(self).__name__} has to define disconnect()")

    def get_pipeline(self) -> BasePipeline:
        """Return a new pipeline. Called only if ``supports_pipelines`` is true."""
        raise NotImplementedError(f"{type(self).__name__} has to define get_pipeline()")

    # Called by the core -------------------------------------------------------------------------------------------

    @property
    def connection(self) -> Any:
        """The client, connected once, at first use, however many threads ask."""
        return self._connected()

    def _connected(self) -> Any:
        own = self._nydus
        if own.made is not None:
            return own.made
        try:
            with own.making.alone():
                if own.made is None:
                    own.maker = threading.get_ident()
                    try:
                        own.made = self.connect()
                    except Exception as error:
                        _refusal.set(self.redactor.clean(error))
                        raise
                    finally:
                        own.maker = None
                return own.made
        except ReentrantCall as error:
            _refusal.set(error)
            raise

    def close(self) -> None:
        """Disconnect, if connected. A later command connects again."""
        try:
            if self._connection is not None:
                self.disconnect()
        except Exception as error:
            self.redactor.clean(error)
            raise
        finally:
            self._connection = None

    def retire(self) -> None:
        """Disconnect as soon as no call uses the client."""
        self._nydus.retired = True
        self.leave(0)

    def enter(self) -> None:
        """Note that a call is about to use the connection."""
        self._nydus.count(1)

    def leave(self, count: int = 1) -> None:
        """Note that ``count`` calls no longer use the connection. After ``retire()`` the last call disconnects."""
        if self._nydus.count(-count):
            self.close()

    def call(self, command: Command) -> Any:
        """Do one command through the client. See ``Engine.call``."""
        _refusal.set(None)
        self.enter()
        try:
            return self._function(command)(*command.args, **command.kwargs)
        except Exception as error:
            if error is _refusal.get():
                raise self.failed(HostDown, error, command) from error
            if isinstance(error, tuple(self.retryable_exceptions)):
                raise self.failed(MaybeApplied, error, command) from error
            raise
        finally:
            _refusal.set(None)  # an exception keeps its frames alive
            self.leave()

    def _function(self, command: Command) -> Callable[..., Any]:
        first, *rest = command.name.split(".")
        target: Any = self if self._is_own(first) else self._connected()
        for piece in (first, *rest):
            target = getattr(target, piece)
        function: Callable[..., Any] = target
        return function

    def _is_own(self, name: str) -> bool:
        """Tell whether a subclass adds a method of this name: a command that goes before the client's."""
        return hasattr(type(self), name) and not hasattr(BaseEngine, name)

    def probe(self) -> None:
        """Find out whether the host is up: by default connect to it anew.

        Raises:
            Exception: The host is not up.
        """
        self.close()
        self._connected()

    def flush(self) -> None:
        """Delete all data of the host. Called only if ``supports_flush`` is true."""
        raise NotImplementedError(f"{type(self).__name__} has to define flush()")

    def batch(self, commands: Sequence[Command], *, transaction: bool = False) -> Batch:
        """Prepare commands: several go through a pipeline if the engine has pipelines, else one after the other."""
        pipelined = self.supports_pipelines and len(commands) > 1
        return PipelineBatch(self, commands) if pipelined else SerialBatch(self, commands)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or self._nydus.maker == threading.get_ident():
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        client = self._connected()
        return client if name == "connection" else getattr(client, name)  # the property raised AttributeError
