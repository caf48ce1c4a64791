"""How worker processes share one address, with each other and with the next version."""

import errno
import socket
from typing import Any

from ..net import handover, native
from ..net.listeners import let_rebind, note_listening, set_alike
from ..supervision.hatch import hatch
from ..supervision.upgrade import inheritance
from .base import ModelMixIn


class _Bound(native.Socket):
    """One that is bound already, by the program which this one replaces."""

    def bind(self, address):
        """Nothing is left to do."""


class Sharing(ModelMixIn):
    """Opens a listener for every worker, or takes those of the version before over."""

    share = "reuseport"

    _gs_team: Any = None
    _gs_name = ""  # of the sockets, for the next version
    _gs_inherited: Any = ()
    _gs_succeeds = False

    def server_bind(self) -> None:
        """Bind the socket, or go on with that of the program which this one replaces."""
        if not self._gs_name:
            kind = int(self.socket.family), int(self.socket.type)
            self._gs_name = repr((*kind, self.server_address))
        inherited = inheritance.take(self._gs_name)
        if inherited:
            self.socket.close()
            self.socket = _Bound(fileno=inherited[0])
            self._gs_inherited = inherited[1:]
            self._gs_succeeds = True
        super().server_bind()

    def _gs_listener_for(self, index):
        """The listener of a slot; and the other end, if it is a hatch."""
        if self._gs_balances():
            return hatch(self.socket)
        if index == 0 or not self._gs_has_listeners():
            return self.socket, None
        if self._gs_inherited:
            return self._gs_under_tls(native.Socket(fileno=self._gs_inherited.pop(0))), None
        listener = native.Socket(self.socket.family, self.socket.type)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            set_alike(listener, self.socket)
            let_rebind(listener)
            listener.bind(self.socket.getsockname())
            if listener.type == socket.SOCK_STREAM:
                listener.listen(self.request_queue_size)
                note_listening(listener)
            listener.settimeout(self.socket.gettimeout())
        except BaseException:
            listener.close()
            raise
        return self._gs_under_tls(listener), None

    def _gs_under_tls(self, listener):
        if handover.is_tls(self.socket):
            return handover.listening_alike(listener, self.socket)
        return listener

    def _gs_balances(self):
        return self.share == "balance" and not self._gs_takes_datagrams()

    def _gs_has_listeners(self):
        """Whether every worker can have a listener of its own."""
        if self.share != "reuseport" or getattr(self, "_gs_adopted", False):
            return False
        if self.socket.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        try:
            # Not before it was bound: whoever starts the program twice shall be told.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except (OSError, AttributeError):
            return False  # the system has no such thing
        return True

    def _gs_finish_inherited(self):
        """Have the queues emptied of listeners that this version has no worker for."""
        inherited, self._gs_inherited = self._gs_inherited, ()
        for fd in inherited:
            self._gs_team.finish(self._gs_under_tls(native.Socket(fileno=fd)))

    def _gs_forget_inherited(self):
        """In a child process: close what is the supervisor's to go on with."""
        inherited, self._gs_inherited = self._gs_inherited, ()
        for fd in inherited:
            native.close(fd)
        inheritance.close()

    def _gs_bequest(self):
        """What a new version of the program needs; see Successor. OSError if it is not there."""
        if self.fileno() < 0:
            raise OSError(errno.EBADF, "the listener is released; resume() opens another one")
        # The queue of a slot that goes is for those who are there to empty.
        own = [
            slot.listener.fileno()
            for slot in self._gs_team.slots
            if slot.is_wanted and slot.has_listener and slot.pushing is None
        ]
        return {self._gs_name: [self.fileno(), *own]}

    def _gs_disown(self):
        """The new version has it all; take nothing away from it."""
        self._gs_unix_path = None

    def _gs_note_ready(self):
        """All workers are ready."""
        self._gs_finish_inherited()  # not before: until now the old version may stay
        inheritance.note_ready(self._gs_name)
