"""SOCKS 5 as the proxy application understands it, whatever comes, in whatever pieces."""

import errno
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.proxy.socks import (
    CONNECT,
    Conversation,
    Login,
    Reply,
    Request,
    SocksError,
    code_of,
    reply,
)

pytestmark = pytest.mark.worldless

FREE, BY_PASSWORD = b"\5\1\0", b"\5\1\2"

names = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
ports = st.integers(0, 0xFFFF)
words = st.binary(max_size=255)


def sized(data):
    return bytes([len(data)]) + data


def spelled(host, port, command=CONNECT):
    """A request; ``host`` is a name or an address."""
    start = b"\5%c\0" % command
    if isinstance(host, str):
        return start + b"\3" + sized(host.encode()) + port.to_bytes(2, "big")
    return start + b"%c" % (1 if host.version == 4 else 4) + host.packed + port.to_bytes(2, "big")


def heard(pieces, wants_login=False, is_right=True):
    """What a conversation comes to: its events, and what is left; ``is_right`` are its logins."""
    conversation, events = Conversation(wants_login), []
    for piece in pieces:
        event = conversation.feed(piece)
        while event is not None:
            events.append(event)
            if isinstance(event, Login):
                conversation.judge(is_right)
            event = conversation.feed()
    return events, bytes(conversation.rest)


def cut(data, places):
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in zip(edges, edges[1:])]


cuts = st.lists(st.integers(0, 2000), max_size=8)
hosts = st.one_of(names, st.ip_addresses())


@given(host=hosts, port=ports, command=st.integers(0, 255), rest=words, places=cuts)
def test_a_request_is_understood_in_whatever_pieces_it_comes(host, port, command, rest, places):
    """What follows it is left for whoever the client is connected with."""
    data = FREE + spelled(host, port, command) + rest
    expected = [b"\5\0", Request(command, str(host), port)], rest
    assert expected == heard(cut(data, places))


@given(name=words, password=words, host=hosts, places=cuts)
def test_a_login_comes_before_the_request(name, password, host, places):
    login = b"\1" + sized(name) + sized(password)
    data = BY_PASSWORD + login + spelled(host, 80)
    events, rest = heard(cut(data, places), wants_login=True)
    assert [b"\5\2", Login(name, password), b"\1\0", Request(CONNECT, str(host), 80)] == events
    with pytest.raises(SocksError, match="wrong") as caught:
        heard(cut(data, places), wants_login=True, is_right=False)
    assert b"\1\1" == caught.value.answer


@given(
    st.one_of(
        st.lists(st.binary(max_size=600), max_size=5),
        st.lists(st.sampled_from([b"\5", b"\1", b"\0", b"\2", b"\3", b"\4", b"\xff"]), max_size=40),
    ),
    st.booleans(),
)
def test_whatever_comes_is_understood_or_refused(pieces, wants_login):
    """Nothing that is fed to it raises anything else, or is answered without having been asked."""
    try:
        events, rest = heard(pieces, wants_login, is_right=False)
    except SocksError as error:
        assert error.answer[:1] in (b"", b"\1", b"\5")
    else:
        assert len(rest) <= sum(map(len, pieces))
        assert not (wants_login and any(isinstance(event, Request) for event in events))


@given(data=st.binary(min_size=1, max_size=40), at=st.integers(0, 300), places=cuts)
def test_a_conversation_with_bytes_changed_is_a_conversation_or_none(data, at, places):
    """And it is the same one, in whatever pieces it comes."""
    whole = BY_PASSWORD + b"\1\4name\4word" + spelled("host.example", 443) + b"rest"
    at %= len(whole)
    changed = whole[:at] + data + whole[at + len(data):]

    def outcome(pieces):
        try:
            return heard(pieces, wants_login=True)
        except SocksError as error:
            return error.args

    assert outcome([changed]) == outcome(cut(changed, places))


@pytest.mark.parametrize(
    "data, answer",
    [
        (b"\4\1\0\x50\x7f\0\0\1user\0", b""),  # SOCKS 4
        (b"GET / HTTP/1.1\r\n\r\n", b""),
        (b"\5\0", b"\5\xff"),
        (b"\5\2\1\2", b"\5\xff"),  # no way without a login
        (FREE + b"\4\1\0\1\1\1\1\1\0\x50", b""),
        (FREE + b"\5\1\0\2", reply(Reply.ADDRESS_UNKNOWN)),
        (FREE + b"\5\1\0\3\0\0\x50", reply(Reply.HOST_UNREACHABLE)),
        (FREE + b"\5\1\0\3\7evil\0.a\0\x50", reply(Reply.HOST_UNREACHABLE)),
    ],
)
def test_what_is_wrong_is_answered_as_the_standard_says(data, answer):
    with pytest.raises(SocksError) as caught:
        heard([data])
    assert answer == caught.value.answer


def test_who_must_log_in_cannot_do_without():
    with pytest.raises(SocksError) as caught:
        heard([FREE], wants_login=True)
    assert b"\5\xff" == caught.value.answer


@given(st.sampled_from(Reply), st.ip_addresses(), ports)
def test_a_reply_tells_the_address(code, ip, port):
    data = reply(code, (str(ip), port))
    kind, packed = (1, IPv4Address) if ip.version == 4 else (4, IPv6Address)
    assert bytes([5, code, 0, kind]) == data[:4]
    assert (ip, port) == (packed(data[4:-2]), int.from_bytes(data[-2:], "big"))


def test_an_address_with_a_scope_is_told_without_it():
    assert ip_address("fe80::1").packed == reply(0, ("fe80::1%lo", 1, 0, 1))[4:20]


@pytest.mark.parametrize(
    "error, code",
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, ""), Reply.REFUSED),
        (OSError(errno.ENETUNREACH, ""), Reply.NETWORK_UNREACHABLE),
        (OSError(errno.EHOSTUNREACH, ""), Reply.HOST_UNREACHABLE),
        (socket.gaierror(socket.EAI_NONAME, ""), Reply.HOST_UNREACHABLE),
        (TimeoutError("the deadline has passed"), Reply.EXPIRED),
        (TimeoutError(errno.ETIMEDOUT, ""), Reply.EXPIRED),
        (PermissionError(errno.EACCES, ""), Reply.NOT_ALLOWED),
        (OSError(errno.EMFILE, ""), Reply.FAILED),
    ],
)
def test_the_code_says_what_has_happened(error, code):
    assert code is code_of(error)
