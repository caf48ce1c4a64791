"""The DNS example: its parser by itself, on hostile bytes as well, and the server around it."""

import shutil
import socket
import struct
import subprocess

import pytest
from hypothesis import example as tried
from hypothesis import given
from hypothesis import strategies as st

from examples import dns
from tests.programs import MODELS, example, served

RECURSION_DESIRED = 0x0100
RESPONSE, AUTHORITATIVE = 0x8000, 0x0400


def question(name, kind=dns.ADDRESS):
    labels = b"".join(bytes([len(label)]) + label for label in name.split(b"."))
    return labels + b"\0" + struct.pack("!HH", *kind)


def query(name, kind=dns.ADDRESS, number=7, flags=RECURSION_DESIRED):
    return struct.pack("!6H", number, flags, 1, 0, 0, 0) + question(name, kind)


def header(packet):
    """(number, flags, questions, answers, authorities, additional records)"""
    return struct.unpack_from("!6H", packet)


@pytest.mark.worldless
def test_known_name_is_answered_with_its_address():
    reply = dns.answer(query(b"chat.example"))
    flags = RESPONSE | AUTHORITATIVE | RECURSION_DESIRED
    assert (7, flags, 1, 1, 0, 0) == header(reply)
    record = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + bytes([192, 0, 2, 1])
    assert question(b"chat.example") + record == reply[12:]


@pytest.mark.worldless
def test_case_of_a_name_does_not_matter_and_comes_back():
    """Resolvers vary it, and compare, to tell real answers from forged ones."""
    reply = dns.answer(query(b"cHaT.eXaMpLe"))
    assert 1 == header(reply)[3]
    assert question(b"cHaT.eXaMpLe") == reply[12:-16]


@pytest.mark.worldless
def test_unknown_name_does_not_exist():
    number, flags, *counts = header(dns.answer(query(b"nobody.example", flags=0)))
    assert (7, RESPONSE | AUTHORITATIVE | dns.NO_SUCH_NAME) == (number, flags)
    assert [1, 0, 0, 0] == counts


@pytest.mark.worldless
def test_known_name_has_nothing_but_an_address():
    """To be asked for anything else is no error."""
    ipv6_address = (28, 1)
    _, flags, *counts = header(dns.answer(query(b"chat.example", ipv6_address, flags=0)))
    assert RESPONSE | AUTHORITATIVE == flags
    assert [1, 0, 0, 0] == counts


@pytest.mark.worldless
@pytest.mark.parametrize("flags", [RESPONSE, 0x2800], ids=["response", "update"])
def test_what_is_no_query_is_not_answered(flags):
    """Two servers that answer each other's answers would never stop."""
    assert dns.answer(query(b"chat.example", flags=flags)) is None


@pytest.mark.worldless
@pytest.mark.parametrize("length", range(12, len(query(b"chat.example"))))
def test_query_that_is_cut_short_is_refused(length):
    reply = dns.answer(query(b"chat.example", flags=0)[:length])
    assert (7, RESPONSE | dns.FORMAT_ERROR, 0, 0, 0, 0) == header(reply)


@pytest.mark.worldless
def test_pointer_in_a_question_is_refused():
    """It could point to itself."""
    packet = query(b"chat.example", flags=0)[:12] + b"\xc0\x0c\0\1\0\1"
    assert RESPONSE | dns.FORMAT_ERROR == header(dns.answer(packet))[1]


@pytest.mark.worldless
@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: query(b"a")[:12] + tail))
@tried(b"\0" * 65535)
@tried(query(b"a")[:12] + b"\1a" * 32000)
def test_any_datagram_gets_one_reply_or_none(packet):
    """Whatever arrives, nothing is raised, and a reply is one to what was asked."""
    reply = dns.answer(packet)
    if reply is not None:
        assert packet[:2] == reply[:2]
        assert RESPONSE == header(reply)[1] & RESPONSE
        assert len(reply) <= len(packet) + 16  # no gain for who forges the sender's address


def ask(address, packet):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        sock.connect(address)
        sock.send(packet)
        return sock.recv(512)


@pytest.fixture(scope="module", params=MODELS)
def server(request):
    with example("dns", request.param) as address:
        yield address


def test_server_answers_each_client(server):
    assert dns.answer(query(b"chat.example")) == ask(server, query(b"chat.example"))
    assert dns.answer(query(b"nobody", number=8)) == ask(server, query(b"nobody", number=8))


def test_server_survives_what_is_no_query(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for packet in b"", b"\0", b"\xff" * 600, dns.answer(query(b"chat.example")):
            sock.sendto(packet, server)
    assert 1 == header(ask(server, query(b"chat.example")))[3]


@pytest.mark.skipif(not shutil.which("dig"), reason="there is no dig")
def test_server_is_asked_with_dig(server):
    host, port = server
    command = ["dig", "+short", f"@{host}", "-p", str(port), "chat.example"]
    done = subprocess.run(command, capture_output=True, timeout=30)
    assert b"192.0.2.1\n" == done.stdout


@pytest.mark.worldless
def test_handler_is_served_by_the_command():
    with served("examples.dns:Resolver", transport="udp") as address:
        assert 1 == header(ask(address, query(b"chat.example")))[3]
