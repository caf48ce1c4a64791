"""A look at servers from outside, over HTTP."""

import base64
import hashlib
import json
import re
import socket
import sys
import time
from contextlib import ExitStack, suppress

import gevent
import pytest
from prometheus_client import REGISTRY, Counter
from prometheus_client.parser import text_string_to_metric_families

import greensock
from greensock import events, view
from greensock.interfaces import IConnectionClosed, IConnectionCut, IRequestFailed
from greensock.metrics import expose
from greensock.net.addresses import is_loopback
from greensock.status import Status, handler, parse_address, serve_status
from greensock.status.handler import StatusHandler
from tests.helpers import (
    LOCAL,
    MODELS,
    PATIENCE,
    Crash,
    Echo,
    Shout,
    ask,
    connect,
    recorded,
    rest,
    served,
    subscribed,
)
from tests.web import request

PAGES = {
    "/": "text/html; charset=utf-8",
    "/healthz": "text/plain; charset=utf-8",
    "/readyz": "text/plain; charset=utf-8",
    "/metrics": "text/plain; version=",
    "/stats.json": "application/json",
    "/connections.json": "application/json",
}


def get(status, path, *headers):
    """The status code of an answer, and its text."""
    response, body = request(status.server_address, path, headers=headers)
    return response.status, body.decode()


def data(status, path):
    code, text = get(status, path)
    assert 200 == code
    return json.loads(text)


@pytest.fixture
def server():
    with served(greensock.GreenletTCPServer(LOCAL, Echo)) as server:
        yield server


@pytest.fixture
def status(server):
    with served(Status("127.0.0.1:0", [server])) as status:
        yield status


@pytest.mark.parametrize("path", PAGES)
def test_every_page_is_answered(status, path):
    """With headers that let a browser do nothing but show it; and HEAD alike, without the body."""
    response, body = request(status.server_address, path)
    assert 200 == response.status
    assert response.headers["Content-Type"].startswith(PAGES[path])
    assert str(len(body)) == response.headers["Content-Length"]
    assert "no-store" == response.headers["Cache-Control"]
    assert "nosniff" == response.headers["X-Content-Type-Options"]
    assert "same-origin" == response.headers["Cross-Origin-Resource-Policy"]
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "greensock" == response.headers["Server"]
    assert body
    head, nothing = request(status.server_address, path + "?query", "HEAD")
    assert (200, b"") == (head.status, nothing)
    assert response.headers["Content-Type"] == head.headers["Content-Type"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(status, method):
    response, _ = request(status.server_address, "/", method)
    assert (405, "GET, HEAD") == (response.status, response.headers["Allow"])


def test_there_is_nothing_else(status):
    assert (404, f"404 there is {', '.join(PAGES)}\n") == get(status, "/favicon.ico")
    assert 404 == get(status, "/../etc/passwd")[0]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("<script> / HTTP/1.0", 501),
        ("<script>", 400),
        ("GET <script> HTTP/9.9", 505),
        ("GET / HTTP/1.0\r\n<script>: x" + "\r\nx: x" * 200, 431),
        ("GET /" + 20000 * "x" + "<script> HTTP/1.0", 414),
        ("GET / HTTP/1.0\r\n<script>: " + 20000 * "x", 431),
    ],
)
def test_what_a_peer_sends_is_not_repeated(status, line, code):
    with connect(status) as client:
        client.sendall(f"{line}\r\n\r\n".encode())
        answer = rest(client).decode()
    assert f"{code} " in answer.splitlines()[-1]
    assert "script" not in answer


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9", "127.0.0.1:9100", "127.1.2.3", "[::1]:9", "[::1]"]
)
def test_this_machine_may_be_asked_for_by_its_names(status, host):
    assert (200, "ok\n") == get(status, "/healthz", ("Host", host))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1].evil.example", "["],
)
def test_a_name_that_somebody_made_to_lead_here_is_refused(status, host):
    """Whoever owns it would read in the browsers of those who visit him."""
    for path in PAGES:
        assert 403 == get(status, path, ("Host", host))[0]
    assert 403 == get(status, "/", ("Host", "localhost"), ("Host", host))[0]


def test_this_machine_may_be_written_as_ipv6_writes_ipv4(server):
    try:
        status = Status("[::ffff:127.0.0.1]:0", [server])
    except OSError:
        pytest.skip("IPv6 sockets have no IPv4 here")
    with served(status):
        place = "127.0.0.1", status.server_port
        for host, code in ("[::ffff:127.0.0.1]:9", 200), ("evil.example", 403):
            response, _ = request(place, "/healthz", headers=[("Host", host)])
            assert code == response.status


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::ffff:127.0.0.1", True),
        ("::ffff:7f00:1", True),
        ("::ffff:10.0.0.1", False),
        ("::", False),
        ("0.0.0.0", False),
    ],
)
def test_an_address_is_of_this_machine_alone_or_not(host, expected):
    assert expected == is_loopback(host)


def test_what_sends_no_host_header_is_no_browser(status):
    assert (200, "ok\n") == get(status, "/healthz", ("Accept", "*/*"))


def test_whoever_binds_it_to_all_addresses_may_call_it_what_he_likes(server):
    with served(Status("0.0.0.0:0", [server])) as status:
        place = "127.0.0.1", status.server_port
        response, body = request(place, "/healthz", headers=[("Host", "node7.example")])
    assert (200, b"ok\n") == (response.status, body)


def test_it_is_ready_while_servers_take_connections():
    """Not before, and not while one is suspended, cannot accept, drains, or is about to end."""
    server = greensock.GreenletTCPServer(LOCAL, Echo)
    place = "%s:%d" % server.server_address
    with served(Status(0, [server])) as status:
        assert (503, f"{place} is stopped\n") == get(status, "/readyz")
        with served(server):
            assert (200, "ready\n") == get(status, "/readyz")
            server.suspend()
            assert (503, f"{place} is suspended\n") == get(status, "/readyz")
            server.resume()
            assert (200, "ready\n") == get(status, "/readyz")
            events.emit(events.AcceptPaused, server, OSError())
            assert (503, f"{place} is paused\n") == get(status, "/readyz")
            events.emit(events.AcceptResumed, server, 1.0)
            status.is_ready = False
            assert (503, "about to end, or not ready yet\n") == get(status, "/readyz")
            assert not data(status, "/stats.json")["ready"]
            status.is_ready = True
            server.drain()
            assert (503, f"{place} is draining\n") == get(status, "/readyz")
        assert (200, "ok\n") == get(status, "/healthz")


@pytest.mark.parametrize("model", MODELS)
def test_connections_are_listed(model):
    """Who is connected and how much went over it, but not what."""
    with (
        served(greensock.server_class(model)(LOCAL, Echo)) as server,
        served(Status(0, [server])) as status,
        connect(server) as client,
    ):
        client.sendall(b"a secret")
        client.recv(8, socket.MSG_WAITALL)
        found = data(status, "/connections.json")
        own = client.getsockname()
        client.shutdown(socket.SHUT_WR)
        rest(client)
    assert b"secret" not in json.dumps(found).encode()
    [connection] = found.pop("connections")
    assert 1 == found["total"]
    assert 0 <= connection.pop("seconds") <= PATIENCE
    assert abs(connection.pop("since") - time.time()) <= PATIENCE
    assert connection.pop("sent") in (0, 8)  # it may not have been counted yet
    assert {
        "server": "%s:%d" % server.server_address,
        "peer": "%s:%d" % own,
        "received": 8,
        "state": "open",
        "model": model,
    } == connection


def test_of_many_connections_the_oldest_are_listed(server, status, monkeypatch):
    monkeypatch.setattr(view, "LISTED", 1)
    with connect(server) as older, connect(server) as newer:
        for client in older, newer:
            client.sendall(b"x")
            client.recv(1)
        found = data(status, "/connections.json")
        own = older.getsockname()[1]
    assert (2, 1) == (found["total"], len(found["connections"]))
    assert found["connections"][0]["peer"].endswith(f":{own}")


def test_statistics_are_of_the_servers(mailbox):
    """And not of those who look at them."""
    server = greensock.ThreadingTCPServer(LOCAL, Shout)
    server.max_connections = 50
    with served(Status(0, [server])) as status, served(server):
        # After the status has subscribed: what is told here is counted by then.
        with subscribed(IConnectionClosed, lambda event: mailbox.put(event.connection.reason)):
            data(status, "/stats.json")
            mailbox.get()
            ask(server)
            mailbox.get()
            found = data(status, "/stats.json")
    assert [
        {
            "address": "%s:%d" % server.server_address,
            "model": "thread",
            "state": "serving",
            "connections": 0,
            "max_connections": 50,
        }
    ] == found["servers"]
    assert (1, 0, 6, 6) == tuple(found[name] for name in ("opened", "active", "received", "sent"))
    assert {"finished": 1} == found["closed"]
    assert {"failed": 0, "handshakes_failed": 0, "accepts_failed": 0} == found["errors"]


def test_failures_are_counted(mailbox):
    with subscribed(IConnectionClosed, lambda event: mailbox.put(event.connection.reason)):
        with served(greensock.GreenletTCPServer(LOCAL, Crash)) as server:
            with served(Status(0, [server])) as status:
                ask(server, b"")
                mailbox.get()
                assert 1 == data(status, "/stats.json")["errors"]["failed"]


def metrics_of(status):
    code, text = get(status, "/metrics")
    assert 200 == code
    return [family.name for family in text_string_to_metric_families(text)]


def test_metrics_are_those_of_the_process(status):
    """An application's own as well; and none is there twice."""
    own = Counter("test_status_own", "One of an application.")
    try:
        names = metrics_of(status)
        undo = expose()
        try:
            again = metrics_of(status)
        finally:
            undo()
    finally:
        REGISTRY.unregister(own)
    assert {"test_status_own", "greensock_connections", "python_info"} <= set(names)
    assert sorted(names) == sorted(again)
    assert len(set(names)) == len(names)


def test_without_the_package_metrics_say_what_to_install(status, monkeypatch):
    monkeypatch.delattr(greensock, "metrics")
    monkeypatch.delitem(sys.modules, "greensock.metrics")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    code, text = get(status, "/metrics")
    assert 501 == code
    assert text.endswith("pip install greensock[metrics]\n")


@pytest.mark.parametrize("error", [ZeroDivisionError, ConnectionResetError, TimeoutError])
def test_an_error_is_told_and_logged(status, monkeypatch, error):
    """As of an application's own collector, which may raise."""

    def fail(*args):
        raise error

    monkeypatch.setattr(view, "stats", fail)
    with recorded(IRequestFailed) as failures:
        code, text = get(status, "/stats.json")
        assert 500 == code
        assert error.__name__ not in text
        status.server_close()
    assert [error] == [type(failure.error) for failure in failures]


def drip(client):
    """What comes of a byte now and then."""
    client.settimeout(0.005)
    ends = time.monotonic() + PATIENCE / 2
    with suppress(ConnectionError):
        while time.monotonic() < ends:
            try:
                return client.recv(100)
            except TimeoutError:
                client.sendall(b"x")
        raise AssertionError("it may go on for ever")
    return b""


@pytest.mark.parametrize("wait", [rest, drip])
def test_who_does_not_say_what_he_wants_is_let_go(server, monkeypatch, wait):
    """In one time for all of it, and without a line in the log."""
    monkeypatch.setattr(StatusHandler, "head_timeout", 0.05, raising=False)
    with recorded(IRequestFailed, IConnectionCut) as complaints:
        with served(Status(0, [server])) as status, connect(status) as client:
            client.sendall(b"GET / HTTP/1.0\r\nHost: local")
            assert b"" == wait(client)
    assert [] == complaints


@pytest.fixture
def patient(monkeypatch, server):
    """A status server that waits for ever, for whatever it waits."""
    for name in "head_timeout", "timeout":
        monkeypatch.setattr(StatusHandler, name, None, raising=False)
    for name in "idle_timeout", "request_timeout":
        monkeypatch.setattr(Status, name, None)
    with served(Status(0, [server])) as status:
        yield status


def test_who_says_nothing_keeps_nobody_out(patient):
    """The oldest connection makes room, wherever it is from, and without a line in the log."""
    with ExitStack() as clients, recorded(IRequestFailed, IConnectionCut) as complaints:
        silent = [clients.enter_context(connect(patient)) for _ in range(patient.max_connections)]
        assert (200, "ok\n") == get(patient, "/healthz")
        assert b"" == rest(silent[0])
        silent[-1].sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert rest(silent[-1]).endswith(b"\r\nok\n")
    assert [] == complaints


def test_who_does_not_read_keeps_nobody_out(patient, monkeypatch):
    monkeypatch.setattr(view, "connections", lambda servers: "x" * 30_000_000)
    monkeypatch.setattr(patient, "enough", 1)
    with connect(patient) as client, recorded(IRequestFailed, IConnectionCut) as complaints:
        client.sendall(b"GET /connections.json HTTP/1.0\r\n\r\n")
        assert b"HTTP" == client.recv(4)
        assert (200, "ok\n") == get(patient, "/healthz")
        assert patient.wait_for_connections("==", 0, PATIENCE)
    assert [] == complaints


def test_a_request_without_an_end_is_not_kept(patient):
    """It is refused as soon as it is longer than any browser's is."""
    with connect(patient) as client:
        client.sendall(b"GET / HTTP/1.0\r\n" + handler.LONGEST_HEAD // 8 * b"x: yyy\r\n")
        assert b" 431 " in rest(client)


def test_a_request_may_be_long(status):
    """As with the cookies of everything else that is served under this name."""
    line = "Cookie", "x" * (handler.LONGEST_HEAD - 100)
    assert (200, "ok\n") == get(status, "/healthz", line)


@pytest.mark.parametrize("data", [b"", b"GET / HT", b"GET / HTTP/1.0\r\n"])
def test_who_goes_away_in_mid_request_is_no_news(status, mailbox, data):
    """By a reset, as scanners of ports do."""
    with subscribed(IConnectionClosed, lambda event: mailbox.put(event.connection.reason)):
        with recorded(IRequestFailed, IConnectionCut) as complaints:
            with connect(status) as client:
                client.sendall(data)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + 7 * b"\0")
            assert "finished" == mailbox.get()
    assert [] == complaints


def test_its_limits_hold():
    """A status server that can be filled up is no status server."""
    assert (64, 128, 20.0, 30.0) == (
        Status.enough,
        Status.max_connections,
        Status.idle_timeout,
        Status.request_timeout,
    )
    assert StatusHandler.head_timeout < StatusHandler.timeout < Status.idle_timeout
    assert Status.enough >= Status._gs_requests_per_turn  # nobody is ended before his first turn


def test_it_is_served_beside_the_servers_of_a_thread():
    server = greensock.GreenletTCPServer(LOCAL, Echo)
    with server, serve_status(("127.0.0.1", 0), [server]) as status:
        with served(server, "greenlet"):
            assert (200, "ready\n") == get(status, "/readyz")
    with pytest.raises(ConnectionRefusedError):
        get(status, "/readyz")


def test_forked_children_do_not_hold_its_port():
    with served(greensock.ForkingTCPServer(LOCAL, Echo)) as server:
        with served(Status(0, [server])) as status, connect(server) as client:
            client.sendall(b"x")
            assert b"x" == client.recv(1)
            status.server_close()
            with pytest.raises(ConnectionRefusedError):
                get(status, "/")
            client.sendall(b"y")
            assert b"y" == client.recv(1)
            client.shutdown(socket.SHUT_RDWR)  # the child has a copy of the client, too


def test_it_may_be_closed_before_it_was_served():
    """Nothing is printed, and nothing listens for events any more."""
    before = list(events._subscriptions)
    status = serve_status(0, [])
    assert before != events._subscriptions
    status.server_close()
    gevent.sleep(0)
    assert before == events._subscriptions


def test_one_server_is_no_list_of_servers(server):
    with pytest.raises(TypeError, match=r"is no list of servers: give \[server\]"):
        Status(0, server)


def test_a_port_in_use_is_an_error(status):
    """And leaves nothing behind."""
    before = list(events._subscriptions)
    with pytest.raises(OSError, match="in use"):
        Status(status.server_address, [])
    assert before == events._subscriptions


def test_it_may_speak_ipv6(server):
    try:
        status = Status("[::1]:0", [server])
    except OSError:
        pytest.skip("there is no IPv6 here")
    with served(status):
        assert f"http://[::1]:{status.server_port}/" == status.url
        with connect(status) as client:
            client.sendall(b"GET /healthz HTTP/1.0\r\nHost: evil.example\r\n\r\n")
            assert b" 403 " in rest(client)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (9100, ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("localhost:65535", ("localhost", 65535)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_an_address_is_a_port_or_a_host_and_a_port(text, address):
    assert address == parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "x", "65536", -1, "127.0.0.1", "::1:9", "[::1]", "[::1:9", "tcp://h:9", "/h:9", "h:٩"],
)
def test_what_is_no_address_is_told(text):
    with pytest.raises(ValueError, match=re.escape(repr(text))):
        parse_address(text)


def test_the_page_needs_nothing_from_elsewhere(status):
    """And a browser runs nothing in it but its own script and style, known by their hashes."""
    response, body = request(status.server_address, "/")
    policy = dict(
        each.split(" ", 1) for each in response.headers["Content-Security-Policy"].split("; ")
    )
    for element in "script", "style":
        [text] = re.findall(rf"<{element}>(.*?)</{element}>", body.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" == policy[f"{element}-src"]
    assert ("'none'", "'self'", "'none'", "'none'") == tuple(
        policy[name] for name in ("default-src", "connect-src", "base-uri", "frame-ancestors")
    )
    assert not re.search(rb"https?://|\bsrc=|\son\w+=|\sstyle=|innerHTML", body)
