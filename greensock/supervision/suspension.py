"""No worker takes any more, as long as their server is suspended."""


class Suspension:
    """Has the workers of ``team`` do as ``server`` was told, also while ``ending`` is near."""

    def __init__(self, server, team, ending):
        self._server = server
        self._team = team
        self._ending = ending
        self._is_released = server.fileno() < 0

    def begin(self):
        """Have them take no more, unless that is over already."""
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

    def end(self):
        """Have them go on, unless they were suspended again meanwhile."""
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
        if not self._ending.is_near:
            self._team.board.state = state
