"""Ending a supervisor's wait: from a signal handler, from another thread, from a worker."""

import os
import signal
from collections import deque
from contextlib import contextmanager, suppress

from ..net import native

SIGNALS = {
    signal.SIGTERM: "end",
    signal.SIGINT: "end",
    signal.SIGQUIT: "cut",
    signal.SIGHUP: "reload",
    signal.SIGTTIN: "add",
    signal.SIGTTOU: "remove",
    signal.SIGUSR1: "reopen",
    signal.SIGUSR2: "upgrade",
}

_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


def ignore():
    """Do nothing about a signal; unlike SIG_IGN, a program that a handler starts is not deaf."""


class Orders:
    """What a supervisor was asked to do. Any thread and signal handler may ask."""

    def __init__(self):
        self._orders: deque[str] = deque()
        self._theirs, self._ours = os.pipe()
        os.set_blocking(self._theirs, False)
        os.set_blocking(self._ours, False)

    def fileno(self):
        """Readable while there are any."""
        return self._theirs

    def give(self, order):
        """Ask for ``order``."""
        self._orders.append(order)
        with suppress(OSError):  # it is full, which is as good, or closed
            os.write(self._ours, b"!")

    def take(self):
        """All of them, in order."""
        with suppress(BlockingIOError):
            while os.read(self._theirs, 1000):
                pass
        while self._orders:
            yield self._orders.popleft()

    def close(self):
        """Forget them."""
        for fd in self._theirs, self._ours:
            native.close(fd)


@contextmanager
def heard(orders, meanings):
    """Meanwhile signals are orders: ``meanings`` is a dictionary of both.

    Those that somebody has made arrangements for, or that are ignored, are left alone.
    """
    former = {}
    for number, order in meanings.items():
        if signal.getsignal(number) in _DEFAULTS:
            former[number] = signal.signal(number, lambda *_, order=order: orders.give(order))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
