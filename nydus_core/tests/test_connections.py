"""Named clusters: configured once for a program, each built once, when it is first asked for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from engines import MemoryEngine
from nydus.conf import CONNECTIONS, configure
from nydus.db import connections, create_cluster
from nydus.db.base import LazyConnectionHandler
from nydus_core import ConfigError, PluginError


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    configure(CONNECTIONS={})


class Constructed(MemoryEngine):
    """Counts how often its hosts are made, and takes its time."""

    count = 0

    def __init__(self, num: Any, **options: Any) -> None:
        time.sleep(0.01)
        Constructed.count += 1
        super().__init__(num, **options)


CACHE = {"engine": MemoryEngine, "hosts": {"a": {}}}
QUEUE = {"engine": "engines.PipelinedEngine", "hosts": [{}, {}]}


def test_a_named_cluster_is_built_from_its_settings() -> None:
    configure(CONNECTIONS={"cache": CACHE, "queue": QUEUE})
    assert connections["cache"].ping() == "pong from a"
    assert connections["queue"].ping() == ["pong from 0", "pong from 1"]


@pytest.mark.parametrize("threads", [1, 8])
def test_a_cluster_is_built_once_however_many_threads_ask(threads: int) -> None:
    Constructed.count = 0
    configure(CONNECTIONS={"cache": {"engine": Constructed, "hosts": [{}]}})
    together = threading.Barrier(threads)

    def ask(_: int) -> Any:
        together.wait()
        return connections["cache"]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(ask, range(threads)))
    assert len({id(cluster) for cluster in found}) == 1
    assert Constructed.count == 1


def test_only_the_cluster_that_is_asked_for_is_built() -> None:
    Constructed.count = 0
    configure(CONNECTIONS={"cache": CACHE, "other": {"engine": Constructed, "hosts": [{}]}})
    assert connections["cache"]
    assert "other" in connections
    assert list(connections) == ["cache", "other"]
    assert len(connections) == 2
    assert Constructed.count == 0


def test_a_mistake_in_one_cluster_does_not_harm_another() -> None:
    configure(CONNECTIONS={"wrong": {}, "cache": CACHE})
    with pytest.raises(ConfigError):
        connections["wrong"]
    assert connections["cache"].ping() == "pong from a"


def test_a_cluster_that_could_not_be_built_is_tried_again() -> None:
    settings: dict[str, Any] = {}
    configure(CONNECTIONS={"cache": settings})
    with pytest.raises(ConfigError, match="engine: missing"):
        connections["cache"]
    settings.update(CACHE)
    assert connections["cache"].ping() == "pong from a"


def test_the_settings_may_be_given_as_one_dict_as_in_nydus() -> None:
    configure({"CONNECTIONS": {"cache": CACHE}})
    assert {"cache": CACHE} == CONNECTIONS
    assert connections["cache"].ping() == "pong from a"


def test_configuring_replaces_what_was_configured_and_does_not_change_the_callers_dict() -> None:
    first, second = {"cache": CACHE}, {"queue": QUEUE}
    configure(CONNECTIONS=first)
    configure(CONNECTIONS=second)
    assert list(connections) == ["queue"]
    assert first == {"cache": CACHE}
    configure()
    assert list(connections) == []
    assert second == {"queue": QUEUE}


def test_configuring_closes_and_forgets_the_clusters_that_were_built() -> None:
    configure(CONNECTIONS={"cache": CACHE})
    before: Any = connections["cache"]
    client = before["a"].connection
    configure(CONNECTIONS={"cache": CACHE})
    assert not client.open
    assert connections["cache"] is not before


def test_reloading_closes_and_forgets_the_clusters_that_were_built() -> None:
    configure(CONNECTIONS={"cache": CACHE})
    before: Any = connections["cache"]
    client = before["a"].connection
    connections.reload()
    assert not client.open
    assert connections["cache"] is not before


def test_disconnecting_closes_the_clusters_that_were_built_and_keeps_them() -> None:
    configure(CONNECTIONS={"cache": CACHE, "wrong": {}})
    before: Any = connections["cache"]
    client = before["a"].connection
    connections.disconnect()
    assert not client.open
    assert connections["cache"] is before
    assert before.ping() == "pong from a"


def test_clusters_may_be_configured_by_a_file(tmp_path: Path) -> None:
    file = tmp_path / "nydus.toml"
    file.write_text('[cache]\nengine = "engines.MemoryEngine"\nhosts = [{}]\n\n[wrong]\nhosts = [{}]\n')
    for path in (file, str(file)):
        configure(CONNECTIONS=path)
        assert list(connections) == ["cache", "wrong"]
        assert connections["cache"].ping() == "pong from 0"


def test_a_handler_of_ones_own_reads_its_settings_when_asked() -> None:
    settings: dict[str, Any] = {}
    handler = LazyConnectionHandler(lambda: settings)
    settings["cache"] = CACHE
    assert handler["cache"].ping() == "pong from a"
    assert "cache" not in connections


# Mistakes ---------------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_told_with_the_known_ones_and_the_nearest() -> None:
    configure(CONNECTIONS={"cache": CACHE, "queue": QUEUE})
    with pytest.raises(ConfigError) as caught:
        connections["cash"]
    assert str(caught.value) == "there is no cluster 'cash'; there is 'cache', 'queue'; did you mean 'cache'?"


def test_an_unknown_name_is_a_key_error_too_so_get_works() -> None:
    configure(CONNECTIONS={"cache": CACHE})
    with pytest.raises(KeyError):
        connections["other"]
    assert connections.get("other") is None
    assert "other" not in connections


def test_get_does_not_hide_that_the_settings_are_wrong() -> None:
    configure(CONNECTIONS={"cache": {}})
    with pytest.raises(ConfigError, match="missing"):
        connections.get("cache")


def test_before_anything_is_configured_it_says_what_to_do() -> None:
    with pytest.raises(
        ConfigError, match=r"there is none; call nydus\.conf\.configure\(CONNECTIONS=…\) first"
    ):
        connections["cache"]


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"engine": MemoryEngine, "hosts": {"a": {"dealy": 1}}}, "CONNECTIONS['x'].hosts['a'].dealy"),
        ({"engine": MemoryEngine, "hosts": [{}, {"dealy": 1}]}, "CONNECTIONS['x'].hosts[1].dealy"),
        ({"engine": MemoryEngine}, "CONNECTIONS['x'].hosts"),
        ({"engine": "engines.MemoryEngin", "hosts": [{}]}, "CONNECTIONS['x'].engine"),
        ([], "CONNECTIONS['x']"),
    ],
)
def test_a_mistake_is_told_with_the_name_of_the_cluster(settings: Any, path: str) -> None:
    configure(CONNECTIONS={"x": settings})
    with pytest.raises(ConfigError) as caught:
        connections["x"]
    assert caught.value.path == path


def test_the_kind_of_a_mistake_is_kept() -> None:
    configure(CONNECTIONS={"x": {"engine": "nowhere.Engine", "hosts": [{}]}})
    with pytest.raises(PluginError):
        connections["x"]


@pytest.mark.parametrize(
    ("given", "path", "message"),
    [
        (
            {"CONECTIONS": {}},
            "CONECTIONS",
            "unknown setting; known: CONNECTIONS; did you mean 'CONNECTIONS'?",
        ),
        ({"DEBUG": True}, "DEBUG", "unknown setting; known: CONNECTIONS"),
        ({"CONNECTIONS": 5}, "CONNECTIONS", "found int; expected a dict of settings by name"),
        ({"CONNECTIONS": None}, "CONNECTIONS", "found NoneType; expected a dict of settings by name"),
    ],
)
def test_what_cannot_be_configured_is_refused_and_changes_nothing(
    given: Any, path: str, message: str
) -> None:
    configure(CONNECTIONS={"cache": CACHE})
    before = connections["cache"]
    with pytest.raises(ConfigError) as caught:
        configure(**given)
    assert (caught.value.path, caught.value.message) == (path, message)
    assert connections["cache"] is before


def test_a_file_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    configure(CONNECTIONS={"cache": CACHE})
    with pytest.raises(ConfigError, match="cannot read settings"):
        configure(CONNECTIONS=tmp_path / "none.toml")
    assert list(connections) == ["cache"]


def test_a_cluster_made_by_hand_is_none_of_the_named_ones() -> None:
    create_cluster(CACHE)
    assert list(connections) == []
