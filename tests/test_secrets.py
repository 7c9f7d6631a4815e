"""No error, log or report shows a secret: marked secrets in every option and URL, and every way in which hosts fail.

The servers are real. One that does not know HELLO repeats the greeting, password and all, as servers do.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
import logging
import pickle
import socket
import traceback
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest
import redis
import redis.asyncio

from clusters import ByName
from given import NewRedisServer
from nydus_core import (
    BaseAsyncEngine,
    BaseEngine,
    CommandError,
    ConfigError,
    HostError,
    create_async_cluster,
    create_cluster,
    hookimpl,
)
from nydus_core.engines import EngineBase, SerialBatch
from nydus_core.plugins import register, unregister
from sides import AsyncOwnSide, AsyncSide, BlockingSide, Side
from waiting import LONG, until

#: Secrets begin and end with these words, and hold characters that each form of a text shows in another way.
BEGIN, END = "hunter2Begin", "endOfHunter2"
ODD = "/#?@ %41'\"\\:é"
PASSWORD = f"{BEGIN}-password{ODD}{END}"
USER = f"{BEGIN}-user{ODD.replace(':', '')}{END}"
OTHER = f"{BEGIN}-other{END}"

QUICK = {"failures": 1, "backoff": 0.02, "most": 0.05}


class Listener(logging.Handler):
    """Keeps what is logged, as it would be printed."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.lines.append(repr(record.args))


class Seen:
    """All that users and logs are shown."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[BaseException] = []

    def error(self, error: BaseException) -> None:
        """Take down an error in all forms, with those behind it."""
        self.errors.append(error)
        self.texts += ["".join(traceback.format_exception(error))]
        todo, seen = [error], set[int]()
        while todo:
            each = todo.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            self.texts += [str(each), repr(each), repr(each.args), repr(vars(each))]
            with contextlib.suppress(pickle.PicklingError, TypeError, AttributeError):
                self.texts.append(repr(pickle.dumps(each)))
            todo += [other for other in (each.__cause__, each.__context__) if other is not None]
            if isinstance(each, CommandError):
                todo += [failure.error for failure in each.errors]

    def show(self, *things: object) -> None:
        """Take down anything else."""
        self.texts += [form(thing) for thing in things for form in (str, repr)]

    def check(self) -> None:
        """Find no mark."""
        for text in self.texts:
            for mark in (BEGIN, END):
                assert mark not in text, text


@pytest.fixture
def seen() -> Iterator[Seen]:
    listener, found = Listener(), Seen()
    root, nydus = logging.getLogger(), logging.getLogger("nydus")
    levels = root.level, nydus.level
    root.setLevel(logging.DEBUG)
    nydus.setLevel(logging.DEBUG)
    root.addHandler(listener)
    yield found
    root.removeHandler(listener)
    root.setLevel(levels[0])
    nydus.setLevel(levels[1])
    found.texts += listener.lines
    found.check()


# Roads ----------------------------------------------------------------------------------------------------------


async def _map(side: Side, cluster: Any, seen: Seen, **options: Any) -> None:
    async with side.map(cluster, **options) as conn:
        promises = [conn.set("a", 1), conn.get("b")]
    seen.show(*promises)
    for failure in conn.get_errors():
        seen.error(failure.error)


async def _pipeline(side: Side, client: Any, watch: str | None = None) -> None:
    pipeline = client.pipeline()
    try:
        if watch is not None:
            await side(pipeline.watch(watch))
            pipeline.multi()
        pipeline.set("a", 1)
        await side(pipeline.execute())
    finally:
        await side(pipeline.reset())


async def _pubsub(side: Side, client: Any) -> None:
    pubsub = client.pubsub()
    try:
        await side(pubsub.subscribe("a"))
        for _ in range(3):
            await side(pubsub.get_message(timeout=0.05))
    finally:
        await side(pubsub.aclose() if hasattr(pubsub, "aclose") else pubsub.close())


async def _client(side: Side, cluster: Any) -> None:
    client = cluster.on("a").client()
    try:
        await side(client.ping())
    finally:
        await side(client.aclose() if isinstance(side, AsyncSide) else client.close())


async def _plain(side: Side, cluster: Any) -> None:
    engine = cluster["a"]
    if hasattr(engine, "connection"):
        engine.connection.ping()


async def _in_time(side: Side, cluster: Any) -> None:
    with cluster.deadline(LONG):
        await side(cluster.get("a"))


def redis_roads(side: Side, cluster: Any, seen: Seen) -> list[Callable[[], Awaitable[Any]]]:
    """Every road on which a command, or a subscription, goes to a host of Redis."""
    return [
        lambda: side(cluster.get("a")),
        lambda: side(cluster.set("a", 1)),
        lambda: side(cluster.mget("a", "b")),
        lambda: side(cluster.ping()),
        lambda: side(cluster.on("a").get("a")),
        lambda: side(cluster.on_key("a").get("a")),
        lambda: side(cluster.on("a").scan()),
        lambda: side(cluster.register_script("return 1")(keys=["a"])),
        lambda: side(cluster.lock("a", blocking=False, timeout=1).acquire()),
        lambda: side(cluster.eval("return redis.error_reply('ERR ' .. ARGV[1])", 1, "a", PASSWORD)),
        lambda: side(cluster.eval("return redis.error_reply('ERR ' .. ARGV[1])", 1, "a", quote(PASSWORD))),
        partial(_map, side, cluster, seen),
        partial(_map, side, cluster, seen, fail_silently=True),
        partial(_map, side, cluster, seen, transaction=True),
        partial(_pipeline, side, cluster),
        partial(_pipeline, side, cluster.on("a")),
        partial(_pipeline, side, cluster.on("a"), "a"),
        partial(_pubsub, side, cluster),
        partial(_pubsub, side, cluster.on("a")),
        partial(_client, side, cluster),
        partial(_plain, side, cluster),
        partial(_in_time, side, cluster),
    ]


async def drive(side: Side, cluster: Any, seen: Seen) -> None:
    """Go every road, twice: with the host taken for well, and with it known to be down."""
    for road in redis_roads(side, cluster, seen) * 2:
        try:
            await road()
        except Exception as error:
            seen.error(error)
        seen.show(cluster.health(), cluster, *cluster.hosts.values(), cluster.explain("get", "a"))
    for _ in range(20):  # probes fail meanwhile, and say why; a host that refuses this client is not probed
        await side.sleep(0.01)
    seen.show(cluster.health(), cluster.router)


# Hosts that fail ------------------------------------------------------------------------------------------------


class Provider(redis.CredentialProvider):
    """Gives another token each time."""

    def __init__(self) -> None:
        self.made = 0

    def get_credentials(self) -> tuple[str, str]:
        self.made += 1
        return "someone", f"{BEGIN}-token-{self.made}-{END}"


class Failing(redis.CredentialProvider):
    """Fails, and tells too much."""

    def __init__(self) -> None:
        self.password = PASSWORD

    def get_credentials(self) -> tuple[str, str]:
        raise ValueError(f"cannot use {self.password}")


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def config_of(folder: Path, *lines: str) -> dict[str, str]:
    """The settings of a server with lines of redis.conf that are more than a name and one value."""
    path = folder / "more.conf"
    path.write_text("".join(f"{line}\n" for line in lines))
    return {"include": str(path)}


TLS: dict[str, Any] = {"ssl": True, "ssl_password": OTHER}
if "ssl_password" not in inspect.signature(redis.asyncio.Redis).parameters:  # of an old redis-py
    del TLS["ssl_password"]
SECRETS = {"username": USER, "password": PASSWORD}
URL = f"redis://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@127.0.0.1"

#: The lines of a server's redis.conf, and the options of the host; or a URL.
FAILING: dict[str, tuple[list[str], dict[str, Any] | str]] = {
    "HELLO is repeated": (['rename-command HELLO ""'], SECRETS),
    "HELLO is repeated, password only": (['rename-command HELLO ""'], {"password": PASSWORD}),
    "HELLO is repeated, and requirepass": (['rename-command HELLO ""', "requirepass sesame"], SECRETS),
    "HELLO is repeated, RESP3": (['rename-command HELLO ""'], {**SECRETS, "protocol": 3}),
    "AUTH is repeated": (['rename-command AUTH ""'], {**SECRETS, "protocol": 2}),
    "AUTH is repeated, cut short": (['rename-command AUTH ""'], {"password": PASSWORD * 9, "protocol": 2}),
    "HELLO is repeated, of a URL": (['rename-command HELLO ""'], f"{URL}:PORT/0"),
    "HELLO is repeated, of a query": (
        ['rename-command HELLO ""'],
        f"redis://127.0.0.1:PORT/0?username={quote(USER, safe='')}&password={quote(PASSWORD, safe='')}",
    ),
    "wrong password": (["requirepass sesame"], SECRETS),
    "wrong password, protocol 2": (["requirepass sesame"], {**SECRETS, "protocol": 2}),
    "no permission": (
        ["user default off", "user other on >x ~* +ping +hello +auth"],
        {"username": "other", "password": "x"},
    ),
    "provider": (['rename-command HELLO ""'], {"credential_provider": Provider()}),
    "provider fails": ([], {"credential_provider": Failing()}),
    "no TLS there": ([], {**SECRETS, **TLS, "timeout": 0.5}),
    "well": ([f"requirepass {json.dumps(PASSWORD, ensure_ascii=False)}"], {"password": PASSWORD}),
    "no such database": ([], {"db": 999999}),
}


@pytest.mark.parametrize("side", [BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
@pytest.mark.parametrize("case", FAILING)
def test_no_road_shows_a_secret(
    case: str, side: type[Side], seen: Seen, new_redis_server: NewRedisServer, tmp_path: Path
) -> None:
    lines, options = FAILING[case]
    server = new_redis_server(config_of(tmp_path, *lines), tcp=True)
    address = {"host": "127.0.0.1", "port": server.port}
    host = options.replace("PORT", str(server.port)) if isinstance(options, str) else {**address, **options}
    _drive(side, host, seen)
    assert seen.errors


@pytest.mark.parametrize("side", [BlockingSide, AsyncSide, AsyncOwnSide], ids=lambda side: side.name)
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_no_road_to_a_host_that_is_not_there_shows_a_secret(side: type[Side], host: str, seen: Seen) -> None:
    _drive(side, {"host": host, "port": closed_port(), **SECRETS, **TLS}, seen)
    assert seen.errors


def _drive(side: type[Side], host: dict[str, Any] | str, seen: Seen) -> None:
    async def scenario(side: Side) -> None:
        cluster = side.cluster(
            {
                "engine": "redis",
                "hosts": {"a": host},
                "router": "rendezvous",
                "health": QUICK,
                "retry": {"attempts": 2, "backoff": 0},
            }
        )
        await drive(side, cluster, seen)

    side().run(scenario)


# memcached ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [BlockingSide, AsyncSide], ids=lambda side: side.name)
def test_no_error_of_memcached_shows_what_a_tls_context_or_an_identifier_holds(
    side: type[Side], seen: Seen
) -> None:
    async def scenario(side: Side) -> None:
        host = {"port": closed_port(), "host": "127.0.0.1", "identifier": f"memcache://{BEGIN}:{OTHER}@h/"}
        cluster = side.cluster({"engine": "memcache", "hosts": {"a": host}, "health": QUICK})
        for _ in range(2):
            for road in (
                lambda: side(cluster.get("a")),
                lambda: side(cluster.set_many({"a": 1})),
                lambda: side(cluster.on("a").version()),
                partial(_map, side, cluster, seen),
            ):
                try:
                    await road()
                except Exception as error:
                    seen.error(error)
            seen.show(cluster.health(), cluster, cluster["a"])

    side().run(scenario)
    assert seen.errors


# Engines of third parties ---------------------------------------------------------------------------------------


class Telling(Exception):
    """An error that puts its text together of things that it holds."""

    def __init__(self, options: Any) -> None:
        super().__init__()
        self.__held = options

    def __str__(self) -> str:
        return f"cannot connect with {vars(self.__held)!r}"


class Bag:
    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options


SHOWN: dict[str, Callable[[dict[str, Any]], Exception]] = {
    "text": lambda options: OSError(f"cannot connect with {options!r}"),
    "parts": lambda options: ConnectionRefusedError(111, str(options), str(options)),
    "keys": lambda options: KeyError(*options.values()),
    "nested": lambda options: OSError({"with": [options, tuple(options.values())]}),
    "of things": lambda options: Telling(Bag(options)),
    "group": lambda options: ExceptionGroup("some", [OSError(f"with {options!r}"), Telling(Bag(options))]),
    "bytes": lambda options: OSError(str(options).encode()),
    "unicode": lambda options: UnicodeDecodeError("utf-8", str(options).encode(), 0, 1, str(options)),
}


class Store(BaseEngine):
    """An engine as third parties write them. It keeps its options where the core does not see them."""

    url_schemes = ("store",)
    retryable_exceptions = (Exception,)
    how: ClassVar[str] = "text"
    async_side = None

    def __init__(
        self, num: Any, host: str = "", username: str = "", password: str = "", **options: Any
    ) -> None:
        super().__init__(num)
        self.held = {"username": username, "password": password, **options}

    def connect(self) -> Any:
        try:
            raise SHOWN[self.how](self.held)
        except Exception as error:
            error.add_note(f"with {self.held!r}")
            raise OSError(f"no store at {self.held!r}") from error

    def disconnect(self) -> None: ...


class AsyncStore(BaseAsyncEngine):
    """The same, for asyncio."""

    url_schemes = ("store",)
    retryable_exceptions = (Exception,)
    how: ClassVar[str] = "text"

    def __init__(
        self, num: Any, host: str = "", username: str = "", password: str = "", **options: Any
    ) -> None:
        super().__init__(num)
        self.held = {"username": username, "password": password, **options}

    async def connect(self) -> Any:
        Store.connect(self)  # type: ignore[arg-type]

    async def disconnect(self, client: Any) -> None: ...


OF_STORE = {
    "username": USER,
    "password": PASSWORD,
    "api_key": f"{BEGIN}-key-{END}",
    "token": f"{BEGIN}-token-{END}",
    "nested": {"auth": [f"{BEGIN}-nested-{END}"]},
    "url": f"amqp://{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@h/x",
}


@pytest.mark.parametrize("how", SHOWN)
@pytest.mark.parametrize("side", [BlockingSide, AsyncSide], ids=lambda side: side.name)
def test_an_engine_of_a_third_party_keeps_secrets_without_doing_anything(
    side: type[Side], how: str, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Store, "how", how)
    monkeypatch.setattr(AsyncStore, "how", how)

    async def scenario(side: Side) -> None:
        engine = Store if isinstance(side, BlockingSide) else AsyncStore
        cluster = side.cluster(
            {"engine": engine, "router": ByName, "hosts": {"a": OF_STORE}, "health": QUICK}
        )
        for _ in range(2):
            for road in (
                lambda: side(cluster.get("a")),
                lambda: side(cluster.on("a").get("a")),
                partial(_map, side, cluster, seen),
                partial(_map, side, cluster, seen, fail_silently=True),
                partial(_in_time, side, cluster),
            ):
                try:
                    await road()
                except Exception as error:
                    seen.error(error)
            seen.show(cluster.health(), cluster, cluster["a"])
        await side.until(lambda: cluster.health()["a"].failures > 1)
        seen.show(cluster.health())
        if isinstance(side, BlockingSide):
            with pytest.raises(Exception) as caught:
                cluster["a"].connection  # noqa: B018
            seen.error(caught.value)

    side().run(scenario)
    assert seen.errors


class Answering(EngineBase):
    """An engine without any of the helpers, whose server answers with a secret."""

    def call(self, command: Any) -> Any:
        raise ValueError(f"no {command.name} for {PASSWORD}")

    def batch(self, commands: Any, *, transaction: bool = False) -> Any:
        return SerialBatch(self, commands)

    def probe(self) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None:
        raise ValueError(f"cannot close with {PASSWORD}")

    def retire(self) -> None: ...


def test_an_answer_with_a_secret_and_an_error_of_closing_are_cleaned(seen: Seen) -> None:
    cluster = create_cluster({"engine": Answering, "router": ByName, "hosts": {"a": {"password": PASSWORD}}})
    for call in (
        lambda: cluster.get("a"),
        lambda: cluster.on("a").get("a"),
        lambda: asyncio.run(_map(BlockingSide(), cluster, seen)),
        cluster.close,
    ):
        with pytest.raises(Exception) as caught:
            call()
        seen.error(caught.value)


def test_the_error_of_a_readmitting_function_and_of_a_plugin_are_cleaned(
    seen: Seen, new_redis_server: NewRedisServer
) -> None:
    class Plugin:
        @hookimpl
        def nydus_configure(self, settings: Any) -> None:
            raise ValueError(f"with {settings!r}")

        @hookimpl
        def nydus_host_down(self, cluster: Any, host: str, cause: Any) -> None:
            raise ValueError(f"with {PASSWORD}")

    def readmit(host: str, client: Any) -> None:
        raise ValueError(f"with {PASSWORD}")

    plugin = Plugin()
    register(plugin)
    server = new_redis_server(tcp=True)
    try:
        host = {"host": "127.0.0.1", "port": server.port, "client_name": "x", "ssl_password": PASSWORD}
        with create_cluster(
            {
                "engine": "redis",
                "hosts": {"a": host},
                "health": QUICK,
                "on_readmit": readmit,
                "retry": {"attempts": 1},
            }
        ) as cluster:
            server.kill()
            with pytest.raises(HostError) as caught:
                cluster.get("a")
            seen.error(caught.value)
            server.restart(LONG)
            until(lambda: "ValueError" in cluster.health()["a"].cause)
            seen.show(cluster.health())
    finally:
        unregister(plugin)


# Settings -------------------------------------------------------------------------------------------------------

BAD_URLS = [
    "{scheme}://:{begin}/{end}@h",
    "{scheme}://:{begin}#{end}@h",
    "{scheme}://:{begin}?{end}@h",
    "{scheme}://:{begin} {end}@h",
    "{scheme}://:{begin}\n{end}@h",
    "{scheme}://{begin}:12/{end}@h:1",
    "{scheme}://:12#{begin}{end}@h:6379/0",
    "{scheme}://h:{begin}{end}",
    "{scheme}://h:1/{begin}{end}",
    "{scheme}://h:1/0/{begin}{end}",
    "{scheme}://[{begin}{end}]:1",
    "{scheme}://[::1{begin}:1",
    "{scheme}://u:{begin}{end}@[::zz]",
    "{scheme}://u:{begin}{end}@h,i",
    "{scheme}://u:{begin}{end}@:1",
    "{scheme}://u:{begin}{end}@h?timeout=soon",
    "{scheme}://u:{begin}{end}@h?no_such_option=1",
    "{scheme}://u:{begin}{end}@h?prt={begin}",
    "{scheme}://h?password={begin}{end}&weight=x",
    "{scheme}://h?password={begin}@{end}",
    "{scheme}://u:{begin}{end}@h/0?db=x",
    "unknown://u:{begin}{end}@h",
    "unix://{begin}{end}/x.sock",
    "unix://u:{begin}/{end}@/x.sock",
    "u:{begin}{end}@h:1",
    "{begin}@h:1",
]


@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
@pytest.mark.parametrize(
    ("engine", "scheme"),
    [
        ("redis", "redis"),
        ("redis", "rediss"),
        ("redis", "valkey"),
        ("memcache", "memcached"),
        (Store, "store"),
        (AsyncStore, "store"),
    ],
    ids=str,
)
@pytest.mark.parametrize("form", BAD_URLS)
def test_no_error_about_a_url_shows_a_part_of_it(
    form: str, engine: Any, scheme: str, create: Callable[[Any], Any], seen: Seen
) -> None:
    url = form.format(scheme=scheme, begin=BEGIN, end=END)
    for settings in (
        {"hosts": [url]},
        {"hosts": {"a": {"host": url}}},
        {"hosts": url},
        {"defaults": url, "hosts": [{}]},
    ):
        try:
            cluster = create({"engine": engine, **settings})
        except ConfigError as error:
            seen.error(error)
        else:
            seen.show(cluster)
    with contextlib.suppress(AttributeError):
        kind: Any = (
            engine if isinstance(engine, type) else type(create({"engine": engine, "hosts": [{}]}).hosts[0])
        )
        with pytest.raises(ValueError) as caught:
            kind.from_url(url)
            raise ValueError("it can be read")
        seen.error(caught.value)
