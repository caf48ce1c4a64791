"""One reader that waits on a hub: until there is something to read, or the wait is late.

Theory of operation. A watcher that is started and stopped for every wait costs more than the read
that follows. So here

* the watcher stays started, and notes the reader with those that are ``Ready``. Who waits
  switches to the next of them that somebody waits for. Bytes that arrive while the greenlet does
  something else wake nobody; they stop the watcher until the next wait;
* a timeout is a note of when it ends. One timer looks at it now and then, instead of one being
  made for every call.
"""

from select import POLLIN
from time import monotonic
from typing import Any

from gevent.exceptions import ConcurrentObjectUseError, InvalidSwitchError
from gevent.hub import getcurrent

from . import native
from .ready import ready_on


class Waits:
    """Waits until ``sock`` (a C socket in non-blocking mode) has something to read.

    ``timeout``: seconds one wait may take; None for no limit.
    """

    __slots__ = (
        "timeout",
        "hub",
        "_sock",
        "_watcher",
        "_ready",
        "_switch",
        "_waiting",
        "_watching",
        "_ends",
        "_error",
        "_timer",
        "_rings",
    )

    def __init__(self, hub, sock, timeout):
        self.timeout = timeout
        self.hub = hub
        self._sock = sock
        self._watcher = hub.loop.io(sock.fileno(), 1)
        self._ready = ready = ready_on(hub)
        self._switch = ready.switch
        self._waiting = None
        self._watching = False
        self._ends = None
        self._timer: Any = None

    @property
    def watcher(self):
        """The watcher for reading, as gevent wants it, which throws at whose callback it is."""
        if self._watching:
            self._watcher.callback = self.open
        return self._watcher

    @property
    def is_waited_for(self):
        """Whether a greenlet waits to read."""
        return self._waiting is not None

    def wait(self, error=None):
        """Return when there is something to read; raise ``error`` (TimeoutError) if it is late."""
        try:
            if self._watching and self._waiting is None and self.timeout is None:
                self._ends = None  # as mostly, without the call
                self._waiting = getcurrent()
            else:
                self._begin_to_wait(getcurrent(), error)
            if self._ready and (other := self._next()) is not None:
                answer = other._waiting.switch(other)
            else:
                answer = self._switch()
            self._waiting = None
        except BaseException:
            self._give_up()
            raise
        if answer is not self:
            self._refuse(answer)

    def rest(self, who):
        """Have ``who.switch()`` called when there is something to read.

        If it is late, or the wait is cancelled, ``who.throw(error)`` is called instead.
        """
        self._begin_to_wait(who, None)
        # Another reader could not switch to it by itself, as it does to greenlets.
        self._ready.drop(self)
        self._watcher.callback = self.open

    def _begin_to_wait(self, who, error):
        self._check_free()
        if not self._watching:
            self._watching = True
            self._watcher.start(self._ready.note, self)
        if self.timeout is None:
            self._ends = None
        else:
            self._limit(self.timeout, error)
        self._waiting = who

    def _check_free(self):
        if self._waiting is not None:
            raise ConcurrentObjectUseError(
                f"This socket is already used by another greenlet: {self._waiting!r}"
            )

    def _next(self):
        """The one whose greenlet is to go on next; None if that is left to the hub."""
        while self._ready:
            other = self._ready.popleft()
            if other._waiting is not None:
                return other
            other.open()
        return None

    def open(self, _=None):
        """There is something to read: let the greenlet go on. Called on the hub."""
        waiting = self._waiting
        if waiting is None:
            self._watching = False
            self._watcher.stop()
        else:
            self._waiting = None
            waiting.switch(self)

    def throw(self, error):
        """Raise ``error`` where the greenlet waits; gevent calls this to cancel a wait."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.throw(error)

    def _give_up(self):
        if self._waiting is getcurrent():  # a Ctrl-C may come just before the wait
            self._waiting = None

    def _refuse(self, answer):
        raise InvalidSwitchError(f"Invalid switch into {getcurrent()!r}: got {answer!r}")

    def _stop_watching(self):
        self._watching = False
        self._watcher.stop()
        self._ready.drop(self)

    def _leave(self):
        """Leave the loop, unless a greenlet waits: whoever cancels that wait does the rest."""
        if self._timer is not None:
            self._stop_timer()
        if self._waiting is None:
            self._watching = False
            self._watcher.close()
            self._ready.drop(self)

    def _limit(self, timeout, error):
        self._error = error
        self._ends = ends = monotonic() + timeout
        if self._timer is None:
            self._start_timer(timeout)
        elif ends < self._rings:
            self._stop_timer()
            self._start_timer(timeout)

    def _start_timer(self, seconds):
        self._rings = monotonic() + seconds
        self._timer = self.hub.loop.timer(seconds)
        self._timer.start(self._look, update=True)

    def _stop_timer(self):
        timer, self._timer = self._timer, None
        timer.stop()
        timer.close()

    def _look(self):
        """The timer rang, perhaps for a wait that is long over."""
        self._stop_timer()
        if self._waiting is None or self._ends is None:
            return
        left = self._ends - monotonic()
        if left > 0:
            self._start_timer(left)
        elif self._is_readable():
            self.open()  # a process that had to wait for a processor may see both at once
        else:
            self.throw(TimeoutError("timed out") if self._error is None else self._error)

    def _is_readable(self):
        poll = native.poll()
        poll.register(self._sock, POLLIN)
        return bool(poll.poll(0))
