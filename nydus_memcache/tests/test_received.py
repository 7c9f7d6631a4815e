"""Answers that come in pieces, read without waiting: wherever they are cut, they mean the same, and are read once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from pymemcache.exceptions import MemcacheClientError, MemcacheServerError, MemcacheUnexpectedCloseError

from nydus_memcache.commands.command import MemcacheCommand
from nydus_memcache.connection.received_aio import NeedMore, Received
from nydus_memcache.options import wire
from nydus_memcache.surface.blocking import Surface

pytestmark = pytest.mark.slow_env  # nothing of this is pymemcache's

Call = Callable[[Surface], Any]


def command_of(call: Call) -> MemcacheCommand:
    found: list[MemcacheCommand] = []
    call(Surface(found.append, wire([{}])))  # type: ignore[arg-type]
    return found[0]


def read(command: MemcacheCommand, pieces: Iterable[bytes], received: Received | None = None) -> Any:
    """What the command reads from pieces that come one after the other."""
    received = received or Received()
    for piece in pieces:
        if received.add(piece):
            try:
                answer = command.read(received)
            except NeedMore:
                continue
            received.answered()
            return answer
    raise EOFError


ITEM = b"VALUE k 0 16\r\na\r\nEND\r\nVALUE b \r\n"

#: Calls, and what is answered to them.
ANSWERS: list[tuple[Call, bytes]] = [
    (lambda c: c.get("k"), ITEM + b"END\r\n"),
    (lambda c: c.get("k"), b"VALUE k 0 0\r\n\r\nEND\r\n"),
    (lambda c: c.get("k"), b"SERVER_ERROR out of memory\r\n"),
    (lambda c: c.get_many(["k", "l"]), ITEM + b"VALUE l 16 5\r\nEND\r\n\r\nEND\r\n"),
    (lambda c: c.get_many(["k", "l"]), ITEM + b"SERVER_ERROR out of memory writing get response\r\n"),
    (lambda c: c.gets("k"), b"VALUE k 0 2 17\r\n\r\n\r\nEND\r\n"),
    (lambda c: c.set("k", b"v"), b"STORED\r\n"),
    (lambda c: c.set_many({"a": 1, "b": 2, "c": 3}), b"STORED\r\nNOT_STORED\r\nSERVER_ERROR full\r\n"),
    (lambda c: c.incr("k"), b"17\r\n"),
    (lambda c: c.stats(), b"STAT a 1\r\nSTAT b 2.5\r\nEND\r\n"),
    (lambda c: c.raw_command("mg k v", "END\r\n"), b"VA 2\r\nE\r\nEND\r\n"),
    (lambda c: c.shutdown(), b"CLIENT_ERROR no\r\n"),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_an_answer_may_be_cut_anywhere(number: int) -> None:
    call, stream = ANSWERS[number]
    command = command_of(call)
    whole = repr(read(command, [stream]))
    assert repr(read(command, [stream[at : at + 1] for at in range(len(stream))])) == whole
    for first in range(1, len(stream)):
        assert repr(read(command, [stream[:first], stream[first:]])) == whole
        for second in range(first + 1, min(first + 20, len(stream))):
            assert repr(read(command, [stream[:first], stream[first:second], stream[second:]])) == whole


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_an_answer_that_is_not_all_there_is_none(number: int) -> None:
    call, stream = ANSWERS[number]
    for end in range(len(stream)):
        with pytest.raises(EOFError):
            read(command_of(call), [stream[:end]])


def test_what_comes_behind_an_answer_is_left_for_the_next() -> None:
    received = Received()
    get, done = command_of(lambda c: c.get("k")), command_of(lambda c: c.set_many({"a": 1, "b": 2}))
    assert read(get, [ITEM + b"END\r\nSTORED\r\nNOT_"], received) == {b"k": b"a\r\nEND\r\nVALUE b "}
    with pytest.raises(NeedMore):
        done.read(received)
    assert not received.empty
    assert read(done, [b"STORED\r\n"], received) == [True, False]
    assert received.empty


class Counting(Received):
    """Counts the bytes that are shown to readers."""

    __slots__ = ("shown",)

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    @property
    def received(self) -> bytes:
        received = super().received
        self.shown += len(received) - self.at
        return received


@pytest.mark.parametrize("size", [1, 7, 160, 4096])
def test_a_long_answer_in_small_pieces_is_read_once(size: int) -> None:
    keys = [f"k{number}" for number in range(3000)]
    streams = {
        command_of(lambda c: c.set_many(dict.fromkeys(keys, b"v"))): b"STORED\r\n" * len(keys),
        command_of(lambda c: c.get_many(keys)): b"".join(
            b"VALUE %b 0 3\r\n\r\n!\r\n" % key.encode() for key in keys
        )
        + b"END\r\n",
    }
    for command, stream in streams.items():
        received = Counting()
        pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert len(read(command, pieces, received)) == len(keys)
        assert received.shown <= 20 * len(stream)  # a line again for each piece, no more


def test_a_large_value_is_put_together_once() -> None:
    received = Counting()
    value = b"END\r\n" * 100_000
    stream = b"VALUE k 0 %d\r\n%b\r\nEND\r\n" % (len(value), value)
    pieces = [stream[at : at + 1000] for at in range(0, len(stream), 1000)]
    assert read(command_of(lambda c: c.get("k")), pieces, received) == {b"k": value}
    assert received.shown <= 5 * len(stream)


def test_after_the_end_of_a_connection_nothing_more_is_waited_for() -> None:
    received = Received()
    received.add(b"STORED\r\nSTO")
    received.end(MemcacheUnexpectedCloseError("closed"))
    command = command_of(lambda c: c.set("k", b"v"))
    assert command.read(received) is True
    received.answered()
    with pytest.raises(MemcacheUnexpectedCloseError):
        command.read(received)


def test_a_command_that_ends_its_connection_may_be_answered_by_the_end_of_it() -> None:
    received = Received()
    command = command_of(lambda c: c.quit())
    with pytest.raises(NeedMore):
        command.read(received)
    assert not received.closed
    received.end(MemcacheUnexpectedCloseError("closed"))
    assert command.read(received) is None
    assert received.closed


def test_behind_a_line_that_was_not_understood_nothing_is_read() -> None:
    received = Received()
    received.add(b"CLIENT_ERROR bad data chunk\r\nSTORED\r\n")
    command = command_of(lambda c: c.set("k", b"v"))
    answer = command.read(received)
    received.answered()
    assert isinstance(answer, MemcacheClientError)
    assert not isinstance(answer, MemcacheServerError)
    with pytest.raises(MemcacheUnexpectedCloseError):
        command.read(received)
