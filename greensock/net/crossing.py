"""Locks, events and queues that work between threads and greenlets alike.

They block only the caller: its greenlet if its thread has a hub, its thread otherwise.
"""

from typing import Any

from zope.interface import implementer

from ..interfaces import IEvent, ILock, IQueue
from . import native
from .waking import Condition


@implementer(IEvent)
class Event:
    """The flag of ``threading.Event``."""

    def __init__(self):
        self._changed = Condition()
        self._flag = False

    def is_set(self):
        return self._flag

    def set(self):
        with self._changed:
            self._flag = True
            self._changed.notify_all()

    def clear(self):
        with self._changed:
            self._flag = False

    def wait(self, timeout=None):
        with self._changed:
            return self._changed.wait_for(self.is_set, timeout)


@implementer(ILock)
class Lock:
    """The lock of ``threading.Lock``: one holder, not re-entrant, anyone may release it."""

    def __init__(self):
        self._freed = Condition()
        self._held = False

    def acquire(self, blocking=True, timeout=-1):
        with self._freed:
            if self._held and blocking:
                self._freed.wait_for(self._is_free, None if timeout < 0 else timeout)
            if self._held:
                return False
            self._held = True
            return True

    def release(self):
        with self._freed:
            if not self._held:
                raise RuntimeError("release of a lock nobody holds")
            self._held = False
            self._freed.notify()

    def locked(self):
        return self._held

    def _is_free(self):
        return not self._held

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *args):
        self.release()


@implementer(IQueue)
class Queue(native.Queue):
    """The standard library's queue, waiting on conditions that suit every caller."""

    def __init__(self, maxsize=0):
        super().__init__(maxsize)
        self.mutex = native.make_rlock()
        self.not_empty: Any = Condition(self.mutex)
        self.not_full: Any = Condition(self.mutex)
        self.all_tasks_done: Any = Condition(self.mutex)
