"""Waiting on one hub for a descriptor, with a bell that anyone may ring."""

from gevent.hub import Waiter

from . import native


class Watch:
    """Waits until a descriptor is readable, the bell was rung, or time is up.

    Made, used and closed in one thread; only ``ring`` may come from elsewhere. A ring is never
    lost: one that comes while nobody waits ends the next wait at once.
    """

    def __init__(self, hub):
        self.hub = hub
        self.thread = native.get_ident()
        self._waiter = None
        self._io = None
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

    def wait(self, fd=None, timeout=None):
        """True if ``fd`` is readable; False if the bell was rung or ``timeout`` seconds passed."""
        if self._rung:
            self._rung = False
            return False
        self._waiter = Waiter(self.hub)
        timer = None
        try:
            if fd is not None:
                self._io = self.hub.loop.io(fd, 1)
                self._io.start(self._waiter.switch, True)
            if timeout is not None:
                timer = self.hub.loop.timer(timeout)
                timer.start(self._waiter.switch, False, update=True)
            return bool(self._waiter.get())
        finally:
            self._waiter = None
            self._rung = False
            self.let_go()
            if timer is not None:
                timer.stop()
                timer.close()

    def let_go(self):
        """Take the descriptor out of the hub's hands, so that it may be closed."""
        io, self._io = self._io, None
        if io is not None:
            io.stop()
            io.close()

    def close(self):
        with self._guard:
            self._bell.stop()
            self._bell.close()
            self._bell = None

    def _end_wait(self):
        if self._waiter is not None:
            self._waiter.switch(False)
