"""check_handler and check_handler_factory find what is wrong with whatever handles requests."""

import contextlib

import pytest
from zope.interface import implementer

from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IRequestHandler
from greensock.testing import check_handler, check_handler_factory
from tests.candidates import Faults, assert_finds
from tests.helpers import forks_beside_threads

pytestmark = forks_beside_threads

classes, functions = Faults(), Faults()


@implementer(IRequestHandler)
class Loose:
    def __init__(self, request, client_address, server):
        self.request = request
        self.setup()
        self.handle()
        self.finish()

    def setup(self):
        pass

    handle = finish = setup


@classes.breaking("it declares to be an IRequestHandler")
class Stranger:
    pass


@classes.breaking("its constructor calls .*\n.*request.*attribute was not provided")
class Ignorant(Loose):
    def __init__(self, request, client_address, server):
        self.client_address, self.server = client_address, server
        try:
            super().__init__(request, client_address, server)
        finally:
            del self.request


@classes.breaking(r"its constructor calls setup, handle and finish.*\n.*\['handle', 'finish'")
class Unready(BaseRequestHandler):
    def __init__(self, request, client_address, server):
        self.request, self.client_address, self.server = request, client_address, server
        self.handle()
        self.finish()


@classes.breaking("leaves the request to the server\n.*'closed'")
class Closing(BaseRequestHandler):
    def finish(self):
        self.request.close()


@classes.breaking("finish is called even if handle raises")
class Careless(BaseRequestHandler):
    def __init__(self, request, client_address, server):
        self.request, self.client_address, self.server = request, client_address, server
        self.setup()
        self.handle()
        self.finish()


@classes.breaking("what was raised goes to the server")
class Swallowing(BaseRequestHandler):
    def __init__(self, request, client_address, server):
        with contextlib.suppress(Exception):
            super().__init__(request, client_address, server)


@classes.breaking("if setup raises, neither handle nor finish is called")
class Finishing(BaseRequestHandler):
    def __init__(self, request, client_address, server):
        self.request, self.client_address, self.server = request, client_address, server
        try:
            self.setup()
            self.handle()
        finally:
            self.finish()


@classes.breaking("a conversation is the same under every model\n.*greenlet, compared with inline")
class Partial(BaseRequestHandler):
    def handle(self):
        self.request.sendall(self.server.model.encode())


@pytest.mark.parametrize(("handler_class", "promise"), classes)
def test_handler_with_a_fault_is_found(handler_class, promise):
    message = f"{handler_class.__name__} broke a promise: .*{promise}"
    assert_finds(message, check_handler, handler_class)


@functions.breaking("a server takes it as its handler\n.*takes no arguments")
def take_nothing():
    pass


@functions.breaking("a server takes it as its handler\n.*three arguments or two")
def take_one(sock):
    pass


@functions.breaking("it handles requests of TCPServer\n.*handle_error:AttributeError")
def fail(sock, address):
    sock.fail()


@functions.breaking("it handles requests of TCPServer\n.*'closed'")
def close(sock, address):
    sock.close()


@pytest.mark.parametrize(("function", "promise"), functions)
def test_function_with_a_fault_is_found(function, promise):
    message = f"{function.__name__} broke a promise: {promise}"
    assert_finds(message, check_handler_factory, function)


def test_conversation_that_fails_is_told():
    class Greet(StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"hello")

    def misunderstand(client):
        assert b"goodbye" == client.recv(10)

    assert_finds(
        "it handles requests of TCPServer\n.*goodbye", check_handler_factory, Greet, misunderstand
    )
