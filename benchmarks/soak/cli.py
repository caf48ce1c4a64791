"""The command line of ``python -m benchmarks soak``."""

import json
import os
import sys
import time

from ..options import Parser, as_many_files_as_allowed, ended_in_order, positive
from ..processes import Failed, cores, resident, running
from ..progress import progress
from . import verdict

PATIENCE = 60
# Warm-up, in parts of the seconds that follow. Allocators keep what they once had, so a short one
# would be taken for a leak.
WARM = 0.5
SHORTEST_WARM, LONGEST_WARM = 1, 60
# Seconds in which each of the limits is met.
LONG = 15
# Seconds after which the server has let go of a connection whose client has gone.
CALM = 10


def parse(argv):
    parser = Parser(
        prog="python -m benchmarks soak",
        allow_abbrev=False,
        description="Have two servers with every limit set, one of them under TLS, endure clients "
        "that are good, slow, broken off, silent, too many, or talk nonsense. Afterwards the "
        "servers must be as they were: in memory, objects and descriptors, without an error, with "
        "no connection left, and every answer right. Status 1 if not.",
    )
    parser.add_argument("--seconds", metavar="S", type=positive(float), default=300.0,
                        help="how long, after half of that but at most a minute to warm up "
                        "(default: 300)")
    parser.add_argument("--growth", metavar="PERCENT", type=positive(float), default=2.0,
                        help="how much memory and objects may grow (default: 2)")
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    as_many_files_as_allowed()
    try:
        with ended_in_order():
            return soak(options.seconds, options.growth)
    except Failed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1


def soak(seconds, growth):
    warm = min(max(seconds * WARM, SHORTEST_WARM), LONGEST_WARM)
    with running([sys.executable, "-m", "benchmarks.soak.server"], cores()[0]) as server:
        ports = server.line(PATIENCE).split()
        with progress(round(warm + seconds), "s") as step:
            _run_mix(ports, warm, "warm-up", step)
            before = _state(server)
            told = _run_mix(ports, seconds, "soak", step)
            after = _state(server)
        said = server.complaints()
    limits = verdict.LIMITS if seconds >= LONG else ()
    judged = verdict.rows(before, after, told["parties"], told["late"], said, growth, limits)
    print(verdict.render(judged, after, told["parties"], said))
    return int(not verdict.is_met(judged))


def _run_mix(ports, seconds, name, step):
    command = [sys.executable, "-m", "benchmarks.soak.clients", *ports, str(seconds)]
    with running(command, cores()[1]) as clients:
        while True:
            told = json.loads(clients.line(2 * PATIENCE))
            if "parties" in told:
                return told
            step(f"{name}, {told['answers']:,} right answers, {told['wrong']} wrong")


def _state(server):
    """How the server fares once its connections have gone, or after CALM seconds."""
    ends = time.monotonic() + CALM
    while True:
        server.send_line()
        state = json.loads(server.line(PATIENCE))
        if not state["connections"] or time.monotonic() > ends:
            break
        time.sleep(0.1)
    state["memory"] = resident(server.pid)
    state["descriptors"] = len(os.listdir(f"/proc/{server.pid}/fd"))
    return state
