"""Commands that are packed together have the bytes that redis-py sends, and methods of ours send what redis-py's would."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
import redis
from redis.utils import HIREDIS_AVAILABLE

from nydus_core import create_cluster
from nydus_core.cluster.promise import settle
from nydus_core.drafts import Commands, command_of, form_of, words_of
from nydus_redis.commands import PLAINLY, RedisCommand, pack_all
from nydus_redis.commands.packing import pack_one
from nydus_redis.engine.blocking import Redis
from nydus_redis.surface.quick import Quick
from queueing import Queue, refuses_when_too_late

#: Words of all types that a draft may hold, some of them longer than the prefixes that are kept.
WORDS: tuple[Any, ...] = (
    *("", "a", "key", "k\r\n", "$3\r\nfoo", "x" * 5000, b"", b"\x00\xff", b"\r\n", b"y" * 4097),
    *(0, 1, -1, 10**20, -(10**30), 1.0, -0.5, 1e300, float("inf"), float("-inf"), float("nan")),
)
NAMES = ("GET", "SET", "INCRBY", "HSET", "ZADD")


@cache
def _connection() -> Any:
    """A connection of redis-py, which only packs."""
    make: Any = redis.Connection
    return make()


def redis_py_packs(*words: Any) -> bytes:
    return b"".join(_connection().pack_command(*words))


def rows(seed: int) -> list[tuple[Any, ...]]:
    dice = random.Random(seed)
    names = NAMES if seed % 3 else NAMES[:1]  # now and then all are alike
    sizes = (1, 2, 3, 6) if seed % 2 else (2,)
    return [
        (dice.choice(names), *dice.choices(WORDS, k=dice.choice(sizes))) for _ in range(dice.randint(1, 40))
    ]


@pytest.mark.parametrize("seed", range(60))
def test_commands_that_are_packed_together_have_the_bytes_of_redis_py(seed: int) -> None:
    found = rows(seed)
    assert pack_all(found) == b"".join(redis_py_packs(*row) for row in found)


@pytest.mark.parametrize("seed", range(20))
def test_commands_that_are_packed_already_stay_in_their_place(seed: int) -> None:
    found = rows(seed)
    dice = random.Random(seed)
    given = [redis_py_packs(*row) if dice.random() < 0.5 else row for row in found]
    assert pack_all(given) == b"".join(redis_py_packs(*row) for row in found)


@pytest.mark.parametrize(
    "pair", [(0.0, -0.0), (1, 1.0), (1, b"1"), ("a", b"a"), ("", ""), (2, 2), (1.5, 1.5)]
)
def test_words_that_are_equal_or_look_alike_keep_their_own_bytes(pair: tuple[Any, Any]) -> None:
    found = [("ZADD", "k", word, "m") for word in (*pair, *pair)]
    assert pack_all(found) == b"".join(redis_py_packs(*row) for row in found)


def test_text_and_bytes_are_not_compared() -> None:
    program = "from nydus_redis.commands import pack_all; print(len(pack_all([('SET', 'a', b'1'), ('SET', b'a', '1')])))"
    done = subprocess.run([sys.executable, "-bb", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "54\n"), done.stderr


@pytest.mark.parametrize("size", [1023, 1024, 1025, 9000])
def test_more_commands_than_are_packed_at_once(size: int) -> None:
    found = [("SET" if number % 7 else "GET", f"k{number}", number) for number in range(size)]
    assert pack_all(found) == b"".join(redis_py_packs(*row) for row in found)


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_command_of_many_words_has_the_bytes_of_redis_py(count: int) -> None:
    words = [b"w" * (number % 7) for number in range(count)]
    assert pack_one("MGET", words) == redis_py_packs("MGET", *words)


# Methods of our own -----------------------------------------------------------------------------------------------


class _Recorder:
    """Takes the words that a method sends."""

    def execute_command(self, *args: Any, **options: Any) -> Any:
        options.pop("keys", None)
        return args, options


class _Ours(_Recorder, Quick, redis.Redis):
    pass


class _RedisPy(_Recorder, redis.Redis):
    pass


def ended(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return type(error), str(error).replace("_Ours", "").replace("_RedisPy", "")


#: The options of SET that redis-py takes, in all its versions that we know; each with some values.
SET_OPTIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("ex", "px", "exat", "pxat"), (None, 0, 1, 7, "7", 1.5)),
    **dict.fromkeys(("nx", "xx", "keepttl", "get"), (False, True, None, 1)),
    "no_such_option": (1,),
}


@pytest.mark.parametrize("seed", range(300))
def test_set_sends_the_words_that_redis_py_sends(seed: int) -> None:
    dice = random.Random(seed)
    args = dice.choices(WORDS, k=dice.choice((0, 1, 2, 2, 2, 3, 4)))
    chosen = dice.sample(sorted(SET_OPTIONS), k=dice.choice((0, 0, 1, 2)))
    options = {name: dice.choice(SET_OPTIONS[name]) for name in chosen}
    ours, theirs = _Ours(), _RedisPy()
    assert repr(ended(lambda: ours.set(*args, **options))) == repr(
        ended(lambda: theirs.set(*args, **options))
    )


@pytest.mark.parametrize("word", [*WORDS, None, [], object])
def test_get_sends_the_words_that_redis_py_sends(word: Any) -> None:
    ours, theirs = _Ours(), _RedisPy()
    assert repr(ours.get(word)) == repr(theirs.get(word))
    assert repr(ours.get(name=word)) == repr(theirs.get(name=word))


@pytest.mark.parametrize("name", ["get", "set"])
def test_methods_of_our_own_are_documented_as_those_of_redis_py(name: str) -> None:
    assert getattr(Quick, name).__doc__ == getattr(redis.Redis, name).__doc__


# Drafts -----------------------------------------------------------------------------------------------------------


def queued(call: Callable[[Any], Any]) -> tuple[list[Any], RedisCommand | None]:
    """The drafts that a call queues, and the command that ``Wire.describe`` makes of it; None where that raises."""
    make_surface: Any = Redis.surface([{}])
    queue = Queue()
    call(make_surface.of_map(queue))
    described: list[Any] = []
    call(make_surface(described.append))
    return queue.kept, described[0]


CALLS: dict[str, Callable[[Any], Any]] = {
    "get": lambda conn: conn.get("k"),
    "get of bytes": lambda conn: conn.get(b"k\xff"),
    "get beyond ASCII": lambda conn: conn.get("schlüssel"),
    "get of a number": lambda conn: conn.get(7),
    "set": lambda conn: conn.set("k", "v"),
    "set beyond ASCII": lambda conn: conn.set("k", "wörter"),
    "set of a number": lambda conn: conn.set("k", 1),
    "set of a float": lambda conn: conn.set("k", 1.5),
    "set with options": lambda conn: conn.set("k", "v", ex=3, nx=True),
    "set that answers": lambda conn: conn.set("k", "v", get=True),
    "incr": lambda conn: conn.incr("k"),
    "incr by some": lambda conn: conn.incr("k", 5),
    "decr": lambda conn: conn.decr("k"),
    "hset": lambda conn: conn.hset("h", mapping={"f": 1, "g": b"x"}),
    "hget": lambda conn: conn.hget("h", "f"),
    "zadd": lambda conn: conn.zadd("z", {"m": 1.5}),
    "zrange": lambda conn: conn.zrange("z", 0, -1, withscores=True),
    "lrange": lambda conn: conn.lrange("l", 0, -1),
    "mget": lambda conn: conn.mget("a", "b"),
    "mget of one": lambda conn: conn.mget("a"),
    "mset of one": lambda conn: conn.mset({"a": 1}),
    "delete": lambda conn: conn.delete("a", "b"),
    "delete of one": lambda conn: conn.delete("a"),
    "exists of one": lambda conn: conn.exists(b"a"),
    "hscan": lambda conn: conn.hscan("h"),
    "blpop": lambda conn: conn.blpop("l", 1),
    "ping": lambda conn: conn.ping(),
    "unknown": lambda conn: conn.execute_command("X.Y", "k", keys=["k"]),
    "small letters": lambda conn: conn.execute_command("get", "k"),
    "bytes": lambda conn: conn.execute_command(b"GET", "k"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_command_of_a_draft_is_the_command_of_the_call(call: Callable[[Any], Any]) -> None:
    (draft,), described = queued(call)
    made: Any = command_of(draft)
    for name in (
        "name",
        "keys",
        "access",
        "split",
        "scope",
        "kwargs",
        "callback",
        "packed",
        "waits",
        "bound",
    ):
        assert getattr(made, name) == getattr(described, name), name
    assert [*map(str, made.keys)] == [*map(str, described.keys)]  # type: ignore[union-attr]
    if form_of(draft) is not None:
        assert pack_all([words_of(draft)]) == made.packed


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis redis-py refuses a bytearray")
@pytest.mark.parametrize(
    "call",
    [
        lambda conn, buffer: conn.set(buffer, buffer),
        lambda conn, buffer: conn.get(buffer),
        lambda conn, buffer: conn.mget([buffer, "other"]),
        lambda conn, buffer: conn.mset({"a": buffer, "b": buffer, "c": memoryview(buffer)}),
        lambda conn, buffer: conn.delete(buffer, memoryview(buffer)),
        lambda conn, buffer: conn.zadd("z", {"m": 1}, gt=True),
    ],
)
def test_what_is_queued_is_sent_as_it_was_at_the_call(call: Callable[[Any, bytearray], Any]) -> None:
    buffer = bytearray(b"before")
    (draft,), described = queued(lambda conn: call(conn, buffer))
    made: Any = command_of(draft)
    assert described is not None
    before = described.packed, made.packed, described.keys, made.keys, [*map(bytes, described.keys)]
    groups = [[position] for position in range(len(made.keys))]
    buffer[:] = b"after!"
    assert (described.packed, made.packed, described.keys, made.keys, [*map(bytes, described.keys)]) == before
    both: list[Any] = [made, described]
    for command in both:
        if command.split is not None:
            assert all(b"after" not in part.packed for part in command.split.cut(command, groups))


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis nothing is drafted")
def test_calls_of_one_key_without_options_are_drafts() -> None:
    drafts = {name for name, call in CALLS.items() if form_of(queued(call)[0][0]) is not None}
    whole = {
        "get of a number",
        "set that answers",
        "zrange",
        "mget",
        "delete",
        "hscan",
        "blpop",
        "ping",
        "unknown",
    }
    assert drafts == set(CALLS) - whole - {"small letters", "bytes"}


#: Further arguments of calls: redis-py converts them, or refuses them.
ODD_WORDS: tuple[Any, ...] = (None, True, [], [b"a", "b"], timedelta(seconds=5), 10**700, "\ud800", "\xfc")


def queued_and_sent(make_surface: Any, call: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The bytes that a call queues in a block, and those that redis-py's own method makes; or the exceptions."""

    def in_a_block() -> Any:
        queue = Queue()
        call(make_surface.of_map(queue))
        made: Any = command_of(queue.kept[0])
        return made.packed, made.kwargs

    def by_redis_py() -> Any:
        words, reading = call(_RedisPy())
        described: list[Any] = []
        make_surface(described.append).execute_command(*words, **reading)
        return described[0].packed, described[0].kwargs

    return ended(in_a_block), ended(by_redis_py)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("method", PLAINLY)
def test_a_short_way_to_a_draft_sends_the_bytes_that_redis_py_sends(method: str, seed: int) -> None:
    _, count, *_ = PLAINLY[method]
    dice = random.Random(f"{method} {seed}")
    make_surface = Redis.surface([{}])
    for _ in range(20):
        args = dice.choices(WORDS, k=max(0, count + dice.choice((0, 0, 0, -1, 1))))
        if args and dice.random() < 0.3:
            args[dice.randrange(len(args))] = dice.choice(ODD_WORDS)
        options = {"name": dice.choice(WORDS)} if dice.random() < 0.1 else {}

        def call(conn: Any, args: Any = args, options: Any = options) -> Any:
            return getattr(conn, method)(*args, **options)

        ours, theirs = queued_and_sent(make_surface, call)
        assert ours == theirs or (ours[0] is theirs[0] is TypeError), (args, options)


def test_a_text_without_utf_8_is_refused_at_the_call() -> None:
    with create_cluster(
        {"engine": "redis", "router": "rendezvous", "hosts": [{"port": 1}, {"port": 2}]}
    ) as cluster:
        with pytest.raises(UnicodeEncodeError), cluster.map() as conn:
            conn.set("k", "\ud800")
        with pytest.raises(UnicodeEncodeError), cluster.map() as conn:
            conn.get("\ud800")
        assert len(conn) == 0


@pytest.mark.parametrize(
    "call", [lambda conn: conn.get("k"), lambda conn: conn.set("k", "v"), lambda conn: conn.incr("k")]
)
def test_a_draft_that_comes_too_late_is_refused(call: Callable[[Any], Any]) -> None:
    refuses_when_too_late("redis", call)


def test_a_sequence_of_commands_shows_drafts_as_commands() -> None:
    (draft,), described = queued(CALLS["get"])
    commands = Commands([draft, described, draft])
    assert [command.name for command in commands] == ["GET"] * 3
    assert commands[1] is described
    assert commands[-1].keys == (b"k",)
    assert isinstance(commands[:2], Commands)
    assert len(commands[:2]) == 2
    settle([draft], [b"v"])
    assert [command.packed for command in commands] == [described.packed] * 3  # type: ignore[attr-defined]
