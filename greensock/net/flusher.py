"""One thread that sees when there is room to write, for connections that belong to no hub.

It is started when it is needed first, and a forked child starts one of its own. It calls functions
that do not wait.
"""

import _signal  # type: ignore[import-not-found]  # its enums cost more than the call
import os
import select
import signal
from collections import deque
from contextlib import suppress
from typing import Any

from . import native

_ALL_SIGNALS = [int(number) for number in signal.valid_signals()]


class Flusher:
    """Watches descriptors; any thread may ask it to."""

    def __init__(self):
        self._asked: Any = deque()
        self._bell = -1
        self._guard = native.make_rlock()

    def watch(self, fd, event, function):
        """Have ``function()`` called, once, when ``event`` (of poll) is there.

        False if there can be no thread or descriptor for it.
        """
        self._asked.append((fd, event, function))
        with self._guard:
            if self._bell < 0 and not self._start():
                return False
        with suppress(BlockingIOError):  # it has not heard the others yet
            os.write(self._bell, b"!")
        return True

    def _start(self):
        try:
            ours, bell = os.pipe()
        except OSError:
            return False
        os.set_blocking(ours, False)
        os.set_blocking(bell, False)
        try:
            native.start_new_thread(self._run, (ours,))
        except RuntimeError:
            native.close(ours)
            native.close(bell)
            return False
        self._ours, self._bell = ours, bell
        return True

    def _run(self, ours):
        # Signals are for those threads that a handler of one shall interrupt.
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _ALL_SIGNALS)
        poll = native.poll()
        poll.register(ours, select.POLLIN)
        functions: dict[int, Any] = {}
        while True:
            for fd, _ in poll.poll():
                if fd == ours:
                    with suppress(BlockingIOError):
                        os.read(ours, 4096)
                elif fd in functions:
                    poll.unregister(fd)
                    functions.pop(fd)()
            while self._asked:
                fd, event, function = self._asked.popleft()
                if fd >= 0:  # or else it was closed meanwhile
                    functions[fd] = function
                    poll.register(fd, event)

    def forget(self):
        """In a forked child, where its thread is not."""
        if self._bell >= 0:
            native.close(self._bell)
            native.close(self._ours)
        self.__init__()  # type: ignore[misc]


flusher = Flusher()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=flusher.forget)
