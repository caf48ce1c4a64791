"""The supervisor's loop: it waits for workers and for orders, and for the time to act.

Rule: it runs no hub and no thread, and nothing a worker does ends it.

It takes the place of the accept loop of other servers, and is asked for the same things.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from gevent.hub import getcurrent

from .. import events
from ..net import native
from ..net.crossing import Event
from ..net.hubs import in_main_thread
from ..net.systemd import notify
from . import orphans
from .orders import SIGNALS, Orders, heard
from .team import GRACE
from .upgrade import Successor


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
        self._ending = None
        self._ends_at = None  # monotonic, once a signal has come
        self._is_handing = False
        self._to_replace = []
        self._in_turn = None  # who is being replaced: the slot and the worker
        self._are_out = False
        self._is_released = server.fileno() < 0
        self._successor: Any = None
        self._was_succeeded = False

    @property
    def is_replacing(self):
        """Whether workers are being replaced, as ``reload`` wants it."""
        return self._in_turn is not None

    # What is asked of a Loop, too

    def stop(self):
        """Make it end, and its workers retire. Any thread, greenlet or signal handler may."""
        self.ask("stop")

    def drain(self):
        """Make it end once all workers have drained. Anyone may."""
        self.ask("drain")

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
        if self._successor is not None:
            self._successor.dismiss()
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
            while self._ending is None:
                self._turn(None)
                if self._team.is_complete:
                    self._server._gs_note_ready()
            if self._ending == "stop":
                self._team.wait_for_rest()
            else:
                self._see_off()

    def _turn(self, timeout):
        """Do all there is to do now, then wait until there is more, for ``timeout`` at most."""
        for order in self._orders.take():
            _ORDERS[order](self)
        due = [timeout]
        if self._ending is None:
            # Not before the orders, because whoever ends a whole group of processes ends all of
            # these: then those who were told to drain shall leave nothing in a queue.
            self._team.let_leave()
            self._replace_next()
            due += [self._team.fill(), self._end_if_due()]
        elif self._ending == "stop":
            return
        due.append(self._keep_handing())
        due.append(self._team.kill_hung(self._server.worker_timeout))
        due.append(self._server._gs_look_in(self))
        due.append(orphans.reap())
        others = [self._orders]
        if self._successor is not None:
            others.append(self._successor)
            due.append(self._look_at_successor())
        timeout = min((seconds for seconds in due if seconds is not None), default=None)
        for word, *rest in self._team.wait(timeout, *others):
            if word in _WORDS:
                _WORDS[word](self, *rest)

    def _see_off(self):
        left = self._server._gs_drain_left()
        ends = None if left is None else monotonic() + left + GRACE
        while self._team.workers and self._ending == "drain":
            seconds = None if ends is None else ends - monotonic()
            if seconds is not None and seconds <= 0:
                break
            self._turn(seconds)
        self._team.end()

    def _look_at_successor(self):
        """See how it is getting on; seconds until its time is over, None for no limit."""
        limit = self._server.upgrade_timeout
        left = None if limit is None else self._successor.began_at + limit - monotonic()
        return self._go_by_successor(left, f"it was not ready within {limit} s")

    def _go_by_successor(self, left, otherwise):
        """Leave to it if it is ready, and dismiss it if it has failed or no seconds are ``left``.

        ``otherwise``: why, in that case. Returned is for how long to leave it alone.
        """
        successor = self._successor
        is_ready = successor.is_ready()
        if is_ready:
            self._was_succeeded = True
            self._successor = None
            successor.close()
            self._server._gs_disown()
            notify(f"MAINPID={successor.pid}")
            events.emit(events.UpgradeEnded, self._server, successor.pid)
            self._server.drain()
        elif is_ready is not None or left is not None and left <= 0.0:
            self._successor = None
            how = successor.dismiss()
            reason = how if is_ready is not None else otherwise
            events.emit(events.UpgradeFailed, self._server, successor.pid, reason)
        else:
            return left
        return 0.0

    def _replace_next(self):
        if self._in_turn is not None:
            slot, worker = self._in_turn
            if slot.wants_successor:
                return
            if slot.is_wanted and slot.worker is worker:  # the next one did not get ready
                self._to_replace.clear()
            self._in_turn = None
        while self._to_replace and self._in_turn is None:
            slot = self._to_replace.pop(0)
            if slot.is_wanted and slot.worker is not None:
                slot.wants_successor = True
                self._in_turn = slot, slot.worker

    # The orders

    def _stop(self):
        if self._ending is not None:
            return  # which leaves those at work the time they were given
        self._decide_about_successor()
        self._ending = "stop"
        self._team.board.state = "stopped"
        self._team.tell_desk("suspend")
        self._team.retire_all("stopped")

    def _end(self):
        if self._ending is not None or self._ends_at is not None:
            self._cut()  # somebody is impatient
            return
        self._ends_at = monotonic() + self._server.ready_lag
        self._team.board.state = "about to end"
        self._end_if_due()

    def _end_if_due(self):
        """Drain if it is time; seconds until it is, None if nobody has asked for it."""
        if self._ends_at is None:
            return None
        left = self._ends_at - monotonic()
        if left > 0:
            return left
        self._ends_at = None
        self._server.drain()
        return 0.0

    def _drain_within(self, seconds=None):
        if self._ending is None:
            limits = [] if seconds is None else [None if seconds == "None" else float(seconds)]
            self._server.drain(*limits)

    def _decide_about_successor(self):
        # It may not come later to sockets that were closed to newcomers, or have nobody there.
        if self._successor is not None:
            self._go_by_successor(0.0, "this one was told to end")

    def _drain(self):
        if self._ending is None:
            self._decide_about_successor()
            if not self._was_succeeded:
                self._team.fill_vacancies()
            self._ending = "drain"
            self._team.board.state = "draining"
            self._are_out = not self._was_succeeded and self._team.keep_newcomers_out()
            self._team.note_reason("replaced" if self._was_succeeded else "drained")
            self._team.tell_desk("draining")
            if self._team.balances:
                # Who deals connections out has to deal out first.
                self._is_handing = True
                self._team.tell_desk("drain", int(self._was_succeeded))
            else:
                self._leave_queues()

    def _keep_handing(self):
        """Have somebody at the desk until all is dealt out; when to look again."""
        if not self._is_handing:
            return None
        return self._team.staff_desk("drain", int(self._was_succeeded))

    def _note_handed(self):
        if self._is_handing:
            self._is_handing = False
            self._leave_queues()

    def _leave_queues(self):
        """Have the workers empty the queues, and whoever comes after that refused."""
        left = self._server._gs_drain_left()
        if self._was_succeeded and not self._team.balances:
            self._team.leave_queues_to_others()
        else:
            self._team.say("drain", int(self._are_out), *([] if left is None else [left]))
        self._team.close_listeners()
        self._server._gs_release_listener()

    def _cut(self):
        self._decide_about_successor()
        self._ending = "cut"
        self._team.board.state = "draining"

    def _reload(self):
        self._to_replace = [slot for slot in self._team.slots if slot.is_wanted]

    def _add(self):
        try:
            self._team.add()
        except OSError as error:
            events.emit(events.WorkerFailed, self._server, None, error)

    def _remove(self):
        self._team.remove()

    def _reopen(self):
        self._team.say("reopen")
        try:
            self._server.reopen_logs()
        except Exception as error:
            events.emit(events.WorkerFailed, self._server, None, error)

    def _upgrade(self):
        if self._successor is not None or self._ending is not None or self._ends_at is not None:
            return
        if orphans.is_init():
            why = "this is process 1, with which all others would end; start another container"
            events.emit(events.UpgradeFailed, self._server, 0, why)
            return
        try:
            self._successor = Successor(self._server._gs_bequest())
        except OSError as error:
            events.emit(events.UpgradeFailed, self._server, 0, str(error))

    def _suspend(self):
        how = self._server._gs_suspended
        if how is None:
            return
        self._note_state("suspended")
        self._team.tell_desk("suspend")
        self._is_released = how == "release"
        if self._is_released:
            self._team.release()
            self._server._gs_release_if_asked()
        else:
            self._team.say("suspend", how)

    def _resume(self):
        if self._server._gs_suspended is not None:
            return
        self._note_state("serving")
        if self._is_released:
            self._is_released = False
            self._team.reopen()
        else:
            self._team.tell_desk("resume")
            self._team.say("resume")

    def _note_state(self, state):
        if self._ends_at is None:
            self._team.board.state = state


_ORDERS = {
    "stop": Supervisor._stop,
    "end": Supervisor._end,
    "drain": Supervisor._drain,
    "cut": Supervisor._cut,
    "reload": Supervisor._reload,
    "add": Supervisor._add,
    "remove": Supervisor._remove,
    "reopen": Supervisor._reopen,
    "upgrade": Supervisor._upgrade,
    "suspend": Supervisor._suspend,
    "resume": Supervisor._resume,
}

# What workers and the desk may say.
_WORDS: dict[str, Callable[..., Any]] = {
    "shutdown": Supervisor._stop,
    "handed": Supervisor._note_handed,
    "drain": Supervisor._drain_within,
    "suspend": lambda supervisor, how: supervisor._server.suspend(release=how == "release"),
    "resume": lambda supervisor: supervisor._server.resume(),
    "reload": Supervisor._reload,
    "add": Supervisor._add,
    "remove": Supervisor._remove,
    "reopen": Supervisor._reopen,
    "upgrade": Supervisor._upgrade,
}
