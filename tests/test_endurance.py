"""What ``python -m tests.endurance`` measures, in small sizes and with generous limits."""

from tests import prepared, world
from tests.programs import ROOT, environment

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
    args = ["-m", "tests.endurance", *(str(each) for scenario in SCENARIOS for each in scenario)]
    with prepared.shared() as (variables, fds):
        env = {**environment(), **variables}
        process = prepared.start(*args, cwd=ROOT, env=env, patched=world.PATCHED, pass_fds=fds)
        try:
            out, errors = process.communicate(timeout=100)
        finally:
            process.kill()
    assert 0 == process.returncode and "MISSED" not in out, out + errors
    assert 51 == len(out.splitlines())
