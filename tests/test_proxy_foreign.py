"""PROXY headers from programs that others have written, and judged by them: HAProxy and curl."""

import http.server
import shutil
import socket
import subprocess
from contextlib import ExitStack, contextmanager

import gevent.ssl
import pytest

import greensock
from greensock import ProxyHeader
from greensock.interfaces import IConnectionClosed
from tests import tls
from tests.helpers import (
    LOCAL,
    connect_to,
    forks_beside_threads,
    recorded,
    rest,
    served,
    wait_until,
)
from tests.teams import at_work

HAPROXY = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
CURL = shutil.which("curl")

pytestmark = forks_beside_threads

with_haproxy = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed (Debian: haproxy)")

CONFIG = """
global
    maxconn 100
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
"""

PROXY = """
listen {name}
    bind fd@{fd} {bind}
    unique-id-format id-of-{name}
    server one 127.0.0.1:{port} {server}
"""

SOURCE, DESTINATION = ("192.0.2.7", 40000), ("198.51.100.1", 443)


class Tell(greensock.StreamRequestHandler):
    def handle(self):
        line, header = self.rfile.readline(), self.proxy_header
        told = header.version, header.destination, header.unique_id, header.authority
        secret = header.tls and (header.tls.version, header.tls.has_certificate)
        self.wfile.write(repr((self.client_address, line, *told, secret)).encode())


def new_server(model, handler=Tell, **attributes):
    settings = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"], **attributes}
    return type("Server", (greensock.server_class(model),), settings)(LOCAL, handler)


@contextmanager
def haproxy(tmp_path, server, **proxies):
    """HAProxy in front of a server; where each of its proxies listens.

    ``proxies``: words for what it listens with, and for what it connects with, by name.
    """
    with ExitStack() as stack:
        config, places, fds = CONFIG, {}, []
        for name, (bind, how) in proxies.items():
            # It is there from now on, so that nobody has to wait for it.
            listener = stack.enter_context(socket.create_server(LOCAL))
            fds.append(listener.fileno())
            places[name] = listener.getsockname()
            port = server.server_address[1]
            config += PROXY.format(name=name, fd=fds[-1], bind=bind, port=port, server=how)
        path = tmp_path / "haproxy.cfg"
        path.write_text(config)
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", path], pass_fds=fds, stderr=subprocess.DEVNULL
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield places


def ask(place):
    with connect_to(place) as client:
        client.sendall(b"hello\n")
        client.shutdown(socket.SHUT_WR)
        return client.getsockname(), eval(rest(client))


def assert_told(places):
    for name, version in ("v1", 1), ("v2", 2), ("more", 2):
        own, answer = ask(places[name])
        unique_id = b"id-of-more" if name == "more" else None
        assert (own, b"hello\n", version, places[name], unique_id, None, None) == answer


VERSIONS = {
    "v1": ("", "send-proxy"),
    "v2": ("", "send-proxy-v2"),
    "more": ("", "send-proxy-v2 proxy-v2-options crc32c,unique-id"),
}


@with_haproxy
@pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
def test_haproxy_tells_who_its_clients_are(model, tmp_path):
    with served(new_server(model)) as server, haproxy(tmp_path, server, **VERSIONS) as places:
        assert_told(places)


@with_haproxy
@pytest.mark.worldless
def test_haproxy_tells_worker_processes_who_its_clients_are(tmp_path):
    server = new_server("prefork", workers=1)
    with at_work(server), haproxy(tmp_path, server, **VERSIONS) as places:
        assert_told(places)


@with_haproxy
@pytest.mark.worldless
def test_haproxy_tells_of_tls_that_it_has_ended(tmp_path):
    certificate = tmp_path / "cert.pem"
    certificate.write_text(tls.CERTIFICATE)
    how = "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c"
    ended = f"ssl crt {certificate}", how
    server = new_server("greenlet")
    with served(server), haproxy(tmp_path, server, ended=ended) as places:
        with connect_to(places["ended"]) as plain, gevent.ssl.SSLSocket(
            plain, _context=tls.client_context(), server_hostname="localhost"
        ) as client:
            client.sendall(b"hello\n")
            own, answer = client.getsockname(), eval(rest(client))
    assert (own, "localhost", ("TLSv1.3", False)) == (answer[0], answer[5], answer[6])


@with_haproxy
@pytest.mark.parametrize("model", ["greenlet", "thread"])
def test_tls_goes_through_haproxy(model, tmp_path):
    server = new_server(model, ssl_context=tls.server_context())
    with served(server), haproxy(tmp_path, server, through=VERSIONS["v2"]) as places:
        with connect_to(places["through"]) as plain, gevent.ssl.SSLSocket(
            plain, _context=tls.client_context(), server_hostname="localhost"
        ) as client:
            client.sendall(b"hello\n")
            assert client.getsockname() == eval(rest(client))[0]


@with_haproxy
@pytest.mark.worldless
def test_haproxy_looks_whether_the_server_is_well(tmp_path):
    how = "send-proxy-v2 check inter 50ms"
    with recorded(IConnectionClosed) as record, served(new_server("greenlet")) as server:
        with haproxy(tmp_path, server, checking=("", how)):
            wait_until(lambda: record)
        header, peer = record[0].connection.proxy, record[0].connection.client_address
    assert header.is_local
    assert "127.0.0.1" == peer[0]


@with_haproxy
@pytest.mark.worldless
@pytest.mark.parametrize("version", [1, 2])
def test_haproxy_understands_what_is_sent(version, tmp_path):
    """It passes on what it has read."""
    understood = "accept-proxy", "send-proxy-v2 proxy-v2-options unique-id"
    headers = [
        ProxyHeader(SOURCE, DESTINATION, {5: b"id", 1: b"h2", 3: b""}, version),
        ProxyHeader(("2001:db8::7", 1, 0, 0), ("2001:db8::1", 2, 0, 0), version=version),
    ]
    with served(new_server("greenlet")) as server:
        with haproxy(tmp_path, server, understood=understood) as places:
            for header in headers:
                with connect_to(places["understood"]) as client:
                    client.sendall(bytes(header) + b"hello\n")
                    answer = eval(rest(client))
                assert (header.source, b"hello\n") == answer[:2]
                assert header.destination == answer[3]


@with_haproxy
@pytest.mark.worldless
def test_a_relay_passes_on_whose_connection_it_is(tmp_path):
    """A proxy of one's own, between HAProxy and a server: nobody loses sight of the client."""

    class Proxy(greensock.BaseRequestHandler):
        def handle(self):
            header = ProxyHeader(self.client_address, self.proxy_header.destination)
            with self.toolbox.connect(site.server_address) as upstream:
                upstream.sendall(bytes(header))
                greensock.relay(self.request, upstream)

    with served(new_server("thread")) as site, served(new_server("greenlet", Proxy)) as proxy:
        with haproxy(tmp_path, proxy, front=VERSIONS["v1"]) as places:
            own, answer = ask(places["front"])
    assert (own, b"hello\n", 2, places["front"]) == answer[:4]


class Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        header = greensock.proxy_header_of(self.request)
        body = f"{header.version} {header.source == self.client_address}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.mark.skipif(not CURL, reason="curl is not installed (Debian: curl)")
@pytest.mark.parametrize("mixin", [greensock.GreenletMixIn, greensock.ThreadingMixIn])
def test_curl_tells_who_it_is(mixin):
    settings = {"proxy_protocol": "required", "trusted_proxies": ["127.0.0.1"]}
    server = type("Site", (mixin, http.server.HTTPServer), settings)(LOCAL, Name)
    with served(server):
        url = "http://127.0.0.1:%d/" % server.server_port
        command = [CURL, "-sS", "--haproxy-protocol", url]
        done = subprocess.run(command, capture_output=True, timeout=60)
    assert b"1 True" == done.stdout, done.stderr
