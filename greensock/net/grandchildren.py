"""A hub for a forked child under monkey patching, with all that patched modules ask of one.

gevent lets only its default loop watch child processes, and libev has one default loop for a
process, full of the main thread's watchers. A child that was forked in another thread can neither
use it nor clear it, so its loop watches children by their pidfd.
"""

import os
from typing import Any

from gevent import config
from gevent.hub import Hub

from . import native


class _Watcher:
    """What gevent expects of a watcher of one child process."""

    def __init__(self, loop, pid, ref):
        self.loop = loop
        self.pid = self.rpid = pid
        self._fd: int | None = os.pidfd_open(pid)
        self._io = loop.io(self._fd, 1, ref=ref)

    @property
    def rstatus(self):
        return self.loop.status_of(self.pid)

    def start(self, callback, *args):
        self._io.start(callback, *args)

    def stop(self):
        self._io.stop()

    def close(self):
        if self._fd is not None:
            self._io.close()
            native.close(self._fd)
            self._fd = None

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.close()


class _Loop(config.loop):
    def __init__(self, **options):
        super().__init__(**options)
        self._statuses = {}

    def install_sigchld(self):
        """Do nothing: no signal is needed."""

    def child(self, pid, trace=0, ref=True):
        return _Watcher(self, pid, ref)

    def status_of(self, pid):
        """How an ended child has ended; it is reaped once, and may be asked for often."""
        if pid not in self._statuses:
            self._statuses[pid] = native.waitpid(pid, 0)[1]
        return self._statuses[pid]


def make_hub() -> Any:
    """A hub for this thread with a loop of its own that knows of child processes.

    Where the system has no pidfds, it is like any other thread's, which knows of none.
    """
    return Hub(_Loop(default=False)) if hasattr(os, "pidfd_open") else Hub(default=False)
