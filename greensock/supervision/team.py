"""All workers of a server, each in its slot."""

import os
import select
from itertools import count
from math import inf
from time import monotonic
from typing import Any

from .. import events
from ..net import native
from ..net.hubs import in_main_thread
from ..net.listeners import close_all_in_child
from ..net.newcomers import keep_newcomers_out
from ..net.waking import LOOK_FOR_SIGNALS
from .board import Board
from .ledger import Ledger
from .slots import Slot
from .workers import Worker


# Seconds for whoever shall end at once to do so.
GRACE = 3.0

# Seconds to wait at a time, at most. poll(2) takes no more milliseconds than fit into an int.
LONGEST = 3600.0


class Team:
    """The workers of ``server``, and the desk, if it has one.

    ``open_listener(index)`` and ``work`` are the server's part; see Slot. ``at_desk``: what is done
    at the desk, None if it needs none.
    """

    def __init__(self, server, open_listener, work, at_desk=None):
        self.slots = []
        self.board = Board()
        self.ledger = Ledger(self.board)
        self.desk: Any = None if at_desk is None else Slot(None, at_desk)
        self._server = server
        self._told_wanted = 0
        self._open_listener = open_listener
        self._work = work
        self._serials = count()
        self._leavers = []
        self._looked_at = self._awake_since = 0.0

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
        _shut(slot)
        slot.give_up()

    def _next_index(self):
        taken = {slot.index for slot in self.slots}
        return next(index for index in count() if index not in taken)

    def _add(self, index, listener, pushing):
        slot = Slot(index, self._work)
        self._equip(slot, listener, pushing)
        self.slots.append(slot)
        return slot

    def _equip(self, slot, listener, pushing):
        if listener.fileno() >= 0:
            # For good: a worker that ends would make it block for all who have it.
            os.set_blocking(listener.fileno(), False)
        slot.listener, slot.pushing = listener, pushing
        slot.has_listener = listener is not self._server.socket
        slot.has_own_queue = slot.has_listener or self._server._gs_has_listeners()
        if pushing is not None:
            self.tell_desk("slot", slot.index, fd=pushing.fileno())

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
                _shut(last)
            last.give_up()

    def let_leave(self):
        """Have those retire who have asked for it."""
        while self._leavers:
            slot, worker = self._leavers.pop()
            slot.retire(worker, "asked")

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

    def tell_desk(self, *words, fd=None):
        """Say it at the desk, if there is one; whether somebody is there to hear."""
        clerk = self.desk and self.desk.worker
        if clerk is not None and not clerk.line.say(*words, fd=fd):
            clerk.kill("hung")  # it does not listen; the next one begins with all there is
        return clerk is not None

    def staff_desk(self, *words):
        """Have somebody there, who is told that first; seconds until it may be tried again."""
        if self.desk.worker is not None:
            return None
        pause = self.desk.fill(self._begin)
        self.tell_desk(*words)
        return pause

    @property
    def _places(self):
        return self.slots if self.desk is None else [*self.slots, self.desk]

    @property
    def _everybody(self):
        return [(slot, worker) for slot in self._places for worker in slot.workers]

    def wait(self, timeout, *others):
        """Wait until a worker says something or ends, or one of ``others`` is readable.

        At most ``timeout`` seconds, None for no limit. What was said that concerns everybody, each
        time a list of words.
        """
        poll = native.poll()
        workers = self._everybody
        for descriptor in others:
            poll.register(descriptor, select.POLLIN)
        for _, worker in workers:
            poll.register(worker.child.sentinel, select.POLLIN)
            if worker.line.is_open:
                poll.register(worker.line, select.POLLIN)
        if in_main_thread():  # a signal may come just as it goes to wait
            timeout = LOOK_FOR_SIGNALS if timeout is None else min(timeout, LOOK_FOR_SIGNALS)
        ready = dict(poll.poll(None if timeout is None else min(timeout, LONGEST) * 1000))
        said = []
        for slot, worker in workers:
            has_ended = worker.child.sentinel in ready
            for word, *rest in worker.line.hear():
                said += self._heard(slot, worker, word, *rest)
            if has_ended:
                self._reap(slot, worker)
        return said

    def _heard(self, slot, worker, word, *rest):
        if slot is self.desk:
            if word == "ready":
                slot.note_ready(worker)
                return []
            if word == "without":
                self._give_up(int(rest[0]))
                return []
            return [[word, *rest]]
        if word == "ready":
            events.emit(events.WorkerStarted, self._server, slot.index, worker.child.pid)
            self.tell_desk("ready", slot.index, worker.child.pid)
            slot.note_ready(worker)
        elif word == "leaving":
            self._leavers.append((slot, worker))
        elif word == "resting":
            slot.note_resting(worker)
        elif word == "done":
            worker.is_done = True
        elif word == "enough":
            slot.replace_for_good(worker, rest[0])
        else:
            return [[word, *rest]]
        return []

    def _give_up(self, index):
        for slot in self.slots:
            if slot.index == index:
                slot.give_up()

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

    def end(self):
        """Have everybody cut what they are at work on and end, within GRACE seconds."""
        self.say("cut")
        self.note_reason("cut")
        self.wait_for_all(GRACE)
        for _, worker in self.workers:
            worker.kill("cut")
        self.wait_for_all(None)

    def wait_for_all(self, timeout):
        """Wait until all workers have ended, at most ``timeout`` seconds; whether they have."""
        return self._wait_until(lambda: not self.workers, timeout)

    def wait_for_rest(self):
        """Wait until nobody takes any more, at most GRACE seconds."""
        self._wait_until(lambda: not any(each.is_taking for _, each in self.workers), GRACE)

    def _wait_until(self, fits, timeout):
        ends = inf if timeout is None else monotonic() + timeout
        while not fits():
            left = ends - monotonic()
            if left <= 0:
                return False
            self.wait(None if left == inf else left)
        return True

    def note_reason(self, reason):
        """Why those end who were not asked to before."""
        for _, worker in self.workers:
            worker.reason = worker.reason or reason

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

    def say(self, *words):
        """Say it to everybody."""
        for _, worker in self.workers:
            worker.line.say(*words)

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

    def close(self):
        """Look after nobody any more. Who is at work still is left alone."""
        self.close_listeners()
        if self.desk is not None:
            self._dismiss_desk()
        for _, worker in self.workers:
            worker.forget()

    def _dismiss_desk(self):
        self.desk.give_up()
        if not self._wait_until(lambda: not self.desk.workers, GRACE):
            for clerk in self.desk.workers:
                clerk.kill("hung")
            self._wait_until(lambda: not self.desk.workers, None)

    def close_in_child(self, slot):
        """In a worker of ``slot``: close what is the supervisor's, or another slot's."""
        server = self._server
        # Those of the program's other servers, too: they shall come free when those are closed.
        at_desk = slot is self.desk
        close_all_in_child(*([server.socket, server._gs_site] if at_desk else [slot.listener]))
        for other in self.slots:
            if other.listener is not slot.listener:
                other.close()
            elif other.pushing is not None:
                other.pushing.close()
        for _, worker in self._everybody:
            worker.forget()


def _shut(slot):
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
