"""check_server finds what is wrong with a server."""

import contextlib
import socketserver

import pytest

from greensock import BaseServer, TCPServer, UDPServer
from greensock.errors import AlreadyServing
from greensock.net import crossing
from greensock.testing import check_server
from tests.candidates import PATIENCES, Faults, assert_finds
from tests.helpers import LOCAL

pytestmark = pytest.mark.worldless

faults = Faults()


@faults.breaking(r"what its contracts ask for\n.*serve_forever\(poll_interval=0.5\)")
class Renamed(TCPServer):
    def serve_forever(self, interval=0.5):
        super().serve_forever(interval)


@faults.breaking("the hooks are called in their order")
class Unverified(socketserver.TCPServer):
    def _handle_request_noblock(self):
        self.process_request(*self.get_request())


@faults.breaking("a request that verify_request refuses is shut down unhandled")
class Unchecked(socketserver.TCPServer):
    def _handle_request_noblock(self):
        request, client_address = self.get_request()
        self.verify_request(request, client_address)
        self.process_request(request, client_address)


@faults.breaking("what a handler raises goes to handle_error")
class Silent(socketserver.TCPServer):
    def process_request(self, request, client_address):
        with contextlib.suppress(ValueError):
            self.finish_request(request, client_address)
        self.shutdown_request(request)


@faults.breaking("shutdown\\(\\) ends serve_forever, which may be called again then")
class Once(socketserver.TCPServer):
    served = False

    def serve_forever(self, poll_interval=0.5):
        if self.served:
            raise RuntimeError("once is enough")
        self.served = True
        super().serve_forever(poll_interval)


@faults.breaking("'with server' gives the server, and closes it at the end")
class Staying(socketserver.TCPServer):
    def __exit__(self, *args):
        pass


@faults.breaking("'with server' gives the server, and closes it at the end\n.*__enter__")
class Another(socketserver.TCPServer):
    def __enter__(self):
        return None


@faults.breaking("handle_request handles one request, or calls handle_timeout")
class Untimely(socketserver.TCPServer):
    def handle_timeout(self):
        pass

    def handle_request(self):
        self.timeout = None if self.timeout == 0.01 else self.timeout
        if self.timeout is not None:
            super().handle_request()


@faults.breaking("service_actions is called on every turn, even without requests")
class Idle(TCPServer):
    def _gs_is_overridden(self, name):
        return False


@faults.breaking("the hooks are called in their order.*\n.*in the worker")
class Brusque(socketserver.TCPServer):
    def shutdown_request(self, request):
        request.close()


@faults.breaking("every request is handled")
class ClosedDatagram(UDPServer):
    def close_request(self, request):
        request[1].close()


@faults.breaking(r"every request is handled.*\n.*shutdown\(\) went on")
class Deaf(TCPServer):
    def shutdown(self):
        crossing.Event().wait(2 * max(PATIENCES))
        super().shutdown()


@faults.breaking(r"shutdown\(\) before serve_forever makes that return at once")
class Forgetful(TCPServer):
    def shutdown(self):
        if self._gs_loop is not None:
            super().shutdown()


@faults.breaking(r"shutdown\(\) in a handler asks and returns")
class SelfWaiting(TCPServer):
    def shutdown(self):
        super().shutdown()
        if self._gs_loop is not None:
            crossing.Event().wait(2 * max(PATIENCES))


@faults.breaking("serve_forever raises AlreadyServing while it is being served")
class Sharing(TCPServer):
    def serve_forever(self, poll_interval=0.5):
        with contextlib.suppress(AlreadyServing):
            super().serve_forever(poll_interval)


@faults.breaking("which then raises ValueError")
class Closed(TCPServer):
    def serve_forever(self, poll_interval=0.5):
        with contextlib.suppress(ValueError):
            super().serve_forever(poll_interval)


@faults.breaking("what verify_request or get_request raises costs one connection")
class Brittle(TCPServer):
    def _gs_dispatch(self, request, client_address):
        request = self._gs_receive(request)
        try:
            verified = self.verify_request(request, client_address)
        except Exception:
            self.shutdown_request(request)
            raise
        try:
            return self.process_request(request, client_address) if verified else None
        except Exception:
            self.handle_error(request, client_address)
        finally:
            if request.fileno() != -1:
                self.shutdown_request(request)


@faults.breaking("it has what its contracts ask for\n.*neither IStreamServer nor IDatagramServer")
class Neither(BaseServer):
    pass


@pytest.mark.parametrize(("server_class", "promise"), faults)
def test_server_with_a_fault_is_found(server_class, promise):
    message = f"{server_class.__name__} broke a promise: .*{promise}"
    assert_finds(message, check_server, lambda handler: server_class(LOCAL, handler))
