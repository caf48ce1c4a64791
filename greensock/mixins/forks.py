"""A process for every request."""

import signal
import socket
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from gevent.hub import getcurrent
from zope.interface import implementer

from .. import events
from ..interfaces import IConcurrencyModel
from ..net import native
from ..net.children import Child, Sentries, wait_for_any
from ..net.crew import Job
from ..net.hubs import in_hub
from ..net.listeners import close_all_in_child
from ..net.shared_connections import SharedConnection
from ..net.threads import start_thread
from ..net.wardens import WATCHFUL
from .outside import OutsideMixIn


@implementer(IConcurrencyModel)
class ForkingMixIn(OutsideMixIn):
    """Mix in before a server class to handle each request in a child process of its own.

    A child starts clean: none of this process's greenlets, timers and signal handlers run in
    it, and it holds no listener. At most ``max_children`` live at a time; further clients wait
    in the backlog. Children are reaped as they end, each by its pid.
    """

    model = "fork"
    timeout: float | None = 300
    max_children = 40
    active_children: set[int] | None = None

    # Signals that a terminal sends to children, too, and that are the parent's to obey.
    _gs_deaf_to: tuple[int, ...] = ()
    _gs_sentries: Sentries | None = None
    # Its books are of children.
    _gs_takes_in = False
    # Whether it was closed by somebody who could not wait for the end of the loop.
    _gs_was_left = False
    _gs_reaper_is_at_work = False

    def process_request(self, request: Any, client_address: Any) -> None:
        """Fork a child that finishes the request. OSError if there can be none."""
        job = self._gs_new_job(request, client_address)
        job.worker = child = Child()
        try:
            self._gs_join_crew(job)
            child.fork(lambda: self._gs_live(job), [(signal.SIGURG, lambda: self._gs_obey(job))])
        except BaseException:
            if child.pid:
                self._gs_note_forked(job)
            else:
                self._gs_note_failure(job)
                self._gs_leave_crew(job)
            raise
        self._gs_note_forked(job)

    def _gs_descriptors_of_worker(self):
        return 1  # which tells of its end

    def _gs_note_forked(self, job):
        """A child has the request from now on."""
        request = job.request
        if self.active_children is None:
            self.active_children = set()
        self.active_children.add(job.worker.pid)
        job.let_go()  # it is the child's
        self._gs_post_sentry(job)
        # Another thread may have had something to say when there was nobody to hear it.
        if job.was_cut:
            self._gs_cut(job)
        elif self._gs_is_draining:
            self._gs_signal(job)
        self.close_request(request)

    def collect_children(self, *, blocking: bool = False) -> None:
        """Reap the children that have ended; with ``blocking``, wait for all of them."""
        if blocking or self._gs_sentries is None:  # or else the loop's hub does it
            self._gs_collect(None if blocking else 0)

    def service_actions(self) -> None:
        """Called on every turn of the loop: reap what has ended, as the loop's hub does anyway."""
        super().service_actions()
        self.collect_children()

    def handle_timeout(self) -> None:
        """Called when no request came in time: reap what has ended."""
        self.collect_children()

    def _gs_collect(self, timeout):
        """Reap children for at most ``timeout`` seconds; whether none is left."""
        if self._gs_crew is None:
            return True
        if self._gs_are_reaped():
            return self._gs_crew.wait(timeout)
        return self._gs_reap(timeout)

    def _gs_are_reaped(self):
        """Whether the loop's hub reaps them, or a thread."""
        return self._gs_sentries is not None or self._gs_reaper_is_at_work

    def _gs_reap(self, timeout):
        ends = None if timeout is None else monotonic() + timeout
        for job in self._gs_crew or ():
            left = None if ends is None else max(0.0, ends - monotonic())
            if job.worker.wait(left):
                self._gs_child_ended(job)
        return not self._gs_crew

    def _gs_wait_until(self, fits, timeout):
        # Where there is no loop nobody else reaps, and one may begin meanwhile.
        ends = None if timeout is None else monotonic() + timeout
        left = timeout
        while not fits() and left != 0.0 and self._gs_crew and not self._gs_are_reaped():
            children = [job.worker for job in self._gs_crew]
            wait_for_any(children, WATCHFUL if left is None else min(left, WATCHFUL))
            self.collect_children()
            left = None if ends is None else max(0.0, ends - monotonic())
        return super()._gs_wait_until(fits, left)

    def _gs_live(self, job):
        """All of a child's life, and the status it exits with."""
        for number in self._gs_deaf_to:
            signal.signal(number, _nothing)  # which, unlike SIG_IGN, a new program does not inherit
        close_all_in_child()
        for sibling in self._gs_crew or ():
            with suppress(OSError):  # another thread was about to forget it
                native.close(sibling.worker.sentinel)
        job.start_afresh()
        # A handler may close or shut down its server, and none of these is its to end.
        self._gs_loop = self._gs_sentries = self._gs_crew = self._gs_warden = None
        self.active_children = None
        try:
            if not self._gs_enter(job):
                return 1
            try:
                self.finish_request(job.request, job.client_address)
                return 0
            except Exception:
                self._gs_note_failure(job)  # here, because somebody else may get the exit status
                self.handle_error(job.request, job.client_address)
            finally:
                self.shutdown_request(job.request)
        except BaseException as error:
            self._gs_note_failure(job)
            self._gs_report(job.client_address, error)
        return 1

    def _gs_child_ended(self, job):
        # A Ctrl-C may end this anywhere. Then it is done again, when the server is closed.
        if not job.worker.is_mine_to_reap():
            return
        if self.active_children is not None:  # or else the Ctrl-C came before
            self.active_children.discard(job.worker.pid)
        if job.worker.reap():
            self._gs_note_failure(job)
        if isinstance(job, SharedConnection) and job.reason == "slow_consumer":
            events.emit(events.ConnectionCut, self, job.client_address, job.reason)
        if isinstance(job, SharedConnection) and job.is_in_handshake:  # when it was cut
            error = ConnectionError("the connection was cut")
            if job.awaits_header:
                super()._gs_header_failed(job, "late", error)
            else:
                super()._gs_handshake_failed(job, error)
        self._gs_leave_crew(job)
        loop = self._gs_loop
        if loop is not None:
            loop.room_was_made()

    def _gs_post_sentry(self, job):
        if self._gs_sentries is not None:
            self._gs_sentries.post(job.worker, lambda: self._gs_child_ended(job))

    def _gs_loop_opened(self, loop):
        super()._gs_loop_opened(loop)
        self.collect_children()
        self._gs_sentries = Sentries(loop.hub)
        for job in self._gs_crew or ():
            self._gs_post_sentry(job)

    def _gs_loop_closing(self, loop):
        super()._gs_loop_closing(loop)
        # Whoever has closed the server has gone, and nobody else may ask for these.
        self._gs_reaper_is_at_work = self._gs_was_left and bool(self._gs_crew)
        sentries, self._gs_sentries = self._gs_sentries, None
        if sentries is not None:
            sentries.close()
        if self._gs_reaper_is_at_work:
            try:
                reap = partial(self._gs_reap, None)
                start_thread(reap, shown_as=self.collect_children, daemon=True)
            except RuntimeError:  # the system refuses a thread
                self._gs_reaper_is_at_work = False

    def _gs_has_room(self):
        if self._gs_is_full():
            return False
        return self.active_children is None or len(self.active_children) < self.max_children

    def _gs_finish_crew(self):
        loop = self._gs_loop
        if loop is not None:
            # Until it ends its hub reaps, afterwards nobody would.
            is_in_the_way = getcurrent() is loop.greenlet or in_hub()
            self._gs_was_left = is_in_the_way or not loop.wait_for_end(self._gs_drain_left())
        super()._gs_finish_crew()

    def _gs_await_crew(self, timeout):
        return self._gs_collect(timeout)

    def _gs_new_job(self, request, client_address):
        if isinstance(request, tuple):
            return Job(request, client_address)
        has_proxy = self.proxy_protocol is not None
        return SharedConnection(request, client_address, self.model, self, has_proxy)

    def _gs_tell_handlers(self):
        super()._gs_tell_handlers()
        for job in self._gs_crew or ():
            self._gs_signal(job)

    def _gs_tell(self, job):
        if not job.was_told:
            job.was_told = True
            self._gs_signal(job)

    def _gs_signal(self, job):
        job.worker.signal(signal.SIGURG)

    def _gs_obey(self, job):
        """In a child whose server drains, or has cut its connection; for its signal handler."""
        if job.was_cut:
            job.shut()
            return
        self._gs_is_draining = True
        super()._gs_tell_handlers()
        if job.was_told:
            job.shut(socket.SHUT_RD)

    def _gs_may_shake_hands(self):
        return True  # a child may switch to TLS, with a context of its own, and nobody knows here

    def _gs_be_too_slow(self, connection, waiting, dropped):
        if dropped is not None:
            super()._gs_be_too_slow(connection, waiting, dropped)
            return
        # In the child, where nobody else knows of it: its parent tells.
        connection.reason = connection.reason or "slow_consumer"
        connection.was_cut = True
        connection.shut()

    def _gs_cut(self, job):
        # A child that does not notice is killed soon. One with a datagram has nothing to shut.
        job.worker.signal(signal.SIGURG if isinstance(job, SharedConnection) else signal.SIGTERM)

    def _gs_handshake_failed(self, job, error):
        """In a child. Of one that was cut its parent tells."""
        return error if job.was_cut else super()._gs_handshake_failed(job, error)

    def _gs_read_header(self, job, is_required):
        job.awaits_header = True
        super()._gs_read_header(job, is_required)
        job.awaits_header = False

    def _gs_header_failed(self, job, reason, error):
        """In a child; as for handshakes."""
        if not job.was_cut:
            super()._gs_header_failed(job, reason, error)

    def _gs_counts_in(self, job, limit):
        return True  # the others are the parent's to count, who does not know in time

    def _gs_kill(self, job):
        job.worker.signal(signal.SIGKILL)


def _nothing(number, frame):
    """Do nothing."""
