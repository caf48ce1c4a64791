"""The models over the standard library's servers, and over what programs have made of those."""

import http.server
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import wsgiref.simple_server
import xmlrpc.client
import xmlrpc.server

import gevent
import pytest

import greensock
from greensock import ForkingMixIn, GreenletMixIn, ThreadingMixIn
from greensock.interfaces import IRequestFailed
from greensock.net import native
from tests import programs, tls
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Call,
    Crash,
    Shout,
    ShoutDatagram,
    Trap,
    ask,
    connect,
    connect_to,
    everywhere,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)

pytestmark = forks_beside_threads

MIXINS = {"greenlet": GreenletMixIn, "thread": ThreadingMixIn, "fork": ForkingMixIn}


class Quiet:
    def log_message(self, *args):
        pass


class Hello(Quiet, http.server.BaseHTTPRequestHandler):
    """Says hello, and to whoever posts something, that."""

    def do_GET(self):
        self.answer(b"hello")

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)


class QuietRPC(Quiet, xmlrpc.server.SimpleXMLRPCRequestHandler):
    pass


class QuietWSGI(Quiet, wsgiref.simple_server.WSGIRequestHandler):
    pass


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from wsgi"]


GET = b"GET / HTTP/1.0\r\n\r\n"


def post(body):
    return b"POST /RPC2 HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


SITES = [http.server.HTTPServer, http.server.ThreadingHTTPServer]
STREAMS = [
    socketserver.TCPServer,
    socketserver.ThreadingTCPServer,
    socketserver.ForkingTCPServer,
    socketserver.UnixStreamServer,
]
DATAGRAMS = [socketserver.UDPServer, socketserver.UnixDatagramServer]
XMLRPC = xmlrpc.server.SimpleXMLRPCServer
WSGI = wsgiref.simple_server.WSGIServer
EVERY_BASE = [*SITES, XMLRPC, WSGI, *STREAMS, *DATAGRAMS]


def mixed(model, base):
    return type("Server", (MIXINS[model], base), {})


def make(model, base, directory=""):
    """A server of this model over this base, and what to ask of it to be answered with what."""
    kind = mixed(model, base)
    unix = base.address_family == socket.AF_UNIX
    address = os.path.join(directory, "socket") if unix else LOCAL
    if base in SITES:
        return kind(address, Hello), GET, b"hello"
    if base is XMLRPC:
        server = kind(address, QuietRPC)
        server.register_function(pow)
        return server, post(xmlrpc.client.dumps((2, 5), "pow").encode()), b"<int>32</int>"
    if base is WSGI:
        server = kind(address, QuietWSGI)
        server.set_app(application)
        return server, GET, b"hello from wsgi"
    if base in DATAGRAMS:
        return kind(address, ShoutDatagram), b"hello", b"HELLO"
    return kind(address, Shout), b"hello\n", b"HELLO\n"


# One server of each kind shows that it may be served beside the tests as well as elsewhere.
PLACED = [
    *((base, "thread") for base in EVERY_BASE),
    *((base, "greenlet") for base in (http.server.HTTPServer, *DATAGRAMS)),
]


@pytest.mark.parametrize("base, where", PLACED, ids=lambda value: getattr(value, "__name__", value))
@pytest.mark.parametrize("model", MIXINS)
def test_every_model_works_over_every_server_of_the_standard_library(model, base, where, tmp_path):
    server, question, answer = make(model, base, tmp_path)
    with served(server, where):
        for _ in range(2):
            assert answer in ask(server, question)


PROGRAM = """
from tests import world
import sys, http.server
import greensock

class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *args):
        pass

for name in sys.argv[1:]:
    class Server(getattr(greensock, name), http.server.HTTPServer):
        pass

    with Server(("127.0.0.1", 0), Hello) as server:
        print("%s:%d" % server.server_address, flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
"""


def test_a_site_is_served_in_the_main_thread_until_ctrl_c():
    """Of each model, one after the other."""
    with programs.begin(PROGRAM, *(mixin.__name__ for mixin in MIXINS.values())) as program:
        try:
            for _ in MIXINS:
                host, _, port = program.stdout.readline().partition(":")
                with connect_to((host, int(port))) as client:
                    client.sendall(GET)
                    assert rest(client).endswith(b"hello")
                os.killpg(program.pid, signal.SIGINT)  # as a terminal does: to the children, too
                assert "interrupted\n" == program.stdout.readline()
            assert ("", "") == program.communicate(timeout=30)
        finally:
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
    assert 0 == program.returncode


@everywhere
def test_two_hundred_slow_clients_are_served_at_once_in_one_thread(where):
    """Each has sent half of its request when the last one is taken."""
    inside = []

    class Site(GreenletMixIn, http.server.ThreadingHTTPServer):
        request_queue_size = 200  # the standard library's 5 makes clients of a burst wait seconds

    class Post(Hello):
        def do_POST(self):
            inside.append(native.get_ident())
            super().do_POST()

    with served(Site(LOCAL, Post), where) as server:
        clients = [connect(server) for _ in range(200)]
        for client in clients:
            client.sendall(post(b"0123456789")[:-5])
        wait_until(lambda: len(inside) == 200)
        for client in clients:
            client.sendall(b"56789")
        answers = gevent.joinall([gevent.spawn(rest, client) for client in clients], PATIENCE)
        for client in clients:
            client.close()
    assert [True] * 200 == [answer.value.endswith(b"0123456789") for answer in answers]
    assert 1 == len(set(inside))


@pytest.mark.parametrize("base", [socketserver.TCPServer, socketserver.ThreadingTCPServer])
@pytest.mark.parametrize("model", MIXINS)
def test_what_a_server_overrides_is_called(model, base, mailbox):
    class Own(base):
        def server_bind(self):
            mailbox.put("server_bind")
            super().server_bind()

        def get_request(self):
            mailbox.put("get_request")
            return super().get_request()

        def handle_error(self, request, client_address):
            mailbox.put(("handle_error", str(sys.exc_info()[1])))

    server = mixed(model, Own)(LOCAL, Crash)
    assert "server_bind" == mailbox.get()
    with served(server):
        assert b"" == ask(server, b"")
        assert ["get_request", ("handle_error", "crash")] == mailbox.take(2)


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_an_overridden_process_request_thread_is_called_in_the_worker(model, mailbox):
    """Django's server closes its database connections there."""

    class Own(socketserver.ThreadingTCPServer):
        def process_request_thread(self, request, client_address):
            mailbox.put(("begun", native.get_ident()))
            super().process_request_thread(request, client_address)
            mailbox.put(("ended", native.get_ident()))

    class Tell(Shout):
        def handle(self):
            mailbox.put(("handled", native.get_ident()))
            super().handle()

    with served(mixed(model, Own)(LOCAL, Tell)) as server:
        assert b"HELLO\n" == ask(server)
        told = mailbox.take(3)
    assert ["begun", "handled", "ended"] == [word for word, _ in told]
    assert 1 == len({ident for _, ident in told})


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_an_error_is_an_event_and_not_printed(model, capsys):
    with recorded(IRequestFailed) as record:
        with served(mixed(model, socketserver.TCPServer)(LOCAL, Crash)) as server:
            ask(server, b"")
    assert ["crash"] == [str(event.error) for event in record]
    assert "Exception occurred during processing" not in capsys.readouterr().err


@pytest.mark.parametrize("model", MIXINS)
def test_accepting_does_not_wait_for_a_client_that_another_process_took(model):
    with served(mixed(model, socketserver.TCPServer)(LOCAL, Shout)) as server:
        with pytest.raises(BlockingIOError):
            server.get_request()
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("base", [socketserver.ThreadingTCPServer, http.server.HTTPServer])
@pytest.mark.parametrize("model", MIXINS)
def test_a_select_loop_of_the_programs_own_may_call_handle_request(model, base):
    """As pydoc and logging.config do it."""

    class Receiver(mixed(model, base)):
        abort = False

        def serve_until_stopped(self):
            while not self.abort:
                if select.select([self.socket.fileno()], [], [], 0.01)[0]:
                    self.handle_request()
            self.server_close()

    server = Receiver(LOCAL, Shout)
    call = Call("thread", server.serve_until_stopped)
    for _ in range(3):
        assert b"HELLO\n" == ask(server)
    server.abort = True
    call.end()
    assert -1 == server.fileno()


class Connecting:
    """Connects instead of listening, as idlelib's server does, and serves its own socket."""

    def server_bind(self):
        pass

    def server_activate(self):
        self.socket.connect(self.server_address)

    def get_request(self):
        return self.socket, self.server_address


@pytest.mark.parametrize("model", MODELS)
def test_a_server_may_serve_the_socket_it_has_connected(model):
    with socket.create_server(LOCAL) as peer:
        kind = type("RPCServer", (Connecting, greensock.server_class(model)), {})
        server = kind(peer.getsockname(), Shout)
        client, _ = peer.accept()
        with client:
            client.sendall(b"hello\n")
            call = Call("thread", server.handle_request)
            client.settimeout(PATIENCE)
            assert b"HELLO\n" == client.recv(100)
            assert b"" == client.recv(100)
        call.end()
        server.server_close()


@pytest.mark.parametrize(
    "base, where", [(greensock.TCPServer, "thread"), (http.server.HTTPServer, "greenlet")]
)
@pytest.mark.parametrize("model", MIXINS)
def test_get_request_may_put_more_into_the_address(model, base, where, mailbox):
    """As Radicale's does."""

    class Own(base):
        def get_request(self):
            request, client_address = super().get_request()
            return request, (client_address, "extra")

    class Tell(Shout):
        def handle(self):
            mailbox.put(self.client_address)
            super().handle()

    with served(mixed(model, Own)(LOCAL, Tell), where) as server:
        with connect(server) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)
            assert (client.getsockname(), "extra") == mailbox.get()


class Association:
    """Makes its own socket, and speaks TLS when it accepts, as pynetdicom's server does."""

    def __init__(self, address, handler):
        self.socket = None
        self.context = tls.server_context()
        self.timeout = 60
        super().__init__(address, handler, bind_and_activate=True)

    def server_bind(self):
        self.socket.close()
        self.socket = socket.socket(self.address_family, self.socket_type)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def get_request(self):
        client, address = self.socket.accept()
        return self.context.wrap_socket(client, server_side=True), address


@pytest.mark.parametrize("base", [greensock.TCPServer, socketserver.TCPServer])
@pytest.mark.parametrize("model", MIXINS)
def test_get_request_may_speak_tls_itself(model, base):
    kind = type("Server", (Association, MIXINS[model], base), {})
    with served(kind(LOCAL, Shout)) as server, tls.connect(server) as client:
        client.sendall(b"hello\n")
        assert b"HELLO\n" == rest(client)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("changed", [greensock.TCPServer, socketserver.TCPServer])
def test_reuse_of_addresses_may_be_set_for_all_servers(model, changed, monkeypatch):
    """As impacket does."""
    monkeypatch.setattr(changed, "allow_reuse_address", True)
    with greensock.server_class(model)(LOCAL, Shout) as server:
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


@pytest.mark.parametrize("model", MODELS)
def test_a_handler_may_make_its_descriptor_non_blocking(model):
    """As fakeredis does."""

    class NonBlocking(Shout):
        def setup(self):
            super().setup()
            select.select([self.rfile], [], [], PATIENCE)
            os.set_blocking(self.rfile.fileno(), False)

    with served(greensock.server_class(model)(LOCAL, NonBlocking)) as server:
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("base", [greensock.TCPServer, http.server.HTTPServer])
@pytest.mark.parametrize("model", MIXINS)
def test_a_closed_server_serves_the_socket_it_is_given(model, base):
    """As werkzeug's reloader does, which keeps the descriptor open."""
    server = mixed(model, base)(LOCAL, Shout, bind_and_activate=False)
    server.server_bind()
    server.server_activate()
    kept = os.dup(server.fileno())
    server.server_close()
    server.socket = socket.socket(fileno=kept)
    server.server_address = server.socket.getsockname()
    with served(server):
        assert b"HELLO\n" == ask(server)


@pytest.mark.parametrize("base", [greensock.TCPServer, WSGI])
def test_daemon_threads_may_be_set_on_the_instance(base):
    """As Django does; closing waits for no handler then."""
    ended = threading.Event()

    class Trapped(Trap):
        def handle(self):
            super().handle()
            ended.set()

    server = mixed("thread", base)(LOCAL, Trapped)
    server.daemon_threads = True
    with served(server):
        client = connect(server)
        assert b"trapped\n" == client.recv(100)
    with client:
        assert not ended.is_set()
    wait_until(ended.is_set)


@pytest.mark.parametrize("mixin", MIXINS.values(), ids=MIXINS)
def test_a_burst_of_clients_fits_into_the_backlog(mixin):
    """All are connected before anybody is served; the standard library's five would not be."""

    class Site(mixin, http.server.ThreadingHTTPServer):
        pass

    with Site(LOCAL, Hello) as server:
        clients = [connect(server) for _ in range(60)]
        for client in clients:
            client.close()


@pytest.mark.parametrize("mixin", MIXINS.values(), ids=MIXINS)
def test_a_backlog_that_somebody_chose_is_kept(mixin):
    class Modest(http.server.HTTPServer):
        request_queue_size = 7

    class Site(mixin, Modest):
        pass

    with Site(LOCAL, Hello) as server:
        assert 7 == server.request_queue_size
