"""Run the suite many times, each time in another order, and half of the times on a loaded machine.

    make soak                               20 runs with the seeds 1 to 20, ten of them beside four busy processes
    make soak RUNS=4 LOAD=8 SEED=100        four runs, two of them beside eight busy processes
    tools/soak.py --runs 4 -- nydus_core/tests -k ring      options for pytest

A failure stops nothing. The table tells of each run as soon as it is over; then the tests that failed are named, each with the
command that runs it again in the same order. ``soak.tsv`` and ``soak/`` in the folder of results have the table and what pytest
printed. Exit status 1 if anything has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = ("run", "seed", "load", "passed", "failed", "seconds")
#: Seconds after which a run is ended: it hangs.
LONGEST = 3600.0


@dataclass
class Run:
    """One run of the suite.

    Attributes:
        number: Its number, from 1.
        seed: The seed of the order of the tests.
        load: How many busy processes there are beside it.
        passed: How many tests passed.
        failed: The names of the tests that failed, or were in error.
        seconds: How long it took.
        ended: Whether pytest came to its end, and reported all its tests.
    """

    number: int
    seed: int
    load: int
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    ended: bool = False

    @property
    def is_well(self) -> bool:
        """Whether all tests were run and passed."""
        return self.ended and not self.failed

    def row(self) -> list[str]:
        """The cells of its row in the table."""
        failed = str(len(self.failed)) if self.ended else f"{len(self.failed)}, not ended"
        return [
            str(self.number),
            str(self.seed),
            str(self.load),
            str(self.passed),
            failed,
            f"{self.seconds:.0f}",
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite as the command line says; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="how many runs")
    parser.add_argument(
        "--seed", type=int, default=1, help="the seed of the first; each next one has one more"
    )
    parser.add_argument(
        "--load", type=int, default=4, help="how many busy processes there are beside every other run"
    )
    parser.add_argument("--results", type=Path, default=ROOT / ".soak", help="the folder of results")
    parser.add_argument("pytest", nargs="*", help="options for pytest, behind --")
    options = parser.parse_args(arguments)
    folder: Path = options.results / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.txt"):
        old.unlink()
    table = options.results / "soak.tsv"
    table.write_text("\t".join(COLUMNS) + "\n")
    print(line(COLUMNS), flush=True)
    runs = []
    for number in range(1, options.runs + 1):
        run = Run(number, options.seed + number - 1, 0 if number % 2 else options.load)
        with busy(run.load):
            suite(run, options.pytest, folder / f"{number}.txt")
        runs.append(run)
        print(line(run.row()), flush=True)
        with table.open("a") as file:
            file.write("\t".join(run.row()) + "\n")
    return summary(runs, options.pytest, folder)


def suite(run: Run, options: Sequence[str], output: Path) -> None:
    """Run the suite once, and note what came of it."""
    start = time.monotonic()
    with output.open("w") as file, contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(
            command(run.seed, options),
            cwd=ROOT,
            stdout=file,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=LONGEST,
        )
    run.seconds = time.monotonic() - start
    read(run, output.read_text(errors="replace"))


def command(seed: int, options: Sequence[str]) -> list[str]:
    """Return the command that runs tests in the order of a seed."""
    python = [sys.executable, "-m", "pytest", "--installed", "-q", "-rfE", "-p", "no:cacheprovider"]
    return [*python, f"--randomly-seed={seed}", *options]


def read(run: Run, printed: str) -> None:
    """Note what pytest printed of a run."""
    run.failed = sorted(
        set(re.findall(r"^(?:FAILED|ERROR) (\S+(?:\[.*?\](?= - |$))?)", printed, re.MULTILINE))
    )
    last = re.search(r"^(?=.*\d (?:passed|failed|error)).* in [\d.]+s.*$", printed, re.MULTILINE)
    run.ended = last is not None
    if last is not None:
        passed = re.search(r"(\d+) passed", last[0])
        run.passed = int(passed[1]) if passed else 0


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep so many processes busy. They end with the block, and with this process."""
    program = (
        "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    for _ in range(10**6): pass"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def summary(runs: Sequence[Run], options: Sequence[str], folder: Path) -> int:
    """Print which tests failed, and how to run each again; return the exit status."""
    bad = [run for run in runs if not run.is_well]
    print(f"\n{len(runs)} runs, {len(bad)} of them with failures; what pytest printed is in {folder}")
    times: dict[str, list[Run]] = {}
    for run in bad:
        if not run.ended:
            print(f"run {run.number} did not come to its end: see {folder / f'{run.number}.txt'}")
        for test in run.failed:
            times.setdefault(test, []).append(run)
    for test, of in sorted(times.items(), key=lambda item: -len(item[1])):
        print(
            f"\n{test}\n  failed in {len(of)} of {len(runs)} runs, {sum(bool(run.load) for run in of)} under load"
        )
        again = command(of[0].seed, [*workers(options), test])
        print(f"  {shlex.join([os.path.relpath(again[0], ROOT), *again[1:]])}")
    return 1 if bad else 0


def workers(options: Sequence[str]) -> list[str]:
    """The options for pytest that have to do with one test: none of those that share out many."""
    return ["-n", "0"] if "-n" in options else []


def line(words: Sequence[str]) -> str:
    """Return a row of the table as it is shown."""
    return "  ".join(word.rjust(max(len(name), 6)) for word, name in zip(words, COLUMNS, strict=True))


if __name__ == "__main__":
    sys.exit(main())
