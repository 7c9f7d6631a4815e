"""Bad servers and bad input: whatever comes, an error that is documented, and no answer to the wrong command.

Properties, of a real server whose replies are spoiled on their way. ``NYDUS_FUZZ=5000`` looks harder, see
``tests/support/spoiling.py``. What they have found is below them, as tests of its own.
"""

from __future__ import annotations

import inspect
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

import pytest
import redis
import redis.asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.utils import HIREDIS_AVAILABLE

import exchanges
from driven import Driven
from exchanges import ONCE, Call, Ended, in_threads, new_keys
from interrupting import interrupted_when
from nydus_core import Cluster, HostDown, HostError, NydusError, create_async_cluster, create_cluster
from nydus_core.command import Command, Outcome
from nydus_redis import Redis
from nydus_redis.connection.replies import ANSWERS
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.options import wire_options
from nydus_redis.surface.clients import Surfaces
from resp import End, ServerSaid, understand
from scripted import ScriptedServer, within
from spoiling import closing, fuzz, pieces, spoiled
from waiting import LONG
from waiting_time import timeout_of

Servers = Callable[..., list[PrivateServer]]

#: Each with whether redis-py makes something of the reply, which it may not know how to do.
CALLS: list[tuple[Call, bool]] = [
    (lambda c: c.incr("{f}n"), False),
    (lambda c: c.get("{f}text"), False),
    (lambda c: c.get("{f}none"), False),
    (lambda c: c.lrange("{f}list", 0, -1), False),
    (lambda c: c.lpush("{f}text", 1), False),
    (lambda c: c.mget("{f}text", "{f}none", "{f}n"), False),
    (lambda c: c.set("{f}s", "v"), True),
    (lambda c: c.hgetall("{f}hash"), True),
    (lambda c: c.zrange("{f}z", 0, -1, withscores=True), True),
    (lambda c: c.eval("return {1, 'two', {3, {err='ERR four'}}, false}", 1, "{f}n"), False),
    (lambda c: c.smembers("{f}set"), True),
]

SNIPPETS = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"$-1\r\n",
        b"$-2\r\n",
        b"$-3\r\n",
        b"*-1\r\n",
        b"*0\r\n",
        b"*2\r\n",
        b"$0\r\n\r\n",
    ),
    *(
        b":7\r\n",
        b"+OK\r\n",
        b"+QUEUED\r\n",
        b"$5\r\nother\r\n",
        b"-ERR no\r\n",
        b"-LOADING wait\r\n",
        b"-\r\n",
    ),
    *(
        b"-NOAUTH who\r\n",
        b"-MOVED 1 a:1\r\n",
        b"-MOVED\r\n",
        b"-EXECABORT no\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
    ),
    *(
        b"%1\r\n+a\r\n:1\r\n",
        b"~1\r\n:1\r\n",
        b"(12\r\n",
        b"=5\r\ntxt:a\r\n",
        b">2\r\n+a\r\n+b\r\n",
        b">0\r\n",
    ),
    *(
        b">1\r\n$1\r\n\xff\r\n",
        b"|1\r\n+a\r\n+b\r\n",
        b"!3\r\nERR\r\n",
        b"HTTP/1.1 400\r\n\r\n",
        b"\x00",
        b"\xff",
    ),
]


@pytest.fixture(scope="module")
def real() -> Iterator[PrivateServer]:
    with PrivateServer() as server:
        yield server


@pytest.fixture
def bad(real: PrivateServer) -> Iterator[ScriptedServer]:
    with ScriptedServer(real) as server:
        yield server


#: Which side of the engine ``connected`` makes a cluster of.
_side = "blocking"


@pytest.fixture(params=["blocking", "asyncio", "asyncio-own"])
def either_side(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each question to the blocking cluster is put to the asynchronous one too, with and without batching."""
    global _side
    _side = request.param
    yield
    _side = "blocking"


on_either_side = pytest.mark.usefixtures("either_side")

#: So that an asynchronous connection sends one request after the other as it opens, and none along with another.
_NAMELESS: dict[str, Any] = (
    {"driver_info": None}
    if "driver_info" in inspect.signature(redis.asyncio.Redis).parameters
    else {"lib_name": None, "lib_version": None}
)


def connected(server: ScriptedServer, protocol: int = 3, **options: Any) -> Any:
    where = {"unix_socket_path": server.path} if server.path else {"host": "127.0.0.1", "port": server.port}
    host = {**where, "protocol": protocol, "timeout": LONG, **options}
    settings: dict[str, Any] = {"engine": Redis, "hosts": [host], **ONCE}
    if _side == "blocking":
        return create_cluster(settings)
    defaults = {**_NAMELESS, "batching": _side == "asyncio"}
    return Driven(create_async_cluster({**settings, "defaults": defaults}))


def warm_up(cluster: Any, way: str) -> None:
    """Have the connection open that commands of some way use."""
    if way == "transaction":
        with cluster.map(transaction=True) as conn:
            conn.get("{f}a")
    else:
        cluster.ping()


def all_in_step() -> int:
    """How many connections ``assert_in_step`` uses: with batching one for commands, and one for transactions."""
    return 2 if _side == "asyncio" else 1


@contextmanager
def raw(server: Any, protocol: int) -> Iterator[Callable[[bytes], bytes]]:
    """A connection without any client library: bytes out, the answers of the server in."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(server.path)
        sock.settimeout(LONG)

        def ask(request: bytes) -> bytes:
            sock.sendall(request + b"ECHO nydus-is-done\r\n")
            answer, end = b"", b"$13\r\nnydus-is-done\r\n"
            while not answer.endswith(end):
                chunk = sock.recv(65536)
                assert chunk, answer
                answer += chunk
            return answer.removesuffix(end)

        ask(b"HELLO %d\r\n" % protocol)
        yield ask


@contextmanager
def prepared(server: PrivateServer, protocol: int) -> Iterator[Callable[[bytes], bytes]]:
    with raw(server, protocol) as ask:
        for line in (
            b"FLUSHALL",
            b"SET {f}n 5",
            b"SET {f}text abc",
            b"RPUSH {f}list a bb ccc",
            b"HSET {f}hash f 1 g 2",
            b"ZADD {f}z 1 a 2.5 b",
            b"SADD {f}set x y",
        ):
            ask(line + b"\r\n")
        yield ask


def packed(calls: list[Call], protocol: int, *, transaction: bool = False) -> bytes:
    """The bytes of some calls."""
    found: list[Command] = []
    surface = Surfaces([wire_options([{"protocol": protocol}])])(found.append)
    for call in calls:
        call(surface)
    whole: Any = [command.packed for command in found]  # type: ignore[attr-defined]
    return b"".join([b"MULTI\r\n", *whole, b"EXEC\r\n"] if transaction else whole)


def outcomes(cluster: Cluster, calls: list[Call], way: str) -> list[Ended]:
    return exchanges.outcomes(cluster, calls, way, ANSWERS)


def assert_in_step(cluster: Cluster, threads: int = 1) -> None:
    """Each command gets its own answer, over each connection of the pool."""

    def ask() -> None:
        for _ in range(2):
            keys = new_keys(4)
            assert cluster.set(keys[0], keys[0]) is True
            assert cluster.get(keys[0]) == keys[0].encode()
            with cluster.map() as conn:
                stored = [conn.set(key, key) for key in keys[1:]]
                values = [conn.get(key) for key in keys]
            assert stored == [True] * 3
            assert values == [key.encode() for key in keys]
            with cluster.map(transaction=True) as conn:
                values = [conn.get(key) for key in reversed(keys)]
            assert values == [key.encode() for key in reversed(keys)]

    in_threads(ask, threads)


def expected_of(stream: bytes, protocol: int, count: int, way: str) -> tuple[list[Any], End]:
    """The replies to each of some commands, as far as the stream has them and they make sense."""
    said = understand(stream, protocol)
    if way != "transaction":
        return said.replies[:count], End.WHOLE if len(said.replies) >= count else said.end
    if len(said.replies) < count + 2:
        return [], End.CUT if said.end is End.WHOLE else said.end
    begun, *queued, replies = said.replies[: count + 2]
    if (
        begun != b"OK"
        or queued != [b"QUEUED"] * count
        or not isinstance(replies, list)
        or len(replies) != count
    ):
        return [], End.DOUBTFUL
    if any(
        isinstance(reply, ServerSaid) and str(reply).startswith(("LOADING", "NOAUTH")) for reply in replies
    ):
        return [], End.DOUBTFUL  # redis-py raises these of one command as if they were EXEC's
    return replies, End.WHOLE


def assert_true(found: list[Ended], stream: bytes, protocol: int, makes: list[bool], way: str) -> None:
    """What was answered is known, and what was not is open."""
    expected, end = expected_of(stream, protocol, len(found), way)
    for (outcome, value), reply, made in zip(found, expected, makes, strict=False):
        if isinstance(reply, ServerSaid):
            if str(reply).startswith(("MOVED", "ASK", "ERR max number of clients")):
                return  # redis-py has classes of its own for these, or does not take them for answers
            assert outcome is Outcome.SERVER_ERROR, (reply, value)
        elif contains_error(reply):
            return  # redis-py may raise it as if it were all of the reply
        elif made:
            assert outcome in (Outcome.VALUE, Outcome.MAYBE_APPLIED), (reply, value)
        else:
            assert (outcome, value) == (Outcome.VALUE, reply)
    if len(expected) < len(found) and end in (End.CUT, End.NONSENSE, End.WHOLE):
        assert {outcome for outcome, _ in found[len(expected) :]} == {Outcome.MAYBE_APPLIED}


def contains_error(reply: Any) -> bool:
    if isinstance(reply, dict):
        reply = [*reply, *reply.values()]
    return isinstance(reply, ServerSaid) or (isinstance(reply, list) and any(map(contains_error, reply)))


# The properties ------------------------------------------------------------------------------------------------


@on_either_side
@pytest.mark.parametrize("way", ["single", "map", "transaction"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_spoiled_replies_are_errors_and_cross_nothing(
    real: PrivateServer, bad: ScriptedServer, protocol: int, way: str
) -> None:
    @fuzz(25)
    @given(st.data())
    def property_(data: st.DataObject) -> None:
        chosen = data.draw(
            st.lists(st.integers(0, len(CALLS) - 1), min_size=1, max_size=1 if way == "single" else 5)
        )
        calls, makes = [CALLS[i][0] for i in chosen], [CALLS[i][1] for i in chosen]
        with prepared(real, protocol) as ask:
            honest = ask(packed(calls, protocol, transaction=way == "transaction"))
        stream = data.draw(spoiled(honest, SNIPPETS))
        sent = data.draw(pieces(stream))
        short = len(expected_of(stream, protocol, len(calls), way)[0]) < len(calls)
        close = data.draw(closing(short=short))
        threads = data.draw(st.sampled_from([1, 3]))
        cluster = clusters[threads]
        warm_up(cluster, way)
        bad.answer(*sent, close=close)
        with timeout_of(cluster, 1) if short and not close else nullcontext():
            found = within(LONG, lambda: outcomes(cluster, calls, way))
        assert bad.played()
        assert_true(found, stream, protocol, makes, way)
        within(LONG, lambda: assert_in_step(cluster, threads))

    with ExitStack() as stack:
        clusters = {
            threads: stack.enter_context(connected(bad, protocol, max_connections=threads))
            for threads in (1, 3)
        }
        property_()


@on_either_side
@pytest.mark.parametrize("way", ["single", "map", "transaction"])
@pytest.mark.parametrize(("protocol", "tcp"), [(2, False), (3, False), (3, True)])
def test_replies_that_nobody_asked_for_are_nobodys(
    real: PrivateServer, protocol: int, tcp: bool, way: str
) -> None:
    surplus = st.sampled_from(
        [b"+OK\r\n", b":7\r\n", b"$5\r\nother\r\n", b"-ERR no\r\n", b"-LOADING wait\r\n", b"*1\r\n:1\r\n"]
    )

    @fuzz(8)
    @given(
        st.lists(st.integers(0, len(CALLS) - 1), min_size=1, max_size=1 if way == "single" else 5), surplus
    )
    def property_(chosen: list[int], more: bytes) -> None:
        calls = [CALLS[i][0] for i in chosen]
        with prepared(real, protocol) as ask:
            honest = ask(packed(calls, protocol, transaction=way == "transaction"))
        warm_up(cluster, way)
        bad.answer(honest + more[:2], more[2:])
        found = within(LONG, lambda: outcomes(cluster, calls, way))
        assert bad.played()
        assert_true(found, honest, protocol, [CALLS[i][1] for i in chosen], way)
        within(LONG, lambda: assert_in_step(cluster))

    with ScriptedServer(real, tcp=tcp) as bad, connected(bad, protocol, max_connections=1) as cluster:
        property_()


@on_either_side
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_spoiled_greeting_is_not_sent_and_leaves_no_half_open_connection(
    real: PrivateServer, bad: ScriptedServer, protocol: int
) -> None:
    greeting = understood_greeting(real, protocol)

    @fuzz(25)
    @given(st.data())
    def property_(data: st.DataObject) -> None:
        skip = data.draw(st.integers(0, len(greeting) - 1))
        sent = data.draw(spoiled(greeting[skip], SNIPPETS))
        short = not understand(sent, protocol).replies
        close = data.draw(closing(short=short))
        bad.answer(sent, close=close, skip=skip, done=True)
        timeout = 1 if short and not close else LONG
        with connected(bad, protocol, db=1, max_connections=1, timeout=timeout) as cluster:
            outcomes(cluster, [lambda c: c.set("{f}greeted", 1)], "single")
            bad.honest()
            within(LONG, lambda: assert_in_step(cluster))
            assert cluster.set("{f}in", protocol) is True
        with raw(real, protocol) as ask:
            answer = ask(b"DEL {f}in\r\nSELECT 1\r\nDEL {f}in\r\n")
        assert answer == b":0\r\n+OK\r\n:1\r\n"

    property_()


def understood_greeting(real: PrivateServer, protocol: int) -> list[bytes]:
    """What a server says to each request that redis-py opens a connection with."""
    with ScriptedServer(real) as server:
        with connected(server, protocol, db=1) as cluster:
            cluster.ping()
        *greeting, _ = server.requests
    with raw(real, protocol) as ask:
        return [ask(request) for request in greeting]


# Bad input -----------------------------------------------------------------------------------------------------

#: The smallest integer that Python does not write in decimal digits.
TOO_LONG = 10 ** sys.get_int_max_str_digits()

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [TOO_LONG, -TOO_LONG, 2**64, 1e400, float("nan"), object(), Exception, {}, [], [[1]], {1: {2: 3}}]
    ),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["\udc80", "a\r\nPING\r\n", "\r\n", "", " ", "\x00", "a b"]),
    st.binary(max_size=8),
    st.binary(min_size=8, max_size=32).map(lambda data: memoryview(data)[:8].cast("I")),
    st.binary(max_size=8).map(lambda data: memoryview(data)),  # noqa: PLW0108 - a class with a type of its own
    st.binary(max_size=8).map(bytearray),
    st.lists(st.one_of(st.none(), st.binary(max_size=3), st.integers()), max_size=3),
)

ODD_CALLS: list[Callable[[Any, Any, Any], Any]] = [
    lambda c, a, b: c.set(a, b),
    lambda c, a, b: c.get(a),
    lambda c, a, b: c.mget(a, b),
    lambda c, a, b: c.mset({str(a)[:5]: b, "k": a}),
    lambda c, a, b: c.lpush("k", a, b),
    lambda c, a, b: c.hset("k", a, b),
    lambda c, a, b: c.expire("k", a),
    lambda c, a, b: c.set("k", a, ex=b),
    lambda c, a, b: c.incrby(a, b),
    lambda c, a, b: c.zadd("k", {"m": a, "n": b}),
    lambda c, a, b: c.execute_command(a, "k", b),
    lambda c, a, b: c.execute_command("SET", a, b),
    lambda c, a, b: c.execute_command("GET", "k", keys=a),
    lambda c, a, b: c.eval("return ARGV[1]", 1, a, b),
    lambda c, a, b: c.delete(a, b),
]


FINE: tuple[type[Exception], ...] = (*ANSWERS, NydusError)


def one_request(chunk: bytes) -> bool:
    """Whether bytes are just one command, and all of it."""
    said = understand(chunk, 2)
    return said.end is End.WHOLE and len(said.replies) == 1


@on_either_side
@pytest.mark.parametrize("way", ["single", "map"])
def test_odd_arguments_are_sent_as_one_command_or_not_at_all(
    real: PrivateServer, bad: ScriptedServer, way: str
) -> None:
    @fuzz(60)
    @given(st.sampled_from(ODD_CALLS), ODD, ODD)
    def property_(call: Callable[[Any, Any, Any], Any], first: Any, second: Any) -> None:
        before = len(bad.requests)
        try:
            if way == "single":
                within(LONG, lambda: call(cluster, first, second))
            else:
                with cluster.map() as conn:
                    call(conn, first, second)
        except HostError as error:
            raise AssertionError("it is the fault of the host?") from error
        except FINE:
            pass
        except (redis.RedisError, TypeError, ValueError, AttributeError, OverflowError):
            assert len(bad.requests) == before  # redis-py's own, as its methods put the command together
        assert all(one_request(chunk) for chunk in bad.requests[before:]), bad.requests[before:]
        del bad.requests[:]
        assert cluster.set("own", before) is True
        assert cluster.get("own") == str(before).encode()
        assert bad.connections == 1

    with connected(bad) as cluster:
        cluster.ping()
        property_()


# What they have found ------------------------------------------------------------------------------------------


def answered(bad: ScriptedServer, stream: bytes, calls: list[Call], way: str, **options: Any) -> list[Ended]:
    """What calls ended in that were answered with this stream; and then the connections are in step."""
    with connected(bad, **options) as cluster:
        warm_up(cluster, way)
        bad.answer(stream)
        found = within(LONG, lambda: outcomes(cluster, calls, way))
        assert bad.played()
        within(LONG, lambda: assert_in_step(cluster))
        return found


GETS: list[Call] = [lambda c: c.get("{f}a"), lambda c: c.get("{f}b"), lambda c: c.get("{f}c")]


@on_either_side
def test_a_surplus_reply_is_noticed_where_push_messages_are_expected(real: PrivateServer) -> None:
    with ScriptedServer(real, tcp=True) as bad:
        assert answered(bad, b"$1\r\n1\r\n$5\r\nother\r\n", GETS[:1], "single") == [(Outcome.VALUE, b"1")]
        assert bad.connections == 1 + all_in_step()


def test_push_messages_cost_no_connection(real: PrivateServer) -> None:
    with ScriptedServer(real, tcp=True) as bad:
        message = b">4\r\n$9\r\nMIGRATING\r\n:1\r\n:2\r\n*0\r\n"
        calls = [lambda c: c.get("{f}a")]
        assert answered(bad, message + b"$1\r\n1\r\n" + message, calls, "single") == [(Outcome.VALUE, b"1")]
        assert bad.connections == (1 if EXPECTS_PUSHES else 2)


#: Versions of redis-py before those with maintenance notifications drop a connection with anything on it.
EXPECTS_PUSHES = hasattr(redis.ConnectionPool, "maint_notifications_enabled")


@on_either_side
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_server_that_has_loaded_in_the_meantime_is_heard(bad: ScriptedServer, protocol: int) -> None:
    stream = b"-LOADING wait\r\n$1\r\n2\r\n-NOAUTH who\r\n"
    found = answered(bad, stream, GETS, "map", protocol=protocol)
    assert [outcome for outcome, _ in found] == [Outcome.SERVER_ERROR, Outcome.VALUE, Outcome.SERVER_ERROR]
    assert found[1][1] == b"2"
    assert isinstance(found[2][1], redis.AuthenticationError)


@on_either_side
@pytest.mark.parametrize("protocol", [2, 3])
def test_an_answer_of_a_refusal_costs_no_connection(bad: ScriptedServer, protocol: int) -> None:
    found = answered(bad, b"-LOADING wait\r\n", GETS[:1], "single", protocol=protocol)
    assert isinstance(found[0][1], redis.exceptions.BusyLoadingError)
    assert bad.connections == all_in_step()


@on_either_side
def test_a_refusal_within_a_reply_leaves_no_half_of_it(bad: ScriptedServer) -> None:
    stream = b"*2\r\n-LOADING wait\r\n:1\r\n$1\r\n2\r\n$1\r\n3\r\n"
    found = answered(bad, stream, GETS, "map")
    if HIREDIS_AVAILABLE:  # takes it for all of the reply
        assert [value for _, value in found[1:]] == [b"2", b"3"]
    else:
        assert {outcome for outcome, _ in found} == {Outcome.MAYBE_APPLIED}


@on_either_side
def test_a_refusal_of_the_first_command_of_a_transaction_says_nothing_of_the_others(
    bad: ScriptedServer,
) -> None:
    stream = b"+OK\r\n" + b"+QUEUED\r\n" * 3 + b"*3\r\n-LOADING wait\r\n:1\r\n:2\r\n"
    found = answered(bad, stream, GETS, "transaction")
    assert {outcome for outcome, _ in found} == {Outcome.MAYBE_APPLIED}


@on_either_side
@pytest.mark.parametrize(
    "answer",
    [b"$3\r\n123\r\n", b"+QUE\r\n", b"*-1\r\n", b":3\r\n", b"%3\r\n:1\r\n:1\r\n:2\r\n:2\r\n:3\r\n:3\r\n"],
)
def test_what_is_no_list_is_no_answer_to_exec(bad: ScriptedServer, answer: bytes) -> None:
    found = answered(bad, b"+OK\r\n" + b"+QUEUED\r\n" * 3 + answer, GETS, "transaction")
    assert {outcome for outcome, _ in found} == {Outcome.MAYBE_APPLIED}


@on_either_side
@pytest.mark.parametrize("way", ["single", "map", "transaction"])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_reply_that_is_nested_without_end_is_an_error(bad: ScriptedServer, protocol: int, way: str) -> None:
    found = answered(bad, b"*1\r\n" * 100_000, GETS[:1], way, protocol=protocol)
    assert found[0][0] is Outcome.MAYBE_APPLIED


@on_either_side
@pytest.mark.parametrize("way", ["single", "map"])
def test_a_push_message_that_makes_no_sense_is_no_reply(bad: ScriptedServer, way: str) -> None:
    calls = GETS[:1] if way == "single" else GETS
    found = answered(bad, b">1\r\n$1\r\n\xff\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n", calls, way)
    values = [b"1", b"2", b"3"][: len(calls)]
    for ended, value in zip(found, values, strict=True):
        assert ended[0] is Outcome.MAYBE_APPLIED or ended == (Outcome.VALUE, value)


@on_either_side
@pytest.mark.parametrize("reply", [b"*0\r\n", b"+OK\r\n", b":1\r\n", b"%1\r\n*0\r\n:1\r\n"])
def test_a_greeting_that_makes_no_sense_leaves_no_half_open_connection(
    real: PrivateServer, bad: ScriptedServer, reply: bytes
) -> None:
    with connected(bad, 3, db=1) as cluster:
        bad.answer(reply)
        # with asyncio redis-py looks at no answer to HELLO
        with pytest.raises(HostDown) if _side == "blocking" else suppress(HostDown):
            cluster.set("{f}only", "in 1")
        assert cluster.set("{f}only", "in 1") is True
    with raw(real, 2) as ask:
        assert ask(b"EXISTS {f}only\r\nSELECT 1\r\nDEL {f}only\r\n") == b":0\r\n+OK\r\n:1\r\n"


@on_either_side
@pytest.mark.parametrize("surplus", [b"+OK\r\n", b":1\r\n", b"$5\r\nother\r\n"])
def test_a_connection_that_is_opened_with_a_surplus_reply_is_not_used(
    real: PrivateServer, surplus: bytes
) -> None:
    with ScriptedServer(real) as bad, connected(bad, 2, db=1) as cluster:
        bad.answer(b"+OK\r\n" + surplus, skip=len(understood_greeting(real, 2)) - 1, done=True)
        with pytest.raises(HostDown, match="more than it was asked"):
            cluster.set("{f}n", 1)
        assert bad.played()
        assert_in_step(cluster)


def test_a_greeting_that_is_interrupted_leaves_no_half_open_connection(
    real: PrivateServer, bad: ScriptedServer
) -> None:
    with connected(bad, 2, db=1) as cluster:
        bad.answer()  # nothing: it waits for the first answer
        with interrupted_when(lambda: bad.requests), pytest.raises(KeyboardInterrupt):
            cluster.set("{f}only", "in 1")
        assert cluster.set("{f}only", "in 1") is True
    with raw(real, 2) as ask:
        assert ask(b"EXISTS {f}only\r\nSELECT 1\r\nDEL {f}only\r\n") == b":0\r\n+OK\r\n:1\r\n"


@on_either_side
@pytest.mark.parametrize("value", [TOO_LONG, -TOO_LONG], ids=["plus", "minus"])
def test_a_number_that_cannot_be_written_down_is_refused(bad: ScriptedServer, value: int) -> None:
    with connected(bad) as cluster:
        calls: list[Callable[[], Any]] = [
            lambda: cluster.set("k", value),
            lambda: cluster.execute_command("CONFIG SET", "k", value),
        ]
        for call in calls:
            with pytest.raises(redis.DataError, match="cannot be sent"):
                call()
        assert cluster.set("k", 10**4000) is True
        assert cluster.get("k") == b"1" + b"0" * 4000


@on_either_side
def test_a_view_of_numbers_is_sent_as_its_bytes(bad: ScriptedServer) -> None:
    view = memoryview(b"\r\nPING\r\n....").cast("I")
    with connected(bad) as cluster:
        assert cluster.set("k", view) is True
        assert cluster.get("k") == bytes(view)
        assert all(one_request(chunk) for chunk in bad.requests)


# Memory --------------------------------------------------------------------------------------------------------

#: Replies that claim to hold far more than they do. Nydus believes none of them.
ENORMOUS = [
    b"$99999999999\r\n",
    b"*99999999999\r\n",
    b"*4294967295\r\n",
    b"*50000000\r\n:1\r\n",
    b"%99999999999\r\n",
    b"$-99999999999\r\n",
    b"*-99999999999\r\n",
    b"*1\r\n" * 100_000,
    b":" + b"9" * 5000 + b"\r\n",
]

PROGRAM = """
import resource, sys
from nydus_core import HostError, create_cluster

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
protocol, *paths = sys.argv[1:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in paths:
    hosts = [{"unix_socket_path": path, "timeout": 40, "protocol": int(protocol)}]
    with create_cluster({"engine": "redis", "hosts": hosts, "retry": {"attempts": 1}}) as cluster:
        try:
            cluster.get("k")
            print("value")
        except HostError as error:
            print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the memory of a process as Linux counts it")
@pytest.mark.parametrize("protocol", [2, 3])
def test_what_a_reply_claims_to_hold_is_not_believed(real: PrivateServer, protocol: int) -> None:
    opened = len(understood_greeting(real, protocol)) - 1  # without the SELECT
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(real)) for _ in ENORMOUS]
        for server, stream in zip(servers, ENORMOUS, strict=True):
            server.answer(stream, close=True, skip=opened)
        program = [sys.executable, "-c", PROGRAM, str(protocol), *[server.path for server in servers]]
        *said, megabytes = subprocess.check_output(program, text=True, timeout=50).splitlines()
    # redis-py's own parser takes a negative length for that of an empty list
    lenient = 0 if HIREDIS_AVAILABLE else sum(stream.startswith(b"*-") for stream in ENORMOUS)
    assert said.count("MaybeApplied") == len(ENORMOUS) - lenient, said
    assert int(megabytes) < 100
