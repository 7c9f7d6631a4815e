"""Settings: every form that they may take, and for what is wrong where it is, what was found and what to write."""

from __future__ import annotations

import copy
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

import nydus_core
from engines import MemoryEngine
from nydus_core import Cluster, ConfigError, HostDown, PluginError, create_cluster
from nydus_core.engines import BaseEngine
from nydus_core.routers import (
    BaseRouter,
    BroadcastRouter,
    ConsistentHashingRouter,
    Node,
    PartitionRouter,
    profiles,
)
from nydus_core.settings.cluster import read_settings


class Typed(BaseEngine):
    """An engine that says which options it takes, of which types, and by which URLs."""

    url_schemes = ("mem",)
    countable = True

    def __init__(
        self,
        num: Any,
        host: str = "localhost",
        port: int = 1,
        username: str | None = None,
        password: str | None = None,
        timeout: float = 1.0,
    ) -> None:
        super().__init__(num, host=host, port=port, username=username, password=password, timeout=timeout)

    @property
    def identifier(self) -> str:
        return f"mem://{self.options['host']}:{self.options['port']}"

    @classmethod
    def option_types(cls) -> Mapping[str, Any]:
        text = (str, type(None))
        return {"host": str, "port": int, "username": text, "password": text, "timeout": float}

    @classmethod
    def from_url(cls, url: str) -> dict[str, Any]:
        parts = urlsplit(url)
        return {"host": parts.hostname, "port": parts.port or 1, "password": parts.password}

    def connect(self) -> Any:
        raise ConnectionRefusedError(111, "Connection refused")


class Untyped(BaseEngine):
    """An engine as those of nydus 0.11: what it takes is only known when it is called."""

    def __init__(self, num: Any, host: str = "localhost", port: int = 1, **options: Any) -> None:
        super().__init__(num, host=host, port=int(port), **options)


def built(hosts: Any, engine: type[BaseEngine] = Typed, **settings: Any) -> dict[Any, dict[str, Any]]:
    """The options that the engine of each host was given, by the host's key."""
    found: Any = create_cluster({"engine": engine, "hosts": hosts, **settings}).hosts
    return {key: {k: v for k, v in host.options.items() if v is not None} for key, host in found.items()}


def place(host: str = "localhost", port: int = 1, **more: Any) -> dict[str, Any]:
    return {"host": host, "port": port, "timeout": 1.0, **more}


# Hosts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "options"),
    [
        ({0: {"port": 2}}, {0: place(port=2)}),
        ({"a": {}}, {"a": place()}),
        ({"a": None}, {"a": place()}),
        ([{"port": 2}, {"port": 3}], {0: place(port=2), 1: place(port=3)}),
        (({"port": 2},), {0: place(port=2)}),
        ([["h", 2]], {0: place("h", 2)}),
        ([("h",)], {0: place("h")}),
        ([[]], {0: place()}),
        (["h"], {0: place("h")}),
        (["h:2"], {0: place("h", 2)}),
        ({"a": "mem://h:2"}, {"a": place("h", 2)}),
        (["mem://:pw@h:2"], {0: place("h", 2, password="pw")}),
        (2, {0: place(), 1: place()}),
        (MappingProxyType({"a": MappingProxyType({"port": 2})}), {"a": place(port=2)}),
        ([{"timeout": 2}], {0: {**place(), "timeout": 2}}),
    ],
)
def test_hosts_may_be_given_as(hosts: Any, options: Any) -> None:
    assert built(hosts) == options


@pytest.mark.parametrize(
    ("hosts", "options"),
    [
        ([["h", 2]], {0: {"host": "h", "port": 2}}),
        (["h"], {0: {"host": "h", "port": 1}}),
        ([7], {0: {"host": 7, "port": 1}}),
        ({"a": {"any": "thing"}}, {"a": {"host": "localhost", "port": 1, "any": "thing"}}),
    ],
)
def test_an_engine_that_takes_any_options_is_given_them_as_they_are(hosts: Any, options: Any) -> None:
    assert built(hosts, Untyped) == options


@pytest.mark.parametrize(
    ("keys", "order"),
    [
        ([2, 10, 0], [0, 2, 10]),
        (["2", "10", "0"], ["0", "2", "10"]),
        (["b", "a", "c"], ["b", "a", "c"]),
        (["b", "10", "2"], ["b", "10", "2"]),
        ([10, 3, 7], [3, 7, 10]),
    ],
)
def test_hosts_are_ordered_by_number_if_all_have_numbers_else_as_given(keys: Any, order: Any) -> None:
    assert list(create_cluster({"engine": Typed, "hosts": {key: {} for key in keys}})) == order


def test_a_host_that_says_nothing_gets_the_defaults() -> None:
    hosts = {"a": {}, "b": {"port": 3}, "c": ["h"], "d": "mem://h:4", "e": None}
    ports = {key: options["port"] for key, options in built(hosts, defaults={"port": 2}).items()}
    assert ports == {"a": 2, "b": 3, "c": 2, "d": 4, "e": 2}


@pytest.mark.parametrize("defaults", [None, {}])
def test_defaults_may_be_left_empty(defaults: Any) -> None:
    assert built([{}], defaults=defaults) == {0: place()}


@pytest.mark.parametrize("weight", [0, 1, 2.5])
def test_a_weight_is_for_the_router_and_not_for_the_engine(weight: float) -> None:
    settings = read_settings(
        {"engine": Typed, "hosts": [{"weight": weight}, ["h"]], "defaults": {"weight": 3}}
    )
    assert [host.weight for host in settings.hosts] == [weight, 3]
    assert [dict(host.options) for host in settings.hosts] == [{}, {"host": "h"}]


def test_the_router_gets_names_weights_and_identifiers() -> None:
    cluster = create_cluster(
        {"engine": Typed, "hosts": {1: {"weight": 2}, 0: ["h"]}, "router": ConsistentHashingRouter}
    )
    assert cluster.router.nodes == (Node("0", 1, "mem://h:1"), Node("1", 2, "mem://localhost:1"))


@pytest.mark.parametrize("hosts", [{"a": {"port": 2}, "b": ["h"]}, [{"port": 2}, "mem://h"]])
def test_the_callers_settings_are_not_changed(hosts: Any) -> None:
    settings = {"engine": Typed, "hosts": hosts, "defaults": {"timeout": 3.0, "weight": 2}}
    settings["router"] = {"name": ConsistentHashingRouter, "hash_tags": True}
    before = copy.deepcopy(settings)
    cluster: Any = create_cluster(settings)
    assert cluster.hosts[next(iter(cluster))].options["timeout"] == 3.0
    assert settings == before
    assert list(settings) == list(before)


@pytest.mark.parametrize("router", [BroadcastRouter, profiles.libmemcached_modula])
def test_a_weight_is_refused_by_a_rule_that_knows_none(router: type) -> None:
    with pytest.raises(
        ConfigError, match=rf"hosts\['a'\]\.weight: found 2; {router.__name__} knows no weights"
    ):
        create_cluster({"engine": Typed, "hosts": {"a": {"weight": 2}}, "router": router})


def test_an_option_of_a_router_has_its_type() -> None:
    with pytest.raises(ConfigError, match=r"router\.hash_tags: found 'no'; expected true or false"):
        create_cluster(
            {"engine": Typed, "hosts": [{}], "router": {"name": PartitionRouter, "hash_tags": "no"}}
        )


def test_a_name_is_for_a_file_of_settings() -> None:
    with pytest.raises(ConfigError, match="found the name 'cache' beside a dict"):
        create_cluster({"engine": Typed, "hosts": [{}]}, "cache")


# Engine, router, cluster ------------------------------------------------------------------------------------------


class Counted(Cluster):
    """A cluster class of a user's own."""


@pytest.mark.parametrize("name", ["engine", "backend"])
@pytest.mark.parametrize("engine", [MemoryEngine, "engines.MemoryEngine"])
def test_an_engine_is_a_class_or_a_dotted_path_and_may_be_called_backend(name: str, engine: Any) -> None:
    cluster = create_cluster({name: engine, "hosts": {"a": {}}})
    assert type(cluster["a"]) is MemoryEngine


def test_the_first_example_of_the_documentation_finds_its_router() -> None:
    settings = {"engine": MemoryEngine, "hosts": [{}], "router": "nydus.db.routers.redis.PartitionRouter"}
    assert type(create_cluster(settings).router) is PartitionRouter


@pytest.mark.parametrize(
    ("router", "hash_tags"),
    [
        (PartitionRouter, False),
        ("partition", False),
        ("nydus_core.routers.PartitionRouter", False),
        ({"name": PartitionRouter}, False),
        ({"name": "partition", "hash_tags": True}, True),
        ({"name": "nydus_core.routers.PartitionRouter", "hash_tags": True}, True),
    ],
)
def test_a_router_is_a_class_a_dotted_path_a_name_or_one_of_these_with_options(
    router: Any, hash_tags: bool
) -> None:
    made = create_cluster({"engine": MemoryEngine, "hosts": [{}, {}], "router": router}).router
    assert type(made) is PartitionRouter
    assert made.hash_tags is hash_tags


@pytest.mark.parametrize("name", ["partition", "consistent", "round-robin", "broadcast"])
def test_the_built_in_routers_have_names(name: str) -> None:
    create_cluster({"engine": MemoryEngine, "hosts": [{}, {}], "router": name})


def test_without_a_router_there_is_none() -> None:
    assert create_cluster({"engine": MemoryEngine, "hosts": [{}, {}]}).router is None
    assert create_cluster({"engine": MemoryEngine, "hosts": [{}, {}], "router": None}).router is None


def test_a_router_of_nydus_gets_the_cluster_and_its_options() -> None:
    class Old(BaseRouter):
        def __init__(self, cluster: Any, spare: int = 0) -> None:
            super().__init__(cluster)
            self.spare = spare

    cluster = create_cluster({"engine": MemoryEngine, "hosts": [{}], "router": {"name": Old, "spare": 2}})
    assert cluster.router.cluster is cluster
    assert cluster.router.spare == 2


@pytest.mark.parametrize("cluster", [Cluster, "nydus.db.base.BaseCluster"])
def test_a_cluster_is_a_class_or_a_dotted_path(cluster: Any) -> None:
    assert type(create_cluster({"engine": MemoryEngine, "hosts": [{}], "cluster": cluster})) is Cluster


def test_a_cluster_may_be_of_a_users_own_class() -> None:
    assert type(create_cluster({"engine": MemoryEngine, "hosts": [{}], "cluster": Counted})) is Counted


# TOML -------------------------------------------------------------------------------------------------------------

TOML = """
    [cache]
    engine = "engines.MemoryEngine"
    router = { name = "nydus_core.routers.PartitionRouter", hash_tags = true }
    [cache.defaults]
    delay = 0.5
    [cache.hosts]
    10 = { delay = 1.0 }
    9 = {}

    [queue]
    backend = "engines.PipelinedEngine"
    hosts = [{}, {}]
"""


def written(folder: Path, text: str) -> Path:
    file = folder / "nydus.toml"
    file.write_text(textwrap.dedent(text), "utf-8")
    return file


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_may_hold_several_clusters_by_name(tmp_path: Path, kind: Callable[[Path], Any]) -> None:
    file = kind(written(tmp_path, TOML))
    cache: Any = create_cluster(file, "cache")
    queue = create_cluster(file, name="queue")
    assert [(key, engine.delay) for key, engine in cache.hosts.items()] == [("9", 0.5), ("10", 1.0)]
    assert cache.router.hash_tags
    assert list(queue) == [0, 1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (None, "{file}: no name was given; it has: cache, queue"),
        ("cash", "{file}: it has no cluster 'cash'; it has: cache, queue; did you mean 'cache'?"),
    ],
)
def test_a_name_that_is_not_in_the_file_is_told(tmp_path: Path, name: Any, message: str) -> None:
    file = written(tmp_path, TOML)
    with pytest.raises(ConfigError) as caught:
        create_cluster(file, name)
    assert str(caught.value) == message.format(file=file)


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "[cache]\nengine = 'engines.MemoryEngine'\nhosts = [{}, {dealy = 1}]",
            ": cache.hosts[1].dealy",
            "'delay'",
        ),
        (
            "[cache]\nengine = 'engines.MemoryEngin'\nhosts = [{}]",
            ": cache.engine",
            "did you mean 'MemoryEngine'",
        ),
        ("[cache]\nhosts = [{}]", ": cache.engine", "missing"),
        ("cache = 5", ": cache", "expected a table of settings for each cluster"),
        ("cache = [", "", "is not TOML"),
        ("# \xff", None, None),
    ],
)
def test_an_error_names_the_file_and_the_place_in_it(
    tmp_path: Path, text: str, path: Any, message: Any
) -> None:
    file = written(tmp_path, text)
    if path is None:
        file.write_bytes(b"# \xff")
        path, message = "", "is not TOML"
    with pytest.raises(ConfigError, match=message) as caught:
        create_cluster(file, "cache")
    assert caught.value.path == f"{file}{path}"
    assert str(caught.value).startswith(f"{file}{path}: ")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read settings: No such file") as caught:
        create_cluster(tmp_path / "none.toml", "cache")
    assert caught.value.path == str(tmp_path / "none.toml")


# What is wrong, where, and what to write instead ------------------------------------------------------------------


class Halfway:
    """Has one method of a router by key, and nothing else."""

    def __init__(self, nodes: Any) -> None:
        pass

    def locate(self, key: bytes, avoid: Any = ()) -> str:
        return ""


class Duck:
    """Has the one method of an old router, and not its base."""

    def __init__(self, cluster: Any) -> None:
        pass

    def get_dbs(self, **call: Any) -> list[Any]:
        return []


#: The settings besides an engine and a host, where the mistake is, and what is said of it.
MISTAKES: list[tuple[dict[str, Any], str, str]] = [
    ({"engine": None}, "engine", "missing; expected an engine, such as 'redis'"),
    ({"backend": Typed}, "backend", "found both 'engine' and 'backend'; they are one setting: keep 'engine'"),
    ({"engin": 1}, "engin", r"unknown setting; known: backend, .*, router; did you mean 'engine'\?"),
    ({"xyzzy": 1}, "xyzzy", r"unknown setting; known: backend, cluster, deadline, .*, retry, router$"),
    ({"engine": 5}, "engine", "found int 5; expected a name, a dotted path or a class"),
    ({"engine": dict}, "engine", "dict is not an engine: it has no surface, call, batch, close, probe"),
    ({"engine": "engines.time"}, "engine", "expected a class"),
    (
        {"engine": "engines.MemoryEngin"},
        "engine",
        r"module 'engines' has no 'MemoryEngin'; did you mean 'MemoryEngine'\?",
    ),
    ({"engine": "nowhere.Engine"}, "engine", "cannot import 'nowhere.Engine': No module named 'nowhere'"),
    ({"engine": ".Engine"}, "engine", "'.Engine'; expected a class or a dotted path, package.module.Class"),
    (
        {"hosts": None},
        "hosts",
        "missing; expected a dict of hosts by name, or a list, or the number of hosts",
    ),
    ({"hosts": "localhost"}, "hosts", "found str 'localhost'; expected a dict of hosts by name, or a list"),
    ({"hosts": 1.5}, "hosts", "found float 1.5; expected a dict"),
    ({"hosts": True}, "hosts", "found bool True; expected a dict"),
    ({"hosts": 3, "engine": Untyped}, "hosts", "found int 3; expected a dict of hosts by name, or a list$"),
    ({"hosts": []}, "hosts", "found no hosts; expected one or more"),
    ({"hosts": {}}, "hosts", "found no hosts"),
    ({"hosts": 0}, "hosts", "found 0; expected the number of hosts, 1 or more"),
    ({"hosts": -1}, "hosts", "found -1; expected the number of hosts, 1 or more"),
    (
        {"hosts": {None: {}}},
        "hosts",
        "found the key NoneType None; expected a name or a number for each host",
    ),
    ({"hosts": {"": {}}}, "hosts", "found the key str ''; expected a name"),
    ({"hosts": {1.5: {}}}, "hosts", "found the key float 1.5; expected a name"),
    ({"hosts": {True: {}}}, "hosts", "found the key bool True; expected a name"),
    (
        {"hosts": {1: {}, "1": {}}},
        "hosts",
        "found the hosts 1 and '1'; expected another name for one of them",
    ),
    (
        {"hosts": {"a": {"prt": 1}}},
        "hosts['a'].prt",
        r"unknown setting; known: host, password, .*; did you mean 'port'\?",
    ),
    ({"hosts": [{}, {}, {"port": "x"}]}, "hosts[2].port", "found str 'x'; expected int"),
    ({"hosts": [{"port": True}]}, "hosts[0].port", "found bool True; expected int"),
    ({"hosts": [{"timeout": "1"}]}, "hosts[0].timeout", "found str '1'; expected float"),
    ({"hosts": [{"host": None}]}, "hosts[0].host", "found NoneType None; expected str"),
    ({"hosts": [{"password": 5}]}, "hosts[0].password", "found a value of type int; expected str or None"),
    ({"hosts": [["h", "x"]]}, "hosts[0].port", "found str 'x'; expected int"),
    (
        {"hosts": [range(6)]},
        "hosts[0]",
        "found 6 arguments; expected at most 5: host, port, username, password, timeout",
    ),
    (
        {"hosts": ["mem://h:x"]},
        "hosts[0]",
        "mem://.*Port could not be cast to integer",
    ),  # the engine's own words
    ({"hosts": ["h:1/2"]}, "hosts[0]", "found str 'h:1/2': there is a '/' behind the host: write a URL"),
    ({"hosts": ["/run/x"]}, "hosts[0]", "found str '/run/x'; this engine has no option 'unix_socket_path'"),
    ({"hosts": [{"host": "[::1]"}]}, "hosts[0].host", "expected an address without brackets: '::1'"),
    (
        {"hosts": {"a": "men://h"}},
        "hosts['a']",
        r"men://.*; engine Typed takes mem://; did you mean 'mem'\?",
    ),
    (
        {"hosts": ["mem://h"], "engine": Untyped},
        "hosts[0]",
        "mem://.*; engine Untyped takes no URLs",
    ),
    (
        {"hosts": [{"port": "x"}], "engine": Untyped},
        "hosts[0]",
        "Untyped refused these options: invalid literal for int",
    ),
    ({"hosts": [{"weight": -1}]}, "hosts[0].weight", "found int -1; expected a number, 0 or more"),
    ({"hosts": [{"weight": float("nan")}]}, "hosts[0].weight", "found float nan; expected a number"),
    ({"hosts": [{"weight": float("inf")}]}, "hosts[0].weight", "found float inf; expected a number"),
    ({"hosts": [{"weight": "1"}]}, "hosts[0].weight", "found str '1'; expected a number"),
    ({"hosts": [{"weight": True}]}, "hosts[0].weight", "found bool True; expected a number"),
    ({"defaults": "x"}, "defaults", "found str 'x'; expected a dict of options for every host"),
    ({"defaults": {"prt": 1}}, "defaults.prt", r"unknown setting; .*; did you mean 'port'\?"),
    ({"defaults": {"port": "x"}}, "defaults.port", "found str 'x'; expected int"),
    ({"router": 5}, "router", "found int 5; expected a name, a dotted path or a class"),
    ({"router": dict}, "router", r"dict is not a router: it has no locate\(key, avoid\)"),
    ({"router": "nowhere.Router"}, "router", "cannot import 'nowhere.Router'"),
    (
        {"router": {"hash_tags": True}},
        "router.name",
        r"found 'hash_tags' and no 'name'; expected \{'name': a router, \*\*its options\}",
    ),
    ({"router": {}}, "router.name", "found nothing and no 'name'"),
    (
        {"router": {"nam": "partition"}},
        "router.name",
        r"found 'nam' and no 'name'; .*; did you mean 'name'\?",
    ),
    ({"router": {"name": 5}}, "router.name", "found int 5; expected a name, a dotted path or a class"),
    (
        {"router": "nydus_core.routers"},
        "router",
        r"which is a module; expected a class in it, such as nydus_core\.routers\.\w+",
    ),
    (
        {"router": {"name": "nydus_core.routers.Partition"}},
        "router.name",
        r"did you mean 'PartitionRouter'\?",
    ),
    (
        {"router": {"name": PartitionRouter, "tags": 1}},
        "router.tags",
        r"unknown setting; known: hash_tags; did you mean 'hash_tags'\?",
    ),
    ({"router": Halfway}, "router", "spread"),
    ({"router": Duck}, "router", "BaseRouter"),
    ({"cluster": dict}, "cluster", "dict is not a Cluster; expected a subclass"),
    ({"cluster": "Cluster"}, "cluster", "'Cluster'; expected a class or a dotted path, package.module.Class"),
]


@pytest.mark.parametrize(
    ("settings", "path", "message"), MISTAKES, ids=[f"{p} {m[:20]}" for _, p, m in MISTAKES]
)
def test_a_mistake_is_told_with_its_place_what_was_found_and_what_to_write(
    settings: dict[str, Any], path: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        create_cluster({"engine": Typed, "hosts": [{}], **settings})
    assert caught.value.path == path
    assert str(caught.value) == f"{path}: {caught.value.message}"


@pytest.mark.parametrize("settings", [[], None, 5])
def test_settings_that_are_no_dict_are_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match=f"found {type(settings).__name__}; expected a dict of settings"):
        create_cluster(settings)


def test_hosts_that_share_an_address_are_refused_by_the_router_that_places_by_it() -> None:
    with pytest.raises(
        ConfigError, match="hosts: hosts '0' and '1' have one identifier, 'mem://localhost:1'"
    ):
        create_cluster({"engine": Typed, "hosts": [{}, {}], "router": ConsistentHashingRouter})


# Names of plugins -------------------------------------------------------------------------------------------------


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``distribution('acme', 'nydus.engines', 'acme = acme:Engine')``: one that is installed for this test."""

    def install(name: str, group: str, *points: str, **modules: str) -> None:
        metadata = tmp_path / name / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text("\n".join([f"[{group}]", *points]))
        for module, text in modules.items():
            (tmp_path / name / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / name)

    return install


def refused(**settings: Any) -> str:
    with pytest.raises(PluginError) as caught:
        create_cluster({"engine": MemoryEngine, "hosts": [{}], **settings})
    return str(caught.value)


def test_the_engine_of_any_distribution_is_found_by_its_name(distribution: Callable[..., None]) -> None:
    distribution("acme", "nydus.engines", "acme = engines:MemoryEngine")
    assert type(create_cluster({"engine": "acme", "hosts": [{}]})[0]) is MemoryEngine


def test_the_router_of_any_distribution_is_found_by_its_name(distribution: Callable[..., None]) -> None:
    distribution("acme", "nydus.routers", "zoned = nydus_core.routers:PartitionRouter")
    assert (
        type(create_cluster({"engine": MemoryEngine, "hosts": [{}], "router": "zoned"}).router)
        is PartitionRouter
    )


def test_only_the_plugin_that_was_named_is_imported(distribution: Callable[..., None]) -> None:
    points = "good = engines:MemoryEngine", "bad = exploding_module:Engine"
    distribution("acme", "nydus.engines", *points, exploding_module="raise SystemError('imported')")
    create_cluster({"engine": "good", "hosts": [{}]})


def test_an_unknown_name_is_told_with_the_known_ones_and_the_nearest(
    distribution: Callable[..., None],
) -> None:
    distribution("acme", "nydus.engines", "acmedb = engines:MemoryEngine")
    message = refused(engine="acmedd")
    assert message.startswith("engine: unknown engine 'acmedd'; known: acmedb, ")
    assert message.endswith("; did you mean 'acmedb'?")
    assert "redis" in message


def test_a_known_name_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    assert (
        refused(engine="memcache") == "engine: engine 'memcache' is not installed: pip install nydus-memcache"
    )


@pytest.mark.parametrize(
    ("module", "cause"),
    [
        (
            "import a_library_that_is_missing",
            "ModuleNotFoundError: No module named 'a_library_that_is_missing'",
        ),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("Engin = 1", "AttributeError: module 'broken_module' has no attribute 'Engine'"),
    ],
)
def test_a_broken_plugin_is_named_with_its_distribution_and_the_cause(
    distribution: Callable[..., None], module: str, cause: str
) -> None:
    distribution("acme", "nydus.engines", "acme = broken_module:Engine", broken_module=module)
    message = f"engine: engine 'acme' of distribution 'acme' (broken_module:Engine) is broken: {cause}"
    try:
        assert refused(engine="acme") == message
    finally:
        sys.modules.pop("broken_module", None)


def test_a_name_that_two_distributions_claim_is_not_guessed(distribution: Callable[..., None]) -> None:
    distribution("acme", "nydus.engines", "shared = engines:MemoryEngine")
    distribution("zeta", "nydus.engines", "shared = engines:PipelinedEngine")
    message = refused(engine="shared")
    assert message.startswith("engine: two distributions claim the engine name 'shared': ")
    assert "acme (engines:MemoryEngine)" in message
    assert "zeta (engines:PipelinedEngine)" in message
    assert "give the dotted path" in message


# URLs with options ------------------------------------------------------------------------------------------------


class Plain(BaseEngine):
    """An engine that says no more of URLs than a scheme, and of its options no more than Python's own words."""

    url_schemes = ("plain",)

    def __init__(
        self,
        num: Any,
        host: str = "localhost",
        port: int = 1,
        timeout: float | None = None,
        decode: bool = False,
        name: str = "",
        most: int | None = None,
        password: str = "",
        **options: Any,
    ) -> None:
        super().__init__(
            num, host=host, port=port, timeout=timeout, decode=decode, name=name, most=most, **options
        )


def test_options_in_a_url_are_converted_for_every_engine() -> None:
    url = "plain://u:p%2Fw@h:2?weight=2&timeout=0.5&decode=true&name=12&most=3&other=4"
    cluster = create_cluster({"engine": Plain, "router": "rendezvous", "hosts": [url, {}]})
    engine: Any = cluster.hosts[0]
    assert engine.options == {
        "host": "h",
        "port": 2,
        "timeout": 0.5,
        "decode": True,
        "name": "12",
        "most": 3,
        "username": "u",
        "other": "4",
    }


def test_the_weight_in_a_url_is_the_weight_in_a_dict() -> None:
    def fingerprint(host: Any) -> str:
        found: str = create_cluster(
            {"engine": Plain, "hosts": [host, {}], "router": "rendezvous"}
        ).fingerprint
        return found

    assert fingerprint("plain://h?weight=2") == fingerprint({"weight": 2})
    assert fingerprint("plain://h?weight=0.5") == fingerprint({"weight": 0.5})


@pytest.mark.parametrize(
    ("url", "path", "why"),
    [
        ("plain://h?weight=x", "hosts[0].weight", "found str 'x'; expected a whole number or a number"),
        ("plain://h?timeout=soon", "hosts[0].timeout", "found str 'soon'; expected a number"),
        ("plain://h?decode=maybe", "hosts[0].decode", "found str 'maybe'; expected true or false"),
        ("plain://h?most=1.5", "hosts[0].most", "found str '1.5'; expected a whole number"),
        ("plain://h/path", "hosts[0]", "a path behind the host means nothing to this engine"),
        ("plain://h#x", "hosts[0]", "percent-encode it"),
        ("plain://u:a@h/b@c", "hosts[0]", "percent-encode it"),
    ],
)
def test_an_option_in_a_url_that_cannot_be_converted_is_refused_with_its_place(
    url: str, path: str, why: str
) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        create_cluster({"engine": Plain, "hosts": [url]})
    assert caught.value.path == path


class Choosy(Typed):
    """An engine that refuses an option of its client library."""

    refused_options: ClassVar[Mapping[str, str]] = {"timeout": "time is not ours", "cache": "it lies"}


def test_a_refused_option_gets_its_reason_and_is_not_among_the_known_ones() -> None:
    for name, why in Choosy.refused_options.items():
        with pytest.raises(ConfigError, match=f"{name!r} is not for a host of a cluster: {why}") as caught:
            create_cluster({"engine": Choosy, "hosts": [{name: 1}]})
        assert caught.value.path == f"hosts[0].{name}"
    with pytest.raises(ConfigError, match=r"known: host, password, port, username, weight$"):
        create_cluster({"engine": Choosy, "hosts": [{"zzz": 1}]})
    with pytest.raises(ConfigError) as caught:
        create_cluster({"engine": Choosy, "hosts": [{}], "defaults": {"cache": 1}})
    assert caught.value.path == "defaults.cache"


# No secrets -------------------------------------------------------------------------------------------------------

SECRET = "hunter2-" * 2


def url(form: str) -> str:
    return form.replace("SECRET", SECRET)


class Talkative(BaseEngine):
    """Shows what it was given when it refuses it, as client libraries do."""

    def __init__(self, num: Any, url: str = "", **options: Any) -> None:
        raise ValueError(f"cannot use {url!r}")


#: Wrong settings that hold a secret, besides a good engine and a good host.
TELLTALES: dict[str, Any] = {
    "scheme": {"hosts": [url("nope://user:SECRET@h")]},
    "scheme, user only": {"hosts": [url("nope://SECRET@h")]},
    "port": {"hosts": [url("mem://:SECRET@h:x")]},
    "port, with a slash": {"hosts": [url("mem://:a/SECRET@h:x")]},
    "port, with an at sign": {"hosts": [url("mem://:a@SECRET@h:x")]},
    "port, with a space": {"hosts": [url("mem://:a SECRET@h:x")]},
    "port, with a line break": {"hosts": [url("mem://:a\nSECRET@h:x")]},
    "port, with a quote": {"hosts": [url("mem://:'SECRET\"@h:x")]},
    "port, with a question mark": {"hosts": [url("mem://:?SECRET@h:x")]},
    "port, in the query": {"hosts": [url("mem://h:x/?password=SECRET")]},
    "hosts is a URL": {"hosts": url("mem://:SECRET@h")},
    "hosts is text": {"hosts": url("user:SECRET@h")},
    "defaults is a URL": {"defaults": url("mem://:SECRET@h")},
    "defaults is a list": {"defaults": [("password", SECRET)]},
    "option of another kind": {"hosts": [{"port": {"password": SECRET}}]},
    "option is a URL": {"hosts": [{"port": url("mem://:SECRET@h")}]},
    "password of another kind": {"hosts": [{"password": [SECRET]}]},
    "username of another kind": {"hosts": [{"username": [SECRET]}]},
    "weight": {"hosts": [{"weight": url("mem://:SECRET@h")}]},
    "too many arguments": {"hosts": [["h", 1, None, SECRET, 1.0, 6]]},
    "unknown option": {"hosts": [{"prt": 1, "password": SECRET}]},
    "name of a host": {"hosts": {url("mem://:SECRET@h"): {"prt": 1}}},
    "engine is a URL": {"engine": url("mem://:SECRET@h")},
    "engine is a URL with dots": {"engine": url("mem://:SECRET@h.example")},
    "constructor": {"engine": Talkative, "hosts": [{"url": url("mem://:SECRET@h")}]},
    "constructor, positional": {"engine": Talkative, "hosts": [[url("mem://:SECRET@h")]]},
}


def told(error: BaseException) -> str:
    """All that an error and those behind it would show anybody."""
    text = "".join(traceback.format_exception(error))
    behind: BaseException | None = error
    while behind is not None:
        text += f"{behind} {behind!r}"
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    return text


@pytest.mark.parametrize("settings", TELLTALES.values(), ids=list(TELLTALES))
def test_no_error_shows_a_secret(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        create_cluster({"engine": Typed, "hosts": [{}], **settings})
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize(
    "text", [f'password = "{SECRET}"', f'url = "mem://:{SECRET}@h"', f'[[x]]\npassword="{SECRET}"']
)
def test_no_error_about_a_file_shows_a_secret(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        create_cluster(written(tmp_path, text), "cache")
    assert SECRET not in told(caught.value)


def test_a_url_in_place_of_settings_does_not_show_its_secret() -> None:
    settings = url("mem://:SECRET@h")
    with pytest.raises(ConfigError) as caught:
        create_cluster(settings)
    assert SECRET not in told(caught.value)


@pytest.mark.parametrize(
    "host",
    [{"password": SECRET, "username": SECRET}, ["h", 1, None, SECRET], url("mem://:SECRET@h")],
    ids=["dict", "list", "url"],
)
def test_nothing_that_was_built_shows_a_secret(host: Any) -> None:
    settings = {"engine": Typed, "hosts": [host], "router": ConsistentHashingRouter}
    read = read_settings(settings)
    cluster: Any = create_cluster(settings)
    assert SECRET in str(cluster[0].options)
    shown = [
        read,
        read.hosts,
        cluster,
        cluster.hosts,
        cluster[0],
        cluster.router,
        cluster.router.nodes,
        cluster.on(0),
    ]
    with cluster.map() as conn:
        shown.append(conn)
    assert SECRET not in " ".join(f"{each} {each!r}" for each in shown)


def test_an_error_of_a_host_shows_no_secret() -> None:
    cluster = create_cluster({"engine": Typed, "hosts": [{"password": SECRET}]})
    with pytest.raises(HostDown) as caught:
        cluster.set("key", SECRET)
    assert SECRET not in told(caught.value)
    with pytest.raises(nydus_core.CommandError) as several, cluster.map() as conn:
        conn.set("key", SECRET)
    assert SECRET not in told(several.value)
