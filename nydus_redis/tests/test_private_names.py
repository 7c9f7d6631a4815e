"""redis-py's private names: only ``nydus_redis.connection`` knows any, and nothing breaks where redis-py has none of them.

The first half reads the installed source. The second half hides the names from our code, but not from redis-py, and does on
real servers all that leans on them.
"""

from __future__ import annotations

import ast
import asyncio
import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.client
import redis.asyncio.connection
import redis.client
import redis.connection
from redis.exceptions import BusyLoadingError, InvalidResponse, ResponseError
from redis.utils import HIREDIS_AVAILABLE

import nydus_redis
from nydus_core import AsyncCluster, Cluster, MaybeApplied, create_async_cluster, create_cluster
from nydus_core.testing import FaultProxy
from nydus_redis.connection import link_of, losses, losses_aio
from nydus_redis.connection.replies_aio import whole_answer
from nydus_redis.connection.sockets import is_closed, shut
from nydus_redis.embedded.server import PrivateServer
from nydus_redis.engine.aio import AsyncRedis
from nydus_redis.engine.blocking import Redis
from scripted import ScriptedServer
from stopping import stopped

Servers = Callable[..., list[PrivateServer]]

ROOM = "nydus_redis.connection"
WAIT = 10.0


# Who knows them ----------------------------------------------------------------------------------------------------


def modules() -> dict[str, Path]:
    """The modules of the installed package."""
    root = Path(nydus_redis.__file__).parent
    names = [module.name for module in pkgutil.walk_packages([str(root)], "nydus_redis.")]
    return {name: Path(str(importlib.import_module(name).__file__)) for name in names}


def is_private(name: str) -> bool:
    return re.fullmatch(r"_[A-Za-z]\w*", name) is not None


@cache
def private_names_of_redis_py() -> frozenset[str]:
    """The names of attributes and functions in the source of redis-py and hiredis that begin with one underscore."""
    found: set[str] = set()
    for package in ("redis", "hiredis"):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            for file in Path(folder).rglob("*.py"):  # by their text, since to parse it all takes ten seconds
                found.update(re.findall(r"(?:\bdef |\.)(_[A-Za-z]\w*)", file.read_text("utf-8")))
    return frozenset(filter(is_private, found))


def is_own(node: ast.expr) -> bool:
    """Whether an object is the one whose class the code belongs to: ``self``, ``cls`` or ``super()``."""
    call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super"
    return call or (isinstance(node, ast.Name) and node.id in ("self", "cls"))


def offences(tree: ast.AST) -> list[str]:
    """The private names of other objects that a module uses."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            wrong = is_private(node.attr) and not is_own(node.value)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            wrong = imports_private_names(node)
        else:
            wrong = isinstance(node, ast.Constant) and node.value in private_names_of_redis_py()
        if wrong:
            found.append(ast.unparse(node))
    return found


def imports_private_names(node: ast.Import | ast.ImportFrom) -> bool:
    dotted = [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        dotted.insert(0, node.module or "")
    parts = [part for name in dotted for part in name.split(".")]
    return parts[0] in ("redis", "hiredis") and any(map(is_private, parts))


def test_outside_one_room_nobody_uses_private_names_of_other_objects() -> None:
    assert {
        name: found
        for name, file in modules().items()
        if not name.startswith(ROOM) and (found := offences(ast.parse(file.read_text("utf-8"))))
    } == {}


@pytest.mark.parametrize(
    "line",
    [
        "connection._sock",
        "self._pubsub._normalize_keys(names)",
        "getattr(connection, '_parser', None)",
        "frame.f_code.co_name == '_read_response'",
        "from redis._parsers import Encoder",
        "from redis.client import _Something",
        "import redis._parsers.base",
    ],
)
def test_such_a_use_is_found(line: str) -> None:
    assert offences(ast.parse(line)) != []


@pytest.mark.parametrize(
    "line", ["self._connection.send()", "cls._known", "super()._failed()", "from ours import _x", "'_type'"]
)
def test_what_is_our_own_is_none(line: str) -> None:
    assert offences(ast.parse(line)) == []


def classes() -> Iterator[type[Any]]:
    """Our classes that inherit from a class of redis-py."""
    for name in modules():
        for kind in vars(importlib.import_module(name)).values():
            if isinstance(kind, type) and kind.__module__ == name and list(theirs(kind)):
                yield kind


def theirs(kind: type[Any]) -> Iterator[type[Any]]:
    return (each for each in kind.__mro__ if each.__module__.partition(".")[0] == "redis")


def ours(kind: type[Any]) -> Iterator[type[Any]]:
    return (each for each in kind.__mro__ if each.__module__.startswith("nydus_redis"))


@cache
def classes_in(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def private_names_of(kind: type[Any]) -> frozenset[str]:
    """The private names that a class defines, or uses of the object that it is called on."""
    tree = classes_in(kind.__module__)[kind.__name__]
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_own(node.value)}
    pythons_own = {"_abc_impl", "_is_protocol", "_is_runtime_protocol"}
    return frozenset(filter(is_private, {*vars(kind), *used} - pythons_own))


def test_outside_one_room_no_class_shares_private_names_with_the_class_of_redis_py_that_it_extends() -> None:
    found = list(classes())
    assert len(found) > 10
    names = {
        each: private_names_of(each)
        for each in {each for kind in found for each in (*theirs(kind), *ours(kind))}
    }
    for kind in found:
        foreign = frozenset().union(*(names[each] for each in theirs(kind)))
        for each in ours(kind):
            if not each.__module__.startswith(ROOM):
                assert names[each] & foreign == set(), each


def test_in_that_room_there_are_such_classes() -> None:
    assert "_disconnect_raise_on_watching" in private_names_of(losses.PlainLosses)
    assert "_disconnect_raise_on_watching" in private_names_of(redis.client.Pipeline)


# Without them --------------------------------------------------------------------------------------------------------


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``hide(kind, names)``: as if objects of a class had no such attributes. redis-py and asyncio still see them."""

    def of(kind: type[Any], *names: str) -> None:
        find: Any = kind.__getattribute__

        def find_unless_hidden(self: Any, name: str) -> Any:
            if name in names and sys._getframe(1).f_globals["__name__"].startswith("nydus_redis"):
                raise AttributeError(f"{name} is hidden by a test")
            return find(self, name)

        monkeypatch.setattr(kind, "__getattribute__", find_unless_hidden, raising=False)

    return of


Connection: Any = redis.UnixDomainSocketConnection  # has no types
BLOCKING = redis.connection.AbstractConnection
ASYNC = redis.asyncio.connection.AbstractConnection

#: The names that the blocking side looks at, and those that asyncio looks at: each alone, and all.
OF_BLOCKING = [("_sock",), ("_parser",), ("_sock", "_parser")]
OF_ASYNC = [("_writer",), ("_reader",), ("_parser",), ("_writer", "_reader", "_parser")]


def settings(servers: list[Any], **defaults: Any) -> dict[str, Any]:
    hosts = {name: {"unix_socket_path": server.path} for name, server in zip("abc", servers, strict=False)}
    once = {"retry": {"attempts": 1}}
    return {"engine": "redis", "router": "rendezvous", "hosts": hosts, "defaults": defaults, **once}


def keys_of(cluster: Cluster | AsyncCluster) -> list[str]:
    """One key of each host."""
    found: dict[str, str] = {}
    for number in range(100):
        found.setdefault(cluster.router.locate(b"key:%d" % number), f"key:{number}")
    return [found[str(host)] for host in cluster]


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("names", OF_BLOCKING, ids="+".join)
def test_all_is_done_without_them(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...], protocol: int
) -> None:
    servers = redis_servers(3)
    hide(BLOCKING, *names)
    with create_cluster(settings(servers, protocol=protocol, decode_responses=True)) as cluster:
        keys = keys_of(cluster)
        commands_and_batches(cluster, keys)
        pipelines(cluster, keys)
        subscriptions(cluster, keys)


@pytest.mark.skipif(not HIREDIS_AVAILABLE, reason="without hiredis there is no link at all")
@pytest.mark.parametrize("name", ["_reader", "handle_push_response", "_hiredis_PushNotificationType"])
def test_all_is_done_without_the_names_of_the_parser(
    hide: Callable[..., None], redis_servers: Servers, name: str
) -> None:
    servers = redis_servers(3)
    with create_cluster(settings(servers, decode_responses=True)) as cluster:
        engine: Any = next(iter(cluster.hosts.values()))
        connection = engine.connections.take()
        try:
            seen = link_of(connection)
            assert seen is not None
            assert link_of(connection) is seen
            connection.nydus_link = None
            hide(type(connection._parser), name)
            assert (link_of(connection) is None) == (name != "_hiredis_PushNotificationType")
        finally:
            engine.connections.give(connection, clean=False)
        commands_and_batches(cluster, keys_of(cluster))


def commands_and_batches(cluster: Cluster, keys: list[str]) -> None:
    assert [cluster.set(key, key) for key in keys] == [True] * 3
    assert cluster.get(keys[0]) == keys[0]
    assert isinstance(cluster.dump(keys[0]), bytes)
    with pytest.raises(ResponseError, match="not an integer"):
        cluster.incr(keys[0])
    for transaction in (False, True):
        with cluster.map(fail_silently=True, transaction=transaction) as conn:
            values = [conn.get(key) for key in keys]
            wrong = conn.incr(keys[1])
            dumped = None if transaction else conn.dump(keys[2])  # EXEC is answered as one, decoded
        assert values == keys
        assert dumped is None or isinstance(dumped.value, bytes)
        assert isinstance(wrong.error, ResponseError)
    with cluster.map() as conn:
        found = [conn.blpop(f"{{{key}}}empty", 0.1) for key in keys]
    assert found == [None] * 3


def pipelines(cluster: Cluster, keys: list[str]) -> None:
    assert cluster.pipeline().incr("n").incr("n").execute() == [1, 2]
    host = cluster.on_key(keys[1])
    with host.pipeline() as pipe:
        pipe.watch(keys[1])
        assert pipe.get(keys[1]) == keys[1]
        pipe.multi()
        assert pipe.set(keys[1], "new").execute() == [True]


def subscriptions(cluster: Cluster, keys: list[str]) -> None:
    with cluster.pubsub() as subscriber:
        subscriber.subscribe(*keys)
        assert heard(subscriber, "subscribe", 3) == set(keys)
        assert [cluster.publish(key, "hello") for key in keys] == [1] * 3
        assert heard(subscriber, "message", 3) == set(keys)
        subscriber.unsubscribe()
        assert heard(subscriber, "unsubscribe", 3) == set(keys)


def heard(subscriber: Any, kind: str, count: int) -> set[str]:
    end = time.monotonic() + WAIT
    found: list[str] = []
    while len(found) < count and time.monotonic() < end:
        message = subscriber.get_message(timeout=0.2)
        if message is not None:
            assert message["type"] == kind
            found.append(message["channel"])
    return set(found)


def run(main: Coroutine[Any, Any, None]) -> None:
    async def body() -> None:
        async with asyncio.timeout(6 * WAIT):
            await main

    asyncio.run(body())


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("names", OF_ASYNC, ids="+".join)
def test_all_is_done_without_them_with_asyncio(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...], protocol: int
) -> None:
    servers = redis_servers(3)
    hide(ASYNC, *names)

    async def main() -> None:
        async with create_async_cluster(
            settings(servers, protocol=protocol, decode_responses=True)
        ) as cluster:
            keys = keys_of(cluster)
            await async_commands_and_batches(cluster, keys)
            await async_pipelines(cluster, keys)
            await async_subscriptions(cluster, keys)

    run(main())


@pytest.mark.parametrize(
    "name", ["_reader", "_buffer", "_stream", "handle_push_response", "_hiredis_PushNotificationType"]
)
def test_all_is_done_without_the_names_of_the_parser_with_asyncio(
    hide: Callable[..., None], redis_servers: Servers, name: str
) -> None:
    servers = redis_servers(3)
    parser: Any = redis.asyncio.UnixDomainSocketConnection()._parser
    is_needed = ("handle_push_response", "_reader") if HIREDIS_AVAILABLE else ("_buffer", "_stream")
    hide(type(parser), name)

    async def main() -> None:
        async with create_async_cluster(settings(servers, decode_responses=True)) as cluster:
            keys = keys_of(cluster)
            engines: list[Any] = list(cluster.hosts.values())
            assert [len(each._own.get().shared) for each in engines] == [int(name not in is_needed)] * 3
            await async_commands_and_batches(cluster, keys)
            await async_pipelines(cluster, keys)
            await async_subscriptions(cluster, keys)

    run(main())


async def async_commands_and_batches(cluster: AsyncCluster, keys: list[str]) -> None:
    assert [await cluster.set(key, key) for key in keys] == [True] * 3
    assert await cluster.get(keys[0]) == keys[0]
    assert isinstance(await cluster.dump(keys[0]), bytes)
    with pytest.raises(ResponseError, match="not an integer"):
        await cluster.incr(keys[0])
    for transaction in (False, True):
        async with cluster.map(fail_silently=True, transaction=transaction) as conn:
            values = [conn.get(key) for key in keys]
            wrong = conn.incr(keys[1])
            dumped = None if transaction else conn.dump(keys[2])  # EXEC is answered as one, decoded
        assert values == keys
        assert dumped is None or isinstance(dumped.value, bytes)
        assert isinstance(wrong.error, ResponseError)


async def async_pipelines(cluster: AsyncCluster, keys: list[str]) -> None:
    assert await cluster.pipeline().incr("n").incr("n").execute() == [1, 2]
    host = cluster.on_key(keys[1])
    async with host.pipeline() as pipe:
        await pipe.watch(keys[1])
        assert await pipe.get(keys[1]) == keys[1]
        pipe.multi()
        assert await pipe.set(keys[1], "new").execute() == [True]


async def async_subscriptions(cluster: AsyncCluster, keys: list[str]) -> None:
    async with cluster.pubsub() as subscriber:
        await subscriber.subscribe(*keys)
        assert await async_heard(subscriber, "subscribe", 3) == set(keys)
        assert [await cluster.publish(key, "hello") for key in keys] == [1] * 3
        assert await async_heard(subscriber, "message", 3) == set(keys)
        await subscriber.unsubscribe()
        assert await async_heard(subscriber, "unsubscribe", 3) == set(keys)


async def async_heard(subscriber: Any, kind: str, count: int) -> set[str]:
    end = time.monotonic() + WAIT
    found: list[str] = []
    while len(found) < count and time.monotonic() < end:
        message = await subscriber.get_message(timeout=0.2)
        if message is not None:
            assert message["type"] == kind
            found.append(message["channel"])
    return set(found)


# Losses and limits -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [(), *OF_BLOCKING], ids="+".join)
def test_a_connection_is_shut_from_another_thread(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(BLOCKING, *names)
    connection = Connection(path=redis_servers(1)[0].path)
    shut(connection)
    connection.connect()
    assert not is_closed(connection)
    ended: list[Exception] = []

    def read() -> None:
        try:
            connection.read_response()
        except Exception as error:
            ended.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    while reader.is_alive():  # it may not read yet at the first time
        shut(connection)
        reader.join(0.01)
    assert len(ended) == 1
    connection.disconnect()
    assert is_closed(connection) or not hasattr(BLOCKING, "is_connected")


@pytest.mark.parametrize("names", [(), *OF_BLOCKING], ids="+".join)
def test_a_closed_connection_is_not_connected_where_a_thread_must_not_wait(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(BLOCKING, *names)
    engine = Redis(0, unix_socket_path=redis_servers(1)[0].path)
    pool: Any = engine.connections.commands
    pool.give(pool.take(), clean=True)
    (connection,) = pool.idle
    connection.disconnect()
    assert pool.claim() is None
    assert not pool.in_use
    taken = pool.take()
    assert taken is not connection or not hasattr(
        BLOCKING, "is_connected"
    )  # then redis-py connects it by itself
    pool.give(taken, clean=True)
    engine.close()


@pytest.mark.parametrize("names", OF_BLOCKING, ids="+".join)
def test_a_refusal_of_the_server_is_read_once(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(BLOCKING, *names)
    server = ScriptedServer(redis_servers(1)[0])
    with create_cluster(settings([server])) as cluster:
        cluster.set("k", "v")
        server.answer(b"-LOADING the dataset\r\n")
        seen = "_parser" not in names or HIREDIS_AVAILABLE
        with pytest.raises(BusyLoadingError if seen else MaybeApplied):
            cluster.get("k")
        assert cluster.get("k") == b"v"
        server.answer(b"-LOADING the dataset\r\n:7\r\n" if seen else b"-LOADING the dataset\r\n")
        with cluster.map(fail_silently=True) as conn:
            first, second = conn.get("k"), conn.incr("n")
        assert isinstance(first.error, BusyLoadingError if seen else MaybeApplied)
        assert second.value == 7 if seen else isinstance(second.error, MaybeApplied)
        assert cluster.get("k") == b"v"
    server.close()


@pytest.mark.parametrize("names", OF_ASYNC, ids="+".join)
def test_a_refusal_of_the_server_is_read_once_with_asyncio(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(ASYNC, *names)
    server = ScriptedServer(redis_servers(1)[0])

    async def main() -> None:
        async with create_async_cluster(settings([server])) as cluster:
            await cluster.set("k", "v")
            server.answer(b"-LOADING the dataset\r\n")
            with pytest.raises(BusyLoadingError):
                await cluster.get("k")
            assert await cluster.get("k") == b"v"

    run(main())
    server.close()


def test_a_refusal_whose_place_in_the_reply_cannot_be_seen_is_no_whole_answer() -> None:
    answer = BusyLoadingError("the dataset")
    if HIREDIS_AVAILABLE:
        assert whole_answer(answer) is answer
    else:
        with pytest.raises(InvalidResponse, match="within a reply"):
            whole_answer(answer)
    wrong = ResponseError("wrong")
    assert whole_answer(wrong) is wrong


@pytest.mark.parametrize("names", OF_ASYNC, ids="+".join)
def test_a_limit_ends_what_is_under_way(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(ASYNC, *names)
    (server,) = redis_servers(1)

    async def main() -> None:
        async with create_async_cluster(settings([server], timeout=0.3)) as cluster:
            await cluster.set("k", "v")
            with stopped(server), pytest.raises(MaybeApplied, match=r"no answer within 0\.3 seconds"):
                await cluster.get("k")
            assert await cluster.get("k") == b"v"

    run(main())


@pytest.mark.parametrize("names", OF_ASYNC, ids="+".join)
def test_a_wait_longer_than_the_limit_of_redis_py_is_waited_for(
    hide: Callable[..., None], redis_servers: Servers, names: tuple[str, ...]
) -> None:
    hide(ASYNC, *names)

    async def main() -> None:
        async with create_async_cluster(settings(redis_servers(1), timeout=0.3)) as cluster:
            assert await cluster.blpop("empty", 0.6) is None

    run(main())


@pytest.mark.parametrize("names", OF_ASYNC, ids="+".join)
def test_a_cancelled_command_leaves_no_answer_for_the_next(
    hide: Callable[..., None],
    redis_servers: Servers,
    proxy: Callable[..., FaultProxy],
    names: tuple[str, ...],
) -> None:
    hide(ASYNC, *names)
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with create_async_cluster(settings([relay], max_connections=1)) as cluster:
            await cluster.set("k", "v")
            relay.delay = 0.2
            task = asyncio.create_task(cluster.set("other", "v"))
            while not any(b"other" in request for request in relay.requests):
                await asyncio.sleep(0.001)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            relay.heal()
            assert await cluster.get("k") == b"v"

    run(main())


@pytest.mark.parametrize("hidden", ["parser", "stream"])
def test_unread_bytes_are_noticed_where_their_buffers_are_hidden(
    hide: Callable[..., None], redis_servers: Servers, hidden: str
) -> None:
    if hidden == "stream":
        hide(asyncio.StreamReader, "_buffer")
    else:
        hide(type(redis.asyncio.UnixDomainSocketConnection()._parser), "_buffer", "_reader")
    server = ScriptedServer(redis_servers(1)[0])

    async def main() -> None:
        engine = AsyncRedis(0, unix_socket_path=server.path)
        connection = await engine.pool.take()
        engine.pool.give(connection, clean=True)
        again = await engine.pool.take()
        assert again is connection
        server.answer(b"+PONG\r\n+MORE\r\n")
        await connection.send_command("PING")
        assert await connection.read_response() == b"PONG"
        engine.pool.give(connection, clean=True)
        other = await engine.pool.take()
        assert other is not connection
        engine.pool.give(other, clean=True)
        await engine.aclose()

    if hasattr(ASYNC, "can_read"):  # older versions see less, and have the names
        run(main())
    server.close()


def pipeline_hooks() -> Iterator[tuple[type[Any], str]]:
    for kind in (losses.PlainLosses, losses_aio.AsyncPlainLosses):
        for name in ("_disconnect_raise_on_watching", "_disconnect_reset_raise_on_watching"):
            yield kind, name


@pytest.fixture
def no_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if redis-py called other methods when a pipeline loses its connection."""
    for kind, name in pipeline_hooks():
        monkeypatch.delattr(kind, name)


def test_the_methods_of_redis_py_that_are_replaced_are_there() -> None:
    for pipeline in (redis.client.Pipeline, redis.asyncio.client.Pipeline):
        assert all(hasattr(pipeline, name) for _, name in pipeline_hooks())


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.usefixtures("no_hooks")
def test_a_pipeline_that_loses_its_connection_reports_no_changed_key(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], at_once: bool
) -> None:
    relay = proxy(redis_servers(1)[0])
    with create_cluster(settings([relay])) as cluster, cluster.on_key("k").pipeline() as pipe:
        pipe.watch("k")
        relay.cut_replies(after=0)
        with pytest.raises(MaybeApplied):
            if at_once:
                pipe.get("k")
            else:
                pipe.multi()
                pipe.set("k", "v").execute()


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.usefixtures("no_hooks")
def test_a_pipeline_that_loses_its_connection_reports_no_changed_key_with_asyncio(
    redis_servers: Servers, proxy: Callable[..., FaultProxy], at_once: bool
) -> None:
    relay = proxy(redis_servers(1)[0])

    async def main() -> None:
        async with create_async_cluster(settings([relay])) as cluster, cluster.on_key("k").pipeline() as pipe:
            await pipe.watch("k")
            relay.cut_replies(after=0)
            with pytest.raises(MaybeApplied):
                if at_once:
                    await pipe.get("k")
                else:
                    pipe.multi()
                    await pipe.set("k", "v").execute()

    run(main())


def test_a_changed_key_is_one_also_while_a_lost_connection_is_handled(redis_servers: Servers) -> None:
    servers = redis_servers(1)
    with create_cluster(settings(servers)) as cluster, cluster.on_key("k").pipeline() as pipe:
        try:
            raise redis.ConnectionError("of somebody else")
        except redis.ConnectionError:
            pipe.watch("k")
            cluster.set("k", "changed")
            pipe.multi()
            with pytest.raises(redis.WatchError):
                pipe.set("k", "v").execute()


def test_the_engines_have_connections_of_redis_py() -> None:
    """Else the tests above would hide names of nothing."""
    assert issubclass(Redis(0).pool.connection_class, BLOCKING)
    assert issubclass(AsyncRedis(0)._template.connection_class, ASYNC)
