"""What is published works as published: wheels, source distributions, and installs of each in clean environments.

The wheels are those that `make` has built. Every test that installs gets an environment of its own, which takes uv
a fraction of a second.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from importlib_metadata import PathDistribution

pytestmark = pytest.mark.slow_env

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples/nydus_shelf"
PACKAGES = {
    "nydus-core": {"nydus", "nydus_core"},
    "nydus-redis": {"nydus_redis"},
    "nydus-memcache": {"nydus_memcache"},
}
OURS = list(PACKAGES)
CLIENTS = {"nydus-redis": "redis", "nydus-memcache": "pymemcache"}


def run(*command: object, env: dict[str, str] | None = None) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def uv(*arguments: object) -> str:
    found = shutil.which("uv", path=os.pathsep.join([str(ROOT / ".venv/bin"), os.environ.get("PATH", "")]))
    assert found, "there is no uv: run the tests with make"
    kept = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    return run(found, "--quiet", "--no-python-downloads", *arguments, env=kept)


def source_of(dist: str) -> Path:
    return EXAMPLE if dist == "nydus-shelf" else ROOT / dist.replace("-", "_")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """``built('nydus-core', '*.whl')``: the file, as `make` has built it; else it is built here."""

    def find(dist: str, pattern: str) -> Path:
        made = ROOT / ".venv/wheels" / dist.replace("-", "_")
        here = tmp_path_factory.getbasetemp() / "built" / dist
        for folder in (made, here):
            if found := list(folder.glob(pattern)):
                return found[0]
        uv("build", "--python", sys.executable, "--out-dir", here, source_of(dist))
        return next(here.glob(pattern))

    return find


class Environment:
    """A clean virtual environment."""

    def __init__(self, folder: Path, built: Callable[[str, str], Path]) -> None:
        uv("venv", "--python", sys.executable, folder)
        self.python = folder / "bin/python"
        self._wheels = {dist: built(dist, "*.whl").as_uri() for dist in [*OURS, "nydus-shelf"]}
        self._ours = folder / "ours.txt"  # so that what they require of each other is not looked up elsewhere
        self._ours.write_text("".join(f"{dist} @ {wheel}\n" for dist, wheel in self._wheels.items()))

    def pip(self, command: str, *arguments: object) -> str:
        return uv("pip", command, "--python", self.python, *arguments)

    def install(self, *wanted: str, options: tuple[str, ...] = ()) -> None:
        """Install the wheels of distributions, named as in ``nydus-core[redis]``, and what they require."""
        urls = [f"{each} @ {self._wheels[each.partition('[')[0]]}" for each in wanted]
        self.pip("install", "--constraint", self._ours, *options, *urls)

    def names(self) -> set[str]:
        """The distributions that are installed."""
        return {each["name"] for each in json.loads(self.pip("list", "--format", "json"))}

    def run(self, code: str, **variables: str) -> Any:
        """Run code in this environment, warnings as errors; return what it has put in ``result``."""
        script = f"{code}\nimport json; print(json.dumps(result))"
        return json.loads(
            run(self.python, "-I", "-W", "error", "-c", script, env={**os.environ, **variables})
        )

    def answers(self, *engines: str, **variables: str) -> list[str]:
        """What ``create_cluster`` answers for each engine: the cluster, or the error that it raises, as text."""
        found: list[str] = self.run(
            f"""
from nydus.db import create_cluster
result = []
for engine in {engines!r}:
    try:
        result.append(repr(create_cluster({{"engine": engine, "hosts": [{{}}]}})))
    except Exception as error:
        result.append(str(error))
""",
            **variables,
        )
        return found

    def import_error(self, module: str) -> list[str]:
        """What importing a module ends in."""
        found: list[str] = self.run(f"""
try:
    import {module}
    result = ["imported"]
except ImportError as error:
    result = [type(error).__name__, str(error), error.name]
""")
        return found


@pytest.fixture
def clean(tmp_path: Path, built: Callable[[str, str], Path]) -> Environment:
    return Environment(tmp_path / "environment", built)


# A third party's plugin, and nothing else of ours but the core ---------------------------------------------------


def test_the_core_and_a_third_partys_plugin_are_enough(clean: Environment, tmp_path: Path) -> None:
    clean.install("nydus-core", "nydus-shelf")
    example = "\n".join(re.findall(r"^    (.*)$", (EXAMPLE / "README.md").read_text(), re.MULTILINE))
    result = clean.run(f"""
import os; os.chdir({str(tmp_path)!r})
{example}
import importlib.util, sys
from nydus_core.plugins import ENGINES, found
from nydus_shelf.tally import commands_done
result = dict(
    cluster=repr(cluster), user=cluster.get("user:1"), visits=list(map(int, visits)), keys=sum(cluster.count()),
    tally=commands_done, engines=list(found(ENGINES)),
    clients=[name for name in ("redis", "pymemcache", "nydus_redis", "nydus_memcache")
             if name in sys.modules or importlib.util.find_spec(name)],
)
cluster.close()
""")
    assert result == {
        "cluster": "<Cluster of 2 hosts {'north': north.db, 'south': south.db}, router <ByPrefix over 2 hosts>, "
        "placement ByPrefix:e27dfc18da3c1cce>",
        "user": "Ada",
        "visits": [1, 1, 1],
        "keys": 4,
        "tally": {"set": 1, "incr": 3, "count": 2, "get": 1},
        "engines": ["shelf"],
        "clients": [],
    }


def test_the_fault_proxy_needs_no_pytest_and_its_fixtures_come_with_the_extra(clean: Environment) -> None:
    clean.install("nydus-core")
    assert clean.import_error("nydus_core.testing") == ["imported"]
    missing = "No module named 'pytest'"
    assert clean.import_error("nydus_core.testing.fixtures") == ["ModuleNotFoundError", missing, "pytest"]
    clean.install("nydus-core[testing]")
    assert clean.import_error("nydus_core.testing.fixtures") == ["imported"]


def test_with_the_core_alone_every_way_to_a_backend_says_what_to_install(clean: Environment) -> None:
    clean.install("nydus-core")
    assert clean.answers("redis", "embedded", "memcache") == [
        "engine: engine 'redis' is not installed: pip install nydus-redis",
        "engine: engine 'embedded' is not installed: pip install nydus-redis[embedded]",
        "engine: engine 'memcache' is not installed: pip install nydus-memcache",
    ]
    for name, backend in [("Redis", "redis"), ("Memcache", "memcache")]:
        module = f"nydus.db.backends.{backend}"
        said = f"the {backend} backend is not installed: pip install nydus-{backend}"
        assert clean.import_error(module) == ["ImportError", said, f"nydus_{backend}"]
        assert clean.answers(f"{module}.{name}") == [f"engine: cannot import '{module}.{name}': {said}"]


@pytest.mark.parametrize("dist", CLIENTS)
def test_a_backend_without_its_client_library_names_the_library(clean: Environment, dist: str) -> None:
    package, client = dist.replace("-", "_"), CLIENTS[dist]
    engine = dist.removeprefix("nydus-")
    clean.install("nydus-core")
    clean.install(dist, options=("--no-deps",))
    missing = f"No module named '{client}'"
    assert clean.answers(engine) == [
        f"engine: engine '{engine}' of distribution '{dist}' ({package}:{engine.title()}) is broken: "
        f"ModuleNotFoundError: {missing}"
    ]
    assert clean.import_error(f"nydus.db.backends.{engine}") == ["ModuleNotFoundError", missing, client]


# Installs --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dist", OURS)
def test_each_distribution_installs_apart_from_the_others(clean: Environment, dist: str) -> None:
    clean.install(dist)
    clean.pip("check")
    assert clean.names() & {*OURS, *CLIENTS.values()} == {"nydus-core", dist, CLIENTS.get(dist, "nydus-core")}
    for package in PACKAGES[dist]:
        assert clean.import_error(package) == ["imported"]
    if dist in CLIENTS:
        engine = dist.removeprefix("nydus-")
        assert clean.answers(engine)[0].startswith("<Cluster of 1 host ")


def test_the_embedded_engine_without_any_server_says_what_to_install(clean: Environment) -> None:
    clean.install("nydus-redis")
    (said,) = clean.answers("embedded", PATH="/nowhere", NYDUS_REDIS_SERVER="")
    assert said.endswith("pip install nydus-redis[embedded]")


@pytest.mark.parametrize("extras", ["redis,memcache", "all"])
def test_the_extras_of_the_core_bring_the_backends(clean: Environment, extras: str) -> None:
    clean.install(f"nydus-core[{extras}]")
    clean.pip("check")
    assert clean.names() >= {*OURS, *CLIENTS.values()}
    assert all(answer.startswith("<Cluster of ") for answer in clean.answers("redis", "memcache"))


def test_all_three_work_side_by_side_in_place_and_one_can_be_removed(clean: Environment) -> None:
    clean.pip("install", *(part for dist in OURS for part in ("--editable", source_of(dist))))
    places = clean.run("""
import nydus, nydus_core, nydus_redis, nydus_memcache
import nydus.db.backends.redis, nydus.db.backends.memcache
assert nydus.db.backends.redis.Redis is nydus_redis.Redis
assert nydus.db.backends.memcache.Memcache is nydus_memcache.Memcache
result = {each.__name__: list(each.__path__) for each in (nydus, nydus_core, nydus_redis, nydus_memcache)}
""")
    assert places == {
        package: [str(source_of(dist) / "src" / package)]
        for dist, packages in PACKAGES.items()
        for package in packages
    }
    assert all(answer.startswith("<Cluster of ") for answer in clean.answers("redis", "memcache"))

    clean.pip("uninstall", "nydus-redis")
    redis, memcache = clean.answers("redis", "memcache")
    assert redis == "engine: engine 'redis' is not installed: pip install nydus-redis"
    assert memcache.startswith("<Cluster of ")


# What is in the files --------------------------------------------------------------------------------------------


@pytest.fixture
def wheel(built: Callable[[str, str], Path], dist: str) -> Path:
    return built(dist, "*.whl")


def contents(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def metadata(wheel: Path) -> PathDistribution:
    folder = next(name for name in contents(wheel) if name.endswith(".dist-info/METADATA"))
    path: Any = zipfile.Path(wheel, folder.removesuffix("METADATA"))
    return PathDistribution(path)


@pytest.mark.parametrize("dist", OURS)
def test_a_wheel_holds_typed_packages_and_the_licence_and_no_tests(wheel: Path, dist: str) -> None:
    names = contents(wheel)
    info = f"{dist.replace('-', '_')}-{metadata(wheel).version}.dist-info"
    assert {name.partition("/")[0] for name in names} == {*PACKAGES[dist], info}
    assert {f"{package}/py.typed" for package in PACKAGES[dist]} <= names
    assert not [name for name in names if re.search(r"(^|/)(tests?/|test_|conftest|__pycache__)", name)]
    licence = zipfile.ZipFile(wheel).read(f"{info}/licenses/LICENSE")
    assert licence == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("dist", OURS)
def test_a_wheel_holds_every_file_of_its_packages(wheel: Path, dist: str) -> None:
    source = source_of(dist) / "src"
    files = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in contents(wheel) if ".dist-info/" not in name} == files


@pytest.mark.parametrize("dist", OURS)
def test_the_metadata_say_who_may_install_it_and_what_it_is(wheel: Path, dist: str) -> None:
    found = metadata(wheel)
    assert found.metadata["Requires-Python"] == ">=3.11"
    assert found.metadata["License-Expression"] == "Apache-2.0"
    assert found.metadata["Description-Content-Type"] == "text/markdown"
    assert dist in (found.metadata.get_payload() or found.metadata["Description"])


def requirements(wheel: Path, extra: str = "") -> set[str]:
    """The names that a wheel requires; of one of its extras, if one is given."""
    ends = f"extra == '{extra}'" if extra else ""
    found = [requirement.partition(";") for requirement in metadata(wheel).requires or []]
    return {re.split(r"[<>=~! ]", name)[0] for name, _, marker in found if marker.strip() == ends}


def test_the_core_requires_no_client_library_and_offers_the_backends_as_extras(
    built: Callable[[str, str], Path],
) -> None:
    core = built("nydus-core", "*.whl")
    assert requirements(core) == {"pluggy", "importlib-metadata"}
    assert requirements(core, "redis") == {"nydus-redis"}
    assert requirements(core, "memcache") == {"nydus-memcache"}
    assert requirements(core, "all") == {"nydus-redis", "nydus-memcache"}
    assert requirements(core, "testing") == {"pytest"}


@pytest.mark.parametrize("dist", CLIENTS)
def test_a_backend_requires_the_core_and_its_client_library(wheel: Path, dist: str) -> None:
    assert requirements(wheel) == {"nydus-core", CLIENTS[dist]}


@pytest.mark.parametrize("dist", OURS)
def test_every_entry_point_of_a_wheel_is_in_a_module_of_that_wheel(wheel: Path, dist: str) -> None:
    points = [point for point in metadata(wheel).entry_points if point.group.startswith("nydus.")]
    assert points
    for point in points:
        module = point.module.replace(".", "/")
        assert contents(wheel) & {f"{module}.py", f"{module}/__init__.py"}


@pytest.mark.parametrize("dist", OURS)
def test_a_source_distribution_builds_the_same_wheel(
    built: Callable[[str, str], Path], wheel: Path, dist: str, tmp_path: Path
) -> None:
    uv("build", "--wheel", "--python", sys.executable, "--out-dir", tmp_path, built(dist, "*.tar.gz"))
    again = next(tmp_path.glob("*.whl"))
    assert (again.name, contents(again)) == (wheel.name, contents(wheel))
    for name in contents(wheel):
        if ".dist-info/" not in name:  # which tells of the build tool's version too
            assert zipfile.ZipFile(again).read(name) == zipfile.ZipFile(wheel).read(name), name
