"""How a supervisor's run ends: at once, or once its workers have finished what there is."""

from time import monotonic

from .team import GRACE


class Ending:
    """The end of the run of ``server`` and its ``team``.

    ``how``: None as long as nobody has asked for it; 'stop' if those at work are left to finish,
    'drain' if the queues are emptied as well, 'cut' if nobody is waited for. ``is_near``: whether a
    signal has come, and some time is left until it drains.
    """

    def __init__(self, server, team, succession):
        self.how = None
        self._server = server
        self._team = team
        self._succession = succession
        self._due_at = None  # monotonic
        self._is_handing = False
        self._are_out = False

    @property
    def is_near(self):
        return self._due_at is not None

    def stop(self):
        """Have the workers take no more, and leave the queues alone."""
        if self.how is not None:
            return  # which leaves those at work the time they were given
        self._succession.decide()
        self.how = "stop"
        self._team.board.state = "stopped"
        self._team.tell_desk("suspend")
        self._team.retire_all("stopped")

    def end(self):
        """A signal has come: drain, after ``ready_lag``; cut if it is not the first one."""
        if self.how is not None or self.is_near:
            self.cut()  # somebody is impatient
            return
        self._due_at = monotonic() + self._server.ready_lag
        self._team.board.state = "about to end"
        self.drain_if_due()

    def drain_if_due(self):
        """Drain if it is time; seconds until it is, None if nobody has asked for it."""
        if self._due_at is None:
            return None
        left = self._due_at - monotonic()
        if left > 0:
            return left
        self._due_at = None
        self._server.drain()
        return 0.0

    def drain(self):
        """Have the workers empty the queues, and let nobody new into them."""
        if self.how is not None:
            return
        self._succession.decide()
        is_succeeded = self._succession.is_settled
        if not is_succeeded:
            self._team.fill_vacancies()
        self.how = "drain"
        self._team.board.state = "draining"
        self._are_out = not is_succeeded and self._team.keep_newcomers_out()
        self._team.note_reason("replaced" if is_succeeded else "drained")
        self._team.tell_desk("draining")
        if self._team.balances:
            # Who deals connections out has to deal out first.
            self._is_handing = True
            self._team.tell_desk("drain", int(is_succeeded))
        else:
            self._leave_queues()

    def keep_handing(self):
        """Have somebody at the desk until all is dealt out; when to look again."""
        if not self._is_handing:
            return None
        return self._team.staff_desk("drain", int(self._succession.is_settled))

    def note_handed(self):
        """All is dealt out."""
        if self._is_handing:
            self._is_handing = False
            self._leave_queues()

    def _leave_queues(self):
        """Have the workers empty the queues, and whoever comes after that refused."""
        left = self._server._gs_drain_left()
        if self._succession.is_settled and not self._team.balances:
            self._team.leave_queues_to_others()
        else:
            self._team.say("drain", int(self._are_out), *([] if left is None else [left]))
        self._team.close_listeners()
        self._server._gs_release_listener()

    def cut(self):
        """Wait for nobody."""
        self._succession.decide()
        self.how = "cut"
        self._team.board.state = "draining"

    def see_off(self, turn):
        """Call ``turn(seconds)`` until all have ended, or their time is over, and end the rest."""
        left = self._server._gs_drain_left()
        ends = None if left is None else monotonic() + left + GRACE
        while self._team.workers and self.how == "drain":
            seconds = None if ends is None else ends - monotonic()
            if seconds is not None and seconds <= 0:
                break
            turn(seconds)
        self._team.end()
