"""Locks, events and queues that work between threads and greenlets alike.

They block only the caller: its greenlet if its thread has a hub, its thread otherwise.
"""

from typing import TYPE_CHECKING, Any

from zope.interface import implementer

from ..interfaces import IEvent, ILock, IQueue
from . import native
from .waking import Condition

if TYPE_CHECKING:
    from queue import Queue as _Queue  # what Punctual comes before
else:
    _Queue = object


@implementer(IEvent)
class Event:
    """The flag of ``threading.Event``."""

    def __init__(self):
        self._changed = Condition()
        self._flag = False
        self._times_set = 0

    def is_set(self):
        return self._flag

    def set(self):
        with self._changed:
            self._flag = True
            self._times_set += 1
            self._changed.notify_all()

    def clear(self):
        with self._changed:
            self._flag = False

    def wait(self, timeout=None):
        with self._changed:
            # Who waits now must not miss that it is set, even if it is cleared right after.
            before = self._times_set
            return self._changed.wait_for(
                lambda: self._flag or self._times_set != before, timeout
            )


@implementer(ILock)
class Lock:
    """The lock of ``threading.Lock``: one holder, not re-entrant, anyone may release it."""

    def __init__(self):
        self._freed = Condition()
        self._held = False

    def acquire(self, blocking=True, timeout=-1):
        if timeout != -1:
            if not blocking:
                raise ValueError("can't specify a timeout for a non-blocking call")
            _check_timeout(timeout)
        with self._freed:
            if self._held and blocking:
                self._freed.wait_for(self._is_free, None if timeout == -1 else timeout)
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


class Punctual(_Queue):
    """Comes before a queue class: a negative timeout is an error, even where none is needed."""

    def put(self, item, block=True, timeout=None):
        if block and timeout is not None:
            _check_timeout(timeout)
        super().put(item, block, timeout)

    def get(self, block=True, timeout=None):
        if block and timeout is not None:
            _check_timeout(timeout)
        return super().get(block, timeout)


@implementer(IQueue)
class Queue(Punctual, native.Queue):
    """The standard library's queue, waiting on conditions that suit every caller."""

    def __init__(self, maxsize=0):
        super().__init__(maxsize)
        self.mutex = native.make_rlock()
        self.not_empty: Any = Condition(self.mutex)
        self.not_full: Any = Condition(self.mutex)
        self.all_tasks_done: Any = Condition(self.mutex)


def _check_timeout(seconds):
    if seconds < 0:
        raise ValueError(f"{seconds!r} is no timeout: it must not be negative")
