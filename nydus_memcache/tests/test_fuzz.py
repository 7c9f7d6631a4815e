"""Bad servers and bad input: whatever comes, an error that is documented, and no answer to the wrong command.

Properties, of a real server whose answers are spoiled on their way. ``NYDUS_FUZZ=5000`` looks harder, see
``tests/support/spoiling.py``. What they have found is below them, as tests of its own.
"""

from __future__ import annotations

import itertools
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymemcache.exceptions import MemcacheError, MemcacheIllegalInputError, MemcacheUnknownCommandError

import exchanges
from exchanges import NUMBERS, ONCE, Call, Ended, in_threads, new_keys
from memcached import MemcachedServer
from nydus_core import Cluster, HostError, NydusError
from nydus_core.command import Outcome
from nydus_memcache import Memcache
from nydus_memcache.commands.command import MemcacheCommand
from nydus_memcache.options import wire
from nydus_memcache.surface.blocking import Surface
from scripted import ScriptedServer, within
from spoiling import closing, fuzz, pieces, spoiled
from waiting import LONG
from waiting_time import timeout_of

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

Create = Callable[[dict[str, Any]], Any]

_STORED = {b"STORED": True, b"NOT_STORED": False}

#: Each with what it begins with, and its keys or what its answers mean.
CALLS: list[tuple[Call, bytes, Any]] = [
    (lambda c: c.get("text"), b"get", [b"text"]),
    (lambda c: c.get("none"), b"get", [b"none"]),
    (lambda c: c.get_many(["bytes", "none", "text"]), b"get", [b"bytes", b"none", b"text"]),
    (lambda c: c.gets("bytes"), b"gets", [b"bytes"]),
    (lambda c: c.set("s", b"v"), b"set", _STORED),
    (lambda c: c.add("text", b"v"), b"add", _STORED),
    (lambda c: c.cas("text", b"v", 1), b"cas", {b"STORED": True, b"EXISTS": False, b"NOT_FOUND": None}),
    (lambda c: c.delete("none"), b"delete", {b"DELETED": True, b"NOT_FOUND": False}),
    (lambda c: c.touch("text", 100), b"touch", {b"TOUCHED": True, b"NOT_FOUND": False}),
    (lambda c: c.incr("n", 2), b"incr", None),
    (lambda c: c.incr("text"), b"incr", None),
    (lambda c: c.decr("none"), b"decr", None),
    (lambda c: c.set_many({"a": b"1", "b": b"2"}), b"set_many", _STORED),
]

WITH_DATA = (b"set", b"add", b"cas", b"set_many")

SNIPPETS = [
    *(
        b"\r\n",
        b"\r",
        b"\n",
        b"END\r\n",
        b"STORED\r\n",
        b"NOT_FOUND\r\n",
        b"7\r\n",
        b"-7\r\n",
        b"1_0\r\n",
        b"OK\r\n",
    ),
    *(b"SERVER_ERROR no\r\n", b"CLIENT_ERROR no\r\n", b"ERROR\r\n", b"ERROR", b"VALUE text 0 5\r\nother\r\n"),
    *(
        b"VALUE text 16 2\r\n\xff\xff\r\n",
        b"VALUE none 0 0\r\n\r\n",
        b"VALUE bytes 0 1 5\r\nx\r\n",
        b"VALUE text 0 -17\r\n",
    ),
    *(
        b"VALUE text 1 1\r\nx\r\n",
        b"VALUE",
        b"VALUE ",
        b"HTTP/1.1 400\r\n\r\n",
        b"MN\r\n",
        b"\x00",
        b"\xff",
        b" ",
        b"-",
    ),
]


@pytest.fixture(scope="module")
def real() -> Iterator[MemcachedServer]:
    with MemcachedServer() as server:
        yield server


@pytest.fixture
def bad(real: MemcachedServer) -> Iterator[ScriptedServer]:
    with ScriptedServer(real) as server:
        yield server


def connected(create: Create, server: ScriptedServer, **options: Any) -> Any:
    host = {"unix_socket_path": server.path, "timeout": LONG, **options}
    return create({"engine": Memcache, "hosts": [host], **ONCE})


def asked(server: MemcachedServer, request: bytes) -> bytes:
    """What a real server answers to a request, without any client library."""
    end = b"MN\r\n"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LONG)
        sock.connect(server.path)
        sock.sendall(request + b"mn\r\n")
        answer = b""
        while not answer.endswith(end):
            chunk = sock.recv(65536)
            assert chunk, answer
            answer += chunk
    return answer.removesuffix(end)


def prepare(server: MemcachedServer) -> None:
    values = {b"text": (16, b"abc"), b"bytes": (0, b"a\r\nEND\r\n"), b"n": (2, b"5")}
    lines = [
        b"set %b %d 0 %d\r\n%b\r\n" % (key, flags, len(data), data) for key, (flags, data) in values.items()
    ]
    asked(server, b"flush_all\r\n" + b"".join(lines))


def requests(calls: list[Call]) -> list[bytes]:
    """The bytes of each of some calls."""
    found: list[MemcacheCommand] = []
    surface = Surface(found.append, wire([{}]))  # type: ignore[arg-type]
    for call in calls:
        call(surface)
    return [command.request for command in found]


def merged(chosen: list[tuple[Call, bytes, Any]]) -> list[list[tuple[Call, bytes, Any]]]:
    """Gets that follow one another go as one."""
    runs = itertools.groupby(
        enumerate(chosen), lambda each: each[1][1] if each[1][1].startswith(b"get") else each[0]
    )
    return [[call for _, call in run] for _, run in runs]


def outcomes(cluster: Cluster, calls: list[Call], way: str) -> list[Ended]:
    return exchanges.outcomes(cluster, calls, way, (MemcacheError,))


def assert_in_step(cluster: Cluster, threads: int = 1) -> None:
    """Each command gets its own answer, over each connection of the pool."""

    def ask() -> None:
        for _ in range(2):
            keys = new_keys(4)
            assert cluster.set(keys[0], keys[0]) is True
            assert cluster.get(keys[0]) == keys[0]
            with cluster.map() as conn:
                stored = [conn.set(key, key) for key in keys[1:]]
                values = [conn.get(key) for key in keys]
                gone = [conn.delete(key) for key in (keys[0], "no" + keys[0])]
            assert (stored, values, gone) == ([True] * 3, keys, [True, False])

    in_threads(ask, threads)


# The judge -----------------------------------------------------------------------------------------------------

_ITEM = re.compile(rb"VALUE ([^ \r\n]+) ([0-9]+) ([0-9]+)( [0-9]+)?\r\n")
_REFUSAL = re.compile(rb"(?:SERVER_ERROR|CLIENT_ERROR|ERROR|MEMLIMIT_[^ ]*)(?: .*)?", re.DOTALL)
_TOKEN = re.compile(rb"(VALUE [^ \r\n]+ [0-9]+ [0-9]+) [0-9]+\r\n")
REFUSED = object()


class Nonsense(Exception):
    """What comes next is no answer, or not all of one."""


class Judge:
    """What a stream of answers says, read strictly, a command after another."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.at = 0

    def values(self, runs: list[list[tuple[Call, bytes, Any]]]) -> list[Any]:
        """The value of each command, as far as the stream has them; ``REFUSED`` for an error of the server."""
        found: list[Any] = []
        try:
            for run in runs:
                _, verb, means = run[0]
                if verb.startswith(b"get"):
                    found += self._items(verb, run)
                elif verb == b"set_many":
                    found.append(self._many(means))
                else:
                    found.append(self._one(verb, means))
        except Nonsense:
            pass
        except EOFError as last:  # a server that did not understand a line takes its value for commands
            found.append(last.args[0])
        return found

    def _line(self) -> bytes:
        end = self.stream.find(b"\r\n", self.at)
        if end < 0:
            raise Nonsense
        start, self.at = self.at, end + 2
        return self.stream[start:end]

    def _one(self, verb: bytes, means: Any) -> Any:
        line = self._line()
        if means is None and (line.isdigit() or line == b"NOT_FOUND"):
            return None if line == b"NOT_FOUND" else int(line)
        if means is not None and line in means:
            return means[line]
        if _REFUSAL.fullmatch(line) is None:
            raise Nonsense
        if verb in WITH_DATA and line.startswith((b"CLIENT_ERROR", b"ERROR")):
            raise EOFError(REFUSED)
        return REFUSED

    def _many(self, means: Any) -> Any:
        try:
            first = self._one(b"set_many", means)
        except EOFError:
            raise Nonsense from None
        second = self._one(b"set_many", means)
        if REFUSED in (first, second):
            return REFUSED
        return [key for key, stored in (("a", first), ("b", second)) if not stored]

    def _items(self, verb: bytes, run: list[tuple[Call, bytes, Any]]) -> list[Any]:
        asked = {key for _, _, keys in run for key in keys}
        items: dict[bytes, Any] = {}
        while item := _ITEM.match(self.stream, self.at):
            key, flags, size, cas = item.groups()
            end = item.end() + int(size)
            if self.stream[end : end + 2] != b"\r\n" or (cas is not None) != (verb == b"gets"):
                raise Nonsense
            self.at = end + 2
            items[key] = (int(flags), self.stream[item.end() : end], cas)
        line = self._line()
        if _REFUSAL.fullmatch(line):
            return [REFUSED] * len(run)
        if line != b"END" or not items.keys() <= asked:
            raise Nonsense
        return [self._got(verb, keys, items) for _, _, keys in run]

    @staticmethod
    def _got(verb: bytes, keys: list[bytes], items: dict[bytes, Any]) -> Any:
        loaded = {}
        for key in keys:
            if key in items:
                flags, data, cas = items[key]
                if flags not in (0, 16) or not data.isascii():
                    return ...  # whether its serde makes something of it is another matter
                value = data if flags == 0 else data.decode()
                loaded[key.decode()] = value if cas is None else (value, cas.strip())
        if len(keys) > 1:
            return loaded
        return next(iter(loaded.values()), (None, None) if verb == b"gets" else None)


def assert_true(found: list[Ended], stream: bytes, chosen: list[tuple[Call, bytes, Any]]) -> None:
    """What was answered is known, and what was not is open."""
    expected = Judge(stream).values(merged(chosen))
    for (outcome, value), said in zip(found, expected, strict=False):
        if said is REFUSED:
            assert outcome is Outcome.SERVER_ERROR, value
        elif said is not ...:
            assert (outcome, value) == (Outcome.VALUE, said)
        else:
            assert outcome in (Outcome.VALUE, Outcome.SERVER_ERROR), value
    assert {outcome for outcome, _ in found[len(expected) :]} <= {Outcome.MAYBE_APPLIED}


# The properties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["single", "map"])
def test_spoiled_answers_are_errors_and_cross_nothing(
    create: Create, real: MemcachedServer, bad: ScriptedServer, way: str
) -> None:
    @fuzz(40)
    @given(st.data())
    def property_(data: st.DataObject) -> None:
        most = 1 if way == "single" else 6
        chosen = data.draw(st.lists(st.sampled_from(CALLS), min_size=1, max_size=most))
        calls = [call for call, _, _ in chosen]
        prepare(real)
        gets = [b"%b %b\r\n" % (run[0][1], b" ".join(key for each in run for key in each[2]))
                if run[0][1].startswith(b"get") else requests([run[0][0]])[0] for run in merged(chosen)]  # fmt: skip
        honest = _TOKEN.sub(rb"\1 7\r\n", asked(real, b"".join(gets)))  # the same each time
        stream = data.draw(spoiled(honest, SNIPPETS))
        sent = data.draw(pieces(stream))
        short = len(Judge(stream).values(merged(chosen))) < len(chosen)
        close = data.draw(closing(short=short))
        threads = data.draw(st.sampled_from([1, 3]))
        cluster = clusters[threads]
        cluster.version()
        bad.answer(*sent, close=close)
        with timeout_of(cluster, 1) if short and not close else nullcontext():
            found = within(LONG, lambda: outcomes(cluster, calls, way))
        assert bad.played()
        assert_true(found, stream, chosen)
        within(LONG, lambda: assert_in_step(cluster, threads))

    clusters = {threads: connected(create, bad, max_pool_size=threads) for threads in (1, 3)}
    property_()


@pytest.mark.parametrize("way", ["single", "map"])
def test_anything_at_all_is_an_error_and_crosses_nothing(
    create: Create, bad: ScriptedServer, way: str
) -> None:
    others: list[Call] = [
        *(
            lambda c: c.stats(),
            lambda c: c.version(),
            lambda c: c.flush_all(),
            lambda c: c.gets_many(["a", "b"]),
        ),
        *(lambda c: c.delete_many(["a", "b"]), lambda c: c.cache_memlimit(100), lambda c: c.quit()),
        *(lambda c: c.raw_command("mn"), lambda c: c.set("k", b"v", noreply=True)),
    ]
    answers = [
        *SNIPPETS,
        b"STAT a 1\r\n",
        b"STAT\r\n",
        b"ITEM a [1 b; 2 s]\r\n",
        b"VERSION 1\r\n",
        b"DELETED\r\n",
    ]

    @fuzz(25)
    @given(
        st.lists(
            st.sampled_from([*others, *[call for call, _, _ in CALLS]]),
            min_size=1,
            max_size=1 if way == "single" else 4,
        ),
        st.lists(st.one_of(st.sampled_from(answers), st.binary(max_size=20)), max_size=5).map(b"".join),
    )
    def property_(calls: list[Call], stream: bytes) -> None:
        cluster.version()
        bad.answer(stream, close=True)
        within(LONG, lambda: outcomes(cluster, calls, way))
        assert bad.played()
        within(LONG, lambda: assert_in_step(cluster))

    cluster = connected(create, bad, max_pool_size=1)
    property_()


def test_answers_that_nobody_asked_for_are_nobodys(
    create: Create, real: MemcachedServer, bad: ScriptedServer
) -> None:
    surplus = st.sampled_from([b"STORED\r\n", b"END\r\n", b"7\r\n", b"SERVER_ERROR no\r\n", b"\r\n"])

    @fuzz(25)
    @given(st.sampled_from(CALLS), surplus)
    def property_(chosen: tuple[Call, bytes, Any], more: bytes) -> None:
        prepare(real)
        honest = asked(real, requests([chosen[0]])[0])
        cluster.version()
        bad.answer(honest + more[:1], more[1:])
        found = within(LONG, lambda: outcomes(cluster, [chosen[0]], "single"))
        assert bad.played()
        assert_true(found, honest, [chosen])
        within(LONG, lambda: assert_in_step(cluster))

    cluster = connected(create, bad, max_pool_size=1)
    property_()


# Bad input -----------------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from(
        [10**5000, -(10**5000), 2**64, float("nan"), object(), Exception, {}, [], [[1]], {1: {2: 3}}]
    ),
    st.text(st.characters(), max_size=8),
    st.sampled_from(
        ["\udc80", "a\r\nword\r\n", "\r\n", "", " ", "\x00", "a b", "a\x7f", "k" * 251, b"k 0 0 0\r\n"]
    ),
    st.binary(max_size=8),
    st.binary(max_size=8).map(lambda data: memoryview(data)),  # noqa: PLW0108 - a class with a type of its own
    st.binary(max_size=8).map(bytearray),
    st.lists(st.one_of(st.none(), st.binary(max_size=3), st.text(st.characters(), max_size=3)), max_size=3),
)

ODD_CALLS: list[Callable[[Any, Any, Any], Any]] = [
    lambda c, a, b: c.set(a, b),
    lambda c, a, b: c.set("k", a, expire=b),
    lambda c, a, b: c.set("k", a, flags=b),
    lambda c, a, b: c.add(a, b, noreply=False),
    lambda c, a, b: c.cas("k", a, b),
    lambda c, a, b: c.get(a, b),
    lambda c, a, b: c.gets(a),
    lambda c, a, b: c.get_many(a),
    lambda c, a, b: c.gets_many([a, b]),
    lambda c, a, b: c.set_many({"k": a, str(b)[:3] if not isinstance(b, int) else "l": b}),
    lambda c, a, b: c.set_many(a),
    lambda c, a, b: c.delete_many(a),
    lambda c, a, b: c.delete(a),
    lambda c, a, b: c.incr(a, b),
    lambda c, a, b: c.decr("n", a),
    lambda c, a, b: c.touch(a, b),
    lambda c, a, b: c.stats(a) if a not in ("detail", "reset") else None,
    lambda c, a, b: c.append(a, b),
]

_COMMAND = re.compile(
    rb"(?:(?:set|add|append|cas) [^\x00-\x20\x7f]{1,250} [0-9]+ -?[0-9]+ ([0-9]+)(?: [0-9]+)?(?: noreply)?"
    rb"|(?:get|gets|stats)(?: [^\x00-\x20\x7f]{1,250})*|delete [^\x00-\x20\x7f]{1,250}"
    rb"|(?:incr|decr|touch) [^\x00-\x20\x7f]{1,250} -?[0-9]+)\r\n"
)


def assert_commands(chunk: bytes, most: int) -> None:
    """These bytes are whole commands, and no more of them than were called."""
    at = count = 0
    while at < len(chunk):
        command = _COMMAND.match(chunk, at)
        assert command is not None, chunk[at:]
        at, count = command.end(), count + 1
        if command[1] is not None:
            at += int(command[1]) + 2
            assert chunk[at - 2 : at] == b"\r\n", chunk
    assert count <= most, chunk


@pytest.mark.parametrize("way", ["single", "map"])
def test_odd_arguments_are_refused_or_sent_as_the_command_that_they_are_for(
    create: Create, bad: ScriptedServer, way: str
) -> None:
    @fuzz(100)
    @given(st.sampled_from(ODD_CALLS), ODD, ODD)
    def property_(call: Callable[[Any, Any, Any], Any], first: Any, second: Any) -> None:
        del bad.requests[:]
        try:
            if way == "single":
                within(LONG, lambda: call(cluster, first, second))
            else:
                with cluster.map() as conn:
                    call(conn, first, second)
        except HostError as error:
            raise AssertionError("it is the fault of the host?") from error
        except MemcacheIllegalInputError:
            assert bad.requests == []
        except (NydusError, MemcacheError):
            pass
        for chunk in bad.requests:
            assert_commands(chunk, most=3)
        number = next(NUMBERS)
        assert cluster.set("own", number) is True
        assert cluster.get("own") == number

    with connected(create, bad, max_pool_size=1) as cluster:
        cluster.version()
        property_()


# What they have found ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "call"),
    [
        (b"VALUE k 0 -17\r\n", lambda c: c.get("k")),  # was read again and again
        (b"VALUE k 0 -5\r\nEND\r\n", lambda c: c.get("k")),
        (b"VALUE k 0 1_0\r\n0123456789\r\nEND\r\n", lambda c: c.get("k")),
        (b"VALUE k 0 1\r\nabc\r\nEND\r\n", lambda c: c.get("k")),
        (b"VALUE k 0 1\r\naEEEND\r\n", lambda c: c.get("k")),
        (b"VALUE k 0 1 7\r\na\r\nEND\r\n", lambda c: c.get("k")),  # was a pair, as of gets
        (b"VALUE k 0 1\r\na\r\nEND\r\n", lambda c: c.gets("k")),
        (b"VALUE k 0 1 x\r\na\r\nEND\r\n", lambda c: c.gets("k")),
        (b"-7\r\n", lambda c: c.incr("k")),
        (b"1_0\r\n", lambda c: c.incr("k")),
        (b"\r\n", lambda c: c.stats()),
        (b"STAT\r\nEND\r\n", lambda c: c.stats()),
    ],
)
@pytest.mark.parametrize("way", ["single", "map"])
def test_what_only_looks_like_an_answer_is_none(
    create: Create, bad: ScriptedServer, answer: bytes, call: Call, way: str
) -> None:
    with connected(create, bad) as cluster:
        cluster.version()
        bad.answer(answer)
        (ended,) = within(LONG, lambda: outcomes(cluster, [call], way))
        assert ended[0] is Outcome.MAYBE_APPLIED
        within(LONG, lambda: assert_in_step(cluster))


def test_statistics_that_a_server_does_not_have_are_an_answer(create: Create, bad: ScriptedServer) -> None:
    with connected(create, bad) as cluster:
        with pytest.raises(MemcacheUnknownCommandError) as caught:
            cluster.stats("bogus")
        assert not isinstance(caught.value, HostError)
        assert cluster.version()
    assert bad.connections == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.set("k", "\udc80"),
        lambda c: c.set("k", 10**5000),
        lambda c: c.set(10**5000, b"v"),
        lambda c: c.set("k", b"v", expire=10**5000),
        lambda c: c.cas("k", b"v", 10**5000),
        lambda c: c.cas("k", b"v", "1" * 5000),
        lambda c: c.incr("k", -(10**5000)),
        lambda c: c.get_many(None),
        lambda c: c.delete_many(5),
        lambda c: c.raw_command(None),
        lambda c: c.raw_command("\udc80"),
        lambda c: c.raw_command("mn", None),
        lambda c: c.raw_command("mn", b""),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(create: Create, bad: ScriptedServer, call: Call) -> None:
    with connected(create, bad) as cluster, pytest.raises(NydusError) as caught:
        call(cluster)
    assert isinstance(caught.value, MemcacheIllegalInputError)
    assert "Nothing was sent" in str(caught.value)
    assert len(str(caught.value)) < 300
    assert bad.requests == []


# Memory --------------------------------------------------------------------------------------------------------

ENORMOUS = [
    b"VALUE k 0 99999999999\r\nabc",
    b"VALUE k 0 " + b"9" * 5000 + b"\r\n",
    b"VALUE k " + b"9" * 5000 + b" 1\r\nx\r\nEND\r\n",
    b"VALUE k 0 -99999999999\r\n",
    b"9" * 5000 + b"\r\n",
]

PROGRAM = """
import asyncio, resource, sys
from nydus_core import HostError, create_async_cluster, create_cluster

def blocking(settings):
    with create_cluster(settings) as cluster:
        cluster.get("k")

async def awaited(settings):
    async with create_async_cluster(settings) as cluster:
        await cluster.get("k")

get = blocking if sys.argv[1] == "blocking" else lambda settings: asyncio.run(awaited(settings))

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    hosts = [{"unix_socket_path": path, "timeout": 40}]
    try:
        get({"engine": "memcache", "hosts": hosts, "retry": {"attempts": 1}})
        print("value")
    except HostError as error:
        print(type(error).__name__)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks at the memory of a process as Linux counts it")
@pytest.mark.parametrize("side", ["blocking", "asyncio"])
def test_what_an_answer_claims_to_hold_is_not_believed(real: MemcachedServer, side: str) -> None:
    with ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer(real)) for _ in ENORMOUS]
        for server, stream in zip(servers, ENORMOUS, strict=True):
            server.answer(stream, close=True)
        program = [sys.executable, "-c", PROGRAM, side, *[server.path for server in servers]]
        *said, megabytes = subprocess.check_output(program, text=True, timeout=50).splitlines()
    assert said == ["MaybeApplied"] * len(ENORMOUS)
    assert int(megabytes) < 100
