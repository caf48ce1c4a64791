"""Threads meet the end of the interpreter where it cannot hurt them.

Until Python 3.14, the interpreter ends a daemon thread, once it has begun to exit itself, by
unwinding the thread's C stack. In a greenlet that is not the stack the thread was born with, and
the process crashes. So as soon as the exit begins, the threads that greensock runs in stop for ever
wherever they turn to their hubs.
"""

import atexit
import gc
import os
import sys
from contextlib import contextmanager
from time import monotonic
from typing import Any

from gevent._hub_local import get_hub_if_exists, set_default_hub_class
from gevent.hub import MAIN_THREAD_IDENT, Hub

from . import native

# Seconds the exit waits for threads to come to their hubs. They do so as soon as they wait.
PATIENCE = 1.0

# Seconds it waits for those that may wait elsewhere, or work for long.
BRIEF_PATIENCE = 0.1

# Seconds after which a main thread that still waits for something during the exit is thought to
# wait for a stopped one, such as for a lock of the logging module; and those that one gets then.
SUSPICION = 0.05
RESPITE = 0.01

# The exit takes it and never gives it back; threads that shall stop wait for it.
_door = native.allocate_lock()
_is_leaving = False

# The threads that discard their hubs at this moment. No lock, which they would queue up for.
_discarding: set[int] = set()

# By thread: whether it is sure to come to its hub.
_threads: dict[int, bool] = {}


def note_thread(*, comes_back: bool) -> None:
    """The calling thread may wait on its hub, until it discards that.

    ``comes_back``: whether it does nothing else than turn its hub.
    """
    _threads[native.get_ident()] = comes_back


def forget_thread() -> None:
    """The calling thread has no hub and needs none any more."""
    _threads.pop(native.get_ident(), None)


@contextmanager
def discarding():
    """To be entered while the calling thread's hub is discarded."""
    forget_thread()
    me = native.get_ident()
    _discarding.add(me)  # before it looks, because the exit looks the other way round
    if _is_leaving:
        _discarding.discard(me)
        with _door:
            _discarding.add(me)
    try:
        yield
    finally:
        _discarding.discard(me)


@atexit.register
def _leave():
    global _is_leaving
    _is_leaving = True
    if _discarding or _threads.keys() - {native.get_ident()}:
        set_default_hub_class(_LastHub)
        _stop_threads(BRIEF_PATIENCE)
        main = get_hub_if_exists()
        if main is not None:
            main.loop.timer(SUSPICION, SUSPICION, ref=False).start(_give_respite)


def _give_respite():
    _door.release()
    native.sleep(RESPITE)
    _stop_threads(0)


def _stop_threads(brief_patience):
    _door.acquire()
    ends = monotonic() + PATIENCE
    while _discarding and monotonic() < ends:
        native.sleep(0.001)
    threads = dict(_threads)
    threads.pop(native.get_ident(), None)
    frames = sys._current_frames()
    coming: list[Any] = []
    others: list[Any] = []
    for hub in [found for found in gc.get_objects() if isinstance(found, Hub)]:
        ident = hub.thread_ident
        if ident not in threads or ident not in frames or not hub.loop:
            continue
        stopped = native.allocate_lock()
        stopped.acquire()
        hub.loop.run_callback_threadsafe(_stop, stopped)
        is_coming = threads[ident] or frames[ident].f_code is Hub.run.__code__
        (coming if is_coming else others).append(stopped)
    _await(coming, ends)
    _await(others, min(ends, monotonic() + brief_patience))


def _await(locks, ends):
    for lock in locks:
        lock.acquire(timeout=max(0.0, ends - monotonic()))


class _LastHub(Hub):
    """A hub made after that. A thread that wants its first one stops before it is made."""

    def __new__(cls, *args, **kwargs):
        if native.get_ident() in _threads and native.get_ident() != MAIN_THREAD_IDENT:
            with _door:
                pass
        return super().__new__(cls, *args, **kwargs)


def _stop(stopped):
    stopped.release()
    with _door:
        pass


def _forget_threads():
    global _door
    _door = native.allocate_lock()
    _threads.clear()
    _discarding.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
