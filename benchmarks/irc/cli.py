"""The command line of ``python -m benchmarks irc``."""

import re
import sys
from contextlib import contextmanager

from .. import machine
from ..options import Parser, as_many_files_as_allowed, ended_in_order, positive
from ..processes import Failed, all_cores, cores, running
from . import crowd, network

PATIENCE = 60


def parse(argv):
    parser = Parser(
        prog="python -m benchmarks irc",
        allow_abbrev=False,
        description="Fill the rooms of the IRC example with clients, have one room talk, and see "
        "how long a PING takes; then have messages go from one of two processes to the other, "
        "through a Redis that is killed in the end, and count what was lost or doubled.",
    )
    add = parser.add_argument
    add("--clients", metavar="N", type=positive(int), default=10_000, help="(default: 10000)")
    add("--room", metavar="N", type=positive(int), default=100,
        help="clients in a room (default: 100)")
    add("--rate", metavar="N", type=positive(float), default=500.0,
        help="messages a second in the busy room (default: 500)")
    add("--seconds", metavar="S", type=positive(float), default=20.0,
        help="for which it talks (default: 20)")
    add("--messages", metavar="N", type=positive(int), default=100_000,
        help="from one process to the other (default: 100000)")
    add("--listeners", metavar="N", type=positive(int), default=3,
        help="members who hear them there (default: 3)")
    add("--outage", metavar="S", type=positive(float), default=12.0,
        help="for which Redis is gone; after 10 the halves part (default: 12)")
    return parser.parse_args(argv)


def main(argv):
    options = parse(argv)
    as_many_files_as_allowed()
    try:
        with ended_in_order():
            for name, value in machine.describe(None).items():
                print(f"- {name}: {value}")
            _show("one process", _measure_crowd(options))
            told = _measure_network(options)
            _show("two processes", told)
            for wrong in "lost", "doubled", "doubled then", "losses without a split":
                if told[wrong]:
                    raise Failed(f"{wrong}: {told[wrong]}")
    except Failed as error:
        print(f"benchmarks: {error}", file=sys.stderr)
        return 1
    return 0


@contextmanager
def _serving(on, *options):
    command = [sys.executable, "-m", "examples.irc", "--bind", "127.0.0.1:0", "--flood", "1000:0"]
    with running([*command, *options], on) as server:
        yield server, int(re.search(r":(\d+)", server.line(PATIENCE).partition("127")[2])[1])


def _measure_crowd(options):
    with _serving(cores()[0]) as (server, port):
        return crowd.measure(
            server, port, options.clients, options.room, options.rate, options.seconds
        )


def _measure_network(options):
    with network.redis() as redis:
        how = "--model", "prefork", "--workers", "2", "--bus", redis.url, "--name", "irc.example"
        with _serving(all_cores(), *how) as (_, port):
            return network.measure(port, options.messages, options.listeners, redis, options.outage)


def _show(title, figures):
    print(f"\n{title}\n")
    for name, value in figures.items():
        print(f"| {name} | {value:,.2f} |" if isinstance(value, float) else f"| {name} | {value} |")
    sys.stdout.flush()
