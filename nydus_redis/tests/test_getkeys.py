"""Where the keys of a command are, held against COMMAND GETKEYS of real servers: each command that they know.

Calls are made by grammars, with options in any order and words that look like options where keys and values stand.
What a server refuses has no keys to it; ours may refuse it too, but must never name other keys than the server.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from module_servers import newer_server
from nydus_core.command import Access, key_bytes
from nydus_redis.commands.table import lookup, names
from nydus_redis.embedded.server import PrivateServer, _bundled_server, find_server
from spoiling import fuzz

pytestmark = pytest.mark.slow_env  # redis-py's version is nothing to it

Call = tuple[Any, ...]

#: Where COMMAND GETKEYS sees something else, and why.
NOT_COMPARED = {
    "CLUSTERSCAN": "its cursor is no key",
    "PUBLISH": "as SPUBLISH",
    "SPUBLISH": "a server says that its channel is no key, but it routes as one",
    "SSUBSCRIBE": "as SPUBLISH",
    "SUNSUBSCRIBE": "as SPUBLISH",
}


class Asked:
    """A real server, and what it says of each command: how many words a call has, and its flags."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        client.set_response_callback("COMMAND", list)  # redis-py's own leaves subcommands out
        answer: Any = client.execute_command("COMMAND")  # type: ignore[no-untyped-call]
        entries = list(chain.from_iterable((entry, *entry[9]) for entry in answer))
        self.flags = {name_of(entry): {flag.decode() for flag in entry[2]} for entry in entries}
        self.arity = {name_of(entry): entry[1] for entry in entries if not entry[9] or entry[1] == -1}

    def keys(self, calls: list[Call]) -> list[list[bytes] | None]:
        """Return the keys of each call; none where it is legal and has none, None where it is not."""
        with self.client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command("COMMAND GETKEYS", *call)  # type: ignore[no-untyped-call]
            answers = pipe.execute(raise_on_error=False)
        return [self._found(answer) for answer in answers]

    def _found(self, answer: Any) -> list[bytes] | None:
        if isinstance(answer, redis.ResponseError):
            return [] if "no key arguments" in str(answer) else None
        return [*map(key_bytes, answer)]


def name_of(entry: list[Any]) -> str:
    name: bytes = entry[0]
    return name.decode().upper().replace("|", " ")


BINARIES = sorted({str(find_server()), str(_bundled_server()), *newer_server()})


@pytest.fixture(scope="module", params=BINARIES, ids=lambda path: path.rpartition("/")[2])
def server(request: pytest.FixtureRequest) -> Iterator[Asked]:
    with ExitStack() as stack:
        private = stack.enter_context(PrivateServer(executable=request.param))
        yield Asked(stack.enter_context(redis.Redis(unix_socket_path=private.path, protocol=2)))


def test_every_command_of_the_server_is_in_the_table(server: Asked) -> None:
    assert sorted(set(server.arity) - set(names())) == []
    assert len(server.arity) > 350


def test_a_server_says_of_no_command_that_it_writes_where_we_say_that_it_reads(server: Asked) -> None:
    """Nor the other way round, unless it does more than read: PFCOUNT writes its cache, EVAL_RO runs a script."""
    ours = {name: known((name,)).access for name in server.arity if known((name,)).positions}
    assert [
        name for name, access in ours.items() if access is Access.READ and "write" in server.flags[name]
    ] == []
    cautious = {
        name for name, access in ours.items() if access is Access.WRITE and "readonly" in server.flags[name]
    }
    assert cautious == set()


def test_a_server_finds_the_same_keys(server: Asked) -> None:
    """Many legal calls of each command that the server knows; keys and operands are named to mislead."""
    wrong, seen = [], set()
    for name in compared(server):
        pick = random.Random(name)
        calls = [call_of(name, words) for words in legal_words(name, server.arity[name], pick)]
        for call, keys in zip(calls, server.keys(calls), strict=True):
            wrong += [(form, keys) for form in forms(name, call) if ours(form) != (keys or [])]
            seen |= {name} if keys else set()
    assert not wrong[:5]
    keyed = {name for name in compared(server) if known((name,))._finders}
    assert keyed - seen == set(), "no call of these was legal"
    assert len(seen) > 180


def compared(server: Asked) -> list[str]:
    return [name for name in names() if name in server.arity and name not in NOT_COMPARED]


@fuzz(100)
@given(data=st.data())
def test_whatever_order_legal_words_come_in_the_keys_are_the_servers(
    server: Asked, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(set(GRAMMAR) & set(server.arity))))
    pick = data.draw(st.randoms(use_true_random=False))
    call = call_of(name, [dressed(word, pick) for word in GRAMMAR[name](pick)])
    (keys,) = server.keys([call])
    assert keys is not None, call
    for form in forms(name, call):
        assert ours(form) == keys, form


WORDS = st.sampled_from(
    [
        *(
            "STORE",
            "streams",
            "KEYS",
            "GET",
            "by",
            "LIMIT",
            "BLOCK",
            "COUNT",
            "GROUP",
            "AUTH",
            "AUTH2",
            "STOREDIST",
        ),
        *(
            "NX",
            "get",
            "EX",
            "WEIGHTS",
            "AGGREGATE",
            "0",
            "1",
            "2",
            "3",
            "-1",
            "1.5",
            "k",
            "{k}",
            "a b",
            "",
            "*",
            "$",
        ),
    ]
)


@fuzz(150)
@given(data=st.data())
def test_of_any_words_at_all_no_other_keys_are_named_than_the_servers(
    server: Asked, data: st.DataObject
) -> None:
    awkward = sorted(set(GRAMMAR) & set(server.arity))
    name = data.draw(st.one_of(st.sampled_from(awkward), st.sampled_from(compared(server))))
    call = call_of(name, data.draw(st.lists(WORDS, max_size=9)))
    (keys,) = server.keys([call])
    unit_is_store = (
        name == "GEORADIUS" and len(call) > 5 and call[5] == "STORE"
    )  # Redis 7.0 goes from 6, or from 5
    if keys is not None and ours(call) and not unit_is_store:
        assert ours(call) == keys, call


@pytest.mark.parametrize(
    "call",
    [
        ("SORT", "list", "STORE", "by", "BY", "STORE", "GET", "list"),
        ("SORT", "list", "STORE", "limit", "STORE", "to"),
        ("GEORADIUS", "geo", 0, 0, 9, "km", "STORE", "a", "STOREDIST", "b"),
        ("GEORADIUSBYMEMBER", "geo", "store", 9, "km", "STOREDIST", "a", "STORE", "STORE"),
    ],
)
def test_where_getkeys_errs_we_name_the_key_that_is_written(server: Asked, call: Call) -> None:
    server.client.flushdb()
    server.client.rpush("list", 1, 2)
    server.client.geoadd("geo", (0, 0, "store"))
    before = set(server.client.keys())
    server.client.execute_command(*call)  # type: ignore[no-untyped-call]
    assert set(server.client.keys()) - before == {ours(call)[-1]}


def known(call: Call) -> Any:
    spec = lookup(call)
    assert spec is not None, f"unknown command: {call[:2]}"
    return spec


def ours(call: Call) -> list[bytes]:
    try:
        return [key_bytes(call[position]) for position in known(call).positions(call)]
    except ValueError:
        return []


def call_of(name: str, words: list[Any]) -> Call:
    return (*name.split(" "), *words)


def forms(name: str, call: Call) -> list[Call]:
    """The same call, as redis-py and its users may write its name."""
    return [call, (name.lower().encode(), *call[len(name.split()) :])]


Grammar = Callable[[random.Random], list[Any]]


def legal_words(name: str, arity: int, pick: random.Random) -> Iterator[list[Any]]:
    """Yield what may follow a name: by its grammar, or as many words as the server wants and some more."""
    least = abs(arity) - len(name.split())
    for extra in range(60 if name in GRAMMAR else 9 if arity < 0 else 1):
        words = GRAMMAR[name](pick) if name in GRAMMAR else some(pick, least + extra)
        yield [dressed(word, pick) for word in words]


def some(pick: random.Random, count: int) -> list[Any]:
    """Words that a careless reader takes for options or numbers."""
    misleading = ["STORE", "STREAMS", "KEYS", "GET", "BY", "LIMIT", "2"]
    return [pick.choice([*misleading, f"word{at}"]) for at in range(count)]


def dressed(word: str | int, pick: random.Random) -> str | bytes | int:
    """A word as somebody may pass it: in another case, as bytes; a number as an int too."""
    text = str(word)
    return pick.choice([word, text, text.encode(), text.lower()])


def counted(*head: Any, step: int = 1, least_behind: int = 0) -> Grammar:
    """A number of keys behind some words, and some words behind them: ``EVAL code 2 a b c``."""

    def words(pick: random.Random) -> list[Any]:
        count = pick.randrange(1, 4)
        return [*head, count, *some(pick, count * step), *some(pick, pick.randrange(least_behind, 3))]

    return words


def optional(*head: Any, options: list[list[Any]]) -> Grammar:
    """Some words, then some of the options in any order: ``SORT k LIMIT 0 1 BY x``."""
    return lambda pick: [*head, *chain.from_iterable(pick.sample(options, pick.randrange(len(options) + 1)))]


def streams(*head: Any, more: list[list[Any]]) -> Grammar:
    """``XREAD COUNT 1 STREAMS a b 0 0``."""
    before = optional(*head, options=[["COUNT", 1], ["BLOCK", 0], *more])
    return lambda pick: [*before(pick), "STREAMS", *some(pick, 2 * pick.randrange(1, 4))]


def migrate(pick: random.Random) -> list[Any]:
    login = pick.choice([[], ["AUTH", "KEYS"], ["AUTH2", "user", "KEYS"]])
    many = ["KEYS", *some(pick, pick.randrange(1, 4))] if pick.random() < 0.5 else []
    return ["host", 6379, "" if many else "STORE", 0, 5, "COPY", *login, *many]


SORTED = [["BY", "STORE"], ["GET", "STORE"], ["LIMIT", "0", "STORE"], ["ALPHA"], ["STORE", "to"]]
#: The commands whose keys do not depend on their place alone, or whose words belong together.
GRAMMAR: dict[str, Grammar] = {
    "GEORADIUS": optional("STORE", 1, 2, 3, "km", options=[["COUNT", 1], ["STORE", "store"], ["ASC"]]),
    "GEORADIUSBYMEMBER": optional("k", "STORE", 3, "km", options=[["STOREDIST", "to"], ["WITHDIST"]]),
    "MIGRATE": migrate,
    "MSET": lambda pick: some(pick, 2 * pick.randrange(1, 4)),
    "MSETNX": lambda pick: some(pick, 2 * pick.randrange(1, 4)),
    "MSETEX": counted(step=2),
    "PFMERGE": lambda pick: some(pick, pick.randrange(2, 5)),
    "SORT": optional("GET", options=SORTED),
    "SORT_RO": optional("GET", options=SORTED[:4]),
    "XREAD": streams(more=[]),
    "XREADGROUP": streams("GROUP", "STREAMS", "STREAMS", more=[["NOACK"]]),
    **dict.fromkeys(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"), counted("code")),
    **dict.fromkeys(("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "SINTERCARD"), counted()),
    **dict.fromkeys(("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"), counted("2")),
    **dict.fromkeys(("LMPOP", "ZMPOP"), counted(least_behind=1)),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), counted(0, least_behind=1)),
}
