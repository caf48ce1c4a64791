"""Who is at work for a server: kept exactly, so that closing can wait, and cut in the end."""

import socket

from .handover import raw
from .waking import Condition


class Job:
    """One request in the hands of a worker."""

    __slots__ = ("request", "client_address", "worker", "was_cut")

    def __init__(self, request, client_address, worker=None):
        self.request = request
        self.client_address = client_address
        self.worker = worker
        self.was_cut = False

    def hold(self, request):
        """Go on with the request in another form."""
        self.request = request
        if self.was_cut:
            self.shut()  # who cut it may have met the old form, which is used up

    def shut(self):
        """End its connection both ways, so that whoever waits on it wakes. Any thread may."""
        sock = raw(self.request)
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended on its own


class Crew:
    """The jobs of one server. Any thread may use it."""

    def __init__(self):
        self._jobs = set()
        self._changed = Condition()

    def __len__(self):
        return len(self._jobs)

    def __iter__(self):
        # In one step and without the lock, which a forked child may find taken for ever.
        return iter(list(self._jobs))

    def add(self, job):
        with self._changed:
            self._jobs.add(job)

    def remove(self, job):
        with self._changed:
            self._jobs.discard(job)
            self._changed.notify_all()

    def includes(self, worker):
        """Whether ``worker`` has a job here."""
        return any(job.worker == worker for job in self)

    def wait(self, timeout=None, *, besides=None):
        """Wait until all but the worker ``besides`` are done; False if ``timeout`` came first."""
        with self._changed:
            return self._changed.wait_for(
                lambda: all(job.worker == besides for job in self._jobs), timeout
            )
