"""Who is at work for a server: kept exactly, so that closing can wait, and cut in the end."""

import _socket
import socket
from typing import Any

from .handover import raw
from .waking import Condition

# Seconds to wait for the lock of a connection under TLS. It is held for moments, but by the caller
# itself if that is a signal handler.
PATIENCE = 0.1


class Job:
    """One request in the hands of a worker, or at rest between two messages.

    ``handler``: None, or the parked handler of a connection, which goes on when there is something
    to read; ``error``: what to raise there instead. ``was_told``: whether its worker knows that
    nothing will follow.
    """

    handler: Any = None
    error: Any = None

    __slots__ = ("request", "client_address", "worker", "was_cut", "was_told")

    def __init__(self, request, client_address, worker=None):
        self.request = request
        self.client_address = client_address
        self.worker = worker
        self.was_cut = False
        self.was_told = False

    @property
    def is_at_rest(self):
        return self.handler is not None and self.worker is None

    def hold(self, request):
        """Go on with the request in another form."""
        self.request = request
        if self.was_cut:
            self.shut()  # who cut it may have met the old form, which is used up

    def begin(self):
        """Its request is what its handler needs."""

    def let_go(self):
        """Somebody else has the request from now on, such as another process."""
        self.request = None

    def start_afresh(self):
        """In a forked child: whoever holds a lock is not there."""

    def shut(self, how=socket.SHUT_RDWR):
        """End its connection, so that whoever waits on it wakes. Any thread may.

        ``how``: SHUT_RD if only nothing more shall be read.
        """
        sock = raw(self.request)
        if sock is None:
            return
        # A thread that reads by OpenSSL looks whether it was told, and then reads, in one step.
        guard: Any = getattr(self.request, "guard", None) if how == socket.SHUT_RD else None
        is_held = guard is not None and guard.acquire(timeout=PATIENCE)
        try:
            # Not an SSLSocket's own, which would take the TLS away from its worker.
            _socket.socket.shutdown(sock, how)
        except OSError:
            pass  # it has ended on its own
        finally:
            if is_held:
                guard.release()


class Crew:
    """The jobs of one server. Any thread may use it.

    Jobs come and go far more often than anybody waits for the last one to go. So the set is changed
    in single steps, without a lock, and who removes a job notifies only if somebody waits: a waiter
    says that it waits before it looks at the set, and a leaver looks after it has left.

    ``jobs``: that set; whoever has changed it looks whether there are ``waiters``, and tells them.
    """

    def __init__(self):
        self.jobs: set[Job] = set()
        self.waiters = 0
        self._changed = Condition()

    def __len__(self):
        return len(self.jobs)

    def __iter__(self):
        return iter(list(self.jobs))

    def __contains__(self, job):
        return job in self.jobs

    def tell_waiters(self):
        """Have them look again who is here."""
        with self._changed:
            self._changed.notify_all()

    def includes(self, worker):
        """Whether ``worker`` has a job here."""
        return any(job.worker == worker for job in self)

    def wait(self, timeout=None, *, besides=None):
        """Wait until all but the worker ``besides`` are done; False if ``timeout`` came first."""
        return self.wait_until(lambda: all(job.worker == besides for job in self), timeout)

    def wait_until(self, fits, timeout=None):
        """Wait until ``fits()``, which depends on who is here; whether it did in time."""
        with self._changed:
            self.waiters += 1
            try:
                return self._changed.wait_for(fits, timeout)
            finally:
                self.waiters -= 1
