"""The browsers' port of the IRC example: visitors, what they send and what becomes of them."""

import socket
from contextlib import contextmanager

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

import greensock
from examples.irc.page import PAGE
from examples.irc.server import Client, Door, hall_class
from examples.irc.web import Page
from greensock.interfaces import IRequestFailed
from tests import tls
from tests.helpers import LOCAL, PATIENCE, connect, recorded, rest, served, wait_until
from tests.test_irc_server import Chatter
from tests.web import request


class Visitor:
    """A browser's WebSocket."""

    def __init__(self, sock):
        self.sock = sock
        self.connection = WSConnection(ConnectionType.CLIENT)
        self._events = iter(())

    def enter(self, **headers):
        """Shake hands; the answer."""
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        about = {"host": "localhost", "target": "/", "subprotocols": ["text.ircv3.net"]}
        self.say(Request(**about, extra_headers=lines))
        return self.hear()

    def say(self, *what):
        """Send events, and texts."""
        events = (TextMessage(each) if isinstance(each, str) else each for each in what)
        self.sock.sendall(b"".join(map(self.connection.send, events)))

    def hear(self):
        """What comes next: a text, any other event, or None at the end."""
        while True:
            for event in self._events:
                return event.data if isinstance(event, TextMessage) else event
            data = self.sock.recv(65536)
            if not data:
                return None
            self.connection.receive_data(data)
            self._events = self.connection.events()


@contextmanager
def visiting(server, **headers):
    """A Visitor who has come in."""
    with tls.leaving(tls.connect(server) if server.ssl_context else connect(server)) as sock:
        visitor = Visitor(sock)
        assert isinstance(visitor.enter(**headers), AcceptConnection)
        yield visitor


class Session:
    """Repeats each line in upper case, MORE as a long one, until QUIT; and tells of its end."""

    is_over = is_lost = False

    def __init__(self, line, mailbox):
        self.line = line
        self.mailbox = mailbox

    def receive(self, line):
        self.is_over = line == b"QUIT"
        self.line.post((100_000 * b"x" if line == b"MORE" else line.upper()) + b"\r\n")

    def draining(self):
        self.line.post(b"over\r\n")
        self.line.end()

    def lost(self, reason):
        if not self.is_lost:
            self.is_lost = True
            self.mailbox.put((self.line.host, self.line.is_secure, reason))


class Network:
    def __init__(self, mailbox):
        self.mailbox = mailbox

    def welcome(self, line):
        return Session(line, self.mailbox)


# Forked visitors would each be alone.
@pytest.fixture(params=["greenlet", "thread"])
def model(request):
    return request.param


@contextmanager
def site(mailbox, model="greenlet", handler=Page, **attributes):
    """A server of visitors."""
    kind = type("Site", (Door, greensock.server_class(model)), attributes)
    server = kind(LOCAL, handler)
    server.network = Network(mailbox)
    with served(server):
        yield server


LOST = "127.0.0.1", False, "Connection closed"


@pytest.mark.parametrize("context", [None, tls.server_context()], ids=["plain", "tls"])
def test_lines_go_both_ways(model, mailbox, context):
    """Until the visitor says goodbye, and the session is told."""
    with site(mailbox, model, ssl_context=context) as server, visiting(server) as visitor:
        for number in range(3):
            visitor.say("hello", f"€ {number}")
            assert ["HELLO", f"€ {number}"] == [visitor.hear(), visitor.hear()]
        visitor.say(Ping(b"?"), CloseConnection(1000))
        assert Pong(b"?") == visitor.hear()
        assert CloseConnection(1000, "") == visitor.hear()
        assert visitor.hear() is None
        assert ("127.0.0.1", context is not None, "Connection closed") == mailbox.get()
    assert mailbox.is_empty()


def test_a_session_that_ends_says_goodbye(model, mailbox):
    with site(mailbox, model) as server, visiting(server) as visitor:
        visitor.say("QUIT", "ignored")
        assert ["QUIT", CloseConnection(1000, ""), None] == [visitor.hear() for _ in range(3)]
        assert LOST == mailbox.get()


def test_a_drain_reaches_the_session(model, mailbox):
    """Which has the last word; nobody has to be cut."""
    with (
        site(mailbox, model) as server,
        visiting(server) as visitor,
        connect(server),  # as browsers do, for what they may need
    ):
        visitor.say("hello")
        assert "HELLO" == visitor.hear()
        wait_until(lambda: 2 == len(server.connections))
        assert [] == server.drain(20)
        assert ["over", CloseConnection(1000, ""), None] == [visitor.hear() for _ in range(3)]


def test_who_says_too_much_hears_why(model, mailbox):
    """Although a lot of it is still on its way."""
    with site(mailbox, model) as server, visiting(server) as visitor:
        visitor.say("x" * 300_000)
        assert 1009 == visitor.hear().code
        assert visitor.hear() is None
        assert LOST == mailbox.get()


def test_the_page_is_served(model, mailbox):
    """And the connection closed after it."""
    with site(mailbox, model) as server:
        response, body = request(server.server_address, "/")
        assert (200, PAGE) == (response.status, body)
        with connect(server) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 300000\r\n\r\n")
            client.sendall(b"x" * 300_000)
            client.shutdown(socket.SHUT_WR)
            assert rest(client).endswith(b"405 GET and HEAD are allowed\n")
    assert mailbox.is_empty()


def test_pages_of_friends_may_talk_here(mailbox):
    class Open(Page):
        origins = ("https://friend.example",)

    with site(mailbox, handler=Open) as server:
        with visiting(server, Origin="https://friend.example") as visitor:
            visitor.say("hello")
            assert "HELLO" == visitor.hear()
        with connect(server) as client:
            answer = Visitor(client).enter(Origin="https://evil.example")
        assert (RejectConnection, 403) == (type(answer), answer.status_code)


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\nHost: "])
def test_who_does_not_say_what_he_wants_is_let_go(model, mailbox, data):
    class Hasty(Page):
        timeout = head_timeout = 0.05

    with site(mailbox, model, Hasty) as server, connect(server) as client:
        client.sendall(data)
        assert b"" == rest(client)


def test_who_does_not_read_is_cut(model, mailbox):
    """And the session is told: nobody waits for him."""
    with site(mailbox, model) as server, visiting(server) as visitor:
        visitor.say(*200 * ["MORE"])
        assert (*LOST[:2], "SendQ exceeded") == mailbox.get()


def test_who_vanishes_is_no_news(model, mailbox):
    """The session is told, and nobody else."""
    with recorded(IRequestFailed) as failures, site(mailbox, model) as server:
        with visiting(server) as visitor:
            visitor.say("hello")
            assert "HELLO" == visitor.hear()
            visitor.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + 7 * b"\0")
            visitor.sock.close()
            assert LOST == mailbox.get()
    assert [] == failures


def test_visitors_are_in_the_same_rooms_as_others(model, mailbox):
    with served(hall_class(model)(LOCAL, Client)) as hall, site(mailbox, model) as server:
        server.network = hall.network
        with Chatter.connect(hall.server_address) as ann, visiting(server) as bob:
            ann.enter("Ann", "JOIN #x").hear(" 366 ")
            bob.say("NICK Bob", "USER bob 0 * :Bob", "JOIN #x", "PRIVMSG #x :grüß dich")
            ann.hear(":Bob!bob@127.0.0.1 PRIVMSG #x :grüß dich")
            ann.send(b"PRIVMSG #x :\xff\r\n")
            ann.say("QUIT :bye")
            heard = list(iter(bob.hear, ":Ann!Ann@127.0.0.1 QUIT :Quit: bye"))
            assert ":Ann!Ann@127.0.0.1 PRIVMSG #x :\N{REPLACEMENT CHARACTER}" == heard[-1]


def test_both_doors_are_kept_alike(model):
    """Limits hold for each, and certificates are loaded again for both."""
    certificates = [tls.CERTIFICATE]
    about = {
        "web": (socket.create_server(LOCAL).detach(), Page),
        "ssl_context": staticmethod(lambda: tls.server_context(certificates[0])),
        "max_connections_per_peer": 1,
    }
    hall = type("Hall", (hall_class(model),), about)(LOCAL, Client)
    with served(hall):
        for certificate in tls.CERTIFICATE, tls.OTHER:
            certificates[0] = certificate
            hall.reload_tls()
            for door in hall, hall._web:
                with tls.connect(door, tls.client_context(certificate)):
                    with connect(door) as another:
                        assert b"" == rest(another)
                assert door.wait_for_connections("==", 0, PATIENCE)
