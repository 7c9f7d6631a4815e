"""How plugins are found: built-in ones and third parties' by the same door, lazily, and with errors that help.

Most tests make up distributions: a folder with metadata, as an installer leaves it, and maybe a module.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import importlib_metadata
import pytest
from importlib_metadata import entry_points

import nydus_core.routers
from nydus_core import (
    BaseEngine,
    HostDown,
    PluginError,
    create_async_cluster,
    create_cluster,
    hookimpl,
    plugins,
)
from nydus_core.plugins import registry
from nydus_core.plugins.manager import Hooks
from nydus_core.settings.cluster import read_settings
from nydus_memcache import Memcache
from nydus_redis import Redis
from nydus_redis.embedded.blocking import Embedded

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

# Two hosts of one address are enough here
pytestmark = pytest.mark.filterwarnings("ignore::nydus_core.SettingsWarning")


EXAMPLE = Path(__file__).parent.parent / "examples/nydus_shelf"
OURS = {"nydus-core", "nydus-redis", "nydus-memcache"}

Install = Callable[..., None]


# Built-in plugins ------------------------------------------------------------------------------------------------


def ours(group: str) -> dict[str, Any]:
    return {point.name: point for point in entry_points(group=group) if point.dist.name in OURS}


def test_the_backends_are_entry_points_of_their_distributions() -> None:
    found = {name: (point.dist.name, point.load()) for name, point in ours("nydus.engines").items()}
    assert found == {
        "redis": ("nydus-redis", Redis),
        "valkey": ("nydus-redis", Redis),
        "embedded": ("nydus-redis", Embedded),
        "memcache": ("nydus-memcache", Memcache),
    }


def test_every_built_in_router_is_an_entry_point_of_the_core() -> None:
    named = {
        name: point.load() for name, point in ours("nydus.routers").items() if point.dist.name == "nydus-core"
    }
    assert named.pop("broadcast") is nydus_core.routers.BroadcastRouter
    assert named.pop("round-robin") is nydus_core.routers.RoundRobinRouter
    assert {name: router.profile for name, router in named.items()} == {
        name: name for name in nydus_core.routers.PROFILES
    }


def test_what_is_to_be_installed_for_a_name_does_have_that_name() -> None:
    hints = {name: package.partition("[")[0] for (_, name), package in registry.INSTALL.items()}
    assert hints == {name: point.dist.name for name, point in ours("nydus.engines").items()}


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("redis", Redis),
        ("nydus_redis.Redis", Redis),
        ("nydus.db.backends.redis.Redis", Redis),
        (Redis, Redis),
        ("memcache", Memcache),
        ("nydus_memcache.Memcache", Memcache),
        ("nydus.db.backends.memcache.Memcache", Memcache),
        (Memcache, Memcache),
    ],
)
def test_an_engine_is_named_by_name_by_dotted_path_or_given_as_a_class(engine: Any, expected: type) -> None:
    with create_cluster({"engine": engine, "hosts": [{}, {}]}) as cluster:
        assert [type(host) for host in cluster.hosts.values()] == [expected, expected]


@pytest.mark.parametrize(
    ("name", "dotted"),
    [
        ("broadcast", "nydus_core.routers.BroadcastRouter"),
        ("partition", "nydus.db.routers.keyvalue.PartitionRouter"),
        ("consistent", "nydus.db.routers.redis.ConsistentHashingRouter"),
        ("round-robin", "nydus.db.routers.RoundRobinRouter"),
    ],
)
def test_a_router_is_named_by_name_by_dotted_path_or_given_as_a_class(name: str, dotted: str) -> None:
    expected = registry.find_class(registry.ROUTERS, dotted, "router")
    for reference in (name, {"name": name}, dotted, {"name": dotted}, expected, {"name": expected}):
        with create_cluster({"engine": "redis", "router": reference, "hosts": [{}]}) as cluster:
            assert type(cluster.router) is expected


# Lazily ----------------------------------------------------------------------------------------------------------


def imported(code: str) -> set[str]:
    """The top-level modules that a new process has imported after running some code."""
    code += "\nimport json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


BACKENDS = {"nydus_redis", "redis", "nydus_memcache", "pymemcache"}


@pytest.mark.parametrize(
    ("engine", "own"), [("redis", {"nydus_redis", "redis"}), ("memcache", {"nydus_memcache", "pymemcache"})]
)
def test_a_cluster_imports_its_own_backend_and_no_other(engine: str, own: set[str]) -> None:
    code = f"from nydus.db import create_cluster; create_cluster({{'engine': {engine!r}, 'hosts': [{{}}]}})"
    assert imported(code) & BACKENDS == own


def test_listing_the_plugins_imports_none() -> None:
    code = "from nydus_core.plugins import registry; assert {'redis', 'memcache'} <= set(registry.found('nydus.engines'))"
    assert imported(code) & BACKENDS == set()


def test_a_dotted_path_or_a_class_needs_no_scan_of_the_distributions(monkeypatch: pytest.MonkeyPatch) -> None:
    def scan(**_: Any) -> Any:
        raise AssertionError("scanned")

    monkeypatch.setattr(registry, "entry_points", scan)
    for engine in ("nydus.db.backends.redis.Redis", Redis):
        for router in ("nydus.db.routers.redis.PartitionRouter", nydus_core.routers.PartitionRouter):
            settings = read_settings({"engine": engine, "router": router, "hosts": [{}]})
            assert (settings.engine, settings.router) == (Redis, nydus_core.routers.PartitionRouter)
    with pytest.raises(AssertionError, match="scanned"):
        read_settings({"engine": "redis", "hosts": [{}]})


# Made-up distributions -------------------------------------------------------------------------------------------

ENGINE = "from nydus_core import BaseEngine\nclass Engine(BaseEngine): pass\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """``install('nydus-one', {'nydus.engines': {'one': 'nydus_one:Engine'}}, nydus_one=source)``.

    What is not installed this way has no metadata in this test: not even Nydus is installed. A distribution is
    found before those that were installed earlier.
    """
    entry_points(group="nydus.engines")  # importlib_metadata may still have to import some of its own
    bare = [entry for entry in sys.path if not entry.endswith("-packages")]
    monkeypatch.setattr(sys, "path", bare)

    def install(name: str, groups: dict[str, dict[str, str]], /, **modules: str) -> None:
        site = tmp_path / str(len(sys.path))
        metadata = site / f"{name.replace('-', '_')}-1.0.dist-info"
        metadata.mkdir(parents=True)
        metadata.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            f"[{group}]\n" + "".join(f"{entry} = {value}\n" for entry, value in entries.items())
            for group, entries in groups.items()
        ]
        metadata.joinpath("entry_points.txt").write_text("\n".join(lines))
        for module, source in modules.items():
            site.joinpath(f"{module}.py").write_text(source)
        sys.path.insert(0, str(site))
        importlib.invalidate_caches()

    yield install
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


def refusal(engine: object) -> PluginError:
    with pytest.raises(PluginError) as caught:
        read_settings({"engine": engine, "hosts": [{}]})
    return caught.value


def test_a_third_partys_engine_and_router_are_found_by_name(install: Install) -> None:
    router = "from nydus_core.routers import NodeRouter\nclass Rule(NodeRouter): pass\n"
    groups = {"nydus.engines": {"one": "nydus_one:Engine"}, "nydus.routers": {"one": "nydus_one:Rule"}}
    install("nydus-one", groups, nydus_one=ENGINE + router)
    settings = read_settings({"engine": "one", "router": "one", "hosts": [{}]})
    assert issubclass(settings.engine, BaseEngine)
    assert settings.router is not None
    assert (settings.engine.__module__, settings.router.__module__) == ("nydus_one", "nydus_one")


def test_only_the_plugin_that_was_named_is_imported(install: Install) -> None:
    names = {"one": "nydus_one:Engine", "other": "nydus_other:Engine"}
    install("nydus-one", {"nydus.engines": names}, nydus_one=ENGINE, nydus_other=ENGINE)
    read_settings({"engine": "one", "hosts": [{}]})
    assert "nydus_one" in sys.modules
    assert "nydus_other" not in sys.modules


def test_what_is_installed_while_the_program_runs_is_found(install: Install, tmp_path: Path) -> None:
    install("nydus-one", {"nydus.engines": {"one": "nydus_one:Engine"}}, nydus_one=ENGINE)
    read_settings({"engine": "one", "hosts": [{}]})
    (one,) = tmp_path.glob("*/nydus_one-1.0.dist-info")
    two = one.with_name("nydus_two-1.0.dist-info")
    shutil.copytree(one, two)  # in a folder that was looked at
    two.joinpath("METADATA").write_text("Metadata-Version: 2.1\nName: nydus-two\nVersion: 1.0\n")
    two.joinpath("entry_points.txt").write_text("[nydus.engines]\ntwo = nydus_one:Engine\n")
    os.utime(one.parent, ns=(0, 0))  # file systems may count in coarse steps
    assert read_settings({"engine": "two", "hosts": [{}]}).engine.__module__ == "nydus_one"


def test_the_distributions_are_read_once_for_a_cluster(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = {"nydus.engines": {"one": "nydus_one:Engine"}, "nydus.routers": {"one": "nydus_one:Rule"}}
    router = "from nydus_core.routers import NodeRouter\nclass Rule(NodeRouter): pass\n"
    install("nydus-one", groups, nydus_one=ENGINE + router)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # __pycache__ would be a change of the folder
    scans: list[dict[str, str]] = []
    scan = importlib_metadata.entry_points

    def counted(**params: str) -> Any:
        scans.append(params)
        return scan(**params)

    monkeypatch.setattr(importlib_metadata, "entry_points", counted)
    read_settings({"engine": "one", "router": "one", "hosts": [{}]})
    assert scans == [{}]


# Four causes, four messages --------------------------------------------------------------------------------------


def test_of_an_unknown_name_the_known_ones_and_the_nearest_are_told(install: Install) -> None:
    install("nydus-shelf", {"nydus.engines": {"shelf": "nydus_shelf:Shelf"}})
    known = "unknown engine 'shelv'; known: embedded, memcache, redis, shelf, valkey; did you mean 'shelf'?"
    assert str(refusal("shelv")) == f"engine: {known}"
    assert (
        str(refusal("zzz")) == "engine: unknown engine 'zzz'; known: embedded, memcache, redis, shelf, valkey"
    )


def test_of_an_unknown_router_the_built_in_ones_are_told() -> None:
    with pytest.raises(PluginError) as caught:
        read_settings({"engine": Redis, "router": {"name": "partitoin"}, "hosts": [{}]})
    assert str(caught.value).startswith("router.name: unknown router 'partitoin'; known: broadcast, ")
    assert str(caught.value).endswith("; did you mean 'partition'?")


@pytest.mark.parametrize(
    ("engine", "package"),
    [("redis", "nydus-redis"), ("embedded", "nydus-redis[embedded]"), ("memcache", "nydus-memcache")],
)
@pytest.mark.usefixtures("install")
def test_of_a_known_name_that_is_not_installed_the_package_is_told(engine: str, package: str) -> None:
    assert str(refusal(engine)) == f"engine: engine {engine!r} is not installed: pip install {package}"


@pytest.mark.parametrize(
    ("modules", "cause"),
    [
        ({}, "ModuleNotFoundError: No module named 'nydus_crash'"),
        ({"nydus_crash": "import client_of_it"}, "ModuleNotFoundError: No module named 'client_of_it'"),
        ({"nydus_crash": "raise RuntimeError('no licence')"}, "RuntimeError: no licence"),
        ({"nydus_crash": ""}, "AttributeError: module 'nydus_crash' has no attribute 'Engine'"),
    ],
)
def test_of_a_broken_plugin_distribution_entry_point_and_cause_are_told(
    install: Install, modules: dict[str, str], cause: str
) -> None:
    install("nydus-crash", {"nydus.engines": {"crash": "nydus_crash:Engine"}}, **modules)
    error = refusal("crash")
    what = "engine 'crash' of distribution 'nydus-crash' (nydus_crash:Engine)"
    assert str(error) == f"engine: {what} is broken: {cause}"
    assert f"{type(error.__cause__).__name__}: {error.__cause__}" == cause


def test_a_plugin_that_is_no_class_is_refused(install: Install) -> None:
    install("nydus-one", {"nydus.engines": {"one": "nydus_one:Engine"}}, nydus_one="Engine = 3")
    assert str(refusal("one")) == "engine: found 'one', which is of type int; expected a class"


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_of_a_name_that_two_distributions_claim_both_are_told_and_a_dotted_path_settles_it(
    install: Install, order: tuple[str, str]
) -> None:
    for each in order:
        value = f"nydus_{each}:Engine"
        install(f"nydus-{each}", {"nydus.engines": {"shared": value}}, **{f"nydus_{each}": ENGINE})
    assert str(refusal("shared")) == (
        "engine: two distributions claim the engine name 'shared': nydus-one (nydus_one:Engine) and nydus-two "
        "(nydus_two:Engine); give the dotted path of the one that you mean, such as 'nydus_one.Engine'"
    )
    for each in order:
        engine = read_settings({"engine": f"nydus_{each}.Engine", "hosts": [{}]}).engine
        assert engine.__module__ == f"nydus_{each}"


def test_a_distribution_that_is_found_twice_claims_its_names_once(install: Install) -> None:
    for _ in ("left by an editable install", "the one in use"):
        install("nydus-one", {"nydus.engines": {"one": "nydus_one:Engine"}}, nydus_one=ENGINE)
    assert read_settings({"engine": "one", "hosts": [{}]}).engine.__module__ == "nydus_one"


def test_an_entry_point_that_is_written_twice_claims_its_name_once(install: Install) -> None:
    twice = "nydus_one:Engine\none = nydus_one:Engine"
    install("nydus-one", {"nydus.engines": {"one": twice}}, nydus_one=ENGINE)
    assert len(entry_points(group="nydus.engines")) == 2
    assert read_settings({"engine": "one", "hosts": [{}]}).engine.__module__ == "nydus_one"


def test_a_name_may_be_claimed_once_in_each_group(install: Install) -> None:
    install("nydus-one", {"nydus.engines": {"one": "nydus_one:Engine"}}, nydus_one=ENGINE)
    install("nydus-two", {"nydus.routers": {"one": "nydus_two:Rule"}, "nydus.plugins": {"one": "nydus_two"}})
    assert read_settings({"engine": "one", "hosts": [{}]}).engine.__module__ == "nydus_one"


def test_what_is_left_of_a_removed_distribution_harms_no_other(install: Install, tmp_path: Path) -> None:
    install("nydus-gone", {group: {"gone": "nydus_gone:It"} for group in ("nydus.engines", "nydus.plugins")})
    for metadata in tmp_path.glob("*/*/METADATA"):
        metadata.unlink()
    install("nydus-one", {"nydus.engines": {"one": "nydus_one:Engine"}}, nydus_one=ENGINE)
    Hooks().load()
    assert read_settings({"engine": "one", "hosts": [{}]}).engine.__module__ == "nydus_one"


# Hook plugins ----------------------------------------------------------------------------------------------------

LISTENER = """
from nydus_core import hookimpl
heard = []
@hookimpl
def nydus_cluster_created(cluster):
    heard.append(cluster)
"""


def heard_by(hooks: Hooks, *modules: str) -> list[list[Any]]:
    hooks.call("nydus_cluster_created", cluster="a cluster")
    return [sys.modules[module].heard for module in modules]


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('no licence')",
        "from nydus_core import hookimpl\n@hookimpl\ndef nydus_cluster_craeted(cluster): pass",
        "from nydus_core import hookimpl\n@hookimpl\ndef nydus_cluster_created(clutser): pass",
    ],
    ids=["raises when imported", "an unknown hook", "an unknown argument"],
)
def test_a_broken_hook_plugin_is_logged_and_left_out_and_the_others_load(
    install: Install, caplog: pytest.LogCaptureFixture, source: str
) -> None:
    install("nydus-a", {"nydus.plugins": {"a": "nydus_a"}}, nydus_a=LISTENER)
    install("nydus-bad", {"nydus.plugins": {"bad": "nydus_bad"}}, nydus_bad=source)
    install("nydus-c", {"nydus.plugins": {"c": "nydus_c"}}, nydus_c=LISTENER)
    hooks = Hooks()
    hooks.load()
    assert heard_by(hooks, "nydus_a", "nydus_c") == [["a cluster"], ["a cluster"]]
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("nydus", "ERROR", "plugin bad (nydus-bad) is broken and was left out: nydus_bad")
    ]


def test_hook_plugins_load_whatever_else_has_their_name(install: Install) -> None:
    groups = {"nydus.engines": {"one": "nydus_one:Engine"}, "nydus.plugins": {"one": "nydus_one"}}
    install("nydus-one", groups, nydus_one=LISTENER)
    install("nydus-two", {"nydus.plugins": {"one": "nydus_two"}}, nydus_two=LISTENER)
    hooks = Hooks()
    hooks.load()
    assert heard_by(hooks, "nydus_one", "nydus_two") == [["a cluster"], ["a cluster"]]


def test_hook_plugins_load_once(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("nydus-one", {"nydus.plugins": {"one": "nydus_one"}}, nydus_one=LISTENER)
    hooks = Hooks()
    hooks.load()
    hooks.load()
    assert heard_by(hooks, "nydus_one") == [["a cluster"]]
    assert not caplog.records


REGISTERING = """
from nydus_core import hookimpl, plugins
class Own:
    @hookimpl
    def nydus_cluster_created(self, cluster):
        heard.append(cluster)
heard = []
plugins.register(Own())
"""


@pytest.mark.timeout(10)
def test_a_module_may_register_plugins_while_it_is_loaded(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("nydus-one", {"nydus.plugins": {"one": "nydus_one"}}, nydus_one=REGISTERING)
    hooks = Hooks()
    monkeypatch.setattr(plugins, "register", hooks.register)
    hooks.load()
    assert heard_by(hooks, "nydus_one") == [["a cluster"]]


def test_a_hook_that_raises_is_logged_with_its_plugins_name_and_the_others_are_called(
    install: Install, caplog: pytest.LogCaptureFixture
) -> None:
    install("nydus-a", {"nydus.plugins": {"a": "nydus_a"}}, nydus_a=LISTENER)
    install(
        "nydus-bad",
        {"nydus.plugins": {"bad": "nydus_bad"}},
        nydus_bad=LISTENER + "    raise OSError('full')\n",
    )
    install("nydus-c", {"nydus.plugins": {"c": "nydus_c"}}, nydus_c=LISTENER)
    hooks = Hooks()
    hooks.load()
    assert heard_by(hooks, "nydus_a", "nydus_bad", "nydus_c") == [["a cluster"]] * 3
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "plugin bad (nydus-bad) raised in nydus_cluster_created"
    ]


class Misspelt:
    @hookimpl
    def nydus_cluster_craeted(self, cluster: Any) -> None:
        """Has no such hook to implement."""


class WrongArgument:
    @hookimpl
    def nydus_cluster_created(self, clutser: Any) -> None:
        """Takes what the hook does not give."""


class Wrapper:
    @hookimpl(wrapper=True)
    def nydus_cluster_created(self, cluster: Any) -> Any:
        return (yield)


@pytest.mark.parametrize(
    ("plugin", "said"), [(Misspelt, "craeted"), (WrongArgument, "clutser"), (Wrapper, "wrapper")]
)
def test_registering_a_plugin_that_could_not_be_called_is_refused(plugin: type, said: str) -> None:
    hooks = Hooks()
    with pytest.raises(ValueError, match=said):
        hooks.register(plugin())
    assert not hooks.listens("nydus_cluster_created")


def test_what_a_plugin_changes_in_the_settings_is_used_and_the_users_own_dict_stays() -> None:
    class Shaping:
        @hookimpl
        def nydus_configure(self, settings: Any) -> None:
            settings["hosts"]["a"]["db"] = 1
            settings["hosts"]["b"] = {}
            settings["router"]["hash_tags"] = True

    given = {"engine": "redis", "router": {"name": "partition"}, "hosts": {"a": {"db": 0}}}
    shaping = Shaping()
    plugins.register(shaping)
    try:
        cluster = create_cluster(given)
    finally:
        plugins.unregister(shaping)
    assert (list(cluster.hosts), cluster.router.hash_tags) == (["a", "b"], True)
    assert given == {"engine": "redis", "router": {"name": "partition"}, "hosts": {"a": {"db": 0}}}


# The example, examples/nydus_shelf: what a plugin of one's own is copied from. Not installed here, so by dotted path.


@pytest.fixture
def shelves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    monkeypatch.syspath_prepend(EXAMPLE / "src")
    clusters = []

    def create(*hosts: str, **router_options: Any) -> Any:
        router = {"name": "nydus_shelf.router.ByPrefix", **router_options}
        paths = {host: {"path": str(tmp_path / f"{host}.db")} for host in hosts}
        cluster = create_cluster({"engine": "nydus_shelf.engine.Shelf", "router": router, "hosts": paths})
        clusters.append(cluster)
        return cluster

    yield create
    for cluster in clusters:
        cluster.close()


def test_the_example_engine_is_complete(shelves: Callable[..., Any]) -> None:
    cluster = shelves("north", "south")
    assert (cluster.get("k"), cluster.set("k", b"v"), cluster.get("k")) == (None, None, b"v")
    assert (cluster.delete("k"), cluster.delete("k")) == (True, False)
    with cluster.map() as conn:
        sums = [conn.incr(f"{number}:n", by=number) for number in range(20)]
    assert sums == list(range(20))
    counts = cluster.count()
    assert min(counts) > 0
    assert sum(counts) == 20


def test_the_example_engine_has_a_side_for_asyncio_over_the_same_files(shelves: Callable[..., Any]) -> None:
    blocking = shelves("north", "south")
    blocking.set("k", "v")
    settings = {
        "engine": "nydus_shelf.engine.Shelf",
        "router": "nydus_shelf.router.ByPrefix",
        "hosts": {name: {"path": host.path} for name, host in blocking.hosts.items()},
    }

    async def main() -> None:
        async with create_async_cluster(settings) as cluster:
            assert await cluster.get("k") == "v"
            async with cluster.map() as conn:
                sums = [conn.incr(f"{number}:n", by=number) for number in range(20)]
            assert sums == list(range(20))
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(cluster.incr("n")) for _ in range(100)]
            assert sorted(task.result() for task in tasks) == list(range(1, 101))
            assert sum(await cluster.count()) == 22

    asyncio.run(main())
    assert blocking.get("n") == 100


def test_the_example_engine_loses_no_increment_of_many_threads(shelves: Callable[..., Any]) -> None:
    cluster = shelves("north")
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: cluster.incr("n"), range(100))) == list(range(1, 101))


def test_the_example_engine_names_the_host_that_it_cannot_reach(shelves: Callable[..., Any]) -> None:
    with pytest.raises(HostDown, match=r"'k' was not taken by host 'nowhere/north' \(.*nowhere/north\.db\)"):
        shelves("nowhere/north").get("k")


def test_the_example_router_keeps_a_prefix_together_and_moves_only_what_it_must(
    shelves: Callable[..., Any],
) -> None:
    router = shelves("a", "b", "c").router
    keys = [f"{number}:x".encode() for number in range(100)]
    homes = {key: router.locate(key) for key in keys}
    assert set(homes.values()) == {"a", "b", "c"}
    assert {key: router.locate(key.replace(b"x", b"y")) for key in keys} == homes
    assert all(router.locate(key, avoid={"b"}) == home for key, home in homes.items() if home != "b")
    assert {router.locate(key, avoid={"b"}) for key in keys} == {"a", "c"}
    assert (
        len({shelves("a", "b", "c", separator="/").router.locate(b"1/%d" % number) for number in range(9)})
        == 1
    )
