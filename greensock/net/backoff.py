"""What an error of accept means, and how long to wait before the next try."""

import errno

# https://man7.org/linux/man-pages/man2/accept.2.html: out of descriptors, buffers or memory. The
# connection stays in the backlog, so trying again at once would only burn the processor.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

# The descriptor is closed, or has never been a socket.
GONE = frozenset({errno.EBADF, errno.ENOTSOCK})

FIRST_PAUSE = 0.01
LONGEST_PAUSE = 1.0

# One client after another may spoil its own accept; this many in a row are not clients.
TOLERATED_IN_A_ROW = 100


class Backoff:
    """Pauses that double from 10 ms to 1 s, until something succeeds.

    ``failures``: how many there were since the last success.
    """

    def __init__(self):
        self.failures = 0
        self._pause = FIRST_PAUSE

    def pause_after(self, error):
        """Seconds to wait after ``error``; 0 if it was one client's own fault, as far as known."""
        self.failures += 1
        exhausted = isinstance(error, OSError) and error.errno in EXHAUSTED
        if not exhausted and self.failures <= TOLERATED_IN_A_ROW:
            return 0
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause

    def success(self):
        """Start over."""
        self.failures = 0
        self._pause = FIRST_PAUSE
