"""The base of both sides of the engine: a host of Redis, Valkey or a like server, as far as no I/O is needed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import redis
from redis.exceptions import ExecAbortError

from nydus_core.command import Command, Outcome, tell_outcome
from nydus_core.engines import EngineBase
from nydus_core.errors import HostDown, HostError, MaybeApplied, is_own_want
from nydus_redis import options as host_options
from nydus_redis.commands import UnreadableReply
from nydus_redis.connection import ANSWERS, says_full, says_later

__all__ = ["RedisHost"]

tell_outcome(Outcome.SERVER_ERROR, *ANSWERS, redis.WatchError)
tell_outcome(Outcome.NOT_SENT, redis.DataError)

#: The errors of redis-py's pools, and of ours, when all connections are in use, begin with these words.
_ALL_IN_USE = ("Too many connections", "No connection available")


#: Bytes. A server may close the connection in the middle of a larger request, because it takes no such value.
_LARGE = 65536


class CutOff(redis.ConnectionError):
    """The server closed the connection while it was sent a large request. That does not speak against the host."""


#: A server that does not know a greeting repeats the first words of it, passwords among them, up to some length.
_GREETING = re.compile(
    "(unknown command ['`](?:hello|auth)['`]), with args beginning with:.*", re.IGNORECASE | re.DOTALL
)


class RedisHost(EngineBase):
    """The options and the address of a host, and the meaning of its errors.

    A subclass makes a client of redis-py from the options, in ``_prepare``.
    """

    retryable_exceptions: ClassVar[Collection[type[Exception]]] = (redis.ConnectionError, redis.TimeoutError)
    answer_errors: ClassVar[tuple[type[Exception], ...] | None] = ANSWERS
    client_error: ClassVar[type[Exception] | None] = redis.RedisError
    supports_transactions: ClassVar[bool] = True
    supports_flush: ClassVar[bool] = True
    url_schemes: ClassVar[tuple[str, ...]] = ("redis", "rediss", "valkey", "valkeys", "unix")
    refused_options: ClassVar[Mapping[str, str]] = host_options.REFUSED
    uncalled: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("connect", "disconnect", "get_pipeline"),
        "give the options of the host instead, such as connection_pool; or start from BaseEngine, which has these methods as "
        "in nydus 0.11",
    )

    def __init__(
        self,
        num: Any,
        host: str = "localhost",
        port: int = 6379,
        db: int = 0,
        timeout: float | None = host_options.TIMEOUT,
        password: str | None = None,
        unix_socket_path: str | None = None,
        identifier: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(num)
        addressed = {"host": host, "port": port, "db": db, "unix_socket_path": unix_socket_path}
        self._identifier = identifier
        self._wire_options = options
        self.redactor.cut(_GREETING)
        connection = self._prepare({**addressed, "timeout": timeout, "password": password, **options})
        self.redactor.know(connection)
        self.timeout: float | None = connection.get("socket_timeout")
        self.host, self.port = connection.get("host", host), connection.get("port", port)
        self.db, self.unix_socket_path = connection.get("db", db), connection.get("path")
        #: Whether replies are decoded. Then some reply may be impossible to decode.
        self.decodes = bool(connection.get("decode_responses"))

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the options of the host; return the options of redis-py's connections."""
        raise NotImplementedError

    @property
    def identifier(self) -> str:
        """The option ``identifier``, else the address: ``redis://host:port/db``. It never holds a password."""
        if self._identifier is not None:
            return self._identifier
        if self.unix_socket_path is not None:
            return f"unix://{self.unix_socket_path}?db={self.db}"
        return f"redis://{self.host}:{self.port}/{self.db}"

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        """Return every option, with the types that it takes."""
        return host_options.OPTION_TYPES

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        """Return the options that a URL stands for."""
        return host_options.from_url(url)

    def unavailable(self, why: str) -> Exception:
        """Make redis-py's error for a host that cannot be reached."""
        return redis.ConnectionError(why)

    def late(self, why: str) -> Exception:
        """Make redis-py's error for an answer that did not come in time."""
        return redis.TimeoutError(why)

    def is_outage(self, cause: BaseException) -> bool:
        """Tell whether a failure counts against the host.

        These do not count: an answer that cannot be parsed, a connection that was closed during a large request, a pool
        without a free connection, and a greeting that the server refuses.
        """
        if isinstance(cause, UnreadableReply | UnicodeDecodeError | CutOff) or self.is_denied(cause):
            return False
        return not (str(cause).startswith(_ALL_IN_USE) or is_own_want(cause))

    def kind_of(self, cause: Exception) -> type[HostError]:
        """Return the outcome of a command that got no answer: maybe applied, unless the server has read nothing."""
        return HostDown if says_full(cause) else MaybeApplied

    def cause_of(self, cause: Exception, size: int) -> Exception:
        """Return the cause of a failure: ``CutOff`` if the server may have closed the connection because of the request.

        Parameters:
            cause: The error of the connection.
            size: The bytes of the request.
        """
        if size <= _LARGE or not isinstance(cause, redis.ConnectionError) or says_full(cause):
            return cause
        cut_off = CutOff(
            f"{cause} The request has {size} bytes: a value may be larger than the server takes (proto-max-bulk-len)"
        )
        cut_off.__cause__ = cause
        return cut_off

    def is_denied(self, cause: BaseException) -> bool:
        """Tell whether the server has refused the greeting: the user, the password, the database or the protocol."""
        return isinstance(cause, ANSWERS) and not says_later(cause)

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether an answer means "later": the server loads its data, runs a script, or has no master just now.

        An answer of a script is final: the script may have written before it used the same words. A transaction that was
        aborted has run no script.
        """
        is_script = command.name.startswith(("EVAL", "FCALL")) and not isinstance(answer, ExecAbortError)
        return says_later(answer) and not is_script
