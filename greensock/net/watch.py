"""Waiting on one hub for a descriptor, with a bell that anyone may ring."""

import os
import select
from typing import Any

from gevent.hub import Waiter

from . import native
from .listeners import note_for_child


class _Duplicate:
    """A second descriptor for what ``fd`` stands for."""

    def __init__(self, fd):
        self.fd = os.dup(fd)
        self._poll = native.poll()
        self._poll.register(self.fd, select.POLLIN)

    def is_readable(self):
        return bool(self._poll.poll(0))

    def close(self):
        fd, self.fd = self.fd, -1
        if fd >= 0:
            native.close(fd)


class Watch:
    """Waits until a descriptor is readable, the bell was rung, or time is up.

    ``of``: the descriptor, None if there is none yet. It watches a duplicate, because libev
    aborts the process when it comes upon a descriptor that is closed, and anybody may close a
    server's socket at any time.

    Made, used and closed in one thread; only ``ring`` may come from elsewhere. A ring is never
    lost: one that comes while nobody waits ends the next wait at once.
    """

    def __init__(self, hub, fd):
        self.hub = hub
        self.thread = native.get_ident()
        self.of: int | None = None
        self._watched: Any = None
        self._io: Any = None
        self._is_watching = False
        if fd is not None:
            self.look_at(fd)
        self._waiter = None
        self._rung = False
        self._guard = native.make_rlock()
        self._bell = hub.loop.async_()
        self._bell.start(self._end_wait)

    def ring(self):
        """End the wait. Any thread, greenlet or signal handler may; after ``close`` too."""
        self._rung = True
        with self._guard:
            if self._bell is not None:
                self._bell.send()

    def look_at(self, fd):
        """Watch ``fd`` from now on."""
        self.let_go()
        if self._io is not None:
            self._io.close()
        self._watched = _Duplicate(fd)
        note_for_child(self._watched)
        self.of = fd
        self._io = self.hub.loop.io(self.fd, 1)

    @property
    def fd(self):
        """The duplicate; -1 while there is none."""
        return -1 if self._watched is None else self._watched.fd

    def is_readable(self):
        """Whether the descriptor is readable at this moment."""
        return self._watched.is_readable()

    def wait(self, timeout=None, *, for_descriptor=True):
        """True if the descriptor is readable; False if rung or after ``timeout`` seconds."""
        if self._rung:
            self._rung = False
            return False
        if self.fd < 0 or not for_descriptor:
            self._stop_watching()
        elif not self._is_watching:
            self._is_watching = True
            self._io.start(self._readable)
        self._waiter = Waiter(self.hub)
        timer = None
        try:
            if timeout is not None:
                timer = self.hub.loop.timer(timeout)
                timer.start(self._waiter.switch, False, update=True)
            return bool(self._waiter.get())
        finally:
            self._waiter = None
            self._rung = False
            if timer is not None:
                timer.stop()
                timer.close()

    def _readable(self):
        # The watcher stays started between waits, because starting it costs more than a wait.
        if self._waiter is None:
            self._stop_watching()
        else:
            self._waiter.switch(True)

    def let_go(self):
        """Stop watching for ever, so that what was watched is closed once its owner closes it.

        Of other threads none may call it while a wait is under way.
        """
        self._stop_watching()
        if self._watched is not None:
            self._watched.close()

    def _stop_watching(self):
        if self._is_watching:
            self._is_watching = False
            self._io.stop()

    def close(self):
        self.let_go()
        if self._io is not None:
            self._io.close()
        with self._guard:
            self._bell.stop()
            self._bell.close()
            self._bell = None

    def _end_wait(self):
        if self._waiter is not None:
            self._waiter.switch(False)
