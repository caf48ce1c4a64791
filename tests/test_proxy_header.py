"""PROXY headers as bytes and as values, whatever comes; no socket is near."""

import ipaddress
import pickle
import subprocess
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import greensock
from greensock import ProxyHeader
from greensock.errors import ProxyHeaderError
from greensock.net.networks import Networks
from greensock.net.proxy_header import SIGNATURE
from greensock.net.proxy_parser import (
    LONGEST,
    LONGEST_LINE,
    ProxyParser,
    begins_header,
    parse_header,
)

pytestmark = pytest.mark.worldless

quickly = settings(max_examples=80, deadline=None, database=None)

V4 = ("192.0.2.7", 40000), ("198.51.100.1", 443)
V6 = ("2001:db8::7", 40000, 0, 0), ("2001:db8::1", 443, 0, 0)
UNIX = "/run/client", "/run/\udcff\udcfe"  # a path is bytes, and need be no text
ABSTRACT = b"\0client", b"\0server"
TLVS = {5: b"id", 1: b"h2", 3: bytes(4), 2: b"example.org", 0xE0: b""}

NOWHERE = bytes(12)

# As the specification has it.
LINE = b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"


def block(command=0x21, family=0x11, body=NOWHERE, length=None):
    length = len(body) if length is None else length
    return SIGNATURE + bytes([command, family]) + length.to_bytes(2, "big") + body


def parse(*pieces):
    """What there is when all pieces have come: the header, and the rest."""
    parser = ProxyParser()
    for number, piece in enumerate(pieces, 1):
        header, rest = parser.feed(piece)
        if header is not None:
            return header, rest + b"".join(pieces[number:])
    return None, None


def refused(data):
    with pytest.raises(ProxyHeaderError) as caught:
        parse(data)
    return caught.value


ADDRESSES = [V4, V6, UNIX, ABSTRACT, ("", ""), (None, None)]


@pytest.mark.parametrize("addresses", ADDRESSES)
@pytest.mark.parametrize("tlvs", [{}, TLVS])
def test_what_is_sent_is_what_is_read(addresses, tlvs):
    sent = ProxyHeader(*addresses, tlvs)
    header, rest = parse(bytes(sent) + b"hello")
    assert b"hello" == rest
    assert (*addresses, 2, False) == (
        header.source,
        header.destination,
        header.version,
        header.is_local,
    )
    assert tlvs.keys() == header.tlvs.keys()
    assert bytes(sent) == bytes(header)


@pytest.mark.parametrize("addresses", [V4, V6])
def test_what_is_sent_in_version_1_is_what_is_read(addresses):
    header, rest = parse(bytes(ProxyHeader(*addresses, version=1)) + b"\r\n")
    assert ProxyHeader(*addresses, version=1) == header
    assert b"\r\n" == rest


def test_the_line_of_the_specification():
    header, rest = parse(LINE + b"GET / HTTP/1.1\r\n")
    assert (("192.168.0.1", 56324), ("192.168.0.11", 443)) == (header.source, header.destination)
    assert b"GET / HTTP/1.1\r\n" == rest
    assert LINE == bytes(header)


@pytest.mark.parametrize("line", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff:: x 1 2\r\n"])
def test_who_is_unknown_has_no_address(line):
    assert ProxyHeader(None, None, version=1) == parse_header(line)


@pytest.mark.parametrize("addresses", [UNIX, (None, None), (V4[0], None)])
def test_version_1_says_unknown_of_what_it_has_no_words_for(addresses):
    assert b"PROXY UNKNOWN\r\n" == bytes(ProxyHeader(*addresses, TLVS, version=1))


def test_a_proxy_that_speaks_for_itself_tells_of_nobody():
    for body in b"", bytes(12), b"\x01\xff\xff":
        header, _ = parse(block(0x20, 0x11, body))
        assert ProxyHeader(None, None, is_local=True) == header
    assert block(0x20, 0x00, b"") == bytes(header)


def test_tlvs_have_names():
    tls = b"\x07" + bytes(4) + b"\x21\0\x07TLSv1.3" + b"\x22\0\x03Ann" + b"\x23\0\x03AES"
    tlvs = {1: b"h2", 2: "bücher.example".encode(), 5: b"\1\2", 0x20: tls}
    header = parse_header(bytes(ProxyHeader(*V6, tlvs)))
    assert (b"h2", "bücher.example", b"\1\2") == (header.alpn, header.authority, header.unique_id)
    told = header.tls
    assert ("TLSv1.3", "Ann", "AES") == (told.version, told.common_name, told.cipher)
    assert told.has_certificate and told.is_verified
    with pytest.raises(TypeError):
        header.tlvs[1] = b"smtp"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (b"", None),
        (b"\x01\0\0\0", None),
        (bytes(5), None),  # a connection without TLS
        (b"\x01" + bytes(4), (False, False)),
        (b"\x03\0\0\0\x0a", (True, False)),
        (b"\x05" + bytes(4) + b"\x21\xff\xff", (True, True)),
    ],
)
def test_who_is_verified_has_shown_a_certificate(told, expected):
    tls = ProxyHeader(*V4, {0x20: told}).tls
    assert expected == (tls and (tls.has_certificate, tls.is_verified))


def test_names_that_are_no_text_are_shown_as_such():
    assert r"\xff" == ProxyHeader(*V4, {2: b"\xff"}).authority
    assert (None, None, None, None) == (
        ProxyHeader(*V4).alpn,
        ProxyHeader(*V4).authority,
        ProxyHeader(*V4).unique_id,
        ProxyHeader(*V4).tls,
    )


def test_a_checksum_counts():
    """Known answer: 32 zero bytes make 0x8a9136aa (RFC 3720)."""
    right = bytes(ProxyHeader(*V4, {5: b"id", 3: b"    ", 1: b"h2"}))
    assert parse_header(right)
    for at in range(16, len(right)):
        if at not in (28, 29, 30, 33, 34, 35, 40, 41, 42):  # types and lengths
            refused(right[:at] + bytes([right[at] ^ 1]) + right[at + 1:])
    assert "checksum" in str(refused(block(body=bytes(12) + b"\3\0\3abc")))


MALFORMED = [
    b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 56324\r\n",
    b"PROXY TCP4 192.168.0.1  192.168.0.11 56324 443\r\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443 \r\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 65536 443\r\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 -1 443\r\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 +1 443\r\n",
    b"PROXY TCP4 192.168.0.1 192.168.0.11 1_0 443\r\n",
    b"PROXY TCP4 192.168.0.256 192.168.0.11 1 443\r\n",
    b"PROXY TCP4 ::1 ::1 1 443\r\n",
    b"PROXY TCP6 192.168.0.1 192.168.0.11 56324 443\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 1 443\r\n",
    b"PROXY tcp4 192.168.0.1 192.168.0.11 56324 443\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNIX a b\r\n",
    b"PROXY \r\n",
    b"PROXY UNKNOWN " + LONGEST_LINE * b"x",
    block(0x22),
    block(0x11),
    block(0x01),
    block(family=0x41),
    block(family=0x13),
    block(body=bytes(11)),
    block(family=0x21, body=bytes(35)),
    block(family=0x31, body=bytes(215)),
    block(body=bytes(12) + b"\1"),
    block(body=bytes(12) + b"\1\0\2h"),
    block(body=b"", length=LONGEST - 15),
]


@pytest.mark.parametrize("data", MALFORMED, ids=lambda data: repr(data[-40:]))
def test_what_is_wrong_is_refused(data):
    assert "malformed" == refused(data).reason


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"PROXX", b"\0", b"\r\n\r\nQ", b"PROXY\t"])
def test_what_is_something_else_is_no_header(data):
    assert "missing" == refused(data).reason
    assert not begins_header(data)


def test_a_header_that_ends_early_is_malformed_and_none_is_missing():
    parser = ProxyParser()
    assert "missing" == parser.end().reason
    parser.feed(LINE[:9])
    assert "malformed" == parser.end().reason


def test_as_many_bytes_as_there_may_be():
    line = b"PROXY UNKNOWN " + b"x" * (LONGEST_LINE - 16) + b"\r\n"
    assert LONGEST_LINE == len(line)
    assert (ProxyHeader(None, None, version=1), b"") == parse(line)
    full = ProxyHeader(*V4, {0xE0: bytes(LONGEST - 31)})
    assert LONGEST == len(bytes(full))
    assert (full, b"") == parse(bytes(full))


hostile = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=150).map(lambda data: b"PROXY " + data),
    st.from_regex(rb"PROXY [A-Z0-9]{0,7}([ \t][0-9a-f.:_+-]{0,9}){0,6}\r?\n?.*", fullmatch=True),
    st.builds(
        block,
        st.integers(0, 255) | st.sampled_from([0x20, 0x21]),
        st.integers(0, 255) | st.sampled_from([0x00, 0x11, 0x21, 0x31]),
        st.binary(max_size=300),
        st.none() | st.integers(0, 0xFFFF),
    ),
    st.sampled_from([*MALFORMED, LINE, bytes(ProxyHeader(*V6, TLVS))]),
)


@quickly
@given(hostile, st.lists(st.integers(0, 400), max_size=6))
@example(LINE, [1, 2, 3])
def test_whatever_comes_it_ends_well_and_does_not_depend_on_the_pieces(data, cuts):
    data += bytes(LONGEST)

    def outcome(*pieces):
        try:
            return parse(*pieces)
        except ProxyHeaderError as error:
            return error.reason

    cuts = [0, *sorted(cuts), len(data)]
    whole = outcome(data)
    assert whole == outcome(*(data[a:b] for a, b in zip(cuts, cuts[1:], strict=False)))
    assert whole != (None, None), "it wants more than it is to"
    if isinstance(whole, tuple):
        header, rest = whole
        assert data.endswith(rest)
        assert begins_header(data[:12])
        for name in "alpn", "authority", "unique_id", "tls":
            getattr(header, name)
        again = parse_header(bytes(header))
        assert (header.source, header.destination) == (again.source, again.destination)


ports = st.integers(0, 65535)
addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), ports), st.tuples(st.ip_addresses(v=6).map(str), ports)
)


@quickly
@given(
    addresses,
    addresses,
    st.dictionaries(st.integers(0, 255), st.binary(max_size=50), max_size=5),
    st.sampled_from([1, 2]),
)
def test_any_two_addresses_can_be_sent(source, destination, tlvs, version):
    header = parse_header(bytes(ProxyHeader(source, destination, tlvs, version)))
    assert (source[1], destination[1]) == (header.source[1], header.destination[1])
    assert len(header.source) == len(header.destination)
    assert plain(source) == plain(header.source)
    assert plain(destination) == plain(header.destination)


def plain(address):
    ip = ipaddress.ip_address(address[0])
    return getattr(ip, "ipv4_mapped", None) or ip


def test_ipv4_addresses_of_both_notations_are_one():
    mapped = ProxyHeader(("::ffff:192.0.2.7", 1, 0, 0), ("::ffff:192.0.2.1", 2, 0, 0), version=1)
    assert b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\r\n" == bytes(mapped)
    mixed = ProxyHeader(("192.0.2.7", 1), ("fe80::1%eth0", 2, 0, 3), version=1)
    assert b"PROXY TCP6 ::ffff:192.0.2.7 fe80::1 1 2\r\n" == bytes(mixed)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (ProxyHeader(("localhost", 1), V4[1]), "('localhost', 1) is no address"),
        (ProxyHeader(("192.0.2.1", 65536), V4[1]), "no address"),
        (ProxyHeader(("192.0.2.1",), V4[1]), "no address"),
        (ProxyHeader("/run/client", V4[1]), "'/run/client' is no address"),
        (ProxyHeader("x" * 109, ""), "longer than 108 bytes"),
        (ProxyHeader(*V4, {256: b""}), "types from 0 to 255"),
        (ProxyHeader(*V4, {1: "h2"}), "tlvs cannot be written"),
        (ProxyHeader(*V4, {1: bytes(65536)}), "64 KiB"),
        (ProxyHeader(*V4, version=3), "version is 3; give 1 or 2"),
    ],
)
def test_what_cannot_be_sent_is_told(header, words):
    with pytest.raises(ValueError) as caught:
        bytes(header)
    assert words in str(caught.value)


def test_it_can_be_passed_on_between_processes():
    header = ProxyHeader(*V6, TLVS)
    assert header == pickle.loads(pickle.dumps(header))
    error = ProxyHeaderError("it is none", "missing")
    again = pickle.loads(pickle.dumps(error))
    assert ("it is none", "missing") == (str(again), again.reason)


@pytest.mark.parametrize(
    ("address", "networks", "expected"),
    [
        (("10.1.2.3", 9), ["10.0.0.0/8"], True),
        (("11.1.2.3", 9), ["10.0.0.0/8"], False),
        (("::ffff:10.1.2.3", 9, 0, 0), ["10.0.0.0/8"], True),
        (("fe80::1%eth0", 9, 0, 2), ["fe80::/10"], True),
        (("::1", 9, 0, 0), ["127.0.0.0/8", "::1"], True),
        (("::1", 9, 0, 0), ["0.0.0.0/0"], False),
        ("", ["unix:"], True),
        (b"\0name", ["unix:"], True),
        ("", ["0.0.0.0/0", "::/0"], False),
        (("10.1.2.3", 9), ["unix:"], False),
        (("localhost", 9), ["0.0.0.0/0"], False),
        (None, ["unix:", "0.0.0.0/0"], False),
    ],
)
def test_who_is_in_a_network(address, networks, expected):
    assert expected == (address in Networks(networks))


def test_without_the_package_it_is_said_how_to_get_it():
    program = """
import sys
sys.modules["proxyprotocol"] = None
import greensock
class Server(greensock.GreenletTCPServer):
    proxy_protocol, trusted_proxies = "required", ["::1"]
    def server_bind(self):
        print("bound")
for attempt in (
    lambda: Server(("127.0.0.1", 0), print),
    lambda: setattr(greensock.ThreadingTCPServer(("127.0.0.1", 0), print),
                    "proxy_protocol", "optional"),
):
    try:
        attempt()
    except ImportError as error:
        print(error)
bytes(greensock.ProxyHeader(("::1", 1), ("::1", 2)))
from greensock.cli import main
sys.exit(main(["serve", "json:loads", "--proxy-protocol=optional", "--trusted-proxies=::1"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    said = "proxy_protocol needs the package proxy-protocol: pip install 'greensock[proxy]'\n"
    assert 2 * said == done.stdout
    assert 0 != done.returncode
    assert "--proxy-protocol needs the package proxy-protocol: pip install" in done.stderr


def test_nobody_is_trusted_by_default():
    cls = type("Server", (greensock.TCPServer,), {"proxy_protocol": "optional"})
    with pytest.raises(ValueError, match="^proxy_protocol is 'optional', but trusted_proxies name"):
        cls(("127.0.0.1", 0), print)


def test_datagrams_have_none():
    attributes = {"proxy_protocol": "optional", "trusted_proxies": ["::1"]}
    with pytest.raises(ValueError, match="not for datagrams"):
        type("Server", (greensock.GreenletUDPServer,), attributes)(("127.0.0.1", 0), print)
