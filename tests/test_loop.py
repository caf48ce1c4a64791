"""The accept loop: one branch for every outcome of get_request."""

import os

import pytest

import greensock
from tests.helpers import MODELS, Mailbox, forks_beside_threads, served

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", MODELS)


class PipeServer(greensock.BaseServer):
    """Takes single bytes from a pipe, in blocking reads."""

    def __init__(self, RequestHandlerClass):
        super().__init__("pipe", RequestHandlerClass)
        self.reader, self.writer = os.pipe()

    def fileno(self):
        return self.reader

    def get_request(self):
        return os.read(self.reader, 1), None

    def server_close(self):
        super().server_close()
        os.close(self.reader)
        os.close(self.writer)
        self.reader = -1


MIXINS = {
    "inline": (),
    "greenlet": (greensock.GreenletMixIn,),
    "thread": (greensock.ThreadingMixIn,),
    "fork": (greensock.ForkingMixIn,),
}


@every_model
def test_get_request_is_called_only_when_there_is_something(model):
    """It may block, in a server of something that is not a socket."""
    with Mailbox() as mailbox:

        def handler(request, client_address, server):
            mailbox.put(request)

        server = type("Server", (*MIXINS[model], PipeServer), {})(handler)
        with served(server, "greenlet"):
            os.write(server.writer, b"ab")
            assert {b"a", b"b"} == set(mailbox.take(2))


@every_model
def test_a_server_without_a_socket_may_have_tuples_for_requests(model):
    with Mailbox() as mailbox:

        def handler(request, client_address, server):
            mailbox.put(request)

        class Server(PipeServer):
            def get_request(self):
                return (super().get_request()[0], None), None

        server = type("Server", (*MIXINS[model], Server), {})(handler)
        with served(server):
            os.write(server.writer, b"a")
            assert (b"a", None) == mailbox.get()
