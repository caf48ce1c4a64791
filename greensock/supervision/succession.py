"""A supervisor leaves to a new version of its program, once that is ready."""

from time import monotonic
from typing import Any

from .. import events
from ..net.systemd import notify
from . import orphans
from .upgrade import Successor


class Succession:
    """What becomes of ``server``'s successors.

    ``is_settled``: whether one has taken over. ``successor``: who is about to, or None.
    """

    def __init__(self, server):
        self.is_settled = False
        self.successor: Any = None
        self._server = server

    def begin(self):
        """Start one, unless one is on its way."""
        if self.successor is not None:
            return
        if orphans.is_init():
            why = "this is process 1, with which all others would end; start another container"
            events.emit(events.UpgradeFailed, self._server, 0, why)
            return
        try:
            self.successor = Successor(self._server._gs_bequest())
        except OSError as error:
            events.emit(events.UpgradeFailed, self._server, 0, str(error))

    def look(self):
        """See how it is getting on; seconds until its time is over, None for no limit."""
        if self.successor is None:
            return None
        limit = self._server.upgrade_timeout
        left = None if limit is None else self.successor.began_at + limit - monotonic()
        return self._go_by_it(left, f"it was not ready within {limit} s")

    def decide(self):
        """Have it take over or not: this program ends.

        It may not come later to sockets that were closed to newcomers, or have nobody there.
        """
        if self.successor is not None:
            self._go_by_it(0.0, "this one was told to end")

    def _go_by_it(self, left, otherwise):
        """Leave to it if it is ready, and dismiss it if it has failed or no seconds are ``left``.

        ``otherwise``: why, in that case. Returned is for how long to leave it alone.
        """
        successor = self.successor
        is_ready = successor.is_ready()
        if is_ready:
            self.is_settled = True
            self.successor = None
            successor.close()
            self._server._gs_disown()
            notify(f"MAINPID={successor.pid}")
            events.emit(events.UpgradeEnded, self._server, successor.pid)
            self._server.drain()
        elif is_ready is not None or left is not None and left <= 0.0:
            self.successor = None
            how = successor.dismiss()
            reason = how if is_ready is not None else otherwise
            events.emit(events.UpgradeFailed, self._server, successor.pid, reason)
        else:
            return left
        return 0.0

    def close(self):
        """Have nobody take over any more."""
        if self.successor is not None:
            self.successor.dismiss()
