"""Handlers that begin TLS when the client asks for it."""

import smtplib
import socket
import ssl

import gevent
import gevent.ssl

import greensock
from greensock import BaseRequestHandler, StreamRequestHandler
from greensock.interfaces import IConnectionClosed, IHandshakeFailed, IRequestFailed
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    PLACES,
    connect,
    descriptors,
    every_model,
    every_other,
    forks_beside_threads,
    recorded,
    rest,
    served,
    somewhere,
    wait_until,
)

pytestmark = forks_beside_threads

LIMIT = 0.15


class Mail(StreamRequestHandler):
    """As much of SMTP as is needed before a message."""

    def handle(self):
        self.wfile.write(b"220 localhost\r\n")
        for line in self.rfile:
            command = line.split()[0].upper()
            if command == b"EHLO":
                self.wfile.write(b"250-localhost\r\n250 STARTTLS\r\n")
            elif command == b"STARTTLS":
                self.wfile.write(b"220 go ahead\r\n")
                self.switch_to_tls()
                self.handle_rest()
                return
            else:
                self.wfile.write(b"500 what?\r\n")

    def handle_rest(self):
        for line in self.rfile:
            if line.upper().startswith(b"QUIT"):
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 %s\r\n" % self.connection.version().encode())


class BufferedMail(Mail):
    """The same, with a ``wfile`` that is flushed by ``switch_to_tls`` alone."""

    wbufsize = -1

    def handle(self):
        self.rfile.readline()
        self.wfile.write(b"220 go ahead\r\n")
        self.switch_to_tls()
        self.wfile.write(self.rfile.readline())


class Bare(BaseRequestHandler):
    """Echoes under TLS, after one plain message."""

    def handle(self):
        self.request.sendall(self.request.recv(100))
        self.switch_to_tls()
        while data := self.request.recv(100):
            self.request.sendall(data)


def new_server(model, handler, kind="tcp", **attributes):
    attributes = {"ssl_context": tls.shared_server_context(), "implicit_tls": False, **attributes}
    return type("Server", (greensock.server_class(model, kind),), attributes)(LOCAL, handler)


def secure(client, **options):
    return gevent.ssl.SSLSocket(
        client, _context=tls.shared_client_context(), server_hostname="localhost", **options
    )


def ask_for_tls(server, **options):
    """A client that has said something, heard something, and shaken hands."""
    client = connect(server)
    client.sendall(b"STARTTLS\r\n")
    assert client.recv(100)
    return secure(client, **options)


@somewhere
def test_smtplib_is_a_client(model, where):
    with served(new_server(model, Mail), where) as server:

        def send():
            with smtplib.SMTP(*server.server_address, timeout=30) as client:
                assert 220 == client.starttls(context=tls.shared_client_context())[0]
                return client.ehlo()

        threadpool = gevent.get_hub().threadpool
        code, text = threadpool.spawn(send).get() if where == "thread" else polite(server)
        assert (250, b"TLSv1.3") == (code, text)


def polite(server):
    """What smtplib says, by a client that does not keep a server in this thread waiting."""
    with ask_for_tls_by_mail(server) as client:
        client.sendall(b"EHLO me\r\n")
        code, text = client.recv(100).split()
        client.sendall(b"QUIT\r\n")
        assert b"221 bye\r\n" == rest(client)
    return int(code), text


def ask_for_tls_by_mail(server):
    client = connect(server)
    for expected, line in (b"220", b"STARTTLS\r\n"), (b"220", None):
        assert client.recv(100).startswith(expected)
        if line is not None:
            client.sendall(line)
    return secure(client)


@every_other(model=MODELS, where=PLACES, handler=[Bare, BufferedMail])
def test_what_follows_is_encrypted_and_counted_and_ended(model, where, handler):
    with recorded(IConnectionClosed, IRequestFailed) as record:
        with served(new_server(model, handler), where) as server:
            with ask_for_tls(server, suppress_ragged_eofs=False) as client:
                client.sendall(b"hello\n")
                assert b"hello\n" == client.recv(100)
                if handler is Bare:
                    client.unwrap()
                assert b"" == client.recv(100)
            wait_until(lambda: record)
    (event,) = record
    assert "finished" == event.connection.reason
    answered = {Bare: 10, BufferedMail: 14}[handler]
    assert (16, answered + 6) == (event.connection.received, event.connection.sent)


@every_other(model=MODELS, where=PLACES, handler=[Bare, BufferedMail])
def test_nothing_is_left_open(model, where, handler):
    kept = []  # who keeps its handlers must not keep descriptors

    class Kept(handler):
        def setup(self):
            kept.append(self)
            super().setup()

    with served(new_server(model, Kept), where) as server:
        before = descriptors()
        for _ in range(2):
            with tls.leaving(ask_for_tls(server)) as client:
                client.sendall(b"hello\n")
                client.recv(100)
        wait_until(lambda: not server.connections)
        wait_until(lambda: before >= descriptors())


@every_other(model=MODELS, rbufsize=[-1, 4096])
def test_what_came_before_the_handshake_is_refused(model, rbufsize, mailbox):
    """CVE-2011-0411: who sits in between could have put it there."""

    class Note(Mail):
        def handle(self):
            try:
                super().handle()
            except ConnectionError as error:
                mailbox.put(str(error))

    Note.rbufsize = rbufsize
    with served(new_server(model, Note)) as server, connect(server) as client:
        client.recv(100)
        client.sendall(b"STARTTLS\r\nMAIL FROM:<mallory@localhost>\r\n")
        assert "sent more before the TLS handshake than was handled" in mailbox.get()


@every_model
def test_a_client_that_was_fast_with_its_handshake_is_not_refused(model, mailbox):
    """It may have come between the answer and ``switch_to_tls``, but nobody has read it."""

    class Dawdling(Mail):
        def switch_to_tls(self, context=None):
            self.connection.recv(1, socket.MSG_PEEK)  # waits for it
            super().switch_to_tls(context)

    with served(new_server(model, Dawdling)) as server:
        with tls.leaving(ask_for_tls_by_mail(server)) as client:
            client.sendall(b"NOOP\r\n")
            assert b"250 TLSv1.3\r\n" == client.recv(100)


@every_model
def test_once_is_enough(model):
    class Twice(BaseRequestHandler):
        def handle(self):
            self.request.sendall(self.request.recv(100))
            self.switch_to_tls()
            try:
                self.switch_to_tls()
            except RuntimeError as error:
                self.request.sendall(str(error).encode())

    with served(new_server(model, Twice)) as server, ask_for_tls(server) as client:
        address = client.getsockname()
        assert f"the connection from {address} speaks TLS already".encode() == rest(client)


@every_model
def test_there_must_be_a_context(model):
    class Explain(BaseRequestHandler):
        def handle(self):
            for context in None, "cert.pem", tls.shared_client_context():
                try:
                    self.switch_to_tls(context)
                except (RuntimeError, TypeError, ValueError) as error:
                    self.request.sendall(f"{error}\n".encode())

    with served(new_server(model, Explain, ssl_context=None)) as server:
        with connect(server) as client:
            none, wrong, for_clients = rest(client).decode().splitlines()
    assert "there is no context for TLS: pass one, or set ssl_context" == none
    assert "context is 'cert.pem'; give an ssl.SSLContext" == wrong
    assert for_clients.startswith("context is a context for clients")


@every_other(model=MODELS, timeout=[None, 30])
def test_a_handler_may_bring_its_context_and_its_timeout(model, timeout):
    class Bring(BaseRequestHandler):
        def handle(self):
            self.request.sendall(self.request.recv(100))
            self.request.settimeout(timeout)
            self.switch_to_tls(tls.shared_server_context())
            self.request.sendall(str(self.request.gettimeout()).encode())

    with served(new_server(model, Bring, ssl_context=None)) as server:
        with ask_for_tls(server) as client:
            assert timeout == {b"None": None, b"30": 30, b"30.0": 30}[rest(client)]


@every_model
def test_garbage_is_an_error_for_the_handler(model, mailbox):
    class Note(BaseRequestHandler):
        def handle(self):
            self.request.sendall(self.request.recv(100))
            try:
                self.switch_to_tls()
            except OSError as error:
                mailbox.put(type(error).__mro__)

    interfaces = IConnectionClosed, IHandshakeFailed, IRequestFailed
    with recorded(*interfaces) as record, served(new_server(model, Note)) as server:
        with connect(server) as client:
            client.sendall(b"STARTTLS\r\n")
            client.recv(100)
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert ssl.SSLError in mailbox.get()
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
    assert "handshake" == record.pop().connection.reason
    assert (model != "fork") == any(map(IHandshakeFailed.providedBy, record))
    assert not any(map(IRequestFailed.providedBy, record))


@every_other(model=MODELS, context=[None, tls.shared_server_context()])
def test_a_handshake_that_takes_too_long_is_cut(model, context):
    """But one that begins late has all its time."""

    class Switch(BaseRequestHandler):
        def handle(self):
            while (data := self.request.recv(100)) != b"STARTTLS\r\n":
                self.request.sendall(data)
            self.request.sendall(b"go ahead\r\n")
            self.switch_to_tls(context)
            self.request.sendall(b"secure")

    server = new_server(model, Switch, handshake_timeout=LIMIT)
    if context is not None:
        server.ssl_context = None
    interfaces = IConnectionClosed, IHandshakeFailed
    with served(server), recorded(*interfaces) as record:
        with connect(server) as client:
            client.sendall(b"hello")
            assert b"hello" == client.recv(100)
            (connection,) = server.connections
            wait_until(lambda: connection.seconds > 1.5 * LIMIT)
            client.sendall(b"STARTTLS\r\n")
            assert b"go ahead\r\n" == client.recv(100)
            with secure(client) as secured:
                assert b"secure" == rest(secured)
        wait_until(lambda: record)
        assert "finished" == record.pop().connection.reason
        with connect(server) as client:
            client.sendall(b"STARTTLS\r\n")
            assert b"go ahead\r\n" == rest(client)
        wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
        failed, closed = record
    assert "TimeoutError('no handshake within 0.15 s')" == repr(failed.error)
    assert "handshake_timeout" == closed.connection.reason


@every_other(model=MODELS, how=["kicked", "idle_timeout"])
def test_a_switched_connection_may_be_cut(model, how):
    with recorded(IConnectionClosed) as record, served(new_server(model, Bare)) as server:
        with ask_for_tls(server) as client:
            client.sendall(b"hello")
            assert b"hello" == client.recv(100)
            if how == "kicked":
                assert server.kick(server.connections[0])
            else:
                server.idle_timeout = LIMIT
            assert b"" == rest(client)
            wait_until(lambda: record)
    assert [how] == [event.connection.reason for event in record]


@every_model
def test_parked_handlers_may_switch_between_two_messages(model):
    class Lines(StreamRequestHandler):
        parked = True

        def handle(self):
            line = self.rfile.readline()
            self.wfile.write(line)
            if line == b"STARTTLS\r\n":
                self.switch_to_tls()

    with recorded(IRequestFailed) as record, served(new_server(model, Lines)) as server:
        with connect(server) as plain:
            for line in b"one\r\n", b"two\r\n", b"STARTTLS\r\n":
                plain.sendall(line)
                assert line == plain.recv(100)
            with tls.leaving(secure(plain)) as client:
                for line in b"three\r\n", b"four\r\n":
                    client.sendall(line)
                    assert line == client.recv(100)
        wait_until(lambda: not server.connections)
    assert [] == [event.error for event in record]


@every_model
def test_a_datagram_cannot_switch(model):
    class Switch(BaseRequestHandler):
        def handle(self):
            try:
                self.switch_to_tls(tls.shared_server_context())
            except RuntimeError as error:
                self.request[1].sendto(str(error).encode(), self.client_address)

    server = greensock.server_class(model, "udp")(LOCAL, Switch)
    with served(server), connect(server) as client:
        client.sendall(b"STARTTLS")
        assert b"a datagram cannot switch to TLS, which is for connections" == client.recv(100)
