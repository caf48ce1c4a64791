"""Greenlets that take one job after another, and nobody can tell.

A new greenlet costs its thread a stack from the system and the way back of it, several times the
price of a short request. One that is used again keeps its stack, and must keep nothing else. What
the last job left in a ``gevent.local`` or in a context variable is dropped. And if anybody still
refers to the greenlet, such as a ``gevent.Timeout`` that was not closed, who wants to kill it or to
see it dead, then it ends, and a new one takes its place.

Theory of operation. Jobs queue up. Once the loop comes round, the hub gives one worker after
another its turn to take from the queue. A worker goes on until the queue is empty; if it waits in
the midst of a job, its turn is over, and the hub gives the next one a turn. So jobs that do not
wait cost no switch at all.

How many references there are to a greenlet depends on who has switched to it last. So they are
compared where that is known: before and after a job within one turn, and while it waits for one.
"""

import sys
from collections import deque
from sys import getrefcount
from typing import Any
from weakref import getweakrefcount

from gevent.hub import getcurrent
from greenlet import greenlet  # type: ignore[import-untyped]

from . import native

# Greenlets kept for later; each holds some 8 KiB.
MOST_IDLE = 256


class _Worker(greenlet):
    """A greenlet that tells those who ask for its end whenever one of its jobs has ended."""

    __slots__ = ("links", "loop")

    def __init__(self, body, parent):
        super().__init__(body, parent)
        self.links = []
        self.loop = getattr(parent, "loop", None)  # as what gevent spawns has one

    # gevent's locals and dummy threads ask every greenlet that has this one.
    def rawlink(self, callback):
        self.links.append(callback)

    def unlink(self, callback):
        if callback in self.links:
            self.links.remove(callback)

    def forget(self):
        """Keep no local of the last job."""
        if self.links:
            links, self.links = self.links, []
            for callback in links:
                callback(self)
        if self.__dict__:
            self.__dict__.clear()


class Workers:
    """Runs ``run(job)`` for each job in one of at most ``most`` greenlets of one hub.

    ``most``: None for no limit.

    ``refuse(job)`` is called instead, where the error is handled, if no greenlet can be had.
    ``room_was_made()`` is called when jobs had to queue up because all were at work, and the last
    of them was taken. ``idle``: the greenlets that wait for a job.
    """

    def __init__(self, hub, run, refuse, most, room_was_made):
        self.thread = native.get_ident()
        self._hub = hub
        self._run = run
        self._refuse = refuse
        self._most = sys.maxsize if most is None else most
        self._room_was_made = room_was_made
        self._jobs: deque = deque()
        self.idle = []
        self._count = 0
        self._is_coming = False
        self._has_turn: Any = None
        self._is_full = False
        self._is_open = True

    @property
    def has_room(self):
        """Whether a job would be taken as soon as the loop comes round."""
        self._is_full = bool(self._jobs) and not self.idle and self._count >= self._most
        return not self._is_full

    def start(self, job):
        """Have ``job`` run soon; its attribute ``worker`` tells by whom once it does."""
        self._jobs.append(job)
        if not self._is_coming:
            self._call_for_jobs()

    def close(self):
        """Keep no greenlet any longer than there are jobs. For the hub's own thread."""
        self._is_open = False
        while self.idle:
            worker = self.idle.pop()
            worker.parent = getcurrent()  # where it ends, instead of in the hub
            worker.throw()
        if self._jobs:
            self._hub.loop.run_callback(self._come)  # a Ctrl-C may have kept it from coming

    def _come(self):
        self._is_coming = False
        while self._jobs and (self.idle or self._count < self._most):
            if self.idle:
                worker = self.idle.pop()
                if getrefcount(worker) > _UNSHARED or getweakrefcount(worker):
                    worker.throw()
                    continue
            else:
                try:
                    _Worker(self._live, self._hub).switch()
                except Exception:  # for want of memory
                    self._refuse(self._jobs.popleft())
                    continue
                worker = self.idle.pop()  # whoever refers to it knows it by no other job
            self._has_turn = worker
            worker.switch(self)
            self._has_turn = None
        if self._is_full and not self._jobs:
            self._is_full = False
            self._room_was_made()

    def _live(self):
        me, jobs, run = getcurrent(), self._jobs, self._run
        self._count += 1
        try:
            while True:
                self.idle.append(me)
                while self._hub.switch() is not self:
                    pass  # somebody's late news for the last job
                references = getrefcount(me)
                while jobs:
                    job = jobs[0]
                    job.worker = me  # first, because a Ctrl-C that comes now would lose it
                    del jobs[0]
                    run(job)
                    del job
                    if me.links or me.__dict__:
                        me.forget()
                    me.gr_context = None
                    if self._has_turn is not me:
                        break
                    if getrefcount(me) != references or getweakrefcount(me):
                        break
                if not self._is_open or len(self.idle) >= MOST_IDLE:
                    return
                self._call_for_jobs()
        finally:
            self._count -= 1
            # If it was thrown out in the midst of a job, others may wait for a greenlet.
            self._call_for_jobs()

    def _call_for_jobs(self):
        if self._jobs and not self._is_coming:
            self._is_coming = True
            self._hub.loop.run_callback(self._come)


def _wait_for_turn():
    me = getcurrent()
    me.parent.switch()


def _references_when_unshared():
    """How many there are to a worker that waits for its turn, counted as below."""
    worker = _Worker(_wait_for_turn, getcurrent())
    worker.switch()
    count = getrefcount(worker)
    worker.throw()
    return count


_UNSHARED = _references_when_unshared()
