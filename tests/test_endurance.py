"""What ``python -m tests.endurance`` measures, in small sizes and with generous limits."""

import os
import subprocess
import sys

import pytest

from tests.__main__ import ROOT


@pytest.mark.parametrize(
    "scenario, size, limit",
    [
        ("forks", 30, 0),
        ("threads", 200, 4),  # MB
        ("starved", 1, 10),  # seconds, percent
        ("errors", 2, 0),
        ("shutdown", 1, 0.25),  # seconds
    ],
)
def test_endures(scenario, size, limit):
    # A tracer takes time and memory of its own.
    environ = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    process = subprocess.run(
        [sys.executable, "-m", "tests.endurance", scenario, str(size), str(limit)],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert 0 == process.returncode and "MISSED" not in process.stdout, process.stdout
