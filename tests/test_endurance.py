"""What ``python -m tests.endurance`` measures, in small sizes and with generous limits."""

import os
import subprocess
import sys

from tests.__main__ import ROOT

# In one process: to start one takes longer than most of them do.
SCENARIOS = [
    ("forks", 5, 0),
    ("threads", 100, 4),  # MB
    ("starved", 1, 10),  # seconds, percent
    ("shutdown", 1, 0.25),  # seconds
    ("errors", 1, 0),
    ("farewells", 8, 0),
]


def test_endures():
    # A tracer takes time and memory of its own.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    args = [str(each) for scenario in SCENARIOS for each in scenario]
    process = subprocess.run(
        [sys.executable, "-m", "tests.endurance", *args],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert 0 == process.returncode and "MISSED" not in process.stdout, process.stdout
    assert 51 == len(process.stdout.splitlines())
