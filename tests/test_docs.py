"""The documentation is true: its examples run, its output is what is printed, its links lead somewhere.

Each page is run as one program, in a directory of its own, against real servers:

- a ``python`` block runs in the namespace of its page, under the page's own name and line numbers;
- an ``output`` block right behind it is what it prints; ``...`` stands for anything;
- a ``toml`` block that starts with ``# some.toml`` is written to that file.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from importlib_metadata import entry_points

import nydus.conf
import nydus_core
from nydus_core import errors, plugins
from nydus_core.plugins import specs as hookspecs
from nydus_core.settings.cluster import read_settings
from nydus_core.settings.hosts import HostSettings
from nydus_memcache import Memcache
from nydus_redis import Redis

pytestmark = pytest.mark.slow_env  # client libraries have no part in it

ROOT = Path(__file__).resolve().parent.parent
GUIDE = [page for page in sorted(ROOT.glob("docs/**/*.md")) if "_build" not in page.parts]
PAGES = [*sorted(ROOT.glob("*.md")), *GUIDE]
EXAMPLES = [
    path
    for path in sorted(ROOT.glob("examples/*.py"))
    if path.name not in ("demo.py", "web_service.py")  # which have tests of their own
]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


class Block(NamedTuple):
    language: str
    text: str
    line: int
    end: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start(2)), found.end())
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    ]


# Examples --------------------------------------------------------------------------------------------------------


class RealServers:
    """A plugin that leads the hosts of examples to private servers: other addresses, all else as it is written.

    A host on port 1 is meant to be down, and stays so. One on a unix socket that is there is meant as it is.
    """

    def __init__(self, redis: Callable[[int], list[Any]], memcached: Callable[[int], list[Any]]) -> None:
        self._start = {Redis: redis, Memcache: memcached}
        self._servers: dict[Any, Any] = {}
        self.clusters: list[nydus_core.Cluster | nydus_core.AsyncCluster] = []

    @nydus_core.hookimpl
    def nydus_configure(self, settings: dict[str, Any]) -> None:
        try:
            read = read_settings(settings)
        except nydus_core.ConfigError:
            return  # as it is meant to be: create_cluster raises the same
        if read.engine in self._start:
            settings["hosts"] = {host.key: self._led(read.engine, host) for host in read.hosts}
            settings.pop("defaults", None)

    def _led(self, kind: type[Any], host: HostSettings) -> dict[str, Any]:
        engine = kind(host.key, *host.args, **host.options)
        address = {}
        if engine.port != 1 and not is_there(engine.unix_socket_path):
            where = kind, engine.unix_socket_path or (engine.host, engine.port)
            if where not in self._servers:
                (self._servers[where],) = self._start[kind](1)
            address = {"unix_socket_path": self._servers[where].path, "identifier": engine.identifier}
        there = ("host", "port", "unix_socket_path", "username", "password", "ssl") if address else ()
        kept = {option: value for option, value in host.options.items() if option not in there}
        return {**kept, **address, "weight": host.weight}

    @nydus_core.hookimpl
    def nydus_cluster_created(self, cluster: nydus_core.Cluster | nydus_core.AsyncCluster) -> None:
        self.clusters.append(cluster)


def is_there(path: str | None) -> bool:
    return path is not None and Path(path).is_socket()


@pytest.fixture
def real_servers(
    redis_servers: Callable[[int], list[Any]],
    memcached_servers: Callable[[int], list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    plugin = RealServers(redis_servers, memcached_servers)
    plugins.register(plugin)
    yield
    plugins.unregister(plugin)
    nydus.conf.configure()
    for cluster in plugin.clusters:
        if isinstance(cluster, nydus_core.Cluster):
            cluster.close()
        else:
            for engine in cluster.hosts.values():
                engine.retire()  # its event loop is over


@pytest.mark.parametrize("page", [page for page in PAGES if "\n```python\n" in page.read_text()], ids=name)
def test_the_examples_of_a_page_run(page: Path, real_servers: None) -> None:
    names: dict[str, Any] = {"__name__": page.stem}
    printed, printed_by = "", -1
    for number, block in enumerate(blocks(page)):
        if block.language == "python":
            code = compile("\n" * block.line + block.text, page, "exec")
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(code, names)
            printed, printed_by = output.getvalue(), number
        elif block.language == "output":
            assert printed_by == number - 1, f"{page}:{block.line}: no python block stands before this output"
            assert_prints(block, printed, page)
        elif block.language == "toml" and (file := re.match(r"# (\w+\.toml)\n", block.text)):
            Path(file[1]).write_text(block.text)


def assert_prints(block: Block, printed: str, page: Path) -> None:
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(block.text, printed, flags):
        pytest.fail(
            f"{page}:{block.line}: it says\n{block.text}\nand this is printed:\n{printed}", pytrace=False
        )


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_an_example_runs(example: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", str(example)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout, "it says nothing"


# What is said ----------------------------------------------------------------------------------------------------


def in_docs(word: str, pages: list[Path]) -> bool:
    whole = re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
    return any(whole.search(page.read_text()) for page in pages)


REFERENCE = [page for page in GUIDE if page.parent.name == "reference"]
HOOKS = [hook for hook in vars(hookspecs) if hook.startswith("nydus_")]


@pytest.mark.parametrize("public", nydus_core.__all__)
def test_every_public_name_is_in_the_reference(public: str) -> None:
    assert in_docs(f"nydus_core.{public}", REFERENCE)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_hook_is_explained_and_in_the_reference(hook: str) -> None:
    call = f"{hook}({', '.join(signature(vars(hookspecs)[hook]).parameters)})"
    assert f"`{call}`" in (ROOT / "docs/plugins.md").read_text()
    assert in_docs(f"nydus_core.plugins.specs.{hook}", REFERENCE)


def test_every_built_in_engine_and_router_is_explained() -> None:
    found = {
        point.name: page
        for group, page in (("nydus.engines", "settings"), ("nydus.routers", "routers"))
        for point in entry_points(group=group)
        if point.dist.name in ("nydus-core", "nydus-redis", "nydus-memcache")
    }
    assert {"redis", "embedded", "memcache", "partition", "consistent"} <= set(found)
    missing = [
        point for point, page in found.items() if not in_docs(f"`{point}`", [ROOT / f"docs/{page}.md"])
    ]
    assert not missing


def test_the_table_of_profiles_is_that_of_the_code() -> None:
    command = [sys.executable, str(ROOT / "tools/profile_table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    assert errors.__doc__
    tree = textwrap.dedent(errors.__doc__.split("::\n\n")[1].split("\n\n")[0])
    assert f"```text\n{tree}\n```" in (ROOT / "docs/errors.md").read_text()


def test_every_setting_is_explained() -> None:
    text = (ROOT / "docs/settings.md").read_text()
    with pytest.raises(nydus_core.ConfigError) as caught:
        read_settings({"nonsense": 1})
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert {"engine", "hosts"} <= set(known)
    assert [setting for setting in known if f"`{setting}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_toml_is_toml(page: Path) -> None:
    for block in blocks(page):
        if block.language == "toml":
            tomllib.loads(block.text)


def test_make_knows_every_target_that_is_named() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {target for page in PAGES for target in re.findall(r"`make ([a-z-]+)", page.read_text())}
    named |= {
        target for page in PAGES for target in re.findall(r"^\$ make ([a-z-]+)", page.read_text(), re.M)
    }
    assert {"demo", "test", "check", "docs"} <= named <= targets


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{name(page)}: {link}"
        assert not anchor or anchor in anchors(file), f"{name(page)}: {link} has no such heading"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
