"""The toolboxes: the same concurrency tools for handlers under any model."""

import sys
import threading

import gevent
import gevent.event
import gevent.queue
import gevent.thread
from gevent._hub_local import get_hub_if_exists
from zope.interface import classImplements, implementer

from .interfaces import IEvent, ILock, IQueue, ITask, IToolbox
from .net import crossing, deadlines, native
from .net.dialing import dial, dial_natively
from .net.hubs import in_main_thread
from .net.threads import start_thread
from .net.waking import sleep_natively

classImplements(gevent.thread.LockType, ILock)  # type: ignore[misc]  # gevent has no types
classImplements(gevent.event.Event, IEvent)  # type: ignore[misc]


@implementer(IQueue)
class _GreenQueue(crossing.Punctual, gevent.queue.Queue):
    """A queue that belongs to the hub it is used on, and not to the one it was made on.

    A server is often made in one thread and served in another.
    """

    _users = 0

    def put(self, item, block=True, timeout=None):
        self._enter()
        try:
            super().put(item, block, timeout)
        finally:
            self._users -= 1

    def get(self, block=True, timeout=None):
        self._enter()
        try:
            return super().get(block, timeout)
        finally:
            self._users -= 1

    def _enter(self):
        if not self._users and self.hub is not gevent.get_hub():
            items = tuple(self.queue)
            super().__init__(self.maxsize, items)  # type: ignore[call-arg]  # that is gevent's
        self._users += 1


@implementer(ITask)
class _GreenTask(gevent.Greenlet):
    def __init__(self, function, args, kwargs):
        super().__init__()
        self._call = function, args, kwargs

    def _run(self):
        function, args, kwargs = self._call
        try:
            function(*args, **kwargs)
        except BaseException as error:
            # The hub would end the whole thread for some of these.
            if isinstance(error, KeyboardInterrupt) and in_main_thread():
                raise
            if not isinstance(error, (SystemExit, gevent.GreenletExit)):
                gevent.get_hub().print_exception(self, *sys.exc_info())

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
            except BaseException:
                told = *sys.exc_info(), threading.current_thread()
                threading.excepthook(threading.ExceptHookArgs(told))
            finally:
                self._ended.set()

        start_thread(body, shown_as=function, daemon=threading.current_thread().daemon)

    def join(self, timeout=None):
        return self._ended.wait(timeout)


def _check_callable(function):
    if not callable(function):
        raise TypeError(
            f"{function!r} cannot be called: write spawn(function, argument), not "
            "spawn(function(argument))"
        )


@implementer(IToolbox)
class GreenToolbox:
    """Tools for greenlets of one thread."""

    name = "greenlet"

    def spawn(self, function, *args, **kwargs):
        _check_callable(function)
        task = _GreenTask(function, args, kwargs)
        task.start()
        return task

    def sleep(self, seconds):
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        gevent.sleep(seconds)

    def Lock(self):
        return gevent.thread.LockType()

    def Event(self):
        return gevent.event.Event()

    def Queue(self, maxsize=0):
        return _GreenQueue(maxsize or -1)

    def deadline(self, seconds):
        return deadlines.GreenDeadline(seconds)

    def connect(self, address, timeout=None, allow=None):
        with self.deadline(timeout):
            return dial(address, allow)

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
        _check_callable(function)
        return _ThreadTask(function, args, kwargs)

    def sleep(self, seconds):
        limit = deadlines.nearest(seconds)
        if get_hub_if_exists() is None:
            sleep_natively(limit)
        else:
            super().sleep(limit)
        if limit < seconds:
            raise deadlines.passed()

    def deadline(self, seconds):
        return deadlines.deadline(seconds)

    def connect(self, address, timeout=None, allow=None):
        with self.deadline(timeout):
            return dial_natively(address, allow)


GREEN = GreenToolbox()
_GREEN_THREADS = GreenThreadsToolbox()
_THREADS = ThreadToolbox()


def between_threads():
    """The toolbox of handlers that run in threads or processes of their own."""
    return _GREEN_THREADS if native.is_patched() else _THREADS
