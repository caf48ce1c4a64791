"""Pipes through which the kernel moves bytes from one socket to another, without copying them."""

import fcntl
import os
from collections import deque
from contextlib import suppress

from . import native

CAPACITY = 1 << 20

# A process has so many at most. An unprivileged user has 64 MiB for those of all his processes.
MOST = 32

# With less in it, copying is as quick.
_LEAST = 1 << 16

_is_possible = hasattr(os, "splice") and hasattr(fcntl, "F_SETPIPE_SZ")
_idle: "deque[Pipe]" = deque()
_taken = 0


class Pipe:
    """An empty pipe; ``held``: how many bytes are in it, for its user to keep."""

    __slots__ = ("output", "input", "held")

    def __init__(self):
        self.held = 0
        self.output, self.input = os.pipe()
        for fd in self.output, self.input:
            os.set_blocking(fd, False)
        with suppress(OSError):  # too many have large ones
            fcntl.fcntl(self.input, fcntl.F_SETPIPE_SZ, CAPACITY)

    @property
    def is_small(self):
        return fcntl.fcntl(self.input, fcntl.F_GETPIPE_SZ) < _LEAST

    def close(self):
        native.close(self.output)
        native.close(self.input)


def take():
    """A pipe for the caller alone; None if there is none to be had."""
    global _taken
    with suppress(IndexError):
        return _idle.pop()
    if not _is_possible or _taken >= MOST:
        return None
    try:
        pipe = Pipe()
    except OSError:
        return None
    if pipe.is_small:
        pipe.close()
        return None
    _taken += 1
    return pipe


def give_back(pipe):
    """Let somebody else have it."""
    global _taken
    if pipe.held:
        pipe.close()
        _taken -= 1
    else:
        _idle.append(pipe)


def _forget():
    """In a forked child: what goes through them is the parent's."""
    global _taken
    while _idle:
        _idle.pop().close()
    _taken = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
