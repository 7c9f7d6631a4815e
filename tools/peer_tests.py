"""Run redis-py's own tests through clusters of Nydus: how much of a plain client's behaviour is there?

    make peers                      all of it; writes the table of docs/compatibility.md
    tools/peer_tests.py --hosts 1 -- -k test_incr      one of the runs, and options for pytest

The tests are those of the installed redis-py, from its source distribution, which is fetched into a temporary folder. They run
three times on real servers: with redis-py's client, with a cluster of one host and a router, and with a cluster of three.
A test that passes with the client has to pass with the cluster, unless ``peer_tests.toml`` names it, or the message that it fails
with, and says why. A test named there that passes is told, too. Exit status 1 if anything differs from that.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib.metadata
import os
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from nydus_redis.embedded import PrivateServer

ROOT = Path(__file__).resolve().parent.parent
REASONS = Path(__file__).with_suffix(".toml")
PAGE = ROOT / "docs" / "compatibility.md"
FILES = ("commands", "pipeline", "lock", "scripting", "encoding", "pubsub")
BEGIN, END = "<!-- table: made by make peers -->", "<!-- end of the table -->"


@dataclass(frozen=True)
class Reason:
    """Why some tests do not pass through a cluster.

    Attributes:
        hosts: The clusters that it holds for: 1, 3, or both.
        kind: ``design``, or ``open`` for a fault of ours that is known.
        why: The reason, for readers.
        tests: Patterns of names of tests.
        says: Patterns of messages of failures.
    """

    hosts: tuple[int, ...]
    kind: str
    why: str
    tests: tuple[str, ...]
    says: tuple[str, ...]

    def covers(self, test: str, hosts: int, ended: str) -> bool:
        """Tell whether it is the reason for a test that ended in this way."""
        return hosts in self.hosts and (
            any(fnmatch.fnmatchcase(test, pattern) for pattern in self.tests)
            or any(fnmatch.fnmatchcase(ended, f"failed: {pattern}*") for pattern in self.says)
        )


def main() -> int:
    """Run the tests, and write the page. Returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hosts", type=int, choices=(0, 1, 3), help="only this run; 0 is redis-py's client")
    parser.add_argument("--check", action="store_true", help="do not write the page")
    parser.add_argument("options", nargs="*", help="options for pytest")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nydus-peers-") as folder:
        source = fetch(Path(folder))
        if given.hosts is not None:
            return run(source, given.hosts, given.options, quiet=False)[1]
        with ThreadPoolExecutor() as threads:  # the tests wait for most of their time
            runs = {hosts: threads.submit(run, source, hosts, given.options) for hosts in (0, 1, 3)}
        bare = runs[0].result()[0]
        found = {hosts: runs[hosts].result()[0] for hosts in (1, 3)}
    expected = {name for name, outcome in bare.items() if outcome == "passed"}
    problems = [problem for hosts in (1, 3) for problem in compare(expected, found[hosts], hosts)]
    print("\n".join(problems))
    text = page(expected, found)
    print(text)
    if not given.check:
        write(text)
    return 1 if problems else 0


def fetch(folder: Path) -> Path:
    """Bring the source distribution of the installed redis-py; return its folder."""
    version = importlib.metadata.version("redis")
    command = ["pip", "download", "--quiet", "--no-deps", "--no-binary", "redis", "--dest", str(folder)]
    subprocess.run([sys.executable, "-m", *command, f"redis=={version}"], check=True)
    (archive,) = folder.glob("redis-*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / f"redis-{version}"


def run(
    source: Path, hosts: int, options: Sequence[str], *, quiet: bool = True
) -> tuple[dict[str, str], int]:
    """Run the tests once.

    Parameters:
        source: The folder of redis-py's source distribution.
        hosts: The number of hosts of the cluster; 0 for redis-py's client.
        options: Options for pytest.
        quiet: Whether to keep pytest's output back.

    Returns:
        For each test how it ended (``passed``, ``skipped``, or ``failed: …``), and pytest's exit status.
    """
    servers = [PrivateServer(tcp=True) for _ in range(hosts or 1)]
    report = source.parent / f"report-{hosts}.xml"
    try:
        ports = [server.wait().port for server in servers]
        paths = [f"tests/{folder}test_{name}.py" for folder in ("", "test_asyncio/") for name in FILES]
        command = [sys.executable, "-m", "pytest", *paths, f"--redis-url=redis://127.0.0.1:{ports[0]}/0"]
        command += [
            "-q",
            "-o",
            "addopts=",
            "-o",
            "log_cli=false",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:valkey",
        ]
        command += [f"--junitxml={report}", "-o", "junit_family=xunit1", "-p", "peer_plugin"]
        command += ["--tb=no"] if quiet else []  # to show where a test of a long file failed takes seconds
        own = ",".join(map(str, ports)) if hosts else ""
        here = {"PYTHONPATH": str(Path(__file__).parent), "PEER_PORTS": own}
        output = subprocess.DEVNULL if quiet else None
        status = subprocess.run(
            [*command, *options], cwd=source, env={**os.environ, **here}, stdout=output, check=False
        )
    finally:
        for server in servers:
            server.stop()
    return outcomes(report), status.returncode


def outcomes(report: Path) -> dict[str, str]:
    """Read pytest's report: how each test ended. Of one that failed, it has the beginning of the message."""
    found: dict[str, str] = {}
    for case in ET.parse(report).getroot().iter("testcase"):
        kinds = {child.tag: child.get("message", "") for child in case}
        name = f"{case.get('classname', '').removeprefix('tests.')}.{case.get('name')}"
        ended = "skipped" if "skipped" in kinds else "passed"
        for kind in kinds.keys() & {"failure", "error"}:
            ended = f"failed: {' '.join(kinds[kind].split())[:160]}"
        if not found.get(name, "").startswith("failed"):
            found[name] = ended
    return found


def reasons() -> list[Reason]:
    """Read why tests do not pass."""
    with REASONS.open("rb") as file:
        rows = tomllib.load(file)["reason"]
    return [
        Reason(
            tuple(row["hosts"]),
            row["kind"],
            row["why"],
            tuple(row.get("tests", ())),
            tuple(row.get("says", ())),
        )
        for row in rows
    ]


def compare(expected: Iterable[str], found: Mapping[str, str], hosts: int) -> list[str]:
    """Return all that is not as ``peer_tests.toml`` says."""
    known = reasons()
    problems = []
    for test in sorted(expected):
        ended = found.get(test, "did not run")
        if ended != "passed" and not first(known, test, hosts, ended):
            problems.append(f"{hosts} hosts: {test} {ended}")
    for each in known:
        for pattern in each.tests if hosts in each.hosts else ():
            matching = [test for test in expected if fnmatch.fnmatchcase(test, pattern)]
            if not any(found.get(test) != "passed" for test in matching):
                problems.append(f"{hosts} hosts: {pattern} passes; take it out of {REASONS.name}")
    return problems


def page(expected: set[str], found: Mapping[int, Mapping[str, str]]) -> str:
    """Return the tables of the page."""
    known = reasons()
    files = sorted({test_file(test) for test in expected})
    lines = [
        "| tests of redis-py | pass with redis-py | through one host | through three hosts |",
        "|---|---|---|---|",
    ]
    for name in [*files, "all"]:
        mine = [test for test in expected if name in (test_file(test), "all")]
        passed = [sum(found[hosts].get(test) == "passed" for test in mine) for hosts in (1, 3)]
        lines.append(f"| {name} | {len(mine)} | {passed[0]} | {passed[1]} |")
    lines += ["", "| not through a cluster, because | one host | three hosts |", "|---|---|---|"]
    counted = {
        hosts: Counter(
            first(known, test, hosts, found[hosts].get(test, "")) for test in failed(expected, found, hosts)
        )
        for hosts in (1, 3)
    }
    for each in known:
        numbers = [counted[hosts][each.why] for hosts in (1, 3)]
        mark = "" if each.kind == "design" else " *(a fault of ours)*"
        lines.append(f"| {each.why}{mark} | {numbers[0]} | {numbers[1]} |")
    return "\n".join(lines)


def failed(expected: Iterable[str], found: Mapping[int, Mapping[str, str]], hosts: int) -> list[str]:
    """Return the tests that pass with redis-py's client, and not with a cluster."""
    return [test for test in expected if found[hosts].get(test) != "passed"]


def first(known: Iterable[Reason], test: str, hosts: int, ended: str) -> str:
    """Return why a test does not pass; an empty text if nobody knows."""
    return next((each.why for each in known if each.covers(test, hosts, ended)), "")


def test_file(test: str) -> str:
    """Return the file of a test, as the table shows it."""
    parts = test.split(".")
    return f"{parts[1]} (asyncio)" if parts[0] == "test_asyncio" else parts[0]


def write(text: str) -> None:
    """Put the tables into the page."""
    old = PAGE.read_text(encoding="utf-8")
    before, rest = old.split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
