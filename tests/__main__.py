"""Run the tests: ``python -m tests [--coverage | pytest arguments]``.

They run twice, in a plain process and in a monkey-patched one. Without arguments the two runs go
side by side; with ``--coverage``, which takes twice the time, their joint branch coverage must
reach the bar set in setup.cfg. With pytest's arguments they go one after the other on the
terminal, so that ``-k name`` or ``--pdb`` work.
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
# Seconds for one world. A test that hangs is stopped by pytest-timeout long before; this is for a
# process so stuck that not even that works.
LIMIT = 900


def environment(world):
    # The path lets every measured process, wherever it runs, find the plugin tests.measure.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "GREENSOCK_TESTS_PATCHED": WORLDS[world]}


def pytest(world, *args):
    # What failed last is noted for each world apart.
    return ["-m", "pytest", "-p", "tests.world", "-o", f"cache_dir=.pytest_cache/{world}", *args]


def run_with(args):
    """Run both worlds in turn with the caller's pytest arguments; return the exit status."""
    statuses = []
    for world in WORLDS:
        command = [sys.executable, *pytest(world, *args)]
        statuses.append(subprocess.run(command, cwd=ROOT, env=environment(world)).returncode)
    # 5 says that one world had nothing to run, such as nothing that failed last.
    return max([status for status in statuses if status != 5] or statuses, key=abs)


def coverage(*args):
    return subprocess.run([sys.executable, "-m", "coverage", *args], cwd=ROOT).returncode


def start(world, log, measured):
    # Output goes to a file, because a pipe would stay open as long as any process a test left
    # behind. The session of its own makes those easy to end.
    return subprocess.Popen(
        [sys.executable, *(["-m", "coverage", "run"] if measured else []), *pytest(world, "-q")],
        cwd=ROOT,
        env=environment(world),
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
    """Run both worlds side by side; return the exit status.

    If ``measured``, judge their joint coverage too.
    """
    if measured:
        coverage("erase")
    deadline = time.monotonic() + LIMIT
    failed = False
    summary = []
    with tempfile.TemporaryDirectory() as directory:
        logs = {world: open(Path(directory, world), "w") for world in WORLDS}
        processes = {world: start(world, logs[world], measured) for world in WORLDS}
        try:
            for world, process in processes.items():
                print(f"the tests in a {world} process:", flush=True)
                status, closing = follow(process, logs[world], deadline)
                failed |= status != 0
                summary.append(f"{world}: {closing}")
        finally:
            for world, process in processes.items():
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
                logs[world].close()
    if measured:
        failed |= coverage("combine", "-q") != 0
        if coverage("report") != 0:
            failed = True
            summary.append("coverage: below the bar")
    print(*summary, sep="\n")
    return int(failed)


if __name__ == "__main__":
    if sys.argv[1:] in ([], ["--coverage"]):
        sys.exit(run_all(measured=bool(sys.argv[1:])))
    sys.exit(run_with(sys.argv[1:]))
