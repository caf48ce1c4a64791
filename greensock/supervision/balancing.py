"""Connections are dealt out evenly: each to the worker that has the fewest.

Done at the desk, which alone accepts then. What a worker has is what it notes on its card, and what
is on its way there: pushed through its hatch and not taken yet.
"""

import os
from typing import Any

import gevent

from ..loop import SETTLING
from ..net import native
from ..net.backoff import Backoff
from ..net.handover import raw
from .hatch import Pushing

# Connections accepted before others at the desk get their turn.
AT_ONCE = 64

# Seconds until it tries again where no hatch had room.
FULL = 0.01


class _Place:
    """A slot as the desk knows it: its hatch, and the cards of those who took from that."""

    def __init__(self, pushing):
        self.pushing = pushing
        self.worker = None
        self._cards = {}
        self.pushed = 0
        self._taken_by_the_gone = 0

    def meet(self, pid, card):
        self._cards[pid] = card
        self.pushed += card.taken  # by way of an earlier desk

    def note_ready(self, pid):
        self.worker = self._cards.get(pid, self.worker)

    def forget(self, pid):
        self._taken_by_the_gone += self._cards.pop(pid).taken

    @property
    def load(self):
        taken = self._taken_by_the_gone + sum(card.taken for card in self._cards.values())
        return self.pushed - taken + (0 if self.worker is None else self.worker.live)

    def push(self, fd, address):
        pushed = self.pushing.push(fd, address)
        self.pushed += pushed
        return pushed


class Balancing:
    """Accepts for the workers of ``desk``, as long as it is entered."""

    def __init__(self, desk):
        self._desk = desk
        self._listener = raw(desk.server.socket)
        self._places = {}
        self._in_hand: Any = None
        self._backoff = Backoff()
        self._is_resting = False
        self._watcher: Any = None
        self._timer: Any = None

    def __enter__(self):
        # A listener that was released is not there; another desk will have the next one.
        fd = self._listener.fileno()
        if fd >= 0:
            os.set_blocking(fd, False)
            self._watcher = gevent.get_hub().loop.io(fd, 1)
            if self._desk.server._gs_suspended is None:
                self.resume()
        return self

    def __exit__(self, *args):
        for watcher in self._watcher, self._timer:
            if watcher is not None:
                watcher.stop()
                watcher.close()

    def open(self, index, fd):
        """There is one slot more."""
        self._places[index] = _Place(Pushing(fd))

    def close(self, index):
        """Push nothing to a slot any more."""
        self._places.pop(index).pushing.close()

    def meet(self, index, pid, card):
        """A worker has begun in a slot."""
        if index in self._places:
            self._places[index].meet(pid, card)

    def note_ready(self, index, pid):
        """From now on it is this worker who takes."""
        if index in self._places:
            self._places[index].note_ready(pid)

    def forget(self, index, pid):
        """A worker has gone."""
        if index in self._places:
            self._places[index].forget(pid)

    def finish(self, *, at_once):
        """Push all that wait, and those who are about to unless ``at_once``; accept no more."""
        if not at_once:
            gevent.sleep(SETTLING)
            while self._in_hand is not None or self._accept():
                self._push_on()
                if self._in_hand is not None:
                    gevent.sleep(FULL)
        self.suspend()

    def suspend(self):
        """Accept no more."""
        self._is_resting = True
        if self._watcher is not None:
            self._watcher.stop()

    def resume(self):
        """Accept again."""
        self._is_resting = False
        if self._watcher is not None:
            self._watcher.start(self._take)

    def _take(self):
        for _ in range(AT_ONCE):
            if not self._accept():
                return
            self._push_on()
            if self._in_hand is not None:
                self._pause(FULL)
                return

    def _accept(self):
        """Have one more in hand; False if there is none."""
        try:
            self._in_hand = self._listener._accept()
        except BlockingIOError:
            return False
        except OSError as error:
            pause = self._backoff.pause_after(error)
            if pause:
                self._pause(pause)
            return False
        self._backoff.success()
        return True

    def _push_on(self):
        """Push what is in hand to whom it is due; it stays there if no hatch has room."""
        fd, address = self._in_hand
        # Of several that have as few, whoever has been given least.
        for place in sorted(self._places.values(), key=lambda place: (place.load, place.pushed)):
            if place.push(fd, address):
                native.close(fd)
                self._in_hand = None
                return

    def _pause(self, seconds):
        self._watcher.stop()
        if self._timer is not None:
            self._timer.close()
        self._timer = gevent.get_hub().loop.timer(seconds)
        self._timer.start(self._go_on)

    def _go_on(self):
        if self._in_hand is not None:
            self._push_on()
        if self._in_hand is not None:
            self._pause(FULL)
        elif not self._is_resting:
            self._watcher.start(self._take)
            self._take()
