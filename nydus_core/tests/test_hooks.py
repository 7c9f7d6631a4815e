"""Hooks: what plugins are told, and that none of them can break a command, a cluster or another plugin."""

from __future__ import annotations

import copy
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from clusters import ByName, memory_cluster
from engines import Lost, MemoryEngine, PipelinedEngine, Refused
from nydus_core import (
    CommandError,
    ConfigError,
    HostDown,
    MaybeApplied,
    RoutingError,
    create_cluster,
    hookimpl,
)
from nydus_core.plugins.manager import Hooks, hooks
from nydus_core.routers import Node


@pytest.fixture
def plug() -> Iterator[Callable[..., None]]:
    """``plug(plugin)``: registered for this test."""
    plugged: list[object] = []

    def register(plugin: object, name: str | None = None) -> None:
        hooks.register(plugin, name)
        plugged.append(plugin)

    yield register
    for plugin in plugged:
        hooks.unregister(plugin)


class Recorder:
    """Listens to everything, and keeps what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    @hookimpl
    def nydus_configure(self, settings: Any) -> None:
        self.told.append(("configure", settings))

    @hookimpl
    def nydus_cluster_created(self, cluster: Any) -> None:
        self.told.append(("created", cluster))

    @hookimpl
    def nydus_command_done(self, cluster: Any, command: Any, hosts: Any, error: Any, seconds: float) -> None:
        assert 0 <= seconds < 10
        self.told.append(("command", cluster, repr(command), list(hosts), error))

    @hookimpl
    def nydus_batch_done(
        self, cluster: Any, commands: Any, hosts: Any, outcomes: Any, seconds: float
    ) -> None:
        assert 0 <= seconds < 10
        self.told.append(("batch", cluster, list(map(repr, commands)), list(hosts), list(outcomes)))

    def after(self, cluster: Any) -> list[tuple[Any, ...]]:
        """What was told of a cluster that was made before."""
        return [(kind, *rest) for kind, about, *rest in self.told if about is cluster and kind != "created"]


# What is told -----------------------------------------------------------------------------------------------------


def test_the_settings_are_told_before_and_the_cluster_after_it_was_built(plug: Callable[..., None]) -> None:
    plug(recorder := Recorder())
    settings = {"engine": MemoryEngine, "hosts": {"a": {}}}
    cluster = create_cluster(settings)
    assert recorder.told == [("configure", settings), ("created", cluster)]


def test_a_cluster_whose_settings_are_wrong_was_not_created(plug: Callable[..., None]) -> None:
    plug(recorder := Recorder())
    with pytest.raises(ConfigError):
        create_cluster({"engine": MemoryEngine})
    assert [kind for kind, *_ in recorder.told] == ["configure"]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda c: c.set("a1", 1), ("command", "set b'a1'", ["a"], None)),
        (lambda c: c.ping(), ("command", "ping", ["a", "b"], None)),
        (lambda c: c.admin.drop("b1"), ("command", "admin.drop b'b1'", ["b"], None)),
    ],
)
@pytest.mark.parametrize("engine", [MemoryEngine, PipelinedEngine])
def test_a_command_is_told_with_its_hosts(
    plug: Callable[..., None], call: Any, told: Any, engine: Any
) -> None:
    plug(recorder := Recorder())
    call(cluster := memory_cluster(engine=engine))
    assert recorder.after(cluster) == [told]


@pytest.mark.parametrize("engine", [MemoryEngine, PipelinedEngine])
@pytest.mark.parametrize(("name", "kind"), [("refuse", Refused), ("lose", MaybeApplied), ("lose", Lost)])
def test_a_failed_command_is_told_with_the_error_that_is_raised(
    plug: Callable[..., None], engine: Any, name: str, kind: type[Exception]
) -> None:
    plug(recorder := Recorder())
    cluster = memory_cluster(engine=engine)
    with pytest.raises(kind) as caught:
        getattr(cluster, name)("a1")
    assert recorder.after(cluster) == [("command", f"{name} b'a1'", ["a"], caught.value)]


def test_a_map_is_told_once_with_all_its_outcomes(plug: Callable[..., None]) -> None:
    plug(recorder := Recorder())
    cluster = memory_cluster()
    with pytest.raises(CommandError) as caught, cluster.map() as conn:
        conn.incr("a1")
        conn.refuse("b1")
        conn.ping()
    (failure,) = caught.value.errors
    outcomes = [1, failure.error, ["pong from a", "pong from b"]]
    hosts = [("a",), ("b",), ("a", "b")]
    assert recorder.after(cluster) == [("batch", ["incr b'a1'", "refuse b'b1'", "ping"], hosts, outcomes)]


def test_what_was_never_sent_is_not_told(plug: Callable[..., None]) -> None:
    plug(recorder := Recorder())
    cluster = memory_cluster()
    with pytest.raises(RoutingError):
        cluster.get(name="x")
    with pytest.raises(RoutingError), cluster.map() as conn:
        conn.get(name="x")
    with pytest.raises(ZeroDivisionError), cluster.map() as conn:
        conn.get("a1")
        1 / 0  # noqa: B018
    assert recorder.after(cluster) == []


def test_a_plugin_may_take_only_the_arguments_that_it_needs(plug: Callable[..., None]) -> None:
    names = []

    class Brief:
        @hookimpl
        def nydus_command_done(self, hosts: Any) -> None:
            names.extend(hosts)

    plug(Brief())
    memory_cluster().get("b1")
    assert names == ["b"]


# Listening changes nothing ----------------------------------------------------------------------------------------

CALLS: dict[str, Callable[[Any], Any]] = {
    "value": lambda c: c.incr("a1"),
    "broadcast": lambda c: c.ping(),
    "refused": lambda c: c.refuse("a1"),
    "refused somewhere": lambda c: c.refuse(),
    "lost": lambda c: c.lose("a1"),
    "unknown command": lambda c: c.no_such_command("a1"),
    "no place": lambda c: c.get(name="x"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
@pytest.mark.parametrize("engine", [MemoryEngine, PipelinedEngine])
@pytest.mark.parametrize("down", [False, True])
def test_a_command_ends_the_same_whether_anybody_listens_or_not(
    plug: Callable[..., None], call: Callable[[Any], Any], engine: Any, down: bool
) -> None:
    def end() -> Any:
        try:
            return call(memory_cluster(engine=engine, down=down))
        except Exception as error:
            return [kind.__name__ for kind in type(error).__mro__], str(error)

    unheard = end()
    plug(Recorder())
    assert end() == unheard


def test_nothing_is_called_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(hook: str, **arguments: Any) -> None:
        assert hook == "nydus_cluster_created", "called although nobody listens"

    monkeypatch.setattr(hooks, "call", unwanted)
    cluster = memory_cluster()
    cluster.get("a1")
    cluster.ping()
    with cluster.map() as conn:
        conn.get("a1")


# Changing settings ------------------------------------------------------------------------------------------------


def test_a_plugin_may_change_the_settings_and_the_callers_dict_stays(plug: Callable[..., None]) -> None:
    class Shaping:
        @hookimpl
        def nydus_configure(self, settings: Any) -> None:
            settings["router"] = {"name": ByName}
            settings.setdefault("defaults", {})["delay"] = 0.001
            settings["hosts"]["b"] = {}
            settings["hosts"]["a"]["delay"] = 0.002
            settings["hosts"]["c"][0] = 0.003

    class Delayed(MemoryEngine):
        def __init__(self, num: Any, delay: float = 0.0) -> None:
            super().__init__(num, delay=delay)

    plug(Shaping())
    settings: Any = {"engine": Delayed, "hosts": {"c": [0.1], "a": {}}, "defaults": {}}
    before = copy.deepcopy(settings)
    cluster = create_cluster(settings)
    hosts: Any = cluster.hosts
    assert {key: engine.delay for key, engine in hosts.items()} == {
        "c": 0.003,
        "a": 0.002,
        "b": 0.001,
    }
    assert isinstance(cluster.router, ByName)
    assert cluster.router.nodes[0] == Node("c", 1, "c")
    assert settings == before


def test_what_a_plugin_gets_wrong_in_the_settings_is_told_as_any_mistake(plug: Callable[..., None]) -> None:
    class Clumsy:
        @hookimpl
        def nydus_configure(self, settings: Any) -> None:
            settings["hosts"]["a"]["dealy"] = 1

    plug(Clumsy())
    with pytest.raises(ConfigError, match=r"hosts\['a'\]\.dealy: unknown setting"):
        memory_cluster()


@pytest.mark.parametrize("settings", [[], None, 5])
def test_settings_that_are_no_dict_are_refused_also_where_a_plugin_listens(
    plug: Callable[..., None], settings: Any
) -> None:
    plug(Recorder())
    with pytest.raises(ConfigError, match="expected a dict of settings"):
        create_cluster(settings)


# A plugin that fails ----------------------------------------------------------------------------------------------


class Raising:
    """Raises wherever it is called."""

    @hookimpl(tryfirst=True)
    def nydus_configure(self) -> None:
        raise LookupError("in configure")

    @hookimpl(tryfirst=True)
    def nydus_cluster_created(self) -> None:
        raise LookupError("in created")

    @hookimpl(tryfirst=True)
    def nydus_command_done(self) -> None:
        raise LookupError("in command")

    @hookimpl(tryfirst=True)
    def nydus_batch_done(self) -> None:
        raise LookupError("in batch")


def test_a_plugin_that_raises_is_logged_by_name_and_breaks_nothing(
    plug: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    plug(Raising(), "acme-tracing")
    plug(recorder := Recorder())
    cluster = memory_cluster()
    assert cluster.incr("a1") == 1
    with cluster.map() as conn:
        promise = conn.incr("a1")
    assert promise == 2
    assert [kind for kind, *_ in recorder.told] == ["configure", "created", "command", "batch"]
    hooks_called = ["nydus_configure", "nydus_cluster_created", "nydus_command_done", "nydus_batch_done"]
    assert [record.getMessage() for record in caplog.records] == [
        f"plugin acme-tracing raised in {hook}" for hook in hooks_called
    ]
    assert {(record.name, record.levelno) for record in caplog.records} == {("nydus", logging.ERROR)}
    assert "LookupError: in batch" in caplog.text


def test_a_plugin_without_a_name_is_logged_by_what_it_is(
    plug: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    plug(Raising())
    memory_cluster()
    assert "Raising" in caplog.records[0].getMessage()


def test_a_plugin_that_raises_does_not_replace_the_error_of_a_command(plug: Callable[..., None]) -> None:
    plug(Raising())
    with pytest.raises(HostDown):
        memory_cluster(down=True).get("a1")


# Registering ------------------------------------------------------------------------------------------------------


class Unknown:
    @hookimpl
    def nydus_comand_done(self) -> None:
        """Misspelt."""


class Greedy:
    @hookimpl
    def nydus_command_done(self, cluster: Any, values: Any) -> None:
        """Wants an argument that there is not."""


class Wrapping:
    @hookimpl(wrapper=True)
    def nydus_command_done(self) -> Iterator[None]:
        """Would run around the others."""
        yield


class OldWrapping:
    @hookimpl(hookwrapper=True)
    def nydus_command_done(self) -> Iterator[None]:
        """The same as pluggy had it before."""
        yield


class Awaited:
    @hookimpl
    async def nydus_command_done(self) -> None:
        """Would never be awaited."""


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Unknown, "nydus_comand_done"),
        (Greedy, "values"),
        (Wrapping, "wrapper"),
        (OldWrapping, "wrapper"),
        (Awaited, "is a coroutine function; a hook is a plain function"),
    ],
)
def test_a_plugin_that_would_never_be_called_right_is_refused_and_stays_out(
    plugin: Any, message: str
) -> None:
    registry = Hooks()
    with pytest.raises(ValueError, match=message):
        registry.register(made := plugin())
    assert not registry.listens("nydus_command_done")
    registry.register(Recorder())
    with pytest.raises(ValueError, match=message):
        registry.register(made)


def test_a_plugin_is_registered_once() -> None:
    registry = Hooks()
    registry.register(recorder := Recorder())
    with pytest.raises(ValueError, match="registered"):
        registry.register(recorder)
    registry.call("nydus_configure", settings={})
    assert len(recorder.told) == 1


def test_a_plugin_that_was_taken_away_is_not_called() -> None:
    registry = Hooks()
    registry.register(recorder := Recorder())
    assert registry.listens("nydus_configure")
    registry.unregister(recorder)
    registry.call("nydus_configure", settings={})
    assert recorder.told == []
    assert not registry.listens("nydus_configure")


def test_plugins_are_called_the_last_one_first_unless_they_say_otherwise() -> None:
    order: list[str] = []

    def named(name: str, **options: Any) -> Any:
        @hookimpl(**options)  # type: ignore[untyped-decorator]
        def nydus_configure() -> None:
            order.append(name)

        return SimpleNamespace(nydus_configure=nydus_configure)

    registry = Hooks()
    for plugin in (named("one"), named("last", trylast=True), named("first", tryfirst=True), named("two")):
        registry.register(plugin)
    registry.call("nydus_configure", settings={})
    assert order == ["first", "two", "one", "last"]


# Plugins of installed distributions -------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """``installed('acme', 'acme_module', text)``: a distribution with a plugin, for this test."""
    modules = []

    def install(name: str, module: str, text: str) -> None:
        metadata = tmp_path / name / f"{name}-1.0.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[nydus.plugins]\ntracing = {module}\n")
        (tmp_path / name / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path / name)
        modules.append(module)

    yield install
    for module in modules:
        sys.modules.pop(module, None)


GOOD = """
from nydus_core import hookimpl

told = []

@hookimpl
def nydus_configure(settings):
    told.append(settings)
"""


def test_the_plugins_of_installed_distributions_are_loaded_once(installed: Callable[..., None]) -> None:
    installed("acme", "acme_plugin", GOOD)
    registry = Hooks()
    assert "acme_plugin" not in sys.modules
    registry.load()
    registry.load()
    registry.call("nydus_configure", settings=7)
    assert sys.modules["acme_plugin"].told == [7]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("import a_library_that_is_missing", "a_library_that_is_missing"),
        (GOOD.replace("nydus_configure", "nydus_configuer"), "nydus_configuer"),
    ],
)
def test_a_broken_plugin_is_logged_and_left_out(
    installed: Callable[..., None], caplog: pytest.LogCaptureFixture, text: str, cause: str
) -> None:
    installed("zeta", "broken_plugin", text)
    installed("acme", "acme_plugin", GOOD)
    registry = Hooks()
    registry.load()
    registry.call("nydus_configure", settings=7)
    assert sys.modules["acme_plugin"].told == [7]
    (record,) = caplog.records
    assert record.getMessage() == "plugin tracing (zeta) is broken and was left out: broken_plugin"
    assert cause in caplog.text


def test_plugins_of_one_name_are_both_loaded(installed: Callable[..., None]) -> None:
    installed("acme", "acme_plugin", GOOD)
    installed("zeta", "zeta_plugin", GOOD)
    registry = Hooks()
    registry.load()
    registry.call("nydus_configure", settings=7)
    assert [sys.modules[module].told for module in ("acme_plugin", "zeta_plugin")] == [[7], [7]]


@pytest.mark.timeout(5)  # it would wait for itself
def test_a_plugin_may_register_another_while_it_is_loaded(
    installed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Hooks()
    monkeypatch.setitem(sys.modules, "the_hooks", SimpleNamespace(hooks=registry))
    installed(
        "acme",
        "acme_plugin",
        GOOD + "import the_hooks, types\nthe_hooks.hooks.register(types.SimpleNamespace())",
    )
    registry.load()
    assert registry.listens("nydus_configure")
