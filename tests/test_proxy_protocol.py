"""Servers behind a proxy, which tells them who their clients are."""

import http.server
import socket
import socketserver
from contextlib import ExitStack, suppress

import gevent
import gevent.ssl
import pytest

import greensock
from greensock import ProxyHeader, proxy_header_of
from greensock.access import log_access
from greensock.interfaces import (
    IConnectionClosed,
    IConnectionCut,
    IConnectionRefused,
    IHandshakeFailed,
    IProxyHeaderRefused,
    IRequestFailed,
)
from greensock.net.connections import Connection
from greensock.net.proxy_header import SIGNATURE
from tests import tls
from tests.helpers import (
    LOCAL,
    MODELS,
    Mailbox,
    connect,
    connect_to,
    descriptors,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
    with_ipv6,
)
from tests.teams import at_work

pytestmark = forks_beside_threads

# Seconds.
LIMIT = 0.15
LONG = 60

every_model = pytest.mark.parametrize("model", MODELS)

SOURCE, DESTINATION = ("192.0.2.7", 40000), ("198.51.100.1", 443)
HEADER = ProxyHeader(SOURCE, DESTINATION, {5: b"id", 0xE0: b"x" * 3000})
V2, V1 = bytes(HEADER), bytes(ProxyHeader(SOURCE, DESTINATION, version=1))


class Tell(greensock.StreamRequestHandler):
    """Answers each line with who it takes the client for, and the line."""

    def handle(self):
        header = self.proxy_header
        told = None if header is None else (header.destination, header.unique_id, header.version)
        for line in self.rfile:
            self.wfile.write(repr((self.client_address, told, line)).encode())


class ParkedTell(Tell):
    parked = True

    def handle(self):
        self.wfile.write(repr((self.client_address, self.rfile.readline())).encode())


class StdlibTell(socketserver.StreamRequestHandler):
    def handle(self):
        header = proxy_header_of(self.request)
        unique_id = None if header is None else header.unique_id
        self.wfile.write(repr((self.client_address, unique_id, self.rfile.readline())).encode())


def new_server(model, handler=Tell, address=LOCAL, kind="tcp", **settings):
    settings = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.0/8"], **settings}
    return type("Server", (greensock.server_class(model, kind),), settings)(address, handler)


def told(client):
    client.shutdown(socket.SHUT_WR)
    answer = rest(client)
    return eval(answer) if answer else None


def ask(server, *pieces):
    """Who the handler takes for its client, and what else it tells."""
    with connect(server) as client:
        for piece in pieces:
            client.sendall(piece)
        return (*told(client), client.getsockname())


def expect(client, text):
    """See it come, and no more be taken."""
    for byte in text.encode():
        assert bytes([byte]) == client.recv(1)


def hung_up_on(client):
    try:
        return b"" == rest(client)
    except ConnectionResetError:
        return True  # what it had sent was not read


@every_model
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_the_client_is_who_the_header_says(model, wanted):
    with recorded(IConnectionClosed) as record, served(new_server(model)) as server:
        server.proxy_protocol = wanted
        before = descriptors()
        answer = SOURCE, (DESTINATION, b"id", 2), b"hello\n"
        assert answer == ask(server, V2 + b"hello\n")[:3]
        assert (SOURCE, (DESTINATION, None, 1), b"hello\n") == ask(server, V1 + b"hello\n")[:3]
        wait_until(lambda: 2 == len(record))
        wait_until(lambda: before >= descriptors())
    one, other = sorted((event.connection for event in record), key=lambda each: each.proxy.version)
    assert (SOURCE, SOURCE) == (one.client_address, other.client_address)
    assert HEADER == other.proxy
    assert ProxyHeader(SOURCE, DESTINATION, version=1) == one.proxy
    assert "finished" == one.reason == other.reason
    assert (6, 6) == (one.received, other.received), "the header is not the handler's"


@every_model
def test_who_is_there_is_seen_by_name(model):
    with served(new_server(model)) as server, connect(server) as client:
        client.sendall(V2 + b"hello\n")
        assert client.recv(1000)
        (connection,) = server.connections
        assert (SOURCE, "open", HEADER) == (
            connection.client_address,
            connection.state,
            connection.proxy,
        )
        assert server.kick(connection)
        rest(client)


def byte_by_byte(data):
    return [data[at:at + 1] for at in range(len(data))]


@every_model
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_a_header_may_come_in_pieces(model, wanted):
    with served(new_server(model, proxy_protocol=wanted)) as server:
        for header in V1, bytes(ProxyHeader(SOURCE, DESTINATION)):
            with connect(server) as client:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for byte in byte_by_byte(header + b"hello\n"):
                    client.sendall(byte)
                    gevent.sleep(0)
                assert (SOURCE, b"hello\n") == told(client)[::2]


@every_model
def test_a_proxy_may_speak_for_itself(model):
    with served(new_server(model)) as server:
        for header in ProxyHeader(None, None, is_local=True), ProxyHeader(None, None, version=1):
            source, header, line, own = ask(server, bytes(header) + b"hello\n")
            assert (own, b"hello\n") == (source, line)
            assert header is not None


@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
def test_what_is_told_beside_the_addresses_is_kept_of_whoever_is_unknown(model):
    header = ProxyHeader(None, None, {5: b"id"})
    with served(new_server(model)) as server:
        source, told, _, own = ask(server, bytes(header) + b"hello\n")
        assert (own, (None, b"id", 2)) == (source, told)


@with_ipv6
@pytest.mark.parametrize("model", ["greenlet", "fork"])
def test_clients_may_be_of_another_family_than_the_proxy(model):
    settings = {"dual_stack": True, "trusted_proxies": ["127.0.0.1"]}
    with served(new_server(model, address=("::", 0), **settings)) as server:
        for source in ("2001:db8::7", 40000, 0, 0), "/run/client", ("::ffff:192.0.2.7", 1, 0, 0):
            destination = source if isinstance(source, str) else ("2001:db8::1", 443, 0, 0)
            with connect_to(("127.0.0.1", server.server_address[1])) as client:
                client.sendall(bytes(ProxyHeader(source, destination)) + b"hello\n")
                assert source == told(client)[0]


@every_model
def test_peers_on_unix_sockets(model, tmp_path):
    server = new_server(
        model, address=str(tmp_path / "socket"), kind="unix", trusted_proxies=["unix:"]
    )
    with served(server):
        assert (SOURCE, (DESTINATION, b"id", 2), b"hello\n") == ask(server, V2 + b"hello\n")[:3]


@every_model
@pytest.mark.parametrize(
    "words", [b"hello\n", b"PROXIMITY\n", b"\r\n\r\nhello\n", V1.lower(), b"\n"]
)
def test_without_a_header_a_peer_is_itself_if_that_may_be(model, words):
    with served(new_server(model, proxy_protocol="optional")) as server:
        with connect(server) as client:
            client.sendall(words)
            client.shutdown(socket.SHUT_WR)
            answer = rest(client)
            first = words.splitlines(keepends=True)[0]
            assert answer.startswith(repr((client.getsockname(), None, first)).encode())


@every_model
def test_who_is_silent_is_served_as_itself_when_the_time_is_over(model):
    class Greet(greensock.StreamRequestHandler):
        def handle(self):
            self.wfile.write(repr(self.client_address).encode())
            self.wfile.write(self.rfile.readline())

    server = new_server(model, Greet, proxy_protocol="optional", handshake_timeout=LIMIT)
    with recorded(IConnectionCut, IProxyHeaderRefused) as record, served(server):
        for words in b"", b"PRO", b"\r\n":
            with connect(server) as client:
                client.sendall(words)
                expect(client, repr(client.getsockname()))
                client.sendall(b"now\n")
                assert (words + b"now\n").splitlines(keepends=True)[0] == rest(client)
    assert [] == record


@every_model
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_no_limit_but_its_own_holds_while_a_header_is_awaited(model, wanted):
    limits = {"idle_timeout": LONG, "request_timeout": LONG, "handshake_timeout": 10 * LONG}
    server = new_server(model, proxy_protocol=wanted, **limits)
    with recorded(IConnectionCut) as record, served(server), connect(server) as client:
        wait_until(lambda: "handshake" in [each.state for each in server.connections])
        (connection,) = server.connections
        connection.accepted_at -= 2 * LONG
        connection.working_since -= 2 * LONG
        server._gs_warden.walk()
        client.sendall(V2)
        wait_until(lambda: "open" == connection.state)
        server._gs_warden.walk()
        client.shutdown(socket.SHUT_WR)
        rest(client)
    assert [] == record


def test_the_time_of_its_handler_has_begun_when_it_is_out_of_the_handshake(monkeypatch):
    """A warden may look on at any moment, and in another process."""
    noted = []
    slot = Connection.handshake_since

    def put(connection, value):
        noted.append((value, connection.working_since))
        slot.__set__(connection, value)

    monkeypatch.setattr(Connection, "handshake_since", property(slot.__get__, put))
    server = new_server("greenlet", proxy_protocol="required")
    with served(server), connect(server) as client:
        wait_until(lambda: "handshake" in [each.state for each in server.connections])
        (connection,) = server.connections
        connection.working_since = 0.0
        client.sendall(V2)
        wait_until(lambda: "open" == connection.state)
    assert noted[-1] == (0.0, connection.working_since) != (0.0, 0.0)


@every_model
def test_who_is_not_trusted_is_itself_whatever_it_says(model):
    settings = {"proxy_protocol": "optional", "trusted_proxies": ["192.0.2.0/24"]}
    with served(new_server(model, **settings)) as server, connect(server) as client:
        client.sendall(V1)
        assert (client.getsockname(), None, V1) == told(client)


def turned_away(server, words):
    """What is told when a client says these words and the end: events, and its own address."""
    interfaces = IProxyHeaderRefused, IConnectionClosed, IRequestFailed, IConnectionCut
    before = descriptors()
    with recorded(*interfaces) as record, connect(server) as client:
        client.sendall(words)
        with suppress(OSError):  # it was faster
            client.shutdown(socket.SHUT_WR)
        assert hung_up_on(client)
        wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
        address = client.getsockname()
    wait_until(lambda: before >= descriptors())
    closed = record.pop().connection
    assert ("proxy_protocol", address, 0) == (closed.reason, closed.client_address, closed.received)
    return record, address


REFUSED = {
    "nothing": (b"", "missing", "the peer has ended without one"),
    "something else": (b"GET / HTTP/1.1\r\n\r\n", "missing", "it begins with b'GET / HTTP/1'"),
    "half a line": (V1[:20], "malformed", "it ends after 20 bytes"),
    "half a block": (V2[:20], "malformed", "it ends after 20 bytes"),
    "a wrong line": (b"PROXY TCP4 a b c d\r\nhello\n", "malformed", "b'PROXY TCP4 a b c d"),
    "a wrong block": (SIGNATURE + b"\x21\x11\0\1x", "malformed", "it has 17 bytes"),
    "a long line": (b"PROXY " + 200 * b"x", "malformed", "no line ends within 107 bytes"),
    "a long block": (SIGNATURE + b"\x21\x11\xff\xff", "malformed", "it has 65551 bytes"),
}


@every_model
def test_what_is_no_right_header_ends_the_connection(model):
    with served(new_server(model, handshake_timeout=LONG)) as server:
        for words, reason, text in REFUSED.values():
            record, address = turned_away(server, words)
            if model != "fork":  # where a child has told of it, and not its parent
                (event,) = record
                assert (address, reason) == (event.client_address, event.reason)
                assert str(event.error).startswith(text)
        assert (SOURCE, b"hello\n") == ask(server, V1 + b"hello\n")[:3:2]


@every_model
def test_who_has_begun_a_header_is_to_go_on_with_it(model):
    with served(new_server(model, proxy_protocol="optional")) as server:
        record, _ = turned_away(server, V1[:20])
        assert model == "fork" or ["malformed"] == [event.reason for event in record]


@every_model
def test_who_is_not_trusted_is_not_served_where_a_header_is_required(model):
    with served(new_server(model, trusted_proxies=["192.0.2.0/24"])) as server:
        record, _ = turned_away(server, V1 + b"hello\n")
        assert model == "fork" or ["untrusted"] == [event.reason for event in record]
        server.trusted_proxies = {"127.0.0.1"}
        assert SOURCE == ask(server, V1 + b"hello\n")[0]


@every_model
def test_who_takes_too_long_is_cut(model):
    server = new_server(model, handshake_timeout=LIMIT)
    interfaces = IProxyHeaderRefused, IConnectionCut, IConnectionClosed, IHandshakeFailed
    for words in b"", V2[:20]:
        with recorded(*interfaces) as record, connect(server) as client:
            if not words:
                serving = ExitStack()
                serving.enter_context(served(server))
            client.sendall(words)
            assert hung_up_on(client)
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
        cut, refused, closed = record
        assert "handshake_timeout" == cut.reason == closed.connection.reason
        assert "late" == refused.reason
        assert "TimeoutError('no header within 0.15 s')" == repr(refused.error)
    serving.close()


@every_model
@pytest.mark.parametrize("wanted", ["optional", "required"])
def test_the_wait_for_it_may_be_cut_otherwise(model, wanted):
    server = new_server(model, handshake_timeout=None, proxy_protocol=wanted)
    with recorded(IProxyHeaderRefused, IConnectionClosed) as record, served(server):
        with connect(server) as client:
            wait_until(lambda: "handshake" in [each.state for each in server.connections])
            assert server.kick(server.connections[0])
            assert hung_up_on(client)
            wait_until(lambda: record and IConnectionClosed.providedBy(record[-1]))
    refused, closed = record
    assert ("late", "kicked") == (refused.reason, closed.connection.reason)


@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
def test_who_is_silent_keeps_nobody_waiting(model, count=12):
    server = new_server(model, handshake_timeout=LONG, max_children=count + 1)
    with served(server), ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(connect(server))
            clients.callback(client.shutdown, socket.SHUT_RDWR)  # forked children have a copy
        assert SOURCE == ask(server, V1 + b"hello\n")[0]


@every_model
@pytest.mark.parametrize("wrapped", [False, True])
def test_tls_comes_after_the_header(model, wrapped):
    context = tls.server_context()
    server = new_server(model, ssl_context=None if wrapped else context, proxy_protocol="optional")
    if wrapped:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    with served(server):
        for header, source, told in (V1, SOURCE, (DESTINATION, None, 1)), (b"", None, None):
            with connect(server) as plain:
                own = plain.getsockname()
                plain.sendall(header)
                with gevent.ssl.SSLSocket(
                    plain, _context=tls.shared_client_context(), server_hostname="localhost"
                ) as client:
                    client.sendall(b"hello\n")
                    expect(client, repr((source or own, told, b"hello\n")))
                    client.unwrap().close()


@every_model
def test_parked_handlers_have_it_too(model):
    with served(new_server(model, ParkedTell)) as server, connect(server) as client:
        for header in V1, b"":
            client.sendall(header + b"hello\n")
            expect(client, repr((SOURCE, b"hello\n")))
        client.shutdown(socket.SHUT_RDWR)  # a child has a copy


MIXINS = [greensock.GreenletMixIn, greensock.ThreadingMixIn, greensock.ForkingMixIn]
settings = {"proxy_protocol": "required", "trusted_proxies": ("127.0.0.1",)}


@pytest.mark.parametrize("mixin", MIXINS)
def test_servers_and_handlers_of_the_standard_library(mixin):
    server = type("Server", (mixin, socketserver.TCPServer), settings)(LOCAL, StdlibTell)
    with served(server):
        assert (SOURCE, b"id", b"hello\n") == ask(server, V2 + b"hello\n")[:3]


def test_an_http_server_answers_whom_the_proxy_names():
    class Name(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(self.address_string().encode())

    server = type("Site", (greensock.GreenletMixIn, http.server.HTTPServer), settings)(LOCAL, Name)
    with served(server), connect(server) as client:
        client.sendall(V1 + b"GET /\r\n\r\n")
        assert SOURCE[0].encode() == rest(client)


def test_functions_and_whoever_knows_nothing_of_it():
    with Mailbox() as mailbox:

        def handle(request, client_address, server):
            mailbox.put((client_address, proxy_header_of(request)))

        with served(new_server("thread", handle)) as server:
            with connect(server) as client:
                client.sendall(V2)
                assert (SOURCE, HEADER) == mailbox.get()
    with gevent.socket.socket() as another:
        assert proxy_header_of(another) is None
    assert proxy_header_of(another) is None


def test_a_handler_may_have_an_attribute_of_that_name():
    class Own(Tell):
        def setup(self):
            super().setup()
            self.proxy_header = None

    with served(new_server("greenlet", Own)) as server:
        assert (SOURCE, None) == ask(server, V2 + b"hello\n")[:2]


@pytest.mark.worldless
@pytest.mark.parametrize("worker_model", ["greenlet", "thread"])
def test_worker_processes_read_it(worker_model):
    server = new_server("prefork", workers=1, worker_model=worker_model)
    with at_work(server):
        assert (SOURCE, b"hello\n") == ask(server, V1 + b"hello\n")[:3:2]


@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_as_many_as_there_may_be_of_one_client_whatever_proxies_they_come_by(model):
    server = new_server(model, max_connections_per_peer=2, overload="reject", overload_reply=b"no")
    interfaces = IConnectionRefused, IConnectionClosed
    other = bytes(ProxyHeader(("192.0.2.8", 1), DESTINATION))

    def enter(stack, header):
        client = stack.enter_context(connect(server))
        client.sendall(header + b"hello\n")
        return client

    with recorded(*interfaces) as record, served(server), ExitStack() as stack:
        for header in V1, V2, other, other:
            assert b"(" == enter(stack, header).recv(1)
        assert b"no" == rest(enter(stack, V1))
        wait_until(lambda: 2 == len(record))
        refused, closed = record
        assert (SOURCE, "max_connections_per_peer") == (refused.client_address, refused.reason)
        assert "max_connections_per_peer" == closed.connection.reason
        stack.close()
        wait_until(lambda: not server.connections)
        assert SOURCE == ask(server, V1 + b"hello\n")[0]


def test_children_do_not_count_the_clients_of_proxies():
    with served(new_server("fork", max_connections_per_peer=1)) as server, connect(server) as one:
        one.sendall(V1 + b"hello\n")
        assert b"(" == one.recv(1)
        assert SOURCE == ask(server, V1 + b"hello\n")[0]
        one.shutdown(socket.SHUT_RDWR)  # a child has a copy


def test_the_access_log_names_the_client(caplog):
    caplog.set_level("INFO", "greensock.access")
    undo = log_access()
    try:
        with recorded(IConnectionClosed) as record, served(new_server("greenlet")) as server:
            ask(server, V1 + b"hello\n")
            wait_until(lambda: record)
    finally:
        undo()
    assert [each.message.split()[0] for each in caplog.records] == ["peer=192.0.2.7:40000"]


def test_what_is_refused_is_logged(caplog):
    caplog.set_level("INFO", "greensock")
    with served(new_server("greenlet")) as server:
        _, address = turned_away(server, b"hello\n")
    (line,) = [each.message for each in caplog.records if "PROXY" in each.message]
    assert line.startswith(f"PROXY header from {address} was refused, missing: it begins with")


def test_tls_that_an_application_has_begun_itself_comes_too_early():
    class Server(greensock.GreenletTCPServer):
        proxy_protocol = "required"
        trusted_proxies = ("127.0.0.1",)

        def get_request(self):
            plain, address = super().get_request()
            context = tls.server_context()
            plain = gevent.socket.socket(fileno=plain.detach())
            return gevent.ssl.SSLSocket(
                plain, server_side=True, do_handshake_on_connect=False, _context=context
            ), address

    with served(Server(LOCAL, Tell)) as server:
        record, _ = turned_away(server, V1)
        assert "TLS has begun" in str(record[0].error)
