"""A signal reaches a hub that waits.

Python runs a signal's handler at the main thread's next bytecode. If the signal comes just as that
thread goes to wait in the kernel, or is delivered to another thread, the handler would have to wait
for somebody's next request. So Python is asked to write a byte for each signal where the main
thread's hub sees it.
"""

import _signal  # type: ignore[import-not-found]  # its enums cost more than the calls
import os
import sys
from contextlib import suppress
from functools import partial
from signal import SIG_BLOCK
from types import FrameType
from typing import Any

from gevent.monkey import get_original

from . import native

_pthread_sigmask = get_original("signal", "pthread_sigmask")
_set_wakeup_fd = get_original("signal", "set_wakeup_fd")

_ear: "_Ear | None" = None


class _Ear:
    def __init__(self, hub):
        self.hub = hub
        self.process = os.getpid()
        self.ours, self.theirs = os.pipe()
        os.set_blocking(self.ours, False)
        os.set_blocking(self.theirs, False)
        self._watcher = hub.loop.io(self.ours, 1, ref=False)
        self._watcher.start(self._hear)

    def _hear(self):
        if os.getpid() != self.process:
            self._watcher.stop()  # a forked child goes on with this hub; the bytes are not for it
            return
        try:
            os.read(self.ours, 4096)
        except BlockingIOError:
            pass
        # This looks for signals. Python 3.13.0 does not by itself in a child that another thread
        # than the main one has forked.
        _pthread_sigmask(SIG_BLOCK, ())

    def close(self):
        if os.getpid() == self.process:
            native.close(self.ours)
            native.close(self.theirs)


def hear_signals(hub: Any) -> None:
    """Have ``hub``, the main thread's, wake up for every signal from now on.

    It does nothing if somebody else has called ``signal.set_wakeup_fd`` and takes care of that.
    """
    global _ear
    old = None
    if _ear is None or _ear.hub is not hub:
        old, _ear = _ear, _Ear(hub)
    former = _set_wakeup_fd(_ear.theirs, warn_on_full_buffer=False)
    if former not in (-1, _ear.theirs, old and old.theirs):
        with suppress(OSError, ValueError):  # it was closed, and may be something else by now
            _set_wakeup_fd(former)
    if old is not None:
        old.close()  # the main thread's hub was destroyed, and it has a new one


def in_signal_handler() -> bool:
    """Whether the caller was called, at whatever depth, by a signal handler written in Python.

    Whoever was interrupted goes on only when that returns.
    """
    handlers = [_signal.getsignal(number) for number in range(1, _signal.NSIG)]
    codes = {code for handler in handlers if (code := _code_of(handler)) is not None}
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def _code_of(handler):
    while isinstance(handler, partial):
        handler = handler.func
    function = getattr(handler, "__func__", handler)
    if callable(function) and not hasattr(function, "__code__"):
        function = type(function).__call__  # an object of a class of its own
    return getattr(function, "__code__", None)


def _hear_nothing():
    global _ear
    if _ear is not None:
        former = _set_wakeup_fd(-1)
        if former != _ear.theirs:
            _set_wakeup_fd(former)
        _ear = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_hear_nothing)
