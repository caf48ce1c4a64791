"""Who works for a server, in which slots, and how all of them are told something."""

from typing import Any

from .board import Board
from .ledger import Ledger
from .slots import Slot


class Roster:
    """The workers of ``server``, and the desk, if it has one.

    ``at_desk``: what is done at the desk, None if it needs none.
    """

    def __init__(self, server, at_desk=None):
        self.slots: list[Slot] = []
        self.board = Board()
        self.ledger = Ledger(self.board)
        self.desk: Any = None if at_desk is None else Slot(None, at_desk)
        self._server = server

    @property
    def workers(self):
        """Everybody who is there, with the slot."""
        return [(slot, worker) for slot in self.slots for worker in slot.workers]

    @property
    def wanted(self):
        """How many workers there shall be."""
        return sum(slot.is_wanted for slot in self.slots)

    @property
    def balances(self):
        """Whether it is the desk that accepts."""
        return any(slot.pushing is not None for slot in self.slots)

    @property
    def is_complete(self):
        """Whether everybody is ready who is wanted."""
        wanted = [slot for slot in self._places if slot.is_wanted]
        return all(slot.worker is not None and slot.worker.ready_at for slot in wanted)

    @property
    def _places(self):
        return self.slots if self.desk is None else [*self.slots, self.desk]

    @property
    def _everybody(self):
        return [(slot, worker) for slot in self._places for worker in slot.workers]

    def tell_desk(self, *words, fd=None):
        """Say it at the desk, if there is one; whether somebody is there to hear."""
        clerk = self.desk and self.desk.worker
        if clerk is not None and not clerk.line.say(*words, fd=fd):
            clerk.kill("hung")  # it does not listen; the next one begins with all there is
        return clerk is not None

    def say(self, *words):
        """Say it to everybody."""
        for _, worker in self.workers:
            worker.line.say(*words)

    def note_reason(self, reason):
        """Why those end who were not asked to before."""
        for _, worker in self.workers:
            worker.reason = worker.reason or reason

    def retire_all(self, reason):
        """Have everybody take no more, and leave when they are done."""
        for slot in self.slots:
            slot.retire_all(reason)

    def leave_queues_to_others(self):
        """Have everybody leave whose queue the next version has. It has not those that go."""
        for slot in self.slots:
            if slot.is_wanted:
                for worker in slot.workers:
                    worker.line.say("retire")
