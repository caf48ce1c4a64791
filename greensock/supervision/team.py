"""All workers of a server: what they say is heard, and they end when they shall."""

import select
from math import inf
from time import monotonic

from .. import events
from ..net import native
from ..net.hubs import in_main_thread
from ..net.waking import LOOK_FOR_SIGNALS
from .staffing import Staffing

# Seconds for whoever shall end at once to do so.
GRACE = 3.0

# Seconds to wait at a time, at most. poll(2) takes no more milliseconds than fit into an int.
LONGEST = 3600.0


class Team(Staffing):
    """The workers of ``server``, and the desk, if it has one.

    ``open_listener(index)`` and ``work`` are the server's part; see Slot. ``at_desk``: what is done
    at the desk, None if it needs none.
    """

    def __init__(self, server, open_listener, work, at_desk=None):
        super().__init__(server, open_listener, work, at_desk)
        self._leavers = []

    def let_leave(self):
        """Have those retire who have asked for it."""
        while self._leavers:
            slot, worker = self._leavers.pop()
            slot.retire(worker, "asked")

    def wait(self, timeout, *others):
        """Wait until a worker says something or ends, or one of ``others`` is readable.

        At most ``timeout`` seconds, None for no limit. What was said that concerns everybody, each
        time a list of words.
        """
        poll = native.poll()
        workers = self._everybody
        for descriptor in others:
            poll.register(descriptor, select.POLLIN)
        for _, worker in workers:
            poll.register(worker.child.sentinel, select.POLLIN)
            if worker.line.is_open:
                poll.register(worker.line, select.POLLIN)
        if in_main_thread():  # a signal may come just as it goes to wait
            timeout = LOOK_FOR_SIGNALS if timeout is None else min(timeout, LOOK_FOR_SIGNALS)
        ready = dict(poll.poll(None if timeout is None else min(timeout, LONGEST) * 1000))
        said = []
        for slot, worker in workers:
            has_ended = worker.child.sentinel in ready
            for word, *rest in worker.line.hear():
                said += self._heard(slot, worker, word, *rest)
            if has_ended:
                self._reap(slot, worker)
        return said

    def _heard(self, slot, worker, word, *rest):
        if slot is self.desk:
            if word == "ready":
                slot.note_ready(worker)
                return []
            if word == "without":
                self._give_up(int(rest[0]))
                return []
            return [[word, *rest]]
        if word == "ready":
            events.emit(events.WorkerStarted, self._server, slot.index, worker.child.pid)
            self.tell_desk("ready", slot.index, worker.child.pid)
            slot.note_ready(worker)
        elif word == "leaving":
            self._leavers.append((slot, worker))
        elif word == "resting":
            slot.note_resting(worker)
        elif word == "done":
            worker.is_done = True
        elif word == "enough":
            slot.replace_for_good(worker, rest[0])
        else:
            return [[word, *rest]]
        return []

    def _give_up(self, index):
        for slot in self.slots:
            if slot.index == index:
                slot.give_up()

    def end(self):
        """Have everybody cut what they are at work on and end, within GRACE seconds."""
        self.say("cut")
        self.note_reason("cut")
        self.wait_for_all(GRACE)
        for _, worker in self.workers:
            worker.kill("cut")
        self.wait_for_all(None)

    def wait_for_all(self, timeout):
        """Wait until all workers have ended, at most ``timeout`` seconds; whether they have."""
        return self._wait_until(lambda: not self.workers, timeout)

    def wait_for_rest(self):
        """Wait until nobody takes any more, at most GRACE seconds."""
        self._wait_until(lambda: not any(each.is_taking for _, each in self.workers), GRACE)

    def _wait_until(self, fits, timeout):
        ends = inf if timeout is None else monotonic() + timeout
        while not fits():
            left = ends - monotonic()
            if left <= 0:
                return False
            self.wait(None if left == inf else left)
        return True

    def close(self):
        """Look after nobody any more. Who is at work still is left alone."""
        self.close_listeners()
        if self.desk is not None:
            self._dismiss_desk()
        for _, worker in self.workers:
            worker.forget()

    def _dismiss_desk(self):
        self.desk.give_up()
        if not self._wait_until(lambda: not self.desk.workers, GRACE):
            for clerk in self.desk.workers:
                clerk.kill("hung")
            self._wait_until(lambda: not self.desk.workers, None)
