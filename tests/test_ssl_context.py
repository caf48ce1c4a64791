"""Servers with an ``ssl_context``: what it may be, and that all is as it says."""

import http.server
import os
import socket
import ssl

import gevent
import gevent.ssl
import pytest
from gevent.hub import getcurrent

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IHandshakeFailed, IRequestFailed
from greensock.net import native
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    PLACES,
    Shout,
    connect,
    descriptors,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    somewhere,
    wait_until,
)

pytestmark = forks_beside_threads

VERSIONS = ["TLSv1_2", "TLSv1_3"]
MIXINS = {
    "greenlet": greensock.GreenletMixIn,
    "thread": greensock.ThreadingMixIn,
    "fork": greensock.ForkingMixIn,
}

every_model = pytest.mark.parametrize("model", MODELS)
every_mixin = pytest.mark.parametrize("mixin", MIXINS.values(), ids=MIXINS)


def server_class(model, kind="tcp", **attributes):
    attributes.setdefault("ssl_context", tls.shared_server_context())
    return type("Server", (greensock.server_class(model, kind),), attributes)


def shout(server, context=None, **options):
    with tls.connect(server, context, **options) as client:
        client.sendall(b"hello\n")
        return client.recv(100)


class Hello(http.server.BaseHTTPRequestHandler):
    """Greets."""

    def do_GET(self):
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nhello over %s" % self.request.version().encode())

    def log_message(self, *args):
        pass


@somewhere
def test_every_connection_begins_with_the_handshake(model, where):
    with served(server_class(model)(LOCAL, Shout), where) as server:
        for _ in range(2):
            assert b"HELLO\n" == shout(server)


@every_model
def test_unix_sockets_speak_tls_too(model, tmp_path):
    path = str(tmp_path / "socket")
    with served(server_class(model, "unix")(path, Shout)) as server:
        assert b"HELLO\n" == shout(server)


@every_other(model=MIXINS, where=PLACES)
def test_a_server_of_the_standard_library_needs_nothing_but_the_mixin(model, where):
    class Server(MIXINS[model], http.server.HTTPServer):
        ssl_context = tls.shared_server_context()

    with served(Server(LOCAL, Hello), where) as server, tls.connect(server) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello over TLSv1.3" == rest(client).partition(b"\r\n\r\n")[2]


@every_model
def test_one_request_at_a_time_is_under_tls_too(model):
    server = server_class(model)(LOCAL, Shout)
    try:
        client = gevent.spawn(shout, server)
        server.handle_request()
        assert b"HELLO\n" == client.get(timeout=PATIENCE)
    finally:
        server.server_close()


@every_mixin
def test_who_bypasses_server_bind_does_not_bypass_tls(mixin):
    class Server(mixin, http.server.HTTPServer):
        ssl_context = tls.shared_server_context()

    server = Server(LOCAL, Shout, bind_and_activate=False)
    try:
        server.socket.bind(LOCAL)
        server.socket.listen()
        server.server_address = server.socket.getsockname()
        client = gevent.spawn(shout, server)
        server.handle_request()
        assert b"HELLO\n" == client.get(timeout=PATIENCE)
    finally:
        server.server_close()


@somewhere
def test_the_worker_makes_the_handshake(model, where, mailbox):
    def here():
        return os.getpid(), native.get_ident(), id(getcurrent())

    class Where(BaseRequestHandler):
        def handle(self):
            mailbox.put(here())

    context = tls.server_context()
    context.sni_callback = lambda *args: mailbox.put(here())
    with served(server_class(model, ssl_context=context)(LOCAL, Where), where) as server:
        with tls.connect(server) as client:
            assert b"" == rest(client)
        handshake, handler = mailbox.take(2)
    assert handshake == handler


# What ssl_context may be


def make_context():
    return tls.shared_server_context()


class Factory:
    """What can be called, but is no function."""

    def __call__(self):
        return tls.shared_server_context()


def in_a_body():
    """Classes with a function in their body, in each way one can stand there."""

    class Plain:
        ssl_context = make_context

    class Method:
        certificate = tls.CERTIFICATE

        def ssl_context(self):
            return tls.server_context(self.certificate)

    class Static:
        ssl_context = staticmethod(make_context)

    class OfTheClass:
        certificate = tls.CERTIFICATE

        @classmethod
        def ssl_context(cls):
            return tls.server_context(cls.certificate)

    class Lambda:
        ssl_context = lambda: tls.shared_server_context()  # noqa: E731

    class Callable:
        ssl_context = Factory()

    return [Plain, Method, Static, OfTheClass, Lambda, Callable]


@pytest.mark.worldless
@pytest.mark.parametrize("body", in_a_body(), ids=lambda body: body.__name__)
@pytest.mark.parametrize("base", ["greensock", "stdlib"])
def test_it_may_be_a_function_in_the_class(body, base):
    bases = {
        "greensock": (greensock.GreenletTCPServer,),
        "stdlib": (greensock.GreenletMixIn, http.server.HTTPServer),
    }
    with served(type("Server", (body, *bases[base]), {})(LOCAL, Shout)) as server:
        assert b"HELLO\n" == shout(server)
        server.reload_tls()
        assert b"HELLO\n" == shout(server)


@every_model
def test_it_may_be_set_on_one_server(model):
    for context in tls.shared_server_context(), make_context, Factory():
        server = greensock.server_class(model)(LOCAL, Shout)
        server.ssl_context = context
        with served(server):
            assert b"HELLO\n" == shout(server)


@every_model
def test_taking_it_away_ends_tls_for_new_connections(model):
    with served(server_class(model)(LOCAL, Shout)) as server:
        assert b"HELLO\n" == shout(server)
        server.ssl_context = None
        with connect(server) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)


@pytest.mark.parametrize("base", ["greensock", "stdlib"])
def test_a_function_is_called_once(base):
    """Its files may not be there, or not be readable, once the server has begun."""
    calls = []

    def make():
        calls.append(1)
        return tls.shared_server_context()

    class OfGreensock(greensock.GreenletTCPServer):
        ssl_context = staticmethod(make)

    class OfStdlib(greensock.GreenletMixIn, http.server.HTTPServer):
        ssl_context = staticmethod(make)

    server = {"greensock": OfGreensock, "stdlib": OfStdlib}[base](LOCAL, Shout)
    assert [1] == calls
    with served(server):
        assert b"HELLO\n" == shout(server)
    assert [1] == calls


def fail():
    raise FileNotFoundError("no certificate")


WRONG = [
    ("cert.pem", ValueError, "ssl_context is 'cert.pem'; give an ssl.SSLContext"),
    (True, ValueError, "ssl_context is True; give an ssl.SSLContext"),
    (tls.shared_client_context(), ValueError, "ssl_context is a context for clients"),
    (tls.client_context, ValueError, "returned a context for clients"),
    (lambda: None, TypeError, "ssl_context returned None; give an ssl.SSLContext"),
    (lambda: "cert.pem", TypeError, "ssl_context returned 'cert.pem'"),
    (fail, FileNotFoundError, "no certificate"),
]


@pytest.mark.parametrize("base", ["greensock", "stdlib"])
def test_a_wrong_one_is_found_before_anything_is_bound(base):
    bases = {
        "greensock": (greensock.ThreadingTCPServer,),
        "stdlib": (greensock.ThreadingMixIn, http.server.HTTPServer),
    }
    with native.Socket() as other:
        other.bind(LOCAL)
        other.listen()
        before = descriptors()
        for value, error, message in WRONG:
            attributes = {"ssl_context": value, "allow_reuse_port": False}
            with pytest.raises(error, match=message):
                type("Server", bases[base], attributes)(other.getsockname(), Shout)
            assert before >= descriptors()


def test_a_wrong_one_that_is_set_leaves_the_one_before():
    with served(server_class("greenlet")(LOCAL, Shout)) as server:
        before = server.ssl_context
        for value, error, message in WRONG:
            with pytest.raises(error, match=message):
                server.ssl_context = value
            assert before is server.ssl_context
        assert b"HELLO\n" == shout(server)


@every_model
@pytest.mark.parametrize(
    "value", [tls.shared_server_context(), make_context], ids=["context", "function"]
)
def test_datagrams_speak_no_tls(model, value):
    before = descriptors()
    with pytest.raises(ValueError, match="a server of datagrams speaks no TLS"):
        server_class(model, "udp", ssl_context=value)(LOCAL, Shout)
    assert before >= descriptors()
    with greensock.server_class(model, "udp")(LOCAL, Shout) as server:
        with pytest.raises(ValueError, match="a server of datagrams speaks no TLS"):
            server.ssl_context = value


# What it says


@every_other(model=MODELS, kind=[ssl.SSLContext, gevent.ssl.SSLContext])
def test_the_certificate_goes_by_the_name_the_client_wants(model, kind):
    """The callback gets the connection, under each model and from either sort of context."""
    names = []
    other = tls.server_context(tls.OTHER)

    def choose(sock, name, context):
        names.append(name)
        if name == "other":
            sock.context = other

    context = kind(ssl.PROTOCOL_TLS_SERVER)
    tls.show(context, tls.CERTIFICATE)
    context.sni_callback = choose
    with served(server_class(model, ssl_context=context)(LOCAL, Shout)) as server:
        for name, certificate in ("localhost", tls.CERTIFICATE), ("other", tls.OTHER):
            with gevent.ssl.SSLSocket(
                connect(server), _context=tls.trusting_context(), server_hostname=name
            ) as client:
                assert certificate == tls.shown(client)
                client.sendall(b"hello\n")
                assert b"HELLO\n" == client.recv(100)
    assert ([] if model == "fork" else ["localhost", "other"]) == names


@every_model
def test_an_application_protocol_is_agreed_on(model):
    class Protocol(BaseRequestHandler):
        def handle(self):
            self.request.sendall(str(self.request.selected_alpn_protocol()).encode())

    context = tls.server_context()
    context.set_alpn_protocols(["chat", "http/1.1"])
    with served(server_class(model, ssl_context=context)(LOCAL, Protocol)) as server:
        for offered, agreed in (["http/1.1", "gopher"], b"http/1.1"), (["gopher"], b"None"):
            asking = tls.client_context()
            asking.set_alpn_protocols(offered)
            with tls.connect(server, asking) as client:
                assert agreed == rest(client)


class Who(BaseRequestHandler):
    """Tells the name in the client's certificate."""

    def handle(self):
        self.request.sendall(str(self.request.getpeercert()["subject"]).encode())


def strict_context():
    """One that wants a client's certificate, and knows one."""
    context = tls.server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=tls.public(tls.CERTIFICATE))
    return context


@every_model
def test_a_client_shows_its_certificate(model):
    asking = tls.client_context()
    tls.show(asking, tls.CERTIFICATE)
    with served(server_class(model, ssl_context=strict_context())(LOCAL, Who)) as server:
        with tls.connect(server, asking) as client:
            assert b"(((" + b"'commonName', 'localhost'),),)" == rest(client)


@every_other(model=MODELS, version=VERSIONS, is_shown=[False, True])
def test_a_client_without_a_good_certificate_is_turned_away(model, version, is_shown):
    asking = tls.client_context()
    asking.maximum_version = ssl.TLSVersion[version]
    if is_shown:
        tls.show(asking, tls.OTHER)
    server = server_class(model, ssl_context=strict_context())(LOCAL, Who)
    with recorded(IConnectionClosed, IHandshakeFailed, IRequestFailed) as record:
        with served(server):
            with pytest.raises(OSError), tls.connect(server, asking) as client:
                # The client's part of TLS 1.3 ends before the server has seen the certificate.
                client.sendall(b"hello\n")
                client.recv(100)
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
    assert "handshake" == record[-1].connection.reason
    if model != "fork":  # where a child has told of it, and not its parent
        (event,) = record[:-1]
        assert IHandshakeFailed.providedBy(event)
        assert isinstance(event.error, ssl.SSLError)


@every_other(model=MODELS, version=VERSIONS)
def test_a_session_is_resumed(model, version):
    asking = tls.client_context()
    asking.maximum_version = ssl.TLSVersion[version]
    with served(server_class(model)(LOCAL, Shout)) as server:
        with tls.connect(server, asking) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)
            session = client.session
            assert not client.session_reused
        with tls.connect(server, asking, _session=session) as client:
            assert client.session_reused
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)


@every_other(model=MODELS, version=VERSIONS)
def test_the_end_is_announced(model, version):
    """A client that takes a missing close_notify for an attack sees none."""
    asking = tls.client_context()
    asking.maximum_version = ssl.TLSVersion[version]
    with served(server_class(model)(LOCAL, Shout)) as server:
        with tls.connect(server, asking, suppress_ragged_eofs=False) as client:
            client.sendall(b"hello\n")
            assert b"HELLO\n" == rest(client)


@every_model
def test_the_end_is_announced_after_a_failure_too(model):
    class Fail(BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"so far")
            raise RuntimeError("crash")

    with served(server_class(model)(LOCAL, Fail)) as server:
        with tls.connect(server, suppress_ragged_eofs=False) as client:
            assert b"so far" == rest(client)


@tls.needs_openssl
@every_model
def test_openssl_is_a_client(model, tmp_path):
    context = tls.server_context()
    context.set_alpn_protocols(["shout"])
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(tls.public(tls.CERTIFICATE))
    with served(server_class(model, ssl_context=context)(LOCAL, Shout)) as server:
        options = ["-CAfile", trusted, "-verify_return_error", "-servername", "localhost"]
        status, out = tls.s_client(server, "-ign_eof", "-alpn", "shout", *options)
    assert 0 == status  # it was told the end
    for text in b"HELLO\n", b"ALPN protocol: shout", b"Verify return code: 0 (ok)":
        assert text in out


# What goes over it

MUCH = bytes(range(256)) * (3 << 12)  # 3 MiB, more than all buffers hold


class EchoMuch(BaseRequestHandler):
    """Sends back what comes, while it comes."""

    def handle(self):
        left = len(MUCH)
        while left:
            data = self.request.recv(65536)
            left -= len(data)
            self.request.sendall(data)


class EchoMuchFiles(StreamRequestHandler):
    """The same with files, after all has come."""

    def handle(self):
        self.wfile.write(self.rfile.read(len(MUCH)))


class EchoMuchLater(StreamRequestHandler):
    """The same with a buffered ``wfile``."""

    wbufsize = -1

    def handle(self):
        left = len(MUCH)
        while left:
            data = self.rfile.read1(65536)
            left -= len(data)
            self.wfile.write(data)


@every_other(model=MODELS, handler=[EchoMuch, EchoMuchFiles, EchoMuchLater])
def test_much_is_carried_both_ways_and_counted(model, handler):
    """What is counted is what the handler reads and writes, not what encryption makes of it."""
    received = bytearray()
    with recorded(IConnectionClosed) as record:
        with served(server_class(model)(LOCAL, handler)) as server:
            with tls.connect(server) as client:
                writer = gevent.spawn(client.sendall, MUCH)
                while data := client.recv(65536):
                    received += data
                writer.get(timeout=PATIENCE)
            wait_until(lambda: record)
    (event,) = record
    assert MUCH == received
    assert (len(MUCH), len(MUCH)) == (event.connection.received, event.connection.sent)
    assert "finished" == event.connection.reason


@every_model
def test_a_file_is_sent_and_counted(model, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(MUCH)

    class Send(BaseRequestHandler):
        def handle(self):
            with path.open("rb") as file:
                self.request.sendfile(file)

    with recorded(IConnectionClosed) as record:
        with served(server_class(model)(LOCAL, Send)) as server, tls.connect(server) as client:
            assert MUCH == rest(client)
    (event,) = record
    assert len(MUCH) == event.connection.sent


@every_model
def test_parked_handlers_wait_for_one_line_after_another(model):
    class CountLines(StreamRequestHandler):
        parked = True
        number = 0

        def handle(self):
            self.number += 1
            self.wfile.write(b"%d %s" % (self.number, self.rfile.readline()))

    with recorded(IRequestFailed) as record:
        with served(server_class(model)(LOCAL, CountLines)) as server:
            with tls.connect(server) as client:
                for number in 1, 2:
                    client.sendall(b"hello\n")
                    assert b"%d hello\n" % number == client.recv(100)
                client.sendall(b"one\ntwo\n")
                assert b"3 one\n4 two\n" == client.recv(6) + client.recv(6)
                client.unwrap()
                client.shutdown(socket.SHUT_RDWR)
    assert [] == [event.error for event in record]


@every_model
def test_an_idle_connection_that_is_cut_is_over(model):
    server = server_class(model, idle_timeout=0.2)(LOCAL, Shout)
    with recorded(IConnectionClosed) as record, served(server), tls.connect(server) as client:
        assert b"" == rest(client)
        wait_until(lambda: record)
    assert ["idle_timeout"] == [event.connection.reason for event in record]
