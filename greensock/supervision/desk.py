"""The desk: the process that speaks for the workers, and hands connections out to them.

It does on a hub what the supervisor, which runs none, cannot. It holds nothing that would be
missed: if it dies the next one begins with what the supervisor and the board know.
"""

import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any

import gevent
from gevent.lock import RLock
from gevent.socket import socket as Socket

from .attendance import BEATS, LEISURELY
from .balancing import Balancing
from .supervisor import SIGNALS

# Seconds for a worker to answer. It is asked on its hub, which may be busy.
PATIENCE = 2.0


class Known:
    """A worker as the desk knows it: its place, process and card, and how to ask it."""

    def __init__(self, index, pid, card, fd):
        self.index = index
        self.pid = pid
        self.card = card
        self._sock = Socket(fileno=fd)
        self._sock.settimeout(PATIENCE)
        self._turn = RLock()
        self._numbers = count()
        self._asked = None
        self._rest = b""

    def ask(self, *question):
        """What it answers: anything that JSON can say. OSError if it does not."""
        with self._turn:
            if self._asked is not None:
                self._hear()  # as long as it is at the last question, it is not asked another
            # Another desk may have asked before, and not waited.
            self._asked = f"{os.getpid()}.{next(self._numbers)}"
            self._sock.sendall(json.dumps([self._asked, *question]).encode() + b"\n")
            return self._hear()

    def _hear(self):
        while True:
            try:
                asked, answer = json.loads(self._line())
            except ValueError:
                continue  # the end of what another desk has begun to read
            if asked == self._asked:
                self._asked = None
                return answer

    def _line(self):
        pieces = [self._rest]
        while b"\n" not in pieces[-1]:
            pieces.append(self._sock.recv(65536))
            if not pieces[-1]:
                raise ConnectionError(f"worker {self.index}, process {self.pid}, has ended")
        line, _, self._rest = b"".join(pieces).partition(b"\n")
        return line

    def close(self):
        """Forget it."""
        self._sock.close()


class Desk:
    """The life of the desk of ``server``.

    ``counters``: what it does there, as context managers that are made of the Desk. ``wanted``: how
    many workers there shall be. ``is_draining``: whether they drain, all of them.
    """

    def __init__(self, server, team, worker, counters):
        self.server = server
        self.board = team.board
        self.workers = {}
        self.wanted = team.wanted
        self.is_draining = server._gs_is_draining
        self._card = worker.card
        self._line = worker.its_line
        self._counters = counters
        self._ended = gevent.event.Event()
        self._balancing: Any = None
        if any(slot.pushing is not None for slot in team.slots):
            self._balancing = Balancing(self)
        for slot in team.slots:
            if slot.pushing is not None and slot.is_wanted:
                self._balancing.open(slot.index, os.dup(slot.pushing.fileno()))
        for slot, other in team.workers:
            self._meet(slot.index, other.child.pid, other.card.number, os.dup(other.ear.fileno()))
            if other is slot.worker:
                self._note_ready(slot.index, other.child.pid)

    def live(self):
        """Be there until told to leave; the exit status of the process."""
        for number in SIGNALS:
            # A terminal, or systemd, sends them to everybody; the supervisor says what they mean.
            signal.signal(number, signal.SIG_IGN)
        hub = gevent.get_hub()
        limit = self.server.worker_timeout
        pause = LEISURELY if limit is None else min(LEISURELY, limit / BEATS)
        beats = hub.loop.timer(pause, pause)
        beats.start(self._card.beat)
        words = hub.loop.io(self._line.fileno(), 1)
        words.start(self._hear)
        with ExitStack() as at_the_end:
            if self._balancing is not None:
                at_the_end.enter_context(self._balancing)
            for counter in self._counters:
                at_the_end.enter_context(counter(self))
            self._card.beat()
            self._line.say("ready")
            self._ended.wait()
        return 0

    def tell(self, *words):
        """Ask the supervisor for something, an order that it knows; whether it can hear it."""
        return self._line.say(*words)

    def ask_all(self, *question):
        """What the workers answer, with each of them: those that do."""
        answers = []

        def ask(worker):
            with suppress(OSError):
                answers.append((worker, worker.ask(*question)))

        gevent.joinall([gevent.spawn(ask, worker) for worker in self.workers.values()])
        return answers

    def _hear(self):
        for word, *rest in self._line.hear():
            _WORDS[word](self, *map(int, rest))
        if not self._line.is_open:
            self._ended.set()

    def _meet(self, index, pid, number, fd=None):
        if fd is None:
            fd = self._line.passed.popleft()
        known = self.workers[pid] = Known(index, pid, self.board.card(number), fd)
        if self._balancing is not None:
            self._balancing.meet(index, pid, known.card)

    def _note_ready(self, index, pid):
        if self._balancing is not None:
            self._balancing.note_ready(index, pid)

    def _forget(self, index, pid):
        self.workers.pop(pid).close()
        if self._balancing is not None:
            self._balancing.forget(index, pid)

    def _open(self, index):
        self._balancing.open(index, self._line.passed.popleft())

    def _close(self, index):
        self._balancing.close(index)
        self.tell("without", index)

    def _finish(self, at_once):
        if self._balancing is not None:
            self._balancing.finish(at_once=bool(at_once))
        self.tell("handed")

    def _note_wanted(self, wanted):
        self.wanted = wanted

    def _note_draining(self):
        self.is_draining = True

    def _end(self):
        self._ended.set()


# What the supervisor may say.
_WORDS: dict[str, Callable[..., Any]] = {
    "worker": Desk._meet,
    "ready": Desk._note_ready,
    "gone": Desk._forget,
    "slot": Desk._open,
    "without": Desk._close,
    "wanted": Desk._note_wanted,
    "draining": Desk._note_draining,
    "drain": lambda desk, at_once: gevent.spawn(desk._finish, at_once),
    "suspend": lambda desk: desk._balancing and desk._balancing.suspend(),
    "resume": lambda desk: desk._balancing and desk._balancing.resume(),
    "retire": Desk._end,
    "cut": Desk._end,
}
