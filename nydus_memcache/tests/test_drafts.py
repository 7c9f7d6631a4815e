"""Calls that a map() queues as drafts: refused, sent, and answered as the same calls are outside of it."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from pymemcache.exceptions import MemcacheError
from pymemcache.serde import CompressedSerde

from memcache_calls import CALLS, sent_by_pymemcache
from memcached import MemcachedServer
from nydus_core import CommandError, create_cluster
from nydus_core.drafts import Commands, command_of, form_of, keys_of
from nydus_memcache import Memcache
from nydus_memcache.connection.link import Link
from nydus_memcache.engine.outcomes import Failure, outcomes
from nydus_memcache.engine.runs import runs
from odd import Word
from queueing import Queue, refuses_when_too_late

OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"key_prefix": "app:"},
    {"pickle": True},
    {"allow_unicode_keys": True},
    {"serde": CompressedSerde(min_compress_len=10)},
)
#: Keys and values, some of which no server takes.
KEYS: tuple[Any, ...] = (
    *("k", "key:1", b"k", b"\xff", "k" * 246, "k" * 250, b"k" * 250, "~!", Word.RED),
    *(
        "",
        b"",
        "a b",
        " a",
        "a\n",
        "a\x7f",
        "\x00",
        b"a b",
        "k" * 251,
        b"k" * 251,
        "schlüssel",
        "\ud800",
        7,
        None,
    ),
)
VALUES: tuple[Any, ...] = (
    *(b"", b"value", b"\r\nEND\r\n", b"v" * 5000, "text", "grüße", 7, -1, 10**30),
    *(Word.RED, None, 1.5, ["list"], "\ud800"),
)
NUMBERS: tuple[Any, ...] = (0, 0, 0, 1, 60, -1, 2**63, True, "1", None, 1.0)
FLAGS: tuple[Any, ...] = (None, None, None, 0, 7, 2**32 - 1, 2**32, -1, "1")


def queued(calls: Sequence[Callable[[Any], Any]], **options: Any) -> tuple[list[Any], list[Any]]:
    """The drafts that calls queue, and their commands outside of a map(); in the place of an error its class and text."""
    make_surface: Any = Memcache.surface([options])
    queue = Queue()
    ours, plain = make_surface.of_map(queue), make_surface(lambda command: command)
    errors, commands = list[Any](), list[Any]()
    for call in calls:
        for side, kept in ((ours, errors), (plain, commands)):
            try:
                kept.append(call(side))
            except (MemcacheError, UnicodeEncodeError) as error:
                kept.append((type(error), str(error)))
    made = iter(queue.kept)
    return [each if type(each) is tuple else next(made) for each in errors], commands


def random_call(dice: random.Random) -> Callable[[Any], Any]:
    """Any call with one key, for the most part one that a server takes."""
    odd = dice.random() < 0.2
    key = dice.choice(KEYS if odd else KEYS[:4])
    value = dice.choice(VALUES if odd else VALUES[:8])
    number, flags = dice.choice(NUMBERS if odd else NUMBERS[:5]), dice.choice(FLAGS if odd else FLAGS[:5])
    noreply = dice.choice((None, False, None, False, True))
    kind = dice.choice(("get", "gets", "store", "store", "keyed", "delete", "touch"))
    name = dice.choice(("set", "set", "add", "replace", "append", "prepend"))
    count = dice.choice(("incr", "decr"))
    extra: dict[str, Any] = (
        {"expire": number, "noreply": noreply, "flags": flags} if dice.random() < 0.5 else {}
    )
    calls: dict[str, Callable[[Any], Any]] = {
        "get": lambda c: c.get(key, *([5] if odd else [])),
        "gets": lambda c: c.gets(key),
        "store": lambda c: getattr(c, name)(key, value, **extra),
        "keyed": lambda c: getattr(c, count)(key, number, noreply),
        "delete": lambda c: c.delete(key, noreply),
        "touch": lambda c: c.touch(key, number, noreply),
    }
    return calls[kind]


SHOWN = (
    *("name", "args", "kwargs", "keys", "access", "split", "scope", "word", "gives", "idempotent", "bound"),
    *("patterns", "waits", "verb", "silent", "gathers", "request", "wire_form"),
)


@pytest.mark.parametrize("seed", range(60))
def test_the_command_of_a_draft_is_the_command_of_the_call(seed: int) -> None:
    dice = random.Random(seed)
    drafts, commands = queued([random_call(dice) for _ in range(20)], **OPTIONS[seed % len(OPTIONS)])
    for draft, command in zip(drafts, commands, strict=True):
        if type(draft) is tuple:  # the error comes at the call, and is the same
            assert draft == command
            continue
        made: Any = command_of(draft)
        assert type(made) is type(command)
        for name in SHOWN:
            assert getattr(made, name) == getattr(command, name), name
        assert repr(made) == repr(command)
        if form_of(draft) is not None:
            assert keys_of([draft]) == [*command.keys]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("options", OPTIONS[:2])
def test_a_map_sends_what_pymemcache_would_have_sent(
    call: Callable[[Any], Any], options: dict[str, Any]
) -> None:
    (draft,), _ = queued([call], **options)
    (run,) = runs(Commands([draft] if form_of(draft) is not None else [command_of(draft)]))
    assert run.request == sent_by_pymemcache(
        call, **{name: value.encode() for name, value in options.items()}
    )


def as_items(drafts: Sequence[Any]) -> Commands:
    """The commands of a lane: drafts where there are drafts of a form, else whole commands."""
    return Commands([draft if form_of(draft) is not None else command_of(draft) for draft in drafts])


@pytest.mark.parametrize("seed", range(60))
def test_calls_that_are_queued_together_are_sent_as_without_drafts(seed: int) -> None:
    dice = random.Random(seed)
    several = [random_call(dice) for _ in range(dice.choice((1, 2, 40)))]
    if seed % 2:  # many alike
        several = [call for call in several for _ in range(dice.choice((1, 3, 200)))]
    drafts, commands = queued(several, **OPTIONS[seed % len(OPTIONS)])
    kept = [
        (draft, command)
        for draft, command in zip(drafts, commands, strict=True)
        if type(draft) is not tuple and (seed % 3 or form_of(draft) is not None)  # now and then drafts alone
    ]
    ours, plain = runs(as_items([draft for draft, _ in kept])), runs([command for _, command in kept])
    assert b"".join(run.request for run in ours) == b"".join(run.request for run in plain)
    assert [run.silent for run in ours if run.silent] == [run.silent for run in plain if run.silent]


def test_calls_of_one_key_that_are_answered_are_drafts() -> None:
    drafts, _ = queued(CALLS)
    whole = [command_of(draft) for draft in drafts if form_of(draft) is None]
    apart = {"cas", "get_many", "gets_many", "set_many", "delete_many", "stats", "version", "flush_all"}
    apart |= {"cache_memlimit", "raw_command", "quit", "shutdown"}
    assert {command.name for command in whole if not command.silent} == apart  # type: ignore[attr-defined]
    assert {command.name for command in whole if command.silent} >= {"set", "delete", "decr", "touch"}  # type: ignore[attr-defined]


# Answers --------------------------------------------------------------------------------------------------------------


def ends_of(commands: Sequence[Any], stream: bytes, sent: int) -> list[Any]:
    """How commands end whose answers are a stream that ends, when so many bytes of them were sent."""
    engine, all_runs, answers = Memcache(0), runs(commands), list[Any]()
    near, far = socket.socketpair()
    failure = None
    with near, far:
        far.sendall(stream)
        far.shutdown(socket.SHUT_WR)
        link = Link(near, 5)
        try:
            for run in all_runs:
                answers.append(run.read(link))  # those before an error count
        except MemcacheError as error:
            failure = Failure(error, sent, sent)
    found = outcomes(engine, all_runs, answers, failure)
    return [(type(each), repr(each), getattr(each, "__notes__", None)) for each in found]


def answer_to(commands: Sequence[Any], dice: random.Random) -> bytes:
    """An answer that a server may give to a run of commands."""
    verb = commands[0].verb
    if verb in (b"get", b"gets"):
        token = b" 17" if verb == b"gets" else b""
        found = dict.fromkeys(command.wire_key for command in commands if dice.random() < 0.8)
        values = [
            (key, *dice.choice(((0, b"value"), (0, b"\r\nEND\r\n"), (16, b"text"), (2, b"7"), (2, b"x"))))
            for key in found
        ]
        items = [
            b"VALUE %b %d %d%b\r\n%b\r\n" % (key, flags, len(data), token, data)
            for key, flags, data in values
        ]
        return b"".join(items) + b"END\r\n"
    words = {
        b"incr": (b"7", b"NOT_FOUND"),
        b"decr": (b"0",),
        b"delete": (b"DELETED", b"NOT_FOUND"),
        b"touch": (b"TOUCHED", b"NOT_FOUND"),
    }.get(verb, (b"STORED", b"NOT_STORED"))
    refusals = (b"SERVER_ERROR out of memory storing object", b"ERROR", b"CLIENT_ERROR bad")
    lines = [dice.choice(refusals if dice.random() < 0.02 else words) for _ in commands]
    return b"".join([line + b"\r\n" for line in lines])


@pytest.mark.parametrize("seed", range(120))
def test_drafts_end_as_commands_do_whatever_the_answers(seed: int) -> None:
    dice = random.Random(seed)
    several = [random_call(dice) for _ in range(dice.choice((1, 3, 30)))]
    several = [call for call in several for _ in range(dice.choice((1, 1, 40)))]
    drafts, commands = queued(several, **OPTIONS[seed % 3])
    kept = [
        (draft, command)
        for draft, command in zip(drafts, commands, strict=True)
        if type(draft) is not tuple and form_of(draft) is not None
    ]
    ours, plain = as_items([draft for draft, _ in kept]), [command for _, command in kept]
    stream = b"".join([answer_to([*run.commands], dice) for run in runs(plain)]) if plain else b""
    size = sum(len(run.request) for run in runs(plain))
    fate = seed % 4
    if fate == 1:  # the answers are cut
        stream = stream[: dice.randrange(len(stream) + 1)]
    elif fate == 2 and stream:  # a byte is another one
        place = dice.randrange(len(stream))
        stream = stream[:place] + dice.choice((b"X", b" ", b"\r", b"9")) + stream[place + 1 :]
    sent = size if fate != 3 else dice.randrange(size + 1)
    if fate == 3:
        stream = stream[: dice.randrange(len(stream) // 2 + 1)]
    assert ends_of(ours, stream, sent) == ends_of(plain, stream, sent)


# In clusters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.get("k"),
        lambda c: c.gets("k"),
        lambda c: c.set("k", b"v"),
        lambda c: c.add("k", "v"),
        lambda c: c.incr("k"),
    ],
)
def test_a_call_that_comes_too_late_is_refused(call: Callable[[Any], Any]) -> None:
    refuses_when_too_late("memcache", call)


@pytest.mark.parametrize("name", ["get", "set", "gets", "incr"])
def test_the_methods_of_a_map_are_documented_and_named_as_those_of_a_cluster(name: str) -> None:
    make_surface: Any = Memcache.surface([{}])
    ours, plain = getattr(make_surface.of_map(Queue()), name), getattr(make_surface(repr), name)
    assert (ours.__doc__, ours.__name__, ours.__qualname__) == (
        plain.__doc__,
        plain.__name__,
        plain.__qualname__,
    )
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing 1 required|^{name}\(\) missing 2 required"):
        ours()


def test_drafts_and_commands_among_each_other_keep_their_order(
    memcached_servers: Callable[[int], list[MemcachedServer]],
) -> None:
    hosts = [{"unix_socket_path": server.path, "key_prefix": "app:"} for server in memcached_servers(3)]
    with create_cluster({"engine": "memcache", "router": "slots", "hosts": hosts}) as cluster:
        with cluster.map() as conn:
            found = []
            for number in range(400):
                key = f"k{number % 40}"
                found += [
                    conn.set(key, number),
                    conn.incr(key, 5),
                    conn.get(key),
                    conn.get(key.encode(), b"none"),
                ]
                found += [
                    conn.set(key, b"x", noreply=True),
                    conn.get(key),
                    conn.get_many([key]),
                    conn.delete(key),
                ]
                found += [
                    conn.get(key, "none"),
                    conn.gets(key, 1, 2),
                    conn.touch(key),
                    conn.add(key, "ü", 100),
                ]
        for number in range(400):
            key, each = f"k{number % 40}", found[12 * number : 12 * number + 12]
            assert [promise.value for promise in each] == [
                *(True, number + 5, number + 5, number + 5),
                *(True, b"x", {key: b"x"}, True),
                *("none", (1, 2), False, True),
            ]
        with cluster.map() as conn:
            pairs = [conn.gets(f"k{number}") for number in range(40)]
        for number, pair in enumerate(pairs):
            value, token = pair.value
            assert value == "ü"
            assert token.host in ("0", "1", "2")
            assert cluster.cas(f"k{number}", b"new", token) is True


def test_a_value_that_is_too_large_is_named_by_its_size(
    memcached_servers: Callable[[int], list[MemcachedServer]],
) -> None:
    hosts = [{"unix_socket_path": server.path} for server in memcached_servers(2)]
    with create_cluster({"engine": "memcache", "router": "slots", "hosts": hosts}) as cluster:
        with pytest.raises(CommandError) as caught, cluster.map() as conn:
            for number in range(10):
                conn.set(f"k{number}", b"v" * (2_000_000 if number == 5 else 5))
        (failure,) = caught.value.errors
        assert failure.position == 5
        assert "set b'k5' of 2,000,000 bytes, which deletes the old value, was refused" in str(failure.error)
