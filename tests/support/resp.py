"""What a stream of Redis replies says, read strictly: the judge of the fuzz tests. It shares no code with any client."""

from __future__ import annotations

import enum
import re
from typing import Any

__all__ = ["End", "Said", "ServerSaid", "understand"]

_INTEGER = re.compile(rb"-?(?:0|[1-9][0-9]{0,17})")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,9}")
_DOUBLE = re.compile(rb"-?[0-9]+(?:\.[0-9]+)?")
_BIG = re.compile(rb"-?(?:0|[1-9][0-9]{0,99})")
_TYPES = b"+-:$*_,#!=%~>(|"


class End(enum.Enum):
    """Why a stream could not be read further."""

    #: It ended with a reply: all of it makes sense.
    WHOLE = "whole"
    #: It ended within one.
    CUT = "cut"
    #: Against the protocol, in a way that one client or the other takes for something.
    DOUBTFUL = "doubtful"
    #: No reply begins so.
    NONSENSE = "nonsense"


class ServerSaid(Exception):
    """An error that the server answered."""


class _Stop(Exception):
    def __init__(self, end: End) -> None:
        super().__init__(end)
        self.end = end


class Said:
    """What a stream says.

    Attributes:
        replies: The replies of the protocol, in order, without push messages. Errors are ``ServerSaid``.
        end: Why there are no more.
    """

    def __init__(self, replies: list[Any], end: End) -> None:
        self.replies = replies
        self.end = end


def understand(stream: bytes, protocol: int) -> Said:
    """Read a stream of replies."""
    reader = _Reader(stream, protocol == 3)
    replies: list[Any] = []
    try:
        while reader.at < len(stream):
            reply = reader.reply(top=True)
            if reply is not _PUSH:
                replies.append(reply)
    except _Stop as stop:
        return Said(replies, stop.end)
    return Said(replies, End.WHOLE)


_PUSH = object()


class _Reader:
    def __init__(self, stream: bytes, resp3: bool) -> None:
        self.stream = stream
        self.resp3 = resp3
        self.at = 0

    def reply(self, depth: int = 0, *, top: bool = False) -> Any:
        if self.at < len(self.stream) and self.stream[self.at] not in _TYPES:
            raise _Stop(End.NONSENSE if top else End.DOUBTFUL)
        kind, line = self._line()
        if depth > 6:
            raise _Stop(End.DOUBTFUL)
        if kind == b"+":
            return line
        if kind == b"-":
            return ServerSaid(line.decode(errors="replace"))
        if kind == b":":
            return int(self._like(_INTEGER, line))
        if kind == b"$":
            return None if line == b"-1" and not self.resp3 else self._bulk(line)
        if kind == b"*":
            return None if line == b"-1" and not self.resp3 else self._several(line, 1, depth)
        if not self.resp3:
            raise _Stop(End.DOUBTFUL)
        return self._of_resp3(kind, line, depth, top)

    def _of_resp3(self, kind: bytes, line: bytes, depth: int, top: bool) -> Any:
        if kind == b"_":
            self._like(re.compile(b""), line)
            return None
        if kind == b"#":
            return self._like(re.compile(rb"[tf]"), line) == b"t"
        if kind == b",":
            return float(self._like(_DOUBLE, line))
        if kind == b"%":
            flat = self._several(line, 2, depth)
            if any(isinstance(key, (list, dict, ServerSaid)) for key in flat[::2]):
                raise _Stop(End.DOUBTFUL)
            return dict(zip(flat[::2], flat[1::2], strict=True))
        if kind == b"~":
            return self._several(line, 1, depth)
        if kind == b">" and top:
            message = self._several(line, 1, depth)
            if not message or not isinstance(message[0], bytes) or not message[0].isascii():
                raise _Stop(End.DOUBTFUL)
            return _PUSH
        raise _Stop(End.DOUBTFUL)

    def _line(self) -> tuple[bytes, bytes]:
        end = self.stream.find(b"\r\n", self.at)
        rest = self.stream[self.at : end if end >= 0 else None]
        # A client may take a lone one of the two for the end of the line, or for a part of it
        if b"\n" in rest or b"\r" in rest[:-1] or (end >= 0 and b"\r" in rest):
            raise _Stop(End.DOUBTFUL)
        if end < 0:
            raise _Stop(End.CUT)
        self.at = end + 2
        return rest[:1], rest[1:]

    def _bulk(self, line: bytes) -> bytes:
        size = int(self._like(_LENGTH, line))
        end = self.at + size
        if self.stream[end : end + 2] != b"\r\n":
            raise _Stop(End.CUT if len(self.stream) < end + 2 else End.DOUBTFUL)
        start, self.at = self.at, end + 2
        return self.stream[start:end]

    def _several(self, line: bytes, times: int, depth: int) -> list[Any]:
        count = int(self._like(_LENGTH, line))
        return [self.reply(depth + 1) for _ in range(count * times)]

    @staticmethod
    def _like(pattern: re.Pattern[bytes], line: bytes) -> bytes:
        if pattern.fullmatch(line) is None:
            raise _Stop(End.DOUBTFUL)
        return line
