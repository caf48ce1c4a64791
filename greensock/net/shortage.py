"""What to do when descriptors run short: look before one begins, and wait where one has to go on.

libev, below gevent's hubs, must have descriptors for a loop. It tries again until it gets them, as
long as what it reports that to raises nothing. gevent's own report raises, and outside the main
thread libev then ends the process.
"""

import os

from gevent import config
from gevent._hub_local import get_loop

from . import native
from .backoff import EXHAUSTED

# Seconds until a thread tries again that wants a descriptor for its loop.
PAUSE = 0.05


def check_descriptors(count):
    """OSError unless this process could open ``count`` files now."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened += os.pipe() if count - len(opened) > 1 else [os.open(os.devnull, os.O_RDONLY)]
    finally:
        for fd in opened:
            native.close(fd)


def wait_in_loops() -> None:
    """Have a thread whose loop cannot have a descriptor wait until it can.

    To be called in each thread, because every loop of a main thread undoes it.
    """
    if _set_report is not None:
        _set_report(_report)


def _report(message, number):
    loop = get_loop()
    if loop is None or number in EXHAUSTED:
        native.sleep(PAUSE)
    else:
        loop._handle_syserr(message, number)


def _find_setter():
    module = __import__(config.loop.__module__, fromlist=["set_syserr_cb"])
    return getattr(module, "set_syserr_cb", None)  # libuv fails as it should


_set_report = _find_setter()
