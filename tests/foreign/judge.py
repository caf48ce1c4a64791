"""Runs one suite in one world, in processes of its own, until each of its tests has an outcome."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.foreign import cpython, record, replace, sdists

SUITES = (*cpython.SUITES, *sdists.SUITES)

# Seconds for a whole suite; the longest takes 40.
TIMEOUT = 300
# A process that hangs or dies costs its test and is started again for the rest, but not for ever.
ATTEMPTS = 6

_CHILD = (
    "from tests.foreign import replace; replace.install_from_environment(); "
    "from tests.foreign import unit; unit.main({suite!r}, {match!r})"
)


class Options(NamedTuple):
    module: str
    match: str
    offline: bool
    cache: Path


def _command(suite: str, options: Options) -> list[str | Path]:
    if suite in sdists.SUITES:
        python = sdists.prepare(options.cache, options.offline)
        return sdists.command(python, options.cache, suite, options.match)
    return [sys.executable, "-c", _CHILD.format(suite=suite, match=options.match)]


def _attempt(command: list[str | Path], env: dict[str, str], folder: str) -> str:
    """Run the command to its end and return what it printed. Nothing it started survives it."""
    with open(Path(folder, "log"), "w+", errors="replace") as log:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            end = f"exit status {child.wait(TIMEOUT)}"
        except subprocess.TimeoutExpired:
            end = f"not done in {TIMEOUT} s"
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        child.wait()
        log.seek(0)
        return f"{log.read()[-6000:]}\n{end}"


def judge(suite: str, world: str, options: Options) -> dict[str, record.Outcome]:
    """Return the outcome of each test of the suite, by name."""
    try:
        command = _command(suite, options)
    except sdists.Unavailable as error:
        kind = "skipped" if options.offline else "failed"
        return {f"({suite})": record.Outcome(kind, str(error))}
    with tempfile.TemporaryDirectory(prefix="greensock-foreign-") as folder:
        path = os.path.join(folder, "record")
        env = os.environ | replace.environment(options.module, world) | {record.VARIABLE: path}
        env["PYTHONPATH"] = str(sdists.CHECKOUT)
        book = record.Record(path)
        for _ in range(ATTEMPTS):
            printed = _attempt(command, env, folder)
            outcomes = record.read(path)
            if outcomes.pop(record.FINISHED, None):
                return outcomes
            hung = [test for test, outcome in outcomes.items() if outcome.kind == "started"]
            if not hung:
                break
            for test in hung:
                book.write(test, "failed", f"the process ended in this test:\n{printed}")
        outcomes = record.read(path)
        outcomes[f"({suite})"] = record.Outcome("failed", f"the suite did not finish:\n{printed}")
        return outcomes
