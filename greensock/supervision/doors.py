"""What the workers of a server take from, and who keeps it open, and closes it."""

import os

from ..net.listeners import close_all_in_child, close_in_child
from ..net.newcomers import keep_newcomers_out
from .roster import Roster


class Doors(Roster):
    """The listeners of all slots; ``open_listener(index)`` opens one, or a hatch: see Slot."""

    def __init__(self, server, open_listener, at_desk=None):
        super().__init__(server, at_desk)
        self._open_listener = open_listener

    def _equip(self, slot, listener, pushing):
        if listener.fileno() >= 0:
            # For good: a worker that ends would make it block for all who have it.
            os.set_blocking(listener.fileno(), False)
        slot.listener, slot.pushing = listener, pushing
        slot.has_listener = listener is not self._server.socket
        slot.has_own_queue = slot.has_listener or self._server._gs_has_listeners()
        if pushing is not None:
            self.tell_desk("slot", slot.index, fd=pushing.fileno())

    def keep_newcomers_out(self):
        """Let nobody new into the queues; whether that could be done for all of them."""
        done = [self._server._gs_keep_newcomers_out()]
        own = [slot for slot in self.slots if slot.has_listener and slot.pushing is None]
        done += [keep_newcomers_out(slot.listener) for slot in own]
        return all(done)

    def close_listeners(self):
        """Leave the listeners to the workers, but for the server's own."""
        for slot in self.slots:
            if slot.has_listener:
                slot.close()

    def release(self):
        """Have everybody take no more, and close all listeners but the server's own."""
        if self.balances:
            self.say("suspend", "keep")
            self.desk.retire_all("replaced")  # nobody else has the listener
        else:
            self.say("suspend", "release")
            self.close_listeners()

    def reopen(self):
        """Go on, with other listeners."""
        if self.balances:
            self.desk.retire_all("replaced")
            self.say("resume")
            return
        self.retire_all("replaced")
        for slot in self.slots:
            if slot.is_wanted:
                self._equip(slot, *self._open_listener(slot.index))
            else:
                slot.is_emptied = True

    def close_in_child(self, slot):
        """In a worker of ``slot``: close what is the supervisor's, or another slot's."""
        server = self._server
        # Those of the program's other servers, too: they shall come free when those are closed.
        at_desk = slot is self.desk
        close_all_in_child(*([server.socket, server._gs_site] if at_desk else [slot.listener]))
        for other in self.slots:
            if other.listener is not slot.listener:
                close_in_child(other.listener)
            if other.pushing is not None:
                other.pushing.close()
        for _, worker in self._everybody:
            worker.forget()


def shut(slot):
    """Lead newcomers elsewhere than to a slot that goes."""
    if not _migrates():
        slot.is_shut = keep_newcomers_out(slot.listener)


def _migrates():
    """Whether the system leads those in the queue of a listener that is closed to another one."""
    try:
        with open("/proc/sys/net/ipv4/tcp_migrate_req") as setting:
            return setting.read().strip() == "1"
    except OSError:
        return False
