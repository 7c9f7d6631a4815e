"""The part of the engine that needs no I/O, for the blocking side and for asyncio."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheIllegalInputError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
    MemcacheUnknownCommandError,
    MemcacheUnknownError,
)

from nydus_core.command import Outcome, tell_outcome
from nydus_core.engines import EngineBase, name_of, place_of
from nydus_memcache import options as host_options
from nydus_memcache.commands import MemcacheCommand
from nydus_memcache.connection import Address
from nydus_memcache.errors import Refusal, ServerFull

__all__ = ["MemcacheHost"]

tell_outcome(
    Outcome.SERVER_ERROR, Refusal, MemcacheServerError, MemcacheClientError, MemcacheUnknownCommandError
)
tell_outcome(Outcome.NOT_SENT, MemcacheIllegalInputError, ServerFull)
tell_outcome(Outcome.MAYBE_APPLIED, MemcacheUnexpectedCloseError)  # a subclass of MemcacheServerError


class MemcacheHost(EngineBase):
    """A memcached host without connections: options, address, and the meaning of errors.

    Attributes:
        address: Where the server listens, and how to connect to it.
    """

    retryable_exceptions: ClassVar[Collection[type[Exception]]] = (
        OSError,
        MemcacheUnexpectedCloseError,
        MemcacheUnknownError,
    )
    answer_errors: ClassVar[tuple[type[Exception], ...] | None] = (Refusal,)
    client_error: ClassVar[type[Exception] | None] = MemcacheError
    supports_flush: ClassVar[bool] = True
    uncalled: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("connect", "disconnect", "get_pipeline"),
        "give the options of the host instead; or start from BaseEngine, which has these methods as in nydus 0.11",
    )
    url_schemes: ClassVar[tuple[str, ...]] = ("memcached", "memcache")

    refused_options: ClassVar[Mapping[str, str]] = host_options.REFUSED

    def __init__(
        self,
        num: Any,
        host: str = "localhost",
        port: int = 11211,
        unix_socket_path: str | None = None,
        timeout: float | None = host_options.TIMEOUT,
        connect_timeout: float | None = None,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num, **options)
        self.host, self.port, self.unix_socket_path = host, port, unix_socket_path
        self.timeout = timeout
        self.connect_timeout = timeout if connect_timeout is None else connect_timeout
        self._identifier = identifier
        host_options.check(
            {
                **options,
                "host": host,
                "port": port,
                "unix_socket_path": unix_socket_path,
                "timeout": timeout,
                "connect_timeout": connect_timeout,
            }
        )
        self.address = Address(
            (host, port) if unix_socket_path is None else unix_socket_path,
            self.connect_timeout,
            timeout,
            options.get("no_delay", True),
            options.get("socket_keepalive"),
            options.get("tls_context"),
        )
        self._prepare()

    def _prepare(self) -> None:
        """Make the pool, or pools, from which connections are taken."""
        raise NotImplementedError(f"{type(self).__name__} has to define _prepare()")

    @property
    def identifier(self) -> str:
        """The option ``identifier``, else the address of the server: ``memcache://host:port/``."""
        if self._identifier is not None:
            return self._identifier
        if self.unix_socket_path is not None:
            return f"memcache://{self.unix_socket_path}"
        return f"memcache://{self.host}:{self.port}/"

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        """Return the types of each option."""
        return host_options.OPTION_TYPES

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Return the options that a URL stands for."""
        return host_options.from_url(url)

    def value(self, command: MemcacheCommand, answer: Any) -> Any:
        """Return the value of an answer to a command. Tokens in it know this host.

        Raises:
            Refusal: The server answered with this error, which then names the host.
            Exception: The serde raised it.
        """
        try:
            value = command.value(answer)
        except Refusal as error:
            error.host = place_of(self)
            raise
        return command.signed(value, name_of(self)) if command.gives else value

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether a failure counts against the host. An exhausted pool (``RuntimeError``) does not."""
        return not isinstance(cause, RuntimeError) and super().is_outage(cause)
