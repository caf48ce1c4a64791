"""Worker processes that stay, each a server on a hub of its own."""

import logging
import os
from contextlib import ExitStack
from typing import Any

from zope.interface import implementer

from ..interfaces import IPreforkServer
from ..loop import is_closed
from ..settings import check_setting
from ..net.listeners import accepts_connections, note_listening
from ..supervision.supervisor import Supervisor
from ..supervision.team import Team
from .working import Working


@implementer(IPreforkServer)
class PreforkMixIn(Working):
    """Mix in before a server class to serve in ``workers`` processes; see IPreforkServer.

    ``serve_forever`` forks them, replaces those that die, and ends them. Each serves on a hub of
    its own, with a greenlet for every request, or a thread if ``worker_model`` is 'thread'.
    """

    model = "prefork"
    workers: int | str = "cores"
    worker_timeout: float | None = 30.0
    max_requests: int | None = None
    max_requests_jitter = 0
    max_rss: int | None = None
    upgrade_timeout: float | None = 60.0
    ready_lag = 0.0

    _gs_poll_interval = 0.5

    def worker_started(self, index: int) -> None:
        """A new worker is about to serve."""

    def worker_stopping(self) -> None:
        """A worker is about to drain or to retire."""

    def reopen_logs(self) -> None:
        """Begin the files of the ``logging`` module anew, as after they were renamed."""
        for reference in list(logging._handlerList):  # type: ignore[attr-defined]
            handler = reference()
            if isinstance(handler, logging.FileHandler):
                _begin_anew(handler)

    def reload(self) -> None:
        """Have the workers replaced, one by one."""
        self._gs_ask("reload")

    def add_worker(self) -> None:
        """Have one worker more."""
        self._gs_ask("add")

    def remove_worker(self) -> None:
        """Have one worker less, but at least one."""
        self._gs_ask("remove")

    def upgrade(self) -> None:
        """Have the program started anew, and leave to it when it is ready."""
        self._gs_ask("upgrade")

    def shutdown(self) -> None:
        """Make ``serve_forever`` return; in a worker, the supervisor's."""
        if self._gs_attendance is not None:
            self._gs_attendance.say("shutdown")
        else:
            super().shutdown()

    def drain(self, timeout: Any = ...) -> list[Any]:
        """End in order; in a worker, have all of them end, and return an empty list at once."""
        if self._gs_attendance is None:
            return super().drain(timeout)
        if timeout is not ...:
            check_setting("drain_timeout", timeout)
        self._gs_attendance.say("drain", *([] if timeout is ... else [timeout]))
        return []

    def suspend(self, release: bool = False) -> None:
        """Take no more; in a worker, ask all of them to."""
        if self._gs_attendance is None:
            super().suspend(release)
        else:
            self._gs_attendance.say("suspend", "release" if release else "keep")

    def resume(self) -> None:
        """Go on taking; in a worker, ask all of them to."""
        if self._gs_attendance is None:
            super().resume()
        else:
            self._gs_attendance.say("resume")

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Have workers handle requests until ``shutdown()``; see IPreforkServer."""
        if self._gs_attendance is not None:
            super().serve_forever(poll_interval)
            return
        self._gs_poll_interval = poll_interval
        with self._gs_begin(), ExitStack() as at_the_end:
            supervisor = self._gs_open_loop(None)
            if supervisor is None:
                return
            at_the_end.callback(supervisor.announce_end)
            try:
                supervisor.run()
            finally:
                self._gs_close_loop(supervisor)

    def _gs_new_loop(self, hub):
        if hub is not None:
            return super()._gs_new_loop(hub)
        if self.fileno() < 0 and self._gs_suspended != "release":
            raise is_closed(self)
        if accepts_connections(self.socket):
            note_listening(self.socket)
        self._gs_open_front()
        if self._gs_team is None:
            has_desk = self._gs_balances() or self._gs_counters()
            at_desk = self._gs_work_at_desk if has_desk else None
            self._gs_team = Team(self, self._gs_listener_for, self._gs_work, at_desk)
        self._gs_team.have(_cores() if self.workers == "cores" else self.workers)
        return Supervisor(self, self._gs_team)

    def _gs_ask(self, order):
        if self._gs_attendance is not None:
            self._gs_attendance.say(order)
        elif self._gs_loop is not None:
            self._gs_loop.ask(order)

    def _gs_finish_crew(self):
        team, self._gs_team = self._gs_team, None
        if team is None:
            self._gs_close_front()
            super()._gs_finish_crew()
            return
        if self._gs_is_draining or self.block_on_close and not self.daemon_threads:
            team.wait_for_all(self._gs_drain_left())
            team.end()
        team.close()
        self._gs_close_front()
        self._gs_drain_is_over([])

    def _gs_look_in(self, supervisor):
        """Called by the supervisor whenever it has something to do.

        Seconds after which to call it again at the latest, None for no limit.
        """
        return None


def _begin_anew(handler):
    # Not closed, because one that was opened with 'w' would then be silent for ever. Other
    # processes write to the new file as well: none of them may truncate it.
    handler.acquire()
    try:
        former = handler.stream
        if former is not None:
            handler.mode = handler.mode.replace("w", "a").replace("x", "a")
            handler.stream = handler._open()
            former.close()
    finally:
        handler.release()


def _cores():
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
