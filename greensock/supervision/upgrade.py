"""A new version of the program takes over, on the sockets of the old one.

The old one executes its command line anew. What the new one needs to know is in a variable of the
environment; when its workers are ready it says so through a pipe, and the old one leaves. Whatever
goes wrong before that, the old one goes on serving.
"""

import json
import os
import signal
import sys
from time import monotonic

from ..net import native
from ..net.children import Child

VARIABLE = "GREENSOCK_INHERITED"

# The program may change both later on.
_DIRECTORY = os.getcwd()
_ARGUMENTS = list(sys.orig_argv)


class Successor:
    """A new program that is about to take over ``sockets``: lists of descriptors by name.

    OSError if it cannot be begun.
    """

    def __init__(self, sockets):
        self.began_at = monotonic()
        self._ready, theirs = os.pipe()
        os.set_blocking(self._ready, False)
        self._child = Child()
        try:
            self._child.fork(lambda: _execute(sockets, theirs))
        except BaseException:
            native.close(self._ready)
            raise
        finally:
            native.close(theirs)

    @property
    def pid(self):
        """Its process."""
        return self._child.pid

    def fileno(self):
        """Readable when it has something to say, or has ended."""
        return self._ready

    def is_ready(self):
        """Whether it is; None as long as that is not known."""
        try:
            return bool(os.read(self._ready, 1))
        except BlockingIOError:
            return None

    def dismiss(self):
        """End it, if it has not ended; a text that says how it ended."""
        self._child.signal(signal.SIGKILL)
        self._child.wait()
        status = self._child.reap()
        self.close()
        if status is None:
            return "it has ended"
        code = os.waitstatus_to_exitcode(status)
        return f"it was ended by signal {-code}" if code < 0 else f"its exit status was {code}"

    def close(self):
        """Leave it alone."""
        native.close(self._ready)


def _execute(sockets, ready):
    """In a child: become the new program."""
    for fds in sockets.values():
        for fd in fds:
            os.set_inheritable(fd, True)
    os.set_inheritable(ready, True)
    inherited = {"pid": os.getpid(), "ready": ready, "sockets": sockets}
    os.chdir(_DIRECTORY)
    environment = {**os.environ, VARIABLE: json.dumps(inherited)}
    os.execve(sys.executable, _ARGUMENTS, environment)


class Inheritance:
    """What this program has from the one it shall replace; nothing, in most cases.

    No program that it starts hears of that.
    """

    def __init__(self):
        self._sockets = {}
        self._ready = -1
        self._awaited = set()
        text = os.environ.pop(VARIABLE, None)
        if text is not None:
            self._read(json.loads(text))

    def _read(self, inherited):
        if inherited["pid"] != os.getpid():
            return  # it was meant for somebody who has started this one
        self._sockets = inherited["sockets"]
        self._ready = inherited["ready"]
        for fd in [self._ready, *sum(self._sockets.values(), [])]:
            os.set_inheritable(fd, False)

    def take(self, name):
        """The descriptors of that name, which are the caller's from then on; [] if there are none.

        Who takes some has to ``note_ready``.
        """
        fds = self._sockets.pop(name, [])
        if fds:
            self._awaited.add(name)
        return fds

    def note_ready(self, name):
        """Somebody is ready to serve; when all are, the old program leaves."""
        self._awaited.discard(name)
        if self._ready >= 0 and not self._awaited:
            os.write(self._ready, b"!")
            self.close()  # the new version has no use for what is left

    def close(self):
        """Have nothing any more, here or in a child process."""
        if self._ready >= 0:
            native.close(self._ready)
            self._ready = -1
        for fd in sum(self._sockets.values(), []):
            native.close(fd)
        self._sockets = {}


inheritance = Inheritance()
