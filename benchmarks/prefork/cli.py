"""The command line of ``python -m benchmarks prefork``."""

import json
import socket
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from statistics import median

from .. import machine
from ..building import built
from ..measuring import NAP
from ..options import Parser, as_many_files_as_allowed, ended_in_order, positive
from ..processes import Failed, all_cores, cores, resident, running
from ..progress import progress

PATIENCE = 60
CONNECTIONS = 1000
WORKERS = 4
SHARES = ("reuseport", "listener", "balance")
COMPUTING = 16  # connections: both workers always have something to do
ECHOING = 100
SIZE = 64
WARM = 0.25

# A server in a program that imports nothing but what it needs.
NOTHING_ELSE = f"""
import greensock

class Server(greensock.PreforkMixIn, greensock.TCPServer):
    workers = {WORKERS}

    def worker_started(self, index):
        print("ready", flush=True)

Server(("127.0.0.1", 0), greensock.BaseRequestHandler).serve_forever()
"""


def parse(argv):
    parser = Parser(
        prog="python -m benchmarks prefork",
        allow_abbrev=False,
        description="Measure what worker processes gain: how much more is computed by two, how "
        "fast one echoes beside a server without workers, and how evenly long connections come to "
        "four of them, by each way to share.",
    )
    parser.add_argument("--rounds", metavar="N", type=positive(int), default=5,
                        help="how often, for a median (default: 5)")
    parser.add_argument("--seconds", metavar="S", type=positive(float), default=2.0,
                        help="how long each measurement of a rate takes (default: 2)")
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    as_many_files_as_allowed()
    try:
        with ended_in_order(), built() as tools:
            found = _measure(tools, options)
            print(_rendered(found, options, machine.describe(tools.compiler)))
    except Failed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


def _measure(tools, options):
    """Every figure of every round, by name."""
    steps = {
        "plain": lambda: _rate(tools, options, "echo", 0, "reuseport", ECHOING),
        "one": lambda: _rate(tools, options, "echo", 1, "reuseport", ECHOING),
        "computing 1": lambda: _rate(tools, options, "compute", 1, "reuseport", COMPUTING),
        "computing 2": lambda: _rate(tools, options, "compute", 2, "reuseport", COMPUTING),
        **{share: lambda share=share: _spread(share) for share in SHARES},
        "memory": _memory,
    }
    found = {name: [] for name in steps}
    with progress(len(steps) * options.rounds) as step:
        for _ in range(options.rounds):
            for name, measure in steps.items():
                step(name)
                found[name].append(measure())
    return found


@contextmanager
def _server(service, workers, share, on):
    command = [sys.executable, "-m", "benchmarks.prefork.server", service, str(workers), share]
    with running(command, on) as server:
        port = int(server.line(PATIENCE))
        server.line(PATIENCE)
        yield server, port


def _rate(tools, options, service, workers, share, connections):
    # What is computed may have all cores: the load has next to nothing to do then.
    on = all_cores() if service == "compute" else cores()[0]
    warm = options.seconds * WARM
    with _server(service, workers, share, on) as (_, port):
        values = port, connections, SIZE, warm, options.seconds, NAP
        with running([*tools.load, "echo", *map(str, values)], cores()[1]) as load:
            load.line(PATIENCE + warm)
            told = json.loads(load.line(PATIENCE + options.seconds))
    return told["requests"] / told["seconds"]


def _spread(share):
    """How many connections the workers have, most first."""
    with _server("tell", WORKERS, share, all_cores()) as (_, port), ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
            for _ in range(CONNECTIONS)
        ]
        count = Counter(client.recv(100) for client in clients)
    return sorted(count.values(), reverse=True) + [0] * (WORKERS - len(count))


def _memory():
    with running([sys.executable, "-c", NOTHING_ELSE], all_cores()) as server:
        for _ in range(WORKERS):
            server.line(PATIENCE)
        time.sleep(0.2)
        return resident(server.pid) / 2**20


def _rendered(found, options, described):
    def middle(name):
        return median(found[name])

    def row(what, figure, target):
        return f"| {what} | {figure} | {target} |"

    gaps = {share: [most[0] - most[-1] for most in found[share]] for share in SHARES}
    lines = [
        f"Medians of {options.rounds} interleaved rounds.",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        "",
        row("what", "measured", "wanted"),
        row("---", "---:", "---:"),
        row("computing: 2 workers to 1", f"{middle('computing 2') / middle('computing 1'):.2f}",
            "≥ 1.8"),
        row(f"echo {SIZE} B × {ECHOING}: 1 worker to a server without",
            f"{middle('one') / middle('plain'):.3f}", "≥ 0.95"),
    ]
    for share in SHARES:
        example = ", ".join(map(str, found[share][0]))
        lines.append(row(
            f"{CONNECTIONS:,} connections over {WORKERS} workers, {share}: most less fewest "
            f"(such as {example})", f"{median(gaps[share]):.0f}, {max(gaps[share])} at worst",
            "≤ 2" if share == "balance" else "",
        ))
    lines.append(row("memory of the supervisor, MiB", f"{middle('memory'):.1f}", "≤ 25"))
    return "\n".join(lines)
