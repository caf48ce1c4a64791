"""Deadlines of OS threads: what a thread may still wait, kept where its waits can look.

Nothing can interrupt a thread from outside. So a deadline is written down for the thread, and
every wait of the toolbox and of its connection looks here first.
"""

from contextlib import contextmanager
from threading import local
from time import monotonic

_thread = local()


@contextmanager
def deadline(seconds):
    """The waits of the block may take ``seconds`` together (None for no limit)."""
    outer = getattr(_thread, "ends", None)
    ends = None if seconds is None else monotonic() + seconds
    if outer is not None and (ends is None or outer < ends):
        ends = outer
    _thread.ends = ends
    try:
        yield
    finally:
        _thread.ends = outer


def remaining():
    """Seconds left until this thread's deadline, never negative; None if it has none."""
    ends = getattr(_thread, "ends", None)
    return None if ends is None else max(0.0, ends - monotonic())


def check() -> None:
    """Raise TimeoutError if this thread's deadline has passed."""
    if remaining() == 0.0:
        raise TimeoutError("the deadline has passed")


def nearest(timeout):
    """The shorter of ``timeout`` and what is left; None if neither limits."""
    left = remaining()
    if left is None:
        return timeout
    return left if timeout is None else min(left, timeout)
