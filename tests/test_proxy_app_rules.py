"""Where clients of the proxy application may go, however they write it."""

import socket
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.proxy.rules import PROTECTED, Networks, Rules, forms_of, parse_rule
from tests.helpers import with_ipv6

pytestmark = pytest.mark.worldless


def rules(*texts, own=()):
    """``+`` allows, ``-`` denies."""
    return Rules([parse_rule(text[1:], text[0] == "+") for text in texts], own)


def at(host, port=80):
    return (host, port, 0, 0) if ":" in host else (host, port)


LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.255.255.254",
    "0x7f.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "::1",
    "0:0:0:0:0:0:0:1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:0.0.0.0",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b:1::127.0.0.1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",  # Teredo's server, and its client
    "2001:0:808:808:0:0:80ff:fffe",
    "2001:db8::5efe:127.0.0.1",
    "2001:db8::200:5efe:127.0.0.1",
]
OTHERS = [
    "169.254.169.254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:42::42",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "ff02::1",
    "fec0::1",
]


@pytest.mark.parametrize("host", LOOPBACK + OTHERS)
def test_what_is_protected_is_not_reached_however_it_is_written(host):
    """The system's own reading is judged; nor does a rule about everything change that."""
    try:
        found = {item[4] for item in socket.getaddrinfo(host, 80, type=socket.SOCK_STREAM)}
    except socket.gaierror:
        pytest.skip("the system does not understand it")
    for judge in rules(), rules("+0.0.0.0/0", "+::/0", "+any"), rules("+any:80"):
        assert not any(map(judge.allow, found))


@pytest.mark.parametrize("host", ["8.8.8.8", "10.0.0.1", "2001:db8::1", "64:ff9b::808:808"])
def test_what_is_not_protected_is_reached(host):
    assert rules().allow(at(host))
    assert not rules("-any").allow(at(host))


def test_a_rule_for_nothing_else_opens_what_is_protected():
    some = rules("+127.0.0.1:8000-8010", "+::1", "+169.254.0.0/16")
    assert some.allow(at("127.0.0.1", 8000)) and some.allow(at("::ffff:127.0.0.1", 8010))
    assert not some.allow(at("127.0.0.1", 8011)) and not some.allow(at("127.0.0.2", 8000))
    assert some.allow(at("::1")) and some.allow(at("169.254.169.254"))


def test_the_first_rule_that_fits_decides():
    some = rules("-10.0.0.1:22", "+10.0.0.0/8", "-any")
    assert not some.allow(at("10.0.0.1", 22))
    assert some.allow(at("10.0.0.1", 23)) and some.allow(at("10.0.0.2", 22))
    assert not some.allow(at("8.8.8.8")) and not some.allow(at("2001:db8::1"))


def test_what_an_address_stands_for_must_be_allowed_as_well():
    some = rules("-10.0.0.0/8")
    for host in "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:a00:1::", "::10.0.0.1":
        assert not some.allow(at(host)), host


addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))


@given(addresses, st.integers(0, 0xFFFF))
def test_every_address_is_judged(ip, port):
    """One that is protected, or stands for one, is never let through."""
    is_protected = any(form in each for form in forms_of(ip) for each in PROTECTED)
    assert is_protected != rules().allow(at(str(ip), port))


@given(st.integers(0x7F000000, 0x7FFFFFFF))
def test_no_form_of_loopback_is_let_through(number):
    host = str(ip_address(number))
    for form in host, f"::ffff:{host}", f"64:ff9b::{host}", f"::{host}":
        assert not rules("+any").allow(at(str(ip_address(form))))


def own_address():
    """One of this machine that is no loopback one; None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        host = probe.getsockname()[0]
    return None if ip_address(host).is_loopback else host


def test_the_proxy_itself_is_never_reached():
    """Nobody may have it connect to itself, and again."""
    some = rules("+127.0.0.0/8", own=[("127.0.0.1", 1080), ("0.0.0.0", 8080), ("::", 8081, 0, 0)])
    assert not some.allow(at("127.0.0.1", 1080)) and some.allow(at("127.0.0.2", 1080))
    assert not some.allow(at("127.0.0.2", 8080)) and not some.allow(at("127.0.0.1", 8081))
    assert some.allow(at("192.0.2.1", 8080))
    mine = own_address()
    if mine is not None:
        assert some.allow(at(mine, 1080)) and not some.allow(at(mine, 8080))


@with_ipv6
def test_the_proxy_itself_is_never_reached_over_ipv6():
    some = rules("+::1", own=[("::", 8080, 0, 0)])
    assert not some.allow(at("::1", 8080)) and some.allow(at("::1", 8081))


@pytest.mark.parametrize(
    "text, network, ports",
    [
        ("10.0.0.0/8", "10.0.0.0/8", range(0x10000)),
        ("10.0.0.1:80", "10.0.0.1", range(80, 81)),
        ("::1", "::1", range(0x10000)),
        ("2001:db8::/32", "2001:db8::/32", range(0x10000)),
        ("[2001:db8::/32]:1-2", "2001:db8::/32", range(1, 3)),
        ("[::1]", "::1", range(0x10000)),
        ("any:0-65535", None, range(0x10000)),
    ],
)
def test_rules_are_read(text, network, ports):
    rule = parse_rule(text, True)
    assert (network and ip_network(network), ports) == (rule.network, rule.ports)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "10.0.0.1/8", "10.0.0.1:", "any:80-", "any:2-1", "any:65536", "[::1", "x:1",
     "any:-1", "[any]:x", "10.0.0.1:80:81"],
)
def test_what_is_no_rule_is_told(text):
    with pytest.raises(ValueError, match="is no rule.*write"):
        parse_rule(text, True)


def test_clients_are_known_by_their_networks():
    some = Networks([ip_network("10.0.0.0/8"), ip_network("::1")])
    assert ("10.1.2.3", 1) in some and ("::1", 1, 0, 0) in some
    assert ("::ffff:10.1.2.3", 1, 0, 0) in some  # as a socket for both families has them
    assert ("192.0.2.1", 1) not in some
    assert ("192.0.2.1", 1) in Networks([None])
    assert "/run/client" not in some and "/run/client" in Networks([None])
