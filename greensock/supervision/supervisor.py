"""The supervisor's loop: it waits for workers and for orders, and for the time to act.

Rule: it runs no hub and no thread, and nothing a worker does ends it.

It takes the place of the accept loop of other servers, and is asked for the same things.
"""

from collections.abc import Callable
from typing import Any

from gevent.hub import getcurrent

from .. import events
from ..net import native
from ..net.crossing import Event
from ..net.hubs import in_main_thread
from . import orphans
from .ending import Ending
from .orders import SIGNALS, Orders, heard
from .replacing import Replacing
from .succession import Succession
from .suspension import Suspension


class Supervisor:
    """One run of ``server``, whose workers are ``team``."""

    serving = True
    hub = None
    drops = None
    wants_room = False

    def __init__(self, server, team):
        self.greenlet = getcurrent()
        self._server = server
        self._team = team
        self._orders = Orders()
        self._thread = native.get_ident()
        self._ended = Event()
        self._replacing = Replacing()
        self._succession = Succession(server)
        self._ending = Ending(server, team, self._succession)
        self._suspension = Suspension(server, team, self._ending)

    @property
    def is_replacing(self):
        """Whether workers are being replaced, as ``reload`` wants it."""
        return self._replacing.is_under_way

    # What is asked of a Loop, too

    def stop(self):
        """Make it end, and its workers retire. Any thread, greenlet or signal handler may."""
        self.ask("stop")

    def drain(self):
        """Make it end once all workers have drained. Anyone may."""
        self.ask("drain")

    def room_was_made(self):
        """Do nothing: what a setting is now, workers have that begin from now on."""

    def let_go(self):
        """Stop, and wait until it has."""
        self.stop()
        if not self.in_own_thread():
            self._ended.wait()

    def in_own_thread(self):
        """Whether the caller runs in the OS thread of the supervisor."""
        return self._thread == native.get_ident()

    def announce_end(self):
        """Let those go on who wait for the end."""
        self._ended.set()

    def wait_for_end(self, timeout=None):
        """Wait until the end was announced, at most ``timeout`` seconds; whether it was."""
        return self._ended.wait(timeout)

    def ring(self):
        """Have the workers take requests, unless they were suspended again meanwhile."""
        self.ask("resume")

    def suspend(self, *, wait):
        """Have the workers take no more."""
        self.ask("suspend")

    def leave_to(self, slot):
        """In a worker of ``slot``: close all that is not its own."""
        orphans.unmark()
        self._orders.close()
        self._server._gs_forget_inherited()
        self._team.close_in_child(slot)

    def close(self):
        """Give back what was taken for the run. Workers that are at work stay."""
        self._succession.close()
        self._orders.close()

    # What only a supervisor is asked for

    def ask(self, order):
        """Have it do ``order``, one of those in _ORDERS, as soon as it can. Anyone may."""
        self._orders.give(order)

    def run(self):
        """Look after the workers until asked to end."""
        orphans.mark()
        is_suspended = self._server._gs_suspended is not None
        self._team.board.state = "suspended" if is_suspended else "serving"
        if not is_suspended:
            self._team.tell_desk("resume")  # it may be there since an earlier run
        with heard(self._orders, SIGNALS if in_main_thread() else {}):
            while self._ending.how is None:
                self._turn(None)
                if self._team.is_complete:
                    self._server._gs_note_ready()
            if self._ending.how == "stop":
                self._team.wait_for_rest()
            else:
                self._ending.see_off(self._turn)

    def _turn(self, timeout):
        """Do all there is to do now, then wait until there is more, for ``timeout`` at most."""
        for order in self._orders.take():
            _ORDERS[order](self)
        due = [timeout]
        if self._ending.how is None:
            # Not before the orders, because whoever ends a whole group of processes ends all of
            # these: then those who were told to drain shall leave nothing in a queue.
            self._team.let_leave()
            self._replacing.go_on()
            due += [self._team.fill(), self._ending.drain_if_due()]
        elif self._ending.how == "stop":
            return
        due += [
            self._ending.keep_handing(),
            self._team.kill_hung(self._server.worker_timeout),
            self._server._gs_look_in(self),
            orphans.reap(),
        ]
        others = [self._orders]
        if self._succession.successor is not None:
            others.append(self._succession.successor)
            due.append(self._succession.look())
        timeout = min((seconds for seconds in due if seconds is not None), default=None)
        for word, *rest in self._team.wait(timeout, *others):
            if word in _WORDS:
                _WORDS[word](self, *rest)

    # The orders

    def _drain_within(self, seconds=None):
        if self._ending.how is None:
            limits = [] if seconds is None else [None if seconds == "None" else float(seconds)]
            self._server.drain(*limits)

    def _reload(self):
        self._replacing.begin(self._team.slots)

    def _add(self):
        try:
            self._team.add()
        except OSError as error:
            events.emit(events.WorkerFailed, self._server, None, error)

    def _reopen(self):
        self._team.say("reopen")
        try:
            self._server.reopen_logs()
        except Exception as error:
            events.emit(events.WorkerFailed, self._server, None, error)

    def _upgrade(self):
        if self._ending.how is None and not self._ending.is_near:
            self._succession.begin()


_ORDERS: dict[str, Callable[[Supervisor], Any]] = {
    "stop": lambda supervisor: supervisor._ending.stop(),
    "end": lambda supervisor: supervisor._ending.end(),
    "drain": lambda supervisor: supervisor._ending.drain(),
    "cut": lambda supervisor: supervisor._ending.cut(),
    "reload": Supervisor._reload,
    "add": Supervisor._add,
    "remove": lambda supervisor: supervisor._team.remove(),
    "reopen": Supervisor._reopen,
    "upgrade": Supervisor._upgrade,
    "suspend": lambda supervisor: supervisor._suspension.begin(),
    "resume": lambda supervisor: supervisor._suspension.end(),
}

# What workers and the desk may say.
_WORDS: dict[str, Callable[..., Any]] = {
    "shutdown": _ORDERS["stop"],
    "handed": lambda supervisor: supervisor._ending.note_handed(),
    "drain": Supervisor._drain_within,
    "suspend": lambda supervisor, how: supervisor._server.suspend(release=how == "release"),
    "resume": lambda supervisor: supervisor._server.resume(),
    **{word: _ORDERS[word] for word in ("reload", "add", "remove", "reopen", "upgrade")},
}
