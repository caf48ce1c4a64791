"""HTTP through the proxy application, with both sides by hand."""

import base64
import re
import socket

import gevent
import pytest

from examples.proxy.http_handler import Http
from examples.proxy.rules import Rules
from examples.proxy.users import parse_users
from tests.helpers import forks_beside_threads, rest, wait_until
from tests.proxies import accepted, asking, counted, exactly, listening, proxying, reset, until

pytestmark = forks_beside_threads

every_model = pytest.mark.parametrize("model", ["greenlet", "thread", "fork"])
models = pytest.mark.parametrize("model", ["greenlet", "thread"])
SHORT = 0.1
MUCH = b"0123456789abcdef" * 50_000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def asked(listener, *headers, method="GET", path="/", version="1.1", body=b""):
    """A request that is for the listener."""
    place = "%s:%d" % listener.getsockname()[:2]
    lines = [f"{method} http://{place}{path} HTTP/{version}", f"Host: {place}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def to_connect(listener):
    return b"CONNECT %s:%d HTTP/1.1\r\nHost: x\r\n\r\n" % (b"127.0.0.1", listener.getsockname()[1])


def status_of(server, data):
    """What is answered, and whether the connection ends with that."""
    with asking(server, data) as client:
        head = until(client, b"\r\n\r\n")
        size = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
        exactly(client, size)
        return int(head[9:12])


def head_of(sock):
    return until(sock, b"\r\n\r\n")


@every_model
def test_requests_are_passed_on_one_after_another(model):
    """Over the same connection, as long as they are for the same server."""
    with proxying(Http, model) as server, listening() as listener, listening() as other:
        with asking(server, asked(listener, "X: 1") + asked(listener, path="/2")) as client:
            with accepted(listener) as onward:
                assert head_of(onward).startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:")
                onward.sendall(OK)
                assert b"HTTP/1.1 200 OK\r\n" == head_of(client)[:17]
                assert b"ok" == exactly(client, 2)
                assert head_of(onward).startswith(b"GET /2 ")
                onward.sendall(b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n")
                onward.sendall(b"3\r\nabc\r\n0\r\n\r\n")
                assert b"HTTP/1.1 404 Not Found\r\n" == head_of(client)[:24]
                assert b"3\r\nabc\r\n0\r\n\r\n" == exactly(client, 13)
                client.sendall(asked(other, version="1.0"))
                with accepted(other) as another:
                    assert b"" == rest(onward)
                    head_of(another)
                    another.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the end")
                    another.shutdown(socket.SHUT_WR)
                    assert rest(client).endswith(b"\r\n\r\nto the end")


@models
def test_bodies_flow_both_ways_at_once(model):
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, f"Content-Length: {len(MUCH)}", method="POST")
        with asking(server, request) as client, accepted(listener) as onward:
            sending = gevent.spawn(client.sendall, MUCH)
            head_of(onward)
            onward.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(MUCH))
            answering = gevent.spawn(onward.sendall, MUCH)
            head_of(client)
            receiving = gevent.spawn(exactly, client, len(MUCH))
            assert exactly(onward, len(MUCH)) == MUCH
            assert receiving.get() == MUCH
            gevent.joinall([sending, answering])
            client.sendall(asked(listener))  # it may go on
            assert head_of(onward).startswith(b"GET")


@models
def test_chunks_arrive_and_what_trails_them_does_not(model):
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Transfer-Encoding: chunked", method="PUT")
        body = b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX: 1\r\n\r\n"
        with asking(server, request + body) as client, accepted(listener) as onward:
            head_of(onward)
            data = until(onward, b"0\r\n\r\n")
            assert b"abcde" == b"".join(re.findall(rb"\r\n([a-e]+)\r\n", b"\r\n" + data))
            onward.sendall(OK)
            assert head_of(client).startswith(b"HTTP/1.1 200")


@models
def test_a_client_that_waits_to_be_told_to_go_on_is_told(model):
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Content-Length: 3", "Expect: 100-continue", method="POST")
        with asking(server, request) as client, accepted(listener) as onward:
            assert b"Expect: 100-continue" in head_of(onward)
            onward.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert head_of(client).startswith(b"HTTP/1.1 100 ")
            client.sendall(b"abc")
            assert b"abc" == exactly(onward, 3)
            onward.sendall(OK)
            assert head_of(client).startswith(b"HTTP/1.1 200 ")


@models
def test_an_answer_that_comes_early_ends_the_request(model):
    """The client gets it, though its body is not wanted."""
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Content-Length: 1000000", method="POST")
        with asking(server, request + b"some") as client, accepted(listener) as onward:
            assert b"some" == exactly(onward, len(head_of(onward)) and 4)
            onward.sendall(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
            assert head_of(client).startswith(b"HTTP/1.1 413")
            assert b"no" == exactly(client, 2)
            assert b"" == rest(client)


HALVES = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
]


@every_model
@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("how", ["finished", "reset"])
def test_a_response_that_is_cut_off_is_not_taken_for_complete(model, half, how):
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, asked(listener)) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(half)
            head_of(client)
            until(client, b"ab")
            if how == "reset":
                reset(onward)
            else:
                onward.shutdown(socket.SHUT_RDWR)
            with pytest.raises(ConnectionResetError):
                rest(client)


@models
@pytest.mark.parametrize(
    "answer",
    [b"", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, b"HTTP/1.1 101 Switching\r\n\r\n"],
)
def test_an_answer_that_is_none_is_a_bad_gateway(model, answer):
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, asked(listener)) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(answer)
            onward.shutdown(socket.SHUT_WR)
            assert head_of(client).startswith(b"HTTP/1.1 502 ")


@models
def test_why_nobody_answers_is_told(model):
    with proxying(Http, model, silence=SHORT) as server, listening() as listener:
        with asking(server, asked(listener)) as client:
            assert head_of(client).startswith(b"HTTP/1.1 504 ")
    with proxying(Http, model) as server, listening() as listener:
        request, tunnel = asked(listener), to_connect(listener)
        listener.close()
        assert [502, 502] == [status_of(server, request), status_of(server, tunnel)]
    with proxying(Http, model, rules=Rules()) as server, listening() as listener:
        for data in asked(listener), to_connect(listener), b"CONNECT 2130706433:9 HTTP/1.1\r\n" \
                b"Host: x\r\n\r\n":
            assert 403 == status_of(server, data)
        wait_until(lambda: {"403": 3} == counted(server))


@models
def test_whoever_asks_for_a_head_gets_no_more(model):
    with proxying(Http, model, rules=Rules()) as server, listening() as listener:
        data = asked(listener, method="HEAD") + asked(listener, method="HEAD")
        with asking(server, data) as client:
            for _ in range(2):
                assert head_of(client).startswith(b"HTTP/1.1 403 ")


@models
def test_what_a_server_says_unasked_is_nobodys_answer(model):
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, asked(listener)) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(OK + OK)
            assert b"ok" == exactly(client, len(head_of(client)) and 2)
            client.sendall(asked(listener))
            with accepted(listener) as again:
                assert b"GET" == head_of(again)[:3]


@models
def test_a_body_that_was_not_asked_for_is_not_waited_for(model):
    """The answer came instead of leave to send it."""
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Content-Length: 3", "Expect: 100-continue", method="POST")
        with asking(server, request) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            assert head_of(client).startswith(b"HTTP/1.1 417 ")
            assert (b"", b"") == (rest(client), rest(onward))


@models
@pytest.mark.parametrize(
    "data, status",
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"\x05\x01\x00\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 70_000, 431),
        (b"GET https://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 501),
        (b"POST http://x/ HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: "
         b"chunked\r\n\r\n0\r\n\r\nGET http://127.0.0.1/ HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: zip\r\n\r\n", 501),
        (b"GET http://x/ HT", 408),
    ],
)
def test_what_is_no_request_is_answered_and_ends_it(model, data, status):
    """What may be hidden behind it is not looked at."""
    with proxying(Http, model, patience=SHORT) as server, asking(server, data) as client:
        assert status == int(head_of(client)[9:12])
        answer = rest(client)
        assert b"HTTP/1.1" not in answer


@models
def test_chunks_that_are_none_are_the_clients_fault(model):
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Transfer-Encoding: chunked", method="POST")
        with asking(server, request + b"x\r\nhidden") as client, accepted(listener) as onward:
            head_of(onward)
            assert head_of(client).startswith(b"HTTP/1.1 400 ")
            assert b"" == rest(onward)


def basic(text):
    return "Proxy-Authorization: Basic " + base64.b64encode(text).decode()


@every_model
def test_who_must_log_in_does(model):
    """On the same connection, after having been told; and the server does not hear of it."""
    with listening() as listener, proxying(Http, model, users=parse_users("name:word")) as server:
        with asking(server, asked(listener) + asked(listener, basic(b"name:wrong"))) as client:
            for _ in range(2):
                head = head_of(client)
                assert head.startswith(b"HTTP/1.1 407 ") and b"Basic realm=" in head
                exactly(client, int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
            client.sendall(asked(listener, basic(b"name:word")))
            with accepted(listener) as onward:
                assert b"Authorization" not in head_of(onward)
        with asking(server, to_connect(listener)) as client:
            assert head_of(client).startswith(b"HTTP/1.1 407 ")


@every_model
def test_connect_makes_a_tunnel(model):
    """What comes with the request is passed on, half-closed connections stay so."""
    with proxying(Http, model) as server, listening() as listener:
        request = to_connect(listener) + b"early"
        with asking(server, request) as client, accepted(listener) as onward:
            assert b"HTTP/1.1 200 Connection established\r\n\r\n" == head_of(client)
            assert b"early" == exactly(onward, 5)
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(onward)
            onward.sendall(b"answer")
            onward.shutdown(socket.SHUT_WR)
            assert b"answer" == rest(client)


@every_model
def test_a_server_that_dies_in_a_tunnel_resets_the_client(model):
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, to_connect(listener)) as client, accepted(listener) as onward:
            head_of(client)
            onward.sendall(b"half")
            assert b"half" == exactly(client, 4)
            reset(onward)
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@models
def test_websockets_go_through(model):
    with proxying(Http, model) as server, listening() as listener:
        request = asked(listener, "Connection: keep-alive, Upgrade", "Upgrade: websocket", "K: 1")
        with asking(server, request + b"early") as client, accepted(listener) as onward:
            assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head_of(onward)
            onward.sendall(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nframe"
            )
            head = head_of(client).lower()
            assert head.startswith(b"http/1.1 101 ") and b"\r\nupgrade: websocket\r\n" in head
            assert (b"frame", b"early") == (exactly(client, 5), exactly(onward, 5))
            client.shutdown(socket.SHUT_WR)
            assert b"" == rest(onward)


@models
def test_a_server_that_has_left_meanwhile_is_connected_to_again(model):
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, asked(listener)) as client:
            with accepted(listener) as onward:
                head_of(onward)
                onward.sendall(OK)
                assert head_of(client) and exactly(client, 2)
            client.sendall(asked(listener, path="/again"))
            with accepted(listener) as onward:
                assert head_of(onward).startswith(b"GET /again ")


@models
def test_a_server_that_leaves_without_a_word_is_asked_once_more(model):
    """As happens if it does so in the moment in which it is asked; but not for a POST."""
    with proxying(Http, model) as server, listening() as listener:
        for method in "GET", "POST":
            with asking(server, asked(listener)) as client, accepted(listener) as onward:
                head_of(onward)
                onward.sendall(OK)
                assert head_of(client) and exactly(client, 2)
                client.sendall(asked(listener, method=method))
                head_of(onward)
                onward.close()
                if method == "POST":
                    assert head_of(client).startswith(b"HTTP/1.1 502 ")
                else:
                    with accepted(listener) as again:
                        head_of(again)


@models
def test_who_vanishes_is_no_trouble(model):
    """In the midst of a head, of a body, of an answer."""
    with proxying(Http, model) as server, listening() as listener:
        with asking(server, b"GET http://") as client:
            reset(client)
        request = asked(listener, "Content-Length: 5", method="POST")
        with asking(server, request + b"ab") as client, accepted(listener) as onward:
            assert b"ab" == exactly(onward, len(head_of(onward)) and 2)
            reset(client)
            assert b"" == rest(onward)
        with asking(server, asked(listener)) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
            head_of(client)
            reset(client)
            with pytest.raises(ConnectionError):
                while True:
                    onward.sendall(MUCH)
        with asking(server, asked(listener)) as client, accepted(listener) as onward:
            head_of(onward)
            onward.sendall(OK)
            assert b"ok" == exactly(client, len(head_of(client)) and 2)
        wait_until(lambda: not server.connections)


@models
def test_who_says_too_little_is_cut(model):
    with proxying(Http, model, patience=SHORT) as server, asking(server) as client:
        assert b"" == rest(client)
