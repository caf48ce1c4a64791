"""A greenlet for every request."""

from functools import partial
from time import monotonic
from typing import Any

import gevent
from zope.interface import implementer

from ..interfaces import IGreenletModel
from ..net import native
from ..net.crew import Job
from ..net.hubs import in_main_thread
from ..net.sockets import CooperativeSocket
from ..net.workers import Workers
from ..strays import Stray
from .base import ModelMixIn


class _Rest:
    """Stands where a greenlet would wait for a parked connection."""

    __slots__ = ("_server", "_job")

    def __init__(self, server, job):
        self._server = server
        self._job = job

    def switch(self, _):
        self._server._gs_start(self._job)

    def throw(self, error):
        self._job.error = error
        self._server._gs_start(self._job)


@implementer(IGreenletModel)
class GreenletMixIn(ModelMixIn):
    """Mix in before a server class to handle each request in a greenlet of its own.

    All of them run in the thread that called ``serve_forever``, interleaved wherever one waits.
    Tens of thousands are no burden, but one that computes, or blocks in a call that is not
    cooperative, keeps all others waiting.
    """

    model = "greenlet"

    reuse_greenlets: bool = True
    """Whether a greenlet may handle one request after another, if nobody can tell.

    It saves a third of what a short connection costs. What a handler keeps in a ``gevent.local`` or
    in a context variable still ends with its request, and a greenlet that somebody refers to, such
    as a ``gevent.Timeout`` that was started and not closed, ends with its request, too.
    """

    max_workers: int = 1000
    """Greenlets that handle datagrams, at most, one datagram after another.

    They are used again as with ``reuse_greenlets``. While all of them wait for something, datagrams
    wait in the system's queue, which drops what it cannot hold.
    """

    _gs_requests_per_turn = 64
    _gs_workers: Workers | None = None

    def process_request(self, request: Any, client_address: Any) -> None:
        """Have a greenlet finish the request."""
        job = self._gs_new_job(request, client_address)
        try:
            self._gs_join_crew(job)
            self._gs_start(job)
        except BaseException:
            self._gs_note_failure(job)
            self._gs_leave_crew(job)
            raise

    def _gs_way_for_datagrams(self):
        workers = self._gs_workers
        if self._gs_own_steps or workers is None or workers.thread != native.get_ident():
            return super()._gs_way_for_datagrams()
        return partial(self._gs_take_datagram, workers)

    def _gs_take_datagram(self, workers, request, client_address):
        """Have one handled of whose steps nobody has overridden any."""
        job: Any = Job.__new__(Job)  # to call the class takes twice as long
        job.__init__(request, client_address)
        try:
            self._gs_join_crew(job)
            workers.start(job)
        except BaseException:
            self._gs_leave_crew(job)
            raise

    def _gs_start(self, job):
        workers = self._gs_workers
        # Another thread may handle a request beside the loop.
        if workers is None or workers.thread != native.get_ident():
            job.worker = gevent.spawn_raw(self._gs_run, job)
        else:
            workers.start(job)

    def _gs_do_without_greenlet(self, job):
        request = job.request
        self._gs_note_failure(job)
        self._gs_leave_crew(job)
        self._gs_fail(request, job.client_address)

    def _gs_has_room(self):
        if self.max_connections is not None and self._gs_is_full():
            return False
        workers = self._gs_workers
        return workers is None or bool(workers.idle) or workers.has_room

    def _gs_loop_opened(self, loop):
        super()._gs_loop_opened(loop)
        most = self.max_workers if self._gs_shares_socket_with_handlers() else None
        if loop.serving and (most is not None or self.reuse_greenlets):
            run = self._gs_run if most is None else self._gs_run_datagram
            refuse = self._gs_do_without_greenlet
            self._gs_workers = Workers(loop.hub, run, refuse, most, loop.room_was_made)

    def _gs_loop_closing(self, loop):
        super()._gs_loop_closing(loop)
        workers, self._gs_workers = self._gs_workers, None
        if workers is not None:
            workers.close()

    def _gs_run(self, job):
        rests = False
        try:
            if job.handler is not None:
                job.working_since = monotonic()
                self._gs_go_on(job)
            # What arrives as a datagram needs nothing more.
            elif type(job.request) is tuple or self._gs_enter(job):
                request = job.request
                try:
                    if "process_request_thread" in self._gs_own_steps:
                        self.process_request_thread(request, job.client_address)
                    else:
                        self._gs_finish(request, job.client_address)
                finally:
                    if job.request is not request:
                        self._gs_finish_switched(job)
            rests = self._gs_resting is not None and self._gs_rest(job)
        except BaseException as error:
            self._gs_break_off(job, error)
        finally:
            if not rests:
                self._gs_leave_crew(job)

    def _gs_run_datagram(self, job):
        """What _gs_run does, without the steps that are nobody's own and have nothing to do."""
        if self._gs_own_steps or type(job) is not Job:
            self._gs_run(job)
            return
        try:
            try:
                self._gs_handle(job.request, job.client_address)
            except Exception:
                self.handle_error(job.request, job.client_address)
        except BaseException as error:
            self._gs_break_off(job, error)
        finally:
            self._gs_leave_crew(job)

    def _gs_break_off(self, job, error):
        """A handler, or a step of its request, has raised what no handle_error is for."""
        if not isinstance(error, KeyboardInterrupt):
            self._gs_note_failure(job)
            if not job.was_cut:
                self._gs_report(job.client_address, error)
        elif in_main_thread():
            self._gs_interrupt(error)
        else:
            self._gs_report(job.client_address, error)

    def _gs_go_on(self, job):
        try:
            job.handler._gs_go_on(job.error)
        except Exception:
            self._gs_note_failure(job)
            self.handle_error(job.request, job.client_address)
        finally:
            if not self._gs_resting or job.request not in self._gs_resting:
                self._gs_end(job.request, job.client_address)

    def _gs_park(self, handler):
        """Let a handler's connection rest until there is something to read; whether it can."""
        request = handler.request
        if type(request) is not CooperativeSocket or self._gs_finishes_elsewhere:
            return False
        if type(request.meter) is Stray:
            return False  # whoever brought it here ends it when its handler returns
        if self._gs_resting is None:
            self._gs_resting = {}
        self._gs_resting[request] = handler
        return True

    def _gs_rest(self, job):
        handler = self._gs_resting.pop(job.request, None) if self._gs_resting else None
        if handler is None:
            return False
        job.handler = handler
        job.worker = None
        job.request.rest(_Rest(self, job))
        return True

    def _gs_interrupt(self, error):
        """A Ctrl-C landed in a handler: end ``serve_forever``, or else the program's main part."""
        loop = self._gs_loop
        if loop is None:
            raise error
        loop.interrupt(error)

    def _gs_await_crew(self, timeout):
        # A Ctrl-C at the very edge of a request has left the end of it to nobody.
        crew: Any = self._gs_crew or ()
        for job in crew:
            if getattr(job.worker, "dead", False) and job in crew:
                if job.request is not None:
                    self._gs_end(job.request, job.client_address)
                self._gs_leave_crew(job)
        return super()._gs_await_crew(timeout)

    def _gs_linger(self, loop):
        if self._gs_crew:
            loop.announce_end()  # shutdown() does not wait for handlers
        self._gs_drain_is_over(self._gs_wait_or_cut(self._gs_drain_left()))
