"""A worker as its supervisor knows it."""

import signal
from time import monotonic

from ..net import native
from ..net.children import Child
from ..net.listeners import note_for_child
from .lines import Line
from .orders import SIGNALS, ignore


class Worker:
    """A process at work, or about to be.

    ``serial``: no other worker of its team has it, and none that began before has a higher one.
    ``ready_at``: monotonic seconds, None before. ``is_taking``: whether it may take more requests.
    ``reason``: why it ends, None as long as nothing is known of that. ``is_done``: whether it has
    said that it has served all there was, which its exit status would tell as well, if nobody else
    had waited for it.
    """

    def __init__(self, card, serial=0):
        self.card = card
        self.serial = serial
        self.child = Child()
        self.line, self.its_line = Line.pair()
        # For the desk to ask it questions; the supervisor keeps one end for the next desk.
        self.ear, self.its_ear = Line.pair()
        for ours in self.line, self.ear:
            note_for_child(ours)
        self.began_at = monotonic()
        self.ready_at = None
        self.is_taking = True
        self.reason = None
        self.is_done = False

    def begin(self, work):
        """Fork it; ``work()`` is its life, and returns its exit status. OSError if it cannot be."""

        def live():
            self._close_ours()
            return work()

        try:
            self.child.fork(live, [(number, ignore) for number in SIGNALS])
        except BaseException:
            self._close_ours()
            raise
        finally:
            self.its_line.close()
            self.its_ear.close()

    @property
    def seconds_ready(self):
        """For how long it has been ready."""
        return 0.0 if self.ready_at is None else monotonic() - self.ready_at

    def stands_still_for(self, seconds, since):
        """Whether its hub has not turned for so long, or it was not ready by then.

        Only what was after ``since`` counts, monotonic seconds.
        """
        return monotonic() - max(self.began_at, self.card.beaten_at, since) > seconds

    def kill(self, reason):
        """End it without its help."""
        self.reason = reason
        self.child.signal(signal.SIGKILL)

    def end(self):
        """Reap it, once it has ended; its wait status, None if that is not known."""
        self._close_ours()
        return self.child.reap()

    def forget(self):
        """Close what the supervisor has of it, here or in another process."""
        self._close_ours()
        if self.child.sentinel >= 0:
            native.close(self.child.sentinel)

    def _close_ours(self):
        self.line.close()
        self.ear.close()
