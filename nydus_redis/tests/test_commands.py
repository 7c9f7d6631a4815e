"""``nydus_redis.commands``: which keys a command has, held against real servers and against redis-py."""

from __future__ import annotations

import ast
import inspect
import random
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.commands import CoreCommands

from nydus_core.command import Access, Scope, key_bytes
from nydus_redis.commands import CommandSpec, lookup, names
from nydus_redis.server import PrivateServer

Call = tuple[Any, ...]


def known(call: Call) -> CommandSpec:
    spec = lookup(call)
    assert spec is not None, f"unknown command: {call[:2]}"
    return spec


def keys_of(*call: Any) -> list[Any]:
    return [call[position] for position in known(call).positions(call)]


# ---------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (("GET", "k"), ["k"]),
        (("ZADD", "k", "NX", 1, "a"), ["k"]),
        (("MGET", "a", "b", "a"), ["a", "b", "a"]),
        (("MSET", "a", 1, "b", 2), ["a", "b"]),
        (("MSETEX", 2, "a", 1, "b", 2, "EX", 10), ["a", "b"]),
        (("BLPOP", "a", "b", 0), ["a", "b"]),
        (("BITOP", "AND", "to", "a", "b"), ["to", "a", "b"]),
        (("LMOVE", "a", "b", "LEFT", "RIGHT"), ["a", "b"]),
        (("OBJECT", "ENCODING", "k"), ["k"]),
        (("OBJECT ENCODING", "k"), ["k"]),
        (("XINFO STREAM", "k", "FULL"), ["k"]),
        (("MEMORY USAGE", "k", "SAMPLES", 3), ["k"]),
        (("DEBUG OBJECT", "k"), ["k"]),
        (("EVAL", "return 1", 2, "a", "b", "c"), ["a", "b"]),
        (("EVALSHA", "sha", "0", "a"), []),
        (("FCALL", "f", b"1", "a", "b"), ["a"]),
        (("ZUNIONSTORE", "to", 2, "a", "b", "WEIGHTS", 1, 2), ["to", "a", "b"]),
        (("ZINTER", 2, "a", "b", "WITHSCORES"), ["a", "b"]),
        (("LMPOP", 1, "a", "LEFT"), ["a"]),
        (("BLMPOP", 0, 2, "a", "b", "LEFT"), ["a", "b"]),
        (("SINTERCARD", 2, "a", "b", "LIMIT", 1), ["a", "b"]),
        (("XREAD", "COUNT", 2, "STREAMS", "STREAMS", "b", "0", "0"), ["STREAMS", "b"]),
        (("XREAD", b"block", 5, b"streams", "a", "0"), ["a"]),
        (("XREADGROUP", "GROUP", "STREAMS", "c", "NOACK", "STREAMS", "a", ">"), ["a"]),
        (("XREADGROUP", "GROUP", "g", "c", "CLAIM", 5, "MAXSIZE", 9, "STREAMS", "a", ">"), ["a"]),
        (("SORT", "k"), ["k"]),
        (("SORT", "k", "BY", "STORE", "GET", "#", "STORE", "to"), ["k", "to"]),
        (("SORT", "k", "STORE", "by", "STORE", "to"), ["k", "to"]),
        (("SORT", "k", "LIMIT", 0, 1, "store", "store"), ["k", "store"]),
        (("SORT_RO", "k", "GET", "STORE", "GET", "x"), ["k"]),
        (("GEORADIUS", "k", 1, 2, 3, "km", "STORE", "a", "STOREDIST", "b"), ["k", "b"]),
        (("GEORADIUSBYMEMBER", "k", "STORE", 3, "km", "storedist", "to"), ["k", "to"]),
        (("MIGRATE", "host", 6379, "k", 0, 5, "COPY"), ["k"]),
        (("MIGRATE", "host", 6379, "", 0, 5, "AUTH", "KEYS", "KEYS", "a", "b"), ["a", "b"]),
        (("STRALGO", "LCS", "STRINGS", "KEYS", "b"), []),
        (("STRALGO", "LCS", "KEYS", "a", "b", "LEN"), ["a", "b"]),
        (("JSON.MGET", "a", "b", "$"), ["a", "b"]),
        (("JSON.MSET", "a", "$", "1", "b", "$", "2"), ["a", "b"]),
        (("JSON.DEBUG", "MEMORY", "k", "$"), ["k"]),
        (("TS.MADD", "a", 1, 2.5, "b", 1, 2.5), ["a", "b"]),
        (("TS.CREATERULE", "a", "b", "AGGREGATION", "avg", 5), ["a", "b"]),
        (("CMS.MERGE", "to", 2, "a", "b", "WEIGHTS", 1, 2), ["to", "a", "b"]),
        (("FT.ADD", "index", "doc", 1.0), ["doc"]),
        (("FT.SEARCH", "index", "*"), []),
        (("HIMPORT", "SET", "k", "fields", 1), ["k"]),
        (("SPUBLISH", "channel", "hello"), ["channel"]),
        (("SUNSUBSCRIBE",), []),
        (("LOLWUT VERSION", 5), []),
        (("PING",), []),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_the_keys_of_a_call(call: Call, keys: list[Any]) -> None:
    assert keys_of(*call) == keys


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("GET",), "GET: found nothing at args[1], expected a key"),
        (("MGET",), "MGET: found no key in 1 args, expected at least one"),
        (("OBJECT", "ENCODING"), "OBJECT ENCODING: found nothing at args[2], expected a key"),
        (("OBJECT ENCODING",), "OBJECT ENCODING: found nothing at args[1], expected a key"),
        (("GET k",), "GET: found a key inside args[0], expected each key as one of args"),
        (("RENAME a", "b"), "RENAME: found a key inside args[0], expected each key as one of args"),
        (("EVAL", "code"), "EVAL: found nothing at args[2], expected numkeys"),
        (("EVAL", "code", "a"), "EVAL: found numkeys 'a' at args[2], expected a whole number"),
        (("EVAL", "code", 1.5), "EVAL: found numkeys 1.5 at args[2], expected a whole number"),
        (("EVAL", "code", -1), "EVAL: found numkeys -1 at args[2], expected 0 to 0"),
        (("ZINTER", b"3", "a"), "ZINTER: found numkeys 3 at args[1], expected 0 to 1"),
        (("MSETEX", 2, "a", 1, "b"), "MSETEX: found numkeys 2 at args[1], expected 0 to 1"),
        (("MSET", "a", 1, "b"), "MSET: found nothing at args[4], expected the rest of a group of 2"),
        (("XREAD", "COUNT", 1), "XREAD: found nothing at args[3], expected STREAMS, keys and ids"),
        (
            ("XREAD", "STREAMS", "a"),
            "XREAD: found 1 words behind STREAMS at args[2], expected keys and as many",
        ),
        (("XREAD", "a", "STREAMS"), "XREAD: found 'a' at args[1], expected STREAMS, or an option before it"),
        (
            ("MIGRATE", "h", 1, "k", 0, 5, "KEYS", "a"),
            "MIGRATE: found a key although KEYS follows at args[3]",
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_call_whose_keys_cannot_be_told_is_refused(call: Call, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        known(call).positions(call)


@pytest.mark.parametrize("call", [(), ("",), (b"  ",)])
def test_a_call_without_a_name_is_refused(call: Call) -> None:
    with pytest.raises(ValueError, match="no command name"):
        lookup(call)


@pytest.mark.parametrize(
    "call", [("NOSUCH", "k"), ("OBJECT",), ("OBJECT", "NOSUCH", "k"), ("CLIENT NOSUCH",)]
)
def test_an_unknown_command_is_none(call: Call) -> None:
    assert lookup(call) is None


@pytest.mark.parametrize(
    "call",
    [
        ("OBJECT ENCODING", "k"),
        ("object encoding", "k"),
        (b"Object Encoding", "k"),
        ("OBJECT", "ENCODING", "k"),
        (b"object", b"encoding", "k"),
        ("  OBJECT   ENCODING  ", "k"),
    ],
)
def test_a_name_may_be_written_in_many_ways(call: Call) -> None:
    for _ in range(2):  # the second time it is remembered
        assert known(call).name == "OBJECT ENCODING"
        assert known(call).positions(call) == [len(call) - 1]


def test_what_a_container_is_depends_on_each_call() -> None:
    asked = [("COMMAND",), ("COMMAND", "COUNT"), ("COMMAND",), ("CLUSTER", "INFO"), ("CLUSTER", "NOSUCH")]
    assert [known(call).name for call in asked] == [
        "COMMAND",
        "COMMAND COUNT",
        "COMMAND",
        "CLUSTER INFO",
        "CLUSTER",
    ]


def test_first_only_says_that_the_one_key_is_the_first_argument() -> None:
    calls: list[Call] = [("GET", "k"), ("OBJECT ENCODING", "k"), ("XGROUP CREATE", "k", "g", "$")]
    assert [known(call).first_only for call in calls] == [True, True, True]
    calls = [
        ("OBJECT", "ENCODING", "k"),
        ("GET k",),
        ("MGET", "k"),
        ("SORT", "k"),
        ("PING",),
        ("EVAL", "", 0),
    ]
    assert [known(call).first_only for call in calls] == [False] * len(calls)


@pytest.mark.parametrize(
    ("scope", "commands"),
    [
        (
            Scope.ALL,
            "PING|FLUSHDB|FLUSHALL|INFO|DBSIZE|KEYS|CONFIG GET|CONFIG SET|SCRIPT LOAD|TIME|FT.SEARCH",
        ),
        (
            Scope.HOST,
            "SUBSCRIBE|MONITOR|MULTI|EXEC|AUTH|SELECT|HELLO|CLIENT REPLY|CLIENT SETNAME|SCAN|SHUTDOWN",
        ),
        (Scope.CHANNEL, "PUBLISH|SPUBLISH"),
        (Scope.HOST, "REPLICAOF|CLUSTER INFO|WAIT|SWAPDB|SENTINEL|DEBUG|EVAL|FT.CURSOR"),
    ],
)
def test_where_a_command_without_a_key_goes(scope: Scope, commands: str) -> None:
    assert {name: known((name,)).scope for name in commands.split("|")} == dict.fromkeys(
        commands.split("|"), scope
    )


@pytest.mark.parametrize(
    ("access", "commands"),
    [
        (Access.READ, "GET|MGET|XREAD|EVAL_RO|PING|INFO|CONFIG GET|SCAN|JSON.GET|FT.SEARCH|OBJECT ENCODING"),
        (
            Access.WRITE,
            "SET|INCR|EVAL|XREADGROUP|SORT|GETEX|CONFIG SET|PUBLISH|SPOP|JSON.SET|FT.CURSOR|ACL LOG",
        ),
    ],
)
def test_whether_a_command_only_reads(access: Access, commands: str) -> None:
    assert {name: known((name,)).access for name in commands.split("|")} == dict.fromkeys(
        commands.split("|"), access
    )


def test_blocking_and_connection_commands_are_marked() -> None:
    assert [known((name,)).blocking for name in ("BLPOP", "XREAD", "WAIT", "BLMOVEM", "GET")] == [
        True
    ] * 4 + [False]
    assert [known((name,)).connection for name in ("WATCH", "MULTI", "SELECT", "PUBLISH")] == [True] * 3 + [
        False
    ]


def test_every_row_of_the_table_can_be_looked_up() -> None:
    assert [known((name,)).name for name in names()] == names()
    assert [known(tuple(name.split(" "))).name for name in names()] == names()


# ------------------------------------------------------------------------------------- against a server

#: Where COMMAND GETKEYS sees something else, and why.
NOT_COMPARED = {
    "CLUSTERSCAN": "its cursor is no key",
    "PUBLISH": "as SPUBLISH",
    "SPUBLISH": "a server says that its channel is no key, but it routes as one",
    "SSUBSCRIBE": "as SPUBLISH",
    "SUNSUBSCRIBE": "as SPUBLISH",
}


@pytest.fixture(scope="session")
def server() -> Iterator[redis.Redis]:
    """A client of a private server on a unix socket."""
    with PrivateServer() as private, redis.Redis(unix_socket_path=private.path) as client:
        yield client


def test_a_server_finds_the_same_keys(server: redis.Redis) -> None:
    """Many legal calls of each command that the server knows; keys and operands are named to mislead."""
    wrong, compared = [], 0
    for name in names():
        arity = None if name in NOT_COMPARED else arity_of(server, name)
        if arity is not None:
            compared += 1
            calls = [(*name.split(" "), *words) for words in legal_words(name, arity)]
            for call, keys in zip(calls, asked(server, calls), strict=True):
                apart, joined = call, (name.lower().encode(), *call[len(name.split()) :])
                wrong += [(form, keys, ours(form)) for form in (apart, joined) if ours(form) != keys]
    assert not wrong[:5]
    assert compared > 300


@pytest.mark.parametrize(
    "call",
    [
        ("SORT", "list", "STORE", "by", "BY", "STORE", "GET", "list"),
        ("SORT", "list", "STORE", "limit", "STORE", "to"),
        ("GEORADIUS", "geo", 0, 0, 9, "km", "STORE", "a", "STOREDIST", "b"),
        ("GEORADIUSBYMEMBER", "geo", "store", 9, "km", "STOREDIST", "a", "STORE", "STORE"),
    ],
)
def test_where_getkeys_errs_we_name_the_key_that_is_written(server: redis.Redis, call: Call) -> None:
    server.flushdb()
    server.rpush("list", 1, 2)
    server.geoadd("geo", (0, 0, "store"))
    before = set(server.keys())
    server.execute_command(*call)  # type: ignore[no-untyped-call]
    assert set(server.keys()) - before == {key_bytes(keys_of(*call)[-1])}


def arity_of(server: redis.Redis, name: str) -> int | None:
    """How many words a call has, negative if it may have more; None where the server has no such command."""
    (about,) = server.execute_command("COMMAND INFO", name.replace(" ", "|"))  # type: ignore[no-untyped-call]
    return None if about is None else int(about["arity"] if isinstance(about, dict) else about[1])


def asked(server: redis.Redis, calls: list[Call]) -> list[list[bytes]]:
    """The keys of each call as the server sees them; none where it sees none, or refuses the call."""
    with server.pipeline(transaction=False) as pipeline:
        for call in calls:
            pipeline.execute_command("COMMAND GETKEYS", *call)  # type: ignore[no-untyped-call]
        answers = pipeline.execute(raise_on_error=False)
    return [[] if isinstance(keys, redis.ResponseError) else [*map(key_bytes, keys)] for keys in answers]


def ours(call: Call) -> list[bytes]:
    try:
        return [key_bytes(key) for key in keys_of(*call)]
    except ValueError:
        return []


Grammar = Callable[[random.Random], list[Any]]


def legal_words(name: str, arity: int) -> Iterator[list[Any]]:
    """Yield what may follow a name: by its grammar, or as many words as the server wants and some more."""
    pick = random.Random(name)
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


def streams(*head: Any) -> Grammar:
    """``XREAD COUNT 1 STREAMS a b 0 0``."""
    before = optional(*head, options=[["COUNT", 1], ["BLOCK", 0]])
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
    "XREAD": streams(),
    "XREADGROUP": streams("GROUP", "STREAMS", "STREAMS"),
    **dict.fromkeys(("EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "FCALL", "FCALL_RO"), counted("code")),
    **dict.fromkeys(("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD", "SINTERCARD"), counted()),
    **dict.fromkeys(("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"), counted("2")),
    **dict.fromkeys(("LMPOP", "ZMPOP"), counted(least_behind=1)),
    **dict.fromkeys(("BLMPOP", "BZMPOP"), counted(0, least_behind=1)),
}


# -------------------------------------------------------------------------------------- against redis-py


class Recorder(redis.Redis):
    """redis-py, but a call ends here instead of at a server."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Call, dict[str, Any]]] = []

    def execute_command(self, *args: Any, **options: Any) -> Any:
        self.calls.append((args, options))
        raise Sent


class Sent(Exception):
    """A call was recorded."""


def test_redis_py_itself_names_the_same_keys() -> None:
    """Many methods tell redis-py's cache their keys; call all that made-up arguments satisfy."""
    recorder = Recorder()
    for name, method in inspect.getmembers(recorder, inspect.ismethod):
        if hasattr(CoreCommands, name) and not name.startswith("_") and name != "execute_command":
            call_with_anything(method)
    told = [(call, options["keys"]) for call, options in recorder.calls if options.get("keys")]
    assert len(told) > 60, "the recorder does not work with this redis-py"
    # Its cache wants the keys that are read, which come last.
    lists = [(call, [keys] if isinstance(keys, str) else list(keys)) for call, keys in told]
    assert not [(call, keys) for call, keys in lists if keys_of(*call)[-len(keys) :] != keys]
    assert not [call for call, _ in recorder.calls if lookup(call) is None]


def call_with_anything(method: Any) -> None:
    """Call a method with arguments made up by name; it does not matter if it refuses them."""
    arguments: dict[str, Any] = {}
    listed: list[Any] = []
    for name, parameter in inspect.signature(method).parameters.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            listed = [f"{name}0", f"{name}1"]
        elif parameter.default is parameter.empty and parameter.kind is not parameter.VAR_KEYWORD:
            arguments[name] = MADE_UP.get(name, f"a-{name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated and experimental methods send commands too
        try:
            method(*arguments.values(), *listed)
        except Exception:  # Sent, or any refusal
            return


MADE_UP: dict[str, Any] = {
    **{"keys": ["k1", "k2"], "numkeys": 2, "num_keys": 2, "streams": {"s1": "0", "s2": "0"}},
    **{"values": ["v1"], "start": 0, "end": 1, "infotype": "ENCODING"},
}


def test_every_command_that_redis_py_sends_is_known() -> None:
    sent = {call for path in sources() for call in sent_by(path)}
    assert {
        ("GET",),
        ("EVALSHA",),
        ("GEORADIUS",),
        ("ZUNIONSTORE",),
        ("JSON.MSET",),
        ("SLAVEOF", "NO"),
    } <= sent
    # Of ("OBJECT", infotype, key) only the container is seen here.
    containers = {name.split()[0] for name in names() if " " in name}
    assert not {call for call in sent if lookup(call) is None and call[0] not in containers}
    assert not {call for call in sent if lookup(call) is None and len(call) > 1}
    assert len(sent) > 400


def sources() -> list[Path]:
    root = Path(redis.__file__).parent
    return [root / "client.py", root / "connection.py", *sorted((root / "commands").rglob("*.py"))]


Values = dict[str, list[tuple[str, ...]]]


def sent_by(path: Path) -> set[tuple[str, ...]]:
    """What the code of a module begins its commands with: one word, or two where the second is plain too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    constants = assigned(tree.body, {})
    senders = {"execute_command", "send_command"} | {f.name for f in functions if takes_command(f)}
    found = set()
    for function in functions:
        values = assigned(ast.walk(function), constants)
        for node in ast.walk(function):
            match node:
                case ast.Call(func=ast.Attribute(attr=called), args=arguments) if called in senders:
                    found |= set(leading(ast.Tuple(arguments), values))
    return {call for call in found if call}


def takes_command(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Such as _georadiusgeneric(self, command, ...): what it sends is the first argument of its callers."""
    return [argument.arg for argument in function.args.args[1:2]] == ["command"]


def assigned(nodes: Iterable[ast.AST], values: Values) -> Values:
    """Add to the values of names those that are assigned here."""
    values = {name: [*known] for name, known in values.items()}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
                node.value
            ):
                values.setdefault(name, []).extend(leading(node.value, values))
    return values


def leading(expression: ast.expr, values: Values) -> list[tuple[str, ...]]:
    """The first two words of what an expression may be, as far as they are plain."""
    match expression:
        case ast.Constant(value=str() as text):
            return [(text,)]
        case ast.Constant(value=bytes() as text):
            return [(text.decode(),)]
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return values.get(name, [])
        case ast.IfExp(body=body, orelse=orelse):
            return leading(body, values) + leading(orelse, values)
        case ast.BinOp(left=expression) | ast.Starred(value=expression):
            return leading(expression, values)
        case ast.List(elts=[head, *rest]) | ast.Tuple(elts=[head, *rest]):
            behind = leading(ast.List(rest), values) or [()]
            return [(first + other)[:2] for first in leading(head, values) for other in behind if first]
    return []
