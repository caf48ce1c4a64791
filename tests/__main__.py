"""Run the tests: ``python -m tests [--coverage | pytest arguments]``.

They run twice, in a plain process and in a monkey-patched one, except those of commands, packages
and whatever else is the same in both, which run apart. Without arguments all go side by side, and
with ``--coverage``, which takes twice the time, their joint branch coverage must reach the bar set
in setup.cfg. With pytest's arguments they go one after the other on the terminal, so that ``-k
name`` or ``--pdb`` work.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORLDS = {"plain": "0", "patched": "1"}
# Of each run its world, which tests it has, and which part of their files. A test waits as long as
# it computes, so that several runs take hardly longer than one.
RUNS = {
    f"{name}-{part}": (world, mark, f"{part}/{parts}")
    for name, world, mark, parts in [
        ("plain", "plain", "not worldless", 3),
        ("patched", "patched", "not worldless", 3),
        ("worldless", "plain", "worldless", 2),
    ]
    for part in range(1, parts + 1)
}
# Seconds for one run. A test that hangs is stopped by pytest-timeout long before; this is for a
# process so stuck that not even that works.
LIMIT = 900


def environment(world):
    # The path lets every measured process, wherever it runs, find the plugin tests.measure.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environ = {**os.environ, "PYTHONPATH": path, "GREENSOCK_TESTS_PATCHED": WORLDS[world]}
    # The tests start hundreds of interpreters, and each would compile all that it imports.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return environ


def pytest(run, *args):
    _, mark, part = RUNS[run]
    # What failed last is noted for each run apart.
    cache = f"cache_dir=.pytest_cache/{run}"
    options = ["-p", "tests.world", "-o", cache, "-m", mark, "--part", part]
    return ["-m", "pytest", *options, *args]


def run_with(args):
    """Run them in turn with the caller's pytest arguments; return the exit status."""
    statuses = []
    for run, (world, *_) in RUNS.items():
        command = [sys.executable, *pytest(run, *args)]
        statuses.append(subprocess.run(command, cwd=ROOT, env=environment(world)).returncode)
    # 5 says that one had nothing to run, such as nothing that failed last.
    return max([status for status in statuses if status != 5] or statuses, key=abs)


def coverage(*args):
    return subprocess.run([sys.executable, "-m", "coverage", *args], cwd=ROOT).returncode


def start(run, log, measured):
    # Output goes to a file, because a pipe would stay open as long as any process a test left
    # behind. The session of its own makes those easy to end.
    return subprocess.Popen(
        [sys.executable, *(["-m", "coverage", "run"] if measured else []), *pytest(run, "-q")],
        cwd=ROOT,
        env=environment(RUNS[run][0]),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def follow(process, log, deadline):
    """Copy the log to stdout until the process ends; return its exit status and its last line."""
    text = ""
    with open(log.name, errors="replace") as lines:
        while True:
            ended = process.poll() is not None
            text += (new := lines.read())
            print(new, end="", flush=True)
            if ended:
                break
            if time.monotonic() > deadline:
                os.killpg(process.pid, signal.SIGKILL)
                print(f"\nstopped after {LIMIT} seconds")
            time.sleep(0.1)
    closing = re.findall(r"^.* in [\d.]+s\b.*$", text, re.MULTILINE)
    return process.returncode, closing[-1] if closing else f"died, status {process.returncode}"


def run_all(measured):
    """Run them side by side; return the exit status.

    If ``measured``, judge their joint coverage too.
    """
    if measured:
        coverage("erase")
    deadline = time.monotonic() + LIMIT
    failed = False
    summary = []
    with tempfile.TemporaryDirectory() as directory:
        logs = {run: open(Path(directory, run), "w") for run in RUNS}
        processes = {run: start(run, logs[run], measured) for run in RUNS}
        try:
            for run, process in processes.items():
                print(f"the {run} tests:", flush=True)
                status, closing = follow(process, logs[run], deadline)
                failed |= status != 0
                summary.append(f"{run}: {closing}")
        finally:
            for run, process in processes.items():
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
                logs[run].close()
    if measured:
        failed |= coverage("combine", "-q") != 0
        if coverage("report") != 0:
            failed = True
            summary.append("coverage: below the bar")
    print(*summary, sep="\n")
    return int(failed)


def hear_the_terminal():
    # A shell has what it starts in the background ignore it, and every process a test makes would.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


if __name__ == "__main__":
    hear_the_terminal()
    if sys.argv[1:] in ([], ["--coverage"]):
        sys.exit(run_all(measured=bool(sys.argv[1:])))
    sys.exit(run_with(sys.argv[1:]))
