"""The desk: the process that speaks for the workers, and hands connections out to them.

It does on a hub what the supervisor, which runs none, cannot. It holds nothing that would be
missed: if it dies the next one begins with what the supervisor and the board know.
"""

import json
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from typing import Any

import gevent
from gevent.lock import RLock
from gevent.socket import socket as Socket

from . import presence
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
        self._turn = RLock()
        self._heard = b""
        self._asked = count()
        self._awaited = None

    def ask(self, *question, patience=PATIENCE):
        """What it answers within ``patience`` seconds: anything that JSON can say.

        OSError if it does not.
        """
        with gevent.Timeout(patience, TimeoutError(f"{self} does not answer")), self._turn:
            # One that answers nothing shall not find a hundred questions when it does.
            if self._awaited is not None:
                self._hear()
            # Another desk may have died before it has heard the answer to its own.
            self._awaited = f"{os.getpid()}:{next(self._asked)}"
            self._sock.sendall(json.dumps([self._awaited, *question]).encode() + b"\n")
            return self._hear()

    def _hear(self):
        """The answer to the last question."""
        while True:
            while b"\n" not in self._heard:
                data = self._sock.recv(1 << 16)
                if not data:
                    raise ConnectionError(f"{self} has ended")
                self._heard += data
            line, _, self._heard = self._heard.partition(b"\n")
            with suppress(ValueError):  # of that one, a part may be gone
                number, answer = json.loads(line)
                if number == self._awaited:
                    self._awaited = None
                    return answer

    def __str__(self):
        return f"worker {self.index}, process {self.pid},"

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
        presence.begin(self.server.worker_timeout, self._card.beat, self._line, self._hear)
        with ExitStack() as at_the_end:
            if self._balancing is not None:
                at_the_end.enter_context(self._balancing)
            for counter in self._counters:
                at_the_end.enter_context(counter(self))
            self._card.beat()
            self._line.say("ready")
            self._ended.wait()
        return 0

    @property
    def in_order(self):
        """The workers, by place and process."""
        return sorted(self.workers.values(), key=lambda worker: (worker.index, worker.pid))

    def tell(self, *words):
        """Ask the supervisor for something, an order that it knows; whether it can hear it."""
        return self._line.say(*words)

    def ask_all(self, *question, patience=PATIENCE):
        """Who answers, with the answers, and who does not: two lists.

        Those that have just begun are not asked: they have nothing to tell yet.
        """

        def ask(worker):
            try:
                answers.append((worker, worker.ask(*question, patience=patience)))
            except OSError:
                silent.append(worker)

        answers: list = []
        silent: list = []
        asked = [worker for worker in self.workers.values() if worker.card.beaten_at]
        gevent.joinall([gevent.spawn(ask, worker) for worker in asked])
        return answers, silent

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
