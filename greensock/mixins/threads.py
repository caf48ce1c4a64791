"""An OS thread for every request."""

from typing import Any

from zope.interface import implementer

from ..interfaces import IConcurrencyModel
from ..net import native
from ..net.threads import descriptors_for_thread, start_thread
from .outside import OutsideMixIn


class _Threads(list):
    """The threads at work, in the shape the standard library's ``server_close`` knows."""

    def join(self):
        """Do nothing: they were waited for already, or need not be."""


@implementer(IConcurrencyModel)
class ThreadingMixIn(OutsideMixIn):
    """Mix in before a server class to handle each request in an OS thread of its own.

    The threads are real under monkey patching, too; handlers then have a hub of their own.
    With ``daemon_threads`` the interpreter may exit while handlers run, and ``server_close``
    does not wait for them.
    """

    model = "thread"

    _gs_requests_per_turn = 16

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread that finishes the request. RuntimeError if there can be none."""
        job = self._gs_new_job(request, client_address)
        try:
            self._gs_join_crew(job)
            start_thread(
                lambda: self._gs_run(job),
                shown_as=self.process_request_thread,
                daemon=self.daemon_threads,
            )
        except BaseException:
            self._gs_note_failure(job)
            self._gs_leave_crew(job)
            raise

    def _gs_descriptors_of_worker(self):
        return descriptors_for_thread()

    @property
    def _threads(self):
        return _Threads(self._gs_crew or ())

    def _gs_run(self, job):
        job.worker = native.get_ident()
        try:
            if self._gs_enter(job):
                request = job.request
                try:
                    self.process_request_thread(request, job.client_address)
                finally:
                    if job.request is not request:
                        self._gs_finish_switched(job)
        except BaseException as error:
            self._gs_note_failure(job)
            self._gs_report(job.client_address, error)
            raise
        finally:
            self._gs_leave_crew(job)

    def _gs_me(self):
        return native.get_ident()
