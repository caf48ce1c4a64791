"""What became of each test, as JSON lines in a file: a run that dies still tells how far it got.

A test is "started", then "passed", "failed", "skipped" or "exempt". The last line about it counts,
but nothing mends a failure.
"""

import json
import os
from typing import NamedTuple

VARIABLE = "GREENSOCK_FOREIGN_RECORD"
FINISHED = "(finished)"

# No test of these suites takes 10 s; CPython's own patience inside a test is 30 s.
PATIENCE = 45


class Outcome(NamedTuple):
    kind: str
    detail: str = ""


class Record:
    """Writes the file, past any buffer: a forked child would flush a copy of it."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._pid = os.getpid()
        self.before = read(path)

    def write(self, test: str, kind: str, detail: str = "") -> None:
        if os.getpid() != self._pid:
            kind, detail = "failed", "a forked child came back into the test runner"
        os.write(self._fd, json.dumps([test, kind, detail]).encode() + b"\n")
        if os.getpid() != self._pid:
            os._exit(70)

    def finish(self) -> None:
        self.write(FINISHED, "passed")


def read(path: str) -> dict[str, Outcome]:
    """Return each test's last outcome, in the order in which they began."""
    outcomes: dict[str, Outcome] = {}
    with open(path) as lines:
        for line in lines:
            test, kind, detail = json.loads(line)
            if kind != "failed" and outcomes.get(test, Outcome("")).kind == "failed":
                continue
            outcomes[test] = Outcome(kind, detail)
    return outcomes


def from_environment() -> Record:
    return Record(os.environ[VARIABLE])
