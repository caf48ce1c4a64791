"""The toolboxes: the same concurrency tools for handlers under any model."""

import threading
from contextlib import contextmanager

import gevent
import gevent.event
import gevent.queue
import gevent.thread
from gevent._hub_local import get_hub_if_exists
from zope.interface import classImplements, implementer

from .interfaces import IEvent, ILock, IQueue, ITask, IToolbox
from .net import crossing, deadlines, native
from .net.threads import start_thread

classImplements(gevent.thread.LockType, ILock)  # type: ignore[misc]  # gevent has no types
classImplements(gevent.event.Event, IEvent)  # type: ignore[misc]
classImplements(gevent.queue.Queue, IQueue)  # type: ignore[misc]


@implementer(ITask)
class _GreenTask(gevent.Greenlet):
    def join(self, timeout=None):
        super().join(timeout)
        return self.dead


@implementer(ITask)
class _ThreadTask:
    def __init__(self, function, args, kwargs):
        self._ended = crossing.Event()

        def body():
            try:
                function(*args, **kwargs)
            finally:
                self._ended.set()

        start_thread(body, shown_as=function, daemon=threading.current_thread().daemon)

    def join(self, timeout=None):
        return self._ended.wait(timeout)


@implementer(IToolbox)
class GreenToolbox:
    """Tools for greenlets of one thread."""

    name = "greenlet"

    def spawn(self, function, *args, **kwargs):
        return _GreenTask.spawn(function, *args, **kwargs)

    def sleep(self, seconds):
        gevent.sleep(seconds)

    def Lock(self):
        return gevent.thread.LockType()

    def Event(self):
        return gevent.event.Event()

    def Queue(self, maxsize=0):
        return gevent.queue.Queue(maxsize or None)

    @contextmanager
    def deadline(self, seconds):
        with gevent.Timeout(seconds, TimeoutError("the deadline has passed")):
            yield

    def __repr__(self):
        return f"<toolbox {self.name}>"


@implementer(IToolbox)
class GreenThreadsToolbox(GreenToolbox):
    """Tools for OS threads with a hub each: what is shared must work between the threads."""

    name = "greenlet between threads"

    def Lock(self):
        return crossing.Lock()

    def Event(self):
        return crossing.Event()

    def Queue(self, maxsize=0):
        return crossing.Queue(maxsize)


@implementer(IToolbox)
class ThreadToolbox(GreenThreadsToolbox):
    """Tools for OS threads in a process that is not patched."""

    name = "thread"

    def spawn(self, function, *args, **kwargs):
        return _ThreadTask(function, args, kwargs)

    def sleep(self, seconds):
        limit = deadlines.nearest(seconds)
        if get_hub_if_exists() is None:
            native.sleep(limit)
        else:
            gevent.sleep(limit)
        if limit < seconds:
            deadlines.check()

    def deadline(self, seconds):
        return deadlines.deadline(seconds)


GREEN = GreenToolbox()
_GREEN_THREADS = GreenThreadsToolbox()
_THREADS = ThreadToolbox()


def between_threads():
    """The toolbox of handlers that run in threads or processes of their own."""
    return _GREEN_THREADS if native.is_patched() else _THREADS
