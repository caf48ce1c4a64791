"""The first hubs of a process, made by several threads at once."""

import subprocess
import sys

from tests.programs import environment

SCRIPT = """
from tests import world
import os
import gevent
from greensock.net import native
from greensock.net.crossing import Queue

here, made = [], Queue()

def make():
    here.append(None)
    while len(here) < 4:
        pass
    gevent.get_hub()
    made.put(None)

for _ in range(3):
    if (pid := native.fork()) == 0:
        for _ in range(4):
            native.start_new_thread(make, ())
        for _ in range(4):
            made.get(timeout=30)
        print("made", flush=True)
        os._exit(0)
    assert 0 == native.waitpid(pid, 0)[1]
"""


def test_threads_may_make_their_hubs_at_once():
    """Patched, they would wait for each other's import of what a setting of gevent's names."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**environment(), "GEVENT_FORMAT_CONTEXT": "pprint.saferepr"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (3 * "made\n", "") == (done.stdout, done.stderr[-1000:])
