"""Workers come and go: there are as many as are wanted, whoever dies."""

from itertools import count
from time import monotonic

from .. import events
from .doors import Doors, shut
from .slots import Slot
from .workers import Worker


class Staffing(Doors):
    """Has somebody at work in each slot; ``work``: what is done there, see Slot."""

    def __init__(self, server, open_listener, work, at_desk=None):
        super().__init__(server, open_listener, at_desk)
        self._work = work
        self._serials = count()
        self._told_wanted = 0
        self._looked_at = self._awake_since = 0.0

    def have(self, workers):
        """Have so many workers."""
        while self.wanted < workers:
            self.add()

    def add(self):
        """Have one worker more. OSError if it cannot have a listener."""
        index = self._next_index()
        self._add(index, *self._open_listener(index))

    def finish(self, listener):
        """Have what is in the queue of a listener served, and then close it."""
        slot = self._add(self._next_index(), listener, None)
        shut(slot)
        slot.give_up()

    def _next_index(self):
        taken = {slot.index for slot in self.slots}
        return next(index for index in count() if index not in taken)

    def _add(self, index, listener, pushing):
        slot = Slot(index, self._work)
        self._equip(slot, listener, pushing)
        self.slots.append(slot)
        return slot

    def remove(self):
        """Have one worker less, but at least one."""
        wanted = [slot for slot in self.slots if slot.is_wanted]
        if len(wanted) > 1:
            last = wanted[-1]
            if last.pushing is not None:
                last.is_wanted = last.wants_successor = False
                if self.tell_desk("without", last.index):
                    return  # to be given up when the desk has understood
            elif last.has_listener:
                shut(last)
            last.give_up()

    def fill_vacancies(self):
        """Have somebody for every queue that nobody takes from, if it is time."""
        for slot in self.slots:
            if slot.worker is None:
                slot.fill(self._begin)

    def fill(self):
        """Have somebody where somebody is missing; seconds until there may be more to do."""
        for slot in self.slots:
            if slot.is_over and slot.has_listener:
                slot.close()
        self.slots = [slot for slot in self.slots if not slot.is_over]
        times = [slot.fill(self._begin) for slot in self._places]
        wanted = self.wanted
        if wanted != self._told_wanted and self.tell_desk("wanted", wanted):
            self._told_wanted = wanted
        return min((seconds for seconds in times if seconds is not None), default=None)

    def _begin(self, slot):
        card = None
        try:
            card = self.board.card()
            worker = Worker(card, next(self._serials))
            worker.begin(lambda: slot.work(slot, worker))
        except OSError as error:
            if card is not None:
                self.board.take_back(card)
            events.emit(events.WorkerFailed, self._server, slot.index, error)
            return None
        if slot is not self.desk:
            self.tell_desk(
                "worker", slot.index, worker.child.pid, card.number, fd=worker.ear.fileno()
            )
        return worker

    def staff_desk(self, *words):
        """Have somebody there, who is told that first; seconds until it may be tried again."""
        if self.desk.worker is not None:
            return None
        pause = self.desk.fill(self._begin)
        self.tell_desk(*words)
        return pause

    def kill_hung(self, limit):
        """End those whose hub stands still for ``limit`` seconds; when to look again."""
        if limit is None:
            return None
        now = monotonic()
        if now - self._looked_at > limit / 2:
            self._awake_since = now  # this process stood still as well: all of them were stopped
        self._looked_at = now
        for _, worker in self._everybody:
            if worker.stands_still_for(limit, self._awake_since):
                worker.kill("hung")
        return limit / 4

    def _reap(self, slot, worker):
        status = worker.end()
        if self.desk is not None and slot is not self.desk:
            self._settle(slot, worker)
        self.board.take_back(worker.card)
        pause = slot.forget(worker)
        if slot is self.desk:
            for each in self.slots:
                if not each.is_wanted:
                    each.give_up()  # which it may have been about to answer for
        else:
            self.tell_desk("gone", slot.index, worker.child.pid)
        what = slot.index, worker.child.pid, worker.reason or "died", status, pause
        events.emit(events.WorkerEnded, self._server, *what)

    def _settle(self, slot, worker):
        """Keep the numbers of a worker that has ended."""
        others = [other.serial for other in slot.workers if other is not worker]
        is_replaced = slot.is_wanted and self.board.state not in ("stopped", "draining")
        reason = (worker.reason or "died") if is_replaced else None
        self.ledger.settle(slot.index, worker.serial, worker.card.read(), others, reason)
