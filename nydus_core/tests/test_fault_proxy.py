"""The fault proxy: what each fault does, seen from both sides. A chaos test is only as true as these are.

The server is a real Redis, or a ``Recorder`` where single bytes count.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

import leftovers
from address import Address, Listening, address_of, ask
from fault_clients import connect, settle
from given import NewRedisServer, Proxies, RedisServers
from inner import inner_pytest
from nydus_core.testing import FaultProxy
from stopping import gone, stopped
from waiting import LONG, until

INCR = b"INCR n\r\n"
PONG = b"+PONG\r\n"
FOREVER = 3600.0  # seconds

both = pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])


def ping(target: Listening | Address) -> bytes:
    return ask(target, b"PING\r\n", b"\r\n", LONG)


def count(server: Listening) -> int:
    """How many INCRs the server has done."""
    return int(ask(server, b"INCRBY n 0\r\n", b"\r\n", LONG)[1:])


def replied(server: Listening, number: int) -> None:
    """Wait until the server has done so many INCRs, and has written its replies to them.

    A server may write the reply to ``count`` before those to earlier commands, but it writes all of them before it reads again.
    """
    until(lambda: count(server) == number)
    assert ping(server) == PONG


def alone(server: Listening) -> None:
    """Wait until the server has read all that others sent, up to the ends of their connections."""
    until(lambda: ask(server, b"INFO clients\r\n", b"\r\n\r\n", LONG).count(b"connected_clients:1\r\n") == 1)


def read(client: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size and (chunk := client.recv(size - len(answer))):
        answer += chunk
    return answer


def hears_nothing(client: socket.socket) -> bool:
    return not select.select([client], [], [], 0)[0]


def rest(client: socket.socket) -> bytes:
    """All that is still to come, up to the end: a reset is an error."""
    answer = b""
    while chunk := client.recv(65536):
        answer += chunk
    return answer


class Recorder:
    """A server that keeps what each connection sends, and whether it has ended. It answers what ``answer`` is."""

    def __init__(self, answer: bytes = b"") -> None:
        self.port, self.path = 0, ""
        self.got: list[bytearray] = []
        self.ended = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def has_ended(self, number: int) -> bool:
        """Whether so many connections have."""
        return self.ended == number

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.got.append(bytearray())
                self._threads.append(threading.Thread(target=self._read, args=(connection, self.got[-1])))
                self._threads[-1].start()

    def _read(self, connection: socket.socket, got: bytearray) -> None:
        with connection:
            while chunk := connection.recv(
                65536
            ):  # a reset would be an error in a thread, which fails the test
                got += chunk
                if self._answer:
                    connection.sendall(self._answer)
            self.ended += 1


@pytest.fixture
def recorder() -> Iterator[Callable[..., Recorder]]:
    recorders: list[Recorder] = []

    def start(answer: bytes = b"") -> Recorder:
        recorders.append(Recorder(answer))
        return recorders[-1]

    yield start
    for each in recorders:
        each.close()


@pytest.fixture
def server(redis_servers: RedisServers) -> Listening:
    return redis_servers(1)[0]


class TestWithoutFaults:
    @both
    def test_it_forwards_and_counts(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        assert ping(between) == PONG
        value = b"$1000000\r\n" + b"v" * 1_000_000 + b"\r\n"
        with connect(between) as client:
            client.sendall(b"*2\r\n$4\r\nECHO\r\n" + value)
            assert read(client, len(value)) == value
            assert between.open_connections == 1
        until(lambda: between.open_connections == 0)
        assert between.connections == 2
        assert between.requests[0] == b"PING\r\n"
        assert b"".join(between.requests[1:]) == b"*2\r\n$4\r\nECHO\r\n" + value

    def test_it_says_where_it_listens_and_to_whom_it_forwards(self, proxy: Proxies) -> None:
        unix, tcp = proxy("/nowhere.sock"), proxy(("127.0.0.1", 1), tcp=True)
        assert (unix.host, unix.port, Path(unix.path).is_socket()) == ("", 0, True)
        assert (tcp.path, tcp.host) == ("", "127.0.0.1")
        assert repr(unix) == f"<FaultProxy {unix.path} to /nowhere.sock>"
        assert repr(tcp) == f"<FaultProxy 127.0.0.1:{tcp.port} to ('127.0.0.1', 1)>"
        assert unix.target == "/nowhere.sock"

    @both
    def test_a_connection_is_counted_when_its_connect_has_returned(self, proxy: Proxies, tcp: bool) -> None:
        between = proxy("/nowhere.sock", tcp=tcp)
        with contextlib.ExitStack() as stack:
            for number in range(1, 101):
                stack.enter_context(connect(between))
                assert between.connections == number

    def test_the_next_connection_may_go_to_another_server(
        self, redis_servers: RedisServers, proxy: Proxies
    ) -> None:
        first, second = redis_servers(2)
        ask(first, b"SET name first\r\n", b"\r\n")
        ask(second, b"SET name second\r\n", b"\r\n")
        between = proxy(first)
        with connect(between) as before:
            between.target = second
            before.sendall(b"GET name\r\n")
            assert read(before, 11) == b"$5\r\nfirst\r\n"
        assert ask(between, b"GET name\r\n", b"\r\nsecond\r\n")
        assert between.target == second.path

    @both
    def test_without_its_server_it_closes_connections(self, proxy: Proxies, tcp: bool) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            between = proxy(unused.getsockname() if tcp else "/nowhere.sock", tcp=tcp)
            with connect(between) as client:
                assert rest(client) == b""

    def test_a_host_may_have_a_name(self, redis_servers: RedisServers, proxy: Proxies) -> None:
        (server,) = redis_servers(1, tcp=True)
        assert ping(proxy(("localhost", server.port))) == PONG

    def test_an_unknown_host_is_refused(self, proxy: Proxies) -> None:
        between = proxy("/nowhere.sock")
        with pytest.raises(OSError):
            proxy(("nowhere.invalid", 1))
        with pytest.raises(OSError):
            between.target = ("nowhere.invalid", 1)
        with pytest.raises(ValueError, match="found -1 seconds, expected 0 or more"):
            proxy("/nowhere.sock", delay=-1)
        assert between.target == "/nowhere.sock"

    @both
    def test_half_of_a_connection_may_end_before_the_other(
        self, server: Listening, proxy: Proxies, tcp: bool
    ) -> None:
        with connect(proxy(server, tcp=tcp, delay=0.05)) as client:
            client.sendall(INCR)
            client.shutdown(socket.SHUT_WR)
            assert rest(client) == b":1\r\n"

    def test_what_a_client_had_sent_reaches_the_server_although_it_left(
        self, server: Listening, proxy: Proxies
    ) -> None:
        between = proxy(server)
        with connect(between) as client:
            client.sendall(INCR * 50_000)  # and no reply is read
        until(lambda: count(server) == 50_000)


class TestReplies:
    @both
    def test_are_held_back(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp, delay=0.05)
        start = time.monotonic()
        assert ping(between) == PONG
        assert time.monotonic() - start >= 0.05

    def test_of_one_connection_do_not_wait_for_those_of_another(
        self, server: Listening, proxy: Proxies
    ) -> None:
        between = proxy(server, delay=FOREVER)
        with ThreadPoolExecutor(8) as threads:
            answers = [threads.submit(ask, between, INCR, b"\r\n", LONG) for _ in range(8)]
            replied(server, 8)
            assert not any(answer.done() for answer in answers)
            between.delay = 0
            assert {answer.result() for answer in answers} == {b":%d\r\n" % n for n in range(1, 9)}

    @both
    def test_are_swallowed_after_the_work_was_done(
        self, server: Listening, proxy: Proxies, tcp: bool
    ) -> None:
        between = proxy(server, tcp=tcp)
        with connect(between) as client:
            between.swallow = True
            client.sendall(INCR)
            replied(server, 1)
            settle(between)
            between.swallow = False
            client.sendall(INCR)
            assert read(client, 4) == b":2\r\n"

    @pytest.mark.parametrize("fault", ["delay", "trickle"])
    def test_that_are_held_back_or_trickle_are_swallowed_too(
        self, server: Listening, proxy: Proxies, fault: str
    ) -> None:
        between = proxy(server)
        setattr(between, fault, FOREVER)
        with connect(between) as client:
            client.sendall(INCR)
            replied(server, 1)
            settle(between)
            between.swallow = True
            setattr(between, fault, 0)
            settle(between)
            between.swallow = False
            client.sendall(INCR)
            assert read(client, 4) == b":2\r\n"

    @both
    def test_trickle(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        between.trickle = 0.01
        start = time.monotonic()
        assert ping(between) == PONG
        assert time.monotonic() - start >= 0.01 * len(PONG)

    @both
    def test_are_throttled(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        between.throttle = 100.0
        start = time.monotonic()
        assert ping(between) == PONG
        assert time.monotonic() - start >= (len(b"PING\r\n") + len(PONG)) / 100
        between.throttle = 0
        assert ping(between) == PONG

    def test_trickle_one_by_one(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        with connect(between) as client:
            between.trickle = 0.3
            client.sendall(b"PING\r\n")
            assert client.recv(100) == b"+"
            between.trickle = 0
            assert read(client, 6) == b"PONG\r\n"

    @both
    def test_are_replaced_by_garbage(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        between.garble(b"?!\r\n", times=2)
        with connect(between) as client:
            for answer in (b"?!\r\n", b"?!\r\n", b":3\r\n"):
                client.sendall(INCR)
                assert read(client, 4) == answer
        assert count(server) == 3

    def test_are_replaced_by_nothing(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        between.garble(b"")
        with connect(between) as client:
            client.sendall(INCR)
            replied(server, 1)
            settle(between)
            client.sendall(INCR)
            assert read(client, 4) == b":2\r\n"

    @both
    @pytest.mark.parametrize("after", range(5))
    def test_are_cut_after_so_many_bytes(
        self, server: Listening, proxy: Proxies, tcp: bool, after: int
    ) -> None:
        between = proxy(server, tcp=tcp)
        with connect(between) as client:
            client.sendall(b"PING\r\n")
            assert read(client, 7) == PONG
            between.cut_replies(after)
            client.sendall(INCR)
            assert rest(client) == b":1\r\n"[:after]
        assert count(server) == 1
        assert ping(between) == PONG

    @both
    def test_are_cut_in_the_middle_of_many(
        self, recorder: Callable[..., Recorder], proxy: Proxies, tcp: bool
    ) -> None:
        between = proxy(recorder(b"a" * 1_000_000), tcp=tcp)
        between.cut_replies(after=300_001)
        with connect(between) as client:
            client.sendall(b"x" * 5_000)
            assert rest(client) == b"a" * 300_001

    def test_of_several_connections_are_lost(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        between.cut_replies(times=2)
        for _ in range(2):
            with pytest.raises(ConnectionResetError, match="after b''"):
                ask(between, INCR, b"\r\n")
        assert ask(between, INCR, b"\r\n") == b":3\r\n"

    def test_each_connection_counts_its_own_bytes_from_the_call_on(
        self, server: Listening, proxy: Proxies
    ) -> None:
        between = proxy(server)
        with connect(between) as first, connect(between) as second:
            first.sendall(b"PING\r\n")
            read(first, 7)
            between.cut_replies(after=9)
            for client in (first, second):
                client.sendall(b"PING\r\n")
                assert read(client, 7) == PONG
            second.sendall(b"PING\r\n")
            assert rest(second) == b"+P"
            first.sendall(b"PING\r\n")
            assert read(first, 7) == PONG

    def test_all_that_was_forwarded_before_a_cut_is_done(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        between.cut_replies(after=1)
        with connect(between) as client, contextlib.suppress(ConnectionError):
            client.sendall(INCR * 100_000)
            rest(client)
        settle(between)
        forwarded = b"".join(between.requests)
        assert forwarded
        until(lambda: count(server) == forwarded.count(b"\r\n"))


class TestRequests:
    @both
    def test_that_are_cut_do_not_reach_the_server(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        between.cut_requests(after=5)
        with connect(between) as client:
            client.sendall(INCR)
            assert rest(client) == b""
        assert between.requests == [b"INCR "]
        assert count(server) == 0
        assert ask(between, INCR, b"\r\n") == b":1\r\n"

    @both
    @pytest.mark.parametrize("after", [0, 1, 65535, 65536, 65537, 3_000_000])
    def test_exactly_the_bytes_before_a_cut_reach_the_server_and_then_the_end(
        self, recorder: Callable[..., Recorder], proxy: Proxies, tcp: bool, after: int
    ) -> None:
        server, sent = recorder(b"unread"), random.Random(after).randbytes(4_000_000)
        between = proxy(server, tcp=tcp)
        between.cut_requests(after)
        with connect(between) as client, contextlib.suppress(ConnectionError):
            client.sendall(sent)
            rest(client)
        until(lambda: server.ended == 1)
        assert server.got == [sent[:after]]
        assert b"".join(between.requests) == sent[:after]

    def test_before_a_cut_are_done_and_not_answered(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        between.cut_requests(after=len(INCR))
        with connect(between) as client:
            client.sendall(INCR * 2)
            assert rest(client) in (b"", b":1\r\n")
        replied(server, 1)

    def test_of_several_connections_are_cut(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server)
        between.cut_requests(times=3)
        for _ in range(3):
            with connect(between) as client:
                client.sendall(INCR)
                assert rest(client) == b""
        assert ask(between, INCR, b"\r\n") == b":1\r\n"

    def test_several_orders_to_cut_add_up(self, recorder: Callable[..., Recorder], proxy: Proxies) -> None:
        server = recorder()
        between = proxy(server)
        between.cut_requests(after=6)
        between.cut_requests(after=3)
        for number in range(1, 3):
            with connect(between) as client:
                client.sendall(b"0123456789")
                assert rest(client) == b""
            until(partial(server.has_ended, number))
        assert server.got == [b"012", b"012345"]

    @pytest.mark.parametrize("arguments", [{"after": -1}, {"times": 0}])
    def test_nonsense_is_refused(self, proxy: Proxies, arguments: dict[str, int]) -> None:
        between = proxy("/nowhere.sock")
        for cut in (between.cut_requests, between.cut_replies):
            with pytest.raises(ValueError, match="expected 0 or more, and 1 or more"):
                cut(**arguments)
        with pytest.raises(ValueError, match="expected 1 or more"):
            between.garble(b"", times=0)
        with pytest.raises(ValueError, match="expected 0 or more"):
            between.trickle = -0.1
        with pytest.raises(ValueError, match=r"found -1 bytes a second, expected 0 or more"):
            between.throttle = -1


class TestBlackhole:
    @both
    def test_nothing_goes_through_until_it_is_off(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        with connect(between) as old:
            old.sendall(b"PING\r\n")
            assert read(old, 7) == PONG
            between.blackhole = True
            with connect(between) as new:
                old.sendall(INCR)
                new.sendall(INCR)
                settle(between)
                assert between.connections == 2
                assert between.requests == [b"PING\r\n"]
                assert count(server) == 0
                between.blackhole = False
                assert {read(old, 4), read(new, 4)} == {b":1\r\n", b":2\r\n"}

    def test_replies_on_their_way_are_held(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server, delay=FOREVER)
        with connect(between) as client:
            client.sendall(INCR)
            replied(server, 1)
            between.blackhole = True
            between.delay = 0
            settle(between)
            assert hears_nothing(client)
            between.blackhole = False
            assert read(client, 4) == b":1\r\n"

    def test_a_reply_that_is_held_may_still_be_replaced(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server, delay=FOREVER)
        with connect(between) as client:
            client.sendall(INCR)
            replied(server, 1)
            between.blackhole = True
            between.delay = 0
            settle(between)
            between.garble(b"?!\r\n")
            between.blackhole = False
            assert read(client, 4) == b"?!\r\n"

    def test_not_even_a_connect_reaches_the_server(
        self, recorder: Callable[..., Recorder], proxy: Proxies
    ) -> None:
        server = recorder()
        between = proxy(server)
        between.blackhole = True
        with connect(between):
            settle(between)
            with connect(server) as later:  # a server takes connections in the order in which they come
                later.sendall(b"later")
            until(lambda: b"later" in server.got)
            assert len(server.got) == 1
            between.blackhole = False
            until(lambda: len(server.got) == 2)

    @both
    def test_a_request_arrives_late_although_its_client_gave_up(
        self, server: Listening, proxy: Proxies, tcp: bool
    ) -> None:
        between = proxy(server, tcp=tcp)
        between.blackhole = True
        with connect(between) as client:
            client.sendall(INCR)
        settle(between)
        assert (count(server), between.open_connections) == (0, 1)
        between.heal()
        until(lambda: between.open_connections == 0)
        assert count(server) == 1

    @both
    def test_dropping_connections_discards_what_is_held(
        self, server: Listening, proxy: Proxies, tcp: bool
    ) -> None:
        between = proxy(server, tcp=tcp)
        between.blackhole = True
        with connect(between) as client:
            client.sendall(INCR)
            settle(between)
            client.sendall(INCR)  # which the proxy does not read any more
            between.drop()
            assert rest(client) == b""
        between.heal()
        assert ping(between) == PONG
        assert between.requests == [b"PING\r\n"]
        assert count(server) == 0

    def test_the_end_of_the_server_is_not_seen(
        self, new_redis_server: NewRedisServer, proxy: Proxies
    ) -> None:
        server = new_redis_server()
        between = proxy(server)
        with connect(between) as client:
            client.sendall(b"PING\r\n")
            read(client, 7)
            between.blackhole = True
            os.kill(server.pid, signal.SIGKILL)
            assert gone(server.pid)
            settle(between)
            assert hears_nothing(client)
            between.blackhole = False
            assert rest(client) == b""


class TestConnects:
    @both
    def test_are_refused_and_taken_again_at_the_same_address(
        self, server: Listening, proxy: Proxies, tcp: bool
    ) -> None:
        between = proxy(server, tcp=tcp)
        address = address_of(between)
        with connect(between) as client:
            between.refuse()
            between.refuse()
            with pytest.raises(ConnectionRefusedError):
                connect(between)
            assert rest(client) == b""
        between.accept()
        between.accept()
        assert address_of(between) == address
        assert ping(between) == PONG
        assert between.connections == 2

    def test_nobody_else_gets_the_port_while_they_are_refused(self, proxy: Proxies) -> None:
        between = proxy("/nowhere.sock", tcp=True)
        between.refuse()
        with socket.socket() as other, pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
            other.bind((between.host, between.port))

    def test_hang_while_open_connections_go_on(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server, tcp=True)
        with connect(between) as client:
            between.hang_connects()
            between.hang_connects()
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    connect(between, timeout=0.1)
            client.sendall(INCR)
            assert read(client, 4) == b":1\r\n"
        assert between.connections == 1

    def test_that_hung_are_answered_in_the_end(self, server: Listening, proxy: Proxies) -> None:
        between = proxy(server, tcp=True)
        between.hang_connects()
        with ThreadPoolExecutor() as threads:
            answer = threads.submit(ask, between, INCR, b"\r\n", LONG)
            time.sleep(0.1)
            assert not answer.done()
            between.accept()
            assert answer.result() == b":1\r\n"
        assert ping(between) == PONG
        assert between.connections == 2

    @pytest.mark.parametrize("first", ["refuse", "hang_connects"])
    @pytest.mark.parametrize("second", ["refuse", "hang_connects"])
    def test_one_fault_follows_the_other(
        self, server: Listening, proxy: Proxies, first: str, second: str
    ) -> None:
        between = proxy(server, tcp=True)
        getattr(between, first)()
        getattr(between, second)()
        with pytest.raises(ConnectionRefusedError if second == "refuse" else TimeoutError):
            connect(between, timeout=0.1)
        between.heal()
        assert ping(between) == PONG
        assert between.connections == 1

    def test_that_hang_need_tcp(self, proxy: Proxies) -> None:
        with pytest.raises(ValueError, match=r"hang_connects\(\) needs FaultProxy\(\.\.\., tcp=True\)"):
            proxy("/nowhere.sock").hang_connects()


class TestConnections:
    @both
    def test_are_dropped(self, server: Listening, proxy: Proxies, tcp: bool) -> None:
        between = proxy(server, tcp=tcp)
        with connect(between) as used, connect(between) as fresh:
            used.sendall(b"PING\r\n")
            assert read(used, 7) == PONG
            between.drop()
            assert (rest(used), rest(fresh)) == (b"", b"")
        assert between.open_connections == 0
        assert ping(between) == PONG

    def test_are_reset(self, recorder: Callable[..., Recorder], proxy: Proxies) -> None:
        server = recorder()
        between = proxy(server, tcp=True)
        with connect(between) as client:
            client.sendall(b"all of it")
            until(lambda: server.got == [b"all of it"])
            between.reset()
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        until(lambda: server.ended == 1)
        assert between.open_connections == 0

    def test_are_reset_over_tcp_only(self, proxy: Proxies) -> None:
        with pytest.raises(ValueError, match=r"reset\(\) needs FaultProxy\(\.\.\., tcp=True\)"):
            proxy("/nowhere.sock").reset()


@both
def test_forgotten_connections_pass_nothing_until_it_heals_and_new_ones_work(
    server: Listening, proxy: Proxies, tcp: bool
) -> None:
    between = proxy(server, tcp=tcp)
    with connect(between) as client:
        client.sendall(INCR)
        assert read(client, 4) == b":1\r\n"
        between.forget()
        client.sendall(INCR)
        assert ask(between, INCR, b"\r\n") == b":2\r\n"
        settle(between)
        assert hears_nothing(client)
        assert between.used_in_vain == 1
        between.heal()
        assert read(client, 4) == b":3\r\n"
    until(lambda: between.open_connections == 0)


@both
def test_healing_undoes_every_fault(server: Listening, proxy: Proxies, tcp: bool) -> None:
    between = proxy(server, tcp=tcp, delay=FOREVER)
    between.blackhole = between.swallow = True
    between.trickle = FOREVER
    between.throttle = 0.001
    between.cut_requests(times=9)
    between.cut_replies(times=9)
    between.garble(b"?", times=9)
    between.refuse()
    between.heal()
    assert (between.blackhole, between.swallow, between.delay, between.trickle) == (False, False, 0, 0)
    assert between.throttle == 0
    assert ask(between, INCR, b"\r\n") == b":1\r\n"


def test_healing_frees_what_a_fault_holds(server: Listening, proxy: Proxies) -> None:
    between = proxy(server, delay=FOREVER)
    with connect(between) as client:
        client.sendall(INCR)
        replied(server, 1)
        between.heal()
        assert read(client, 4) == b":1\r\n"
        between.trickle = FOREVER
        client.sendall(INCR)
        replied(server, 2)
        between.heal()
        assert read(client, 4) == b":2\r\n"


class TestClosing:
    def test_ends_its_connections_and_keeps_what_it_counted(self, server: Listening) -> None:
        with FaultProxy(server) as between:
            ping(between)
            client = connect(between)
        with client:
            assert rest(client) == b""
        between.close()
        assert (between.connections, between.open_connections) == (2, 0)
        assert between.requests == [b"PING\r\n"]
        assert repr(between).endswith(" closed>")
        for call in (between.heal, between.drop, between.accept):
            with pytest.raises(RuntimeError, match="nydus-fault-proxy was closed"):
                call()
        with pytest.raises(RuntimeError, match="closed"):
            between.delay = 1.0

    def test_frees_the_address(self) -> None:
        unix, tcp = FaultProxy("/nowhere.sock"), FaultProxy("/nowhere.sock", tcp=True)
        for each in (unix, tcp):
            each.close()
            with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
                connect(each)
        assert not Path(unix.path).parent.exists()
        with socket.socket() as other:
            other.bind((tcp.host, tcp.port))

    def test_leaves_nothing_even_in_the_midst_of_work(self, redis_servers: RedisServers) -> None:
        """Threads and files are those of a whole process, so it is a process that does nothing else."""
        (server,) = redis_servers(1, tcp=True)
        program = [sys.executable, leftovers.__file__, str(server.pid), server.path]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=LONG)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert len(found) == 9
        assert [each for each in found if each["threads"] or each["files"]] == []


@both
def test_what_was_answered_is_done_once_and_nothing_is_done_twice_amid_chaos(
    redis_servers: RedisServers, tcp: bool
) -> None:
    """Forty clients, each with a counter of its own, and two threads that break and heal what they can."""
    (server,) = redis_servers(1)
    between, over = FaultProxy(server, tcp=tcp), threading.Event()
    faults: list[Callable[[], object]] = [
        between.drop,
        between.refuse,
        between.cut_requests,
        between.cut_replies,
        lambda: between.cut_requests(7, times=3),
        lambda: between.cut_replies(2, times=3),
        lambda: setattr(between, "blackhole", True),
        lambda: setattr(between, "swallow", True),
        lambda: setattr(between, "trickle", 0.001),
        lambda: setattr(between, "delay", 0.003),
    ]
    faults += [between.reset] if tcp else []

    def trouble(seed: int) -> None:
        dice = random.Random(seed)
        while not over.is_set():
            dice.choice(faults)()
            time.sleep(dice.random() / 200)
            between.heal()

    def client(name: int) -> tuple[int, int, int]:
        sent = answered = last = 0
        for _ in range(30):
            sent += 1
            with contextlib.suppress(OSError):
                answer = ask(between, b"INCR c%d\r\n" % name, b"\r\n", 0.05)
                answered, last = answered + 1, int(answer[1:])
        return sent, answered, last

    with ThreadPoolExecutor(42) as pool:
        troubles = [pool.submit(trouble, seed) for seed in range(2)]
        results = list(pool.map(client, range(40)))
        over.set()
        for each in troubles:
            each.result()
    between.heal()
    until(lambda: between.open_connections == 0)
    alone(server)
    for name, (sent, answered, last) in enumerate(results):
        done = int(ask(server, b"INCRBY c%d 0\r\n" % name, b"\r\n")[1:])
        assert answered <= last <= done <= sent
        assert done <= sum(chunk == b"INCR c%d\r\n" % name for chunk in between.requests)
        assert ask(between, b"INCR c%d\r\n" % name, b"\r\n") == b":%d\r\n" % (done + 1)
    between.close()


def test_hundreds_of_connections_to_a_server_that_does_not_accept(redis_servers: RedisServers) -> None:
    (server,) = redis_servers(1)
    with FaultProxy(server) as between, contextlib.ExitStack() as stack:
        with stopped(server):
            clients = [stack.enter_context(connect(between, 30.0)) for _ in range(700)]
            for client in clients:
                client.sendall(INCR)
            settle(between)
        assert {int(read(client, 2)[1:]) for client in clients} <= set(range(10))
        assert count(server) == 700


def test_the_plugin_of_pytest_closes_proxies_with_the_test(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").touch()
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["nydus_core.testing.fixtures"]\n')
    (tmp_path / "test_it.py").write_text(
        "import threading\n"
        "def test_one(proxy):\n"
        "    assert proxy('/nowhere.sock').path and proxy('/nowhere.sock', tcp=True, delay=0.1).port\n"
        "    assert threading.active_count() == 3\n"
        "def test_two():\n"
        "    assert threading.active_count() == 1\n"
    )
    done = inner_pytest(tmp_path, "-W", "error")
    assert "2 passed" in done.stdout, done.stdout + done.stderr
