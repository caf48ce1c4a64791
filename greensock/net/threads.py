"""OS threads, real ones even where ``threading.Thread`` has been patched to start greenlets.

They free the hub that gevent may have made for them: the code they run need not know.
"""

import _thread
import atexit
import os
import sys
import threading
from contextlib import suppress

import gevent

from . import native
from .hubs import discard_hub, greenlets_left
from .leaving import note_thread
from .shortage import wait_in_loops
from .waking import Condition


def start_thread(body, *, shown_as, daemon):
    """Run ``body()`` in a new OS thread; RuntimeError if the system refuses one.

    ``shown_as`` is the function the thread's name speaks of. In a plain process the code sees a
    ``threading.Thread`` as its current thread; in a patched one there can be none, so it sees a
    dummy of the same name.
    """
    if native.start_new_thread is _thread.start_new_thread:
        _Thread(body, shown_as, daemon).start()
    else:
        _start_under_patching(body, shown_as, daemon)


def descriptors_for_thread() -> int:
    """How many must be left for the next thread to begin, and for those that are about to.

    Under monkey patching they need some, and ``start_thread`` refuses none for want of them.
    """
    return _FOR_A_HUB * (1 + len(_hubs_to_come)) if native.is_patched() else 0


class _Thread(threading.Thread):
    def __init__(self, body, shown_as, daemon):
        super().__init__(target=shown_as, daemon=daemon)
        self._body = body

    def run(self):
        try:
            note_thread(comes_back=False)
            wait_in_loops()
            self._body()
        finally:
            del self._body
            discard_hub()


class _Shown:
    """What ``threading.excepthook`` wants to know of a thread."""

    def __init__(self, name):
        self.name = name
        self.ident = native.get_ident()


# What gevent opens for the hub of a thread.
_FOR_A_HUB = 2

# A token for each thread that is about to make its hub. No lock: sets change in single steps.
_hubs_to_come: set[object] = set()

# The interpreter waits for threads of its own that are not daemons; for these we do.
_awaited = 0
_none_awaited = Condition()


def _start_under_patching(body, shown_as, daemon):
    global _awaited

    token = object()

    def run():
        wait_in_loops()
        name = _name_as_thread(threading.current_thread(), shown_as)
        try:
            note_thread(comes_back=False)
            with suppress(Exception):  # the body will meet it again
                gevent.get_hub()
            _hubs_to_come.discard(token)
            body()
        except BaseException:
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), _Shown(name))))
        finally:
            # Threads that the code has started are greenlets on this hub. If they are no daemons,
            # threading has the exit wait for them.
            is_awaited = not daemon
            while left := greenlets_left():
                if is_awaited:
                    is_awaited = _note_end()
                with suppress(BaseException):  # such as a Timeout that nobody cancelled
                    gevent.joinall(left)
            discard_hub()
            # gevent forgets the dummy only when greenlet has freed what was the thread's.
            threading._active.pop(threading.get_ident(), None)  # type: ignore[attr-defined]
            if is_awaited:
                _note_end()

    if not daemon:
        with _none_awaited:
            _awaited += 1
    _hubs_to_come.add(token)
    try:
        native.start_new_thread(run, ())
    except BaseException:
        _hubs_to_come.discard(token)
        if not daemon:
            with _none_awaited:
                _awaited -= 1
        raise


def _note_end():
    global _awaited
    with _none_awaited:
        _awaited -= 1
        _none_awaited.notify_all()
    return False


def _name_as_thread(dummy, target):
    """Give a dummy thread the name a thread of its number would have, and return it."""
    dummy.name = dummy.name.replace("Dummy-", "Thread-")
    if hasattr(target, "__name__"):
        dummy.name += f" ({target.__name__})"
    return dummy.name


def _forget_threads():
    global _awaited, _none_awaited
    _awaited, _none_awaited = 0, Condition()
    _hubs_to_come.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


@atexit.register
def _await_threads():
    with _none_awaited:
        _none_awaited.wait_for(lambda: not _awaited)
