"""Worker processes that stay, each a server on a hub of its own."""

import logging
import os
import socket
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from typing import Any

from zope.interface import implementer

from .. import events
from ..interfaces import IPreforkServer
from ..loop import is_closed
from ..net import handover, native
from ..net.addresses import url_of
from ..net.listeners import let_rebind, note_listening
from ..supervision.attendance import Attendance
from ..supervision.control import Control, ControlSocket
from ..supervision.desk import Desk
from ..supervision.hatch import Taking, hatch
from ..supervision.sites import open_site
from ..supervision.supervisor import Supervisor
from ..supervision.team import Team
from ..supervision.upgrade import inheritance
from .base import ModelMixIn
from .greenlets import GreenletMixIn
from .threads import ThreadingMixIn

_MODELS = {"greenlet": GreenletMixIn, "thread": ThreadingMixIn}


@implementer(IPreforkServer)
class PreforkMixIn(ModelMixIn):
    """Mix in before a server class to serve in ``workers`` processes; see IPreforkServer.

    ``serve_forever`` forks them, replaces those that die, and ends them. Each serves on a hub of
    its own, with a greenlet for every request, or a thread if ``worker_model`` is 'thread'.
    """

    model = "prefork"
    workers: int | str = "cores"
    worker_model = "greenlet"
    share = "reuseport"
    worker_timeout: float | None = 30.0
    max_requests: int | None = None
    max_requests_jitter = 0
    max_rss: int | None = None
    control_path: str | None = None
    upgrade_timeout: float | None = 60.0
    status_address: str | None = None
    worker_index: int | None = None

    _gs_name = ""
    _gs_succeeds = False
    _gs_inherited: Any = ()
    _gs_team: Any = None
    _gs_attendance: Attendance | None = None
    _gs_control: ControlSocket | None = None
    _gs_site: Any = None  # where a status server listens

    # For applications

    @property
    def status_url(self) -> str | None:
        """Where a browser finds the status page; None while there is none."""
        return None if self._gs_site is None else url_of(self._gs_site.getsockname())

    def worker_started(self, index: int) -> None:
        """A new worker is about to serve."""

    def worker_stopping(self) -> None:
        """A worker is about to drain or to retire."""

    def reopen_logs(self) -> None:
        """Begin the files of the ``logging`` module anew, as after they were renamed."""
        for reference in list(logging._handlerList):  # type: ignore[attr-defined]
            handler = reference()
            if isinstance(handler, logging.FileHandler):
                handler.close()  # it is opened again when there is something to write

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

    def server_bind(self):
        """Bind the socket, or go on with that of the program which this one replaces."""
        if not self._gs_name:
            kind = int(self.socket.family), int(self.socket.type)
            self._gs_name = repr((*kind, self.server_address))
        inherited = inheritance.take(self._gs_name)
        if inherited:
            self.socket.close()
            self.socket = _Bound(fileno=inherited[0])
            self._gs_inherited = inherited[1:]
            self._gs_succeeds = True
        super().server_bind()

    def shutdown(self) -> None:
        """Make ``serve_forever`` return; in a worker, the supervisor's."""
        if self._gs_attendance is not None:
            self._gs_attendance.say("shutdown")
        else:
            super().shutdown()

    def serve_forever(self, poll_interval=0.5):
        """Have workers handle requests until ``shutdown()``; see IPreforkServer."""
        if self._gs_attendance is not None:
            super().serve_forever(poll_interval)
            return
        self._gs_check_handler()
        self._gs_check_settings()
        with ExitStack() as at_the_end:
            supervisor = self._gs_open_loop(None)
            at_the_end.callback(supervisor.announce_end)
            try:
                supervisor.run()
            finally:
                self._gs_close_loop(supervisor)

    # The supervisor

    def _gs_new_loop(self, hub):
        if hub is not None:
            return super()._gs_new_loop(hub)
        if self.fileno() < 0 and self._gs_suspended != "release":
            raise is_closed(self)
        self._gs_open_control()
        if self._gs_team is None:
            if self.status_address is not None:
                self._gs_site = self._gs_inherited_site() or open_site(self.status_address)
            has_desk = self._gs_balances() or self._gs_counters()
            at_desk = self._gs_work_at_desk if has_desk else None
            self._gs_team = Team(self, self._gs_listener_for, self._gs_work, at_desk)
        self._gs_team.have(_cores() if self.workers == "cores" else self.workers)
        inherited, self._gs_inherited = self._gs_inherited, ()
        for fd in inherited:
            self._gs_team.finish(native.Socket(fileno=fd))
        return Supervisor(self, self._gs_team)

    def _gs_loop_opened(self, loop):
        if loop.hub is not None:
            super()._gs_loop_opened(loop)
            if self._gs_attendance is not None and loop.serving:
                self._gs_attendance.note_ready()

    def _gs_ask(self, order):
        supervisor = self._gs_loop
        if supervisor is not None and self._gs_attendance is None:
            supervisor.ask(order)

    def _gs_listener_for(self, index):
        """The listener of a slot; and the other end, if it is a hatch."""
        if self._gs_balances():
            return hatch(self.socket)
        if index == 0 or not self._gs_has_listeners():
            return self.socket, None
        if self._gs_inherited:
            return self._gs_under_tls(native.Socket(fileno=self._gs_inherited.pop(0))), None
        listener = native.Socket(self.socket.family, self.socket.type)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if listener.family == socket.AF_INET6:
                only = self.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
            let_rebind(listener)
            listener.bind(self.socket.getsockname())
            if listener.type == socket.SOCK_STREAM:
                listener.listen(self.request_queue_size)
                note_listening(listener)
            listener.settimeout(self.socket.gettimeout())
        except BaseException:
            listener.close()
            raise
        return self._gs_under_tls(listener), None

    def _gs_under_tls(self, listener):
        if handover.is_tls(self.socket):
            return handover.listening_alike(listener, self.socket)
        return listener

    def _gs_balances(self):
        return self.share == "balance" and not self._gs_takes_datagrams()

    def _gs_has_listeners(self):
        """Whether every worker can have a listener of its own."""
        if self.share != "reuseport" or getattr(self, "_gs_adopted", False):
            return False
        if self.socket.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        try:
            # Not before it was bound: whoever starts the program twice shall be told.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except (OSError, AttributeError):
            return False  # the system has no such thing
        return True

    def _gs_bequest(self):
        """What a new version of the program needs; see Successor."""
        own = [slot for slot in self._gs_team.slots if slot.has_listener and slot.pushing is None]
        bequest = {self._gs_name: [self.fileno(), *(slot.listener.fileno() for slot in own)]}
        if self._gs_site is not None:
            bequest[self._gs_site_name] = [self._gs_site.fileno()]
        return bequest

    def _gs_disown(self):
        """The new version has it all; take nothing away from it."""
        self._gs_unix_path = None

    def _gs_note_ready(self):
        """All workers are ready."""
        if self._gs_control is not None:
            self._gs_control.take_place()
        inheritance.note_ready(self._gs_name)
        inheritance.note_ready(self._gs_site_name)

    def _gs_keep_newcomers_out(self):
        if self._gs_attendance is not None:
            return self._gs_attendance.newcomers_are_out
        return super()._gs_keep_newcomers_out()

    def _gs_finish_crew(self):
        team, self._gs_team = self._gs_team, None
        if team is None:
            self._gs_close_control()
            super()._gs_finish_crew()
            return
        if self._gs_is_draining or self.block_on_close and not self.daemon_threads:
            team.wait_for_all(self._gs_drain_left())
            team.end()
        team.close()
        self._gs_close_site()
        self._gs_drain_is_over([])
        self._gs_close_control()

    def _gs_look_in(self, supervisor):
        """Called by the supervisor whenever it has something to do.

        Seconds after which to call it again at the latest, None for no limit.
        """
        return None

    @property
    def _gs_site_name(self):
        return f"{self._gs_name}, status"

    def _gs_inherited_site(self):
        fds = inheritance.take(self._gs_site_name)
        return native.Socket(fileno=fds[0]) if fds else None

    def _gs_close_site(self):
        site, self._gs_site = self._gs_site, None
        if site is not None:
            site.close()

    # The desk

    def _gs_counters(self):
        """What there is to do at the desk; see Desk."""
        counters: list[Any] = []
        if self._gs_control is not None:
            counters.append(Control)
        if self._gs_site is not None:
            counters.append(self._gs_serve_status)
        return counters

    @contextmanager
    def _gs_serve_status(self, desk):
        from ..status.team import TeamStatus  # it needs more than workers shall be burdened with

        with TeamStatus(self._gs_site, desk) as status:
            status.start()
            yield

    def _gs_open_control(self):
        if self.control_path is not None and self._gs_control is None:
            self._gs_control = ControlSocket(self.control_path, later=self._gs_succeeds)

    def _gs_close_control(self):
        control, self._gs_control = self._gs_control, None
        if control is not None:
            control.close()

    def _gs_work_at_desk(self, slot, worker):
        try:
            desk = Desk(self, self._gs_team, worker, self._gs_counters())
            self._gs_loop.leave_to(slot)
            return desk.live()
        except BaseException as error:
            events.emit(events.WorkerFailed, self, None, error)
            return 1

    # The workers

    def _gs_work(self, slot, worker):
        """All of a worker's life, and the status it exits with."""
        try:
            counts = self._gs_site is not None
            self._gs_become_worker(slot, worker)
            self._gs_attendance = Attendance(self, worker, counts)
            return self._gs_attendance.live()
        except BaseException as error:
            events.emit(events.WorkerFailed, self, slot.index, error)
            return 1

    def _gs_become_worker(self, slot, worker):
        self._gs_loop.leave_to(slot)
        self._gs_close_control()
        self._gs_close_site()
        self._gs_team = self._gs_loop = None
        if isinstance(slot.listener, Taking):
            self._gs_take_from(slot.listener, worker.card)
        self.socket = slot.listener
        cls: Any = type(self)
        self.__class__ = _worker_class(cls, self.worker_model)
        self.model = next(
            vars(cls)["model"] for cls in type(self).__mro__
            if cls is not PreforkMixIn and issubclass(cls, ModelMixIn) and "model" in vars(cls)
        )
        if not slot.has_own_queue:
            self._gs_requests_per_turn = 1  # leave some to the others
        self._gs_was_served = self._gs_stop_on_start = False
        self._gs_context_from = None  # certificates may have changed since
        self.worker_index = slot.index

    def _gs_take_from(self, taking, card):
        taking.card = card
        listener: Any = self.socket
        if handover.is_tls(listener):
            self.ssl_context, self.implicit_tls = listener.context, True
        listener.close()

    def _gs_join_crew(self, job):
        super()._gs_join_crew(job)
        if self._gs_attendance is not None:
            self._gs_attendance.note_joined(len(self._gs_crew or ()))

    def _gs_leave_crew(self, job):
        super()._gs_leave_crew(job)
        if self._gs_attendance is not None:
            self._gs_attendance.note_left(len(self._gs_crew or ()))


class _Bound(native.Socket):
    """One that is bound already, by the program which this one replaces."""

    def bind(self, address):
        """Nothing is left to do."""


def _cores():
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


@lru_cache
def _worker_class(cls, model):
    """``cls`` with a model for its workers, unless it has one of its own."""
    own = [base for base in cls.__mro__ if base not in (PreforkMixIn, ModelMixIn)]
    if any(issubclass(base, ModelMixIn) and "model" in vars(base) for base in own):
        return cls
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__}
    # After all that comes before the mixin, and what that overrides.
    return type(cls.__name__, (cls, _MODELS[model]), names)
