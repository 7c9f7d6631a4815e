"""``nydus_redis.commands.table``: which keys a command has, held against real servers and against redis-py."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.commands import CoreCommands

from nydus_core.command import Access, Scope
from nydus_redis.commands.table import CommandSpec, lookup, names

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
        (("EVAL", "code", "a"), "EVAL: found another word at args[2], expected numkeys, a whole number"),
        (("EVAL", "code", 1.5), "EVAL: found another word at args[2], expected numkeys, a whole number"),
        (("EVAL", "code", -1), "EVAL: found a negative numkeys at args[2], expected 0 to 0"),
        (("ZINTER", b"3", "a"), "ZINTER: found a numkeys that is too large at args[1], expected 0 to 1"),
        (("MSETEX", 2, "a", 1, "b"), "MSETEX: found a numkeys that is too large at args[1], expected 0 to 1"),
        (("MSET", "a", 1, "b"), "MSET: found nothing at args[4], expected the rest of a group of 2"),
        (("XREAD", "COUNT", 1), "XREAD: found nothing at args[3], expected STREAMS, keys and ids"),
        (
            ("XREAD", "STREAMS", "a"),
            "XREAD: found 1 words behind STREAMS at args[2], expected keys and as many",
        ),
        (
            ("XREAD", "a", "STREAMS"),
            "XREAD: found another word at args[1], expected STREAMS, or an option before it",
        ),
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
            "PING|FLUSHDB|FLUSHALL|INFO|DBSIZE|KEYS|CONFIG GET|CONFIG SET|SCRIPT LOAD|TIME|FT.CREATE",
        ),
        (
            Scope.HOST,
            "SUBSCRIBE|MONITOR|MULTI|EXEC|AUTH|SELECT|HELLO|CLIENT REPLY|CLIENT SETNAME|SCAN|SHUTDOWN",
        ),
        (Scope.CHANNEL, "PUBLISH|SPUBLISH"),
        (Scope.HOST, "REPLICAOF|CLUSTER INFO|WAIT|SWAPDB|SENTINEL|DEBUG|EVAL|FT.CURSOR|FT.SEARCH"),
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
