"""What may be passed as a handler, what becomes of it, and what is said of what may not."""

import functools
import http.server
import re
import socketserver
from unittest import mock

import pytest
from zope.interface import implementer

import greensock
from greensock import (
    BaseRequestHandler,
    DatagramRequestHandler,
    GreenletMixIn,
    StreamRequestHandler,
    TCPServer,
)
from greensock.factories import as_factory, check_callable, is_placeholder
from greensock.interfaces import IRequestHandlerFactory
from greensock.testing import serving
from tests.helpers import LOCAL, connect, rest

ARGUMENTS = "request", "address", "server"


def hear(server):
    with connect(server) as client:
        return rest(client)


class Plain(BaseRequestHandler):
    pass


class Callable:
    def __call__(self, request, client_address, server):
        pass

    def method(self, request, client_address, server):
        pass


def three(request, client_address, server):
    pass


def any_number(*args, **kwargs):
    pass


def optional(request, client_address, server, more=None):
    pass


def keyword(request, client_address, server, *, loud=False):
    pass


@pytest.mark.parametrize(
    "handler",
    [
        Plain,
        socketserver.StreamRequestHandler,
        http.server.SimpleHTTPRequestHandler,
        functools.partial(http.server.SimpleHTTPRequestHandler, directory="."),
        three,
        any_number,
        optional,
        keyword,
        lambda request, address, server: None,
        Callable(),
        Callable().method,
        print,
        dict,
        mock.MagicMock(),
    ],
    ids=str,
)
def test_what_takes_three_arguments_is_used_as_it_is(handler):
    assert handler is as_factory(handler)
    assert not is_placeholder(handler)


def test_what_declares_to_be_a_factory_is_used_as_it_is():
    """Even if nobody could guess it from its parameters."""

    @implementer(IRequestHandlerFactory)
    class Odd:
        def __call__(self, one, two=None, *, three=None):
            pass

    odd = Odd()
    assert odd is as_factory(odd)


@pytest.mark.parametrize("takes", ["function", "method", "object", "partial", "class"])
def test_what_takes_a_socket_and_an_address_is_adapted(takes):
    """It is not given the server."""
    called = []

    class Pair:
        def __init__(self, *args):
            if args:
                sock, address = args
                called.append((sock, address))

        def __call__(self, sock, address):
            called.append((sock, address))

        def method(self, sock, address):
            called.append((sock, address))

    class Two(Pair):
        def __init__(self, sock, address):
            super().__init__(sock, address)

    def function(sock, address, *, times=1):
        called.extend(times * [(sock, address)])

    handlers = {
        "function": function,
        "method": Pair().method,
        "object": Pair(),
        "partial": functools.partial(function, times=1),
        "class": Two,
    }
    factory = as_factory(handlers[takes])
    assert IRequestHandlerFactory.providedBy(factory)
    assert factory(*ARGUMENTS) is None
    assert [ARGUMENTS[:2]] == called
    assert repr(handlers[takes]) in repr(factory)


def test_adapted_function_keeps_its_name():
    def serve(sock, address):
        """Serve."""

    assert ("serve", "Serve.") == (as_factory(serve).__name__, as_factory(serve).__doc__)


async def coroutine(request, client_address, server):
    pass


async def async_generator(request, client_address, server):
    yield


def generator(sock, address):
    yield


class AsyncHandler(BaseRequestHandler):
    async def handle(self):
        pass


class AsyncCallable:
    async def __call__(self, request, client_address, server):
        pass


@pytest.mark.parametrize(
    "handler",
    [
        coroutine,
        async_generator,
        generator,
        functools.partial(coroutine, server=1),
        AsyncHandler,
        AsyncCallable(),
    ],
    ids=str,
)
def test_what_only_begins_when_it_is_called_is_refused(handler):
    """It would do nothing, and nobody would notice."""
    with pytest.raises(TypeError, match="asynchronous or a generator"):
        as_factory(handler)


REFUSED = [
    "handler",
    b"handler",
    42,
    object(),
    [Plain],
    Plain.__new__(Plain),
    socketserver,
    lambda sock: None,
    lambda one, two, three, four: None,
    lambda request, address, server, *, must: None,
    len,
]


@pytest.mark.parametrize("handler", REFUSED, ids=str)
def test_what_cannot_be_adapted_is_refused_with_the_right_call(handler):
    with pytest.raises(TypeError) as raised:
        as_factory(handler)
    said = str(raised.value)
    assert repr(handler) in said
    assert "TCPServer(address, MyHandler)" in said
    assert "def handler(request, client_address, server): ..." in said
    assert "def handler(socket, address): ..." in said


@pytest.mark.parametrize("handler", REFUSED[:3], ids=str)
@pytest.mark.parametrize(
    "server_class",
    [TCPServer, type("Mixed", (GreenletMixIn, http.server.HTTPServer), {})],
    ids=lambda cls: cls.__name__,
)
def test_server_refuses_when_it_is_made(server_class, handler):
    """Before it opens a socket: none is left behind."""
    with pytest.raises(TypeError, match="cannot handle requests"):
        server_class(LOCAL, handler)


class Forgetful:
    """It forgot to inherit a handler, and so takes no arguments."""

    def handle(self):
        pass


@pytest.mark.parametrize("handler", [None, lambda: None, Forgetful], ids=str)
def test_placeholder_is_accepted_and_refused_only_when_a_request_would_need_it(handler):
    """As a server is made before its handler is known, or would be called by nobody."""
    assert handler is as_factory(handler)
    assert is_placeholder(handler)
    with pytest.raises(TypeError, match="handles no requests: pass a handler class"):
        check_callable(handler)
    with TCPServer(LOCAL, handler) as server:
        assert handler is server.RequestHandlerClass
        for serve in server.serve_forever, server.handle_request:
            with pytest.raises(TypeError, match="handles no requests: pass a handler class"):
                serve()


KINDS = {
    "tcp": (DatagramRequestHandler, socketserver.DatagramRequestHandler),
    "udp": (StreamRequestHandler, socketserver.StreamRequestHandler),
}


@pytest.mark.parametrize("model", ["inline", "greenlet", "prefork"])
@pytest.mark.parametrize("transport", KINDS)
def test_handler_of_the_other_transport_is_told(transport, model):
    for base in KINDS[transport]:
        handler = type("Handler", (base,), {})
        with greensock.server_class(model, transport)(LOCAL, handler) as server:
            with pytest.raises(TypeError, match="Handler'> is a .* derive it from "):
                server.serve_forever()


def test_handler_that_sets_itself_up_may_be_of_the_other_transport():
    class Handler(DatagramRequestHandler):
        def setup(self):
            self.packet = self.request.recv(100)

        def handle(self):
            self.request.sendall(self.packet)

        def finish(self):
            pass

    with serving(server := TCPServer(LOCAL, Handler)), connect(server) as client:
        client.sendall(b"hello")
        assert b"hello" == rest(client)


def test_handler_may_be_assigned_later():
    class Greet(StreamRequestHandler):
        def handle(self):
            self.wfile.write(b"hello")

    with TCPServer(LOCAL, None) as server:
        with pytest.raises(TypeError, match="cannot handle requests"):
            server.RequestHandlerClass = "Greet"
        assert server.RequestHandlerClass is None
        server.RequestHandlerClass = Greet
        with serving(server):
            assert b"hello" == hear(server)


@pytest.mark.parametrize("base", [TCPServer, socketserver.TCPServer])
def test_server_that_finishes_requests_itself_needs_no_handler(base):
    class Own(GreenletMixIn, base):
        def finish_request(self, request, client_address):
            request.sendall(b"own")

    with serving(server := Own(LOCAL, None)):
        assert b"own" == hear(server)


def test_base_server_takes_placeholders_for_everything():
    server = greensock.BaseServer(None, None)
    assert (None, None) == (server.server_address, server.RequestHandlerClass)


def test_error_names_what_came():
    with pytest.raises(TypeError, match=re.escape("'my handler' cannot handle requests")):
        TCPServer(LOCAL, "my handler")
