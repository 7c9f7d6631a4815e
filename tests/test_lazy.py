"""Modules that are imported late: which, why, and that nobody but the clock can tell.

Fresh interpreters are asked for ``sys.modules``; nothing is timed. ``make bench`` measures.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import nydus_core

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

#: The modules of ours that ``from nydus.db import create_cluster`` imports. All others wait for the first cluster.
EARLY = {
    "nydus",
    "nydus.db",
    "nydus_core",
    "nydus_core.create",
    "nydus_core.create.blocking",
    "nydus_core.lazy",
}

#: Other modules that it does not import, each with the reason.
NOT_AT_IMPORT = {
    "asyncio": "brings thirty modules; only the side for asyncio needs it",
    "redis": "the settings name the engine, and only that engine's client library is imported",
    "pymemcache": "as redis",
    "importlib_metadata": "brings forty modules; needed when a plain name is looked up",
    "pluggy": "most programs have no plugin; needed when one is found or registered",
    "ssl": "comes with asyncio and with client libraries; the core has no use for it",
    "logging": "brings twenty modules; needed when there is a cluster",
    "inspect": "as logging",
    "dataclasses": "as logging",
    "socket": "as logging",
    "urllib.parse": "as logging",
    "concurrent.futures": "as logging",
}

#: The modules that a blocking cluster does not import, each with the reason. Besides, none of ours whose name ends in ``aio``.
NOT_WITH_A_CLUSTER = {
    "nydus_core.aio": "the side for asyncio",
    "nydus_core.create.aio": "the front door for asyncio",
    "nydus_redis.typed": "types of clusters, for those who write them",
    "nydus_memcache.typed": "as nydus_redis.typed",
    "nydus_redis.embedded": "another engine",
    "nydus_redis.pubsub": "needed by pubsub() alone",
    "nydus_core.testing": "for tests",
    "nydus_core.cluster.explain": "needed by explain() alone",
    "nydus_core.plugins.specs": "no plugin is installed",
    "pluggy": "no plugin is installed",
    "tomllib": "no file of settings is read",
    "difflib": "no error names the nearest name",
    "nydus_core.routers.rendezvous": "another rule",
    "nydus_core.routers.maglev": "another rule",
    "nydus_core.routers.ring": "another rule",
    "nydus_core.routers.slots": "another rule",
    "decimal": "needed by rendezvous alone",
}

#: Former names of modules: they are in ``sys.modules``, and import their rooms when a name is taken from them.
FORMER = {
    f"nydus_core.{name}"
    for name in ("base_engine", "batches", "engine", "explain", "hookspecs", "mapping", "retry")
}

IMPORT = "from nydus.db import create_cluster"


def loaded(program: str) -> set[str]:
    """The modules that a new interpreter has imported after running a program."""
    program += "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


def early(modules: set[str], late: dict[str, str]) -> dict[str, str]:
    """The late modules that were imported all the same, with the reason why they should not be."""
    return {module: why for module, why in late.items() if module in modules}


def of_ours(modules: set[str]) -> set[str]:
    return {module for module in modules if module.startswith("nydus")} - FORMER


def test_importing_the_front_door_imports_nothing_behind_it() -> None:
    modules = loaded(IMPORT)
    assert of_ours(modules) == EARLY
    assert early(modules, NOT_AT_IMPORT) == {}


@pytest.mark.parametrize("engine", ["redis", "memcache"])
def test_a_blocking_cluster_imports_its_own_engine_and_rule_alone(engine: str) -> None:
    settings = {"engine": engine, "router": "partition", "hosts": [{"port": 1}, {"port": 2}]}
    modules = loaded(f"{IMPORT}; create_cluster({settings})")
    assert early(modules, NOT_WITH_A_CLUSTER) == {}
    assert f"nydus_{engine}.engine.blocking" in modules
    assert [module for module in sorted(of_ours(modules)) if module.endswith(("_aio", ".aio"))] == []


def test_the_rule_slots_imports_no_other_rule() -> None:
    hosts = [{"port": 1}, {"port": 2}]
    modules = loaded(f"{IMPORT}; create_cluster({{'engine': 'redis', 'router': 'slots', 'hosts': {hosts}}})")
    late = {
        **NOT_WITH_A_CLUSTER,
        "nydus_core.routers.hashes": "the hash of slots is in the standard library",
        "fractions": "needed by unequal weights alone",
    }
    del late["nydus_core.routers.slots"]
    assert early(modules, late) == {}


# Faces with late names -------------------------------------------------------------------------------------------


def faces() -> list[str]:
    """The faces that hand on late names: modules whose ``__getattr__`` is made by ``lazy``."""
    found = []
    for package in ("nydus", "nydus_core", "nydus_redis", "nydus_memcache"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.submodule_search_locations
        root = Path(next(iter(spec.submodule_search_locations)))
        for file in sorted(root.rglob("*.py")):
            if "lazy(" in file.read_text("utf-8") and file.name != "lazy.py":
                parts = file.relative_to(root.parent).with_suffix("").parts
                found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


def late_names(face: str) -> dict[str, str]:
    """The names of a face that type checkers find in its ``if TYPE_CHECKING`` block, each with the module it is taken from."""
    file = importlib.import_module(face).__file__
    assert file is not None
    tree = ast.parse(Path(file).read_text("utf-8"))
    return {
        alias.name: statement.module
        for block in tree.body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for statement in block.body
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
    }


def test_there_are_faces_with_late_names() -> None:
    assert {"nydus.db", "nydus_core", "nydus_redis.connection", "nydus_memcache"} <= set(faces())


@pytest.mark.parametrize("face", faces())
def test_a_late_name_is_what_type_checkers_take_it_for(face: str) -> None:
    names = late_names(face)
    assert names
    loaded(
        f"from importlib import import_module\n"
        f"face = import_module({face!r})\n"
        f"for name, home in {names}.items():\n"
        f"    assert getattr(face, name) is getattr(import_module(home), name), name\n"
        f"assert set(face.__all__) <= set(dir(face))\n"
        f"from {face} import *\n"
        f"assert set(face.__all__) <= set(globals())"
    )


def test_asking_for_the_names_of_a_face_imports_nothing() -> None:
    modules = loaded("import nydus_core; assert {'AsyncCluster', 'errors', 'retry'} <= set(dir(nydus_core))")
    assert of_ours(modules) == {"nydus_core", "nydus_core.lazy"}


def test_looking_at_a_former_module_imports_nothing() -> None:
    program = "import nydus_core.retry, inspect; inspect.getmodule(inspect.currentframe())"
    assert of_ours(loaded(program)) == {"nydus_core", "nydus_core.lazy"}


def test_an_unknown_name_of_a_face_is_refused_as_by_any_module() -> None:
    with pytest.raises(
        AttributeError, match=r"^module 'nydus_core' has no attribute 'AsyncClutser'$"
    ) as caught:
        nydus_core.AsyncClutser  # type: ignore[attr-defined]  # noqa: B018
    assert (caught.value.name, caught.value.obj) == ("AsyncClutser", nydus_core)
    assert not hasattr(nydus_core, "__wrapped__")


def test_a_late_module_is_an_attribute_of_its_package() -> None:
    loaded("import nydus_core; assert nydus_core.aio.AsyncCluster is nydus_core.AsyncCluster")


def test_a_late_class_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(nydus_core.AsyncCluster)) is nydus_core.AsyncCluster


def test_threads_may_ask_for_the_first_time_together() -> None:
    loaded(
        "import threading; from concurrent.futures import ThreadPoolExecutor\n"
        "import nydus_core\n"
        "barrier = threading.Barrier(8)\n"
        "def first(name):\n"
        "    barrier.wait(30)\n"
        "    return getattr(nydus_core, name)\n"
        "names = ['AsyncCluster', 'create_async_cluster', 'ThreadedEngine', 'BaseAsyncEngine'] * 2\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    found = list(pool.map(first, names))\n"
        "assert found == [getattr(nydus_core, name) for name in names]"
    )
