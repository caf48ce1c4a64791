"""A supervisor that is process 1 of its container reaps what falls to it, and nothing else."""

import shutil
import subprocess
import sys

import pytest

from tests.programs import environment

pytestmark = pytest.mark.worldless

CONTAINER = "unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"

PROGRAM = """
import os, select, subprocess, time
import greensock
from greensock.interfaces import IWorkerEnded, IWorkerStarted
from tests.tools import children

def exits(status):
    return subprocess.Popen(["sh", "-c", f"exit {status}"])

class Server(greensock.PreforkMixIn, greensock.TCPServer):
    workers = 1

    def worker_started(self, index):
        # Shells that end before what they have begun, which is a group of its own, or is not.
        subprocess.run(["sh", "-c", "sleep 0.01 & setsid sleep 0.01 &"], pass_fds=[theirs])
        os.close(theirs)

    def _gs_look_in(self, supervisor):
        # The orphans have ended when nobody has the pipe any more.
        if select.select([ours], [], [], 0)[0] and (len(children()) == 3 or time.time() > ends):
            self.shutdown()
        return 0.01

def started(event):
    own.append(exits(8))
    os.close(theirs)
    server.upgrade()

ours, theirs = os.pipe()
ends = time.time() + 30
own = [exits(7)]
subscribe = greensock.events.subscribe
subscribe(IWorkerStarted, started)
subscribe(IWorkerEnded, lambda event: print(event.reason, event.status))
with Server(("127.0.0.1", 0), greensock.BaseRequestHandler) as server:
    server.serve_forever()
print(os.getpid(), len(children()), [process.wait() for process in own])
"""


def can_contain():
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*CONTAINER, "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_contain(), reason="no process may be process 1 here")
def test_process_1_reaps_orphans_alone():
    """Programs that it has started itself keep their exit status, and so do workers."""
    done = subprocess.run(
        [*CONTAINER, sys.executable, "-c", PROGRAM],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert ["stopped 0", "1 2 [7, 8]"] == done.stdout.splitlines(), done.stderr
    assert "did not get ready: this is process 1, with which" in done.stderr
