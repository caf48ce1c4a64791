"""What the proxy application passes on of HTTP: sans I/O, with h11 at both ends."""

import base64

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.proxy.http import (
    HTTPError,
    Target,
    credentials_of,
    has_body,
    request_onward,
    response_back,
    target_of,
)

pytestmark = pytest.mark.worldless

TOKENS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def asked(data):
    """The h11 Request that bytes are."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(data)
    return server.next_event()


def passed_on(data):
    """The head that a server gets for a request."""
    request = asked(data)
    client = h11.Connection(h11.CLIENT)
    return client.send(request_onward(request, target_of(request)))


def answer_to(data, method=b"GET", version=b"1.1"):
    """The head that a client gets for a response."""
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    server.receive_data(method + b" / HTTP/" + version + b"\r\nHost: x\r\n\r\n")
    for event in h11.Request, h11.EndOfMessage:
        assert type(server.next_event()) is event
    return server.send(response_back(client.next_event()))


def request(head, *headers, method="GET", version="1.1"):
    lines = [f"{method} {head} HTTP/{version}", "Host: other.example", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def test_a_request_is_for_its_target_and_not_for_its_host_header():
    assert (
        b"GET /a?b HTTP/1.1\r\nHost: one.example:81\r\nX-One: 1\r\nx-two: 2\r\n"
        b"Via: 1.1 greensock\r\n\r\n"
        == passed_on(request("http://one.example:81/a?b", "X-One: 1", "x-two: 2"))
    )


@pytest.mark.parametrize(
    "text, target",
    [
        ("http://one.example", Target("one.example", 80, b"/")),
        ("HTTP://one.example:80?x", Target("one.example", 80, b"/?x")),
        ("http://[::1]:8080/", Target("::1", 8080, b"/")),
        ("http://one.example:/", Target("one.example", 80, b"/")),
    ],
)
def test_targets_are_found(text, target):
    assert target == target_of(asked(request(text)))


def test_options_may_be_for_the_whole_server():
    whole = target_of(asked(request("http://one.example", method="OPTIONS")))
    assert (b"*", b"/") == (
        whole.path, target_of(asked(request("http://one.example/", method="OPTIONS"))).path
    )


@pytest.mark.parametrize("text, target", [("one.example:443", ("one.example", 443)),
                                          ("[::1]:22", ("::1", 22))])
def test_connect_names_whom_to_connect_to(text, target):
    assert Target(*target) == target_of(asked(request(text, method="CONNECT")))


@pytest.mark.parametrize(
    "method, text, headers, status",
    [
        ("GET", "/", [], 400),
        ("GET", "https://one.example/", [], 501),
        ("GET", "ftp://one.example/", [], 501),
        ("GET", "http://user:word@one.example/", [], 400),
        ("GET", "http:///", [], 400),
        ("GET", "http://one.example/#x", [], 400),
        ("GET", "http://one.example:0/", [], 400),
        ("GET", "http://one.example:65536/", [], 400),
        ("GET", "http://one.example:8o/", [], 400),
        ("GET", "http://one.example%00.evil/", [], 400),
        ("GET", "http://::1/", [], 400),
        ("CONNECT", "one.example", [], 400),
        ("CONNECT", "http://one.example:443/", [], 400),
        ("CONNECT", "one.example:443", ["Content-Length: 1"], 400),
        ("POST", "http://x/", ["Content-Length: 1", "Transfer-Encoding: chunked"], 400),
    ],
)
def test_what_cannot_be_passed_on_is_refused(method, text, headers, status):
    with pytest.raises(HTTPError) as caught:
        target_of(asked(request(text, *headers, method=method)))
    assert status == caught.value.status


def test_chunks_are_not_for_http_1_0():
    head = request("http://x/", "Transfer-Encoding: chunked", method="POST", version="1.0")
    with pytest.raises(HTTPError):
        target_of(asked(head))


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Length: 1", "Content-Length: 2"],
        ["Content-Length: 1, 2"],
        ["Content-Length: +1"],
        ["Content-Length: 0x1"],
        ["Content-Length : 1"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding: xchunked"],
        ["Transfer-Encoding: gzip, chunked"],
        ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
        ["X: a\0b"],
        ["X: a\rY: b"],
        ["Host: another.example"],
    ],
)
def test_a_length_that_others_may_understand_otherwise_is_no_request(headers):
    with pytest.raises(h11.RemoteProtocolError):
        asked(request("http://x/", *headers, method="POST"))


def test_headers_of_the_connection_stay_here():
    head = passed_on(
        request(
            "http://x/",
            "Connection: close, X-Mine, content-length",
            "X-Mine: secret",
            "Keep-Alive: 5",
            "Proxy-Connection: keep-alive",
            "Proxy-Authorization: Basic eDp5",
            "TE: trailers",
            "Trailer: X",
            "Upgrade: h2c",
            "Content-Length: 3",
            method="POST",
        )
    )
    assert (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nVia: 1.1 greensock\r\n\r\n" == head
    )


def test_chunks_are_made_anew():
    head = passed_on(request("http://x/", "Transfer-Encoding: chunked", method="POST"))
    assert head.lower().count(b"transfer-encoding: chunked") == 1
    assert b"content-length" not in head.lower()


def test_only_a_websocket_may_take_over():
    asks = "Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Key: x"
    head = passed_on(request("http://x/", *asks))
    assert b"Connection: Upgrade\r\nUpgrade: websocket\r\n" in head
    for others in (["Connection: Upgrade", "Upgrade: websocket, h2c"], ["Upgrade: websocket"],
                   [*asks, "Content-Length: 1"]):
        assert b"Upgrade" not in passed_on(request("http://x/", *others))


def test_who_speaks_http_1_0_expects_nothing():
    headers = "Expect: 100-continue", "Content-Length: 1"
    assert b"Expect" in passed_on(request("http://x/", *headers, method="POST"))
    assert b"Expect" not in passed_on(request("http://x/", *headers, method="POST", version="1.0"))


@pytest.mark.parametrize(
    "headers, body",
    [([], False), (["Content-Length: 0"], False), (["Content-Length: 00"], False),
     (["Content-Length: 1"], True), (["Transfer-Encoding: chunked"], True)],
)
def test_it_is_known_whether_there_is_a_body(headers, body):
    assert body is has_body(asked(request("http://x/", *headers, method="POST")))


@pytest.mark.parametrize(
    "head, version, expected",
    [
        ("Content-Length: 3\r\nX: 1", b"1.1", ["Content-Length: 3", "X: 1"]),
        ("Transfer-Encoding: chunked", b"1.1", ["Transfer-Encoding: chunked"]),
        ("Content-Length: 3\r\nTransfer-Encoding: chunked", b"1.1", ["Transfer-Encoding: chunked"]),
        ("X: 1", b"1.1", ["X: 1", "Transfer-Encoding: chunked"]),
        ("X: 1", b"1.0", ["X: 1", "Connection: close"]),
        ("Connection: X\r\nX: 1\r\nTrailer: Y", b"1.1", ["Transfer-Encoding: chunked"]),
    ],
)
def test_a_response_has_one_length(head, version, expected):
    """That of h11, whatever the server has said of its own."""
    answer = answer_to(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode(), version=version)
    lines = answer.decode().split("\r\n")
    assert "HTTP/1.1 200 OK" == lines[0]
    lengths = {"content-length", "transfer-encoding"}
    assert sorted(each.lower() for each in [*expected, "Via: 1.1 greensock"]) == sorted(
        each.lower() for each in lines[1:-2]
    )
    assert sum(each.lower().split(":")[0] in lengths for each in lines) <= 1


def basic(text, scheme="Basic"):
    return [(b"proxy-authorization", scheme.encode() + b" " + base64.b64encode(text))]


@pytest.mark.parametrize(
    "headers, expected",
    [
        (basic(b"name:word"), (b"name", b"word")),
        (basic(b"name:a:b", scheme="bAsIc"), (b"name", b"a:b")),
        (basic(b":"), (b"", b"")),
        (basic(b"name"), None),
        (basic(b"name:word", scheme="Bearer"), None),
        ([(b"proxy-authorization", b"Basic !")], None),
        ([(b"proxy-authorization", b"Basic")], None),
        ([], None),
        (basic(b"a:b") + basic(b"c:d"), None),
    ],
)
def test_credentials_are_found(headers, expected):
    assert expected == credentials_of(headers)


header = st.tuples(
    st.one_of(
        st.text(TOKENS, min_size=1, max_size=12),
        st.sampled_from(["Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "TE"]),
    ),
    st.one_of(
        st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=12),
        st.sampled_from(["chunked", "3", "close", "host, x", "websocket", " 3", "3\r\n4", "\t3"]),
    ),
)


@given(st.lists(header, max_size=5), st.sampled_from(["GET", "POST", "HEAD", "X"]))
def test_what_is_passed_on_has_one_meaning(headers, method):
    """Whatever headers come: they are refused, or what a server reads is what h11 has read here."""
    data = request("http://one.example/x", *(f"{name}: {value}" for name, value in headers),
                   method=method)
    try:
        ours = asked(data)
        head = passed_on(data)
    except (h11.RemoteProtocolError, HTTPError):
        return
    theirs = asked(head)
    assert (ours.method, b"/x") == (theirs.method, theirs.target)
    names = [name for name, _ in theirs.headers]
    assert 1 == names.count(b"host") and (b"host", b"one.example") in theirs.headers
    assert names.count(b"content-length") + names.count(b"transfer-encoding") <= 1
    assert has_body(ours) == has_body(theirs)
    assert dict(ours.headers).get(b"content-length") == dict(theirs.headers).get(b"content-length")
    assert head.count(b"\r\n") == len(theirs.headers) + 2 and b"\0" not in head
