"""Greenlets that take one job after another.

A new greenlet costs its thread a stack from the system and the way back of it, several times the
price of a short request. One that is used again keeps its stack, and must keep nothing else: what
the last job left in a ``gevent.local`` or in a context variable is dropped.
"""

from greenlet import getcurrent, greenlet

# Greenlets kept for later; each holds some 8 KiB.
MOST_IDLE = 256


class _Worker(greenlet):
    """A greenlet that tells those who ask for its end whenever one of its jobs has ended."""

    __slots__ = ("links",)

    def __init__(self, body, parent):
        super().__init__(body, parent)
        self.links = []

    # gevent's locals and dummy threads ask every greenlet that has this one.
    def rawlink(self, callback):
        self.links.append(callback)

    def unlink(self, callback):
        if callback in self.links:
            self.links.remove(callback)

    def forget(self):
        links, self.links = self.links, []
        for callback in links:
            callback(self)
        self.__dict__.clear()
        self.gr_context = None


class Workers:
    """Runs ``run(job)`` for one job at a time in each of its greenlets, all on one hub."""

    def __init__(self, hub, run):
        self._hub = hub
        self._run = run
        self._idle = []
        self._is_open = True

    def start(self, job):
        """Have ``job`` run soon; return the greenlet that does it."""
        worker = self._idle.pop() if self._idle else _Worker(self._live, self._hub)
        self._hub.loop.run_callback(worker.switch, job)
        return worker

    def close(self):
        """Keep no greenlet any longer than its present job. For the hub's own thread."""
        self._is_open = False
        while self._idle:
            worker = self._idle.pop()
            worker.parent = getcurrent()  # where it ends, instead of in the hub
            worker.throw()

    def _live(self, job):
        me = getcurrent()
        while True:
            self._run(job)
            me.forget()
            if not self._is_open or len(self._idle) >= MOST_IDLE:
                return
            self._idle.append(me)
            kind, job = type(job), None
            while type(job) is not kind:
                job = self._hub.switch()  # or somebody's late news for the last job
