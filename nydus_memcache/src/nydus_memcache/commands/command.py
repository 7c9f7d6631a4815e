"""Commands of memcached: their base class, and all that are answered line by line. For the gets see ``fetches``.

The whole answer is read from the connection before a value is made of it. So a serde that raises leaves the connection
in order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

from pymemcache.exceptions import MemcacheClientError, MemcacheUnexpectedCloseError

from nydus_core.command import Access, Command, Scope, Word
from nydus_memcache.commands.replies import read_answer, read_stats, refusal
from nydus_memcache.commands.source import Source
from nydus_memcache.errors import Refusal, ServerFull

__all__ = ["Add", "Cas", "Key", "MemcacheCommand", "Plain", "PlainMany", "Raw", "Shutdown", "Stats"]

Key = str | bytes


class MemcacheCommand(Command):
    """A command as it goes over the wire.

    Attributes:
        silent: Whether the server sends no answer. Then the command is taken for done.
        ends_link: Whether the connection cannot be used again, not even by commands already sent.
    """

    __slots__ = ()
    silent: bool = False
    ends_link = False

    @property
    def gathers(self) -> bytes | None:
        """The verb, if neighbours with the same verb are sent as one request; None if this command is sent alone."""
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
    """A command that is answered with a line for each piece.

    Attributes:
        verb: The first word of the command.
        pieces: The bytes of the command; a command over many keys has a piece for each key.
    """

    __slots__ = ("pieces", "silent", "verb")

    def __init__(
        self,
        name: str,
        verb: bytes,
        args: tuple[Any, ...],
        keys: Sequence[bytes],
        pieces: Sequence[bytes],
        silent: bool = False,
        access: Access = Access.WRITE,
    ) -> None:
        self.name = name
        self.args = args
        self.kwargs = {}
        self.keys = keys
        self.access = access
        self.split = None
        self.scope = Scope.ALL
        self.call = None
        self.verb = verb
        self.pieces = pieces
        self.silent = silent

    @property
    def request(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def idempotent(self) -> bool:
        return self.access is Access.READ or self.verb in _IDEMPOTENT

    def read(self, source: Source) -> list[Any]:
        if self.silent:
            return [None if self.verb in _COUNTING else True] * len(self.pieces)
        answers: list[Any] = source.begun(list)
        for _ in range(len(self.pieces) - len(answers)):
            answers.append(self._read_one(source))
        return answers

    def _read_one(self, source: Source) -> Any:
        answer = read_answer(source, self.verb)
        if isinstance(answer, MemcacheClientError) and self.verb in _WITH_DATA:
            # Where a server refuses the line, it is open how it reads the bytes of the value
            source.close()
        return answer

    def value(self, answer: list[Any]) -> Any:
        (only,) = answer
        if isinstance(only, Refusal):
            raise only.about(self._blamed(only, self.pieces[0]))
        return only

    def _blamed(self, error: Refusal, piece: bytes) -> str:
        """Return the command as an error names it: with the size of the value, and the loss that memcached adds."""
        if self.verb not in _WITH_DATA:
            return repr(self)
        size = int(piece.split(b" ", 5)[4].split()[0])
        lost = ", which deletes the old value," if self.verb == b"set" and error.reason in _NO_ROOM else ""
        return f"{self!r} of {size:,} bytes{lost}"


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
_WITH_DATA = frozenset({b"set", b"add", b"replace", b"append", b"prepend", b"cas"})


class PlainMany(Plain):
    """``set_many`` and ``delete_many``: a command for each key, sent together.

    Attributes:
        given: The keys, as the user gave them.
        finish: Makes the value of the command from the keys and the answer for each key.
    """

    __slots__ = ("finish", "given")

    def __init__(
        self,
        name: str,
        verb: bytes,
        given: Sequence[Key],
        keys: Sequence[bytes],
        pieces: Sequence[bytes],
        silent: bool,
        finish: Callable[[Sequence[Key], Sequence[Any]], Any],
    ) -> None:
        super().__init__(name, verb, (given,), keys or (b"",), pieces, silent)
        self.split = _ManyPieces()
        self.given = given
        self.finish = finish

    def part(self, positions: Sequence[int]) -> PlainMany:
        """Return the same command for some of its keys."""
        given = [self.given[position] for position in positions]
        keys = [self.keys[position] for position in positions]
        pieces = [self.pieces[position] for position in positions]
        return PlainMany(self.name, self.verb, given, keys, pieces, self.silent, self.finish)

    def value(self, answer: list[Any] | None) -> Any:
        answers = answer or []
        for position, (given, each) in enumerate(zip(self.given, answers, strict=True)):
            if isinstance(each, Refusal):
                error = each.about(self.part([position])._blamed(each, self.pieces[position]))
                error.add_note(f"answered for the key {given!r}; the other keys were sent as well")
                raise error
        return self.finish(self.given, answers)


class _ManyPieces:
    """How ``set_many`` and ``delete_many`` are split over hosts, and their answers joined."""

    def cut(self, command: Command, groups: Sequence[Sequence[int]]) -> Sequence[PlainMany]:
        assert isinstance(command, PlainMany)
        return [command.part(group) for group in groups]

    def join(self, command: Command, groups: Sequence[Sequence[int]], values: Sequence[Any]) -> Any:
        return list(chain.from_iterable(values)) if isinstance(values[0], list) else all(values)


# The others ----------------------------------------------------------------------------------------------------


class Stats(Plain):
    """``stats``."""

    __slots__ = ()

    def read(self, source: Source) -> list[Any]:
        return [read_stats(source)]


class Raw(Plain):
    """Any command in the user's own bytes. The length of the answer is not known, so the connection is not used again.

    Attributes:
        end: The bytes that end the answer.
    """

    __slots__ = ("end",)
    ends_link = True

    def __init__(self, command: bytes, end: bytes, keys: Sequence[bytes]) -> None:
        super().__init__("raw_command", b"raw_command", (command,), keys, (command + b"\r\n",))
        self.scope = Scope.UNKNOWN
        self.end = end

    def read(self, source: Source) -> list[Any]:
        answer = source.line(self.end)
        source.close()
        # The rest of the command may hold a value, which no error shows
        return [
            refusal(answer, self.pieces[0].split(maxsplit=1)[0] if self.pieces[0].strip() else b"") or answer
        ]


class Shutdown(Plain):
    """``shutdown`` and ``quit``: the server answers by closing the connection, or with an error, and then it goes on."""

    __slots__ = ()
    ends_link = True

    def read(self, source: Source) -> list[Any]:
        try:
            return [read_answer(source, self.verb)]
        except ServerFull:
            raise
        except (MemcacheUnexpectedCloseError, ConnectionError):
            source.close()
            return [None]
