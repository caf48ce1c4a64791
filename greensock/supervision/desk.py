"""The desk: the process that speaks for the workers, and hands connections out to them.

It does on a hub what the supervisor, which runs none, cannot. It holds nothing that would be
missed: if it dies the next one begins with what the supervisor and the board know.
"""

import json
import os
import signal
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import gevent
from gevent.lock import RLock
from gevent.socket import socket as Socket

from .attendance import BEATS, LEISURELY
from .balancing import Balancing

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
        self._answers = self._sock.makefile("rb")
        self._turn = RLock()

    def ask(self, *question):
        """What it answers: anything that JSON can say. OSError if it does not."""
        with self._turn:
            self._sock.sendall(json.dumps(question).encode() + b"\n")
            answer = self._answers.readline()
        if not answer.endswith(b"\n"):
            raise ConnectionError(f"worker {self.index}, process {self.pid}, has ended")
        return json.loads(answer)

    def close(self):
        """Forget it."""
        self._answers.close()
        self._sock.close()


class Desk:
    """The life of the desk of ``server``.

    ``counters``: what it does there, as context managers that are made of the Desk.
    """

    def __init__(self, server, team, worker, counters):
        self.server = server
        self.board = team.board
        self.workers = {}
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
        hub = gevent.get_hub()
        limit = self.server.worker_timeout
        pause = LEISURELY if limit is None else min(LEISURELY, limit / BEATS)
        beats = hub.loop.timer(pause, pause)
        beats.start(self._card.beat)
        words = hub.loop.io(self._line.fileno(), 1)
        words.start(self._hear)
        for number in signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT:
            # A terminal sends them to everybody; the supervisor says what they mean.
            signal.signal(number, signal.SIG_IGN)
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
        """Ask the supervisor for something: an order that it knows."""
        self._line.say(*words)

    def ask_all(self, *question):
        """What the workers answer, with each of them: those that do."""
        asked = [(worker, gevent.spawn(worker.ask, *question)) for worker in self.workers.values()]
        gevent.joinall([task for _, task in asked])
        return [(worker, task.value) for worker, task in asked if task.successful()]

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

    def _end(self):
        self._ended.set()


# What the supervisor may say.
_WORDS: dict[str, Callable[..., Any]] = {
    "worker": Desk._meet,
    "ready": Desk._note_ready,
    "gone": Desk._forget,
    "slot": Desk._open,
    "without": Desk._close,
    "drain": lambda desk, at_once: gevent.spawn(desk._finish, at_once),
    "suspend": lambda desk: desk._balancing and desk._balancing.suspend(),
    "resume": lambda desk: desk._balancing and desk._balancing.resume(),
    "retire": Desk._end,
    "cut": Desk._end,
}
