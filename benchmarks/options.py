"""What the command lines of the benchmarks share."""

import argparse
import math
import resource
import signal
import sys
from contextlib import contextmanager


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.exit(2, f"benchmarks: {message}\n")


def one_of(table, what):
    def check(name):
        if name not in table:
            raise argparse.ArgumentTypeError(f"{name!r} is no {what}: choose {', '.join(table)}")
        return name

    return check


def positive(kind):
    def check(text):
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{text!r} is no positive number")
        return value

    return check


def as_many_files_as_allowed():
    """Raise the limit of this process and of all it starts; return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else math.inf


@contextmanager
def ended_in_order():
    """Unwind and exit at SIGTERM and at Ctrl-C, so that no server is left behind."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    except KeyboardInterrupt:
        print("benchmarks: interrupted", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
