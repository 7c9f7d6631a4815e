"""Commands of memcached: their base class, and all that are answered by a line. See ``fetches`` for gets, ``many`` for many keys.

The whole answer is read from the connection before a value is made of it. So a serde that raises leaves the connection
in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_core.command import Access, Command, Scope, Word
from nydus_memcache.commands.replies import WITH_DATA, read_answer, read_stats, refusal
from nydus_memcache.commands.source import Source
from nydus_memcache.errors import Refusal, ServerFull

__all__ = ["Add", "Cas", "Key", "MemcacheCommand", "Plain", "Raw", "Shutdown", "Stats", "with_size"]

Key = str | bytes


class MemcacheCommand(Command):
    """A command as it goes over the wire.

    Attributes:
        silent: Whether the server sends no answer. Then the command is taken for done.
        ends_link: Whether the connection cannot be used again, not even by commands already sent.
        is_void: Whether there is nothing to send: many keys, of which there are none.
    """

    __slots__ = ()
    silent: bool = False
    ends_link = False
    is_void: bool = False

    @property
    def kwargs(self) -> dict[str, Any]:  # type: ignore[override]  # no command has any
        """The keyword arguments: none."""
        return {}

    @property
    def gathers(self) -> bytes | None:
        """The verb, if neighbours with the same verb are sent and answered together; None if this command stands alone."""
        return None

    @property
    def request(self) -> bytes:
        """The bytes of the command. Where there are none, nothing is sent and no answer comes."""
        raise NotImplementedError

    @property
    def wire_form(self) -> bytes:
        """The bytes of the command."""
        return self.request

    def read(self, source: Source) -> Any:
        """Read the answer. An error of the server is returned.

        Raises:
            Exception: No answer came, or the answer makes no sense.
        """
        raise NotImplementedError

    def value(self, answer: Any) -> Any:
        """Return the value of an answer, as pymemcache does.

        Raises:
            MemcacheError: The server answered with this error.
            Exception: The serde raised it.
        """
        raise NotImplementedError


# One line for each key -----------------------------------------------------------------------------------------


class Plain(MemcacheCommand):
    """A command that is answered with a line.

    Attributes:
        verb: The first word of the command.
        silent: Whether the server sends no answer.
    """

    __slots__ = ("_request", "silent", "verb")
    scope = Scope.ALL
    split = None

    def __init__(
        self,
        name: str,
        verb: bytes,
        args: tuple[Any, ...],
        keys: Sequence[bytes],
        request: bytes | Callable[[], bytes],
        silent: bool = False,
        access: Access = Access.WRITE,
    ) -> None:
        self.name = name
        self.args = args
        self.keys = keys
        self.access = access
        self.call = None
        self.verb = verb
        self._request = request
        self.silent = silent

    @property
    def request(self) -> bytes:
        request = self._request
        return request if isinstance(request, bytes) else request()

    @property
    def idempotent(self) -> bool:
        return self.access is Access.READ or self.verb in _IDEMPOTENT

    @property
    def gathers(self) -> bytes | None:
        return None if self.silent or self.ends_link else self.verb

    def read(self, source: Source) -> Any:
        return self.unheard if self.silent else read_answer(source, self.verb)

    @property
    def unheard(self) -> Any:
        """The value where the server sends no answer: the command is taken for done."""
        return None if self.verb in _COUNTING else True

    def value(self, answer: Any) -> Any:
        if isinstance(answer, Refusal):
            raise answer.about(self._blamed(answer))
        return answer

    def _blamed(self, error: Refusal) -> str:
        """Return the command as an error names it."""
        if self.verb not in WITH_DATA:
            return repr(self)
        return with_size(self, self.verb, error, int(self.request.split(b" ", 5)[4].split()[0]))


def with_size(command: Command, verb: bytes, error: Refusal, size: int) -> str:
    """Return a command as an error names it: with the size of the value, and the loss that memcached adds."""
    lost = ", which deletes the old value," if verb == b"set" and error.reason in _NO_ROOM else ""
    return f"{command!r} of {size:,} bytes{lost}"


class Cas(Plain):
    """``cas``.

    Attributes:
        word: The token, and the host that gave it.
    """

    __slots__ = ("word",)
    word: Word | None


class Add(Plain):
    """``add``: with it, many programs make sure that they are the first."""

    __slots__ = ()

    @property
    def bound(self) -> str:
        return "it asks to be the first, and another host would grant that again"


_IDEMPOTENT = frozenset({b"set", b"delete", b"touch", b"flush_all", b"cache_memlimit"})
_COUNTING = frozenset({b"incr", b"decr"})
#: memcached has no room for the value. It deletes the old value then, so that no stale one stays, if the command is ``set``.
_NO_ROOM = frozenset({"object too large for cache", "out of memory storing object"})


# The others ----------------------------------------------------------------------------------------------------


class Stats(Plain):
    """``stats``."""

    __slots__ = ()

    @property
    def gathers(self) -> None:
        return None

    def read(self, source: Source) -> Any:
        return read_stats(source)


class Raw(Plain):
    """Any command in the user's own bytes. The length of the answer is not known, so the connection is not used again.

    Attributes:
        end: The bytes that end the answer.
    """

    __slots__ = ("end",)
    ends_link = True
    scope = Scope.UNKNOWN

    def __init__(self, command: bytes, end: bytes, keys: Sequence[bytes]) -> None:
        super().__init__("raw_command", b"raw_command", (command,), keys, command + b"\r\n")
        self.end = end

    def read(self, source: Source) -> Any:
        answer = source.line(self.end)
        source.close()
        # The rest of the command may hold a value, which no error shows
        return refusal(answer, self.request.split(maxsplit=1)[0] if self.request.strip() else b"") or answer


class Shutdown(Plain):
    """``shutdown`` and ``quit``: the server answers by closing the connection, or with an error, and then it goes on."""

    __slots__ = ()
    ends_link = True

    def read(self, source: Source) -> Any:
        try:
            return read_answer(source, self.verb)
        except ServerFull:
            raise
        except (MemcacheUnexpectedCloseError, ConnectionError):
            source.close()
            return None
