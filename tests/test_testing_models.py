"""check_model finds what is wrong with a model."""

import socketserver

import pytest

from greensock import GreenletMixIn, ThreadingMixIn
from greensock.testing import check_model
from tests.candidates import Faults, assert_finds

pytestmark = pytest.mark.worldless

faults = Faults()


@faults.breaking(r"does not declare @implementer\(IConcurrencyModel\)")
class Undeclared(socketserver.ThreadingMixIn):
    pass


@faults.breaking("process_request returns without waiting for the handler")
class OneAtATime(GreenletMixIn):
    process_request = socketserver.BaseServer.process_request


@faults.breaking("nothing a handler raises ends the server")
class Fragile(GreenletMixIn):
    def _gs_run(self, job):
        try:
            if self._gs_enter(job):
                self.process_request_thread(job.request, job.client_address)
        finally:
            self._gs_leave_crew(job)


@faults.breaking("the hooks are called in their order, each once for a request")
class EndingTwice(ThreadingMixIn):
    def process_request_thread(self, request, client_address):
        super().process_request_thread(request, client_address)
        self.shutdown_request(request)


@faults.breaking("server_close waits for running handlers if block_on_close")
class Hasty(ThreadingMixIn):
    def server_close(self):
        self.block_on_close = False
        super().server_close()


@faults.breaking("server_close does not wait for handlers unless block_on_close")
class Patient(ThreadingMixIn):
    @property
    def block_on_close(self):
        return True

    @block_on_close.setter
    def block_on_close(self, value):
        pass


@faults.breaking("nothing a handler raises ends the server\n.*what was handled")
class Telltale(ThreadingMixIn):
    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        except BaseException:
            self.handle_error(request, client_address)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("mixin", "promise"), faults)
def test_model_with_a_fault_is_found(mixin, promise):
    assert_finds(f"{mixin.__name__}.*{promise}", check_model, mixin)
