"""What browsers send to the IRC example, and what they are answered: without any I/O."""

import base64
import hashlib
import re

import pytest
from h11 import CLIENT, Connection, Request
from hypothesis import given
from hypothesis import strategies as st
from wsproto import ConnectionType
from wsproto import connection as wsproto
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from examples.irc.page import PAGE
from examples.irc.reception import LONGEST_HEAD, Reception
from examples.irc.websocket import SUBPROTOCOL, WebSocket, frames
from examples.irc.wire import LONGEST

pytestmark = pytest.mark.worldless


def said(*events):
    """The bytes in which a browser says so."""
    client = wsproto.Connection(ConnectionType.CLIENT)
    return b"".join(map(client.send, events))


def heard(data):
    """What a browser makes of these bytes."""
    client = wsproto.Connection(ConnectionType.CLIENT, trailing_data=data)
    return list(client.events())


def goodbye(data):
    """The code of the goodbye, with which the answer ends."""
    *_, last = heard(data)
    assert isinstance(last, CloseConnection)
    return last.code


def test_a_message_is_a_line():
    websocket = WebSocket()
    data = said(TextMessage("NICK ann"), TextMessage("PRIVMSG #a :grüß dich"))
    assert ([b"NICK ann", "PRIVMSG #a :grüß dich".encode()], b"") == websocket.receive(data)
    assert not websocket.is_over


def test_more_lines_than_one_are_taken_apart():
    """Some clients end a line as they would elsewhere."""
    lines, answer = WebSocket().receive(said(TextMessage("A\r\n"), TextMessage("B\nC\n\n")))
    assert ([b"A\r", b"B", b"C"], b"") == (lines, answer)


texts = st.text("x \r\0ü€\U0001f9e6", max_size=20)


@given(st.lists(st.lists(texts, max_size=4), max_size=4), st.integers(1, 50))
def test_messages_come_in_whatever_pieces(messages, size):
    """In frames and in what the network makes of those."""
    client = wsproto.Connection(ConnectionType.CLIENT)
    data = b"".join(
        client.send(TextMessage(piece, message_finished=number == len(pieces)))
        for pieces in messages
        for number, piece in enumerate(pieces, 1)
    )
    websocket, lines = WebSocket(), []
    for at in range(0, len(data), size):
        lines += websocket.receive(data[at:at + size])[0]
    expected = ["".join(pieces).encode() for pieces in messages]
    assert [each for each in expected if each] == lines


def test_a_ping_is_answered():
    _, answer = WebSocket().receive(said(Ping(b"are you there?")))
    assert [Pong(b"are you there?")] == heard(answer)


def test_a_goodbye_is_answered():
    """What comes after it is not heard, and nothing more is said."""
    websocket = WebSocket()
    lines, answer = websocket.receive(said(TextMessage("QUIT"), CloseConnection(3999, "bye")))
    assert ([b"QUIT"], 3999) == (lines, goodbye(answer))
    assert websocket.is_over
    assert ([], b"") == websocket.receive(said(TextMessage("NICK ann")))
    assert b"" == websocket.close(1000)


def test_a_line_may_be_as_long_as_its_tags_allow():
    longest = "@" + "x" * (LONGEST - 1)
    assert ([longest.encode()], b"") == WebSocket().receive(said(TextMessage(longest)))


@pytest.mark.parametrize(
    "events",
    [
        [TextMessage("x" * (LONGEST + 2))],
        [TextMessage("ü" * (LONGEST // 2 + 2))],
        [TextMessage("x" * 100, message_finished=False)] * (LONGEST // 100 + 2),
    ],
)
def test_who_says_too_much_at_once_is_told_and_let_go(events):
    """Before the end of it has come."""
    websocket = WebSocket()
    lines, answer = websocket.receive(said(*events)[:-1])
    [close] = heard(answer)
    assert ([], 1009) == (lines, close.code)
    assert str(LONGEST) in close.reason
    assert websocket.is_over


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (said(BytesMessage(b"NICK ann")), 1003),
        (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # no UTF-8
        (b"\x81\x04NICK", 1002),  # not masked
        (b"\xf1\x81\0\0\0\0x", 1002),  # of an extension that nobody has agreed to
        (b"\x80\x80\0\0\0\0", 1002),  # the rest of nothing
        (b"GET / HTTP/1.1\r\n\r\n", 1002),
    ],
)
def test_what_is_no_text_of_a_browser_ends_it(data, code):
    websocket = WebSocket()
    lines, answer = websocket.receive(said(TextMessage("before")) + data + said(TextMessage("no")))
    assert ([b"before"], code, True) == (lines, goodbye(answer), websocket.is_over)


hostile_frames = st.lists(
    st.one_of(
        st.binary(max_size=30),
        st.builds(TextMessage, texts, message_finished=st.booleans()),
        st.builds(Ping, st.binary(max_size=125)),
        st.builds(Pong, st.binary(max_size=125)),
        st.builds(CloseConnection, st.integers(1000, 4999), texts),
    ),
    max_size=10,
)


@given(hostile_frames)
def test_nothing_that_a_visitor_sends_is_an_error(pieces):
    """And what is answered is understood, whatever it was."""
    websocket = WebSocket()
    for piece in pieces:
        client = wsproto.Connection(ConnectionType.CLIENT)
        data = piece if isinstance(piece, bytes) else bytes(client.send(piece))
        lines, answer = websocket.receive(data)
        assert all(line and b"\n" not in line for line in lines)
        answers = heard(answer)
        assert websocket.is_over == any(isinstance(each, CloseConnection) for each in answers)
        if websocket.is_over:
            break


def test_each_line_is_a_message_for_a_browser():
    """Bytes that are no text are replaced there, because a browser would hang up."""
    data = frames(b":ann PRIVMSG #a :hello\r\n:bob PRIVMSG #a :\xff\r\n" + b"x" * 70_000 + b"\r\n")
    texts = [":ann PRIVMSG #a :hello", ":bob PRIVMSG #a :\N{REPLACEMENT CHARACTER}", "x" * 70_000]
    assert texts == [event.data for event in heard(data)]


def asked(*headers, method="GET", target="/", host="chat.example:80", rest=b""):
    """A request of HTTP."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + rest


KEY = "dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = "Upgrade: WebSocket", "Connection: keep-alive, Upgrade"
HANDSHAKE = *UPGRADE, "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}"


def answer_to(data, origins=(), method="GET"):
    """The status of the answer, its headers and its body."""
    client = Connection(CLIENT)
    client.send(Request(method=method, target="/", headers=[("Host", "x")]))
    client.receive_data(Reception(origins).receive(data))
    head, *body = _events(client)
    return head.status_code, dict(head.headers), b"".join(body)


def _events(client):
    yield client.next_event()
    while hasattr(event := client.next_event(), "data"):
        yield bytes(event.data)


@pytest.mark.parametrize("target", ["/", "/?x=y"])
def test_the_page_is_to_be_had(target):
    status, headers, body = answer_to(asked(target=target))
    assert (200, PAGE) == (status, body)
    assert b"text/html; charset=utf-8" == headers[b"content-type"]


def test_a_browser_runs_nothing_but_what_is_in_the_page():
    """Its own script and style, known by their hashes; and it needs nothing from elsewhere."""
    _, headers, body = answer_to(asked())
    policy = dict(
        each.split(" ", 1) for each in headers[b"content-security-policy"].decode().split("; ")
    )
    for element in "script", "style":
        [text] = re.findall(rf"<{element}>(.*?)</{element}>".encode(), body, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        assert f"'sha256-{digest}'" == policy[f"{element}-src"]
    assert ("'none'", "'self'", "'none'", "'none'") == tuple(
        policy[name] for name in ("default-src", "connect-src", "base-uri", "frame-ancestors")
    )
    assert b"nosniff" == headers[b"x-content-type-options"]
    assert not re.search(rb"\bsrc=|\son\w+=|\sstyle=|innerHTML|outerHTML|insertAdjacent|eval", body)


@pytest.mark.parametrize(("target", "status"), [("/", 200), ("/x", 404)])
def test_a_head_has_no_body(target, status):
    answer = answer_to(asked(method="HEAD", target=target), method="HEAD")
    assert (status, b"") == (answer[0], answer[2])
    assert 0 < int(answer[1][b"content-length"])


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (asked(target="/favicon.ico"), 404),
        (asked(*HANDSHAKE, target="/elsewhere"), 404),
        (asked("Content-Length: 3", method="POST", rest=b"x=y"), 405),
        (asked(*HANDSHAKE, method="DELETE"), 405),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"NICK ann\r\nUSER ann 0 * :ann\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (asked("Content-Length: -1"), 400),
        (asked("Transfer-Encoding: zip"), 501),
        (asked("Cookie: " + LONGEST_HEAD * "x")[:-4], 431),
        (asked(*UPGRADE), 400),
        (asked(*UPGRADE, "Sec-WebSocket-Version: 12"), 426),
        (asked(*HANDSHAKE[:3]), 400),
        (asked(HANDSHAKE[0], *HANDSHAKE[2:]), 400),
        (asked(*HANDSHAKE, "Sec-WebSocket-Protocol: caf\xe9"), 400),
        (asked(*HANDSHAKE, host="caf\xe9.example"), 400),
    ],
)
def test_what_is_not_there_or_not_right_is_told(data, status):
    """In a line of text, with headers that let a browser do nothing but show it."""
    code, headers, body = answer_to(data)
    assert status == code
    assert body.startswith(b"%d " % status) and body.endswith(b"\n")
    assert b"default-src 'none'; frame-ancestors 'none'" == headers[b"content-security-policy"]
    assert b"close" == headers[b"connection"]
    if status == 405:
        assert b"GET, HEAD" == headers[b"allow"]
    if status == 426:
        assert b"13" == headers[b"sec-websocket-version"]


def test_an_answer_waits_for_the_whole_request():
    """And is none to who goes away before."""
    reception = Reception()
    data = asked()
    for at in range(len(data) - 1):
        assert reception.receive(data[at:at + 1]) is None
    assert reception.receive(data[-1:]).startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"" == Reception().receive(b"")


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        ([], None),
        (["Sec-WebSocket-Protocol: text.ircv3.net"], SUBPROTOCOL),
        (["Sec-WebSocket-Protocol: binary.ircv3.net, text.ircv3.net"], SUBPROTOCOL),
        (["Sec-WebSocket-Protocol: binary.ircv3.net"], None),
    ],
)
def test_a_websocket_is_agreed_upon(offers, chosen):
    """With the one subprotocol that is understood; what was sent already belongs to it."""
    first = said(TextMessage("NICK ann"))
    reception = Reception()
    answer = reception.receive(asked(*HANDSHAKE, *offers, rest=first)).decode()
    assert answer.startswith("HTTP/1.1 101 ")
    assert "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" == re.search("(?i)accept: (.*)\r\n", answer)[1]
    found = re.search("(?i)protocol: (.*)\r\n", answer)
    assert chosen == (found and found[1])
    assert ([b"NICK ann"], b"") == reception.websocket.receive(reception.rest)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://chat.example:80", 101),
        ("https://Chat.Example:80", 101),
        ("https://friend.example", 101),
        ("https://friend.example:80", 403),
        ("https://evil.example", 403),
        ("http://chat.example:80.evil.example", 403),
        ("http://chat.example", 403),
        ("null", 403),
        ("", 403),
        ("chat.example:80", 403),
    ],
)
def test_pages_of_other_sites_may_not_talk_here(origin, status):
    """Unless they are welcome: they could speak with the address of whoever looks at them."""
    reception = Reception(["https://Friend.example"])
    answer = reception.receive(asked(*HANDSHAKE, f"Origin: {origin}"))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert (status == 101) == (reception.websocket is not None)


def test_one_of_two_origins_is_not_enough():
    both = "Origin: http://chat.example:80", "Origin: https://evil.example"
    assert 403 == answer_to(asked(*HANDSHAKE, *both))[0]


names = st.sampled_from([line.partition(":")[0] for line in HANDSHAKE] + ["Origin", "X"])
values = st.one_of(
    st.sampled_from([line.partition(": ")[2] for line in HANDSHAKE]),
    st.text("x ,=:/\xe9\x80\t\0", max_size=20),
)
headers = st.lists(st.builds("{}: {}".format, names, values), max_size=6)
requests = st.builds(lambda *each: asked(*sum(each, ())), st.just(HANDSHAKE), headers.map(tuple))


@given(st.one_of(st.binary(), headers.map(lambda each: asked(*each)), requests))
def test_no_request_is_an_error(data):
    """Whatever comes gets an answer of HTTP, or has no end yet."""
    reception = Reception()
    answer = reception.receive(data)
    assert answer is None or answer == b"" or answer.startswith(b"HTTP/1.1 ")
    if answer is None:
        assert reception.receive(b"").startswith(b"HTTP/1.1 400 ") or data.strip() == b""
