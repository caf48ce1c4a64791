"""Child processes that are clean, and reaped one by one.

Each child has a sentinel: a descriptor that becomes readable when the child has ended, which a
hub can watch and any thread can poll. Children are waited for by pid, so that nobody else's
child loses its exit status.
"""

import _signal  # type: ignore[import-not-found]  # its enums cost more than the calls
import _thread
import os
import select
import signal
import sys
from contextlib import suppress
from itertools import starmap
from time import monotonic

from gevent._hub_local import get_hub_if_exists
from gevent.select import select as green_select

from . import native
from .hubs import start_afresh_in_child


def _can_open_pidfds():
    try:
        native.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False  # Python, the kernel or a sandbox knows nothing of them
    return True


_HAS_PIDFD = _can_open_pidfds()

# Seconds that a fork waits for other threads to end, where they take so long.
_PATIENCE = 0.01

# Those that were forked here, and are there as long as nobody else waits for any child.
unreaped: set[int] = set()

_ALL_SIGNALS = [int(number) for number in signal.valid_signals()]


def told_status(status):
    """A wait status (int, or None if it is not known) in words."""
    if status is None:
        return "its exit status is not known"
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"killed by {_name_of(-code)}"


def _name_of(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Child:
    """A process that ``fork`` begins.

    ``pid``: 0 before. ``sentinel``: readable once it has ended; -1 before it begins, and from when
    it is reaped.
    """

    __slots__ = ("pid", "sentinel", "_reaper")

    def __init__(self):
        self.pid = 0
        self.sentinel = -1
        self._reaper = native.make_rlock()

    def fork(self, body, heard=()):
        """Fork: the process runs ``body()`` and exits with the status it returns, or 1.

        It has none of this process's greenlets, timers, watchers and signal handlers, and hears
        nothing but what is in ``heard``: pairs of a signal and a function that is called for it. It
        leaves with ``os._exit`` once its standard streams are flushed. OSError if the system
        refuses a process or a descriptor; then there is none. Whatever a signal handler raises
        meanwhile, such as KeyboardInterrupt, is raised when all is done: there is a process if
        there is a ``pid``.
        """
        _flush_standard_streams()  # what is buffered here would be written by both
        ours, theirs = _make_sentinel()
        _let_threads_end()
        # No signal may arrive before the child has made its own arrangements: the loop's C handler
        # would report it through a descriptor that is still shared.
        mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
        try:
            pid, interruption = _fork()
        except BaseException:
            _unblock(mask)
            native.close(ours)
            if theirs is not None:
                native.close(theirs)
            raise
        if pid == 0:
            _live(body, heard, mask)
        try:
            if theirs is not None:
                native.close(theirs)
            else:
                native.close(ours)
                ours = _open_pidfd(pid)
            self.pid, self.sentinel = pid, ours
            unreaped.add(pid)
        finally:
            _unblock(mask)
        if interruption is not None:
            raise interruption

    def wait(self, timeout=None):
        """Wait until it has ended, at most ``timeout`` seconds; return whether it has.

        Where there is a hub, only the greenlet waits.
        """
        if self.sentinel < 0:
            return self.pid != 0
        return _await_any([self.sentinel], timeout)

    def is_mine_to_reap(self):
        """Whether no thread has asked before but this one, which may have been interrupted."""
        return self._reaper.acquire(False)

    def reap(self):
        """Free what the system keeps of it. To be called when it has ended.

        Its wait status, 0 if all was well; None if that is not known.
        """
        sentinel, self.sentinel = self.sentinel, -1
        if sentinel >= 0:
            native.close(sentinel)
        try:
            return native.waitpid(self.pid, 0)[1]
        except ChildProcessError:
            return None  # somebody waited for any child, and got this one
        finally:
            unreaped.discard(self.pid)

    def signal(self, number):
        """Send it a signal, unless it is reaped: its pid may be somebody else's by then."""
        if self.sentinel < 0:
            return
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            pass


class Sentries:
    """Watchers on one hub that tell when children end."""

    def __init__(self, hub):
        self._loop = hub.loop
        self._thread = native.get_ident()
        self._watchers = {}
        self._is_open = True

    def post(self, child, ended):
        """Have ``ended()`` called on the hub, which must not block, once ``child`` has ended.

        Any thread may.
        """
        if native.get_ident() == self._thread:
            self._watch(child, ended)
        else:
            self._loop.run_callback_threadsafe(self._watch, child, ended)

    def close(self):
        """Stop watching."""
        self._is_open = False
        for pid in list(self._watchers):
            self._dismiss(pid)

    def _watch(self, child, ended):
        if self._is_open:
            watcher = self._watchers[child.pid] = self._loop.io(child.sentinel, 1)
            watcher.start(self._report, child.pid, ended)

    def _report(self, pid, ended):
        # gevent looks for signals before it calls this: a Ctrl-C may have closed it in between.
        if pid in self._watchers:
            self._dismiss(pid)
            ended()

    def _dismiss(self, pid):
        watcher = self._watchers.pop(pid)
        watcher.stop()
        watcher.close()


def wait_for_any(children, timeout=None):
    """Wait as one of them does, until any has ended; return whether one has."""
    sentinels = [child.sentinel for child in children]
    return min(sentinels, default=-1) < 0 or _await_any(sentinels, timeout)


def _await_any(sentinels, timeout):
    if timeout == 0 or get_hub_if_exists() is None:
        ready = native.poll()
        for sentinel in sentinels:
            ready.register(sentinel, select.POLLIN)
        return bool(ready.poll(None if timeout is None else timeout * 1000))
    return bool(green_select(sentinels, [], [], timeout)[0])


def _make_sentinel():
    # With pidfds, the descriptor is only reserved here, so that running out of them is found
    # out while there is no child yet.
    if _HAS_PIDFD:
        return os.open(os.devnull, os.O_RDONLY), None
    return os.pipe()


def _open_pidfd(pid):
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        # It has ended, and whoever waits for any child was faster, such as gevent's subprocess.
        ended, writer = os.pipe()
        native.close(writer)
        return ended
    except OSError:
        # Another thread has taken the descriptor. Nobody would learn of the child's end.
        os.kill(pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            native.waitpid(pid, 0)
        raise


def _let_threads_end():
    """Wait until no thread is at its very end, where Python has forgotten it already.

    A thread that has used greenlets takes a lock of greenlet's there, without the GIL. A child that
    was forked at this moment would wait for that lock for ever.
    """
    global _strangers
    ends = None
    while (strangers := _count_strangers()) > _strangers:
        if ends is None:
            ends = monotonic() + _PATIENCE
        elif monotonic() > ends:
            break  # they are here to stay, such as those of a library in C
        native.sleep(0.0001)
    _strangers = strangers


# How many threads there were that are none of Python's.
_strangers = 0


def _count_strangers():
    try:
        return os.stat("/proc/self/task").st_nlink - 2 - 1 - _thread._count()
    except OSError:
        return 0  # not on this system


def _fork():
    """The pid, 0 in the child; and what a signal handler has raised meanwhile, or None.

    Signals are blocked in this thread, but the main one calls the handlers of those that another
    thread has received. Python calls what is registered for forks, and only reports what is raised
    there.
    """
    me, former = native.get_ident(), sys.unraisablehook
    pids: list[int] = []
    interruptions = []

    def note(unraisable):
        error = unraisable.exc_value
        if native.get_ident() == me and not isinstance(error, Exception):
            interruptions.append(error)
        else:
            former(unraisable)

    sys.unraisablehook = note
    try:
        # In one step: what is raised as soon as it returns would take the pid away.
        pids.extend(starmap(native.fork, [()]))
    except BaseException as error:
        if not pids:
            raise
        interruptions.append(error)
    finally:
        sys.unraisablehook = former
    return pids[0], interruptions[0] if interruptions else None


def _unblock(mask):
    _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)


def _live(body, heard, mask):
    status = 1
    try:
        start_afresh_in_child()
        for number, function in heard:
            _signal.signal(number, lambda number, frame, act=function: act())
        _unblock(mask)
        status = body()
        _flush_standard_streams()
    finally:
        os._exit(status)


def _flush_standard_streams():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, OSError, ValueError):
            pass  # there is none, its reader has gone, or it is closed
