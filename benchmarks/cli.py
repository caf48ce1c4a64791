"""The command line. What is wrong with it costs one line on standard error and status 2."""

import json
import os
import sys
import time
from pathlib import Path

from . import machine, network, plots, report
from .building import built
from .irc import cli as irc
from .options import Parser, as_many_files_as_allowed, ended_in_order, one_of, positive
from .peers import PEERS
from .prefork import cli as prefork
from .processes import have_a_core_each
from .progress import progress
from .rounds import absent, plan, run
from .soak import cli as soak
from .suites import SUITES

OUTPUT = Path(__file__).resolve().parent / "results"
# Warm-up, in parts of the seconds that are measured: caches and allocators settle well within it.
WARM = 0.25


def parse(argv=None):
    parser = Parser(
        prog="python -m benchmarks",
        allow_abbrev=False,
        description="Measure greensock and others in the same run, and write a report.",
        epilog=f"suites: {', '.join(SUITES)}. 'python -m benchmarks soak' has servers endure good "
        "and bad clients instead, and sees that nothing is left; 'python -m benchmarks prefork' "
        "measures what worker processes gain, and 'python -m benchmarks irc' how many clients the "
        "IRC example bears. See their --help.",
    )
    parser.add_argument("suites", metavar="SUITE", nargs="*", type=one_of(SUITES, "suite"),
                        help="what to measure (default: all)")
    parser.add_argument("--rounds", metavar="N", type=positive(int), default=None,
                        help="how often, for a median (default: 5)")
    parser.add_argument("--seconds", metavar="S", type=positive(float), default=None,
                        help="how long each measurement takes, after a quarter of that to warm up "
                        "(default: 2)")
    parser.add_argument("--only", metavar="PEER", action="append", type=one_of(PEERS, "peer"),
                        help="measure no other peer; may be repeated")
    parser.add_argument("--quick", action="store_true",
                        help="one round of a few short measurements, to see that all works")
    parser.add_argument("--seed", metavar="N", type=int, default=None,
                        help="the order of measurements (default: the time)")
    parser.add_argument("--output", metavar="DIR", type=Path, default=OUTPUT,
                        help="where results.json, report.md and the plots go "
                        "(default: benchmarks/results)")
    options = parser.parse_args(argv)
    options.suites = list(dict.fromkeys(options.suites)) or list(SUITES)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick else 2.0)
    options.seed = int(time.time()) if options.seed is None else options.seed
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        writable = os.access(options.output, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        parser.error(f"cannot write to {str(options.output)!r}")
    return options


def main(argv=None):
    """Measure, write the report and print it; return the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["soak"]:
        return soak.main(argv[1:])
    if argv[:1] == ["prefork"]:
        return prefork.main(argv[1:])
    if argv[:1] == ["irc"]:
        return irc.main(argv[1:])
    options = parse(argv)
    network.separate()
    with ended_in_order(), built() as tools:
        told = carry_out(options, tools)
    write(told, options.output)
    return int(bool(told["failures"]) or not told["results"])


def carry_out(options, tools):
    names = options.only or list(PEERS)
    missing = absent(names, tools.compiler)
    steps, left_out = plan(
        options.suites, names, missing, as_many_files_as_allowed(), options.quick
    )
    described = machine.describe(tools.compiler)
    warm = options.seconds * WARM
    with progress(len(steps) * options.rounds) as step:
        results, failures = run(
            steps, options.rounds, tools, warm, options.seconds, step, options.seed
        )
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "suites": options.suites,
        "options": {
            "rounds": options.rounds,
            "seconds": options.seconds,
            "warm": warm,
            "seed": options.seed,
            "quick": options.quick,
        },
        "machine": described,
        "one_core": not have_a_core_each(),
        "load_in_c": tools.load_in_c,
        "results": results,
        "absent": missing,
        "left_out": left_out,
        "failures": failures,
    }


def write(told, folder):
    (folder / "results.json").write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    drawn = plots.draw(told["results"], folder)
    text = report.render(told, drawn)
    (folder / "report.md").write_text(text)
    print(text)
    print(f"written to {folder}", file=sys.stderr)
