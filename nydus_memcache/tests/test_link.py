"""Reading from a connection: whatever the pieces that it arrives in, the lines and values are the same."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pymemcache.exceptions import MemcacheUnexpectedCloseError

from nydus_memcache.commands import read_items
from nydus_memcache.connection.link import Link

pytestmark = pytest.mark.slow_env  # nothing of this is pymemcache's


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    """A connection, and its other end."""
    near, far = socket.socketpair()
    link = Link(near, 5)
    yield link, far
    link.close()
    far.close()


ANSWERS = b"STORED\r\n" + b"VALUE k 0 6\r\na\r\nb\r\r\r\n" + b"END\r\n" + b"\r\n"


def read_all(link: Link) -> list[Any]:
    return [link.line(), read_items(link, b"get", [b"k"]), link.line()]


@pytest.mark.parametrize("seed", range(20))
def test_pieces_do_not_matter(
    ends: tuple[Link, socket.socket], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    link, far = ends
    choose = random.Random(seed)
    receive = link._receive
    monkeypatch.setattr(link, "_receive", lambda size: receive(choose.randint(1, 4)))
    far.sendall(ANSWERS)
    assert read_all(link) == [b"STORED", {b"k": b"a\r\nb\r\r"}, b""]
    assert link.is_at_rest()


def test_a_connection_with_something_left_to_read_is_not_at_rest(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    far.sendall(b"STORED\r\nSTORED\r\n")
    link.line()
    assert not link.is_at_rest()
    link.line()
    assert link.is_at_rest()


def test_a_connection_is_fresh_until_the_other_end_speaks_or_closes(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    assert link.is_fresh()
    far.sendall(b"ERROR\r\n")
    assert not link.is_fresh()


def test_a_connection_that_was_closed_is_not_fresh(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    far.close()
    assert not link.is_fresh()
    with pytest.raises(MemcacheUnexpectedCloseError):
        link.line()


def test_sending_never_waits(ends: tuple[Link, socket.socket]) -> None:
    link, _ = ends
    request = random.Random(1).randbytes(3_000_000)
    link.send(request)
    assert 0 < link.sent < len(request)
    assert len(link.unsent) == len(request) - link.sent
    assert not link.is_at_rest()


def test_nothing_is_sent_over_a_connection_that_is_broken(ends: tuple[Link, socket.socket]) -> None:
    link, far = ends
    far.close()
    with pytest.raises(BrokenPipeError):
        link.send(b"incr k 1\r\n")
    assert link.sent == 0
