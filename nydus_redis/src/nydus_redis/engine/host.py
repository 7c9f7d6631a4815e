"""A host of Redis, Valkey or anything else that speaks their protocol: what needs no I/O, for both sides of the engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

import redis

from nydus_core.command import Command
from nydus_core.engines import EngineBase
from nydus_core.errors import is_own_want
from nydus_redis import options as host_options
from nydus_redis.commands import UnreadableReply
from nydus_redis.connection import says_later

__all__ = ["RedisHost"]

#: What redis-py's two kinds of pools say when all connections are in use, and so do ours.
_ALL_IN_USE = ("Too many connections", "No connection available")


class RedisHost(EngineBase):
    """What is known of a host without asking it: its options and address, and which errors mean what.

    A subclass makes a client of redis-py of the options, in ``_prepare``.
    """

    retryable_exceptions: ClassVar[Collection[type[Exception]]] = (redis.ConnectionError, redis.TimeoutError)
    supports_transactions: ClassVar[bool] = True
    supports_flush: ClassVar[bool] = True
    url_schemes: ClassVar[tuple[str, ...]] = ("redis", "rediss", "unix")

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
        settled = self._prepare({**addressed, "timeout": timeout, "password": password, **options})
        self.timeout: float | None = settled.get("socket_timeout")
        self.host, self.port = settled.get("host", host), settled.get("port", port)
        self.db, self.unix_socket_path = settled.get("db", db), settled.get("path")
        #: Whether replies are decoded: then one may be impossible to decode.
        self.decodes = bool(settled.get("decode_responses"))

    def _prepare(self, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """Take the options of the host; return what redis-py calls its connections with."""
        raise NotImplementedError

    @property
    def identifier(self) -> str:
        """The option of that name, else its address: ``redis://host:port/db``. Never holds a password."""
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
        """Tell whether a failure speaks against the host: not if all connections are in use, or an answer is strange."""
        if isinstance(cause, UnreadableReply | UnicodeDecodeError):
            return False
        return not (str(cause).startswith(_ALL_IN_USE) or is_own_want(cause))

    def is_passing(self, answer: Exception, command: Command) -> bool:
        """Tell whether the server said "later": it loads its data, runs a script, or has no master just now.

        A script may have written before it answers so with words of its own: what it answers is final.
        """
        return says_later(answer) and not command.name.startswith(("EVAL", "FCALL"))
