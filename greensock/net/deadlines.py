"""Deadlines: how long what runs in a ``with`` block may still wait.

Nothing can interrupt a thread from outside. So ``deadline`` writes down when the time is up, and
every wait of the toolbox and of the connection looks here first. A greenlet's wait can be
interrupted, by a timer on its hub: ``GreenDeadline`` reaches every cooperative wait.
"""

from contextlib import contextmanager
from time import monotonic
from typing import Any

from gevent import get_hub
from gevent.hub import getcurrent

ends: dict[Any, float] = {}
"""When the time is up, by greenlet, because a thread with a hub runs many; any other thread is one
greenlet itself. While it is empty, nobody in the process has a deadline."""


@contextmanager
def deadline(seconds):
    """The waits of the block may take ``seconds`` together (None for no limit)."""
    me = getcurrent()
    outer = ends.get(me)
    if seconds is not None:
        mine = monotonic() + left_of(seconds)
        ends[me] = mine if outer is None else min(mine, outer)
    try:
        yield
    finally:
        if outer is not None:
            ends[me] = outer
        else:
            ends.pop(me, None)


def left_of(seconds):
    """How long a wait of so many seconds may be, 0 if they are negative; TypeError for others."""
    try:
        return max(0.0, seconds)
    except TypeError:
        raise TypeError(
            f"{seconds!r} is no deadline: give seconds, as in deadline(10), or None for no limit"
        ) from None


def remaining():
    """Seconds left until the caller's deadline, never negative; None if it has none."""
    mine = ends.get(getcurrent()) if ends else None
    return None if mine is None else max(0.0, mine - monotonic())


def check() -> None:
    """Raise TimeoutError if the caller's deadline has passed."""
    if remaining() == 0.0:
        raise passed()


def nearest(timeout):
    """The shorter of ``timeout`` and what is left; None if neither limits."""
    left = remaining()
    if left is None:
        return timeout
    return left if timeout is None else min(left, timeout)


def passed():
    """What the wait raises that would go past a deadline."""
    return TimeoutError("the deadline has passed")


class GreenDeadline:
    """The same for every cooperative wait of the greenlet that enters the block.

    Once the time is up, each further wait in the block is interrupted, too.
    """

    def __init__(self, seconds):
        self._seconds = seconds
        self._timer = None

    def __enter__(self):
        if self._seconds is not None:
            self._start(left_of(self._seconds), getcurrent())

    def __exit__(self, *args):
        self._stop()

    def _start(self, seconds, greenlet):
        self._timer = get_hub().loop.timer(seconds)
        # The loop's clock stands still while greenlets run; it must not cut the time short.
        self._timer.start(self._expire, greenlet, update=True)

    def _stop(self):
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _expire(self, greenlet):
        self._stop()
        self._start(0.0, greenlet)
        greenlet.throw(passed())
