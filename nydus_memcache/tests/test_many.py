"""Many keys at once mean the same as each by itself: how keys are checked, requests written, and answers read."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from pymemcache.exceptions import (
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
    MemcacheUnexpectedCloseError,
    MemcacheUnknownError,
)
from pymemcache.serde import FLAG_INTEGER, FLAG_TEXT

from memcached import MemcachedServer
from nydus_core import create_cluster
from nydus_core.command import Outcome, outcome_of
from nydus_memcache import IllegalArgument, IllegalKey, Memcache
from nydus_memcache.commands import read_items
from nydus_memcache.connection.link import Link
from nydus_memcache.connection.received_aio import NeedMore, Received
from nydus_memcache.engine.outcomes import Failure, outcomes
from nydus_memcache.engine.runs import runs
from odd import Word

#: Values that look like a part of an answer, or like none.
ODD: list[bytes] = [
    b"",
    b"\r\n",
    b"END\r\n",
    b"\r\nEND\r\n",
    b"END",
    b"VALUE k0 0 5\r\nvalue\r\nEND\r\n",
    b"value\r",
    b"\nvalue",
    b"\x00\xff\x80",
    b"SERVER_ERROR out of memory\r\n",
    b"v" * 5000,
]


def surface(**options: Any) -> Any:
    """A surface whose calls return their commands."""
    return Memcache.surface([options])(lambda command: command)


def outcome(call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """The value of a call, or the text of its refusal."""
    try:
        return call(*args, **kwargs)
    except (IllegalKey, IllegalArgument) as error:
        return str(error)


# Keys and requests ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", [b"", b"app:"])
@pytest.mark.parametrize("unicode_keys", [False, True])
def test_many_keys_are_taken_or_refused_as_each_by_itself(prefix: bytes, unicode_keys: bool) -> None:
    calls = surface(key_prefix=prefix, allow_unicode_keys=unicode_keys)
    odd = [bytes([byte]) for byte in range(256)] + [b"", b"k" * 246, b"k" * 247, b"k" * 250, b"k" * 251]
    for key in odd:
        for given in (key, key.decode("latin-1"), b"a" + key + b"b"):
            other: Any = "other" if isinstance(given, str) else b"other"
            single, several = outcome(calls.get, given), outcome(calls.get_many, [other, given, other])
            if isinstance(single, str):
                assert several == single
                assert outcome(calls.get_many, [given]) == single
            else:
                assert several.keys == [b"other", single.keys[0], b"other"]
                assert several.request == b"get %bother %b %bother\r\n" % (
                    prefix,
                    single.request[4:-2],
                    prefix,
                )


def test_many_keys_may_be_of_several_types() -> None:
    assert surface().get_many(["a", b"b", Word.RED]).request == b"get a b red\r\n"


@pytest.mark.parametrize("options", [{}, {"key_prefix": b"app:"}, {"pickle": True}])
@pytest.mark.parametrize("more", [{}, {"noreply": True}, {"expire": 100}, {"expire": -1, "flags": 7}])
@pytest.mark.parametrize(
    "values", [ODD, ["text", "ü", ""], [1, -5, 10**30], [b"bytes", "text", 7], [Word.RED, b"bytes"]]
)
def test_set_many_sends_as_each_by_itself(
    options: Mapping[str, Any], more: Mapping[str, Any], values: list[Any]
) -> None:
    calls = surface(**options)
    given = {f"k{number}": value for number, value in enumerate(values)}

    each = [outcome(calls.set, key, value, **more) for key, value in given.items()]
    several = outcome(calls.set_many, given, **more)
    refused = [one for one in each if isinstance(one, str)]
    if refused:
        assert several == refused[0]
    else:
        assert several.request == b"".join(one.request for one in each)
        assert several.part([1, 0]).request == each[1].request + each[0].request


@pytest.mark.parametrize("noreply", [False, True])
def test_delete_many_sends_as_each_by_itself(noreply: bool) -> None:
    calls = surface(key_prefix=b"app:")
    keys = ["a", "b", "c"]
    each = [calls.delete(key, noreply=noreply).request for key in keys]
    command = calls.delete_many(keys, noreply=noreply)
    assert command.request == b"".join(each)
    assert command.part([2, 0]).request == each[2] + each[0]
    assert calls.delete_many([]).request == calls.set_many({}).request == b""


# Answers --------------------------------------------------------------------------------------------------------------


def item(verb: bytes, key: bytes, flags: int, value: bytes) -> bytes:
    token = b" 17" if verb == b"gets" else b""
    return b"VALUE %b %d %d%b\r\n%b\r\n" % (key, flags, len(value), token, value)


def told(verb: bytes, flags: int, value: bytes) -> Any:
    if verb == b"gets":
        return flags, value, b"17"
    return (flags, value) if flags else value


def read_over_a_connection(verb: bytes, keys: Iterable[bytes], stream: bytes) -> Any:
    near, far = socket.socketpair()
    link = Link(near, 5)
    with near, far:
        far.sendall(stream)
        far.shutdown(socket.SHUT_WR)
        return read_items(link, verb, list(keys))


def read_in_pieces(verb: bytes, keys: Iterable[bytes], stream: bytes, cuts: Iterable[int]) -> Any:
    received, wanted = Received(), list(keys)
    for start, end in pairwise([0, *sorted(cuts), len(stream)]):
        if start < end and received.add(stream[start:end]):
            try:
                return read_items(received, verb, wanted)
            except NeedMore:
                continue
    raise EOFError


@pytest.mark.parametrize("verb", [b"get", b"gets"])
@pytest.mark.parametrize("flags", [[0], [FLAG_TEXT], [0, FLAG_INTEGER, 2**32 - 1]])
@pytest.mark.parametrize("copies", [1, 60])
def test_values_that_look_like_answers(verb: bytes, flags: list[int], copies: int) -> None:
    choose = random.Random(1)
    plain = [b"value", b"", b"v" * 70]
    for values in ([*plain] * copies, [*ODD, *plain] * copies, [*plain * 10, *ODD]):
        stored = {b"k%d" % number: (flags[number % len(flags)], value) for number, value in enumerate(values)}
        stream = b"".join(item(verb, key, *each) for key, each in stored.items()) + b"END\r\n"
        expected = {key: told(verb, *each) for key, each in stored.items()}
        if len(stream) < 100_000:  # as much as a socket takes
            assert read_over_a_connection(verb, stored, stream) == expected
        assert read_in_pieces(verb, stored, stream, []) == expected
        for _ in range(30):
            cuts = choose.sample(range(1, len(stream)), choose.choice([1, 2, 10, 50]))
            assert read_in_pieces(verb, stored, stream, cuts) == expected


def test_an_answer_of_many_lines_may_be_cut_anywhere() -> None:
    stored = {b"k%d" % number: (0, b"value %d" % number) for number in range(20)}
    stream = b"".join(item(b"get", key, *each) for key, each in stored.items()) + b"END\r\n"
    for cut in range(1, len(stream)):
        assert read_in_pieces(b"get", stored, stream, [cut]) == {k: v for k, (_, v) in stored.items()}
        with pytest.raises(EOFError):
            read_in_pieces(b"get", stored, stream[:cut], [])


BAD = [
    b"VALUE kx 0 5 17 18\r\nvalue\r\n",
    b"VALUE kx 0\r\nvalue\r\n",
    b"VALUE kx 0 5\r\nvalue!\r\n",
    b"VALUE kx 0 6\r\nvalue\r\n",
    b"VALUE kx x 5\r\nvalue\r\n",
    b"VALUE kx 0 +5\r\nvalue\r\n",
    b"VALUE kx 0 5 VALUE\r\nvalue\r\n0 5 17\r\nvalue\r\n",
    b"VALUE  0 5\r\nvalue\r\n",
    b"value kx 0 5\r\nvalue\r\n",
    b"STORED\r\n",
    b"\r\n",
    b"VALUE other 0 5\r\nvalue\r\n",
]


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("place", [0, 1, 30, 59, 60])
def test_a_line_that_makes_no_sense_among_many(bad: bytes, place: int) -> None:
    keys = [b"k%d" % number for number in range(60)]
    items = [item(b"get", key, 0, b"value") for key in keys]
    stream = b"".join([*items[:place], bad, *items[place:]]) + b"END\r\n"
    with pytest.raises(MemcacheUnknownError):
        read_over_a_connection(b"get", [*keys, b"kx"], stream)


@pytest.mark.parametrize("place", [0, 1, 30, 60])
def test_a_refusal_among_many_items_is_found_at_once(place: int) -> None:
    keys = [b"k%d" % number for number in range(60)]
    items = [item(b"get", key, 0, b"value") for key in keys]
    stream = b"".join(items[:place]) + b"SERVER_ERROR out of memory writing get response\r\n"
    near, far = socket.socketpair()
    with near, far:
        far.sendall(stream)  # nothing comes behind it
        answer = read_items(Link(near, 5), b"get", keys)
    assert isinstance(answer, MemcacheError)


# In a map() -----------------------------------------------------------------------------------------------------------


def ends_of(commands: Sequence[Any], stream: bytes, sent: int) -> list[Any]:
    """The outcomes of commands whose answers are a stream that ends, when so many bytes of them were sent."""
    all_runs, answers = runs(commands), list[Any]()
    near, far = socket.socketpair()
    link = Link(near, 5)
    with near, far:
        far.sendall(stream)
        far.shutdown(socket.SHUT_WR)
        try:
            answers += [run.read(link) for run in all_runs]
        except MemcacheUnexpectedCloseError as error:
            return outcomes(Memcache(0), all_runs, answers, Failure(error, sent, sent))
    return outcomes(Memcache(0), all_runs, answers)


def test_commands_that_are_sent_together_end_each_by_itself() -> None:
    calls = surface()
    commands = [calls.set(f"k{number}", b"v") for number in range(8)]
    size = len(commands[0].request)
    answered = b"STORED\r\nNOT_STORED\r\nSERVER_ERROR out of memory storing object\r\nSTO"
    found = ends_of(commands, answered, sent=5 * size + 1)
    assert found[:2] == [True, False]
    assert isinstance(found[2], MemcacheServerError)
    assert "k2" in str(found[2])
    assert [outcome_of(each) for each in found[3:]] == [Outcome.MAYBE_APPLIED] * 3 + [Outcome.NOT_SENT] * 2
    whole = ends_of(commands, b"STORED\r\n" * 7 + b"NOT_STORED\r\n", sent=0)
    assert whole == [True] * 7 + [False]


def test_behind_a_refused_line_of_many_nothing_is_believed() -> None:
    calls = surface()
    commands = [calls.set(f"k{number}", b"v") for number in range(4)]
    sent = sum(len(command.request) for command in commands)
    found = ends_of(commands, b"STORED\r\nCLIENT_ERROR bad data chunk\r\nSTORED\r\nSTORED\r\n", sent)
    assert found[0] is True
    assert isinstance(found[1], MemcacheClientError)
    assert [outcome_of(each) for each in found[2:]] == [Outcome.MAYBE_APPLIED] * 2


def test_a_map_of_all_kinds_answers_each() -> None:
    calls = surface()
    story: list[tuple[Any, bytes, Any]] = [
        (calls.set("a", b"1"), b"STORED\r\n", True),
        (calls.set("b", b"1"), b"STORED\r\n", True),
        (calls.set("c", b"1", noreply=True), b"", True),
        (calls.add("a", b"1"), b"NOT_STORED\r\n", False),
        (calls.add("d", b"1"), b"STORED\r\n", True),
        (calls.incr("a"), b"2\r\n", 2),
        (calls.incr("x"), b"NOT_FOUND\r\n", None),
        (calls.get("a"), b"VALUE a 0 1\r\n2\r\n", b"2"),
        (calls.get("x", 7), b"", 7),
        (calls.get_many(["a", "x"]), b"VALUE a 0 1\r\n2\r\nEND\r\n", {"a": b"2"}),
        (calls.gets("a"), b"VALUE a 0 1 17\r\n2\r\n", (b"2", b"17")),
        (calls.gets("x"), b"END\r\n", (None, None)),
        (calls.get("a"), b"VALUE a 16 2\r\n\xc3\xbc\r\n", "ü"),
        (calls.get("b"), b"VALUE b 2 1\r\n1\r\nEND\r\n", 1),
        (calls.delete("a"), b"DELETED\r\n", True),
        (calls.delete("x"), b"NOT_FOUND\r\n", False),
        (calls.touch("a"), b"TOUCHED\r\n", True),
        (calls.stats(), b"STAT a 1\r\nEND\r\n", {b"a": 1}),
        (calls.stats(), b"END\r\n", {}),
        (calls.version(), b"VERSION 1.6\r\n", b"1.6"),
        (calls.version(), b"VERSION 1.6\r\n", b"1.6"),
        (calls.flush_all(), b"OK\r\n", True),
    ]
    commands = [command for command, _, _ in story]
    found = ends_of(commands, b"".join(answer for _, answer, _ in story), 0)
    assert found == [value for _, _, value in story]
    # Neighbours with the same verb are one; each that is silent, and each of the stats, stands alone
    assert len(runs(commands)) == 13


# On real servers --------------------------------------------------------------------------------------------------------


def test_odd_values_come_back_from_many_hosts(
    memcached_servers: Callable[[int], list[MemcachedServer]],
) -> None:
    hosts = [{"unix_socket_path": server.path} for server in memcached_servers(4)]
    with create_cluster({"engine": "memcache", "router": "redis-slots", "hosts": hosts}) as cluster:
        values: dict[str | bytes, Any] = {f"odd:{number}": value for number, value in enumerate(ODD * 30)}
        values |= {f"text:{number}": "ü\r\n" * number for number in range(50)}
        values |= {f"number:{number}": number**7 for number in range(50)}
        values |= {b"\xff\x80:%d" % number: b"%d" % number for number in range(50)}
        values |= {"large": random.Random(1).randbytes(1_000_000), "large text": "x" * 1_000_000}
        values["large-text"] = values.pop("large text")
        keys = list(values)
        assert cluster.set_many(values) == []
        found = cluster.get_many(keys)
        assert list(found.items()) == list(values.items())
        assert {key: value for key, (value, _) in cluster.gets_many(keys).items()} == values
        with cluster.map() as conn:
            promises = [conn.get(key) for key in keys]
        assert [promise.value for promise in promises] == list(values.values())
        assert cluster.delete_many(keys[:100]) is True
        assert list(cluster.get_many([*keys, "missing", *keys])) == keys[100:]
