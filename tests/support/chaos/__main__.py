"""``make chaos SCHEDULES=500 SEED=1 SIDE=both``: many schedules, and a table of what came of them. Exit status 1 at a violation."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

from chaos.features import FEATURES, make_schedule
from chaos.report import Report
from chaos.runner import run, run_seed
from chaos.runs import Result
from chaos.schedule import SIDES
from chaos.servers import Fleet

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run schedules as the command line says."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--schedules", type=int, default=500, help="how many")
    parser.add_argument(
        "--seed", type=int, default=1, help="the first one's seed; each next one has one more"
    )
    parser.add_argument(
        "--side",
        choices=(*SIDES, "both"),
        default="both",
        help="who calls; with both, each seed is run twice",
    )
    parser.add_argument("--jobs", type=int, default=2 * (os.cpu_count() or 1), help="processes")
    parser.add_argument(
        "--times", type=int, default=1, help="how often each is run: threads never meet twice alike"
    )
    parser.add_argument("--most", type=int, default=10, help="violations until it gives up")
    parser.add_argument(
        "--features", type=_features, help=f"of each schedule: none, all, or some of {', '.join(FEATURES)}"
    )
    options = parser.parse_args(arguments)
    report, start = Report(), time.monotonic()
    sides = SIDES if options.side == "both" else (options.side,)
    wanted = [
        (seed, side)
        for seed in range(options.seed, options.seed + options.schedules)
        for side in sides
        for _ in range(options.times)
    ]
    failed = []
    for result in _results(wanted, options.jobs, options.features):
        report.add(result)
        if result.violations:
            failed.append(f"{result.schedule.seed} {result.schedule.side}")
            print(result, "\n", flush=True)
        if report.schedules and report.schedules % 50 == 0 and not result.skipped:
            print(
                f"{report.schedules} schedules, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True
            )
        if len(failed) >= options.most:
            break
    print(f"{report}, {time.monotonic() - start:.0f} s, seeds {options.seed} to {wanted[-1][0]}")
    if failed:
        print(f"violations with seeds {', '.join(failed)}")
    return 1 if failed else 0


def _features(text: str) -> tuple[str, ...]:
    names = {"none": [], "all": list(FEATURES)}.get(text, [name.strip() for name in text.split(",")])
    if unknown := set(names) - set(FEATURES):
        raise argparse.ArgumentTypeError(f"there is no feature {unknown}")
    return tuple(names)


def _results(
    wanted: Sequence[tuple[int, str]], jobs: int, features: Sequence[str] | None
) -> Iterator[Result]:
    if jobs == 1 or len(wanted) == 1:
        with Fleet() as fleet:
            for seed, side in wanted:
                yield run(make_schedule(seed, side, features), fleet)
        return
    # Not by fork: a process of many threads is not to be copied
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = [pool.submit(run_seed, seed, side, features) for seed, side in wanted]
        try:
            yield from (future.result() for future in as_completed(futures))
        finally:
            pool.shutdown(cancel_futures=True)


if __name__ == "__main__":
    sys.exit(main())
