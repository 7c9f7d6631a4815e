"""Whatever stands in the settings: there is a cluster, or a ``ConfigError`` that says where.

Every option of every engine and router is tried with every odd value, in every form in which it can be written.
"""

from __future__ import annotations

import contextlib
import decimal
import inspect
import json
import math
import pathlib
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

import pytest
import redis
import redis.asyncio

from async_engines import AsyncMemoryEngine
from engines import MemoryEngine
from nydus.conf import configure
from nydus.db import connections
from nydus_core import ConfigError, create_async_cluster, create_cluster
from nydus_core.engines import BaseEngine
from nydus_core.plugins import ROUTERS, find_class
from nydus_core.routers import PartitionRouter
from nydus_core.settings.resilience import RESILIENCE
from nydus_memcache.engine import AsyncMemcache, Memcache
from nydus_redis.embedded import Embedded
from nydus_redis.engine import AsyncRedis, Redis
from odd import Index, Level, Word, lying
from thinned import WHOLE, thinned

pytestmark = pytest.mark.filterwarnings("ignore::nydus_core.checks.SettingsWarning")


class Owner(BaseEngine):
    """An engine of a third party, with options of its own."""

    url_schemes = ("owner",)

    def __init__(
        self,
        num: Any,
        host: str = "localhost",
        port: int = 1,
        ratio: float = 0.5,
        fast: bool = False,
        label: str | None = None,
    ) -> None:
        super().__init__(num)
        self.host, self.port, self.ratio = host, port, ratio

    def connect(self) -> Any:
        raise NotImplementedError

    def disconnect(self) -> None:
        pass


class Strange:
    """Is no Mapping and no Sequence, and raises whenever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        if name == "__class__":
            return Strange
        raise RuntimeError("a method of the user's")


class Pretender:
    """Says that it is a text."""

    __class__ = str  # type: ignore[assignment]


class Torn(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("a method of the user's")

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError("a method of the user's")

    def __len__(self) -> int:
        return 1


class HalfTorn(Torn):
    def __iter__(self) -> Iterator[str]:
        return iter(["host"])


def _deep(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def _circle() -> Any:
    found: dict[str, Any] = {}
    found["host"] = found
    return found


def _circle_of_lists() -> Any:
    found: list[Any] = []
    found.append(found)
    return found


NUMBERS: list[Any] = [
    *(0, -1, 1, 2**31, 2**63, 2**64, 10**20, 10**400, -(10**400), 10**5000, -(10**5000)),
    *(0.0, -0.0, 0.5, -0.5, 1e308, 1e-320, math.nan, math.inf, -math.inf, True, False, 1j),
    *(decimal.Decimal("NaN"), decimal.Decimal(1), Index(1), Index("1")),
    *(Level.LOW, lying(int)(1), lying(int)(10**5000), lying(float)(1.5), lying(float)(math.nan)),
]
TEXTS: list[Any] = [
    *(
        "",
        " ",
        "text",
        "1",
        "nan",
        "-h",
        "h?db=1",
        "h%20",
        "a.b",
        "x.y.z",
        "x" * 10_000,
        "/",
        "//",
        "/x" * 200,
    ),
    *(
        "\x00",
        "\ud800",
        "é",
        "redis://",
        "redis://:123#pw@prod",
        "://",
        "http://h",
        "unix:",
        "[::1",
        "::1%",
        ":",
        "@",
    ),
    *(
        b"",
        b"bytes",
        b"\xff",
        bytearray(b"x"),
        memoryview(b"x"),
        Word.RED,
        lying(str)("text"),
        lying(str)("redis://h"),
    ),
    lying(bytes)(b"bytes"),
]
OBJECTS: list[Any] = [
    *(
        None,
        Ellipsis,
        NotImplemented,
        object(),
        object,
        int,
        len,
        lambda: None,
        range(3),
        iter([]),
        ValueError("x"),
    ),
    *([], ["a"], [None], (), (1, 2), {}, {"a": 1}, {1: 2}, {None: None}, {"": 1}, set(), {"a"}, frozenset()),
    *([[]], [{}], {"a": {}}, {"a": [{"b": {}}]}, _deep(50), _deep(5000), _circle(), _circle_of_lists()),
    *(
        lying(dict)(),
        lying(dict)({"a": 1}),
        lying(list)(),
        lying(list)(["a"]),
        Torn(),
        HalfTorn(),
        Strange(),
        Pretender(),
    ),
    *(pathlib.Path("/x"), inspect, redis.ConnectionPool, redis.Redis(), lying(object)()),
]
ALL_ODD = [*NUMBERS, *TEXTS, *OBJECTS]
ODD = thinned(ALL_ODD, 3)
#: A part of them, where the same check is reached in another way.
SOME = ALL_ODD[::7] if WHOLE else ALL_ODD[3::23]

#: Values that a TOML file, or JSON, can hold.
PLAIN: list[Any] = [
    *(
        0,
        -1,
        2**63 - 1,
        10**400,
        0.5,
        math.nan,
        math.inf,
        True,
        False,
        "",
        "text",
        "1",
        "\u0000",
        "x" * 10_000,
    ),
    *([], ["a"], [[]], {}, {"a": 1}, {"a": {"b": []}}, "redis://:123#pw@prod"),
]


def faults(make: Callable[[Any], Any], values: list[Any]) -> list[str]:
    """The values that neither make a cluster nor a ``ConfigError`` with a place."""
    found = []
    for value in values:
        try:
            made = make(value)
        except KeyError as error:  # there is no cluster of that name
            if not isinstance(error, ConfigError):
                found.append(f"{_shown(value)}: a bare {error!r}")
        except ConfigError as error:
            if not error.path or not error.message or len(str(error)) > 3000:
                found.append(f"{_shown(value)}: a bad ConfigError: {str(error)[:300]!r}")
        except Exception as error:
            found.append(f"{_shown(value)}: {type(error).__name__}: {str(error)[:300]}")
        else:
            close = getattr(made, "close", None)
            if close is not None and not inspect.iscoroutinefunction(close):
                close()
    return found


def _shown(value: Any) -> str:
    try:
        return f"{type(value).__name__} {value!r}"[:80]
    except Exception:
        return type(value).__name__


def options_of(engine: Any) -> list[str]:
    return [*engine.option_types(), "weight", "unknown"]


ENGINES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "redis": (Redis, create_cluster),
    "redis-async": (AsyncRedis, create_async_cluster),
    "memcache": (Memcache, create_cluster),
    "memcache-async": (AsyncMemcache, create_async_cluster),
    "third-party": (Owner, create_cluster),
}
CASES = [(name, option) for name, (engine, _) in ENGINES.items() for option in options_of(engine)]


@pytest.mark.parametrize(("name", "option"), thinned(CASES, 4))
def test_every_option_of_a_host(name: str, option: str) -> None:
    engine, create = ENGINES[name]

    def make(value: Any) -> Any:
        return create({"engine": engine, "hosts": {"a": {option: value}}})

    assert faults(make, ODD if engine.option_types().get(option) else SOME) == []


@pytest.mark.parametrize(("name", "option"), thinned(CASES, 4, 1))
def test_every_default(name: str, option: str) -> None:
    engine, create = ENGINES[name]

    def make(value: Any) -> Any:
        return create({"engine": engine, "hosts": {"a": {}}, "defaults": {option: value}})

    assert faults(make, SOME) == []


@pytest.mark.parametrize(("name", "option"), thinned(CASES, 4, 2))
def test_every_option_of_a_host_that_is_added(name: str, option: str) -> None:
    engine, create = ENGINES[name]
    cluster = create({"engine": engine, "router": PartitionRouter, "hosts": {"a": {}}})

    def make(value: Any) -> None:
        cluster.add_host("b", {option: value})
        cluster.remove_host("b")

    assert faults(make, SOME) == []


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("name", ENGINES)
def test_every_positional_option(name: str, position: int) -> None:
    engine, create = ENGINES[name]
    usual = ["localhost", 6379, 0]

    def make(value: Any) -> Any:
        return create({"engine": engine, "hosts": [[*usual[:position], value]]})

    assert faults(make, ODD) == []


@pytest.mark.parametrize("name", ENGINES)
def test_every_host_key_and_weight(name: str) -> None:
    engine, create = ENGINES[name]
    odd = ODD if engine is Owner else SOME
    base = {"engine": engine, "router": PartitionRouter}
    cluster = create({**base, "hosts": {"a": {}}})

    def keyed(value: Any) -> Any:
        return create({**base, "hosts": {value: {}, "other": {}}})

    def added(value: Any) -> None:
        cluster.add_host(value, {})
        cluster.remove_host(value)

    forms: list[Callable[[Any], Any]] = [
        lambda value: create({**base, "hosts": value}),
        lambda value: create({**base, "hosts": [value]}),
        lambda value: create({**base, "hosts": {"a": value, "b": {}}}),
        lambda value: create(
            {**base, "hosts": {"a": {value: 1}}} if _hashable(value) else {"engine": engine}
        ),
        lambda value: keyed(value) if _hashable(value) else None,
        added,
        lambda value: cluster.add_host("b", value) or cluster.remove_host("b"),
        lambda value: cluster.set_weight("a", value),
        lambda value: cluster.set_weight(value, 2),
        cluster.remove_host,
    ]
    for form in forms:
        assert faults(form, odd) == [], inspect.getsource(form)


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except Exception:
        return False
    return True


CLUSTER = ("engine", "backend", "router", "hosts", "defaults", "cluster", "fingerprint", *RESILIENCE)
NESTED = [
    *(("retry", option) for option in ("attempts", "backoff", "most", "repeat", "unknown")),
    *(("health", option) for option in ("failures", "rate", "calls", "window", "backoff", "most", "unknown")),
    *(("router", option) for option in ("name", "unknown")),
]


@pytest.mark.parametrize(
    ("engine", "create"), [(Owner, create_cluster), (AsyncMemoryEngine, create_async_cluster)]
)
def test_every_setting_of_a_cluster(engine: Any, create: Any) -> None:
    base = {"engine": engine, "router": PartitionRouter, "hosts": [{}, {}]}
    for name in CLUSTER:
        given = {key: value for key, value in base.items() if (key, name) != ("engine", "backend")}
        assert faults(lambda value: create({**given, name: value}), ODD) == [], name  # noqa: B023
    for name, option in NESTED:
        assert faults(lambda value: create({**base, name: {option: value}}), ODD) == [], (name, option)  # noqa: B023
    for value in filter(_hashable, ODD):
        assert faults(lambda value: create({**base, value: 1}), [value]) == []


def test_the_settings_as_a_whole() -> None:
    """These have no place of their own: the settings are what is wrong."""
    for value in ODD:
        for create in (create_cluster, create_async_cluster):
            with contextlib.suppress(ConfigError), warnings.catch_warnings():
                create(value)
            with contextlib.suppress(ConfigError):
                create({"engine": "redis", "hosts": [{}]}, value)


ROUTER_NAMES = sorted(point.name for point in entry_points(group=ROUTERS))


@pytest.mark.parametrize("router", ROUTER_NAMES)
def test_every_option_of_a_router(router: str) -> None:
    kind = find_class(ROUTERS, router, "router")
    names = {name for each in kind.__mro__ for name in _parameters(each)} - {"self", "nodes", "cluster"}

    def make(option: str) -> Callable[[Any], Any]:
        return lambda value: create_cluster(
            {"engine": MemoryEngine, "router": {"name": kind, option: value}, "hosts": {"a": {}, "b": {}}}
        )

    for option in sorted(names):
        assert faults(make(option), thinned(ALL_ODD, 14)) == [], option


def _parameters(kind: type[Any]) -> list[str]:
    init = vars(kind).get("__init__")
    if init is None or kind is object:
        return []
    return [
        each.name
        for each in inspect.signature(init).parameters.values()
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]


@pytest.mark.parametrize("option", thinned([*Embedded.option_types(), "weight", "unknown"], 5))
def test_every_option_of_an_embedded_host(option: str) -> None:
    """Values that are taken start a server, so only a few are tried that look right."""

    def make(value: Any) -> Any:
        return create_cluster({"engine": "embedded", "hosts": [{option: value}]})

    known = Embedded.option_types().get(option, None)
    odd = SOME if known is not None else [None, 10**400, b"\xff", {"a": Strange()}]
    assert faults(make, odd) == []


TEXTS_IN_URLS = [
    *(
        "",
        "x",
        "-1",
        "0",
        "1",
        "1e400",
        "nan",
        "inf",
        "none",
        "True",
        "é",
        "%00",
        "%23",
        "%ff",
        "1" * 5000,
        "a" * 10_000,
    ),
    *("/", "?", "@", ":", "[", "%", "x=y", "x&y", "x&x=1"),
]


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        ("redis", "redis"),
        ("redis", "unix"),
        ("redis-async", "rediss"),
        ("memcache", "memcached"),
        ("third-party", "owner"),
    ],
)
def test_every_part_of_a_url(name: str, scheme: str) -> None:
    engine, create = ENGINES[name]
    forms = [
        *(
            "{s}://{x}",
            "{s}://h:{x}",
            "{s}://{x}@h",
            "{s}://u:{x}@h",
            "{s}:///{x}",
            "{s}://h/{x}",
            "{s}://h?{x}",
            "{x}://h",
        ),
        *(f"{{s}}://h?{option}={{x}}" for option in thinned(options_of(engine), 8)),
    ]
    for form in forms:
        urls = [form.format(s=scheme, x=text) for text in TEXTS_IN_URLS]
        assert faults(lambda url: create({"engine": engine, "hosts": {"a": url}}), urls) == [], form


@pytest.mark.parametrize("name", ["redis", "memcache"])
def test_every_option_in_a_toml_file_and_in_named_connections(name: str, tmp_path: pathlib.Path) -> None:
    engine, _ = ENGINES[name]
    file = tmp_path / "clusters.toml"

    def from_file(option: str) -> Callable[[Any], Any]:
        def make(value: Any) -> Any:
            text = f'[c]\nengine = "{engine.__module__}.{engine.__name__}"\nhosts.a = {{ {option} = {_toml(value)} }}\n'
            with contextlib.suppress(tomllib.TOMLDecodeError):
                tomllib.loads(text)
            file.write_text(text, "utf-8", "surrogatepass")
            return create_cluster(file, "c")

        return make

    def named(option: str) -> Callable[[Any], Any]:
        def make(value: Any) -> Any:
            configure(CONNECTIONS={"c": {"engine": engine, "hosts": {"a": {option: value}}}})
            return connections["c"]

        return make

    for option in thinned(options_of(engine), 8):
        assert faults(from_file(option), PLAIN) == [], option
        assert faults(named(option), SOME) == [], option

    def configured(settings: Any) -> Any:
        configure(CONNECTIONS=settings)
        return connections["c"]

    assert faults(configured, ODD) == []
    assert faults(lambda value: configured({"c": value}), ODD) == []
    configure(CONNECTIONS={})


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"hosts": {"a": {"port": 10**400}}},
            r"hosts\['a'\].port: found a number of 1329 bits; expected a port, 1 to 65535",
        ),
        (
            {"hosts": {"a": {"connection_pool": 5}}},
            r"hosts\['a'\].connection_pool: found int 5; expected .*ConnectionPool",
        ),
        ({"hosts": {"a": {"timeout": math.nan}}}, r"hosts\['a'\].timeout: found nan; expected seconds"),
        (
            {"hosts": ["localhost"], "deadline": 10**400},
            r"deadline: found a number of 1329 bits; expected seconds",
        ),
        (
            {"hosts": {"a": {"weight": 10**400}}},
            r"hosts\['a'\].weight: found .*; expected a number, 0 or more",
        ),
    ],
)
def test_the_error_says_where_and_what(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=f"^{says}"):
        create_cluster({"engine": "redis", **settings})


@pytest.mark.parametrize("create", [create_cluster, create_async_cluster])
def test_subclasses_do_for_the_plain_value(create: Any) -> None:
    given = {
        "host": lying(str)("localhost"),
        "port": lying(int)(7000),
        "timeout": lying(float)(2.5),
        "weight": Level.MINUTE,
    }
    cluster = create({"engine": lying(str)("redis"), "router": "rendezvous", "hosts": {"a": given}})
    engine = cluster.hosts["a"]
    assert [type(each) for each in (engine.host, engine.port, engine.timeout)] == [str, int, float]
    assert (engine.host, engine.port, engine.timeout) == ("localhost", 7000, 2.5)
