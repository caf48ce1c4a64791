"""Waiting that anyone can end: any thread, any greenlet of any hub, any signal handler.

A thread that has a hub must not block in the kernel, because its other greenlets would stop; a
thread without one should not get one just to wait. So whoever waits brings the sleep that suits
it, and hands out nothing but a function that ends it.
"""

import _signal  # type: ignore[import-not-found]  # its enums cost more than the call
from collections import deque
from math import inf
from time import monotonic

from gevent._hub_local import get_hub_if_exists
from gevent.hub import Waiter

from . import deadlines, native
from .hubs import in_main_thread
from .signals import hear_signals

# Seconds after which a main thread without a hub looks for signals. One that comes just as it goes
# to wait in the kernel, or that is delivered to another thread, does not wake it.
LOOK_FOR_SIGNALS = 0.5


def sleep_natively(seconds):
    """Block the OS thread for so long; ValueError if that is negative."""
    ends = monotonic() + seconds
    while in_main_thread() and seconds > LOOK_FOR_SIGNALS:
        native.sleep(LOOK_FOR_SIGNALS)
        _look_for_signals()
        seconds = max(0.0, ends - monotonic())
    native.sleep(seconds)
    if in_main_thread():
        _look_for_signals()


def _look_for_signals():
    """Have the handlers called of signals that came.

    Python does so of itself, but not in a process that 3.13 has forked off its main thread.
    """
    _signal.pthread_sigmask(_signal.SIG_BLOCK, ())


class _NativeSleep:
    """Blocks the OS thread."""

    def __init__(self):
        self._lock = native.allocate_lock()
        self._lock.acquire()

    def wake(self):
        try:
            self._lock.release()
        except RuntimeError:
            pass  # woken twice

    def sleep(self, timeout):
        if not in_main_thread():
            self._lock.acquire(timeout=-1 if timeout is None else timeout)
            return
        ends = inf if timeout is None else monotonic() + timeout
        while (left := ends - monotonic()) > 0:
            if self._lock.acquire(timeout=min(left, LOOK_FOR_SIGNALS)):
                break
            _look_for_signals()

    def close(self):
        pass


class _GreenSleep:
    """Lets the thread's other greenlets run."""

    def __init__(self, hub):
        self._hub = hub
        self._waiter = Waiter(hub)
        self._guard = native.make_rlock()
        self._async = hub.loop.async_()
        self._async.start(self._waiter.switch, None)

    def wake(self):
        # From another thread this may come when the sleeper has moved on.
        with self._guard:
            if self._async is not None:
                self._async.send()

    def sleep(self, timeout):
        if timeout is None:
            self._waiter.get()
            return
        # The loop's clock stands still while greenlets run; a timer must not be cut short by it.
        timer = self._hub.loop.timer(timeout)
        timer.start(self._waiter.switch, None, update=True)
        try:
            self._waiter.get()
        finally:
            timer.stop()
            timer.close()

    def close(self):
        with self._guard:
            self._async.stop()
            self._async.close()
            self._async = None


def _make_sleep():
    hub = get_hub_if_exists()
    if hub is None:
        return _NativeSleep()
    if in_main_thread():
        hear_signals(hub)
    return _GreenSleep(hub)


class Condition:
    """A mutex and those who wait for what it protects; the shape of ``threading.Condition``.

    The mutex is native and re-entrant: hold it for a few statements and never across a wait.
    """

    def __init__(self, mutex=None):
        self._mutex = native.make_rlock() if mutex is None else mutex
        self._sleeping: deque = deque()
        self.acquire = self._mutex.acquire
        self.release = self._mutex.release

    def __enter__(self):
        return self._mutex.__enter__()

    def __exit__(self, *args):
        return self._mutex.__exit__(*args)

    def wait(self, timeout=None, unless=None):
        """Give the mutex up, sleep until notified, take it again; False if time ran out.

        It does not sleep if the predicate ``unless`` is true.
        """
        sleep = _make_sleep()
        self._sleeping.append(sleep)
        # A signal handler may have notified before that, since its thread has the mutex.
        if unless is not None and unless():
            return self._leave(sleep)
        # Every level, because a signal handler may wait for what it has interrupted.
        held = self._mutex._release_save()
        try:
            sleep.sleep(deadlines.nearest(timeout))
        except BaseException:
            self._mutex._acquire_restore(held)
            if self._leave(sleep):
                self.notify()  # whoever was interrupted cannot use it
            raise
        self._mutex._acquire_restore(held)
        notified = self._leave(sleep)
        if not notified:
            deadlines.check()
        return notified

    def _leave(self, sleep):
        sleep.close()
        try:
            self._sleeping.remove(sleep)
        except ValueError:
            return True
        return False

    def wait_for(self, predicate, timeout=None):
        """Wait until ``predicate()`` is true; return its last value."""
        ends = None if timeout is None else monotonic() + timeout
        while not (result := predicate()):
            left = None if ends is None else ends - monotonic()
            if left is not None and left <= 0:
                break
            self.wait(left, unless=predicate)
        return result

    def notify(self, n=1):
        """Wake ``n`` of those who wait, the longest waiting first."""
        while n > 0 and self._sleeping:
            self._sleeping.popleft().wake()
            n -= 1

    def notify_all(self):
        """Wake all who wait."""
        self.notify(len(self._sleeping))
