"""Run the tests: ``python -m tests [--coverage | pytest arguments]``.

They run twice, in plain processes and in monkey-patched ones, except those of commands, packages
and whatever else is the same in both, which run in plain ones only. Without arguments all go side
by side, and with ``--coverage``, which takes twice the time, their joint branch coverage must reach
the bar set in setup.cfg. With pytest's arguments one world goes after the other on the terminal, so
that ``-k name`` or ``--pdb`` work.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests import prepared

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".pytest_cache"
WORLDS = {"plain": "0", "patched": "1"}
# Of each run its world. The runs of a world share its tests. A test waits longer than it computes,
# so that several runs take hardly longer than one.
RUNS = {
    f"{world}-{number}": world
    for world, count in [("plain", 6), ("patched", 4)]
    for number in range(1, count + 1)
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


def pytest(world, cache, *args):
    mark = [] if world == "plain" else ["-m", "not worldless"]
    return ["-m", "pytest", "-p", "tests.world", "-o", f"cache_dir={cache}", *mark, *args]


def run_with(args):
    """Run one world after the other with the caller's pytest arguments; return the exit status."""
    statuses = []
    for world in WORLDS:
        command = [sys.executable, *pytest(world, CACHE / world, *args)]
        statuses.append(subprocess.run(command, cwd=ROOT, env=environment(world)).returncode)
    # 5 says that one had nothing to run, such as nothing that failed last.
    return max([status for status in statuses if status != 5] or statuses, key=abs)


def coverage(*args):
    return subprocess.run([sys.executable, "-m", "coverage", *args], cwd=ROOT).returncode


def start(run, directory, log, measured, environ, pass_fds):
    world = RUNS[run]
    (share := directory / world).mkdir(exist_ok=True)
    args = "-q", f"--share={share}", "-o", "console_output_style=classic"
    # Runs that end at the same time would clear away the same old folders of pytest's.
    args += (f"--basetemp={directory / f'{run}-tmp'}",)
    # Output goes to a file, because a pipe would stay open as long as any process a test left
    # behind. The session of its own makes those easy to end.
    return prepared.start(
        *(["-m", "coverage", "run"] if measured else []),
        *pytest(world, directory / f"{run}-cache", *args),
        cwd=ROOT,
        env={**environment(world), **environ},
        patched=world == "patched",
        to=[log.fileno(), log.fileno()],
        fresh=measured,
        pass_fds=pass_fds,
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


def note_what_failed(directory):
    """Have ``--last-failed`` know what the runs of each world say."""
    for world in WORLDS:
        failed = {}
        for noted in directory.glob(f"{world}-*-cache/v/cache/lastfailed"):
            failed |= json.loads(noted.read_text())
        note = CACHE / world / "v" / "cache" / "lastfailed"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(failed))


def run_all(measured):
    """Run them side by side; return the exit status.

    If ``measured``, judge their joint coverage too.
    """
    if measured:
        coverage("erase")
    # Memory that was taken for much data, or by a thread, goes back at once: each fork takes time
    # for what is there.
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": str(1 << 22), "MALLOC_ARENA_MAX": "1"}
    deadline = time.monotonic() + LIMIT
    statuses = set()
    summary = []
    with tempfile.TemporaryDirectory() as name, prepared.shared() as shared:
        directory = Path(name)
        logs = {run: open(directory / run, "w") for run in RUNS}
        processes = {run: start(run, directory, logs[run], measured, *shared) for run in RUNS}
        try:
            for run, process in processes.items():
                print(f"the {run} tests:", flush=True)
                status, closing = follow(process, logs[run], deadline)
                statuses.add(status)
                summary.append(f"{run}: {closing}")
        finally:
            for run, process in processes.items():
                try:
                    os.killpg(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
                process.wait()
                logs[run].close()
        if statuses <= {0, 1}:  # else there is more that failed than tests
            note_what_failed(directory)
    failed = statuses != {0}
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
