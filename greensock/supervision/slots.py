"""A place for one worker, and the listener that outlives whoever works there."""

from time import monotonic
from typing import Any

from .restarts import Restarts


class Slot:
    """Who is at work in one place, who comes, and who goes.

    ``work(slot, worker)``: what is done there, in the worker's process; it returns the exit
    status. ``worker``: who is at work, None while there is nobody. ``successor``: who will be, as
    soon as it is ready; the worker stays until then. ``worker_has_to_go``: whether the worker has
    asked for that, so that there must be a successor in the end. ``leaving``: who takes no more.
    ``is_wanted``: whether there shall be a worker. A slot that is not wanted any more goes when its
    queue is empty.

    ``pushing``: where connections are pushed, if its listener is a hatch. ``has_own_queue``:
    whether nobody else takes from the listener. ``has_listener``: whether that is not the server's.
    ``is_shut``: whether nobody new comes to it.
    """

    def __init__(self, index, work):
        self.index = index
        self.work = work
        self.listener: Any = None
        self.pushing: Any = None
        self.has_own_queue = False
        self.has_listener = False
        self.worker: Any = None
        self.successor: Any = None
        self.leaving: list[Any] = []
        self.is_wanted = True
        self.is_emptied = False
        self.is_shut = False
        self.wants_successor = False
        self.worker_has_to_go = False
        self._restarts = Restarts()
        self._due_at = 0.0

    @property
    def workers(self):
        """Everybody who is there."""
        return [each for each in (self.worker, self.successor, *self.leaving) if each is not None]

    @property
    def is_over(self):
        """Whether it is not wanted, and nobody is left, in the queue neither."""
        return not self.is_wanted and not self.workers and not self._needs_worker

    @property
    def _needs_worker(self):
        return self.is_wanted or self.has_own_queue and not self.is_emptied

    @property
    def _vacancy(self):
        if self.worker is None and self.successor is not None:
            self._promote_successor()
        if self.worker is None:
            return "worker" if self._needs_worker else None
        return "successor" if self.wants_successor and self.successor is None else None

    def fill(self, begin):
        """Have somebody where somebody is missing, if it is time: ``begin(slot)`` returns who.

        Seconds until it is time; None if nobody is missing.
        """
        vacancy = self._vacancy
        if vacancy is None:
            return None
        left = self._due_at - monotonic()
        if left > 0:
            return left
        newcomer = begin(self)
        setattr(self, vacancy, newcomer)
        return self.wait_after(0.0) if newcomer is None else None

    def wait_after(self, seconds_ready):
        """Somebody who was ready for so long has failed; seconds until the next may come."""
        pause = self._restarts.pause_after(seconds_ready)
        self._due_at = monotonic() + pause
        return pause

    def note_ready(self, worker):
        """A worker is ready; whom it succeeds has to go."""
        worker.ready_at = monotonic()
        if worker is self.successor:
            if self.worker is not None:
                self.retire(self.worker, "replaced")
            self._promote_successor()
        if not self.is_wanted and worker is self.worker:
            worker.reason = worker.reason or "removed"
            self._tell_to_end(worker)

    def _promote_successor(self):
        self._lose_worker()
        self.worker, self.successor = self.successor, None

    def _lose_worker(self):
        self.worker = None
        self.wants_successor = self.worker_has_to_go = False

    def replace_for_good(self, worker, reason):
        """A worker wants to be replaced, for a reason."""
        worker.reason = reason
        if worker is self.worker and self.is_wanted:
            self.wants_successor = self.worker_has_to_go = True

    def retire(self, worker, reason):
        """Have a worker take no more, and leave when it is done."""
        worker.reason = worker.reason or reason
        worker.line.say("retire")
        if worker is self.worker:
            self._lose_worker()
        elif worker is self.successor:
            self.successor = None
        else:
            return
        self.leaving.append(worker)

    def retire_all(self, reason):
        """Have all its workers leave."""
        for worker in self.workers:
            self.retire(worker, reason)

    def give_up(self):
        """Have it end when its queue, if it has one of its own, is empty."""
        self.is_wanted = self.wants_successor = False
        for worker in self.workers:
            worker.reason = worker.reason or "removed"
            self._tell_to_end(worker)

    def _tell_to_end(self, worker):
        if self.has_own_queue:
            worker.line.say("drain", int(self.is_shut))
        else:
            worker.line.say("retire")

    def note_resting(self, worker):
        """A worker takes no more. If nobody will, newcomers must not be led here."""
        worker.is_taking = False
        if not self.is_wanted and self.has_listener and worker is self.worker:
            self.is_emptied = True
            self.close()

    def forget(self, worker):
        """A worker has ended; seconds until the next one begins."""
        if worker in self.leaving:
            self.leaving.remove(worker)
            return 0.0
        if worker is self.successor:
            self.successor = None
            if not self.worker_has_to_go:
                self.wants_successor = False  # the worker stays
                return 0.0
        else:
            self._lose_worker()
        if not self.is_wanted and worker.is_done:
            self.is_emptied = True
            return 0.0
        return self.wait_after(worker.seconds_ready)

    def close(self):
        """Close the listener, and where connections are pushed."""
        self.listener.close()
        if self.pushing is not None:
            self.pushing.close()
