"""A worker process's own side: it says how it is, and does as it is told.

Everything happens on the hub of the process's one thread, beside the server it serves.
"""

from time import monotonic

import gevent
from gevent.event import Event

from .. import events
from ..errors import CommandError
from . import presence
from .answers import answer_all
from .counting import Counting
from .memory import resident


class Attendance:
    """The life of one worker of ``server``. ``counts``: whether somebody wants its numbers."""

    def __init__(self, server, worker, counts=False):
        self._server = server
        self._card = worker.card
        self._line = worker.its_line
        self._ear = worker.its_ear
        self.newcomers_are_out = False
        self._is_leaving = False
        self._tasks = []
        self._taken = 0
        self._ready_at = None
        self._is_served = Event()
        self._counting = Counting(server, worker) if counts else None
        jitter = server.max_requests_jitter
        self._max_rss = server.max_rss
        self._most = server.max_requests
        if self._most and jitter:
            from random import randint  # every forked child would pay for having it

            self._most += randint(0, jitter)

    def live(self):
        """Serve until told to leave; the exit status of the process."""
        limit, line = self._server.worker_timeout, self._line
        acts = {"SIGTERM": self._leave, "SIGQUIT": self._cut}
        self._words = presence.begin(limit, self._beat, line, self._hear, **acts)
        gevent.spawn(answer_all, self._server, self._ear)
        try:
            self._server.worker_started(self._server.worker_index)
            self._server.serve_forever(self._server._gs_poll_interval)
            self._line.say("resting")
            gevent.joinall(self._tasks)
            self._server.server_close()
        finally:
            self.publish()
        self._line.say("done")
        return 0

    def publish(self):
        """Note its numbers where others can read them, if anybody wants to."""
        if self._counting is not None:
            self._counting.note(self._taken, self._ready_at, self._is_leaving)

    def note_ready(self):
        """It takes requests."""
        self._card.beat()
        self._ready_at = monotonic()
        self._check_memory()
        self.publish()
        self._line.say("ready")
        self._is_served.set()

    def _check_memory(self):
        """See that there is room for anything. To replace it would help nobody."""
        used, most = resident(), self._max_rss
        if most is not None and used > most:
            self._max_rss = None
            why = f"max_rss is {most} bytes, and it uses {used} before any request: give more"
            event = events.WorkerFailed, self._server, self._server.worker_index, CommandError(why)
            events.emit(*event)

    def note_left(self, live):
        """A request has ended, and there are so many."""
        self._card.note_live(live)

    def note_joined(self, live):
        """It has taken one more request, and there are so many."""
        self._card.note_live(live)
        self._taken += 1
        if self._taken == self._most:
            self._line.say("enough", "max_requests")
            self._most = None

    def say(self, *words):
        """Say something to the supervisor."""
        self._line.say(*words)

    def status(self):
        """How it is.

        ``state``, ``seconds`` since it was ready, None before, ``connections``, and ``rss``, bytes.
        """
        since = self._ready_at
        return {
            "state": "leaving" if self._is_leaving else "starting" if since is None else "ready",
            "seconds": None if since is None else monotonic() - since,
            "connections": len(self._server.connections),
            "rss": resident(),
        }

    def _beat(self):
        self._card.beat()
        if self._counting is not None and self._counting.is_due:
            self.publish()
        most = self._max_rss
        if most is not None and not self._is_leaving and resident() > most:
            self._line.say("enough", "max_rss")

    def _hear(self):
        for word, *rest in self._line.hear():
            getattr(self, _WORDS[word])(*rest)
        if not self._line.is_open:  # the supervisor was killed
            self._words.stop()
            self._drain()

    def _retire(self):
        """Leave, and leave the queue to the others."""
        self._server._gs_leaves_queue = True
        self._drain()

    def _leave(self):
        # Whether others will serve those in the queue is for the supervisor to say: it may have
        # been told to end as well.
        self._line.say("leaving")

    def _drain(self, are_out="0", *seconds):
        """End once the queue is empty, within so many seconds, or the server's own limit."""
        self.newcomers_are_out = are_out == "1"
        if not self._is_leaving:
            self._is_leaving = True
            self._begin(self._is_served.wait, lambda: self._end(*map(float, seconds)))
            self.publish()

    def _end(self, *seconds):
        self._call(self._server.worker_stopping)
        self._server._gs_drain_worker(*seconds)

    def _cut(self):
        self._is_leaving = True
        self._begin(self._is_served.wait, self._server._gs_cut_worker)

    def _reopen(self):
        self._begin(lambda: self._call(self._server.reopen_logs))

    def _suspend(self, how):
        self._begin(lambda: self._server._gs_suspend_worker(how), self.publish)

    def _resume(self):
        self._begin(self._server._gs_resume_worker, self.publish)

    def _call(self, hook):
        try:
            hook()
        except BaseException as error:  # such as SystemExit
            events.emit(events.WorkerFailed, self._server, self._server.worker_index, error)

    def _begin(self, *steps):
        self._tasks.append(gevent.spawn(_do, steps))


# What the supervisor may say.
_WORDS = {
    "retire": "_retire",
    "drain": "_drain",
    "cut": "_cut",
    "reopen": "_reopen",
    "suspend": "_suspend",
    "resume": "_resume",
}


def _do(steps):
    for step in steps:
        step()
