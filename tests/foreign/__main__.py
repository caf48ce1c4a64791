"""``python -m tests.foreign``: run all the judges, or some, and count."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.__main__ import hear_the_terminal
from tests.foreign import cpython, judge, replace, sdists
from tests.foreign.record import Outcome

Job = tuple[str, str]
KINDS = ("passed", "failed", "skipped", "exempt")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.foreign", description=__doc__)
    add = parser.add_argument
    add("--suite", action="append", choices=judge.SUITES, help="only this one; may be repeated")
    add("--world", choices=(*replace.WORLDS, "both"), default="both")
    add("--match", default="", help="only tests whose names contain this")
    add("--module", default="greensock", help="what to judge; socketserver gives the baseline")
    add("--offline", action="store_true", help="skip what is not in the cache instead of failing")
    add("--cache", type=Path, default=sdists.CACHE, help="default: %(default)s")
    add("--list", action="store_true", help="print the suites and stop")
    return parser.parse_args()


def _run(job: Job, options: judge.Options, missing: str) -> dict[str, Outcome]:
    suite, world = job
    began = time.monotonic()
    if suite in cpython.SUITES and missing:
        outcomes = {f"({suite})": Outcome("failed", missing)}
    else:
        outcomes = judge.judge(suite, world, options)
    count = Counter(outcome.kind for outcome in outcomes.values())
    numbers = ", ".join(f"{count[kind]} {kind}" for kind in KINDS)
    print(f"{suite:13}{world:9}{numbers}  ({time.monotonic() - began:.0f} s)", flush=True)
    return outcomes


def main() -> int:
    args = _parse()
    if args.list:
        print("\n".join(judge.SUITES))
        return 0
    worlds = replace.WORLDS if args.world == "both" else (args.world,)
    options = judge.Options(args.module, args.match, args.offline, args.cache.absolute())
    missing = cpython.missing()
    # The last suites are the longest, and begin first.
    suites = [suite for suite in reversed(judge.SUITES) if suite in (args.suite or judge.SUITES)]
    jobs = [(suite, world) for suite in suites for world in worlds]
    print(f"{args.module} on Python {sys.version.split()[0]}", flush=True)
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(jobs, pool.map(lambda job: _run(job, options, missing), jobs)))

    total: Counter[str] = Counter()
    for kind in ("skipped", "exempt", "failed"):
        for (_, world), outcomes in results.items():
            for test, outcome in outcomes.items():
                if outcome.kind == kind:
                    indented = outcome.detail.strip().replace("\n", "\n    ")
                    print(f"\n{kind} ({world}): {test}\n    {indented}")
    for outcomes in results.values():
        total.update(outcome.kind for outcome in outcomes.values())
    skipped = total["skipped"] + total["exempt"]
    print(f"\n{total['passed']} passed, {total['failed']} failed, {skipped} skipped")
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    hear_the_terminal()
    sys.exit(main())
