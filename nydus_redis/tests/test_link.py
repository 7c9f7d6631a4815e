"""The short way to replies: what comes in pieces, pushes, errors that end a connection, and replies that cannot be decoded."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from redis.exceptions import BusyLoadingError, InvalidResponse, ResponseError
from redis.utils import HIREDIS_AVAILABLE

from nydus_redis.connection.link import Link

pytestmark = pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis there is no link")


class Linked:
    """A link, and the other end of its socket."""

    def __init__(self, **options: Any) -> None:
        import hiredis

        mine, self.server = socket.socketpair()
        mine.settimeout(5.0)
        self.sock = mine
        parser = redis.connection.DefaultParser  # only its table of errors
        reader = hiredis.Reader(
            protocolError=InvalidResponse, replyError=parser.parse_error, notEnoughData=object(), **options
        )
        self.pushes: list[Any] = []
        self.link = Link(
            mine, reader, self.pushes.append, getattr(hiredis, "PushNotification", None), bool(options)
        )

    def read(self, count: int, *, nested: bool = False) -> list[Any]:
        replies: list[Any] = []
        self.link.read(count, replies, nested=nested)
        return replies

    def close(self) -> None:
        self.sock.close()
        self.server.close()


@pytest.fixture
def linked() -> Iterator[Linked]:
    made = Linked()
    yield made
    made.close()


REPLIES = b"+OK\r\n:7\r\n$-1\r\n$3\r\na\r\n\r\n*2\r\n:1\r\n$1\r\nx\r\n-ERR no\r\n"
VALUES = [b"OK", 7, None, b"a\r\n", [1, b"x"]]


@pytest.mark.parametrize("cut", range(1, len(REPLIES)))
def test_replies_that_come_in_pieces(linked: Linked, cut: int) -> None:
    def send_the_rest(buffer: Any) -> int:
        if pieces:
            linked.server.sendall(pieces.pop())
        return receive(buffer)

    pieces = [REPLIES[cut:]]
    receive, linked.link._receive = linked.link._receive, send_the_rest
    linked.server.sendall(REPLIES[:cut])
    *values, error = linked.read(6)
    assert values == VALUES
    assert type(error) is ResponseError


def test_one_reply_after_the_other(linked: Linked) -> None:
    linked.server.sendall(REPLIES)
    assert [linked.link.one() for _ in range(5)] == VALUES
    assert isinstance(linked.link.one(), ResponseError)


@pytest.mark.parametrize("way", ["read", "one"])
def test_a_push_message_is_no_reply(linked: Linked, way: str) -> None:
    linked.server.sendall(b":1\r\n>2\r\n$4\r\npush\r\n:1\r\n:2\r\n>1\r\n$3\r\ntwo\r\n:3\r\n")
    found = linked.read(3) if way == "read" else [linked.link.one() for _ in range(3)]
    assert found == [1, 2, 3]
    assert linked.pushes == [[b"push", 1], [b"two"]]


@pytest.mark.parametrize("way", ["read", "one"])
def test_an_error_that_ends_the_connection_is_raised(linked: Linked, way: str) -> None:
    linked.server.sendall(b":1\r\n-ERR max number of clients reached\r\n")
    replies: list[Any] = []
    with pytest.raises(redis.ConnectionError, match="max number of clients reached"):
        if way == "read":
            linked.link.read(3, replies, nested=False)
        else:
            replies = [linked.link.one()]
            linked.link.one()
    assert replies == [1]


@pytest.mark.parametrize("nested", [True, False])
def test_a_server_that_is_loading_has_answered(linked: Linked, nested: bool) -> None:
    linked.server.sendall(b"-LOADING wait\r\n:2\r\n")
    first, second = linked.read(2, nested=nested)
    assert type(first) is BusyLoadingError
    assert second == 2


@pytest.mark.parametrize("nested", [True, False])
def test_an_error_of_the_connection_within_a_reply_stands_for_it_where_that_may_be(
    linked: Linked, nested: bool
) -> None:
    linked.server.sendall(b"*2\r\n-LOADING wait\r\n:2\r\n")
    (found,) = linked.read(1, nested=nested)
    assert (type(found) is BusyLoadingError) == nested
    assert nested or type(found[0]) is BusyLoadingError


def test_a_reply_that_cannot_be_decoded_is_one_reply() -> None:
    linked = Linked(encoding="utf-8", errors="strict")
    linked.server.sendall(b"$1\r\na\r\n$1\r\n\xff\r\n$1\r\nb\r\n")
    first, second, third = linked.read(3)
    assert (first, third) == ("a", "b")
    assert type(second) is UnicodeDecodeError
    linked.close()


@pytest.mark.parametrize(("sent", "known"), [(b"", []), (b":1\r\n", [1]), (b":1\r\n:2", [1])])
def test_what_came_before_the_end_is_kept(linked: Linked, sent: bytes, known: list[Any]) -> None:
    linked.server.sendall(sent)
    linked.server.close()
    replies: list[Any] = []
    with pytest.raises(redis.ConnectionError, match="closed by server"):
        linked.link.read(3, replies, nested=False)
    assert replies == known


def test_nonsense_is_an_error(linked: Linked) -> None:
    linked.server.sendall(b":1\r\n?\r\n")
    replies: list[Any] = []
    with pytest.raises(InvalidResponse):
        linked.link.read(2, replies, nested=False)
    assert replies == [1]


def test_a_look_tells_of_bytes_and_of_the_end(linked: Linked) -> None:
    assert not linked.link.has_bytes(None)
    linked.server.sendall(b":1\r\n")
    assert linked.link.has_bytes(None)
    assert linked.link.one() == 1
    assert not linked.link.has_bytes(None)
    linked.server.close()
    assert linked.link.has_bytes(None)


def test_a_request_that_cannot_be_sent_is_an_error_of_redis_py(linked: Linked) -> None:
    linked.server.close()
    with pytest.raises(redis.ConnectionError, match=r"writing to socket|closed by server"):
        for _ in range(3):
            linked.link.ask(b"x" * 100)
