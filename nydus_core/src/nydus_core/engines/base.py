"""The part that all our engines share, blocking or asynchronous: everything that needs no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

from nydus_core.addresses import UnreadableUrl, read_url
from nydus_core.command import Command, Dispatch, Scope, key_bytes, mark_answer
from nydus_core.engines.protocol import AnyEngine, SurfaceFactory
from nydus_core.engines.surface import PlainSurface
from nydus_core.errors import HostError, host_error, is_own_want
from nydus_core.redaction import Redactor, options_of

__all__ = ["EngineBase", "mark_if_answer", "name_of", "place_of"]


class EngineBase:
    """The common part of blocking and asynchronous engines: everything that needs no I/O.

    Parameters:
        num: The key of the host in the settings.
        options: The options of the host.
    """

    #: Whether this class is the side for asyncio.
    is_async: ClassVar[bool] = False
    #: The engine for the same hosts with asyncio, a class or its dotted path, for ``create_async_cluster``. Not
    #: inherited: a subclass differs from its parent, so the parent's other side does not fit.
    async_side: ClassVar[type[Any] | str | None] = None
    #: Of an engine for asyncio, the engine for the same hosts with blocking calls, for ``create_cluster``.
    #: Not inherited.
    sync_side: ClassVar[type[Any] | str | None] = None
    #: The exceptions by which ``connect`` or a command says that the host failed, rather than answered. Any
    #: other exception of a command is taken for the server's answer.
    retryable_exceptions: ClassVar[Collection[type[Exception]]] = ()
    #: The exceptions that are a server's answer. None: every exception of a command is, but for those that say that the host
    #: failed. Asked where an exception does not tell by its class what has become of the command: see ``outcome_of``.
    answer_errors: ClassVar[tuple[type[Exception], ...] | None] = None
    #: The class that all errors of the client library have in common, such as ``redis.RedisError``; None if there is none. A
    #: ``RoutingError`` of a cluster of this engine is an instance of it, too.
    client_error: ClassVar[type[Exception] | None] = None
    #: Whether ``batch(transaction=True)`` is applied whole or not at all.
    supports_transactions: ClassVar[bool] = False
    #: Whether ``flush()`` deletes all data of the host.
    supports_flush: ClassVar[bool] = False
    #: Methods of the same class in nydus 0.11 that nobody calls any more. A subclass that defines one is refused.
    uncalled: ClassVar[Mapping[str, str]] = {}
    #: The schemes of URLs that may stand for a host's options.
    url_schemes: ClassVar[tuple[str, ...]] = ()
    #: Options of the client library that are refused, each with the reason.
    refused_options: ClassVar[Mapping[str, str]] = {}
    #: Whether ``hosts`` may be a number: that many hosts with the default options.
    countable: ClassVar[bool] = False

    #: Takes the secrets of the host out of errors. Made before the constructor runs, of all arguments whose names look
    #: secret; a subclass that learns of others tells it.
    redactor: Redactor

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Make an engine that knows its secrets, whatever the constructor of a subclass does with them."""
        engine = super().__new__(cls)
        engine.redactor = Redactor(options_of(cls, args, options))
        return engine

    def __init__(self, num: Any, **options: Any) -> None:
        self.num = num
        self.options = options

    @property
    def identifier(self) -> str:
        """A stable text that names the host's address, by default its key. Never holds a password."""
        return str(self.num)

    @classmethod
    def describe(cls, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Command:
        """Make the command of a call.

        Parameters:
            name: The name that was called, dotted for an attribute of an attribute: ``'a.b'``.
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
        """Return the factory of surfaces. By default, any attribute of a surface is a command.

        Parameters:
            options: The options of each host.
        """
        return lambda dispatch: PlainSurface(dispatch, cls.describe)

    @classmethod
    def option_types(cls) -> Mapping[str, Any] | None:
        """Return the options of a host by name, each with its type or tuple of types, or None for any type.

        By default, the arguments of the constructor. If the constructor takes any argument, None.
        """
        parameters = list(inspect.signature(cls).parameters.values())[1:]
        if any(
            parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) for parameter in parameters
        ):
            return None
        return {parameter.name: None for parameter in parameters}

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Return the options that a URL stands for: by default ``host``, ``port``, ``username``, ``password`` and the query.

        The values of the query may be text. The settings convert them, as far as the types of the options are known.

        Raises:
            UnreadableUrl: The URL makes no sense. The error shows no part of it.
        """
        if not cls.url_schemes:
            raise UnreadableUrl(f"{cls.__name__} takes no URLs")
        parts = read_url(url)
        if parts.path.strip("/"):
            raise UnreadableUrl("a path behind the host means nothing to this engine")
        found = {
            "host": parts.host or None,
            "port": parts.port,
            "username": parts.username,
            "password": parts.password,
        }
        return parts.with_query(found, dict(parts.query))

    def client(self, make_surface: SurfaceFactory, dispatch: Dispatch) -> Any:
        """Return an object on which every command goes to this host: by default a surface of the cluster's kind.

        Parameters:
            make_surface: Makes the cluster's surfaces.
            dispatch: Delivers a command to this host.
        """
        return make_surface(dispatch)

    def failed(self, kind: type[HostError], cause: BaseException, command: Command) -> HostError:
        """Make the error for a command that this host could not do.

        Parameters:
            kind: ``HostDown`` (not sent) or ``MaybeApplied``.
            cause: The exception of the client.
            command: The command.
        """
        self.redactor.clean(cause)
        return host_error(kind, cause, host=place_of(self), command=repr(command))

    def unavailable(self, why: str) -> Exception:
        """Make the client's error for a host that cannot be reached."""
        return ConnectionError(why)

    def late(self, why: str) -> Exception:
        """Make the client's error for an answer that did not come in time."""
        return TimeoutError(why)

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether an exception of the client counts against the host.

        By default all do, except a shortage of this process or machine, such as of memory or of ports.
        """
        return not is_own_want(cause)

    def is_denied(self, cause: BaseException) -> bool:
        """Tell whether the reason why a command was not sent is that the server is up and refuses this client.

        A wrong password is such a reason. It will be the same next time, so the command is not tried again. And no other
        host stands in, because the data of the host are there. By default no reason is.
        """
        return False

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether a command may be tried again after this error answer: by default never."""
        return False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.num!r} at {self.redactor.address(self.identifier)}>"


# Functions, and no attributes: an engine of a third party may have attributes of any name.


def name_of(engine: EngineBase | AnyEngine) -> str:
    """Return the name of a host: its key in the settings, as text."""
    return str(engine.num)


def mark_if_answer(engine: EngineBase | AnyEngine, error: Exception) -> None:
    """Note that an error that an engine has given as the end of a command is the server's answer, if so, for ``outcome_of``."""
    kinds = getattr(type(engine), "answer_errors", None)
    if kinds is None or isinstance(error, kinds):
        mark_answer(error)


def place_of(engine: EngineBase) -> str:
    """Return the name and the address of a host, as errors name it: without secrets."""
    return f"{engine.num!r} ({engine.redactor.address(engine.identifier)})"
